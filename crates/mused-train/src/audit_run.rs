use mused_data::audit::{Finding, Leak, Report, audit};
use mused_kernels::TrainBackend;
use mused_run::Run;

use crate::families::learner;
use crate::plan::Plan;
use crate::reading::settle;
use crate::training::controlled;
use crate::{Result, inputs};

/// Searches a complete run for leaks: its dataset, as it was read and divided as `split.tsv` says, and its input
/// statistics, which must be those of the training samples alone.
///
/// # Errors
/// A run that is not complete; a dataset that is not where it was, or not what it was.
pub fn audit_run<B: TrainBackend>(run: &Run) -> Result<Report> {
    run.refuse_incomplete()?;
    let mut config = run.resolved_config()?;
    let dataset = controlled(&run.dataset(None)?, &config);
    settle(&mut config, &dataset)?;
    let learner = learner::<B>(&config);
    let mut plan = Plan::new(&dataset, &config, learner.as_ref())?;
    plan.folds = run.division()?.folds(&dataset)?;
    let mut report = audit(&dataset, &plan.folds, config.audit.near_duplicate)?;
    for task in run.tasks() {
        let stored = inputs::read(run, task)?;
        let (fitted, _) = plan.transform(&dataset, &config, task, |_, fit| Ok(fit()?))?;
        if stored != fitted {
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
