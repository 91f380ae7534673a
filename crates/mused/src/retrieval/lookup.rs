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

/// Cosines that are in memory at once.
const COSINES: usize = 1 << 24;
/// Values of a row that are compared before all are, of how many rows together.
const FIRST: usize = 64;
const TOGETHER: usize = 128;
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
    let size = (COSINES / count.max(1)).clamp(16, 4096);
    for start in (0..points.nrows()).step_by(size) {
        let end = (start + size).min(points.nrows());
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
    let Some(last) = k.min(row.len()).checked_sub(1) else {
        return Vec::new();
    };
    let mut values = row.to_vec();
    let (_, least, _) = values.select_nth_unstable_by(last, |a, b| b.total_cmp(a));
    let mut order: Vec<usize> = (0..row.len())
        .filter(|&item| row[item].total_cmp(least).is_ge())
        .collect();
    order.sort_unstable_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
    order.truncate(k);
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
///
/// The squared distance of two such rows is 2 - 2 cos, and their first values are no further apart: what these tell apart
/// is not compared as a whole.
fn near(a: &Array2<f32>, b: &Array2<f32>, above: f64) -> Vec<Vec<usize>> {
    let width = a.ncols().min(FIRST);
    let firsts = |rows: ArrayView2<'_, f32>| -> (Vec<f32>, Vec<f32>) {
        let firsts = rows.slice(s![.., ..width]);
        let squares = firsts.rows().into_iter().map(|row| row.dot(&row));
        (firsts.iter().copied().collect(), squares.collect())
    };
    // With room for what is rounded.
    let reach = (2.0 - 2.0 * above) as f32 + 1e-4;
    let (right, right_squares) = firsts(b.view());
    let mut found = Vec::with_capacity(a.nrows());
    for block in a.axis_chunks_iter(Axis(0), TOGETHER) {
        let (left, left_squares) = firsts(block);
        let products = row_products(&left, &right, width);
        let is_close = |row: usize, other: usize| {
            let product = products[row * b.nrows() + other];
            left_squares[row] + right_squares[other] - 2.0 * product < reach
        };
        let close: Vec<usize> = (0..b.nrows())
            .into_par_iter()
            .filter(|&other| (0..block.nrows()).any(|row| is_close(row, other)))
            .collect();
        let whole = |rows: ArrayView2<'_, f32>| -> Vec<f32> { rows.iter().copied().collect() };
        let others = b.select(Axis(0), &close);
        let cosines = row_products(&whole(block), &whole(others.view()), a.ncols());
        found.extend((0..block.nrows()).map(|row| -> Vec<usize> {
            let cosines = &cosines[row * close.len()..(row + 1) * close.len()];
            let near = close.iter().zip(cosines);
            let near = near.filter(|(_, cosine)| f64::from(**cosine) > above);
            near.map(|(other, _)| *other).collect()
        }));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not compared as a whole is near nothing: as if all were.
    #[test]
    fn near_rows_are_found_by_their_first_values_too() {
        let value = |row: usize, column: usize| {
            ((row * 131 + column * 37 + row * column) % 97) as f32 - 40.0
        };
        // Rows of the second that are the first's, nearly, or in their first values alone.
        let a = Array2::from_shape_fn((150, 200), |(row, column)| value(row, column));
        let b = Array2::from_shape_fn((60, 200), |(row, column)| match row % 4 {
            0 => value(2 * row, column),
            1 => value(2 * row, column) + 4.0 * ((column % 5) as f32 - 2.0),
            2 if column < 64 => value(2 * row, column),
            _ => value(7 * row + 1000, column),
        });
        let (a, b) = (unit(a), unit(b));
        for above in [0.5, 0.9, 0.98] {
            let found = near(&a, &b, above);
            let cosine = |row: usize, other: usize| -> f64 {
                let pairs = a.row(row).into_iter().zip(b.row(other));
                pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let all = |row: usize| -> Vec<usize> {
                (0..60)
                    .filter(|&other| cosine(row, other) > above)
                    .collect()
            };
            assert_eq!(found, (0..150).map(all).collect::<Vec<_>>(), "{above}");
            assert!(found.iter().map(Vec::len).sum::<usize>() >= 15);
        }
        assert_eq!(
            near(&a, &b.slice(s![..0, ..]).to_owned(), 0.9),
            vec![Vec::<usize>::new(); 150]
        );
    }
}
