//! Whether a subject or a run looks unlike the others: in the scale of its responses, in what they say.

mod agreement;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use mused_stats::evenly;
use mused_stats::outlier::outliers;
use mused_stats::summary::{mean, median, sample_sd};
use ndarray::{Array1, Array2, ArrayView1, Axis};

use crate::map::split_half;
use crate::{Dataset, Motion, Result, Subject};
use agreement::{agreements, strangers};

/// Voxels of a subject that are looked at: as many, evenly chosen.
const VOXELS: usize = 500;
/// Chance that anybody, or any run of a subject, is called unlike the others in one measure though all are alike.
const RISK: f64 = 0.01;

/// What is measured of subjects and runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Median over voxels of the standard deviation over trials.
    Scale,
    /// Of a run: median over voxels of how far its mean lies from the subject's, in standard deviations.
    Shift,
    /// Of a run: correlation of its trials with the mean patterns of their labels in the other runs, mean over trials.
    Consistency,
    /// Of a subject: share of its voxels that do not vary over trials, or by a third or thrice of what its median voxel does.
    Voxels,
    /// Of a subject: correlation over stimuli of the mean of odd with that of even presentations, median over voxels.
    Repeatability,
    /// Framewise displacement in mm, mean over volumes; of a subject, over runs.
    Motion,
    /// Of a subject: Spearman correlation of its representational geometry with the mean of the others'.
    Agreement,
}

impl Measure {
    /// Whether a difference from the others is large enough to matter, however sure it is.
    fn matters(self, value: f64, others: f64) -> bool {
        match self {
            Self::Scale => (value / others).ln().abs() > 1.5_f64.ln(),
            Self::Shift => (value - others).abs() > 0.5,
            // More of it is no fault.
            Self::Consistency | Self::Agreement | Self::Repeatability => others - value > 0.1,
            Self::Motion => value - others > 0.2,
            Self::Voxels => value - others > 0.15,
        }
    }

    /// On the axis on which the others are near normal.
    fn spread(self, value: f64) -> f64 {
        match self {
            Self::Scale | Self::Motion => value.max(f64::MIN_POSITIVE).ln(),
            _ => value,
        }
    }

    fn of_run(self, run: &RunQuality) -> Option<f64> {
        match self {
            Self::Scale => run.scale,
            Self::Shift => run.shift,
            Self::Consistency => run.consistency,
            Self::Motion => run.motion.map(|motion| motion.mean),
            Self::Agreement | Self::Voxels | Self::Repeatability => None,
        }
    }

    fn back(self, mean: f64) -> f64 {
        match self {
            Self::Scale | Self::Motion => mean.exp(),
            _ => mean,
        }
    }
}

/// A subject or a run that looks unlike the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlier {
    /// Name of the subject.
    pub subject: String,
    /// Session and run; `None` of a whole subject.
    pub run: Option<(u32, u32)>,
    /// In what.
    pub measure: Measure,
    /// Its own value.
    pub value: f64,
    /// The mean of the others.
    pub others: f64,
}

/// What was measured of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunQuality {
    /// From 1.
    pub session: u32,
    /// Within the session, from 1.
    pub run: u32,
    /// Number of trials.
    pub trials: usize,
    /// [`Measure::Scale`]; `None` of one trial, or where no voxel varies.
    pub scale: Option<f64>,
    /// [`Measure::Shift`].
    pub shift: Option<f64>,
    /// [`Measure::Consistency`]; `None` where no label of the run is in another.
    pub consistency: Option<f64>,
    /// [`Measure::Motion`]; `None` where no confounds told it.
    pub motion: Option<Motion>,
}

/// What was measured of a subject.
#[derive(Clone, Debug, PartialEq)]
pub struct SubjectQuality {
    /// Its name.
    pub id: String,
    /// [`Measure::Scale`].
    pub scale: Option<f64>,
    /// [`Measure::Voxels`].
    pub uneven: f64,
    /// [`Measure::Repeatability`]; `None` with fewer than three stimuli that were shown more than once.
    pub repeatability: Option<f64>,
    /// [`Measure::Agreement`]; `None` with fewer than three subjects or ten stimuli that all saw.
    pub agreement: Option<f64>,
    /// In the order of time.
    pub runs: Vec<RunQuality>,
}

