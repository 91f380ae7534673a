//! How many trials, or how many people, are enough: scores over numbers of them, of a network and of ridge regression.
//!
//! Over trials, either every subject has so many training trials, or a person who was left out has so many for its own maps
//! ([`mused_train::adapt`]); ridge regression learns from the same. Trials are drawn from the training side of each fold, a
//! few from one order, so that few are among many. Over subjects, everybody is scored by a network that was trained on so
//! many, itself among them or not, on all their training trials. What is tested is never trained on, in any point of the
//! curve: the folds are those of every run of the configuration.
//!
//! A folder holds the runs. Over trials: `source`, trained without each person, and `N-draw/SUBJECT`; or `default-N-draw`;
//! beside them `ridge-N-draw`. Over subjects: `default-of-N-draw/TEAM`; or `source-of-N-draw/TEAM` and `of-N-draw/SUBJECT`; or,
//! where all share a space, `default-of-N-draw/SUBJECT`; beside them `ridge`. What is complete is kept, what was interrupted goes on.

mod jobs;
mod page;
mod scores;
mod size;
mod teams;
mod words;

use std::path::Path;

use mused_data::Dataset;
use mused_run::{Config, Layers, Reading, Run};
use mused_stats::metrics::{MultiLabelScores, Undefined};
use mused_train::{AdaptRequest, Progress, training_trials};
use serde::{Deserialize, Serialize};

use crate::kept::{complete, opened, refuse_other_data};
use crate::plan::{Piece, Piecewise, no_such_run, refuse_others};
use crate::{Error, Result, ridge, runs};
use jobs::{Adaptation, Job, Make};

pub use scores::{Estimate, Mean, Row};
pub use size::{Over, Size};

/// The model whose curve it is.
const MAIN: &str = "default";

/// What curve to make.
#[derive(Debug)]
pub struct Curve<'a> {
    /// The data.
    pub dataset: &'a Dataset,
    /// Configuration of all runs.
    pub layers: &'a Layers,
    /// What it goes over.
    pub over: Over,
    /// Numbers of them.
    pub sizes: &'a [Size],
    /// How often so many are drawn.
    pub draws: u32,
    /// Whether people are scored that the network was not trained on, every subject in turn.
    pub new_subjects: bool,
    /// Named models beside the configured one and ridge regression.
    pub models: &'a [String],
    /// Folder of the runs.
    pub out: &'a Path,
    /// CPU threads.
    pub threads: usize,
}

/// Scores of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// Name of the dataset.
    pub dataset: String,
    /// Whether its responses were computed, not measured.
    pub simulated: bool,
    /// What it goes over.
    pub over: Over,
    /// Whether people are scored that the network was not trained on.
    pub new_subjects: bool,
    /// Whether these have maps of their own, fitted on their training trials.
    pub mapped: bool,
    /// Name of the model whose curve it is.
    pub model: String,
    /// Name of the ridge regression beside it.
    pub ridge: String,
    /// Whether that learns from all subjects at once.
    pub pooled: bool,
    /// Numbers that were asked for and are more than there are.
    pub skipped: Vec<Size>,
    /// Training stimuli that every subject has in every fold, or subjects to train on.
    pub there: usize,
    /// Share of the training side whose trials choose weights.
    pub validation: f64,
    /// A row for each number, model, draw and subject.
    pub rows: Vec<Row>,
}

