//! Several models on one dataset: the same splits, the same metrics, the same configuration but for what makes each
//! model what it is.
//!
//! A folder holds a run for each model and seed, `MODEL/seed-S`, the table `benchmark.tsv`, and `differences.tsv` of
//! every model from the first. With a budget, a run is put together from candidates, `MODEL/seed-S/candidates/N`, by
//! validation. What is complete is kept, what was interrupted goes on.

use std::path::{Path, PathBuf};

use mused_data::Dataset;
use mused_formats::table::TableWriter;
use mused_results::Comparison;
use mused_results::seeds::{Seeded, paired};
use mused_run::{Config, Family, Layers, NamedModel, Results, Run, Stated};
use mused_stats::summary;
use mused_train::{Progress, Settings, candidates, choose};

use crate::kept::{complete, refuse_other_data};
use crate::plan::{Piece, Piecewise, no_such_run, refuse_others};
pub use crate::ridge::{AgainstRidges, against_ridges};
use crate::{compare_seeds, evaluate, ridge};

/// Why a benchmark could not go on; what single runs fail of is a row of its table instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration, a dataset or a run is at fault.
    #[error(transparent)]
    Run(#[from] crate::Error),
    /// The table cannot be written.
    #[error(transparent)]
    Format(#[from] mused_formats::Error),
    /// Settings cannot be chosen without validation.
    #[error(
        "settings are chosen on validation parts of the training side, and split.validation_fraction is 0: set it \
         above 0, or leave --budget out"
    )]
    NoValidation,
}

/// What to compare.
#[derive(Debug)]
pub struct Benchmark<'a> {
    /// The data.
    pub dataset: &'a Dataset,
    /// Configuration that all models share.
    pub layers: &'a Layers,
    /// What is compared; others are compared with the first.
    pub models: &'a [Contender],
    /// Seeds of weights, batches and dropout.
    pub seeds: &'a [u32],
    /// Settings every run is chosen from, see [`mused_train::candidates`]; 0 or 1 = the configuration as it is.
    pub budget: usize,
    /// Folder of the runs.
    pub out: &'a Path,
    /// CPU threads.
    pub threads: usize,
}

/// A model to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// Name of its folder.
    pub name: String,
    /// `key=value`, laid over the shared configuration.
    pub settings: Vec<String>,
}

impl Contender {
    /// One of [`mused_run::MODELS`].
    ///
    /// # Errors
    /// Names the models there are.
    pub fn named(name: &str) -> mused_run::Result<Self> {
        let settings = NamedModel::named(name)?.settings.iter();
        Ok(Self {
            name: name.to_owned(),
            settings: settings.map(|&setting| setting.to_owned()).collect(),
        })
    }

    /// The ridge regression that is missing beside `models`: where there are networks among them and no ridge regression,
    /// unless `train.ridge` is false or none can follow the division.
    ///
    /// # Errors
    /// Settings that a model does not take.
    pub fn missing_ridge(
        models: &[Self],
        shared: &Layers,
        dataset: &Dataset,
    ) -> mused_run::Result<Option<Self>> {
        let configs = models.iter().map(|model| model.layers(shared)?.config());
        let configs: Vec<Config> = configs.collect::<mused_run::Result<_>>()?;
        let any = |of: fn(&Family) -> bool| configs.iter().any(|config| of(&config.model.family));
        let shared = shared.config()?;
        if !shared.train.ridge || any(Family::is_ridge) || !any(Family::by_steps) {
            return Ok(None);
        }
        let ridge = ridge::layers(&shared, dataset).ok();
        ridge.map(|(model, _)| Self::named(model)).transpose()
    }

    /// The shared configuration with what makes it this model.
    pub(crate) fn layers(&self, shared: &Layers) -> mused_run::Result<Layers> {
        let mut layers = shared.clone();
        let origin = format!("model {}", self.name);
        for setting in &self.settings {
            layers.assign(setting, &origin)?;
        }
        Ok(layers)
    }
}

