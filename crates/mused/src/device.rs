//! Where networks run: one device for the process.

use std::sync::Mutex;

use mused_kernels::{Device, Found, gpus};

use crate::{Error, Result};

static CHOSEN: Mutex<Device> = Mutex::new(Device::Cpu);

/// Names that [`use_device`] takes.
pub const DEVICE_NAMES: [&str; 5] = ["auto", "cpu", "vulkan", "metal", "cuda"];

/// The processor, and the GPUs that this build reaches.
pub fn devices() -> Vec<Found> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = Found {
        device: Device::Cpu,
        name: format!("{cpus} processors"),
        by: "cpu".to_owned(),
        software: false,
    };
    [vec![cpu], gpus()].concat()
}

/// Trains and asks networks on a device from now on: `auto` takes the best GPU there is, else the processor, which all
/// start with. Baselines without steps run on the processor always.
///
/// Same seed, same bits holds on the processor; on a GPU for the same GPU and driver.
///
/// # Errors
/// A device that this build does not reach or that is not here, with those that are.
pub fn use_device(name: &str) -> Result<Found> {
    let all = devices();
    let fits = |found: &&Found| match name {
        "auto" => found.device != Device::Cpu && !found.software,
        name => found.by == name,
    };
    let cpu = || all.iter().find(|found| name == "auto" && found.by == "cpu");
    let Some(found) = all.iter().find(fits).or_else(cpu) else {
        let here: Vec<String> = all.iter().map(ToString::to_string).collect();
        let build = match name {
            "cuda" if cfg!(not(feature = "cuda")) => "cuda",
            "vulkan" | "metal" if cfg!(not(feature = "gpu")) => "gpu",
            _ => "",
        };
        let build = match build {
            "" => String::new(),
            feature => {
                format!("; this build of mused has no {name}: build it with `--features {feature}`")
            }
        };
        return Err(Error::Device {
            name: name.to_owned(),
            here: here.join(", "),
            build,
        });
    };
    #[cfg(feature = "cuda")]
    if found.device == Device::Cuda {
        mused_kernels::keep_compiled_kernels();
    }
    *CHOSEN
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner()) = found.device;
    Ok(found.clone())
}

/// The device that networks run on.
pub(crate) fn chosen() -> Device {
    *CHOSEN
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// An expression on the engine of a device, `$engine` with gradients or without.
macro_rules! on_device {
    ($device:expr, $engine:ident => $body:expr) => {
        match $device {
            mused_kernels::Device::Cpu => {
                type $engine = mused_kernels::Cpu;
                $body
            }
            #[cfg(feature = "gpu")]
            mused_kernels::Device::Gpu => {
                type $engine = mused_kernels::Wgpu;
                $body
            }
            #[cfg(feature = "cuda")]
            mused_kernels::Device::Cuda => {
                type $engine = mused_kernels::Cuda;
                $body
            }
        }
    };
}
