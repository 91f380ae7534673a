//! By what the linear layers of a network multiply in its training steps.

use mused_kernels::{Bf16, TrainBackend};
use mused_run::{Precision, TrainConfig};

use crate::{Error, Result};

/// Products in bf16 where they are asked for; `None` in single precision.
///
/// # Errors
/// A device, or a processor, without them.
pub(super) fn products<B: TrainBackend>(train: &TrainConfig) -> Result<Option<Bf16>> {
    if train.precision == Precision::Single {
        return Ok(None);
    }
    let lacking = match (B::device_name(&Default::default()), Bf16::detect()) {
        (None, Some(products)) => return Ok(Some(products)),
        (None, None) => {
            "this processor has no bf16 instructions (avx512_bf16): leave it at \"single\", or train on one that has them"
        }
        (Some(_), _) => {
            "it is for processors: leave it at \"single\" on a GPU, or train with --device cpu"
        }
    };
    Err(Error::Request(format!(
        "train.precision is \"bf16\", and {lacking}"
    )))
}