impl Curve<'_> {
    /// Makes what is missing and scores it. `progress` is told before each run is made how many there are of how many, and
    /// its name. `None` when it was interrupted.
    ///
    /// # Errors
    /// Numbers, models or data that there is no such curve of; runs made with other settings or on other data; a run that
    /// fails.
    pub fn run<P: Progress>(
        &self,
        mut progress: impl FnMut(usize, usize, &str) -> P,
    ) -> Result<Option<Curves>> {
        let (config, jobs, skipped, there) = self.planned()?;
        let (ridge, of_ridge) = ridge::layers(&config, self.dataset)?;
        refuse_other_data(self.dataset, jobs.iter().map(|job| job.path.as_path()))?;
        let _alone = Run::claim(self.out)?;
        // Runs with other settings are told before anything is trained.
        for job in &jobs {
            if let Make::Train(layers) = &job.make {
                opened(&job.path, layers)?;
            }
        }
        for (index, job) in jobs.iter().enumerate() {
            if self.is_there(job)? {
                Run::tidy(&job.path);
                continue;
            }
            let progress = progress(index, jobs.len(), &job.name(self.over));
            if progress.interrupted() {
                return Ok(None);
            }
            match self.make(job, progress) {
                Err(Error::Interrupted(_)) => return Ok(None),
                made => made?,
            };
        }
        let mut rows = Vec::new();
        for job in &jobs {
            rows.extend(self.rows(job)?);
        }
        Ok(Some(Curves {
            dataset: self.dataset.description.name.clone(),
            simulated: self.dataset.description.simulated,
            over: self.over,
            new_subjects: self.new_subjects,
            mapped: self.new_subjects && !self.dataset.shares_space(),
            model: MAIN.to_owned(),
            ridge: ridge.to_owned(),
            pooled: !of_ridge.config()?.model.family.separate(),
            skipped,
            there,
            validation: config.split.validation_fraction,
            rows,
        }))
    }

    /// Every run, those before that others are made of; with the configuration, the numbers that are too many, and those
    /// that there are.
    fn planned(&self) -> Result<(Config, Vec<Job>, Vec<Size>, usize)> {
        let config = self.checked()?;
        let there = self.there(&config)?;
        let [sizes, skipped] = self.possible(there)?;
        let jobs = self.jobs(&config, &sizes, there)?;
        Ok((config, jobs, skipped, there))
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
            &split.subjects,
        ) == (
            default.trials,
            default.calibration,
            default.draw,
            &default.holdout_subject,
            &default.subjects,
        );
        let place = self.dataset.place();
        let alone = self.dataset.subjects.len() < 2;
        let over_trials = self.over == Over::Trials;
        let why = if !own {
            "split.trials, split.calibration, split.draw, split.subjects and split.holdout_subject are what a curve goes \
             through: leave them out of the configuration"
                .to_owned()
        } else if self.draws == 0 {
            "expected 1 draw or more, found 0".to_owned()
        } else if alone && !over_trials {
            format!(
                "{place} has one subject: a curve over subjects takes two or more (--trials makes one over its trials)"
            )
        } else if !self.new_subjects {
            return Ok(config);
        } else if alone {
            format!(
                "{place} has one subject: nobody is left to train on where it is left out. A curve over its training trials \
                 is the same command without --new-subjects"
            )
        } else if self.dataset.shares_space() && over_trials {
            format!(
                "the subjects of {place} share one space: a new person is read as it is there, with no trial of its own \
                 (`mused train --holdout-subject each` scores that, `mused curve --subjects` over how many others). A curve \
                 over training trials is the same command without --new-subjects"
            )
        } else if config.model.inputs.inputs == Reading::Voxels && !self.dataset.shares_space() {
            "model.inputs is \"voxels\", which lie in a space of each subject's own: a new person can be read by maps \
             alone. Leave model.inputs out"
                .to_owned()
        } else {
            return Ok(config);
        };
        Err(mused_run::Error::Request(why).into())
    }

    /// Training stimuli that every subject has, or subjects that a network can be trained on.
    fn there(&self, config: &Config) -> Result<usize> {
        Ok(match self.over {
            Over::Subjects => self.dataset.subjects.len() - usize::from(self.new_subjects),
            Over::Trials => {
                let counts = training_trials(self.dataset, config)?.into_iter();
                counts.flatten().min().unwrap_or_default()
            }
        })
    }

    /// The numbers of which there are enough, from few to many, and those of which there are not.
    fn possible(&self, there: usize) -> Result<[Vec<Size>; 2]> {
        let mut sizes = self.sizes.to_vec();
        if self.over == Over::Subjects {
            // All of them, by another name.
            for size in &mut sizes {
                if *size == Size::Most(there) {
                    *size = Size::All;
                }
            }
        }
        sizes.sort();
        sizes.dedup();
        let too_many = |size: &Size| size.of(there) > there;
        let (skipped, sizes): (Vec<Size>, Vec<Size>) = sizes.into_iter().partition(too_many);
        if sizes.is_empty() {
            let (unit, are) = match self.over {
                Over::Trials => ("trials", "which every subject has in training"),
                Over::Subjects => ("subjects", "as there are to train on"),
            };
            return Err(mused_run::Error::Request(format!(
                "expected numbers of {unit} from 1 to {there}, {are}, or all"
            ))
            .into());
        }
        Ok([sizes, skipped])
    }

    /// Whether the run of a job is there and complete.
    fn is_there(&self, job: &Job) -> Result<bool> {
        let run = match &job.make {
            Make::Train(layers) => opened(&job.path, layers)?,
            Make::Adapt(adaptation) => {
                let source = Run::open(&adaptation.source)?;
                let config = self.request(job, adaptation, &source).config()?;
                opened(&job.path, &Layers::of(&config)?)?
            }
        };
        Ok(run.is_some_and(|run| run.is_complete()))
    }

    fn request<'r>(
        &'r self,
        job: &'r Job,
        adaptation: &'r Adaptation,
        source: &'r Run,
    ) -> AdaptRequest<'r> {
        AdaptRequest {
            source,
            dataset: self.dataset,
            subject: &adaptation.subject,
            trials: adaptation.trials,
            draw: adaptation.draw,
            run: &job.path,
        }
    }

    fn make(&self, job: &Job, progress: impl Progress) -> Result<()> {
        match &job.make {
            Make::Train(layers) => {
                complete((self.dataset, self.threads), &job.path, layers, || progress)?;
            }
            Make::Adapt(adaptation) => {
                let source = Run::open(&adaptation.source)?;
                let request = self.request(job, adaptation, &source);
                let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads);
                let pool = pool.build().map_err(|error| {
                    let why = format!("cannot start {} threads: {error}", self.threads);
                    Error::from(mused_run::Error::Request(why))
                })?;
                pool.install(|| runs::adapt(&request))?;
            }
        }
        Ok(())
    }

    /// Scores of a run, a row for each subject whose scores count.
    fn rows(&self, job: &Job) -> Result<Vec<Row>> {
        if job.scored.is_empty() {
            return Ok(Vec::new());
        }
        let predictions = Run::open(&job.path)?.predictions()?;
        let scores = mused_results::scores_by_subject(&predictions, Undefined::Exclude)?;
        let row = |(subject, scores): (String, MultiLabelScores)| {
            let index = self.dataset.subject(&subject)?;
            let Some(&count) = job.scored.get(&index) else {
                return Ok(None);
            };
            Ok(Some(Row {
                asked: job.at.size,
                count,
                model: job.model.clone(),
                draw: job.at.draw,
                subject,
                average_precision: scores.macro_average_precision,
                roc_auc: scores.macro_roc_auc,
            }))
        };
        scores
            .into_iter()
            .filter_map(|of| row(of).transpose())
            .collect()
    }
}

/// Adaptations, which take seconds, are left to the command that gathers.
impl Piecewise for Curve<'_> {
    fn dataset(&self) -> &Dataset {
        self.dataset
    }

    fn config(&self) -> Result<Config> {
        Ok(self.layers.config()?)
    }

    fn runs(&self) -> Result<Vec<Piece>> {
        let (_, jobs, ..) = self.planned()?;
        let piece = |job: Job| match job.make {
            Make::Train(layers) => Some(Piece {
                model: format!("{}, {}", job.model, self.over.words(job.at.size)),
                run: job.path,
                layers: *layers,
            }),
            Make::Adapt(_) => None,
        };
        let pieces: Vec<Piece> = jobs.into_iter().filter_map(piece).collect();
        refuse_others(self.dataset, &pieces)?;
        Ok(pieces)
    }

    fn make<P: Progress>(&self, run: &Path, progress: P) -> Result<()> {
        let (_, jobs, ..) = self.planned()?;
        let here = |job: &&Job| std::path::absolute(&job.path).is_ok_and(|path| path == run);
        let job = jobs.iter().find(here).ok_or_else(|| no_such_run(run))?;
        Curve::make(self, job, progress)
    }
}
