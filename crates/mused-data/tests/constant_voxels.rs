//! A voxel that never varies stays constant, whatever its level and however often each stimulus was shown.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use mused_data::map::{self, Quantity};
use mused_data::{
    Arrangement, Dataset, InputReader, InputTransform, Labels, Stimulus, Voxel, mean_responses,
    samples,
};
use ndarray::Array2;

const STIMULI: usize = 8;
const LEVEL: f32 = 14.62;

/// How often a stimulus is shown: 1, 3, 5 or 7 times.
fn times(stimulus: usize) -> usize {
    2 * (stimulus % 4) + 1
}

/// A subject whose voxels of V1 vary, and whose voxels of FFA are constant, the last but for its last bit.
fn dataset() -> Dataset {
    let ids: Vec<String> = (0..STIMULI).map(|index| format!("s{index}")).collect();
    let labels = Labels {
        names: vec!["shown often".to_owned()],
        matrix: Array2::from_shape_fn((STIMULI, 1), |(stimulus, _)| u8::from(times(stimulus) > 3)),
    };
    let stimuli = ids.iter().map(Stimulus::new).collect();
    let mut builder = Dataset::builder("constant", stimuli, labels);
    let shown = (0..7).flat_map(|round| {
        let again = ids.iter().enumerate();
        again.filter(move |(stimulus, _)| times(*stimulus) > round)
    });
    let trials = builder.trials(shown.map(|(_, id)| id)).unwrap();
    let value = |(row, column): (usize, usize)| match column {
        0 | 1 => ((row * 7 + column * 3) % 11) as f32 / 3.0,
        2 => LEVEL,
        _ => f32::from_bits(LEVEL.to_bits() + (row % 2) as u32),
    };
    let responses = Array2::from_shape_fn((trials.len(), 4), value);
    let voxels = Voxel::in_regions(["V1", "V1", "FFA", "FFA"]);
    builder.subject("01", trials, voxels, responses).unwrap();
    builder.build().unwrap()
}

fn inputs(dataset: &Dataset, z_score: bool) -> Array2<f32> {
    let all: Vec<usize> = (0..STIMULI).collect();
    let samples = samples(dataset, &[0], &all);
    let transform =
        InputTransform::fit(dataset, Arrangement::Regions, z_score, &samples, &[]).unwrap();
    let reader = InputReader::new(dataset, Arc::new(transform), &[0]).unwrap();
    reader.read(&samples.iter().collect::<Vec<_>>()).unwrap()
}

#[test]
fn repeats_average_to_the_same_value() {
    let dataset = dataset();
    let raw = inputs(&dataset, false);
    assert!(raw.column(2).iter().all(|value| *value == LEVEL), "{raw}");
    // The first stimulus is shown once: its bits are those of its trial.
    let mut trial = [0.0; 4];
    dataset.subjects[0].read_response(0, &mut trial).unwrap();
    assert_eq!(raw.row(0).to_vec(), trial);

    let all: Vec<usize> = (0..STIMULI).collect();
    let means = mean_responses(&dataset, &samples(&dataset, &[0], &all), &[2]).unwrap();
    assert!(means.iter().all(|mean| *mean == f64::from(LEVEL)));
}

#[test]
fn z_scored_it_is_zero() {
    let z_scored = inputs(&dataset(), true);
    for voxel in [2, 3] {
        let values = z_scored.column(voxel);
        assert!(values.iter().all(|value| *value == 0.0), "{values}");
    }
    assert!(z_scored.column(0).iter().any(|value| value.abs() > 0.5));
}

#[test]
fn it_has_no_principal_component() {
    let dataset = dataset();
    let all: Vec<usize> = (0..STIMULI).collect();
    let samples = samples(&dataset, &[0], &all);
    let components = Arrangement::Components { most: 2 };
    for z_score in [false, true] {
        let refused = InputTransform::fit(&dataset, components, z_score, &samples, &[]);
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("region FFA never varies"), "{message}");
    }
}

#[test]
fn it_repeats_nothing() {
    let values = map::compute(&dataset(), 0, Quantity::Repeatability).unwrap();
    assert!(values[0].is_finite() && values[1].is_finite(), "{values:?}");
    assert!(values[2].is_nan() && values[3].is_nan(), "{values:?}");
}

#[test]
fn it_is_counted() {
    let problems = dataset().check_arrays().unwrap();
    let message = problems[0].to_string();
    assert!(message.contains("2 of 4 voxels never vary"), "{message}");
}
