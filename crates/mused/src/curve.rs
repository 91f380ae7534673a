//! How many trials are enough: scores over numbers of trials, of a network and of ridge regression on the same trials.
//!
//! Either every subject has so many training trials, or a person who was left out has so many for its own maps
//! ([`mused_train::adapt`]). What is tested is never trained on, in any point of the curve: the folds are those of every
//! run of the configuration, and trials are drawn from the training side of each, a few from one order, so that few are
//! among many. The number of people a network is trained on is not varied.
//!
//! A folder holds the runs: `source`, trained without each person, and `N-draw/SUBJECT`; or `default-N-draw`; beside them
//! `ridge-N-draw`. What is complete is kept, what was interrupted goes on.

mod scores;
mod words;

use std::path::{Path, PathBuf};

use mused_data::Dataset;
use mused_run::{Config, EACH, Family, Layers, Reading, Run, Trials};
use mused_stats::metrics::{MultiLabelScores, Undefined};
use mused_train::{AdaptRequest, Progress, training_trials};

use crate::benchmark::Contender;
use crate::kept::{complete, opened, refuse_other_data};
use crate::{Error, Result, ridge, runs};

pub use scores::{Estimate, Mean, Row};

/// Where the values of the runs' configurations come from.
const ORIGIN: &str = "mused curve";

/// The model whose curve it is.
const MAIN: &str = "default";

/// What curve to make.
#[derive(Debug)]
pub struct Curve<'a> {
    /// The data.
    pub dataset: &'a Dataset,
    /// Configuration of all runs.
    pub layers: &'a Layers,
    /// Numbers of trials.
    pub trials: &'a [Trials],
    /// How often so many are drawn.
    pub draws: u32,
    /// Whether the trials are those of people the network was not trained on, every subject in turn.
    pub new_subjects: bool,
    /// Named models beside the configured one and ridge regression.
    pub models: &'a [String],
    /// Folder of the runs.
    pub out: &'a Path,
    /// CPU threads.
    pub threads: usize,
}

/// Scores of a curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// A row for each number of trials, model, draw and subject.
    pub rows: Vec<Row>,
    /// Name of the model whose curve it is.
    pub model: String,
    /// Name of the ridge regression beside it.
    pub ridge: String,
    /// Whether the trials are those of people the network was not trained on.
    pub new_subjects: bool,
    /// Numbers of trials that were asked for and are more than there are.
    pub skipped: Vec<Trials>,
    /// Training stimuli that every subject has in every fold.
    pub there: usize,
    /// Share of the training side whose trials choose weights and are not counted.
    pub validation: f64,
}

/// A run of a curve.
struct Job {
    path: PathBuf,
    model: String,
    trials: Trials,
    draw: u32,
    /// Number of trials that each subject has, the mean over folds.
    counts: Vec<f64>,
    make: Make,
}

/// How a run is made.
enum Make {
    Train(Box<Layers>),
    /// The run trained without everybody, for this person.
    Adapt(String),
}

