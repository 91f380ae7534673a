//! One model's responses looked up in a gallery.

use std::collections::{BTreeMap, BTreeSet};

use mused_data::{Dataset, order_shown};
use mused_kernels::row_products;
use mused_stats::retrieval::{Place, Pool, Response, places};
use mused_train::FoldPoints;
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::gallery::Gallery;
use super::{Error, Result};

/// Responses, or items, whose cosines are in memory at once.
const BLOCK: usize = 64;
/// Items that are brought among the components at once.
const PLACED: usize = 2048;

/// What is looked through for the responses of one model.
pub(super) struct Shelf {
    /// Items by their place in the gallery: the test stimuli in the order shown, those that were not trained on, the rest.
    pub(super) items: Vec<usize>,
    /// Test stimuli.
    pub(super) tested: usize,
    /// Test stimuli and others that were not trained on.
    unseen: usize,
    /// Whether each item was trained on, or nearly is a picture that was.
    pub(super) seen: Vec<bool>,
    /// Of each test stimulus, the other items that nearly are its picture.
    pub(super) duplicates: Vec<Vec<usize>>,
}

impl Shelf {
    /// What a model's responses are looked up among.
    ///
    /// # Errors
    /// A gallery of one.
    pub(super) fn of(
        points: &FoldPoints,
        gallery: &Gallery,
        dataset: &Dataset,
        near_duplicate: f64,
    ) -> Result<Self> {
        let order = order_shown(dataset);
        let mut tested = points.tested.clone();
        tested.sort_by_key(|&stimulus| order[stimulus]);
        let trained: BTreeSet<usize> = points.seen.iter().copied().collect();
        let is_tested: BTreeSet<usize> = tested.iter().copied().collect();
        let stimuli = dataset.stimuli.len();
        let further =
            (0..stimuli).filter(|stimulus| gallery.everything && !is_tested.contains(stimulus));
        let others = stimuli..stimuli + gallery.others.len();
        let items: Vec<usize> = tested
            .iter()
            .copied()
            .chain(further)
            .chain(others)
            .collect();
        if items.len() < 2 {
            return Err(Error::Request(format!(
                "fold {}: a gallery of one picture says nothing: expected 2 or more; --gallery dataset looks through all \
                 stimuli",
                points.fold
            )));
        }
        let rows = |chosen: &[usize]| unit(gallery.features.select(Axis(0), chosen));
        let open: Vec<usize> = (items.iter().copied())
            .filter(|item| !trained.contains(item))
            .collect();
        let near = near(&rows(&open), &rows(&points.seen), near_duplicate);
        let copied: BTreeSet<usize> = (open.iter().zip(near))
            .filter(|(_, found)| !found.is_empty())
            .map(|(item, _)| *item)
            .collect();
        let was_seen = |item: &usize| trained.contains(item) || copied.contains(item);
        let (head, rest) = items.split_at(tested.len());
        let (seen, unseen): (Vec<usize>, Vec<usize>) = rest.iter().copied().partition(was_seen);
        let items: Vec<usize> = head
            .iter()
            .copied()
            .chain(unseen.iter().copied())
            .chain(seen)
            .collect();
        let mut duplicates = self::near(&rows(head), &rows(&items), near_duplicate);
        for (own, found) in duplicates.iter_mut().enumerate() {
            found.retain(|other| *other != own);
        }
        Ok(Self {
            seen: items.iter().map(was_seen).collect(),
            tested: head.len(),
            unseen: head.len() + unseen.len(),
            duplicates,
            items,
        })
    }

    /// Whether some items were trained on.
    pub(super) fn some_seen(&self) -> bool {
        self.unseen < self.items.len()
    }

    /// The pool of its test stimuli; groups by number.
    pub(super) fn pool(&self, dataset: &Dataset, groups: &mut BTreeMap<String, usize>) -> Pool {
        let number = |&stimulus: &usize| {
            let next = groups.len();
            let name = dataset.stimuli[stimulus].group.clone();
            *groups.entry(name).or_insert(next)
        };
        Pool {
            groups: self.items.iter().take(self.tested).map(number).collect(),
        }
    }

    /// Items by their components, brought to length 1.
    pub(super) fn placed(&self, points: &FoldPoints, gallery: &Gallery) -> Vec<f32> {
        let blocks: Vec<Vec<f32>> = self
            .items
            .par_chunks(PLACED)
            .map(|items| {
                let features = gallery.features.select(Axis(0), items);
                let placed = points.space.place(features.view());
                unit(placed.mapv(|value| value as f32))
                    .into_iter()
                    .collect()
            })
            .collect();
        blocks.concat()
    }
}

/// An item near a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nearest {
    /// Among those of the shelf.
    pub(super) item: usize,
    pub(super) cosine: f32,
}

/// What was found for the responses of one decoder.
pub(super) struct LookedUp {
    /// Among all items.
    pub(super) all: Vec<Vec<Place>>,
    /// Among those that were not trained on; empty where none was.
    pub(super) unseen: Vec<Vec<Place>>,
    /// The first items of each response.
    pub(super) nearest: Vec<Vec<Nearest>>,
}

