//! Several models on one dataset: the same splits, the same metrics, the same configuration but for what makes each
//! model what it is.
//!
//! A folder holds a run for each model and seed, `MODEL/seed-S`, and the table `benchmark.tsv`. What is complete is
//! kept, what was interrupted goes on.

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::Dataset;
use mused_formats::replace_file;
use mused_formats::table::TableWriter;
use mused_kernels::TrainBackend;
use mused_results::{Results, evaluate};
use mused_stats::metrics::Undefined;
use mused_stats::summary;
use mused_train::{Layers, Outcome, Progress, TrainRequest, resume, train};

/// Why a benchmark could not go on; what single runs fail of is a row of its table instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration, a dataset or a run is at fault.
    #[error(transparent)]
    Train(#[from] mused_train::Error),
    /// The table cannot be written.
    #[error(transparent)]
    Format(#[from] mused_formats::Error),
    /// The operating system refused.
    #[error("cannot create {}: {source}", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A run that is there was made with other settings.
    #[error(
        "{} was made with other settings; choose another --out, or remove it", path.display()
    )]
    OtherSettings {
        /// The run.
        path: PathBuf,
    },
}

/// What to compare.
#[derive(Debug)]
pub struct Benchmark<'a> {
    /// The data.
    pub dataset: &'a Dataset,
    /// Configuration that all models share.
    pub layers: &'a Layers,
    /// Names of models, see [`mused_train::MODELS`].
    pub models: &'a [String],
    /// Seeds of weights, batches and dropout.
    pub seeds: &'a [u32],
    /// Folder of the runs.
    pub out: &'a Path,
    /// CPU threads.
    pub threads: usize,
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
    /// Trains and scores what is missing; `progress` makes the display of a run from its place (from 1), the number of
    /// runs, and its name. `None` when a run was interrupted.
    ///
    /// # Errors
    /// An unknown model; a run made with other settings. A run that fails is an entry that says why.
    pub fn run<B: TrainBackend, P: Progress>(
        &self,
        mut progress: impl FnMut(usize, usize, &str) -> P,
    ) -> Result<Option<Vec<Entry>>, Error> {
        let mut runs = Vec::new();
        for model in self.models {
            for &seed in self.seeds {
                let mut layers = self.layers.clone();
                layers.model(model)?;
                layers.insert("train.seed", i64::from(seed), "--seeds")?;
                layers.config()?;
                let run = self.out.join(model).join(format!("seed-{seed}"));
                runs.push((model, seed, run, layers));
            }
        }
        let total = runs.len();
        let mut entries = Vec::with_capacity(total);
        for (place, (model, seed, run, layers)) in runs.into_iter().enumerate() {
            let results = match self.complete::<B, P>(&run, &layers, || {
                progress(place + 1, total, &format!("{model}, seed {seed}"))
            }) {
                Ok(Outcome::Interrupted) => return Ok(None),
                Ok(Outcome::Complete) => score(&run),
                Err(error @ Error::OtherSettings { .. }) => return Err(error),
                Err(error) => Err(error.to_string()),
            };
            entries.push(Entry {
                model: model.clone(),
                seed,
                run,
                results,
            });
            self.write(&entries)?;
        }
        Ok(Some(entries))
    }

    fn complete<B: TrainBackend, P: Progress>(
        &self,
        run: &Path,
        layers: &Layers,
        progress: impl FnOnce() -> P,
    ) -> Result<Outcome, Error> {
        let config = run.join("config.toml");
        let started = run.join("run.json").is_file();
        if started && fs::read_to_string(&config).ok() != Some(layers.annotated()) {
            return Err(Error::OtherSettings {
                path: run.to_owned(),
            });
        }
        if run.join("predictions.npy").is_file() {
            return Ok(Outcome::Complete);
        }
        fs::create_dir_all(run).map_err(|source| Error::Create {
            path: run.to_owned(),
            source,
        })?;
        let progress = progress();
        Ok(if started {
            resume::<B>(self.dataset, run, self.threads, &progress)?
        } else {
            let request = TrainRequest {
                dataset: self.dataset,
                layers,
                run,
                threads: self.threads,
            };
            train::<B>(&request, &progress)?
        })
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
        let mut table = TableWriter::create(self.out.join("benchmark.tsv"), &columns)?;
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

fn score(run: &Path) -> Result<Results, String> {
    let results = evaluate(run, Undefined::Exclude).map_err(|error| error.to_string())?;
    let json = serde_json::to_string_pretty(&results).map_err(|error| error.to_string())?;
    replace_file(run.join("results.json"), json.as_bytes()).map_err(|error| error.to_string())?;
    Ok(results)
}

fn scores(results: &Results) -> [Option<f64>; 3] {
    let scores = &results.macro_scores;
    [
        scores.average_precision.mean,
        scores.roc_auc.mean,
        scores.hamming_loss.mean,
    ]
}

/// Means over seeds, in the order of the models' first entries.
pub fn rows(entries: &[Entry]) -> Vec<Row> {
    let mut models: Vec<&str> = entries.iter().map(|entry| entry.model.as_str()).collect();
    models.dedup();
    models
        .into_iter()
        .map(|model| {
            let own = entries.iter().filter(|entry| entry.model == model);
            let scored: Vec<[Option<f64>; 3]> = own
                .filter_map(|entry| entry.results.as_ref().ok().map(scores))
                .collect();
            let over_seeds = |metric: usize| {
                let values: Vec<f64> = scored.iter().filter_map(|s| s[metric]).collect();
                (summary::mean(&values), summary::sample_sd(&values))
            };
            Row {
                model: model.to_owned(),
                seeds: scored.len(),
                scores: [0, 1, 2].map(over_seeds),
            }
        })
        .collect()
}
