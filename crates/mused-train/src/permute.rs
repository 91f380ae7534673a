use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use mused_data::{Dataset, Labels, order_shown};
use mused_kernels::TrainBackend;
use mused_run::{Layers, Run};
use mused_stats::permutation::{Exchange, relabelling};
use ndarray::Axis;

use crate::training::{Made, refuse_other_recipe, resume, train_as};
use crate::{Error, Outcome, Progress, Result, TrainRequest};

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
    if run.record().adapted.is_some() {
        return Err(Error::Request(format!(
            "{} was adapted, not trained: train the relabelled models of the run it came from",
            run.path().display()
        )));
    }
    let config = run.resolved_config()?;
    refuse_other_recipe(run, &config, dataset)?;
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
    train_as::<B>(&request, Made::Relabelled(index), progress)
}

/// The dataset with the labels of its stimuli exchanged. A shift along a circle is one of time: stimuli then count in the
/// order in which they were shown, whatever their names.
fn relabelled(dataset: &Dataset, seed: u64, index: u64) -> Result<Dataset> {
    let places = order_shown(dataset);
    let mut by_time: Vec<usize> = (0..places.len()).collect();
    by_time.sort_by_key(|&stimulus| places[stimulus]);
    let by_row: Vec<usize> = (0..places.len()).collect();
    let exchange = |order: &[usize]| Exchange::of(&groups(dataset, order), &labels(dataset, order));
    // Where time decides, stimuli count in the order shown.
    let (timed, named) = (exchange(&by_time), exchange(&by_row));
    let (order, exchange) = match [timed, named].into_iter().find(|found| found.in_time()) {
        Some(exchange) => (by_time, exchange),
        None => (by_row, named),
    };
    let groups = match exchange {
        Exchange::Blocks => pools(dataset, &order),
        _ => groups(dataset, &order),
    };
    let taken = relabelling(&groups, &labels(dataset, &order), exchange, seed, index);
    let mut of = vec![0; order.len()];
    for (&stimulus, taken) in order.iter().zip(taken) {
        of[stimulus] = order[taken];
    }
    Ok(dataset.with_labels(Labels {
        names: dataset.labels.names.clone(),
        matrix: dataset.labels.matrix.select(Axis(0), &of),
    })?)
}

/// Labels of each stimulus of a list.
fn labels(dataset: &Dataset, stimuli: &[usize]) -> Vec<Vec<u32>> {
    let labels = |&stimulus: &usize| {
        let row = dataset.labels.matrix.row(stimulus);
        let there = (0..).zip(row).filter(|(_, has)| **has == 1);
        there.map(|(label, _)| label).collect()
    };
    stimuli.iter().map(labels).collect()
}

/// Numbers of the groups of each stimulus of a list, apart where other subjects saw it.
fn pools(dataset: &Dataset, stimuli: &[usize]) -> Vec<usize> {
    let mut viewers = vec![BTreeSet::new(); dataset.stimuli.len()];
    for (subject, data) in dataset.subjects.iter().enumerate() {
        for trial in data.trials.iter() {
            viewers[trial.stimulus].insert(subject);
        }
    }
    let mut number = HashMap::new();
    let pools = stimuli.iter().map(|&stimulus| {
        let next = number.len();
        let group = &dataset.stimuli[stimulus].group;
        *number.entry((group, &viewers[stimulus])).or_insert(next)
    });
    pools.collect()
}

/// Group of each stimulus of a list, numbered in alphabetical order.
fn groups(dataset: &Dataset, stimuli: &[usize]) -> Vec<usize> {
    let names = stimuli
        .iter()
        .map(|&stimulus| dataset.stimuli[stimulus].group.as_str());
    let known: BTreeSet<&str> = names.clone().collect();
    let number: HashMap<&str, usize> = known.into_iter().zip(0..).collect();
    names.map(|name| number[name]).collect()
}

#[cfg(test)]
mod tests {
    use mused_data::{Stimulus, Trial, Voxel};
    use ndarray::Array2;

    use super::*;

