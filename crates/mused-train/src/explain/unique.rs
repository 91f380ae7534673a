//! What a region says that no other says: ridge regression fitted again without it.

use mused_data::{Dataset, Layout};
use mused_kernels::TrainBackend;
use mused_run::{Family, Run};
use ndarray::Array2;

use super::rows::TestRows;
use super::{PartDrop, occlusion, output, patterns};
use crate::families::{LinearModel, learner};
use crate::plan::Plan;
use crate::training::controlled;
use crate::{Error, Result};

/// Fits ridge regression (the run's own, or the one beside a network) again without each region and says what scores, and
/// those of each label, lose: what the region alone says. What [`explain`](super::explain) takes away without fitting
/// again, others may say too. Adds `unique_labels.tsv` to the explanation that is there.
///
/// `progress` is told how many of how many fits are done.
///
/// # Errors
/// A run without ridge regression, or that reads one region alone; what fitting meets.
pub fn unique_contributions<B: TrainBackend>(
    run: &Run,
    dataset: &Dataset,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<PartDrop>> {
    let refused = |why: &str| {
        let path = run.path().display();
        Error::Request(format!(
            "{path}: no region can be left out of ridge regression: {why}"
        ))
    };
    let linear =
        patterns::linear(run, &run.resolved_config()?, dataset).map_err(|why| refused(&why))?;
    let config = linear.resolved_config()?;
    if !matches!(config.model.family, Family::Ridge(_)) {
        return Err(refused("its regions become a common space first"));
    }
    let dataset = controlled(dataset, &config);
    let learner = learner::<B>(&config);
    let plan = Plan::new(&dataset, &config, learner.as_ref())?;
    let rows = TestRows::read(&linear, &dataset)?;
    let mut without: Vec<(String, Array2<f32>)> = Vec::new();
    for (done, task) in plan.tasks.iter().enumerate() {
        let transform = plan.transform(&dataset, &config, task, |_, fit| Ok(fit()?))?;
        let data = plan.load(&dataset, &config, learner.as_ref(), task, transform)?;
        let Layout::Regions { slots } = &data.transform.layout else {
            return Err(refused("it reads a volume, not regions"));
        };
        if slots.len() < 2 {
            return Err(refused("it reads one region alone"));
        }
        let own = rows.of_task(&dataset, task);
        for (part, slot) in slots.iter().enumerate() {
            progress(done * slots.len() + part, plan.tasks.len() * slots.len());
            let model = LinearModel::fit(&config, &data, task, Some(&slot.name))?;
            let found = model.of_test(&data)?;
            let place = without.iter().position(|(name, _)| *name == slot.name);
            let place = place.unwrap_or_else(|| {
                // A region that a subject lacks takes nothing from it.
                without.push((slot.name.clone(), rows.probabilities.clone()));
                without.len() - 1
            });
            for (&row, found) in own.iter().zip(found.rows()) {
                without[place].1.row_mut(row).assign(&found);
            }
        }
    }
    let drops = without.iter();
    let drops = drops.map(|(name, found)| occlusion::drop(&rows, &dataset, name, found));
    let drops: Vec<PartDrop> = drops.collect::<Result<_>>()?;
    output::labels(
        &run.explain_folder().join("unique_labels.tsv"),
        &dataset,
        &drops,
    )?;
    Ok(drops)
}
