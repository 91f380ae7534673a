//! CLIP (Radford et al. 2021): image and text encoders, tokenizer and preprocessing for models in the directory layout
//! of Hugging Face.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod clip;
mod config;
mod error;
mod image_encoder;
mod preprocess;
mod text_encoder;
mod tokenizer;
mod transformer;
mod weights;

pub use clip::Clip;
pub use config::{Activation, ClipConfig, ImageConfig, TextConfig};
pub use error::{Error, Result};
pub use image_encoder::{Encoded, ImageEncoder, Pixels};
pub use preprocess::{CropRounding, Preprocess, RgbImage};
pub use text_encoder::TextEncoder;
pub use tokenizer::Tokenizer;
pub use transformer::HiddenStates;
pub use weights::weights_sha256;