impl Curve<'_> {
    /// Makes what is missing and scores it. `progress` is told before each run is made how many there are of how many, and
    /// its name. `None` when it was interrupted.
    ///
    /// # Errors
    /// Trials, models or data that there is no such curve of; runs made with other settings or on other data; a run that
    /// fails.
    pub fn run<P: Progress>(
        &self,
        mut progress: impl FnMut(usize, usize, &str) -> P,
    ) -> Result<Option<Curves>> {
        let config = self.checked()?;
        let counts = training_trials(self.dataset, &config)?;
        let there = counts.into_iter().flatten().min().unwrap_or_default();
        let [trials, skipped] = self.possible(there)?;
        let (ridge, _) = ridge::layers(&config, self.dataset)?;
        let jobs = self.jobs(&trials, ridge)?;
        let source = self.out.join("source");
        let folders = jobs.iter().map(|job| job.path.as_path());
        refuse_other_data(self.dataset, folders.chain([source.as_path()]))?;
        let _alone = Run::claim(self.out)?;
        let total = jobs.len() + usize::from(self.new_subjects);
        let source = match self.source(&source, || progress(0, total, "source")) {
            Err(Error::Interrupted(_)) => return Ok(None),
            source => source?,
        };
        let mut missing = Vec::new();
        for job in &jobs {
            if self.found(job, source.as_ref())?.is_none() {
                missing.push(job);
            }
        }
        for (index, job) in missing.iter().enumerate() {
            let progress = progress(total - missing.len() + index, total, &job.name());
            if progress.interrupted() {
                return Ok(None);
            }
            match self.make(job, source.as_ref(), progress) {
                Err(Error::Interrupted(_)) => return Ok(None),
                made => made?,
            };
        }
        let mut rows = Vec::new();
        for job in &jobs {
            rows.extend(self.rows(job)?);
        }
        Ok(Some(Curves {
            rows,
            model: MAIN.to_owned(),
            ridge: ridge.to_owned(),
            new_subjects: self.new_subjects,
            skipped,
            there,
            validation: config.split.validation_fraction,
        }))
    }

    /// The configuration, where there is a curve of it.
    fn checked(&self) -> Result<Config> {
        let config = self.layers.config()?;
        let (split, default) = (&config.split, Config::default().split);
        let own = (
            split.trials,
            split.calibration,
            split.draw,
            &split.holdout_subject,
        ) == (
            default.trials,
            default.calibration,
            default.draw,
            &default.holdout_subject,
        );
        let subjects = self.dataset.subjects.len();
        let why = if !own {
            "split.trials, split.calibration, split.draw and split.holdout_subject are what a curve goes through: leave \
             them out of the configuration"
                .to_owned()
        } else if self.draws == 0 {
            "expected 1 draw or more, found 0".to_owned()
        } else if !self.new_subjects {
            return Ok(config);
        } else if subjects < 2 {
            format!(
                "{} has one subject: nobody is left to train on where it is left out. A curve over its training trials is \
                 the same command without --new-subjects",
                self.dataset.place()
            )
        } else if self.dataset.shares_space() {
            format!(
                "the subjects of {} share one space: a new person is read as it is there, with no trial of its own (`mused \
                 train --holdout-subject each` scores that). A curve over training trials is the same command without \
                 --new-subjects",
                self.dataset.place()
            )
        } else if config.model.inputs.inputs == Reading::Voxels {
            "model.inputs is \"voxels\", which lie in a space of each subject's own: a new person can be read by maps \
             alone. Leave model.inputs out"
                .to_owned()
        } else {
            return Ok(config);
        };
        Err(mused_run::Error::Request(why).into())
    }

    /// The numbers of trials of which there are enough, from few to many, and those of which there are not.
    fn possible(&self, there: usize) -> Result<[Vec<Trials>; 2]> {
        let mut trials = self.trials.to_vec();
        trials.sort_by_key(|trials| match trials {
            Trials::None => 0,
            Trials::Most(most) => *most,
            Trials::All => usize::MAX,
        });
        trials.dedup();
        let too_many = |trials: &Trials| matches!(trials, Trials::Most(most) if *most > there);
        let (skipped, trials): (Vec<Trials>, Vec<Trials>) = trials.into_iter().partition(too_many);
        if trials.is_empty() || trials.contains(&Trials::None) {
            return Err(mused_run::Error::Request(format!(
                "expected numbers of trials from 1 to {there}, which every subject has in training, or all"
            ))
            .into());
        }
        Ok([trials, skipped])
    }

    /// All trials are drawn in one way.
    fn draws_of(&self, trials: Trials) -> std::ops::Range<u32> {
        match trials {
            Trials::All => 0..1,
            _ => 0..self.draws,
        }
    }

    /// A configuration with a draw of trials as what a key says.
    fn drawn(&self, layers: &Layers, key: &str, trials: Trials, draw: u32) -> Result<Layers> {
        let mut layers = layers.clone();
        layers.insert(key, trials.to_string(), ORIGIN)?;
        layers.insert("split.draw", i64::from(draw), ORIGIN)?;
        layers.insert("train.ridge", false, ORIGIN)?;
        Ok(layers)
    }

    /// Every run that is scored.
    fn jobs(&self, trials: &[Trials], ridge: &str) -> Result<Vec<Job>> {
        let models = self.contenders(ridge)?;
        let mut jobs = Vec::new();
        for &trials in trials {
            for draw in self.draws_of(trials) {
                jobs.extend(self.jobs_of(trials, draw, &models)?);
            }
        }
        Ok(jobs)
    }

    /// The runs of a draw: of the model, of ridge regression, and of the models beside them.
    fn jobs_of(&self, trials: Trials, draw: u32, models: &[Contender]) -> Result<Vec<Job>> {
        let plain = self.drawn(self.layers, "split.trials", trials, draw)?;
        // What is too few is known before anything is trained.
        let counts = training_trials(self.dataset, &plain.config()?)?.into_iter();
        let mean =
            |folds: Vec<usize>| folds.iter().sum::<usize>() as f64 / folds.len().max(1) as f64;
        let counts: Vec<f64> = counts.map(mean).collect();
        let job = |model: &str, folder: String, make: Make| Job {
            path: self.out.join(folder),
            model: model.to_owned(),
            trials,
            draw,
            counts: counts.clone(),
            make,
        };
        let train = |layers| Make::Train(Box::new(layers));
        let (ridge, layers) = ridge::layers(&plain.config()?, self.dataset)?;
        let mut jobs = match self.new_subjects {
            true => {
                let adapted = self.dataset.subjects.iter().map(|subject| {
                    let folder = format!("{trials}-{draw}/{}", subject.id);
                    job(MAIN, folder, Make::Adapt(subject.id.clone()))
                });
                adapted.collect()
            }
            false => vec![job(MAIN, format!("{MAIN}-{trials}-{draw}"), train(plain))],
        };
        jobs.push(job(ridge, format!("ridge-{trials}-{draw}"), train(layers)));
        for model in models {
            let mut layers = model.layers(self.layers)?;
            let key = match self.new_subjects {
                true => {
                    layers.insert("split.holdout_subject", EACH, ORIGIN)?;
                    "split.calibration"
                }
                false => "split.trials",
            };
            let layers = self.drawn(&layers, key, trials, draw)?;
            let folder = format!("{}-{trials}-{draw}", model.name);
            jobs.push(job(&model.name, folder, train(layers)));
        }
        Ok(jobs)
    }

    /// The models asked for beside the configured one.
    fn contenders(&self, ridge: &str) -> Result<Vec<Contender>> {
        let mut models: Vec<Contender> = Vec::new();
        for name in self.models {
            let model = Contender::named(name)?;
            let family = model.layers(self.layers)?.config()?.model.family;
            let why = if [MAIN, ridge].contains(&name.as_str()) || models.contains(&model) {
                format!("--models {name}: it is there without being named, or named twice")
            } else if self.new_subjects && !matches!(family, Family::AlignedRidge(_)) {
                format!(
                    "--models {name}: it is not fitted to trials of a new person; expected procrustes-ridge or srm-ridge"
                )
            } else {
                models.push(model);
                continue;
            };
            return Err(mused_run::Error::Request(why).into());
        }
        Ok(models)
    }

    /// The run trained without each person in turn, where new people are asked for.
    fn source<P: Progress>(
        &self,
        path: &Path,
        progress: impl FnOnce() -> P,
    ) -> Result<Option<Run>> {
        if !self.new_subjects {
            return Ok(None);
        }
        let mut layers = self.drawn(self.layers, "split.calibration", Trials::All, 0)?;
        layers.insert("split.holdout_subject", EACH, ORIGIN)?;
        complete((self.dataset, self.threads), path, &layers, progress).map(Some)
    }

    /// The complete run of a job, where it is there.
    fn found(&self, job: &Job, source: Option<&Run>) -> Result<Option<Run>> {
        let run = match (&job.make, source) {
            (Make::Train(layers), _) => opened(&job.path, layers)?,
            (Make::Adapt(subject), Some(source)) => {
                let config = self.request(job, subject, source).config()?;
                opened(&job.path, &Layers::of(&config)?)?
            }
            (Make::Adapt(_), None) => None,
        };
        Ok(run.filter(Run::is_complete))
    }

    fn request<'r>(&'r self, job: &'r Job, subject: &'r str, source: &'r Run) -> AdaptRequest<'r> {
        AdaptRequest {
            source,
            dataset: self.dataset,
            subject,
            trials: job.trials,
            draw: job.draw.into(),
            run: &job.path,
        }
    }

    fn make(&self, job: &Job, source: Option<&Run>, progress: impl Progress) -> Result<()> {
        match (&job.make, source) {
            (Make::Train(layers), _) => {
                complete((self.dataset, self.threads), &job.path, layers, || progress)?;
            }
            (Make::Adapt(subject), Some(source)) => {
                let request = self.request(job, subject, source);
                let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads);
                let pool = pool.build().map_err(|error| {
                    let why = format!("cannot start {} threads: {error}", self.threads);
                    Error::from(mused_run::Error::Request(why))
                })?;
                pool.install(|| runs::adapt(&request))?;
            }
            (Make::Adapt(_), None) => {}
        }
        Ok(())
    }

    /// Scores of a run, a row a subject, with the number of trials that the subject really had.
    fn rows(&self, job: &Job) -> Result<Vec<Row>> {
        let predictions = Run::open(&job.path)?.predictions()?;
        let scores = mused_results::scores_by_subject(&predictions, Undefined::Exclude)?;
        let row = |(subject, scores): (String, MultiLabelScores)| {
            let index = self.dataset.subject(&subject)?;
            Ok(Row {
                asked: job.trials,
                trials: job.counts.get(index).copied().unwrap_or_default(),
                model: job.model.clone(),
                draw: job.draw,
                subject,
                average_precision: scores.macro_average_precision,
                roc_auc: scores.macro_roc_auc,
            })
        };
        scores.into_iter().map(row).collect()
    }
}

impl Job {
    fn name(&self) -> String {
        let who = match &self.make {
            Make::Train(_) => String::new(),
            Make::Adapt(subject) => format!(" for {subject}"),
        };
        format!(
            "{}{who}, {} trials, draw {}",
            self.model, self.trials, self.draw
        )
    }
}
