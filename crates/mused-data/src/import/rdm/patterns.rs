//! Patterns behind RDMs: responses in a space of each subject's own.

use std::collections::BTreeMap;

use mused_stats::patterns::Patterns;
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest, Sha256};

use super::read_rdm;
use super::responses::Sessions;
use crate::import::checks::{Check, Findings};
use crate::import::data_folder::DataFolder;
use crate::{Error, Result, Voxel};

/// More of the variance than this below 0 is no noise of correlations: between the sessions of 23 people it is from
/// 4 to 18 % (18 regions, 90 stimuli), within a session nothing.
const MOST_NEGATIVE: f64 = 0.25;
/// A share that is worth a word.
const NAMED: f64 = 0.0005;

/// What is said of the responses in `dataset.json`.
pub(super) const PROCESSING: &str = "Patterns behind published RDMs, not measured voxels: eigenvectors of the \
     positive part of each subject's and region's centred 1 - RDM (mean over its sessions, diagonal 0), times the \
     roots of their eigenvalues, on random axes of its own.";

/// The patterns of a subject, stimuli × columns, region by region.
pub(super) fn of_subject(
    subject: &str,
    sessions: &Sessions,
    stimuli: usize,
    data: &mut DataFolder,
    findings: &mut Findings,
) -> Result<(Vec<Voxel>, Array2<f32>)> {
    let mut rows = Array2::zeros((stimuli, 0));
    let mut regions = Vec::new();
    let mut named = Vec::new();
    // All sessions of a subject have the same regions.
    for roi in sessions.values().take(1).flat_map(BTreeMap::keys) {
        let mut sum = Array2::zeros((stimuli, stimuli));
        for file in sessions.values().filter_map(|rois| rois.get(roi)) {
            sum += &read_rdm(file, stimuli, data)?;
        }
        let undone = |error: mused_stats::Error| {
            Error::Request(format!("subject {subject}, region {roi}: {error}"))
        };
        let patterns = Patterns::behind((sum / sessions.len() as f64).view()).map_err(undone)?;
        let negative = patterns.negative;
        if negative > MOST_NEGATIVE {
            let message = format!(
                "subject {subject}, region {roi}: expected at most {MOST_NEGATIVE} of the variance behind 1 - RDM to \
                 be negative, found {negative:.3}: patterns are for RDMs of 1 - r"
            );
            findings.report(Check::NegativeVariance, message)?;
        } else if negative > NAMED {
            named.push(format!("{roi} {negative:.3}"));
        }
        let dimensions = patterns.rows.ncols();
        if dimensions == 0 {
            return Err(Error::Request(format!(
                "subject {subject}, region {roi}: expected an RDM of stimuli that differ, found one without any \
                 positive variance behind it"
            )));
        }
        let mut random = axes(subject, roi);
        let normal = Array2::from_shape_simple_fn((dimensions, dimensions), || {
            StandardNormal.sample(&mut random)
        });
        let patterns = patterns.rotated(normal.view()).map_err(undone)?.rows;
        rows = ndarray::concatenate![ndarray::Axis(1), rows, patterns.mapv(|value| value as f32)];
        regions.extend(std::iter::repeat_n(roi.clone(), dimensions));
    }
    if !named.is_empty() {
        findings.warn(format!(
            "subject {subject}: negative variance was left out, by share: {}",
            named.join(", ")
        ));
    }
    Ok((Voxel::in_regions(regions), rows))
}

/// Random numbers of a subject's region, whatever else is imported.
fn axes(subject: &str, roi: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(subject.as_bytes());
    // No name has this byte, so no two pairs of names are the same bytes.
    hash.update([0]);
    hash.update(roi.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}
