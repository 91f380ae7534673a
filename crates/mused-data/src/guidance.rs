use std::ops::RangeInclusive;

use ndarray::{Array2, Axis};

use crate::{Dataset, Error, FeatureSet, Level, Result};

/// The stimulus geometry one token is pulled towards.
#[derive(Clone, Debug, PartialEq)]
pub enum Guidance {
    /// stimuli × features; a batch's RDM is computed from its rows.
    Features(Array2<f32>),
    /// stimuli × stimuli dissimilarities; a batch takes its rows and columns.
    Rdm(Array2<f32>),
}

/// [`Guidance`] of the stimuli of one batch.
#[derive(Clone, Debug, PartialEq)]
pub enum GuidanceTarget {
    /// batch × features.
    Features(Array2<f32>),
    /// batch × batch.
    Rdm(Array2<f32>),
}

impl Guidance {
    /// The feature set that guides a level. `choice` is the name of one, `auto` for the one whose `feature.json` names
    /// the level (none if there is none), or `none`.
    ///
    /// # Errors
    /// When the choice does not exist, or `auto` is ambiguous.
    pub fn choose<'d>(
        dataset: &'d Dataset,
        level: Level,
        choice: &str,
    ) -> Result<Option<&'d FeatureSet>> {
        let named: Vec<&FeatureSet> = match choice {
            "none" => return Ok(None),
            "auto" => dataset
                .features
                .iter()
                .filter(|f| f.level == Some(level))
                .collect(),
            name => dataset.features.iter().filter(|f| f.name == name).collect(),
        };
        let known = || {
            let names: Vec<&str> = dataset.features.iter().map(|f| f.name.as_str()).collect();
            names.join(", ")
        };
        match named.as_slice() {
            [] if choice == "auto" => Ok(None),
            [] => Err(Error::Request(format!(
                "no feature set {choice:?} in {}: it has [{}]; or write auto or none",
                dataset.description.name,
                known()
            ))),
            [features] => Ok(Some(features)),
            _ => Err(Error::Request(format!(
                "several feature sets guide the same level ([{}]): name one instead of auto",
                known()
            ))),
        }
    }

    /// Loads the guidance of a level, see [`Guidance::choose`].
    ///
    /// # Errors
    /// As there, or when the array cannot be read.
    pub fn load(dataset: &Dataset, level: Level, choice: &str) -> Result<Option<Self>> {
        let Some(features) = Self::choose(dataset, level, choice)? else {
            return Ok(None);
        };
        let array = dataset.read_features(features)?;
        Ok(Some(match features.is_rdm {
            true => Self::Rdm(array),
            false => Self::Features(of_usual_size(array)),
        }))
    }

    /// The rows (and columns) of the given stimuli.
    pub fn target(&self, stimuli: &[usize]) -> GuidanceTarget {
        match self {
            Self::Features(features) => GuidanceTarget::Features(features.select(Axis(0), stimuli)),
            Self::Rdm(rdm) => {
                GuidanceTarget::Rdm(rdm.select(Axis(0), stimuli).select(Axis(1), stimuli))
            }
        }
    }
}

/// Largest features that are compared as they are. The squares of larger ones overflow single precision; smaller ones
/// vanish beside the constant that keeps cosines finite.
const USUAL: RangeInclusive<f32> = 1e-3..=1e6;

/// The same features, where they are of another size multiplied by a power of two: no angle changes.
fn of_usual_size(features: Array2<f32>) -> Array2<f32> {
    let largest = features
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    if largest == 0.0 || USUAL.contains(&largest) {
        return features;
    }
    let factor = (-f64::from(largest).log2().ceil()).exp2();
    features.mapv(|value| (f64::from(value) * factor) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_stay_whatever_the_size() {
        let usual = ndarray::arr2(&[[1.0_f32, -3.5, 0.2], [900.0, 2e-4, 0.0]]);
        assert_eq!(of_usual_size(usual.clone()), usual);
        for power in [-100, -40, 40, 110] {
            let factor = f64::from(power).exp2();
            let other = usual.mapv(|value| (f64::from(value) * factor) as f32);
            let found = of_usual_size(other);
            // Whole powers of two: every bit but that of what is too small to matter.
            let most = found
                .iter()
                .fold(0.0_f32, |most, value| most.max(value.abs()));
            assert!((0.5..=1.0).contains(&most), "{found}");
            for (found, usual) in found.iter().zip(&usual) {
                assert!(
                    (found * 1024.0 - usual).abs() <= usual.abs() * 1e-6 + 1e-9,
                    "{power}"
                );
            }
        }
    }
}
