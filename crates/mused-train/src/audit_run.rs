use mused_data::audit::{Finding, Leak, Report, audit};
use mused_kernels::TrainBackend;
use mused_run::Run;

use crate::families::learner;
use crate::plan::Plan;
use crate::reading::settle;
use crate::training::controlled;
use crate::{Result, adapt, inputs};

/// Searches a complete run for leaks: its dataset, as it was read and divided as `split.tsv` says, and its input
/// statistics, which must be those of the training samples alone (of an adapted run, of the new person's).
///
/// # Errors
/// A run that is not complete; a dataset that is not where it was, or not what it was.
pub fn audit_run<B: TrainBackend>(run: &Run) -> Result<Report> {
    run.refuse_incomplete()?;
    let mut config = run.resolved_config()?;
    let dataset = controlled(&run.dataset(None)?, &config);
    let folds = run.division()?.folds(&dataset)?;
    let mut report = audit(&dataset, &folds, config.audit.near_duplicate)?;
    let adapted = run.record().adapted.is_some();
    let plan = match adapted {
        true => None,
        false => {
            settle(&mut config, &dataset)?;
            let learner = learner::<B>(&config);
            let plan = Plan::new(&dataset, &config, learner.as_ref())?;
            Some(Plan { folds, ..plan })
        }
    };
    for task in run.tasks() {
        let stored = inputs::read(run, task)?;
        let sound = match &plan {
            None => adapt::sound(run, &dataset, &config, task, &stored)?,
            Some(plan) => {
                let (fitted, _) = plan.transform(&dataset, &config, task, |_, fit| Ok(fit()?))?;
                stored == fitted
            }
        };
        if !sound {
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
