//! Noise ceilings: how well a perfect model could do on data this noisy.
//!
//! [`voxel_ceiling`] bounds models that predict responses, from repeats of stimuli. [`rdm_ceiling`] bounds models that
//! predict RDMs, from other subjects. Neither bounds the score of a decoder of labels: noise in the responses limits
//! it in a way that depends on all voxels together, and no formula for it is known to us.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2};

use crate::moments::varies;
use crate::rdm::{average_ranks, check_rdm, condensed, spearman};
use crate::{Answer, Error, Result, Unavailable, summary};

/// Explainable variance of each voxel's mean response, 0 to 1: the noise ceiling of Allen et al. (2022, "Noise ceiling
/// estimation"), r² rather than per cent.
///
/// `responses` is \[trials, voxels\], `stimulus` has one entry a trial. The noise variance is that of repeats within a
/// stimulus, pooled over stimuli with repeats; the signal variance is what the variance over all trials has above it;
/// the ceiling is signal / (signal + noise · mean of 1/n), n the number of trials averaged for each stimulus. For
/// equal numbers of repeats these are the paper's formulas; it takes the variance over trials for 1 because its betas
/// are z-scored. A signal variance below 0 counts as 0. Pearson's r cannot be expected above the square root.
///
/// No voxel has an answer where no stimulus was repeated or where all trials show the same one; a voxel that never
/// varies has none.
///
/// # Errors
/// Numbers of trials that differ, no trial, a value that is not finite.
pub fn voxel_ceiling(responses: ArrayView2<f64>, stimulus: &[usize]) -> Result<Vec<Answer<f64>>> {
    let trials = responses.nrows();
    if stimulus.len() != trials {
        return Err(Error::Shape {
            what: "stimuli",
            expected: vec![trials],
            found: vec![stimulus.len()],
        });
    }
    if trials == 0 {
        return Err(Error::Empty {
            what: "responses",
            found: responses.shape().to_vec(),
        });
    }
    if let Some(((row, column), found)) = responses
        .indexed_iter()
        .find(|(_, value)| !value.is_finite())
    {
        return Err(Error::NotFinite {
            what: "responses",
            index: vec![row, column],
            found: *found,
        });
    }
    let mut repeats: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (trial, &stimulus) in stimulus.iter().enumerate() {
        repeats.entry(stimulus).or_default().push(trial);
    }
    let stimuli = repeats.len();
    let mean_inverse = repeats
        .values()
        .map(|trials| 1.0 / trials.len() as f64)
        .sum::<f64>()
        / stimuli as f64;
    let ceiling = |voxel: usize| {
        if stimuli == trials {
            return Err(Unavailable::NoRepeats);
        }
        if stimuli < 2 {
            return Err(Unavailable::OneGroup);
        }
        let all = summary::sample_sd(&responses.column(voxel).to_vec())
            .unwrap_or(0.0)
            .powi(2);
        let within: f64 = repeats
            .values()
            .map(|trials| {
                let values: Vec<f64> = trials
                    .iter()
                    .map(|&trial| responses[[trial, voxel]])
                    .collect();
                let variance = summary::sample_sd(&values).unwrap_or(0.0).powi(2);
                variance * (values.len() - 1) as f64
            })
            .sum();
        let noise = within / (trials - stimuli) as f64;
        let signal = (all - noise).max(0.0);
        let mean = responses.column(voxel).mean().unwrap_or(0.0);
        match varies(mean, all.sqrt()) {
            true => Ok(signal / (signal + noise * mean_inverse)),
            false => Err(Unavailable::NoVariation),
        }
    };
    Ok((0..responses.ncols()).map(ceiling).collect())
}

/// Reliability of a measurement `times` as long as one of reliability `r`, such as 2 for a correlation of two halves
/// (Spearman 1910; Brown 1910). `None` for an `r` of 0 or less, which is no reliability.
pub fn spearman_brown(r: f64, times: f64) -> Option<f64> {
    (r > 0.0 && r <= 1.0 && times > 0.0).then(|| times * r / (1.0 + (times - 1.0) * r))
}

/// Between which values the mean Spearman correlation of a perfect model with the subjects' RDMs lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RdmCeiling {
    /// Mean correlation of each subject with the mean of the others: a model that knows them reaches it.
    pub lower: f64,
    /// Mean correlation of each subject with the mean of all, itself included: no model has a higher one.
    pub upper: f64,
}

/// The noise ceiling of Nili et al. (2014) for `rdms`, one a subject, \[items, items\]; RDMs are rank-transformed before
/// they are averaged.
///
/// # Errors
/// Shapes that differ, fewer than three items, a value that is not finite, an RDM that is not symmetric within 1e-4.
pub fn rdm_ceiling(rdms: &[Array2<f64>]) -> Result<Answer<RdmCeiling>> {
    let mut ranks: Vec<Vec<f64>> = Vec::with_capacity(rdms.len());
    for rdm in rdms {
        check_rdm(rdm.view(), 1e-4)?;
        if rdm.dim() != rdms[0].dim() {
            return Err(Error::Shape {
                what: "RDM",
                expected: rdms[0].shape().to_vec(),
                found: rdm.shape().to_vec(),
            });
        }
        if rdm.nrows() < 3 {
            return Err(Error::Empty {
                what: "RDMs of three items or more",
                found: rdm.shape().to_vec(),
            });
        }
        ranks.push(average_ranks(&condensed(rdm.view())?));
    }
    if ranks.len() < 2 {
        return Ok(Err(Unavailable::OneSubject));
    }
    let pairs = ranks[0].len();
    let sum: Vec<f64> = (0..pairs)
        .map(|pair| ranks.iter().map(|ranks| ranks[pair]).sum())
        .collect();
    let (mut lower, mut upper) = (Vec::new(), Vec::new());
    for own in &ranks {
        let others: Vec<f64> = sum.iter().zip(own).map(|(sum, own)| sum - own).collect();
        lower.extend(spearman(own, &others)?);
        upper.extend(spearman(own, &sum)?);
    }
    // A correlation is missing where the RDM or a mean of RDMs is constant.
    let complete = lower.len() == ranks.len() && upper.len() == ranks.len();
    let bounds = summary::mean(&lower)
        .zip(summary::mean(&upper))
        .filter(|_| complete);
    Ok(bounds
        .map(|(lower, upper)| RdmCeiling { lower, upper })
        .ok_or(Unavailable::NoVariation))
}
