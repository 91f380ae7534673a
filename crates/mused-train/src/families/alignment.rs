use std::collections::{BTreeMap, BTreeSet};

use mused_run::{AlignedRidgeConfig, Alignment};
use mused_stats::{SharedSpace, SubjectMap, procrustes, srm};
use ndarray::{Array2, ArrayView2};

use crate::fold_data::FoldData;
use crate::sample_set::SampleSet;
use crate::{Error, Result};

/// Fewest training stimuli in common from which subjects are aligned: a space fitted on fewer is noise.
const LEAST_COMMON: usize = 10;

/// Maps of all subjects into a space of the training stimuli that all of them saw; a held-out subject's from its
/// responses to these stimuli, whose labels are not read.
pub(super) fn align(
    config: &AlignedRidgeConfig,
    data: &FoldData<'_>,
) -> Result<BTreeMap<String, SubjectMap>> {
    type Fit = fn(&[ArrayView2<f64>], usize) -> mused_stats::Result<SharedSpace>;
    type Align = fn(ArrayView2<f64>, ArrayView2<f64>) -> mused_stats::Result<SubjectMap>;
    let (fit, align): (Fit, Align) = match config.alignment {
        Alignment::Procrustes => (procrustes::fit, procrustes::align),
        Alignment::Srm => (srm::fit, srm::align),
    };
    let everybody = [Some(&data.train), data.unlabelled.as_ref()];
    let sets: Vec<&SampleSet<'_>> = everybody.into_iter().flatten().collect();
    // Samples lie subject by subject, stimuli ascending: rows of one subject answer rows of another.
    let mut seen: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for sample in sets.iter().flat_map(|set| &set.samples) {
        seen.entry(sample.subject)
            .or_default()
            .insert(sample.stimulus);
    }
    let mut each = seen.values();
    let first = each.next().cloned().unwrap_or_default();
    let common = each.fold(first, |common, own| &common & own);
    if common.len() < LEAST_COMMON {
        return Err(Error::Request(format!(
            "model.family = \"aligned-ridge\" needs at least {LEAST_COMMON} training stimuli that all {} subjects saw, found {}: in \
             designs where subjects share test stimuli alone, as the Natural Scenes Dataset, they cannot be aligned \
             by stimuli (model.family = \"ridge\" does without)",
            seen.len(),
            common.len()
        )));
    }
    let rows_of = |set: &SampleSet<'_>| -> Result<Vec<(String, Array2<f64>)>> {
        let mut by_subject: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (row, sample) in set.samples.iter().enumerate() {
            if common.contains(&sample.stimulus) {
                by_subject.entry(sample.subject).or_default().push(row);
            }
        }
        let own = by_subject.into_values().map(|rows| {
            let id = set.subject(&set.samples[rows[0]]).to_owned();
            Ok((id, set.inputs(&rows)?.mapv(f64::from)))
        });
        own.collect()
    };
    let refused = |error: mused_stats::Error| Error::Request(format!("alignment: {error}"));
    let (ids, trained): (Vec<_>, Vec<_>) = rows_of(&data.train)?.into_iter().unzip();
    let views: Vec<_> = trained.iter().map(|rows| rows.view()).collect();
    let space = fit(&views, config.alignment_components).map_err(refused)?;
    let mut maps: BTreeMap<String, SubjectMap> = ids.into_iter().zip(space.maps).collect();
    if let Some(unlabelled) = &data.unlabelled {
        for (id, rows) in rows_of(unlabelled)? {
            let map = align(rows.view(), space.template.view()).map_err(refused)?;
            maps.insert(id, map);
        }
    }
    for map in maps.values_mut() {
        map.mean.mapv_inplace(rounded);
        map.weights.mapv_inplace(rounded);
    }
    Ok(maps)
}

/// To the nearest value that f32 holds.
pub(super) fn rounded(value: f64) -> f64 {
    f64::from(value as f32)
}
