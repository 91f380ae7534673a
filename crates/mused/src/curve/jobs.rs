//! The runs of a curve: where each lies, how it is made, and whose scores count.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use mused_run::{Config, EACH, Family, Layers, Trials};
use mused_train::{drawn_order, training_trials};

use super::teams::{Team, teams};
use super::{Curve, MAIN, Over, Size};
use crate::benchmark::Contender;
use crate::{Result, ridge};

/// Where the values of the runs' configurations come from.
const ORIGIN: &str = "mused curve";

/// A run of a curve.
pub(super) struct Job {
    pub(super) path: PathBuf,
    pub(super) model: String,
    pub(super) at: Point,
    /// Subjects whose scores count, and from how many trials or subjects they come; none of runs that others are made of.
    pub(super) scored: BTreeMap<usize, f64>,
    pub(super) make: Make,
}

/// How a run is made.
pub(super) enum Make {
    Train(Box<Layers>),
    Adapt(Adaptation),
}

/// Of a run that was trained without this subject.
pub(super) struct Adaptation {
    pub(super) source: PathBuf,
    pub(super) subject: String,
    pub(super) trials: Trials,
    pub(super) draw: u64,
}

/// A draw of so many.
#[derive(Clone, Copy)]
pub(super) struct Point {
    pub(super) size: Size,
    pub(super) draw: u32,
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.size, self.draw)
    }
}

impl Job {
    pub(super) fn name(&self, over: Over) -> String {
        let who = match &self.make {
            Make::Train(_) => String::new(),
            Make::Adapt(adaptation) => format!(" for {}", adaptation.subject),
        };
        let Point { size, draw } = self.at;
        format!("{}{who}, {}, draw {draw}", self.model, over.words(size))
    }
}

fn train(layers: Layers) -> Make {
    Make::Train(Box::new(layers))
}