/// A run to make, and what it is chosen from.
struct Planned {
    model: String,
    seed: u32,
    run: PathBuf,
    candidates: Vec<(PathBuf, Layers)>,
    settings: Vec<Settings>,
}

/// A run of a benchmark.
#[derive(Debug)]
pub struct Entry {
    /// Name of the model.
    pub model: String,
    /// Its seed.
    pub seed: u32,
    /// The run directory.
    pub run: PathBuf,
    /// Its scores, or why there are none.
    pub results: Result<Results, String>,
}

/// A model over its seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Name of the model.
    pub model: String,
    /// Seeds that have scores.
    pub seeds: usize,
    /// Mean and standard deviation over seeds of macro AP, macro AUC and Hamming loss.
    pub scores: [(Option<f64>, Option<f64>); 3],
}

impl Benchmark<'_> {
    /// Trains and scores what is missing; `progress` makes the display of a training from its place (from 1), their
    /// number, and its name. `None` when one was interrupted.
    ///
    /// # Errors
    /// An unknown model; a run made with other settings or on other data. A run that fails is an entry that says why.
    pub fn run<P: Progress>(
        &self,
        mut progress: impl FnMut(usize, usize, &str) -> P,
    ) -> Result<Option<Vec<Entry>>, Error> {
        let (mut runs, mut total) = (Vec::new(), 0);
        self.check()?;
        for model in self.models {
            for &seed in self.seeds {
                let planned = self.planned(model, seed)?;
                let first = total + 1;
                total += planned.candidates.len();
                runs.push((first, planned));
            }
        }
        let candidates = runs.iter().flat_map(|(_, planned)| &planned.candidates);
        refuse_other_data(self.dataset, candidates.map(|(folder, _)| folder.as_path()))?;
        let _alone = Run::claim(self.out).map_err(crate::Error::from)?;
        let mut entries = Vec::with_capacity(runs.len());
        for (first, planned) in runs {
            let mut next = |candidate: usize| {
                let of = match planned.candidates.len() {
                    1 => String::new(),
                    all => format!(", candidate {} of {all}", candidate + 1),
                };
                let name = format!("{}, seed {}{of}", planned.model, planned.seed);
                progress(first + candidate, total, &name)
            };
            let made = self.made::<P>(&planned, &mut next);
            let results = match made.and_then(|run| Ok(evaluate(&run)?)) {
                Ok(results) => Ok(results),
                Err(Error::Run(crate::Error::Interrupted(_))) => return Ok(None),
                Err(error @ Error::Run(crate::Error::OtherSettings { .. })) => return Err(error),
                Err(error) => Err(error.to_string()),
            };
            entries.push(Entry {
                model: planned.model,
                seed: planned.seed,
                run: planned.run,
                results,
            });
            self.write(&entries)?;
        }
        Ok(Some(entries))
    }

    /// Refuses a choice that nothing can be made by.
    ///
    /// # Errors
    /// What to set.
    pub fn check(&self) -> Result<(), Error> {
        let shared = self.layers.config().map_err(crate::Error::from)?;
        match self.chooses() && shared.split.validation_fraction == 0.0 {
            true => Err(Error::NoValidation),
            false => Ok(()),
        }
    }

    fn place(&self, model: &Contender, seed: u32) -> PathBuf {
        self.out.join(&model.name).join(format!("seed-{seed}"))
    }

    /// Whether a run is put together from candidates.
    fn chooses(&self) -> bool {
        self.budget > 1
    }

    fn planned(&self, model: &Contender, seed: u32) -> crate::Result<Planned> {
        let mut layers = model.layers(self.layers)?;
        layers.insert("train.seed", i64::from(seed), "--seeds")?;
        // It would be the same beside each; where it is wanted, it is a model of the table.
        layers.insert("train.ridge", false, "mused benchmark")?;
        let config = layers.config()?;
        let run = self.place(model, seed);
        let settings = candidates(&config, self.budget);
        let of = |(index, settings): (usize, &Settings)| -> crate::Result<_> {
            let mut layers = layers.clone();
            for (key, value) in settings {
                layers.insert(key, value.clone(), &format!("candidate {index}"))?;
            }
            let folder = match self.chooses() {
                true => Run::candidate(&run, index),
                false => run.clone(),
            };
            Ok((folder, layers))
        };
        let candidates = settings
            .iter()
            .enumerate()
            .map(of)
            .collect::<Result<_, _>>()?;
        Ok(Planned {
            model: model.name.clone(),
            seed,
            run,
            candidates,
            settings,
        })
    }

    /// Completes the candidates of a run, and chooses from them where there is a choice.
    fn made<P: Progress>(
        &self,
        planned: &Planned,
        progress: &mut dyn FnMut(usize) -> P,
    ) -> Result<Run, Error> {
        let chosen = Run::chosen_path(&planned.run).is_file();
        if Run::exists(&planned.run) && chosen != self.chooses() {
            let path = planned.run.clone();
            return Err(crate::Error::OtherSettings { path }.into());
        }
        let mut last = None;
        for (index, (run, layers)) in planned.candidates.iter().enumerate() {
            last = Some(complete((self.dataset, self.threads), run, layers, || {
                progress(index)
            })?);
        }
        match last {
            Some(run) if !self.chooses() => Ok(run),
            _ => {
                let folders = planned
                    .candidates
                    .iter()
                    .map(|(folder, _)| folder.as_path());
                let folders: Vec<&Path> = folders.collect();
                choose(&folders, &planned.settings, &planned.run).map_err(crate::Error::from)?;
                Ok(Run::open(&planned.run).map_err(crate::Error::from)?)
            }
        }
    }

    fn write(&self, entries: &[Entry]) -> Result<(), Error> {
        let columns = [
            "model",
            "seed",
            "run",
            "macro_ap",
            "macro_auc",
            "hamming",
            "failure",
        ];
        let mut table = TableWriter::create(Run::benchmark_path(self.out), &columns)?;
        for entry in entries {
            let (scores, failure) = match &entry.results {
                Ok(results) => (scores(results), ""),
                Err(message) => ([None; 3], message.as_str()),
            };
            let number = |score: Option<f64>| score.map_or("n/a".to_owned(), |s| s.to_string());
            let [ap, auc, hamming] = scores.map(number);
            let run = format!("{}/seed-{}", entry.model, entry.seed);
            let seed = entry.seed.to_string();
            let failure = failure.replace(['\t', '\n'], " ");
            let row = [&entry.model, &seed, &run, &ap, &auc, &hamming, &failure];
            table.write_row(row)?;
        }
        Ok(table.finish()?)
    }
}

