//! Fused operations with hand-written gradients for the layers a decoder spends its time in.
//!
//! Every operation exists three times: in plain Burn operations (the default bodies of [`KernelBackend`], right on
//! every backend), as vectorised single-pass loops over `f32` slices for [`Cpu`], and as one autodiff node whose
//! backward pass calls the gradient of whichever backend lies underneath.
//!
//! ```
//! use burn::tensor::Tensor;
//! use mused_kernels::{Cpu, gelu, linear};
//!
//! let device = Default::default();
//! let x = Tensor::<Cpu, 2>::from_data([[1.0, -1.0]], &device);
//! let weight = Tensor::<Cpu, 2>::from_data([[0.5, 0.0, 1.0], [0.5, 1.0, 0.0]], &device);
//! assert_eq!(gelu(linear(x, weight, None)).dims(), [1, 3]);
//! ```
//!
//! Results on [`Cpu`] do not depend on the number of rayon threads: every sum runs over chunks of a fixed size, in a
//! fixed order. Work runs in the rayon pool the caller is in (`ThreadPool::install`), small tensors on the caller alone.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod adam;
mod attention;
mod attention_cpu;
mod attention_inference_cpu;
mod attention_readout;
mod attention_readout_cpu;
mod autodiff;
mod backend;
mod batch_norm;
mod batch_norm_cpu;
mod bf16;
mod conv3d;
mod cpu;
mod device;
mod dropout;
mod fetch;
mod gelu;
#[cfg(any(feature = "gpu", feature = "cuda"))]
mod gpu;
mod layer_norm;
mod layer_norm_cpu;
mod linear;
mod matmul;
mod memory;
mod region_tokens;
mod region_tokens_cpu;
mod simd;

pub use adam::{AdamStep, adam_update, ema_update, sums_of_squares};
pub use attention::{attention, causal_attention};
pub use attention_readout::{Readout, attention_readout};
pub use backend::{Cpu, CpuTraining, KernelBackend, TrainBackend, Training};
pub use batch_norm::{BatchNormOutput, BatchNormState, BatchNormTail, batch_norm, batch_norm_with};
pub use bf16::Bf16;
pub use conv3d::{Window, conv3d};
pub use device::{Device, Found, Queue, gpus};
pub use dropout::{Dropout, dropout, dropout_add};
pub use gelu::{Activation, gelu, quick_gelu};
#[cfg(feature = "gpu")]
pub use gpu::Wgpu;
#[cfg(feature = "cuda")]
pub use gpu::{Cuda, keep_compiled_kernels};
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_activated};
pub use matmul::row_products;
pub use memory::{Heap, KeptMemory, keep_freed_memory, return_freed_memory, share_heap};
pub use region_tokens::{Regions, region_tokens};