impl SubjectQuality {
    /// [`Measure::Motion`].
    pub fn motion(&self) -> Option<f64> {
        let known = self
            .runs
            .iter()
            .filter_map(|run| Measure::Motion.of_run(run));
        mean(&known.collect::<Vec<f64>>())
    }
}

/// What was measured, and who stands out.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// In the order of the dataset.
    pub subjects: Vec<SubjectQuality>,
    /// Subjects first.
    pub outliers: Vec<Outlier>,
}

/// Measures every subject and run, on at most 500 voxels a subject, and names those unlike the others.
///
/// A value counts as unlike the others where it is improbable among them (externally studentised residual, risk 1 % for
/// all values of a measure together, so at least four are needed) and the difference matters: scales by half, means by
/// half a standard deviation, correlations by .1, motion by .2 mm. Up to a quarter of the values are found one after the other, so that
/// two bad ones do not hide each other. A subject whose geometry agrees with the others' no better than chance, while all
/// the others surely agree, is named too, and so is one with more voxels than the others (by .15 of all) that do not vary
/// or vary on another scale. A run is named once.
///
/// # Errors
/// Responses that cannot be read or are not finite.
pub fn quality(dataset: &Dataset) -> Result<Quality> {
    let mut subjects = Vec::with_capacity(dataset.subjects.len());
    for subject in &dataset.subjects {
        subjects.push(measured(dataset, subject)?);
    }
    let agreements = agreements(dataset)?;
    for (subject, agreement) in subjects.iter_mut().zip(&agreements) {
        subject.agreement = Some(agreement.value);
    }
    let mut found = Vec::new();
    let whole = |subject: &SubjectQuality| (subject.id.clone(), None);
    let keys: Vec<_> = subjects.iter().map(whole).collect();
    let scales: Vec<_> = subjects.iter().map(|subject| subject.scale).collect();
    found.extend(unlike(Measure::Scale, &keys, &scales));
    let values: Vec<_> = subjects.iter().map(|subject| subject.agreement).collect();
    let mut apart = unlike(Measure::Agreement, &keys, &values);
    for stranger in strangers(&keys, &agreements) {
        if apart.iter().all(|known| known.subject != stranger.subject) {
            apart.push(stranger);
        }
    }
    found.extend(apart);
    let values: Vec<_> = subjects
        .iter()
        .map(|subject| subject.repeatability)
        .collect();
    found.extend(unlike(Measure::Repeatability, &keys, &values));
    let values: Vec<_> = subjects.iter().map(SubjectQuality::motion).collect();
    found.extend(unlike(Measure::Motion, &keys, &values));
    found.extend(broken(&subjects));
    for subject in &subjects {
        let of = |run: &RunQuality| (subject.id.clone(), Some((run.session, run.run)));
        let keys: Vec<_> = subject.runs.iter().map(of).collect();
        found.extend(dead(subject));
        for measure in [
            Measure::Scale,
            Measure::Shift,
            Measure::Consistency,
            Measure::Motion,
        ] {
            let values = subject.runs.iter().map(|run| measure.of_run(run));
            found.extend(unlike(measure, &keys, &values.collect::<Vec<_>>()));
        }
    }
    Ok(Quality {
        subjects,
        outliers: said_once(found),
    })
}

/// One line a run; what a named run does to its subject as a whole is not said too.
fn said_once(found: Vec<Outlier>) -> Vec<Outlier> {
    let of_runs: BTreeSet<String> = (found.iter().filter(|outlier| outlier.run.is_some()))
        .map(|outlier| outlier.subject.clone())
        .collect();
    let mut said = BTreeSet::new();
    let follows = |outlier: &Outlier| {
        outlier.run.is_none()
            && matches!(
                outlier.measure,
                Measure::Scale | Measure::Agreement | Measure::Voxels | Measure::Motion
            )
            && of_runs.contains(&outlier.subject)
    };
    let each = found.into_iter().filter(|outlier| !follows(outlier));
    each.filter(|outlier| {
        outlier.run.is_none() || said.insert((outlier.subject.clone(), outlier.run))
    })
    .collect()
}

