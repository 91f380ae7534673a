//! What fits into the memory there is: a step of one model, and how many models side by side.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use mused_data::FitBytes;
use mused_model::DecoderConfig;
use mused_run::TrainConfig;

use crate::crew::AtOnce;
use crate::{Error, Result};

/// About the bytes of a training step beside `kept` ones; refused where there are not as many, with what would fit.
///
/// # Errors
/// Names the two sizes and the micro-batch to set; or sizes that no model can have.
pub(crate) fn check(model: &DecoderConfig, train: &TrainConfig, kept: u64) -> Result<u64> {
    let at_once = match train.micro_batch {
        0 => train.batch_size,
        size => size.min(train.batch_size),
    };
    let needed = bytes(model, train.ensemble, at_once, kept)?;
    let what = format!("{at_once} samples at once need");
    refuse_beyond(&what, needed, |free| {
        advice(model, train.ensemble, at_once, kept, free)
    })?;
    Ok(needed)
}

/// Refuses what needs more bytes than can be had: `what` ends in "need" or "needs", `advice` says what would fit in those that
/// are free.
///
/// # Errors
/// Names the two sizes and the advice.
pub fn refuse_beyond(
    what: &str,
    needed: u64,
    advice: impl FnOnce(u64) -> Result<String>,
) -> Result<()> {
    match available_memory() {
        Some(free) if needed > free => Err(Error::Request(format!(
            "{what} about {} of memory, {} are free; {}",
            in_words(needed),
            in_words(free),
            advice(free)?
        ))),
        // Where the system does not say, the work itself will tell.
        _ => Ok(()),
    }
}

/// Refuses a closed form that there is no memory for, on one thread even.
///
/// # Errors
/// Names the two sizes.
pub(crate) fn check_fit(fit: FitBytes, samples: usize, width: usize) -> Result<()> {
    let what = format!("ridge regression on {samples} samples of {width} values needs");
    refuse_beyond(&what, fit.with(1), |_| {
        Ok("choose regions, or fewer components (model.roi_components)".to_owned())
    })
}

/// Bytes of a step of so many networks side by side.
fn bytes(model: &DecoderConfig, networks: usize, samples: usize, kept: u64) -> Result<u64> {
    let step = model.step_bytes(samples)?;
    Ok(step.saturating_mul(networks as u64).saturating_add(kept))
}

/// What of a step that is too large would fit.
fn advice(
    model: &DecoderConfig,
    networks: usize,
    at_once: usize,
    kept: u64,
    available: u64,
) -> Result<String> {
    let needs = |samples| bytes(model, networks, samples, kept);
    let mut fitting = at_once.checked_next_power_of_two().unwrap_or(usize::MAX) / 2;
    while fitting > 0 && needs(fitting)? > available {
        fitting /= 2;
    }
    Ok(match fitting {
        0 => "not even one fits: choose a smaller network or model.grid".to_owned(),
        size => format!(
            "set train.micro_batch to {size} (about {})",
            in_words(needs(size)?)
        ),
    })
}

/// As much memory, in units that leave something of it.
fn in_words(bytes: u64) -> String {
    match bytes < 100_000_000 {
        true => format!("{:.1} MB", bytes as f64 / 1e6),
        false => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Bytes that this process may use in all, where its user said so; 0 where not.
static LIMIT: AtomicU64 = AtomicU64::new(0);

/// Bounds the memory of this process: fewer models are fitted side by side, and what does not fit is refused.
pub fn limit_memory(bytes: u64) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// How many of `tasks` models are fitted side by side, and on how many of the threads in all; one with a share of the threads
/// takes `bytes`. Where they do not fit with all threads, they have as many as there is memory for.
pub(crate) fn at_once(bytes: impl Fn(usize) -> u64, tasks: usize, threads: usize) -> AtOnce {
    let available = available_memory().unwrap_or(u64::MAX);
    divided(available, bytes, tasks, threads)
}

fn divided(available: u64, bytes: impl Fn(usize) -> u64, tasks: usize, threads: usize) -> AtOnce {
    // Who is left when others end has their threads as well.
    let fits = |workers: usize, threads: usize| {
        (1..=workers).all(|left| bytes(threads / left).saturating_mul(left as u64) <= available)
    };
    for workers in (1..=tasks.min(threads)).rev() {
        let mut fewer = (workers..=threads).rev();
        let Some(threads) = fewer.find(|threads| fits(workers, *threads)) else {
            continue;
        };
        let more = match workers == threads {
            true => workers..=(2 * workers - 1).min(tasks),
            // They would have fewer threads each.
            false => workers..=workers,
        };
        let held = |last: &usize| bytes(1).saturating_mul(*last as u64) <= available;
        let last = more.rev().find(held).unwrap_or(workers);
        return AtOnce {
            workers,
            last,
            threads,
        };
    }
    AtOnce {
        workers: 1,
        last: 1,
        threads: 1,
    }
}

/// Refuses maps of aligned inputs that there is no memory for.
///
/// # Errors
/// With how many threads there would be.
pub(crate) fn check_maps(maps: FitBytes, threads: usize) -> Result<()> {
    let what = "the maps of a subject into aligned inputs need";
    refuse_beyond(what, maps.with(threads), |free| {
        let fits = |fewer: &usize| maps.with(*fewer) <= free;
        Ok(match (1..threads).rev().find(fits) {
            Some(fewer) => format!("set --threads to {fewer}"),
            None => "choose regions, or fewer components (model.components)".to_owned(),
        })
    })
}

/// Bytes that can still be had, as far as the system and its user say: what the machine has left, the control groups of
/// the process, its own limits.
fn available_memory() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let used = |key: &str| field(&status, key).unwrap_or(0);
    let limits = read("/proc/self/limits");
    let limit = match LIMIT.load(Ordering::Relaxed) {
        0 => None,
        bytes => Some(bytes.saturating_sub(used("VmRSS:"))),
    };
    let own = [
        ("Max address space", "VmSize:"),
        ("Max data size", "VmData:"),
        ("Max resident set", "VmRSS:"),
    ]
    .map(|(name, key)| Some(soft(&limits, name)?.saturating_sub(used(key))));
    let machine = field(&read("/proc/meminfo"), "MemAvailable:");
    let groups = groups(&read("/proc/self/cgroup"));
    own.into_iter()
        .chain([limit, machine])
        .flatten()
        .chain(groups)
        .min()
}

/// A figure of the kernel in kB, as bytes.
fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(1024 * line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?)
}

