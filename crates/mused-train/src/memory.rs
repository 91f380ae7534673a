//! Whether a training step fits the memory of the machine.

use std::fs;

use mused_model::DecoderConfig;
use mused_run::TrainConfig;

use crate::{Error, Result};

/// About the bytes of a training step; refused where there are not as many, with what would fit.
///
/// # Errors
/// Names the two sizes and the micro-batch to set; or sizes that no model can have.
pub(crate) fn check(model: &DecoderConfig, train: &TrainConfig) -> Result<u64> {
    let at_once = match train.micro_batch {
        0 => train.batch_size,
        size => size.min(train.batch_size),
    };
    let needed = model.step_bytes(at_once)?;
    match available() {
        Some(available) if needed > available => {
            Err(Error::Request(advice(model, at_once, needed, available)?))
        }
        // Where the system does not say, the step itself will tell.
        _ => Ok(needed),
    }
}

/// The bytes of the training inputs of a closed form: as they are read, in double precision, and centred; refused where
/// there are not as many.
///
/// # Errors
/// Names the two sizes.
pub(crate) fn check_inputs(width: usize, samples: usize) -> Result<u64> {
    let needed = (samples as u64).saturating_mul(width as u64 * (4 + 8 + 8));
    match available() {
        Some(available) if needed > available => Err(Error::Request(format!(
            "ridge regression holds all inputs of a fold: {samples} samples of {width} values take {:.1} GB, {:.1} GB \
             are free; choose regions, or fewer components (model.roi_components)",
            needed as f64 / 1e9,
            available as f64 / 1e9
        ))),
        _ => Ok(needed),
    }
}

fn advice(model: &DecoderConfig, at_once: usize, needed: u64, available: u64) -> Result<String> {
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let (needed, free) = (gigabytes(needed), gigabytes(available));
    let mut fitting = at_once.checked_next_power_of_two().unwrap_or(usize::MAX) / 2;
    while fitting > 0 && model.step_bytes(fitting)? > available {
        fitting /= 2;
    }
    let advice = match fitting {
        0 => "not even one fits: choose a smaller network or model.grid".to_owned(),
        size => format!(
            "set train.micro_batch to {size} (about {})",
            gigabytes(model.step_bytes(size)?)
        ),
    };
    Ok(format!(
        "{at_once} samples at once need about {needed} of memory, {free} are free; {advice}"
    ))
}

/// Bytes that can still be had, where the system says so: Linux's own figure, and the limit of the
/// control group the process runs in.
fn available() -> Option<u64> {
    let information = fs::read_to_string("/proc/meminfo").ok()?;
    let line = information
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    let number = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse().ok()
    };
    let group = number("memory.max")
        .zip(number("memory.current"))
        .map(|(limit, used)| limit.saturating_sub(used));
    Some(group.map_or(1024 * kilobytes, |left| left.min(1024 * kilobytes)))
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
        let needed = model.step_bytes(64).unwrap();
        let text = advice(&model, 64, needed, 3_000_000_000).unwrap();
        assert!(text.contains("3.0 GB are free"), "{text}");
        assert!(text.contains("train.micro_batch to 8"), "{text}");
        let text = advice(&model, 64, needed, 1000).unwrap();
        assert!(text.contains("not even one fits"), "{text}");

        let mut train = Config::default().train;
        train.batch_size = 10_000_000;
        let refused = check(&model, &train);
        assert!(refused.is_err() || available().is_none());
        train.micro_batch = 1;
        train.batch_size = 64;
        check(&model, &train).unwrap();
    }

    #[test]
    fn a_grid_too_small_for_the_strides_is_refused() {
        let mut config = BrainFormerConfig::published(Depth::Ten, 1, 2);
        config.grid = [4, 4, 4];
        let refused = check(
            &DecoderConfig::BrainFormer(config),
            &Config::default().train,
        );
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("[4, 4, 4] is too small"), "{message}");
    }
}