/// Runs of several trials in which no voxel varies, though they do in others.
fn dead(subject: &SubjectQuality) -> impl Iterator<Item = Outlier> {
    let others = subject.scale.filter(|_| subject.runs.len() > 1);
    let still = subject
        .runs
        .iter()
        .filter(|run| run.trials > 1 && run.scale.is_none());
    still.filter_map(move |run| {
        Some(Outlier {
            subject: subject.id.clone(),
            run: Some((run.session, run.run)),
            measure: Measure::Scale,
            value: 0.0,
            others: others?,
        })
    })
}

/// A subject and, of a run, its session and number.
type Key = (String, Option<(u32, u32)>);

fn unlike(measure: Measure, keys: &[Key], values: &[Option<f64>]) -> Vec<Outlier> {
    let spread: Vec<_> = values
        .iter()
        .map(|value| value.map(|v| measure.spread(v)))
        .collect();
    let found = outliers(&spread, RISK).into_iter();
    found
        .filter_map(|(index, held)| {
            let (value, others) = (values[index]?, measure.back(held.others));
            let (subject, run) = keys[index].clone();
            measure.matters(value, others).then_some(Outlier {
                subject,
                run,
                measure,
                value,
                others,
            })
        })
        .collect()
}

/// Subjects many of whose voxels do not vary, or vary by another scale than the rest, as no others' do.
fn broken(subjects: &[SubjectQuality]) -> Vec<Outlier> {
    let each = subjects.iter().enumerate();
    each.filter_map(|(index, subject)| {
        let others = subjects
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let others = median(&others.map(|(_, other)| other.uneven).collect::<Vec<_>>())?;
        Measure::Voxels
            .matters(subject.uneven, others)
            .then(|| Outlier {
                subject: subject.id.clone(),
                run: None,
                measure: Measure::Voxels,
                value: subject.uneven,
                others,
            })
    })
    .collect()
}

fn measured(dataset: &Dataset, subject: &Subject) -> Result<SubjectQuality> {
    let voxels: Vec<usize> = evenly(subject.voxels.len(), VOXELS).collect();
    let mut responses = Array2::zeros((subject.trials.len(), voxels.len()));
    let mut row = vec![0.0_f32; subject.voxels.len()];
    let mut of_run: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for (trial, mut chosen) in responses.axis_iter_mut(Axis(0)).enumerate() {
        subject.read_response(trial, &mut row)?;
        for (value, &voxel) in chosen.iter_mut().zip(&voxels) {
            *value = f64::from(row[voxel]);
        }
        let shown = &subject.trials[trial];
        of_run
            .entry((shown.session, shown.run))
            .or_default()
            .push(trial);
    }
    let all: Vec<usize> = (0..subject.trials.len()).collect();
    let spreads = sds(&responses, &all);
    let center = responses.mean_axis(Axis(0)).unwrap_or_default();
    let patterns = Patterns::new(dataset, subject, &responses);
    let motion = subject.motion()?;
    let halves = split_half(&subject.trials, voxels.len(), |trial, row| {
        let values = row.iter_mut().zip(responses.row(trial));
        values.for_each(|(to, value)| *to = *value as f32);
        Ok(())
    })?;
    let halves: Vec<f64> = (halves.into_iter().flatten())
        .filter(|r| r.is_finite())
        .collect();
    let runs = of_run.iter().map(|(&(session, run), trials)| {
        let own = responses.select(Axis(0), trials).mean_axis(Axis(0));
        let shift = own.map(|own| {
            let parts = own.iter().zip(&center).zip(&spreads);
            let parts = parts.filter(|(_, spread)| **spread > 0.0);
            parts
                .map(|((own, center), spread)| ((own - center) / spread).abs())
                .collect::<Vec<_>>()
        });
        RunQuality {
            session,
            run,
            trials: trials.len(),
            scale: scale(&sds(&responses, trials)),
            shift: shift.and_then(|shift| median(&shift)),
            consistency: patterns.consistency(&responses, trials),
            motion: motion
                .iter()
                .copied()
                .find(|own| (own.session, own.run) == (session, run)),
        }
    });
    Ok(SubjectQuality {
        id: subject.id.clone(),
        scale: scale(&spreads),
        uneven: uneven(&spreads),
        repeatability: median(&halves),
        agreement: None,
        runs: runs.collect(),
    })
}

