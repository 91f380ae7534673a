//! One model's responses looked up in a gallery.

use std::collections::{BTreeMap, BTreeSet};

use mused_data::{Dataset, order_shown};
use mused_kernels::row_products;
use mused_stats::retrieval::{Place, Places, Pool, Response, above, highest, place, unit};
use mused_train::{DecodedRow, FoldPoints};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::gallery::Gallery;
use super::{Error, Result};

/// Cosines that are in memory at once.
const COSINES: usize = 1 << 24;
/// Axes along which rows are compared before all of their values are, of how many rows together.
const AXES: usize = 32;
const TOGETHER: usize = 256;
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
        let (items, tested) = items(points, gallery, dataset)?;
        let trained: BTreeSet<usize> = points.seen.iter().copied().collect();
        let (head, rest) = items.split_at(tested);
        let known: Vec<usize> = points.seen.iter().chain(head).copied().collect();
        let axes = points.space.axes(AXES);
        let near = near(&gallery.features, &items, &known, &axes, near_duplicate);
        let is_trained = |place: &usize| *place < points.seen.len();
        let copied: BTreeSet<usize> = (items.iter().zip(&near))
            .filter(|(_, found)| found.iter().any(is_trained))
            .map(|(item, _)| *item)
            .collect();
        let was_seen = |item: &usize| trained.contains(item) || copied.contains(item);
        let (seen, unseen): (Vec<usize>, Vec<usize>) = rest.iter().copied().partition(was_seen);
        let unseen_too = tested + unseen.len();
        let shelved = [head, &unseen, &seen].concat();
        let place: BTreeMap<usize, usize> = shelved.iter().copied().zip(0..).collect();
        let mut duplicates = vec![Vec::new(); tested];
        let of_tested = |place: usize| place.checked_sub(points.seen.len());
        for (item, found) in items.iter().zip(near) {
            let copy = place[item];
            for own in found
                .into_iter()
                .filter_map(of_tested)
                .filter(|own| *own != copy)
            {
                duplicates[own].push(copy);
            }
        }
        for found in &mut duplicates {
            found.sort_unstable();
        }
        Ok(Self {
            seen: shelved.iter().map(was_seen).collect(),
            items: shelved,
            tested,
            unseen: unseen_too,
            duplicates,
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

    /// Which of the shelf the stimulus of each response is.
    pub(super) fn stimuli(&self, rows: &[DecodedRow]) -> Vec<usize> {
        let tested = self.items.iter().take(self.tested).copied();
        let place: BTreeMap<usize, usize> = tested.zip(0..).collect();
        let own = |row: &DecodedRow| place.get(&row.stimulus).copied().unwrap_or_default();
        rows.iter().map(own).collect()
    }

    /// The place of one test stimulus among the items of `row`.
    fn own(&self, row: &[f32], own: usize) -> Result<Looked> {
        Ok(Looked {
            place: self.without(place(row, own)?, row, own),
            places: Vec::new(),
        })
    }

    /// The places of all test stimuli among the items of `row`, which were counted.
    fn looked(&self, places: &Places, row: &[f32], own: usize) -> Looked {
        let mut places = places.found();
        for (stimulus, place) in places.iter_mut().enumerate() {
            *place = self.without(*place, row, stimulus);
        }
        Looked {
            place: places[own],
            places,
        }
    }

    /// The place of a test stimulus whose near-duplicates do not compete with it.
    fn without(&self, place: Place, row: &[f32], own: usize) -> Place {
        let (mut nearer, mut equal, mut further) = (0, 0, 0);
        for copy in self.duplicates[own]
            .iter()
            .filter_map(|&copy| row.get(copy))
        {
            match copy.total_cmp(&row[own]) {
                std::cmp::Ordering::Greater => nearer += 1,
                std::cmp::Ordering::Equal => equal += 1,
                std::cmp::Ordering::Less => further += 1,
            }
        }
        place.without(nearer, equal, further)
    }

    /// Items by their components, and by those made level, brought to length 1.
    pub(super) fn placed(&self, points: &FoldPoints, gallery: &Gallery) -> [Vec<f32>; 2] {
        let level = points.space.level();
        let blocks: Vec<[Vec<f32>; 2]> = (self.items.par_chunks(PLACED))
            .map(|items| {
                let features = gallery.features.select(Axis(0), items);
                let placed = points.space.place(features.view());
                let unit = |rows: Array2<f64>| {
                    let rows = unit(rows.mapv(|value| value as f32));
                    rows.into_iter().collect()
                };
                let levelled = &placed * &level;
                [unit(placed), unit(levelled)]
            })
            .collect();
        [0, 1].map(|which| {
            let parts: Vec<&[f32]> = blocks.iter().map(|block| &block[which][..]).collect();
            parts.concat()
        })
    }
}

/// The items of a gallery, the test stimuli in the order shown first, and how many those are.
fn items(points: &FoldPoints, gallery: &Gallery, dataset: &Dataset) -> Result<(Vec<usize>, usize)> {
    let order = order_shown(dataset);
    let mut tested = points.tested.clone();
    tested.sort_by_key(|&stimulus| order[stimulus]);
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
    Ok((items, tested.len()))
}

/// An item near a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nearest {
    /// Among those of the shelf.
    pub(super) item: usize,
    pub(super) cosine: f32,
}

