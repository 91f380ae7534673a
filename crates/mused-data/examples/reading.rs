//! Reads every sample of a volume dataset in random order, as an epoch of training does; the other
//! side is `bench/reading.py`.
//!
//! `reading make DIR SAMPLES VOXELS` simulates the dataset, `reading DIR` reads it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use mused_data::{
    Arrangement, Dataset, DatasetWriter, Description, InputReader, InputTransform, Kind, Labels,
    Response, Stimulus, Trial, Voxel, samples,
};
use mused_formats::npy::Dtype;
use ndarray::Array2;
use rand::seq::SliceRandom;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The published volume.
const SHAPE: [i32; 3] = [113, 136, 113];
const BATCH: usize = 64;

fn make(folder: &Path, count: usize, voxels: usize) -> Result<(), Box<dyn Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    // A ball about the middle: runs of voxels along the last axis, as a brain has.
    let middle = SHAPE.map(|length| f64::from(length) / 2.0);
    let mut all: Vec<[i32; 3]> = Vec::new();
    for i in 0..SHAPE[0] {
        for j in 0..SHAPE[1] {
            all.extend((0..SHAPE[2]).map(|k| [i, j, k]));
        }
    }
    let distance = |at: &[i32; 3]| -> f64 {
        let axes = at.iter().zip(middle);
        axes.map(|(at, middle)| (f64::from(*at) - middle).powi(2))
            .sum()
    };
    all.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    all.truncate(voxels);
    all.sort_unstable();
    let voxels: Vec<Voxel> = all
        .into_iter()
        .map(|at| Voxel {
            roi: "brain".to_owned(),
            coordinate: Some(at),
            reference: None,
        })
        .collect();
    let stimuli = (0..count).map(|index| Stimulus::new(format!("second-{index:05}")));
    let trials: Vec<Trial> = (0..count)
        .map(|stimulus| Trial {
            stimulus,
            session: 1,
            run: 1,
            onset: None,
            repeat: 1,
        })
        .collect();
    let labels = Labels {
        names: vec!["any".to_owned()],
        matrix: Array2::from_shape_fn((count, 1), |(row, _)| (row % 2) as u8),
    };
    let description = Description::new("reading", Kind::Volume, Response::Voxels);
    let mut writer = DatasetWriter::create(folder, description, stimuli.collect(), &labels)?;
    let mut subject = writer.subject("simulated", &trials, &voxels, Dtype::F16)?;
    let mut row = vec![0.0_f32; voxels.len()];
    for _ in 0..count {
        row.iter_mut()
            .for_each(|value| *value = rng.random::<f32>() - 0.5);
        subject.write_response(&row)?;
    }
    subject.finish()?;
    writer.finish()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [verb, folder, count, voxels] if verb == "make" => {
            make(Path::new(folder), count.parse()?, voxels.parse()?)
        }
        [folder] => {
            let dataset = Dataset::open(folder)?;
            let stimuli: Vec<usize> = (0..dataset.stimuli.len()).collect();
            let mut all = samples(&dataset, &[0], &stimuli);
            let range = Some(SHAPE.map(|length| [0, length]));
            let grid = Arrangement::Grid { range };
            let transform = InputTransform::fit(&dataset, grid, false, &all, &[])?;
            let reader = InputReader::new(&dataset, Arc::new(transform), &[0])?;
            all.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
            let (start, mut sum) = (Instant::now(), 0.0_f64);
            for batch in all.chunks(BATCH) {
                let values = reader.read(&batch.iter().collect::<Vec<_>>())?;
                sum += f64::from(values[[0, values.ncols() / 2]]);
            }
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "{} samples, {:.3} s, {:.3} ms a sample ({sum:.3})",
                all.len(),
                seconds,
                1e3 * seconds / all.len() as f64
            );
            Ok(())
        }
        _ => Err("expected make DIR SAMPLES VOXELS, or DIR".into()),
    }
}
