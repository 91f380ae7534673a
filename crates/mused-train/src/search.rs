//! Settings a model is chosen from, and the choice: by validation, a model of the run at a time.

use std::path::Path;

use mused_formats::make_folder;
use mused_formats::table::TableWriter;
use mused_run::{Config, EpochRecord, Family, Run, Task};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use toml::Value;

use crate::{Error, Result};

/// Values that differ from the configuration.
pub type Settings = Vec<(&'static str, Value)>;

/// `budget` settings to choose from: the configuration itself first, the others drawn around it.
///
/// Networks draw learning rate (up to 3 times more or less), weight decay (10), epochs (2), dropout (0 to .5) and,
/// where they have them, the weights of guidance and orthogonality (10); regression after alignment the number of
/// shared dimensions (4). The draws of all models are the same. Models without such settings have one candidate.
pub fn candidates(config: &Config, budget: usize) -> Vec<Settings> {
    let mut all = vec![Settings::new()];
    let (family, tokens) = (&config.model.family, config.model.family.tokens());
    let dimensions = match family {
        Family::AlignedRidge(model) => Some(model.alignment_components),
        family if family.by_steps() => None,
        _ => return all,
    };
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
        let components = dimensions.unwrap_or(0) as f64 * factor(4.0);
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
            if guided && weight > 0.0 && tokens.contains(&true) {
                drawn.push((key, drawn_weight));
            }
        }
        let dropout = rng.random_range(0.0..0.5);
        if !matches!(family, Family::BrainFormer(_)) {
            drawn.push(("model.dropout", dropout));
        }
        all.push(match dimensions {
            Some(_) => vec![(
                "model.alignment_components",
                Value::Integer(components.round().max(1.0) as i64),
            )],
            None => {
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
    let candidates = candidates.iter().map(Run::open);
    let candidates: Vec<Run> = candidates.collect::<mused_run::Result<_>>()?;
    let Some(first) = candidates.first() else {
        return Err(Error::Request("no candidate to choose from".to_owned()));
    };
    let records = candidates.iter().map(|candidate| {
        candidate.refuse_incomplete()?;
        candidate.epochs()
    });
    let records: Vec<Vec<EpochRecord>> = records.collect::<mused_run::Result<_>>()?;
    make_folder(run).map_err(Error::io("cannot create", run))?;
    let columns = [
        "model",
        "candidate",
        "candidates",
        "validation_ap",
        "settings",
    ];
    let mut table = TableWriter::create(Run::chosen_path(run), &columns)?;
    let mut parts = Vec::with_capacity(first.tasks().len());
    for task in first.tasks() {
        let scores = records.iter().map(|records| best(records, task));
        let scores: Option<Vec<f64>> = scores.collect();
        let scores = scores.ok_or_else(|| {
            Error::Request(format!(
                "{}: {} has no validation scores to choose settings by: its validation part is empty, or no label is had by \
                 some of it and not by others; give it more with split.validation_fraction",
                first.path().display(),
                task.name()
            ))
        })?;
        let mut chosen = 0;
        for (candidate, score) in scores.iter().enumerate() {
            if *score > scores[chosen] {
                chosen = candidate;
            }
        }
        parts.push((&candidates[chosen], task));
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
    Run::assemble(run, &parts)?;
    Ok(())
}

/// The best validation average precision of a model over its epochs.
fn best(records: &[EpochRecord], task: &Task) -> Option<f64> {
    let own = records.iter().filter(|record| record.is_of(task));
    let scores = own.filter_map(|record| Some(record.validation.as_ref()?.average_precision));
    scores.max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mused_run::Layers;

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