    /// Two people, two runs each of three blocks of two stimuli of their own: labels move in blocks, within a run of one.
    #[test]
    fn labels_of_runs_move_in_blocks() {
        let all = (0..24).map(|row| (row / 12, row / 6 % 2, row / 2 % 3));
        let all: Vec<(usize, usize, usize)> = all.collect();
        let stimuli: Vec<Stimulus> = (all.iter().enumerate())
            .map(|(row, (_, run, _))| Stimulus {
                group: format!("run{run}"),
                ..Stimulus::new(format!("{row:02}"))
            })
            .collect();
        let ids: Vec<String> = stimuli.iter().map(|stimulus| stimulus.id.clone()).collect();
        let labels = Labels {
            names: ["a", "b", "c"].map(str::to_owned).to_vec(),
            matrix: Array2::from_shape_fn((24, 3), |(row, label)| u8::from(all[row].2 == label)),
        };
        let mut builder = Dataset::builder("blocks", stimuli, labels);
        for (subject, of) in [("01", 0..12), ("02", 12..24)] {
            let trials = builder.trials(&ids[of]).unwrap();
            let responses = Array2::from_shape_fn((12, 1), |(row, _)| row as f32);
            builder
                .subject(subject, trials, Voxel::in_regions(["V1"]), responses)
                .unwrap();
        }
        let dataset = builder.build().unwrap();
        let mut moved = false;
        for index in 0..5 {
            let relabelled = relabelled(&dataset, 0, index).unwrap();
            let after = &relabelled.labels.matrix;
            moved |= *after != dataset.labels.matrix;
            for (run, label) in (0..4).flat_map(|run| (0..3).map(move |label| (run, label))) {
                let rows = (6 * run..6 * run + 6).filter(|&row| after[[row, label]] == 1);
                let [first, second] = rows.collect::<Vec<_>>()[..] else {
                    panic!("label {label} left its run");
                };
                assert_eq!((first % 2, second), (0, first + 1));
            }
        }
        assert!(moved);
    }

    /// Three clips of unequal length, shown in another order than the rows of their table.
    #[test]
    fn labels_shift_in_the_order_shown() {
        let clips = [5, 7, 8].into_iter().enumerate();
        let seconds =
            clips.flat_map(|(clip, seconds)| (0..seconds).map(move |second| (clip, second)));
        let seconds: Vec<(usize, usize)> = seconds.collect();
        // Rows by name, where second 10 would come before second 2: backwards is as bad and plainer.
        let stimuli: Vec<Stimulus> = (seconds.iter().rev())
            .map(|(clip, second)| Stimulus {
                group: format!("clip{clip}"),
                ..Stimulus::new(format!("clip{clip}-{second}"))
            })
            .collect();
        let count = stimuli.len();
        let matrix = Array2::from_shape_fn((count, 1), |(row, _)| {
            u8::from((count - 1 - row).is_multiple_of(3))
        });
        let labels = Labels {
            names: vec!["cut".to_owned()],
            matrix,
        };
        let mut builder = Dataset::builder("film", stimuli, labels);
        let trial = |row: usize| Trial {
            onset: Some((count - 1 - row) as f64),
            ..Trial::of(row)
        };
        let trials: Vec<Trial> = (0..count).map(trial).collect();
        let responses = Array2::from_shape_fn((count, 1), |(row, _)| row as f32);
        builder
            .subject("01", trials, Voxel::in_regions(["V1"]), responses)
            .unwrap();
        let dataset = builder.build().unwrap();
        let in_time = |dataset: &Dataset| -> Vec<u8> {
            let labels = dataset.labels.matrix.column(0).to_vec();
            labels.into_iter().rev().collect()
        };
        let before = in_time(&dataset);
        for index in 1..5 {
            let after = in_time(&relabelled(&dataset, 0, index).unwrap());
            let shifted =
                (1..count).any(|by| (0..count).all(|at| after[at] == before[(at + by) % count]));
            assert!(shifted, "{before:?} {after:?}");
        }
    }
}
