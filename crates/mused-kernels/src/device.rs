//! What there is to compute on.

use std::fmt;

/// What networks are trained on and asked on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// A GPU by Vulkan, or by Metal on macOS.
    #[cfg(feature = "gpu")]
    Gpu,
    /// A GPU of NVIDIA by CUDA.
    #[cfg(feature = "cuda")]
    Cuda,
}

/// A device that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub device: Device,
    /// What its maker calls it.
    pub name: String,
    /// By what it is reached: `cpu`, `cuda`, `vulkan`, `metal`.
    pub by: String,
    /// A program that computes as a GPU would, on the processor: for tests.
    pub software: bool,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let software = if self.software { ", in software" } else { "" };
        write!(f, "{} ({}{software})", self.name, self.by)
    }
}

/// The queue that what a thread asks of a GPU stands in.
#[derive(Clone, Copy, Debug)]
pub struct Queue(#[cfg(any(feature = "gpu", feature = "cuda"))] cubecl::stream_id::StreamId);

impl Queue {
    /// That of this thread.
    pub fn current() -> Self {
        Self(
            #[cfg(any(feature = "gpu", feature = "cuda"))]
            cubecl::stream_id::StreamId::current(),
        )
    }

    /// Has what `ask` asks stand in this queue, on whatever thread: in one of that thread's own it would keep memory of its own.
    pub fn run<T>(self, ask: impl FnOnce() -> T) -> T {
        #[cfg(any(feature = "gpu", feature = "cuda"))]
        return self.0.executes(ask);
        #[cfg(not(any(feature = "gpu", feature = "cuda")))]
        ask()
    }
}

/// The GPUs that this build reaches, the ones to prefer first.
pub fn gpus() -> Vec<Found> {
    #[allow(unused_mut)]
    let mut found = Vec::new();
    #[cfg(feature = "cuda")]
    found.extend(cuda());
    #[cfg(feature = "gpu")]
    found.extend(graphics());
    found.sort_by_key(|found: &Found| found.software);
    found
}

#[cfg(feature = "cuda")]
fn cuda() -> Vec<Found> {
    use cudarc::driver::CudaContext;

    // The driver is loaded by name; where there is none, loading it panics.
    #[allow(unsafe_code)]
    // SAFETY: only looks whether the library can be loaded.
    let driver = unsafe { cudarc::driver::sys::is_culib_present() };
    let count = match driver {
        true => CudaContext::device_count().unwrap_or(0),
        false => 0,
    };
    let name = |index| CudaContext::new(index).and_then(|context| context.name());
    let found = |index| {
        Some(Found {
            device: Device::Cuda,
            name: name(index as usize).ok()?,
            by: "cuda".to_owned(),
            software: false,
        })
    };
    (0..count).filter_map(found).collect()
}

#[cfg(feature = "gpu")]
fn graphics() -> Vec<Found> {
    use wgpu::{Backends, DeviceType, Instance, InstanceDescriptor};

    // What the engine takes.
    let backends = match cfg!(target_os = "macos") {
        true => Backends::METAL,
        false => Backends::VULKAN,
    };
    let instance = Instance::new(InstanceDescriptor {
        backends,
        ..InstanceDescriptor::new_without_display_handle()
    });
    let adapters = cubecl::future::block_on(instance.enumerate_adapters(backends));
    let found = |adapter: wgpu::Adapter| {
        let of = adapter.get_info();
        Found {
            device: Device::Gpu,
            name: of.name,
            by: of.backend.to_str().to_owned(),
            software: of.device_type == DeviceType::Cpu,
        }
    };
    adapters.into_iter().map(found).collect()
}