impl Curve<'_> {
    /// Every run, those before that others are made of.
    pub(super) fn jobs(&self, config: &Config, sizes: &[Size], there: usize) -> Result<Vec<Job>> {
        let (ridge, _) = ridge::layers(config, self.dataset)?;
        let models = self.contenders(ridge)?;
        let mut jobs = Vec::new();
        if self.over == Over::Trials && self.new_subjects {
            jobs.push(self.everybody_left_out()?);
        }
        for &size in sizes {
            for draw in self.draws_of(size) {
                let at = Point { size, draw };
                jobs.extend(match self.over {
                    Over::Trials => self.of_trials(at, &models)?,
                    Over::Subjects => self.of_subjects(config, at, there, &models)?,
                });
            }
        }
        Ok(jobs)
    }

    /// All are drawn in one way, and so is a subject by itself.
    fn draws_of(&self, size: Size) -> Range<u32> {
        let alone = self.over == Over::Subjects && !self.new_subjects && size == Size::Most(1);
        match size {
            Size::All => 0..1,
            _ if alone => 0..1,
            Size::Most(_) => 0..self.draws,
        }
    }

    fn job(&self, (at, model): (Point, &str), folder: String, make: Make) -> Job {
        Job {
            path: self.out.join(folder),
            model: model.to_owned(),
            at,
            scored: BTreeMap::new(),
            make,
        }
    }

    /// The models asked for beside the configured one.
    fn contenders(&self, ridge: &str) -> Result<Vec<Contender>> {
        let mut models: Vec<Contender> = Vec::new();
        for name in self.models {
            let model = Contender::named(name)?;
            let family = model.layers(self.layers)?.config()?.model.family;
            let maps_alone = self.new_subjects && !self.dataset.shares_space();
            let why = if [MAIN, ridge].contains(&name.as_str()) || models.contains(&model) {
                format!("--models {name}: it is there without being named, or named twice")
            } else if maps_alone && !matches!(family, Family::AlignedRidge(_)) {
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
}

/// Over trials.
impl Curve<'_> {
    /// The run trained without each subject in turn.
    fn everybody_left_out(&self) -> Result<Job> {
        let at = Point {
            size: Size::All,
            draw: 0,
        };
        let mut layers = self.drawn(self.layers, "split.calibration", at)?;
        layers.insert("split.holdout_subject", EACH, ORIGIN)?;
        Ok(self.job((at, "source"), "source".to_owned(), train(layers)))
    }

    /// A configuration with a draw of trials as what a key says.
    fn drawn(&self, layers: &Layers, key: &str, at: Point) -> Result<Layers> {
        let mut layers = layers.clone();
        layers.insert(key, at.size.to_string(), ORIGIN)?;
        layers.insert("split.draw", i64::from(at.draw), ORIGIN)?;
        layers.insert("train.ridge", false, ORIGIN)?;
        Ok(layers)
    }

    /// The runs of a draw: of the model, of ridge regression, and of the models beside them.
    fn of_trials(&self, at: Point, models: &[Contender]) -> Result<Vec<Job>> {
        let plain = self.drawn(self.layers, "split.trials", at)?;
        // What is too few is known before anything is trained.
        let counts = training_trials(self.dataset, &plain.config()?)?.into_iter();
        let mean =
            |folds: Vec<usize>| folds.iter().sum::<usize>() as f64 / folds.len().max(1) as f64;
        let scored: BTreeMap<usize, f64> = counts.map(mean).enumerate().collect();
        let job = |model: &str, folder: String, make: Make| Job {
            scored: scored.clone(),
            ..self.job((at, model), folder, make)
        };
        let (ridge, layers) = ridge::layers(&plain.config()?, self.dataset)?;
        let mut jobs = match self.new_subjects {
            true => {
                let adapted = self.dataset.subjects.iter().map(|subject| {
                    let make = Make::Adapt(Adaptation {
                        source: self.out.join("source"),
                        subject: subject.id.clone(),
                        trials: match at.size {
                            Size::Most(most) => Trials::Most(most),
                            Size::All => Trials::All,
                        },
                        draw: at.draw.into(),
                    });
                    job(MAIN, format!("{at}/{}", subject.id), make)
                });
                adapted.collect()
            }
            false => vec![job(MAIN, format!("{MAIN}-{at}"), train(plain))],
        };
        jobs.push(job(ridge, format!("ridge-{at}"), train(layers)));
        for model in models {
            let mut layers = model.layers(self.layers)?;
            let key = match self.new_subjects {
                true => {
                    layers.insert("split.holdout_subject", EACH, ORIGIN)?;
                    "split.calibration"
                }
                false => "split.trials",
            };
            let layers = self.drawn(&layers, key, at)?;
            jobs.push(job(
                &model.name,
                format!("{}-{at}", model.name),
                train(layers),
            ));
        }
        Ok(jobs)
    }
}

/// Over subjects.
impl Curve<'_> {
    /// The runs of a draw: of the model, of ridge regression, and of the models beside them.
    fn of_subjects(
        &self,
        config: &Config,
        at: Point,
        there: usize,
        models: &[Contender],
    ) -> Result<Vec<Job>> {
        let everybody = self.dataset.subjects.len();
        let order = drawn_order(config.split.seed, at.draw, everybody);
        let mut alone = self.layers.clone();
        alone.insert("train.ridge", false, ORIGIN)?;
        let (ridge, of_ridge) = ridge::layers(&alone.config()?, self.dataset)?;
        let mut jobs = Vec::new();
        for (number, team) in teams(&order, at.size.of(there), self.new_subjects)
            .iter()
            .enumerate()
        {
            let maps_alone = self.new_subjects && !self.dataset.shares_space();
            jobs.extend(match maps_alone {
                true => self.adapted((at, number), team, &alone)?,
                false => self.trained((at, MAIN), (number, team), &alone)?,
            });
            if pools(&of_ridge)? {
                jobs.extend(self.trained((at, ridge), (number, team), &of_ridge)?);
            }
            for model in models {
                let layers = model.layers(&alone)?;
                jobs.extend(self.trained((at, &model.name), (number, team), &layers)?);
            }
        }
        if !pools(&of_ridge)? {
            // The same for any number of others.
            let job = self.job((at, ridge), "ridge".to_owned(), train(of_ridge));
            jobs.push(self.counted(job, &order, at.size.of(there)));
        }
        Ok(jobs)
    }

    fn counted(&self, mut job: Job, scored: &[usize], size: usize) -> Job {
        job.scored = scored
            .iter()
            .map(|&subject| (subject, size as f64))
            .collect();
        job
    }

    /// A model of a team; of new subjects one that leaves each of them out.
    fn trained(
        &self,
        (at, model): (Point, &str),
        (number, team): (usize, &Team),
        layers: &Layers,
    ) -> Result<Vec<Job>> {
        let size = team.trained.len();
        let mut layers = self.of_team(layers, team)?;
        if !self.new_subjects {
            let job = self.job(
                (at, model),
                format!("{model}-of-{at}/{number}"),
                train(layers),
            );
            return Ok(vec![self.counted(job, &team.scored, size)]);
        }
        layers.insert("split.calibration", "all", ORIGIN)?;
        let of_new = |&new: &usize| {
            let mut layers = layers.clone();
            let id = self.id(new);
            layers.insert("split.holdout_subject", id, ORIGIN)?;
            let job = self.job((at, model), format!("{model}-of-{at}/{id}"), train(layers));
            Ok(self.counted(job, &[new], size))
        };
        team.scored.iter().map(of_new).collect()
    }

    /// A model of a team, and what is made of it for each new subject.
    fn adapted(
        &self,
        (at, number): (Point, usize),
        team: &Team,
        layers: &Layers,
    ) -> Result<Vec<Job>> {
        let layers = self.of_team(layers, team)?;
        let source = self.job(
            (at, "source"),
            format!("source-of-{at}/{number}"),
            train(layers),
        );
        let of_new = team.scored.iter().map(|&new| {
            let subject = self.id(new).to_owned();
            let folder = format!("of-{at}/{subject}");
            let make = Make::Adapt(Adaptation {
                source: source.path.clone(),
                subject,
                trials: Trials::All,
                draw: 0,
            });
            self.counted(
                self.job((at, MAIN), folder, make),
                &[new],
                team.trained.len(),
            )
        });
        let adapted: Vec<Job> = of_new.collect();
        Ok(std::iter::once(source).chain(adapted).collect())
    }

    fn of_team(&self, layers: &Layers, team: &Team) -> Result<Layers> {
        let mut layers = layers.clone();
        let names: Vec<&str> = team
            .trained
            .iter()
            .map(|&subject| self.id(subject))
            .collect();
        layers.insert("split.subjects", names, ORIGIN)?;
        Ok(layers)
    }

    fn id(&self, subject: usize) -> &str {
        &self.dataset.subjects[subject].id
    }
}

/// Whether a ridge regression learns from several subjects at once.
fn pools(layers: &Layers) -> Result<bool> {
    Ok(!layers.config()?.model.family.separate())
}
