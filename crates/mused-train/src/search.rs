//! Settings a model is chosen from, and the choice: by validation, a model of the run at a time.

use std::fs;
use std::path::Path;

use mused_formats::npy;
use mused_formats::replace_file;
use mused_formats::table::TableWriter;
use ndarray::{Array2, Axis, Ix2, concatenate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use toml::Value;

use crate::fold::PREDICTIONS;
use crate::journal::{self, EpochRecord};
use crate::plan::Task;
use crate::run::{CONFIG, RunDescription, complete_models};
use crate::{Alignment, Config, Error, Family, Result};

/// Values that differ from the configuration.
pub type Settings = Vec<(&'static str, Value)>;

/// `budget` settings to choose from: the configuration itself first, the others drawn around it.
///
/// Networks draw learning rate (up to 3 times more or less), weight decay (10), epochs (2), dropout (0 to .5) and,
/// where they have them, the weights of guidance and orthogonality (10); regression after alignment the number of
/// shared dimensions (4). The draws of all models are the same. Models without such settings have one candidate.
pub fn candidates(config: &Config, budget: usize) -> Vec<Settings> {
    let mut all = vec![Settings::new()];
    let alone = match config.model.family {
        Family::Prevalence => true,
        Family::Ridge => config.model.alignment == Alignment::None,
        Family::Transformer | Family::Mlp => false,
    };
    if alone {
        return all;
    }
    for index in 1..budget.max(1) {
        let mut rng = ChaCha8Rng::seed_from_u64(config.split.seed);
        rng.set_stream(index as u64);
        let mut factor = |most: f64| most.powf(rng.random_range(-1.0..1.0));
        let rounded = |value: f64| {
            let digits = 10.0_f64.powf(value.abs().log10().floor() - 1.0);
            match value {
                0.0 => value,
                _ => format!("{:.1e}", (value / digits).round() * digits)
                    .parse()
                    .unwrap_or(value),
            }
        };
        let train = &config.train;
        let mut drawn = vec![
            ("train.learning_rate", train.learning_rate * factor(3.0)),
            ("train.weight_decay", train.weight_decay * factor(10.0)),
        ];
        let epochs = (train.epochs as f64 * factor(2.0)).round().max(1.0) as i64;
        let components = config.model.alignment_components as f64 * factor(4.0);
        for (key, weight, guided) in [
            (
                "loss.high",
                config.loss.high,
                config.guidance.high != "none",
            ),
            ("loss.low", config.loss.low, config.guidance.low != "none"),
            ("loss.orthogonality", config.loss.orthogonality, true),
        ] {
            let drawn_weight = weight * factor(10.0);
            if guided && weight > 0.0 && config.model.family == Family::Transformer {
                drawn.push((key, drawn_weight));
            }
        }
        drawn.push(("model.dropout", rng.random_range(0.0..0.5)));
        all.push(match config.model.family {
            Family::Ridge | Family::Prevalence => vec![(
                "model.alignment_components",
                Value::Integer(components.round().max(1.0) as i64),
            )],
            Family::Transformer | Family::Mlp => {
                let numbers = drawn
                    .into_iter()
                    .map(|(key, value)| (key, Value::Float(rounded(value))));
                numbers
                    .chain([("train.epochs", Value::Integer(epochs))])
                    .collect()
            }
        });
    }
    all
}

/// Puts a run together whose models are, a fold at a time, those of the candidates with the best validation average
/// precision (the earliest of equals). `settings` describes the candidates. `chosen.tsv` says which.
///
/// # Errors
/// A candidate that is not complete, or that has no validation part.
pub fn choose(candidates: &[&Path], settings: &[Settings], run: &Path) -> Result<()> {
    let Some(first) = candidates.first() else {
        return Err(Error::Request("no candidate to choose from".to_owned()));
    };
    let tasks = complete_models(first)?;
    let records = candidates
        .iter()
        .map(|candidate| journal::read(candidate))
        .collect::<Result<Vec<_>>>()?;
    fs::create_dir_all(run).map_err(Error::io("cannot create", run))?;
    let path = run.join("chosen.tsv");
    let columns = [
        "model",
        "candidate",
        "candidates",
        "validation_ap",
        "settings",
    ];
    let mut table = TableWriter::create(&path, &columns)?;
    let (mut kept, mut predictions) = (String::new(), Vec::new());
    for task in &tasks {
        let scores = records.iter().map(|records| best(records, task));
        let scores: Option<Vec<f64>> = scores.collect();
        let scores = scores.ok_or_else(|| {
            Error::Request(format!(
                "{}: {} has no validation scores to choose settings by: set split.validation_fraction above 0",
                first.display(),
                task.name()
            ))
        })?;
        let mut chosen = 0;
        for (candidate, score) in scores.iter().enumerate() {
            if *score > scores[chosen] {
                chosen = candidate;
            }
        }
        let (from, to) = (task.folder(candidates[chosen]), task.folder(run));
        copy(&from, &to)?;
        predictions.push(matrix(&to.join(PREDICTIONS))?);
        for record in records[chosen].iter().filter(|record| record.is_of(task)) {
            kept.push_str(&journal::line(&path, record)?);
        }
        let own = settings.get(chosen).into_iter().flatten();
        let own: Vec<String> = own.map(|(key, value)| format!("{key}={value}")).collect();
        table.write_row([
            &task.name(),
            &chosen.to_string(),
            &candidates.len().to_string(),
            &format!("{:.4}", scores[chosen]),
            &own.join(" "),
        ])?;
    }
    table.finish()?;
    for name in [
        CONFIG,
        "labels.tsv",
        "split.tsv",
        "trials.tsv",
        "targets.npy",
    ] {
        let from = first.join(name);
        fs::copy(&from, run.join(name)).map_err(Error::io("cannot copy", &from))?;
    }
    replace_file(run.join(journal::METRICS), kept.as_bytes())?;
    let views: Vec<_> = predictions.iter().map(|array| array.view()).collect();
    let all = concatenate(Axis(0), &views).map_err(|error| Error::Request(error.to_string()))?;
    npy::write_npy_f32(run.join(PREDICTIONS), all.view())?;
    RunDescription::read(first)?.finish(run)
}

/// The best validation average precision of a model over its epochs.
fn best(records: &[EpochRecord], task: &Task) -> Option<f64> {
    let own = records.iter().filter(|record| record.is_of(task));
    let scores = own.filter_map(|record| Some(record.validation.as_ref()?.average_precision));
    scores.max_by(f64::total_cmp)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(Error::io("cannot create", to))?;
    for entry in fs::read_dir(from).map_err(Error::io("cannot list", from))? {
        let entry = entry.map_err(Error::io("cannot list", from))?;
        let path = entry.path();
        fs::copy(&path, to.join(entry.file_name())).map_err(Error::io("cannot copy", &path))?;
    }
    Ok(())
}

fn matrix(path: &Path) -> Result<Array2<f32>> {
    let array = npy::read_npy_f32(path)?.into_dimensionality::<Ix2>();
    array.map_err(|error| Error::invalid(path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layers;

    fn config(model: &str) -> Config {
        let mut layers = Layers::preset("default").unwrap();
        layers.model(model).unwrap();
        layers.config().unwrap()
    }

    #[test]
    fn every_model_draws_the_same_and_only_what_it_reads() {
        let guided = candidates(&config("clip-mused"), 4);
        let unguided = candidates(&config("no-guidance"), 4);
        assert_eq!((guided.len(), unguided.len()), (4, 4));
        assert!(guided[0].is_empty());
        for (guided, unguided) in guided.iter().zip(&unguided) {
            assert!(unguided.iter().all(|setting| guided.contains(setting)));
            assert!(!unguided.iter().any(|(key, _)| key.starts_with("loss.")));
        }
        assert!(guided[1].iter().any(|(key, _)| *key == "loss.high"));
        assert_ne!(guided[1], guided[2]);
        assert_eq!(candidates(&config("ridge-pooled"), 4).len(), 1);
        let aligned = candidates(&config("srm-ridge"), 3);
        assert!(
            aligned[1..]
                .iter()
                .all(|own| own[0].0 == "model.alignment_components")
        );
        // Settings must be ones that the configuration takes.
        let mut layers = Layers::preset("default").unwrap();
        for (key, value) in guided.into_iter().flatten() {
            layers.insert(key, value, "candidate").unwrap();
        }
        layers.config().unwrap();
    }
}
