//! Seconds to encode a batch of images, and how far the result is from PyTorch's (`bench/clip_pytorch.py` makes the
//! model and the reference).
//!
//! `cargo run --release -p mused-clip --example clip-bench -- FOLDER [RUNS]`
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use mused_clip::{Images, Pixels};
use mused_kernels::{Cpu, keep_freed_memory};
use safetensors::SafeTensors;

fn main() -> Result<(), Box<dyn Error>> {
    let _kept = keep_freed_memory();
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: bench FOLDER [RUNS]")?;
    let runs: usize = arguments.next().map_or(Ok(5), |runs| runs.parse())?;
    let start = Instant::now();
    let images = Images::<Cpu>::open(&folder, &Default::default())?;
    eprintln!("opened in {:.3} s", start.elapsed().as_secs_f64());
    let bytes = std::fs::read(Path::new(&folder).join("reference.safetensors"))?;
    let file = SafeTensors::deserialize(&bytes)?;
    let floats = |name: &str| -> Result<Vec<f32>, Box<dyn Error>> {
        let words = file.tensor(name)?.data().as_chunks().0;
        Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
    };
    let size = images.encoder().config().image_size;
    let pixels = Pixels::new(size, floats("pixel_values")?)?;
    let (mut times, mut cpu) = (vec![], cpu_seconds());
    for run in 0..=runs {
        let start = Instant::now();
        let projected = images.encoder().encode(&pixels)?.projected;
        let found = projected
            .into_data()
            .to_vec::<f32>()
            .map_err(|e| format!("{e:?}"))?;
        let seconds = start.elapsed().as_secs_f64();
        if run > 0 {
            times.push(seconds);
            continue;
        }
        cpu = cpu_seconds();
        let expected = floats("image_embeds")?;
        let scale = expected.iter().fold(0.0_f32, |max, v| max.max(v.abs()));
        let pairs = found.iter().zip(&expected);
        let error = pairs.fold(0.0_f32, |max, (f, e)| max.max((f - e).abs()));
        eprintln!("largest difference {error:.2e}, largest value {scale:.2e}");
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    let cpu = (cpu_seconds() - cpu) / runs as f64;
    println!("mused: median {median:.3} s, {cpu:.3} s of processor time a run, of {times:.3?}");
    Ok(())
}

/// Processor time of all threads so far, where the system tells (Linux): it says more than the clock on a busy machine.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the program's name in parentheses: user and system time are fields 14 and 15, in hundredths of a second.
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|f| f.parse::<u64>().ok())
        .sum();
    ticks as f64 / 100.0
}
