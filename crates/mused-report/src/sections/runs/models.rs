use mused_results::seeds::Seeded;
use mused_run::{Results, Run};

use crate::input::ScoredRun;

/// Runs that differ in their seed alone.
pub(super) struct Model<'a> {
    pub(super) name: String,
    /// Seed and run of those with results.
    pub(super) runs: Vec<(Option<u64>, Scored<'a>)>,
    /// Whether it is ridge regression.
    pub(super) is_ridge: bool,
    /// Why others have none.
    pub(super) failures: Vec<&'a str>,
}

/// A run with results.
pub(super) struct Scored<'a> {
    pub(super) run: &'a Run,
    pub(super) results: &'a Results,
}

/// The runs by model, in the order of the models' first runs.
pub(super) fn models<'a>(runs: &[&'a ScoredRun]) -> Vec<Model<'a>> {
    let named = runs
        .iter()
        .map(|run| (without_seed(&run.name).to_owned(), run.seed(), *run));
    let models = Seeded::grouped(named, |a, b| a.same_but_for_seed(b));
    models.into_iter().map(model).collect()
}

/// The part of a run's name that is not its seed.
fn without_seed(name: &str) -> &str {
    name.split_once("/seed-").map_or(name, |(model, _)| model)
}

fn model(seeded: Seeded<&ScoredRun>) -> Model<'_> {
    let name = match seeded.runs.as_slice() {
        [(_, only)] => only.name.clone(),
        _ => seeded.model,
    };
    let config = seeded
        .runs
        .first()
        .and_then(|(_, run)| run.config.as_ref().ok());
    let is_ridge = config.is_some_and(|config| {
        config.model.family.is_ridge() && !config.model.inputs.shuffled_brain
    });
    let (mut runs, mut failures) = (Vec::new(), Vec::new());
    for (seed, run) in seeded.runs {
        match &run.results {
            Ok(results) => runs.push((
                seed,
                Scored {
                    run: &run.run,
                    results,
                },
            )),
            Err(why) => failures.push(why.as_str()),
        }
    }
    Model {
        name,
        runs,
        is_ridge,
        failures,
    }
}
