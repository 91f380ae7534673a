use std::collections::{BTreeMap, HashMap};

use mused_stats::moments::{Moments, varies};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use sha2::{Digest, Sha256};

use super::{Cases, Leak, Report};
use crate::{Dataset, Fold, Response, Result, Subject};

/// Trials of a subject that voxels are correlated with labels over.
const TRIALS: usize = 512;
/// Correlation that no voxel's response has with a label.
const LABEL_CORRELATION: f64 = 0.95;
/// Fewest trials with and without a label for its correlations to mean anything.
const LABEL_TRIALS: usize = 5;
/// Fewest training and test trials of a session for its mean to mean anything.
const SESSION_TRIALS: usize = 8;
/// How near to 0 and 1 mean and standard deviation are after z-scoring, half precision included.
const ZSCORED: f64 = 2e-3;

pub(super) fn audit(dataset: &Dataset, folds: &[Fold], report: &mut Report) -> Result<()> {
    let seen: Vec<Seen> = dataset
        .subjects
        .par_iter()
        .map(|subject| Seen::of(dataset, subject, folds))
        .collect::<Result<_>>()?;
    let (mut copies, mut labels, mut sessions) =
        (Cases::default(), Cases::default(), Cases::default());
    let mut first: HashMap<&[u8], &str> = HashMap::new();
    for (subject, seen) in dataset.subjects.iter().zip(&seen) {
        if let Some(other) = first.insert(&seen.hash, &subject.id) {
            copies.add(|| format!("{} and {other}", subject.id));
        }
        for (voxel, label, r) in &seen.label_columns {
            let roi = &subject.voxels[*voxel].roi;
            labels.add(|| {
                let label = &dataset.labels.names[*label];
                format!(
                    "column {voxel} ({roi}) of {} and {label} (r {r:.3})",
                    subject.id
                )
            });
        }
        for session in &seen.zscored {
            sessions.add(|| format!("session {session} of {}", subject.id));
        }
    }
    copies.report(
        Leak::IdenticalSubjects,
        "pairs of subjects have one set of responses",
        report,
    );
    labels.report(Leak::LabelColumns, "voxels follow a label", report);
    sessions.report(
        Leak::ZScoredWithTest,
        "sessions have mean 0 and standard deviation 1 over training and test trials together",
        report,
    );
    Ok(())
}

struct Seen {
    hash: Vec<u8>,
    /// Voxel, label, correlation.
    label_columns: Vec<(usize, usize, f64)>,
    /// Sessions.
    zscored: Vec<u32>,
}

impl Seen {
    fn of(dataset: &Dataset, subject: &Subject, folds: &[Fold]) -> Result<Self> {
        let voxels = subject.voxels.len();
        let mut row = vec![0.0; voxels];
        let mut hash = Sha256::new();
        let mut labels = LabelSums::new(dataset, subject);
        let mut sessions: BTreeMap<u32, Moments> = BTreeMap::new();
        let stride = subject.trials.len().div_ceil(TRIALS);
        for (index, trial) in subject.trials.iter().enumerate() {
            subject.read_response(index, &mut row)?;
            for value in &row {
                hash.update(value.to_le_bytes());
            }
            let session = sessions.entry(trial.session);
            session.or_insert_with(|| Moments::new(voxels)).add(&row);
            if index.is_multiple_of(stride) {
                labels.add(dataset, trial.stimulus, &row);
            }
        }
        // Profiles are correlations; they are on no scale a z-score could leave.
        let profiles = dataset.description.response == Response::SimilarityProfiles;
        let zscored = sessions
            .iter()
            .filter(|(session, moments)| {
                !profiles && zscored(moments) && mixed(subject, **session, folds)
            })
            .map(|(session, _)| *session);
        Ok(Self {
            hash: hash.finalize().to_vec(),
            label_columns: labels.columns(),
            zscored: zscored.collect(),
        })
    }
}

