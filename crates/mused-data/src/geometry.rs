use std::collections::BTreeSet;

use mused_stats::rdm::{cosine_rdm, pearson_rdm};
use ndarray::{Array2, ArrayView2, Axis, s};

use crate::{Dataset, Error, FeatureSet, Response, Result, Sample, Subject, samples};

/// Stimuli to which every subject responded, in dataset order.
pub fn common_stimuli(dataset: &Dataset) -> Vec<usize> {
    let mut common: BTreeSet<usize> = (0..dataset.stimuli.len()).collect();
    for subject in &dataset.subjects {
        let shown: BTreeSet<usize> = subject.trials.iter().map(|trial| trial.stimulus).collect();
        common = &common & &shown;
    }
    common.into_iter().collect()
}

/// The RDM of `stimuli` that guidance by these features pulls tokens towards: cosine
/// dissimilarities of features, or the stored RDM itself.
///
/// # Errors
/// When the array cannot be read or holds NaN or infinite values.
pub fn feature_rdm(
    dataset: &Dataset,
    features: &FeatureSet,
    stimuli: &[usize],
) -> Result<Array2<f64>> {
    let array = dataset.read_features(features)?.mapv(f64::from);
    let rows = array.select(Axis(0), stimuli);
    Ok(if features.is_rdm {
        rows.select(Axis(1), stimuli)
    } else {
        cosine_rdm(rows.view())
    })
}

/// The RDM of a subject's responses to `stimuli` in a region: 1 - Pearson's r over its voxels,
/// repeats averaged; for similarity profiles the dissimilarities they were made from. `None` where
/// the subject lacks the region.
///
/// # Errors
/// When the subject did not see a stimulus, a response is constant over the region, or responses
/// cannot be read or are not finite.
pub fn response_rdm(
    dataset: &Dataset,
    subject: usize,
    roi: &str,
    stimuli: &[usize],
) -> Result<Option<Array2<f64>>> {
    let one = response_rdms(dataset, subject, &[roi], stimuli)?.pop();
    one.unwrap_or(Ok(None))
}

/// [`response_rdm`] of several regions, with each response read once. A region whose RDM cannot be made has its error;
/// the others have theirs all the same.
///
/// # Errors
/// When the subject did not see a stimulus, or responses cannot be read or are not finite.
pub fn response_rdms(
    dataset: &Dataset,
    subject: usize,
    rois: &[&str],
    stimuli: &[usize],
) -> Result<Vec<Result<Option<Array2<f64>>>>> {
    let voxels = &dataset.subjects[subject].voxels;
    let of_roi = |roi: &&str| -> Vec<usize> {
        let columns = voxels.iter().enumerate();
        let own = columns.filter(|(_, voxel)| voxel.roi == *roi);
        own.map(|(column, _)| column).collect()
    };
    let columns: Vec<Vec<usize>> = rois.iter().map(of_roi).collect();
    let id = &dataset.subjects[subject].id;
    let shown = samples(dataset, &[subject], stimuli);
    if columns.iter().any(|own| !own.is_empty()) && shown.len() != stimuli.len() {
        return Err(Error::Request(format!(
            "subject {id} responded to {} of the {} stimuli asked for",
            shown.len(),
            stimuli.len()
        )));
    }
    let read: Vec<usize> = columns.iter().flatten().copied().collect();
    let responses = mean_responses(dataset, &shown, &read)?;
    let mut place = 0;
    let rdms = rois.iter().zip(&columns).map(|(roi, columns)| {
        let own = responses.slice(s![.., place..place + columns.len()]);
        place += columns.len();
        region_rdm(dataset, subject, roi, columns, own, stimuli)
    });
    Ok(rdms.collect())
}

/// Means over the trials of samples of one subject, in some columns of its responses: samples × columns.
///
/// # Errors
/// When responses cannot be read or are not finite.
pub fn mean_responses(
    dataset: &Dataset,
    samples: &[Sample],
    columns: &[usize],
) -> Result<Array2<f64>> {
    let mut means = Array2::zeros((samples.len(), columns.len()));
    let mut row = Vec::new();
    for (mut mean, sample) in means.rows_mut().into_iter().zip(samples) {
        let subject = &dataset.subjects[sample.subject];
        row.resize(subject.voxels.len(), 0.0);
        for &trial in &sample.trials {
            subject.read_response(trial, &mut row)?;
            for (mean, &column) in mean.iter_mut().zip(columns) {
                *mean += f64::from(row[column]);
            }
        }
        mean /= sample.trials.len() as f64;
    }
    Ok(means)
}

/// The RDM of the mean responses of a region, stimuli × `columns`.
fn region_rdm(
    dataset: &Dataset,
    subject: usize,
    roi: &str,
    columns: &[usize],
    responses: ArrayView2<'_, f64>,
    stimuli: &[usize],
) -> Result<Option<Array2<f64>>> {
    if columns.is_empty() {
        return Ok(None);
    }
    let Subject { id, voxels, .. } = &dataset.subjects[subject];
    if dataset.description.response == Response::Voxels {
        let rdm = pearson_rdm(responses)
            .map_err(|error| Error::Request(format!("subject {id}, region {roi}: {error}")))?;
        return Ok(Some(rdm));
    }
    let reference = |&stimulus: &usize| {
        columns
            .iter()
            .position(|&column| voxels[column].reference == Some(stimulus))
            .ok_or_else(|| {
                Error::Request(format!(
                    "subject {id}, region {roi}: no column for stimulus {}",
                    dataset.stimuli[stimulus].id
                ))
            })
    };
    let order = stimuli.iter().map(reference).collect::<Result<Vec<_>>>()?;
    Ok(Some(1.0 - responses.select(Axis(1), &order)))
}
