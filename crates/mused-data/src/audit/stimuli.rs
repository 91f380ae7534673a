use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, Axis, s};

use super::{Cases, Leak, Report};
use crate::{Dataset, Fold, Level, Result};

/// Stimuli whose cosines are computed at once.
const BLOCK: usize = 1024;

pub(super) fn audit(
    dataset: &Dataset,
    folds: &[Fold],
    near_duplicate: f64,
    report: &mut Report,
) -> Result<()> {
    let sides: Vec<Sides> = folds.iter().map(|fold| Sides::new(dataset, fold)).collect();
    same(dataset, folds, report);
    frames(dataset, &sides, report);
    duplicates(dataset, &sides, near_duplicate, report)
}

/// On which side each stimulus of a fold is.
struct Sides(Vec<Option<bool>>);

impl Sides {
    fn new(dataset: &Dataset, fold: &Fold) -> Self {
        let mut sides = vec![None; dataset.stimuli.len()];
        for &stimulus in fold.train.iter().chain(&fold.validation) {
            sides[stimulus] = Some(false);
        }
        for &stimulus in &fold.test {
            sides[stimulus] = Some(true);
        }
        Self(sides)
    }

    fn apart(&self, a: usize, b: usize) -> bool {
        matches!((self.0[a], self.0[b]), (Some(a), Some(b)) if a != b)
    }
}

fn same(dataset: &Dataset, folds: &[Fold], report: &mut Report) {
    let (mut stimuli, mut groups) = (Cases::default(), Cases::default());
    for (index, fold) in folds.iter().enumerate() {
        let training: BTreeSet<usize> =
            fold.train.iter().chain(&fold.validation).copied().collect();
        let group = |stimulus: usize| dataset.stimuli[stimulus].group.as_str();
        let trained: BTreeSet<&str> = training.iter().map(|&s| group(s)).collect();
        for &stimulus in fold
            .test
            .iter()
            .filter(|stimulus| training.contains(stimulus))
        {
            stimuli.add(|| format!("{} in fold {index}", dataset.stimuli[stimulus].id));
        }
        let tested: BTreeSet<&str> = fold.test.iter().map(|&s| group(s)).collect();
        for both in tested.intersection(&trained) {
            groups.add(|| format!("{both} in fold {index}"));
        }
    }
    stimuli.report(
        Leak::SameStimulus,
        "stimuli are trained on and tested",
        report,
    );
    groups.report(Leak::SameGroup, "groups are trained on and tested", report);
}

/// Neighbouring seconds of one film. Rows of an HDF5 file have no order in time.
fn frames(dataset: &Dataset, sides: &[Sides], report: &mut Report) {
    let mut films: BTreeMap<&str, Vec<(u64, usize)>> = BTreeMap::new();
    for (index, stimulus) in dataset.stimuli.iter().enumerate() {
        if let (Some(file), Some(frame)) = (&stimulus.file, stimulus.frame)
            && !file.ends_with(".hdf5")
            && !file.ends_with(".h5")
        {
            films.entry(file).or_default().push((frame, index));
        }
    }
    let mut cases = Cases::default();
    for (film, mut seconds) in films {
        seconds.sort_unstable();
        for pair in seconds.windows(2) {
            let [(first, a), (second, b)] = [pair[0], pair[1]];
            if second - first <= 1
                && let Some(fold) = sides.iter().position(|sides| sides.apart(a, b))
            {
                cases.add(|| format!("seconds {first} and {second} of {film} in fold {fold}"));
            }
        }
    }
    cases.report(
        Leak::NeighbouringFrames,
        "pairs of neighbouring seconds lie on either side",
        report,
    );
}

fn duplicates(
    dataset: &Dataset,
    sides: &[Sides],
    threshold: f64,
    report: &mut Report,
) -> Result<()> {
    let level = |features: &&crate::FeatureSet| features.level == Some(Level::High);
    let Some(features) = dataset.features.iter().filter(level).find(|f| !f.is_rdm) else {
        report.skipped.push(format!(
            "{}: there are no features of the high level (`mused features` makes them)",
            Leak::NearDuplicates
        ));
        return Ok(());
    };
    let mut rows = dataset.read_features(features)?;
    for mut row in rows.rows_mut() {
        let norm = row
            .iter()
            .map(|x| f64::from(*x).powi(2))
            .sum::<f64>()
            .sqrt();
        row /= norm.max(f64::MIN_POSITIVE) as f32;
    }
    let mut pairs = Vec::new();
    for from in (0..rows.nrows()).step_by(BLOCK) {
        let block = rows.slice(s![from..(from + BLOCK).min(rows.nrows()), ..]);
        let cosines: Array2<f32> = block.dot(&rows.slice(s![from.., ..]).t());
        for (a, row) in cosines.axis_iter(Axis(0)).enumerate() {
            for (b, &cosine) in row.iter().enumerate().skip(a + 1) {
                if f64::from(cosine) > threshold {
                    pairs.push((cosine, from + a, from + b));
                }
            }
        }
    }
    pairs.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let mut cases = Cases::default();
    for (cosine, a, b) in pairs {
        if let Some(fold) = sides.iter().position(|sides| sides.apart(a, b)) {
            let ids = [a, b].map(|stimulus| dataset.stimuli[stimulus].id.as_str());
            cases.add(|| {
                format!(
                    "{} and {} in fold {fold} (cosine {cosine:.4})",
                    ids[0], ids[1]
                )
            });
        }
    }
    let what = format!(
        "pairs of stimuli with a cosine of {} above {threshold} lie on either side",
        features.name
    );
    cases.report(Leak::NearDuplicates, &what, report);
    Ok(())
}
