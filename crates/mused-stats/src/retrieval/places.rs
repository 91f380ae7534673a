//! Where items come among the similarities of a whole gallery.

use ndarray::Array2;

use crate::{Error, Result};

/// Values that are passed over together where none of them counts.
const PASSED: usize = 64;

/// How many items are nearer than an item, of those that it competes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Nearer ones.
    pub nearer: u32,
    /// Others exactly as near.
    pub equal: u32,
    /// Items it competes with.
    pub others: u32,
}

impl Place {
    /// From 1; ties count half.
    pub fn rank(self) -> f64 {
        1.0 + f64::from(self.nearer) + 0.5 * f64::from(self.equal)
    }

    /// Probability of being among the first `k`, ties broken at random.
    pub fn within(self, k: u32) -> f64 {
        let left = f64::from(k) - f64::from(self.nearer);
        (left / f64::from(self.equal + 1)).clamp(0.0, 1.0)
    }

    /// Share of the others that it is told from; one half where there is none.
    pub fn pairwise(self) -> f64 {
        match self.others {
            0 => 0.5,
            others => 1.0 - (self.rank() - 1.0) / f64::from(others),
        }
    }

    /// The place where others that are `nearer`, `equal` or further away do not compete.
    #[must_use]
    pub fn without(self, nearer: u32, equal: u32, further: u32) -> Self {
        Self {
            nearer: self.nearer.saturating_sub(nearer),
            equal: self.equal.saturating_sub(equal),
            others: self.others.saturating_sub(nearer + equal + further),
        }
    }
}

/// The place that an item of a gallery has, given the similarities of every item to one response.
///
/// # Errors
/// An item outside of the gallery; a similarity that is not finite.
pub fn place(similarities: &[f32], item: usize) -> Result<Place> {
    finite(similarities)?;
    let own = *similarities.get(item).ok_or_else(|| Error::Shape {
        what: "items of the gallery",
        expected: vec![similarities.len()],
        found: vec![item],
    })?;
    let count = |is: fn(f32, f32) -> bool| -> u32 {
        let found = similarities.iter().map(|value| u32::from(is(*value, own)));
        found.sum()
    };
    Ok(Place {
        nearer: count(|value, own| value > own),
        equal: count(|value, own| value == own).saturating_sub(1),
        others: similarities.len().saturating_sub(1) as u32,
    })
}

fn finite(similarities: &[f32]) -> Result<()> {
    // All of them, without an end before the last: many at once.
    let all = similarities
        .iter()
        .fold(true, |all, value| all & value.is_finite());
    match similarities
        .iter()
        .position(|value| !all && !value.is_finite())
    {
        None => Ok(()),
        Some(row) => Err(Error::NotFinite {
            what: "similarities",
            index: vec![row],
            found: f64::from(similarities[row]),
        }),
    }
}

/// The places of many items of a gallery, which is counted a part at a time. Time grows with the gallery, hardly with the
/// items.
#[derive(Clone, Debug)]
pub struct Places {
    /// Similarities of the items, ascending; and where each item's first one stands there.
    sorted: Vec<f32>,
    first: Vec<usize>,
    drawers: Drawers,
    /// Of what was counted: how much is above the first n of those, and not above more; and how much is as high as one.
    above: Vec<u32>,
    as_high: Vec<u32>,
    counted: u32,
}

impl Places {
    /// Of items of these similarities.
    ///
    /// # Errors
    /// A similarity that is not finite.
    pub fn of(items: &[f32]) -> Result<Self> {
        finite(items)?;
        let mut sorted = items.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let first = |item: &f32| sorted.partition_point(|own| own < item);
        Ok(Self {
            first: items.iter().map(first).collect(),
            drawers: Drawers::of(&sorted),
            above: vec![0; sorted.len() + 1],
            as_high: vec![0; sorted.len() + 1],
            counted: 0,
            sorted,
        })
    }

    /// Counts a part of the gallery; the items themselves are a part of it.
    ///
    /// # Errors
    /// A similarity that is not finite.
    pub fn count(&mut self, similarities: &[f32]) -> Result<()> {
        finite(similarities)?;
        for &value in similarities {
            let (from, to) = self.drawers.range(value);
            if from == to {
                self.above[from] += 1;
                continue;
            }
            let below = from + self.sorted[from..to].partition_point(|own| *own < value);
            self.above[below] += 1;
            self.as_high[below] += u32::from(self.sorted.get(below) == Some(&value));
        }
        self.counted += similarities.len() as u32;
        Ok(())
    }

