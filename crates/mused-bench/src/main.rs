//! Seconds of whole training steps, of single convolutions, of ridge maps and of CLIP's image encoder, one JSON line each.
//!
//! `cargo run --release -p mused-bench -- roi` (`volume`, `layers`, `maps`, `clip FOLDER`). The programs of `bench/` time PyTorch
//! at the same work and put the two side by side.

mod clip;
mod layers;
mod maps;
mod step;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use mused_kernels::{Bf16, Device, KernelBackend, Training, gpus, keep_freed_memory};
use serde_json::{Value, json};

#[derive(Debug, Parser)]
#[command(about = "Seconds of training steps, convolutions and CLIP, one JSON line each")]
struct Cli {
    #[command(subcommand)]
    what: What,
    /// cpu, cuda or vulkan
    #[arg(long, default_value = "cpu", global = true)]
    device: String,
    /// CPU threads
    #[arg(long, default_value_t = 2, global = true)]
    threads: usize,
    /// Samples or pictures at once
    #[arg(long, default_value_t = 2, global = true)]
    batch: usize,
    /// Times that count, after one that does not
    #[arg(long, default_value_t = 5, global = true)]
    runs: usize,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A training step of the ROI Transformer of the published size: 32 regions, dim 512, 8 heads, 6 blocks
    Roi {
        /// Numbers that linear layers multiply, on processors with avx512_bf16 bf16 too
        #[arg(long, default_value = "single", value_parser = ["single", "bf16"])]
        precision: String,
    },
    /// A training step of BrainFormer-18 on the published grid
    Volume,
    /// Every convolution of BrainFormer-18, by direction
    Layers,
    /// Ridge maps of one region of a large subject onto guidance and labels, on the processor
    Maps,
    /// Pictures through CLIP's image encoder
    Clip {
        /// Folder of the model
        folder: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let _kept = keep_freed_memory();
    let cli = Cli::parse();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(cli.threads)
        .build()?;
    let found = gpus().into_iter().find(|found| found.by == cli.device);
    let (device, name) = match found {
        Some(found) => (found.device, found.to_string()),
        None if cli.device == "cpu" => (Device::Cpu, format!("{} threads", cli.threads)),
        None => anyhow::bail!("no device {} here", cli.device),
    };
    pool.install(|| match device {
        Device::Cpu => measure::<mused_kernels::Cpu>(&cli, &name),
        #[cfg(feature = "gpu")]
        Device::Gpu => measure::<mused_kernels::Wgpu>(&cli, &name),
        #[cfg(feature = "cuda")]
        Device::Cuda => {
            mused_kernels::keep_compiled_kernels();
            measure::<mused_kernels::Cuda>(&cli, &name)
        }
    })
}

fn measure<B: KernelBackend>(cli: &Cli, device: &str) -> anyhow::Result<()> {
    let print = |what: &str, mut of: Value| {
        of["what"] = json!(what);
        of["device"] = json!(device);
        of["batch"] = json!(cli.batch);
        println!("{of}");
    };
    match &cli.what {
        What::Roi { precision } => {
            let products = products::<B>(precision)?;
            let mut of = step::roi::<Training<B>>(cli.batch, cli.runs, products)?;
            of["precision"] = json!(precision);
            print("roi", of);
        }
        What::Volume => print("volume", step::volume::<Training<B>>(cli.batch, cli.runs)?),
        What::Maps => print("maps", maps::region::<B>(cli.runs)?),
        What::Clip { folder } => print("clip", clip::images::<B>(folder, cli.batch, cli.runs)?),
        What::Layers => layers::all::<B>(cli.batch, cli.runs, |of| print("layer", of))?,
    }
    Ok(())
}

/// What linear layers multiply by; `None` in single precision.
fn products<B: KernelBackend>(precision: &str) -> anyhow::Result<Option<Bf16>> {
    if precision == "single" {
        return Ok(None);
    }
    let here = match B::device_name(&Default::default()) {
        None => Bf16::detect(),
        Some(_) => None,
    };
    here.map(Some).context("no processor with avx512_bf16 here")
}

/// Median and all of the seconds that something takes, after once that does not count.
fn seconds<B: KernelBackend>(
    runs: usize,
    mut run: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<(f64, Vec<f64>)> {
    let device = Default::default();
    let mut all = Vec::with_capacity(runs);
    for number in 0..=runs.max(1) {
        let start = Instant::now();
        run()?;
        B::sync(&device).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let took = start.elapsed().as_secs_f64();
        eprintln!("{number}: {took:.4} s");
        if number > 0 {
            all.push(took);
        }
    }
    let mut sorted = all.clone();
    sorted.sort_by(f64::total_cmp);
    Ok((sorted[sorted.len() / 2], all))
}