impl Piecewise for Benchmark<'_> {
    fn dataset(&self) -> &Dataset {
        self.dataset
    }

    fn config(&self) -> crate::Result<Config> {
        Ok(self.layers.config()?)
    }

    fn runs(&self) -> crate::Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        for model in self.models {
            for &seed in self.seeds {
                let candidates = self.planned(model, seed)?.candidates.into_iter();
                pieces.extend(candidates.map(|(run, layers)| Piece {
                    model: model.name.clone(),
                    run,
                    layers,
                }));
            }
        }
        refuse_others(self.dataset, &pieces)?;
        Ok(pieces)
    }

    fn make<P: Progress>(&self, run: &Path, progress: P) -> crate::Result<()> {
        let all = (self.models.iter())
            .flat_map(|model| self.seeds.iter().map(move |&seed| (model, seed)));
        for (model, seed) in all {
            let place = std::path::absolute(self.place(model, seed)).unwrap_or_default();
            if !run.starts_with(&place) {
                continue;
            }
            let candidates = self.planned(model, seed)?.candidates;
            for (path, layers) in candidates {
                if std::path::absolute(&path).is_ok_and(|path| path == run) {
                    complete((self.dataset, self.threads), run, &layers, || progress)?;
                    return Ok(());
                }
            }
            break;
        }
        Err(no_such_run(run))
    }
}