    /// The place of each item among all that was counted.
    pub fn found(&self) -> Vec<Place> {
        let mut nearer = vec![0_u32; self.sorted.len()];
        let mut sum = 0;
        for (nearer, above) in nearer.iter_mut().zip(self.above.iter().skip(1)).rev() {
            sum += above;
            *nearer = sum;
        }
        let place = |&first: &usize| Place {
            nearer: nearer[first],
            equal: self.as_high[first].saturating_sub(1),
            others: self.counted.saturating_sub(1),
        };
        self.first.iter().map(place).collect()
    }
}

/// Where a value stands among sorted ones: most lie in a drawer that holds none of those.
#[derive(Clone, Debug)]
struct Drawers {
    low: f32,
    per_value: f32,
    /// Of each drawer, how many sorted values lie in those before it; at last all.
    before: Vec<u32>,
}

impl Drawers {
    /// About sixteen drawers a value.
    fn of(sorted: &[f32]) -> Self {
        let (low, high) = match sorted {
            [low, .., high] => (*low, *high),
            _ => (0.0, 0.0),
        };
        let count = 16 * sorted.len() + 1;
        let width = high - low;
        let mut drawers = Self {
            low,
            per_value: if width > 0.0 {
                count as f32 / width
            } else {
                0.0
            },
            before: vec![0; count + 1],
        };
        for value in sorted {
            let own = drawers.drawer(*value);
            drawers.before[own] += 1;
        }
        let mut sum = 0;
        for own in &mut drawers.before {
            sum += std::mem::replace(own, sum);
        }
        drawers
    }

    /// Of a larger value the same or a later one.
    fn drawer(&self, value: f32) -> usize {
        let place = ((value - self.low) * self.per_value) as u32 as usize;
        place.min(self.before.len() - 2)
    }

    /// From which to which place the sorted values of a value's drawer lie.
    fn range(&self, value: f32) -> (usize, usize) {
        let drawer = self.drawer(value);
        (
            self.before[drawer] as usize,
            self.before[drawer + 1] as usize,
        )
    }
}

/// The items of the `k` highest similarities, of equal ones those that come first.
pub fn highest(similarities: &[f32], k: usize) -> Vec<usize> {
    let mut found: Vec<(usize, f32)> = Vec::with_capacity(k + 1);
    let last = |found: &[(usize, f32)]| match found.len() < k {
        true => f32::NEG_INFINITY,
        false => found.last().map_or(f32::INFINITY, |last| last.1),
    };
    for (part, values) in similarities.chunks(PASSED).enumerate() {
        let higher = |a: f32, b: &f32| if *b > a { *b } else { a };
        if values.iter().fold(f32::NEG_INFINITY, higher) <= last(&found) {
            continue;
        }
        for (place, &value) in values.iter().enumerate() {
            if value > last(&found) {
                let at = found.partition_point(|earlier| earlier.1 >= value);
                found.insert(at, (part * PASSED + place, value));
                found.truncate(k);
            }
        }
    }
    found.into_iter().map(|(item, _)| item).collect()
}

/// Which similarities are above a bound.
pub fn above(similarities: &[f32], bound: f32) -> impl Iterator<Item = usize> {
    let parts = similarities.chunks(PASSED).enumerate();
    let some = parts.filter(move |(_, values)| {
        let any = |any, value: &f32| any | (*value > bound);
        values.iter().fold(false, any)
    });
    some.flat_map(move |(part, values)| {
        let found = values
            .iter()
            .enumerate()
            .filter(move |(_, value)| **value > bound);
        found.map(move |(place, _)| part * PASSED + place)
    })
}

/// Rows of length 1; those of zeros stay zeros.
pub fn unit(mut rows: Array2<f32>) -> Array2<f32> {
    for mut row in rows.rows_mut() {
        let squares = row.iter().map(|value| f64::from(*value).powi(2));
        let length = squares.sum::<f64>().sqrt();
        if length > 0.0 {
            row.mapv_inplace(|value| (f64::from(value) / length) as f32);
        }
    }
    rows
}
