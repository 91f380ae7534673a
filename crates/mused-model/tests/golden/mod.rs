//! Weights, volumes and outputs of the BrainFormers in this folder, for the tests of every crate that reads them.
#![allow(dead_code)] // every test binary uses a part

use mused_model::{NamedTensors, StateTensor};
use safetensors::SafeTensors;

pub(crate) const NARROW: &[u8] = include_bytes!("brainformer_narrow.safetensors");
pub(crate) const NARROW_PARAMETERS: &str = include_str!("brainformer_narrow_parameters.tsv");
pub(crate) const FULL: &[u8] = include_bytes!("brainformer_18_full.safetensors");
pub(crate) const FULL_PARAMETERS: &str = include_str!("brainformer_18_parameters.tsv");

/// The stream of this folder's README.
pub(crate) fn stream(seed: u64, count: usize) -> impl Iterator<Item = f32> {
    (1..=count as u64).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

pub(crate) fn volumes(count: usize) -> Vec<f32> {
    stream(7, count).map(|u| 0.5 * u + 0.5).collect()
}

/// Names and shapes of a table's tensors, the counts of batches left out.
pub(crate) fn parameters(table: &str) -> impl Iterator<Item = (&str, Vec<usize>)> {
    let rows = table.lines().skip(1).map(|row| row.split_once('\t'));
    rows.flatten()
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .map(|(name, shape)| (name, shape.split('x').map(|n| n.parse().unwrap()).collect()))
}

/// Names of what is learned, in the order of their seeds: 1000, 1001, …
pub(crate) fn learned(table: &str) -> impl Iterator<Item = &str> {
    let names = parameters(table).map(|(name, _)| name);
    names.filter(|name| !name.contains(".running_"))
}

/// Weights from the stream; norms that `starts_at_zero` names are scattered around 0, not 1.
pub(crate) fn weights(table: &str, starts_at_zero: impl Fn(&str) -> bool) -> NamedTensors {
    let mut seeds = 1000..;
    let tensor = |(name, shape): (&str, Vec<usize>)| {
        let count = shape.iter().product();
        let fan_in: usize = shape[1..].iter().product();
        let (scale, offset) = match shape.len() {
            1 if name.ends_with("weight") && !starts_at_zero(name) => (0.1, 1.0),
            1 => (0.1, 0.0),
            _ if name.ends_with("token") => (1.0, 0.0),
            _ => ((6.0 / fan_in as f64).sqrt() as f32, 0.0),
        };
        let values = match name.rsplit_once(".running_") {
            Some((_, statistic)) => vec![if statistic == "var" { 1.0 } else { 0.0 }; count],
            None => stream(seeds.next().unwrap(), count)
                .map(|u| scale * u + offset)
                .collect(),
        };
        (name.to_owned(), StateTensor { shape, values })
    };
    parameters(table).map(tensor).collect()
}

pub(crate) fn narrow_weights() -> NamedTensors {
    weights(NARROW_PARAMETERS, |name| {
        name.contains("norm") || name.starts_with("layer") && name.ends_with("bn2.weight")
    })
}

pub(crate) fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let words = file.tensor(name).unwrap().data().as_chunks::<4>().0;
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

pub(crate) fn subjects(file: &SafeTensors<'_>) -> Vec<usize> {
    let words = file.tensor("subject").unwrap().data().as_chunks::<8>().0;
    let subjects = words.iter().map(|word| i64::from_le_bytes(*word) as usize);
    subjects.collect()
}
