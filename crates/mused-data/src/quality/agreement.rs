//! Whether a subject's representational geometry agrees with the others'.

use std::collections::BTreeSet;

use mused_stats::evenly;
use mused_stats::rdm::{condensed, pearson_rdm, spearman};
use mused_stats::summary::median;
use ndarray::{Array2, Axis};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Key, Measure, Outlier, VOXELS};
use crate::{Dataset, Error, Result, Subject, mean_responses, samples};

/// Stimuli of the geometries that are compared: at most as many, evenly chosen.
const STIMULI: usize = 60;
/// Exchanges of stimuli against which agreement with the others is held.
const EXCHANGES: usize = 199;

/// How a subject's geometry agrees with the others'.
pub(super) struct Agreement {
    pub(super) value: f64,
    /// Against exchanged stimuli.
    p: f64,
}

/// Of every subject; none with fewer than three of them or ten stimuli that all saw.
pub(super) fn agreements(dataset: &Dataset) -> Result<Vec<Agreement>> {
    let seen = |subject: &Subject| -> BTreeSet<usize> {
        subject.trials.iter().map(|trial| trial.stimulus).collect()
    };
    let common = dataset
        .subjects
        .iter()
        .map(seen)
        .reduce(|all, own| &all & &own);
    let common: Vec<usize> = common.unwrap_or_default().into_iter().collect();
    if dataset.subjects.len() < 3 || common.len() < 10 || dataset.profiles() {
        return Ok(Vec::new());
    }
    let stimuli: Vec<usize> = evenly(common.len(), STIMULI).map(|at| common[at]).collect();
    let mut rdms = Vec::with_capacity(dataset.subjects.len());
    for (index, subject) in dataset.subjects.iter().enumerate() {
        let voxels: Vec<usize> = evenly(subject.voxels.len(), VOXELS).collect();
        let responses = mean_responses(dataset, &samples(dataset, &[index], &stimuli), &voxels)?;
        match pearson_rdm(responses.view()) {
            Ok(rdm) => rdms.push(rdm),
            // One voxel, or a stimulus to which all voxels answer alike: nothing to compare.
            Err(_) => return Ok(Vec::new()),
        }
    }
    let total = rdms
        .iter()
        .fold(Array2::zeros(rdms[0].dim()), |sum, rdm| sum + rdm);
    let mut order: Vec<usize> = (0..stimuli.len()).collect();
    let mut found = Vec::with_capacity(rdms.len());
    for rdm in &rdms {
        let others = &total - rdm;
        let agree = |rdm: &Array2<f64>| -> Result<f64> {
            let found = condensed(others.view())
                .and_then(|others| spearman(&condensed(rdm.view())?, &others));
            let found = found.map_err(|error| Error::Request(error.to_string()))?;
            Ok(found.unwrap_or(0.0))
        };
        let value = agree(rdm)?;
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut as_high = 1;
        for _ in 0..EXCHANGES {
            order.shuffle(&mut rng);
            let exchanged = rdm.select(Axis(0), &order).select(Axis(1), &order);
            as_high += usize::from(agree(&exchanged)? >= value);
        }
        let p = as_high as f64 / (1 + EXCHANGES) as f64;
        found.push(Agreement { value, p });
    }
    Ok(found)
}

/// Who agrees with nobody where everybody else surely does, and thrice as much: few subjects leave no other rule, and of
/// many somebody is always weak.
pub(super) fn strangers(keys: &[Key], agreements: &[Agreement]) -> Vec<Outlier> {
    let mut strangers = Vec::new();
    for (index, (found, (subject, run))) in agreements.iter().zip(keys).enumerate() {
        let others = agreements
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let others: Vec<&Agreement> = others.map(|(_, agreement)| agreement).collect();
        let values: Vec<f64> = others.iter().map(|other| other.value).collect();
        let Some(middle) = median(&values) else {
            continue;
        };
        let sure = others.iter().all(|other| other.p <= 0.01);
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let apart = found.value < lowest / 3.0 && Measure::Agreement.matters(found.value, middle);
        if found.p > 0.05 && sure && apart {
            strangers.push(Outlier {
                subject: subject.clone(),
                run: *run,
                measure: Measure::Agreement,
                value: found.value,
                others: middle,
            });
        }
    }
    strangers
}
