use std::path::{Path, PathBuf};

use mused::benchmark as compare;
use mused::benchmark::{Benchmark, Contender, against_ridges, differences, write_differences};
use mused::run::MODELS;
use mused::{Error, Layers, Training};
use pyo3::prelude::*;

use crate::dataset::Dataset;
use crate::error::{ConfigError, MusedError, raised};
use crate::run::Run;
use crate::watched::watched;

/// Where messages say that a value comes from.
const ORIGIN: &str = "settings";

/// A value of a setting.
#[derive(FromPyObject)]
pub(crate) enum Value {
    Flag(bool),
    Whole(i64),
    Number(f64),
    Text(String),
    Texts(Vec<String>),
    Wholes(Vec<i64>),
    Ranges(Vec<[i64; 2]>),
}

/// Settings over those of a preset and a model, in their order.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Configured {
    preset: String,
    model: Option<String>,
    settings: Vec<(String, Value)>,
    threads: Option<usize>,
}

impl Configured {
    fn layers(self) -> mused::Result<Layers> {
        let mut layers = Layers::preset(&self.preset)?;
        if let Some(model) = &self.model {
            layers.model(model)?;
        }
        for (key, value) in self.settings {
            match value {
                Value::Flag(value) => layers.insert(&key, value, ORIGIN),
                Value::Whole(value) => layers.insert(&key, value, ORIGIN),
                Value::Number(value) => layers.insert(&key, value, ORIGIN),
                Value::Text(value) => layers.insert(&key, value, ORIGIN),
                Value::Texts(value) => layers.insert(&key, value, ORIGIN),
                Value::Wholes(value) => layers.insert(&key, value, ORIGIN),
                Value::Ranges(value) => {
                    let ends: Vec<Vec<i64>> = value.into_iter().map(Vec::from).collect();
                    layers.insert(&key, ends, ORIGIN)
                }
            }?;
        }
        Ok(layers)
    }

    fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(all)
    }
}

/// The complete run of these settings on this dataset: trained, gone on with, or kept.
#[pyfunction]
pub(crate) fn train(
    dataset: &Dataset,
    out: PathBuf,
    configured: Configured,
    listener: &Bound<'_, PyAny>,
) -> PyResult<Run> {
    let (dataset, threads) = (dataset.get()?, configured.threads());
    let layers = configured.layers().map_err(raised)?;
    let run = watched(listener, |teller| {
        let training = Training::new(&dataset).layers(&layers).threads(threads);
        training.progress(teller).complete(&out).map_err(raised)
    })?;
    Ok(Run(run))
}

/// How a model differs from the first: metric, seeds; difference with its interval; p over subjects, stimuli and both.
type Difference = (
    String,
    &'static str,
    usize,
    Option<(f64, f64, f64)>,
    [Option<f64>; 3],
);

/// A run: model, seed, folder, and why it has no scores.
type Entry = (String, u32, PathBuf, Option<String>);

/// The runs of a benchmark, how models differ from the first, and what that says.
#[pyfunction]
pub(crate) fn benchmark(
    dataset: &Dataset,
    out: PathBuf,
    models: Vec<String>,
    seeds: Vec<u32>,
    budget: usize,
    configured: Configured,
    listener: &Bound<'_, PyAny>,
) -> PyResult<(Vec<Entry>, Vec<Difference>, Vec<String>)> {
    let (dataset, threads) = (dataset.get()?, configured.threads());
    let layers = configured.layers().map_err(raised)?;
    let models = models.iter().map(|name| Contender::named(name));
    let mut models: Vec<Contender> = models.collect::<Result<_, _>>().map_err(raised)?;
    models.extend(Contender::missing_ridge(&models, &layers, &dataset).map_err(raised)?);
    let asked = Benchmark {
        dataset: &dataset,
        layers: &layers,
        models: &models,
        seeds: &seeds,
        budget,
        out: &out,
        threads,
    };
    let entries = watched(listener, |teller| {
        let entries = asked.run(|place, total, name| {
            teller.training(format!("{place}/{total} {name}"));
            teller.clone()
        });
        match entries.map_err(of_benchmark)? {
            Some(entries) => Ok(entries),
            None => Err(raised(Error::Interrupted(out.clone()))),
        }
    })?;
    let (found, words) = listener.py().detach(|| compared(&entries, &out))?;
    let entries = entries.into_iter().map(|entry| {
        let failure = entry.results.err();
        (entry.model, entry.seed, entry.run, failure)
    });
    Ok((entries.collect(), found, words))
}

/// Differences from the first model, also written beside the runs, and the verdicts in words.
fn compared(entries: &[compare::Entry], out: &Path) -> PyResult<(Vec<Difference>, Vec<String>)> {
    let found = differences(entries);
    write_differences(&found, &out.join("differences.tsv")).map_err(of_benchmark)?;
    let first = entries.first().map_or("", |entry| entry.model.as_str());
    let (mut rows, mut words) = (Vec::new(), Vec::new());
    for (model, comparison) in &found {
        let comparison = match comparison {
            Ok(comparison) => comparison,
            Err(why) => {
                words.push(format!("{model} is not held against {first}: {why}."));
                continue;
            }
        };
        words.push(comparison.verdict.sentence(model, first));
        let metrics = [
            ("macro AP", &comparison.average_precision),
            ("macro AUC", &comparison.roc_auc),
        ];
        for (metric, found) in metrics {
            let interval = found.interval.value();
            let interval = interval.map(|found| (found.estimate, found.low, found.high));
            let tests = [
                &found.p_over_subjects,
                &found.p_over_stimuli,
                &found.p_over_both,
            ];
            let p = tests.map(|p| p.value().copied());
            rows.push((model.clone(), metric, comparison.seeds, interval, p));
        }
    }
    words.extend(
        against_ridges(entries)
            .iter()
            .flat_map(|against| against.sentences()),
    );
    Ok((rows, words))
}

fn of_benchmark(error: compare::Error) -> PyErr {
    match error {
        compare::Error::Run(error) => raised(error),
        compare::Error::NoValidation => ConfigError::new_err(
            "settings are chosen on validation parts of the training side, and split_validation_fraction is 0: set it above \
             0, or leave budget out",
        ),
        other => MusedError::new_err(other.to_string()),
    }
}

/// Names of models, and what they are.
#[pyfunction]
pub(crate) fn models() -> Vec<(&'static str, &'static str)> {
    MODELS
        .iter()
        .map(|model| (model.name, model.description))
        .collect()
}
