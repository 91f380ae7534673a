use std::path::Path;

use mused_data::audit::{Finding, Leak, Report, audit};
use mused_data::{Dataset, Fold};
use mused_formats::table::Table;

use crate::fold::INPUTS;
use crate::plan::Plan;
use crate::run::{RunDescription, complete_models, config_of};
use crate::{Error, Result, inputs};

/// Searches a complete run for leaks: its dataset, divided as `split.tsv` says, and its input statistics, which must be
/// those of the training samples alone.
///
/// # Errors
/// A run that is not complete; a dataset that is not where it was, or not what it was.
pub fn audit_run(run: &Path) -> Result<Report> {
    let models = complete_models(run)?;
    let dataset = Dataset::open(RunDescription::read(run)?.dataset_path())?;
    RunDescription::read(run)?.check_dataset(&dataset, run)?;
    let config = config_of(run)?;
    let mut plan = Plan::new(&dataset, &config)?;
    plan.folds = division(&dataset, run)?;
    let mut report = audit(&dataset, &plan.folds, config.audit.near_duplicate)?;
    for task in &models {
        let stored = inputs::read(&task.folder(run).join(INPUTS))?;
        if stored != plan.transform(&dataset, &config, task)? {
            report.findings.push(Finding {
                leak: Leak::Statistics,
                evidence: format!(
                    "{}: input statistics are not those of its training samples",
                    task.name()
                ),
            });
        }
    }
    Ok(report)
}

/// The folds of a run, as its `split.tsv` has them.
pub(crate) fn division(dataset: &Dataset, run: &Path) -> Result<Vec<Fold>> {
    let path = run.join("split.tsv");
    let table = Table::read(&path)?;
    let folds = table.column("fold")?.parse::<usize>()?;
    let parts = table.column("part")?.strings()?;
    let stimuli = table.column("stimulus_id")?.strings()?;
    let places: std::collections::HashMap<&str, usize> = dataset
        .stimuli
        .iter()
        .map(|s| s.id.as_str())
        .zip(0..)
        .collect();
    let count = folds.iter().max().map_or(0, |last| last + 1);
    let empty = || Fold {
        train: Vec::new(),
        validation: Vec::new(),
        test: Vec::new(),
    };
    let mut division: Vec<Fold> = (0..count.min(dataset.stimuli.len()))
        .map(|_| empty())
        .collect();
    for ((fold, part), id) in folds.into_iter().zip(parts).zip(stimuli) {
        let refused = |what: &str| Error::invalid(&path, format!("unknown {what} of {id}"));
        let stimulus = *places.get(id).ok_or_else(|| refused("stimulus"))?;
        let fold = division.get_mut(fold).ok_or_else(|| refused("fold"))?;
        match part {
            "train" => fold.train.push(stimulus),
            "validation" => fold.validation.push(stimulus),
            "test" => fold.test.push(stimulus),
            _ => return Err(refused("part")),
        }
    }
    for fold in &mut division {
        for part in [&mut fold.train, &mut fold.validation, &mut fold.test] {
            part.sort_unstable();
        }
    }
    Ok(division)
}
