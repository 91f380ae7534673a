//! The crops of image files, for comparison with Pillow's (`tests/make_pillow_reference.py raw`).
//!
//! `cargo run --release -p mused-clip --example crops -- SIZE REFERENCE FILES...` prints how many values differ and by
//! how much; seconds on stderr.
use std::error::Error;
use std::time::Instant;

use mused_clip::{Preprocess, RgbImage};
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(size), Some(reference)) = (arguments.next(), arguments.next()) else {
        return Err("usage: crops SIZE REFERENCE FILES...".into());
    };
    let files: Vec<String> = arguments.collect();
    let preprocess = Preprocess::new(size.parse()?);
    let start = Instant::now();
    let images = files.par_iter();
    let crops = images
        .map(|file| preprocess.crop(&RgbImage::open(file)?))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    eprintln!("{:.3} s", start.elapsed().as_secs_f64());
    let expected = std::fs::read(reference)?;
    if expected.len() != crops.len() {
        return Err("another number of values".into());
    }
    let mut counts = [0_u64; 256];
    for (found, expected) in crops.iter().zip(&expected) {
        counts[usize::from(found.abs_diff(*expected))] += 1;
    }
    let sum: u64 = (0..).zip(counts).map(|(level, count)| level * count).sum();
    println!(
        "{} of {} values differ; mean difference {:.5}; largest {}; by more than 1: {}, more than 8: {}",
        crops.len() as u64 - counts[0],
        crops.len(),
        sum as f64 / crops.len() as f64,
        counts.iter().rposition(|count| *count > 0).unwrap_or(0),
        counts[2..].iter().sum::<u64>(),
        counts[9..].iter().sum::<u64>(),
    );
    Ok(())
}
