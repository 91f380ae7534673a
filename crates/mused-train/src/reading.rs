//! What a model reads of regions where the configuration leaves it to the data.

use std::collections::BTreeSet;

use mused_data::{Arrangement, Dataset, FeatureSet, Guidance, Kind, Level};
use mused_run::{AlignedInputs, Config, EACH, Family, Identity, Onto, Reading, Trials};

use crate::{Error, Result};

/// Settles `model.inputs = "auto"` by the facts of a dataset. Returns what regions are mapped onto and why, where they
/// are.
///
/// # Errors
/// Inputs that this model or these data cannot have, with what would do.
pub(crate) fn settle(config: &mut Config, dataset: &Dataset) -> Result<Option<AlignedInputs>> {
    let asked = config.model.inputs.inputs;
    if asked == Reading::Voxels {
        return Ok(None);
    }
    let why_not = unaligned(config, dataset);
    let (onto, because) = match (asked.onto(), why_not) {
        (None, Some(_)) => {
            config.model.inputs.inputs = Reading::Voxels;
            return Ok(None);
        }
        (Some(onto), Some(reason)) => {
            return Err(Error::Request(format!(
                "model.inputs is \"{onto}\", but {reason}: model.inputs = \"voxels\" reads them as they are"
            )));
        }
        (None, None) => chosen(config, dataset)?,
        (Some(onto), None) => (onto, "the configuration says so"),
    };
    let guide = match onto.guidance {
        true => guidance(config, dataset)?,
        false => None,
    };
    if onto.guidance && guide.is_none() {
        return Err(Error::Request(format!(
            "model.inputs is \"{onto}\", but no feature set guides the high level (guidance.high): make features (mused \
             features), or align by labels or consensus"
        )));
    }
    let held_out = config.split.holdout_subject.as_str();
    if ![EACH, ""].contains(&held_out) {
        dataset.subject(held_out)?;
    }
    if !held_out.is_empty() && config.split.calibration == Trials::None {
        return Err(Error::Request(
            "a subject left out (split.holdout_subject) cannot be read without any trial of its own: voxels lie in a space \
             of each subject's own, and what they mean is learned from trials with labels. Give it some (--set \
             split.calibration=20: training stimuli, never test ones), or adapt a run to it later (mused adapt). --model \
             procrustes-ridge and srm-ridge need its responses to training stimuli, not their labels. In a common space \
             (atlas regions of one value, similarity profiles) every model can"
                .to_owned(),
        ));
    }
    if !held_out.is_empty() && (onto.consensus || onto.stimuli) {
        return Err(Error::Request(format!(
            "model.inputs is \"{onto}\", but a subject left out is mapped alone, without the responses of others: align by \
             guidance or labels"
        )));
    }
    config.model.inputs.inputs = Reading::Aligned(onto);
    Ok(Some(AlignedInputs {
        onto,
        guidance: guide.map(|features| features.name.clone()),
        because: because.to_owned(),
    }))
}

/// Why regions cannot or need not be mapped onto anything.
fn unaligned(config: &Config, dataset: &Dataset) -> Option<&'static str> {
    let shared = match &config.model.family {
        Family::Transformer(model) => model.subjects != Identity::Separate,
        _ => false,
    };
    let asked = config.model.inputs.inputs != Reading::Auto;
    let arrangement = config.arrangement(dataset.description.kind);
    match arrangement {
        Arrangement::Grid { .. } | Arrangement::Patches { .. } => {
            Some("responses are read as a volume, not by regions")
        }
        Arrangement::Components { .. } => {
            Some("regions are read as principal components (model.roi_components)")
        }
        Arrangement::Regions if dataset.profiles() => {
            Some("similarity profiles lie in one space already")
        }
        Arrangement::Regions if asked => None,
        Arrangement::Regions if !shared => Some("subjects share no network over regions"),
        Arrangement::Regions if dataset.shares_space() && !worth_aligning(config, dataset) => {
            Some("subjects share one space")
        }
        Arrangement::Regions if has_few_groups(config, dataset) => {
            Some("there are too few groups of stimuli")
        }
        Arrangement::Regions => None,
    }
}

/// Most voxels of a subject whose volumes are mapped: maps hold them all in memory.
const MOST_VOXELS: usize = 60_000;

/// Whether volumes of one grid are mapped all the same: anatomy is shared there, what voxels do hardly is. A subject left
/// out without any trial can only be read by place.
fn worth_aligning(config: &Config, dataset: &Dataset) -> bool {
    let unseen =
        !config.split.holdout_subject.is_empty() && config.split.calibration == Trials::None;
    let voxels = dataset.subjects.iter().map(|subject| subject.voxels.len());
    dataset.description.kind == Kind::Volume && !unseen && voxels.max() <= Some(MOST_VOXELS)
}

/// Whether there are fewer groups than a part to be mapped, one to fit the map on, and one to test need.
fn has_few_groups(config: &Config, dataset: &Dataset) -> bool {
    let groups = |stimuli: &[usize]| {
        let names = stimuli
            .iter()
            .map(|&stimulus| dataset.stimuli[stimulus].group.as_str());
        names.collect::<BTreeSet<_>>().len()
    };
    let everything: Vec<usize> = (0..dataset.stimuli.len()).collect();
    // Whatever is wrong with the folds is said where they are needed.
    let folds = config.split_plan().folds(dataset).unwrap_or_default();
    groups(&everything) < 4 || folds.iter().any(|fold| groups(&fold.train) < 2)
}

fn chosen(config: &Config, dataset: &Dataset) -> Result<(Onto, &'static str)> {
    let labels = Onto {
        labels: true,
        ..Onto::default()
    };
    let volumes = dataset.description.kind == Kind::Volume;
    if guidance(config, dataset)?.is_some() {
        let because = match volumes {
            true => {
                "volumes share a grid and hardly what voxels do, and the dataset has guidance features"
            }
            false => {
                "subjects have voxel spaces of their own, and the dataset has guidance features"
            }
        };
        let onto = Onto {
            guidance: true,
            ..labels
        };
        return Ok((onto, because));
    }
    let because = match volumes {
        true => {
            "volumes share a grid and hardly what voxels do, and the dataset has no guidance features"
        }
        false => {
            "subjects have voxel spaces of their own, and the dataset has no guidance features"
        }
    };
    Ok((labels, because))
}

/// The feature set whose geometry subjects are aligned by.
fn guidance<'d>(config: &Config, dataset: &'d Dataset) -> Result<Option<&'d FeatureSet>> {
    Ok(Guidance::choose(
        dataset,
        Level::High,
        &config.guidance.high,
    )?)
}
