//! Decoders with subject tokens (CLIP-MUSED, ICLR 2024) and their losses: the ROI Transformer (section 3.2) and
//! BrainFormer, which reads whole volumes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod brainformer;
mod decoder;
mod encoder;
mod error;
mod initial;
pub mod losses;
mod mlp;
mod roi_transformer;
mod subject_linear;

pub use brainformer::{
    BrainFormer, BrainFormerConfig, Depth, NamedTensors, StateTensor, VolumeBatch,
};
pub use decoder::{Batch, Decoder, DecoderConfig, TokenOutput};
pub use encoder::{EncoderConfig, Noise};
pub use error::{Error, Result};
pub use losses::{LossConfig, LossTerms, Orthogonality, RsaForm, Targets};
pub use mlp::{Mlp, MlpConfig};
pub use roi_transformer::{Identity, Levels, RoiTransformer, RoiTransformerConfig, Tokenizer};
pub use subject_linear::{SubjectLinear, SubjectLinearConfig};