fn scores(results: &Results) -> [Option<f64>; 3] {
    let scores = &results.macro_scores;
    [
        scores.average_precision.mean,
        scores.roc_auc.mean,
        scores.hamming_loss.mean,
    ]
}

/// Entries with scores by model, in the order of the models' first entries.
pub(crate) fn by_model(entries: &[Entry]) -> Vec<Seeded<&Entry>> {
    let named = entries.iter().map(|entry| {
        let seed = Some(u64::from(entry.seed));
        (entry.model.clone(), seed, entry)
    });
    let mut models = Seeded::grouped(named, |_, _| true);
    for model in &mut models {
        model.runs.retain(|(_, entry)| entry.results.is_ok());
    }
    models
}

/// Means over seeds, in the order of the models' first entries.
pub fn rows(entries: &[Entry]) -> Vec<Row> {
    let row = |model: Seeded<&Entry>| {
        let scored = model
            .runs
            .iter()
            .filter_map(|(_, entry)| entry.results.as_ref().ok());
        let scored: Vec<[Option<f64>; 3]> = scored.map(scores).collect();
        let over_seeds = |metric: usize| {
            let values: Vec<f64> = scored.iter().filter_map(|s| s[metric]).collect();
            (summary::mean(&values), summary::sample_sd(&values))
        };
        Row {
            model: model.model,
            seeds: scored.len(),
            scores: [0, 1, 2].map(over_seeds),
        }
    };
    by_model(entries).into_iter().map(row).collect()
}

/// A model's comparison with the first, or why there is none.
pub type Compared = (String, Result<Comparison, String>);

/// How every other model differs from the first, means over the seeds that both have.
pub fn differences(entries: &[Entry]) -> Vec<Compared> {
    let models = by_model(entries);
    let Some((first, others)) = models.split_first() else {
        return Vec::new();
    };
    let differs = |model: &Seeded<&Entry>| {
        let comparison = opened(first, model).and_then(|(a, b)| compare_seeds(&a, &b));
        (
            model.model.clone(),
            comparison.map_err(|error| error.to_string()),
        )
    };
    others.iter().map(differs).collect()
}

/// The runs of two models over the seeds that both have.
pub(crate) fn opened(
    a: &Seeded<&Entry>,
    b: &Seeded<&Entry>,
) -> crate::Result<(Vec<Run>, Vec<Run>)> {
    let pairs = paired(&a.runs, &b.runs).into_iter();
    let opened = pairs.map(|(_, a, b)| Ok((Run::open(&a.run)?, Run::open(&b.run)?)));
    opened.collect()
}

/// Writes differences as a table, a row a model and metric.
///
/// # Errors
/// When the file cannot be written.
pub fn write_differences(differences: &[Compared], path: &Path) -> Result<(), Error> {
    let columns = [
        "model",
        "metric",
        "seeds",
        "difference",
        "low",
        "high",
        "p_over_subjects",
        "p_over_stimuli",
        "p_over_both",
    ];
    let mut table = TableWriter::create(path, &columns)?;
    let p = |p: &Stated<f64>| p.value().map_or("n/a".to_owned(), f64::to_string);
    for (model, comparison) in differences {
        let Ok(comparison) = comparison else { continue };
        let metrics = [
            ("macro_ap", &comparison.average_precision),
            ("macro_auc", &comparison.roc_auc),
        ];
        for (metric, found) in metrics {
            let [mean, low, high] = match found.interval.value() {
                Some(interval) => {
                    [interval.estimate, interval.low, interval.high].map(|value| value.to_string())
                }
                None => ["n/a"; 3].map(str::to_owned),
            };
            let seeds = comparison.seeds.to_string();
            let tests = [
                &found.p_over_subjects,
                &found.p_over_stimuli,
                &found.p_over_both,
            ];
            let [subjects, stimuli, both] = tests.map(p);
            let (model, metric) = (model.as_str(), metric);
            table.write_row([
                model, metric, &seeds, &mean, &low, &high, &subjects, &stimuli, &both,
            ])?;
        }
    }
    Ok(table.finish()?)
}
