use std::path::Path;

use mused_data::{Dataset, Labels};
use mused_kernels::TrainBackend;
use mused_stats::permutation::{Exchange, relabelling};
use ndarray::Axis;

use crate::run::{CONFIG, RUN, resume, train};
use crate::{Layers, Outcome, Progress, Result, TrainRequest};

/// Trains the run `out` as `run` was trained, its stimuli labelled as others are: relabelling `index`, of training and
/// test stimuli together. Responses and guiding features stay with their stimuli. Continues where it was interrupted.
///
/// # Errors
/// When the dataset is not the one of the run, or training fails.
pub fn retrain_relabelled<B: TrainBackend>(
    run: &Path,
    dataset: &Dataset,
    index: u64,
    out: &Path,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let mut layers = Layers::preset("default")?;
    layers.file(&run.join(CONFIG))?;
    let seed = layers.config()?.split.seed;
    let mut groups: Vec<&str> = dataset.stimuli.iter().map(|s| s.group.as_str()).collect();
    let names = groups.clone();
    groups.sort_unstable();
    groups.dedup();
    let number = |name: &&str| groups.binary_search(name).unwrap_or_default();
    let groups: Vec<usize> = names.iter().map(number).collect();
    let taken = relabelling(&groups, Exchange::of(&groups), seed, index);
    let relabelled = dataset.with_labels(Labels {
        names: dataset.labels.names.clone(),
        matrix: dataset.labels.matrix.select(Axis(0), &taken),
    })?;
    if out.join(RUN).is_file() {
        return resume::<B>(&relabelled, out, threads, progress);
    }
    let request = TrainRequest {
        dataset: &relabelled,
        layers: &layers,
        run: out,
        threads,
    };
    train::<B>(&request, progress)
}
