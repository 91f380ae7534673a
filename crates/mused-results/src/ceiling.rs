//! What noise leaves to a perfect model, from the run's dataset.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mused_data::{Dataset, mean_responses, samples};
use mused_run::{GeometryCeiling, NoiseCeiling, Predictions, Stated};
use mused_stats::ceiling::{RdmCeiling, rdm_ceiling, voxel_ceiling};
use mused_stats::rdm::pearson_rdm;
use mused_stats::summary::mean;
use mused_stats::{Unavailable, evenly};
use ndarray::{Array2, Axis};

use crate::Result;

/// Voxels of a subject whose ceilings are averaged: as many, evenly chosen.
const VOXELS: usize = 500;
/// Test stimuli of the RDMs: at most as many, evenly chosen.
const STIMULI: usize = 100;

/// Without its dataset, or where that is another one now, a run has none.
pub(crate) fn unknown(reason: &str) -> NoiseCeiling {
    NoiseCeiling {
        scores: no_formula(),
        responses: BTreeMap::new(),
        geometry: Stated::because(reason),
    }
}

pub(crate) fn noise_ceiling(dataset: &Dataset, predictions: &Predictions) -> Result<NoiseCeiling> {
    let mut responses = BTreeMap::new();
    let mut tested = Vec::new();
    for (id, rows) in predictions.rows_by_subject() {
        let subject = dataset.subject(&id)?;
        responses.insert(id, repeats(dataset, subject)?);
        let stimuli = rows.into_iter().map(|row| predictions.keys[row].1.clone());
        tested.push((subject, stimuli.collect::<BTreeSet<String>>()));
    }
    Ok(NoiseCeiling {
        scores: no_formula(),
        responses,
        geometry: geometry(dataset, &tested)?,
    })
}

fn no_formula<T>() -> Stated<T> {
    Stated::because("no formula gives the noise ceiling of a decoder's scores")
}

/// Mean ceiling of a subject's voxels.
fn repeats(dataset: &Dataset, subject: usize) -> Result<Stated<f64>> {
    let subject = &dataset.subjects[subject];
    let stimuli: Vec<usize> = subject.trials.iter().map(|trial| trial.stimulus).collect();
    let different: BTreeSet<&usize> = stimuli.iter().collect();
    if different.len() == stimuli.len() {
        return Ok(Stated::because(&Unavailable::NoRepeats.to_string()));
    }
    let voxels: Vec<usize> = evenly(subject.voxels.len(), VOXELS).collect();
    let mut responses = Array2::zeros((stimuli.len(), voxels.len()));
    let mut row = vec![0.0_f32; subject.voxels.len()];
    for (trial, mut chosen) in responses.axis_iter_mut(Axis(0)).enumerate() {
        subject.read_response(trial, &mut row)?;
        for (value, &voxel) in chosen.iter_mut().zip(&voxels) {
            *value = f64::from(row[voxel]);
        }
    }
    let ceilings = voxel_ceiling(responses.view(), &stimuli)?;
    let known: Vec<f64> = ceilings.iter().filter_map(|ceiling| ceiling.ok()).collect();
    let reason = ceilings.iter().find_map(|ceiling| ceiling.err());
    Ok(match (mean(&known), reason) {
        (Some(mean), _) => Stated::Value(mean),
        (None, reason) => Stated::because(&reason.unwrap_or(Unavailable::NoVariation).to_string()),
    })
}

fn geometry(
    dataset: &Dataset,
    tested: &[(usize, BTreeSet<String>)],
) -> Result<Stated<GeometryCeiling>> {
    let mut each = tested.iter().map(|(_, stimuli)| stimuli);
    let first = each.next().cloned().unwrap_or_default();
    let common: Vec<String> = each
        .fold(first, |common, own| &common & own)
        .into_iter()
        .collect();
    let places: HashMap<&str, usize> = (dataset.stimuli.iter().map(|s| s.id.as_str()))
        .zip(0..)
        .collect();
    let mut stimuli: Vec<usize> = evenly(common.len(), STIMULI)
        .filter_map(|at| places.get(common[at].as_str()).copied())
        .collect();
    stimuli.sort_unstable();
    if stimuli.len() < 3 {
        return Ok(Stated::because(&format!(
            "all subjects were tested on {} of the same stimuli; three are needed",
            stimuli.len()
        )));
    }
    let mut rdms = Vec::with_capacity(tested.len());
    for (subject, _) in tested {
        let columns: Vec<usize> = (0..dataset.subjects[*subject].voxels.len()).collect();
        let shown = samples(dataset, &[*subject], &stimuli);
        let responses = mean_responses(dataset, &shown, &columns)?;
        match pearson_rdm(responses.view()) {
            Ok(rdm) => rdms.push(rdm),
            Err(error) => return Ok(Stated::because(&error.to_string())),
        }
    }
    let ceiling = rdm_ceiling(&rdms)?;
    Ok(Stated::of(ceiling, |RdmCeiling { lower, upper }| {
        GeometryCeiling {
            lower,
            upper,
            stimuli: stimuli.len(),
        }
    }))
}