/// Whether a fold trains on some trials of a session and tests others.
fn mixed(subject: &Subject, session: u32, folds: &[Fold]) -> bool {
    let own = subject
        .trials
        .iter()
        .filter(|trial| trial.session == session);
    let stimuli: Vec<usize> = own.map(|trial| trial.stimulus).collect();
    folds.iter().any(|fold| {
        let among = |side: &[usize]| {
            let inside = stimuli.iter().filter(|s| side.binary_search(s).is_ok());
            inside.count() >= SESSION_TRIALS
        };
        among(&fold.train) && among(&fold.test)
    })
}

/// Whether every voxel that varies has mean 0 and standard deviation 1, of either divisor.
fn zscored(moments: &Moments) -> bool {
    let near = |squares: f64, divisor: f64| ((squares / divisor).sqrt() - 1.0).abs() < ZSCORED;
    let mut varying = 0;
    let all = moments
        .means()
        .iter()
        .zip(moments.squares())
        .all(|(mean, &squares)| {
            let varies = varies(*mean, (squares / moments.count()).sqrt());
            varying += usize::from(varies);
            let one =
                near(squares, moments.count()) || near(squares, (moments.count() - 1.0).max(1.0));
            !varies || (mean.abs() < ZSCORED && one)
        });
    all && varying > 0
}

/// Sums for the correlation of each voxel with each label.
struct LabelSums {
    labels: usize,
    count: f64,
    positives: Vec<f64>,
    sum: Vec<f64>,
    squares: Vec<f64>,
    /// labels × voxels: sums over the trials with the label.
    products: Vec<f32>,
    /// Responses to the first trial, subtracted so that large means lose no digits.
    origin: Vec<f32>,
}

impl LabelSums {
    fn new(dataset: &Dataset, subject: &Subject) -> Self {
        let (labels, voxels) = (dataset.labels.names.len(), subject.voxels.len());
        Self {
            labels,
            count: 0.0,
            positives: vec![0.0; labels],
            sum: vec![0.0; voxels],
            squares: vec![0.0; voxels],
            products: vec![0.0; labels * voxels],
            origin: Vec::new(),
        }
    }

    fn add(&mut self, dataset: &Dataset, stimulus: usize, row: &[f32]) {
        if self.origin.is_empty() {
            self.origin = row.to_vec();
        }
        let row: Vec<f32> = row
            .iter()
            .zip(&self.origin)
            .map(|(value, origin)| value - origin)
            .collect();
        self.count += 1.0;
        for ((sum, squares), value) in self.sum.iter_mut().zip(&mut self.squares).zip(&row) {
            *sum += f64::from(*value);
            *squares += f64::from(*value).powi(2);
        }
        let voxels = row.len();
        for (label, &has) in dataset.labels.matrix.row(stimulus).iter().enumerate() {
            if has == 1 {
                self.positives[label] += 1.0;
                let products = &mut self.products[label * voxels..(label + 1) * voxels];
                for (product, value) in products.iter_mut().zip(&row) {
                    *product += value;
                }
            }
        }
    }

    /// Voxels, labels and correlations beyond [`LABEL_CORRELATION`], the strongest first.
    fn columns(&self) -> Vec<(usize, usize, f64)> {
        let voxels = self.sum.len();
        let few = LABEL_TRIALS as f64;
        let mut found = Vec::new();
        for label in 0..self.labels {
            let positives = self.positives[label];
            if positives < few || self.count - positives < few {
                continue;
            }
            let share = positives / self.count;
            let label_sd = (share * (1.0 - share)).sqrt();
            for voxel in 0..voxels {
                let mean = self.sum[voxel] / self.count;
                let variance = self.squares[voxel] / self.count - mean * mean;
                let product = f64::from(self.products[label * voxels + voxel]) / self.count;
                let r = (product - mean * share) / (variance.sqrt() * label_sd);
                let level = f64::from(self.origin[voxel]) + mean;
                // Sums of numbers near the largest overflow, and say nothing.
                let told = r.is_finite() && varies(level, variance.sqrt());
                if told && r.abs() > LABEL_CORRELATION {
                    found.push((voxel, label, r));
                }
            }
        }
        found.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
        found
    }
}