/// Where the picture of a response comes.
pub(super) struct Looked {
    pub(super) place: Place,
    /// Where each test stimulus does; empty where that was not asked.
    pub(super) places: Vec<Place>,
}

/// What was found for the responses of one decoder.
#[derive(Default)]
pub(super) struct LookedUp {
    /// Among all items.
    pub(super) all: Vec<Looked>,
    /// Among those that were not trained on; empty where none was.
    pub(super) unseen: Vec<Looked>,
    /// The first items of each response; none where that was not asked.
    pub(super) nearest: Vec<Vec<Nearest>>,
}

/// Looks points up among the items of a shelf. `named` is how many items are named for each, and asks for the places of all
/// test stimuli; without, the place of the right one is all that is found. `progress` is told of how many responses at a time.
///
/// # Errors
/// Points that are not finite.
pub(super) fn look_up(
    points: ArrayView2<'_, f32>,
    stimuli: &[usize],
    placed: &[f32],
    shelf: &Shelf,
    named: Option<usize>,
    mut progress: impl FnMut(usize),
) -> Result<LookedUp> {
    let width = points.ncols();
    let mut found = LookedUp::default();
    let count = shelf.items.len();
    let size = (COSINES / count.max(1)).clamp(16, 4096);
    for (block, stimuli) in points
        .axis_chunks_iter(Axis(0), size)
        .zip(stimuli.chunks(size))
    {
        let block: Vec<f32> = unit(block.to_owned()).into_iter().collect();
        let cosines = row_products(&block, placed, width);
        let rows: Vec<(Looked, Looked, Vec<Nearest>)> = (cosines.par_chunks_exact(count))
            .zip(stimuli)
            .map(|(row, &own)| {
                let Some(k) = named else {
                    return Ok((
                        shelf.own(row, own)?,
                        shelf.own(&row[..shelf.unseen], own)?,
                        Vec::new(),
                    ));
                };
                let mut places = Places::of(&row[..shelf.tested])?;
                places.count(&row[..shelf.unseen])?;
                let unseen = shelf.looked(&places, &row[..shelf.unseen], own);
                places.count(&row[shelf.unseen..])?;
                Ok((shelf.looked(&places, row, own), unseen, nearest(row, k)))
            })
            .collect::<Result<_>>()?;
        progress(rows.len());
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

/// The `k` items of the highest cosine, of equal ones those that come first.
fn nearest(row: &[f32], k: usize) -> Vec<Nearest> {
    let of = |item| Nearest {
        item,
        cosine: row[item],
    };
    highest(row, k).into_iter().map(of).collect()
}

/// Responses of one model for the statistics.
pub(super) fn responses(
    points: &FoldPoints,
    stimuli: &[usize],
    pool: usize,
    found: Vec<Looked>,
) -> Vec<Response> {
    let rows = points.rows.iter().zip(stimuli).zip(found);
    let response = |((row, &stimulus), looked): ((&DecodedRow, &usize), Looked)| Response {
        subject: row.subject,
        pool,
        stimulus,
        place: looked.place,
        places: looked.places,
    };
    rows.map(response).collect()
}

/// For each item of `a` the places of those of `b` whose features have a cosine above a bound with its own.
///
/// The squared distance of two rows of length 1 is 2 - 2 cos, and along some orthonormal axes they are no further apart:
/// what these tell apart is not compared as a whole.
fn near(
    features: &Array2<f32>,
    a: &[usize],
    b: &[usize],
    axes: &Array2<f32>,
    bound: f64,
) -> Vec<Vec<usize>> {
    let width = features.ncols();
    let whole =
        |rows: &[usize]| -> Vec<f32> { unit(features.select(Axis(0), rows)).into_iter().collect() };
    let count = axes.nrows().max(1);
    let axes: Vec<f32> = axes.iter().copied().collect();
    // Rows along the axes; of |x|² - 2x·y + |y|², what is their own.
    let along = |rows: &[usize]| -> Vec<(Vec<f32>, f32)> {
        let along = row_products(&whole(rows), &axes, width);
        let own = |row: &[f32]| {
            let square: f32 = row.iter().map(|value| value * value).sum();
            (row.to_vec(), square / 2.0)
        };
        along.chunks_exact(count).map(own).collect()
    };
    let beside = |(row, last): (Vec<f32>, f32)| row.into_iter().chain([last]);
    let parts: Vec<Vec<(Vec<f32>, f32)>> = b.par_chunks(PLACED).map(along).collect();
    let right = parts.into_iter().flatten();
    let right: Vec<f32> = right
        .flat_map(|(row, square)| beside((row, -square)))
        .collect();
    // With room for what is rounded.
    let reach = (1.0 - bound) as f32 + 5e-5;
    let of_block = |items: &[usize]| -> Vec<Vec<usize>> {
        let along = along(items);
        let squares: Vec<f32> = along.iter().map(|(_, square)| *square).collect();
        let left: Vec<f32> = along
            .into_iter()
            .flat_map(|(row, _)| beside((row, 1.0)))
            .collect();
        let products = row_products(&left, &right, count + 1);
        let (mut close, mut rows) = (BTreeSet::new(), Vec::new());
        for ((row, products), square) in products
            .chunks_exact(b.len().max(1))
            .enumerate()
            .zip(squares)
        {
            let mut found = above(products, square - reach).peekable();
            if found.peek().is_some() {
                rows.push(row);
            }
            close.extend(found);
        }
        let close: Vec<usize> = close.into_iter().collect();
        let chosen = |of: &[usize], places: &[usize]| -> Vec<f32> {
            whole(&places.iter().map(|&place| of[place]).collect::<Vec<_>>())
        };
        let cosines = row_products(&chosen(items, &rows), &chosen(b, &close), width);
        let mut near = vec![Vec::new(); items.len()];
        for (row, cosines) in rows
            .into_iter()
            .zip(cosines.chunks_exact(close.len().max(1)))
        {
            let pairs = close.iter().zip(cosines);
            let found = pairs.filter(|(_, cosine)| f64::from(**cosine) > bound);
            near[row] = found.map(|(place, _)| *place).collect();
        }
        near
    };
    a.par_chunks(TOGETHER).flat_map_iter(of_block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not compared as a whole is near nothing: as if all were.
    #[test]
    fn near_rows_are_found_along_a_few_axes_too() {
        let value = |row: usize, column: usize| {
            ((row * 131 + column * 37 + row * column) % 97) as f32 - 40.0
        };
        // The last 60 rows are earlier ones, nearly, or along the axes alone.
        let features = Array2::from_shape_fn((1060, 200), |(row, column)| {
            let of = row.saturating_sub(1000);
            match (row < 1000, of % 4) {
                (true, _) => value(row, column),
                (_, 0) => value(2 * of, column),
                (_, 1) => value(2 * of, column) + 4.0 * ((column % 5) as f32 - 2.0),
                (_, 2) if column < 32 => value(2 * of, column),
                _ => value(7 * of + 1000, column),
            }
        });
        let axes = Array2::from_shape_fn((32, 200), |(axis, column)| f32::from(axis == column));
        let (a, b): (Vec<usize>, Vec<usize>) = ((0..1000).collect(), (1000..1060).collect());
        let rows = unit(features.clone());
        for above in [0.5, 0.9, 0.98] {
            let found = near(&features, &a, &b, &axes, above);
            let cosine = |row: usize, other: usize| -> f64 {
                let pairs = rows.row(row).into_iter().zip(rows.row(1000 + other));
                pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let all = |row: usize| -> Vec<usize> {
                let others = (0..60).filter(|&other| cosine(row, other) > above);
                others.collect()
            };
            assert_eq!(found, (0..1000).map(all).collect::<Vec<_>>(), "{above}");
            assert!(found.iter().map(Vec::len).sum::<usize>() >= 15);
        }
        let none = near(&features, &a, &[], &axes, 0.9);
        assert_eq!(none, vec![Vec::<usize>::new(); 1000]);
    }
}