/// Of each voxel over trials; 0 of fewer than two.
fn sds(responses: &Array2<f64>, trials: &[usize]) -> Vec<f64> {
    let chosen = responses.select(Axis(0), trials);
    let columns = chosen.columns().into_iter();
    columns
        .map(|column| sample_sd(&column.to_vec()).unwrap_or(0.0))
        .collect()
}

/// Median over the voxels that vary.
fn scale(sds: &[f64]) -> Option<f64> {
    let varying: Vec<f64> = sds.iter().copied().filter(|sd| *sd > 0.0).collect();
    median(&varying)
}

/// Share of voxels that do not vary, or by a third or thrice of what the median voxel does.
fn uneven(sds: &[f64]) -> f64 {
    let Some(middle) = scale(sds) else {
        return 0.0;
    };
    let far = |sd: &&f64| **sd < middle / 3.0 || **sd > middle * 3.0;
    sds.iter().filter(far).count() as f64 / sds.len().max(1) as f64
}

/// Sums of the responses to each label.
struct Patterns {
    /// Labels of each trial.
    labels: Vec<Vec<usize>>,
    sums: Array2<f64>,
    counts: Vec<usize>,
    total: Array1<f64>,
}

impl Patterns {
    fn new(dataset: &Dataset, subject: &Subject, responses: &Array2<f64>) -> Self {
        let labels_of = |stimulus: usize| {
            let row = dataset.labels.matrix.row(stimulus);
            let there = row.into_iter().enumerate().filter(|(_, has)| **has == 1);
            there.map(|(label, _)| label).collect()
        };
        let trials = subject.trials.iter();
        let labels: Vec<Vec<usize>> = trials.map(|trial| labels_of(trial.stimulus)).collect();
        let names = dataset.labels.names.len();
        let mut sums = Array2::zeros((names, responses.ncols()));
        let mut counts = vec![0; names];
        for (response, labels) in responses.rows().into_iter().zip(&labels) {
            for &label in labels {
                sums.row_mut(label).scaled_add(1.0, &response);
                counts[label] += 1;
            }
        }
        Self {
            labels,
            sums,
            counts,
            total: responses.sum_axis(Axis(0)),
        }
    }

    /// Of a run of these trials, with the other runs.
    fn consistency(&self, responses: &Array2<f64>, trials: &[usize]) -> Option<f64> {
        let (mut sums, mut counts) = (BTreeMap::new(), BTreeMap::new());
        for &trial in trials {
            for &label in &self.labels[trial] {
                let sum = sums
                    .entry(label)
                    .or_insert_with(|| Array1::zeros(responses.ncols()));
                *sum += &responses.row(trial);
                *counts.entry(label).or_insert(0_usize) += 1;
            }
        }
        let own = responses.select(Axis(0), trials).mean_axis(Axis(0))?;
        let elsewhere = self.labels.len() - trials.len();
        let grand = (&self.total - &(&own * trials.len() as f64)) / elsewhere.max(1) as f64;
        let mut of_label: BTreeMap<usize, Array1<f64>> = BTreeMap::new();
        for (label, sum) in sums {
            let others = self.counts[label] - counts[&label];
            if others > 0 {
                let mean = (&self.sums.row(label) - &sum) / others as f64;
                of_label.insert(label, mean - &grand);
            }
        }
        let with = |&trial: &usize| {
            let known = self.labels[trial]
                .iter()
                .filter_map(|label| of_label.get(label));
            let expected = known.fold(Array1::zeros(responses.ncols()), |sum, mean| sum + mean);
            correlation((&responses.row(trial) - &own).view(), expected.view())
        };
        let found: Vec<f64> = trials.iter().filter_map(with).collect();
        mean(&found)
    }
}

/// Pearson's; `None` where one does not vary.
fn correlation(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> Option<f64> {
    let (a, b) = (&a - a.mean()?, &b - b.mean()?);
    let lengths = (a.dot(&a) * b.dot(&b)).sqrt();
    (lengths > 0.0).then(|| a.dot(&b) / lengths)
}
