//! What a command runs on: processors, a GPU, memory.

use std::time::Duration;

use clap::Args;

use crate::signals;

#[derive(Debug, Args)]
pub(crate) struct ThreadArgs {
    /// CPU threads [default: all]; the result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

impl ThreadArgs {
    pub(crate) fn count(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(all, usize::from)
    }
}

#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// What networks run on: the best GPU that this build reaches, else the processor; see `mused devices`
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = mused::DEVICE_NAMES)]
    device: String,
}

impl DeviceArgs {
    /// Has networks run on what was asked for, and says so where that is a GPU.
    pub(crate) fn choose(&self) -> anyhow::Result<()> {
        let found = mused::use_device(&self.device)?;
        if found.by != "cpu" {
            eprintln!("networks run on {found}");
        }
        if found.software {
            eprintln!(
                "this is no GPU but a program that acts as one, for tests: --device cpu is faster"
            );
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(crate) struct MemoryArgs {
    /// Memory to keep to, e.g. 8GB, by fewer models side by side [default: what the machine, control groups and ulimit
    /// leave]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory: Option<u64>,
}

impl MemoryArgs {
    /// Keeps the process to the memory asked for.
    pub(crate) fn limit(&self) {
        if let Some(bytes) = self.memory {
            mused::limit_memory(bytes);
        }
    }

    /// What was asked for.
    pub(crate) fn asked(&self) -> Option<u64> {
        self.memory
    }
}

/// A time in words.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a time such as 30m or 3h50m".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct TimeArgs {
    /// Stop and save after this time, e.g. 3h50m, with exit code 130; the same command goes on
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time_limit: Option<Duration>,
}

impl TimeArgs {
    /// Has the process asked to stop when the time is over.
    pub(crate) fn limit(&self) {
        if let Some(time) = self.time_limit {
            signals::stop_after(time);
        }
    }
}

/// A size in bytes, kB, MB, GB or TB.
fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    let factor = match unit.to_ascii_lowercase().trim_end_matches('b') {
        "" => Some(1.0),
        "k" => Some(1e3),
        "m" => Some(1e6),
        "g" => Some(1e9),
        "t" => Some(1e12),
        _ => None,
    };
    let number = number.trim().parse::<f64>().ok().filter(|n| *n > 0.0);
    let size = number.zip(factor).map(|(number, factor)| number * factor);
    size.map(|size| size as u64)
        .ok_or_else(|| "expected a size such as 8GB or 500MB".to_owned())
}
