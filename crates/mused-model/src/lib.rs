//! The ROI Transformer with subject tokens (CLIP-MUSED, ICLR 2024, section 3.2) and its losses.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod encoder;
mod initial;
pub mod losses;
mod roi_transformer;

pub use encoder::{EncoderConfig, Noise};
pub use losses::{LossConfig, LossTerms, Orthogonality, RsaForm, Targets};
pub use roi_transformer::{RoiBatch, RoiTransformer, RoiTransformerConfig, TokenOutput};
