use std::collections::HashMap;
use std::path::Path;

use mused_data::{Dataset, Labels, order_shown};
use mused_kernels::TrainBackend;
use mused_run::{Layers, Run};
use mused_stats::permutation::{Exchange, relabelling};
use ndarray::Axis;

use crate::training::{resume, train_relabelled};
use crate::{Outcome, Progress, Result, TrainRequest};

/// Trains the run `out` as `run` was trained, its stimuli labelled as others are: relabelling `index`, of training and
/// test stimuli together. Responses and guiding features stay with their stimuli. Continues where it was interrupted.
///
/// # Errors
/// When training fails.
pub fn retrain_relabelled<B: TrainBackend>(
    run: &Run,
    dataset: &Dataset,
    index: u64,
    out: &Path,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let config = run.config()?;
    let relabelled = relabelled(dataset, config.split.seed, index)?;
    if Run::exists(out) {
        return resume::<B>(&relabelled, out, threads, progress);
    }
    let request = TrainRequest {
        dataset: &relabelled,
        layers: &Layers::of(&config)?,
        run: out,
        threads,
    };
    train_relabelled::<B>(&request, Some(index), progress)
}

/// The dataset with the labels of its stimuli exchanged. Stimuli and groups count in the order in which they were shown:
/// a shift along a circle is one of time, whatever their names.
fn relabelled(dataset: &Dataset, seed: u64, index: u64) -> Result<Dataset> {
    let places = order_shown(dataset);
    let mut in_order: Vec<usize> = (0..places.len()).collect();
    in_order.sort_by_key(|&stimulus| places[stimulus]);
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let groups: Vec<usize> = (in_order.iter())
        .map(|&stimulus| {
            let next = numbers.len();
            *numbers
                .entry(&dataset.stimuli[stimulus].group)
                .or_insert(next)
        })
        .collect();
    let taken = relabelling(&groups, Exchange::of(&groups), seed, index);
    let of: Vec<usize> = places.iter().map(|&place| in_order[taken[place]]).collect();
    Ok(dataset.with_labels(Labels {
        names: dataset.labels.names.clone(),
        matrix: dataset.labels.matrix.select(Axis(0), &of),
    })?)
}
