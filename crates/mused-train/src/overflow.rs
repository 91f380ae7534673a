//! Numbers that are no longer finite, and what most likely took them there.

use std::fmt;
use std::ops::RangeInclusive;

use mused_data::Guidance;
use mused_run::Config;
use ndarray::{Array2, ArrayView1};

use crate::Result;
use crate::fold_data::{FoldData, Guides};
use crate::sample_set::SampleSet;

/// Most samples whose inputs are looked at together.
const BATCH: usize = 256;

/// Largest input or dissimilarity that is not the likely cause of an overflow: both are near 1.
const USUAL: f32 = 1e6;

/// Largest inputs of a batch that a network can tell apart: below, its biases are all it sees; above, the squares in its
/// norms overflow, and norms make nothing of what is left.
const READABLE: RangeInclusive<f32> = 1e-6..=1e15;

/// Why training overflowed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// Responses are out of scale.
    Responses {
        /// Whose.
        subject: String,
        /// To what.
        stimulus: String,
        /// Largest input of that sample.
        largest: f32,
    },
    /// Guiding dissimilarities are out of scale.
    Guidance {
        /// The key that names them.
        key: &'static str,
        /// The largest.
        largest: f32,
    },
    /// Data are as usual: steps were too large.
    Rate {
        /// Learning rate of the step, or the highest; `None` of a model in closed form.
        learning_rate: Option<f64>,
        /// Largest input.
        inputs: f32,
    },
}

impl Cause {
    /// The cause in the data of a fold, the guidance that is in use, or else the learning rate.
    pub(crate) fn of(
        data: &FoldData<'_>,
        guides: &[(&'static str, &Guidance)],
        learning_rate: Option<f64>,
    ) -> Result<Self> {
        let mut inputs = 0.0;
        for set in [&data.train, &data.validation, &data.test] {
            let rows: Vec<usize> = (0..set.len()).collect();
            for chosen in rows.chunks(BATCH) {
                let (largest, cause) = largest_input(set, chosen, &set.inputs(chosen)?);
                if larger(largest, USUAL) {
                    return Ok(cause);
                }
                inputs = largest.max(inputs);
            }
        }
        for &(key, guide) in guides {
            // Features are compared by their angles, whatever their size.
            let Guidance::Rdm(values) = guide else {
                continue;
            };
            let largest = largest(values.iter());
            if larger(largest, USUAL) {
                return Ok(Self::Guidance { key, largest });
            }
        }
        Ok(Self::Rate {
            learning_rate,
            inputs,
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Responses {
                subject,
                stimulus,
                largest,
            } => write!(
                f,
                "inputs near 1 are expected, and those of subject {subject} for stimulus {stimulus} reach {largest:e}: \
                 look at these responses, z-score them (model.zscore=true), or import them in another scale"
            ),
            Self::Guidance { key, largest } => write!(
                f,
                "dissimilarities near 1 are expected, and those of {key} reach {largest:e}: divide them by that, or set \
                 {key}=none"
            ),
            Self::Rate {
                learning_rate: Some(rate),
                inputs,
            } => write!(
                f,
                "the inputs are as they should be (none above {inputs:.1}): try a lower train.learning_rate (now \
                 {rate:e}) or set train.gradient_clip"
            ),
            Self::Rate { inputs, .. } => write!(
                f,
                "the inputs are as they should be (none above {inputs:.1}): look for responses that hardly vary"
            ),
        }
    }
}

/// The guidance that a configuration makes use of, by its key.
pub(crate) fn in_use<'g>(config: &Config, guides: &'g Guides) -> Vec<(&'static str, &'g Guidance)> {
    let [high, low] = config.model.family.tokens();
    let both = [
        (
            "guidance.high",
            &guides.high,
            high && config.loss.high > 0.0,
        ),
        ("guidance.low", &guides.low, low && config.loss.low > 0.0),
    ];
    let used = both.into_iter().filter(|(.., used)| *used);
    used.filter_map(|(key, guide, _)| Some((key, guide.as_ref()?)))
        .collect()
}

/// Whether a size is above another one, or no number.
fn larger(size: f32, other: f32) -> bool {
    size.is_nan() || size > other
}

/// The cause, where the inputs of some samples are of a size that a network makes nothing of.
pub(crate) fn unreadable(
    set: &SampleSet<'_>,
    chosen: &[usize],
    inputs: &Array2<f32>,
) -> Option<Cause> {
    let (largest, cause) = largest_input(set, chosen, inputs);
    (largest != 0.0 && !READABLE.contains(&largest)).then_some(cause)
}

/// The largest of the inputs of some samples, and whose it is.
fn largest_input(set: &SampleSet<'_>, chosen: &[usize], inputs: &Array2<f32>) -> (f32, Cause) {
    let rows = chosen.iter().zip(inputs.rows());
    let size = |row: ArrayView1<'_, f32>| match row.as_slice() {
        Some(row) => largest(row.iter()),
        None => largest(row.iter()),
    };
    let sizes = rows.map(|(&sample, row)| (sample, size(row)));
    let (sample, largest) = sizes
        .reduce(|most, next| if larger(next.1, most.1) { next } else { most })
        .unwrap_or_default();
    let sample = &set.samples[sample];
    let cause = Cause::Responses {
        subject: set.subject(sample).to_owned(),
        stimulus: set.dataset().stimuli[sample.stimulus].id.clone(),
        largest,
    };
    (largest, cause)
}

/// The largest magnitude among values; NaN where one is no number.
fn largest<'v>(values: impl Iterator<Item = &'v f32>) -> f32 {
    // Sizes are in the order of their bits, NaN above all: whole numbers are compared many at a time.
    let bits = values.map(|value| value.abs().to_bits());
    f32::from_bits(bits.fold(0, u32::max))
}