/// Looks points up among the items of a shelf; the first `k` are named.
///
/// # Errors
/// Points that are not finite.
pub(super) fn look_up(
    points: ArrayView2<'_, f32>,
    placed: &[f32],
    shelf: &Shelf,
    k: usize,
) -> Result<LookedUp> {
    let width = points.ncols();
    let mut found = LookedUp {
        all: Vec::with_capacity(points.nrows()),
        unseen: Vec::new(),
        nearest: Vec::with_capacity(points.nrows()),
    };
    let stimuli: Vec<usize> = (0..shelf.tested).collect();
    let count = shelf.items.len();
    for start in (0..points.nrows()).step_by(BLOCK) {
        let end = (start + BLOCK).min(points.nrows());
        let block = unit(points.slice(s![start..end, ..]).to_owned());
        let block: Vec<f32> = block.into_iter().collect();
        let cosines = row_products(&block, placed, width);
        let rows: Vec<(Vec<Place>, Vec<Place>, Vec<Nearest>)> = cosines
            .par_chunks_exact(count)
            .map(|row| {
                let apart = |upto: usize| -> Result<Vec<Place>> {
                    let row = &row[..upto];
                    let mut places = places(row, &stimuli)?;
                    for (own, place) in places.iter_mut().enumerate() {
                        let copies = shelf.duplicates[own].iter().filter(|other| **other < upto);
                        *place = without(*place, row, own, copies);
                    }
                    Ok(places)
                };
                let unseen = match shelf.some_seen() {
                    true => apart(shelf.unseen)?,
                    false => Vec::new(),
                };
                Ok((apart(count)?, unseen, first(row, k)))
            })
            .collect::<Result<_>>()?;
        for (all, unseen, nearest) in rows {
            found.all.push(all);
            found.nearest.push(nearest);
            if shelf.some_seen() {
                found.unseen.push(unseen);
            }
        }
    }
    Ok(found)
}

/// The place of an item whose near-duplicates do not compete with it.
fn without<'c>(
    place: Place,
    row: &[f32],
    own: usize,
    copies: impl Iterator<Item = &'c usize>,
) -> Place {
    let (mut nearer, mut equal, mut further) = (0, 0, 0);
    for &copy in copies {
        match row[copy].total_cmp(&row[own]) {
            std::cmp::Ordering::Greater => nearer += 1,
            std::cmp::Ordering::Equal => equal += 1,
            std::cmp::Ordering::Less => further += 1,
        }
    }
    place.without(nearer, equal, further)
}

/// The `k` items of the highest cosine, of equal ones those that come first.
fn first(row: &[f32], k: usize) -> Vec<Nearest> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    let by_cosine = |a: &usize, b: &usize| row[*b].total_cmp(&row[*a]).then(a.cmp(b));
    let k = k.min(order.len());
    if k < order.len() {
        order.select_nth_unstable_by(k, by_cosine);
        order.truncate(k);
    }
    order.sort_unstable_by(by_cosine);
    let nearest = |item| Nearest {
        item,
        cosine: row[item],
    };
    order.into_iter().map(nearest).collect()
}

/// Responses of one model for the statistics.
pub(super) fn responses(
    points: &FoldPoints,
    shelf: &Shelf,
    pool: usize,
    places: Vec<Vec<Place>>,
) -> Vec<Response> {
    let place: BTreeMap<usize, usize> = (shelf.items.iter().take(shelf.tested).copied())
        .zip(0..)
        .collect();
    let response = |(row, places): (&mused_train::DecodedRow, Vec<Place>)| Response {
        subject: row.subject,
        pool,
        stimulus: place.get(&row.stimulus).copied().unwrap_or_default(),
        places,
    };
    points.rows.iter().zip(places).map(response).collect()
}

/// For each row of `a` those of `b` with a cosine above a bound; rows of both have length 1.
fn near(a: &Array2<f32>, b: &Array2<f32>, above: f64) -> Vec<Vec<usize>> {
    let width = a.ncols();
    let right: Vec<f32> = b.iter().copied().collect();
    let mut found = Vec::with_capacity(a.nrows());
    for block in a.axis_chunks_iter(Axis(0), BLOCK) {
        let left: Vec<f32> = block.iter().copied().collect();
        let cosines = row_products(&left, &right, width);
        let of_row = |row: &[f32]| -> Vec<usize> {
            let pairs = row.iter().enumerate();
            let near = pairs.filter(|(_, cosine)| f64::from(**cosine) > above);
            near.map(|(place, _)| place).collect()
        };
        match b.nrows() {
            0 => found.extend(block.rows().into_iter().map(|_| Vec::new())),
            count => found.par_extend(cosines.par_chunks_exact(count).map(of_row)),
        }
    }
    found
}

/// Rows of length 1; those of zeros stay zeros.
pub(super) fn unit(mut rows: Array2<f32>) -> Array2<f32> {
    for mut row in rows.rows_mut() {
        let norm = row
            .iter()
            .map(|value| f64::from(*value).powi(2))
            .sum::<f64>()
            .sqrt();
        if norm > 0.0 {
            row.mapv_inplace(|value| (f64::from(value) / norm) as f32);
        }
    }
    rows
}