/// A soft limit of the process, where there is one.
fn soft(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the control groups that the process is in have left, each group's and those above it.
fn groups(of_process: &str) -> Vec<u64> {
    let mut left = Vec::new();
    for line in of_process.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, names) = match controllers {
            "" => ("/sys/fs/cgroup", ["memory.max", "memory.current"]),
            "memory" => (
                "/sys/fs/cgroup/memory",
                ["memory.limit_in_bytes", "memory.usage_in_bytes"],
            ),
            _ => continue,
        };
        for group in Path::new(group.trim_start_matches('/')).ancestors() {
            let folder = Path::new(root).join(group);
            let number = |name: &str| -> Option<u64> {
                let text = fs::read_to_string(folder.join(name)).ok()?;
                text.trim().parse().ok()
            };
            // Pages of files that the kernel gives back when they are needed.
            let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
            let cached = stat
                .lines()
                .find_map(|line| line.strip_prefix("inactive_file "));
            let cached = cached
                .and_then(|bytes| bytes.trim().parse().ok())
                .unwrap_or(0);
            if let [Some(limit), Some(used)] = names.map(number) {
                left.push(limit.saturating_sub(used.saturating_sub(cached)));
            }
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use mused_model::{BrainFormerConfig, Depth};

    use super::*;
    use mused_run::Config;

    #[test]
    fn too_large_a_step_says_what_fits() {
        let model =
            DecoderConfig::BrainFormer(BrainFormerConfig::published(Depth::Eighteen, 9, 53));
        let text = advice(&model, 1, 64, 0, 3_000_000_000).unwrap();
        assert!(text.contains("train.micro_batch to 8"), "{text}");
        let text = advice(&model, 1, 64, 0, 1000).unwrap();
        assert!(text.contains("not even one fits"), "{text}");

        let mut train = Config::default().train;
        train.batch_size = 10_000_000;
        let refused = check(&model, &train, 0);
        assert!(refused.is_err() || available_memory().is_none());
        train.micro_batch = 1;
        train.batch_size = 64;
        check(&model, &train, 0).unwrap();
        let refused = check(&model, &train, u64::MAX / 2);
        assert!(refused.is_err() || available_memory().is_none());
    }

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max data size             unlimited            unlimited            bytes     \n\
                      Max address space         4194304000           unlimited            bytes     \n";
        assert_eq!(soft(limits, "Max address space"), Some(4_194_304_000));
        assert_eq!(soft(limits, "Max data size"), None);
        let status = "Name:\tmused\nVmRSS:\t    2048 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(2 << 20));
        assert_eq!(groups("0::/nowhere/that/is\n12:cpu:/\n"), groups("0::/\n"));
    }

    #[test]
    fn as_many_work_as_there_are_threads_tasks_and_memory_for() {
        let divided = |available, bytes: &dyn Fn(usize) -> u64, tasks, threads| {
            let at_once = divided(available, bytes, tasks, threads);
            (at_once.workers, at_once.last, at_once.threads)
        };
        assert_eq!(divided(100, &|_| 1, 3, 8), (3, 3, 8));
        assert_eq!(divided(100, &|_| 1, 8, 2), (2, 3, 2));
        assert_eq!(divided(100, &|_| 1, 8, 6), (6, 8, 6));
        assert_eq!(divided(100, &|_| 12, 20, 6), (6, 8, 6));
        assert_eq!(divided(100, &|_| 50, 8, 4), (2, 2, 4));
        assert_eq!(divided(100, &|_| 101, 8, 2), (1, 1, 1));
        // Where each thread takes its own, one model with all of them takes no less, and one with fewer does.
        let by_thread = |threads| 30 * threads as u64;
        assert_eq!(divided(100, &by_thread, 8, 2), (2, 3, 2));
        assert_eq!(divided(100, &by_thread, 8, 4), (3, 3, 3));
        assert_eq!(divided(100, &by_thread, 1, 8), (1, 1, 3));
    }

    #[test]
    fn maps_too_large_are_refused_with_the_threads_that_fit() {
        let maps = |held, by_thread| FitBytes {
            held,
            sums: 0,
            by_thread,
        };
        check_maps(maps(1000, 1000), 8).unwrap();
        if available_memory().is_none() {
            return;
        }
        let refused = |maps| check_maps(maps, 8).unwrap_err().to_string();
        assert!(refused(maps(u64::MAX, 1)).contains("choose regions"));
        assert!(refused(maps(1000, 1 << 60)).contains("choose regions"));
        let most = available_memory().unwrap_or(0) / 2;
        let message = refused(maps(1000, most - most / 4));
        assert!(message.contains("set --threads to 2"), "{message}");
    }

    #[test]
    fn a_grid_too_small_for_the_strides_is_refused() {
        let mut config = BrainFormerConfig::published(Depth::Ten, 1, 2);
        config.grid = [4, 4, 4];
        let refused = check(
            &DecoderConfig::BrainFormer(config),
            &Config::default().train,
            0,
        );
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("[4, 4, 4] is too small"), "{message}");
    }
}
