//! CLIP (Radford et al. 2021): image and text encoders, tokenizer and preprocessing for models in the directory layout
//! of Hugging Face.
//!
//! [`Clip`] opens a model directory. [`Images`] and [`Texts`] turn images and captions into
//! [pooled and projected](Encoded) outputs or the [states between layers](HiddenStates); [`Images::features`] and
//! [`Texts::projected`] give what guides a decoder.
//!
//! Weights of 16 bits are widened: all arithmetic is in f32.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod clip;
mod config;
mod error;
mod features;
#[cfg(feature = "hub")]
pub mod hub;
mod identity;
mod image_encoder;
mod preprocess;
mod text_encoder;
mod tokenizer;
mod transformer;
mod weights;

pub use clip::{Clip, Images, Texts};
pub use config::{Activation, ClipConfig, ImageConfig, TextConfig};
pub use error::{Error, Result};
pub use features::{ImageFeatures, Tokens, encoding_bytes, unit_rows};
pub use identity::settings_sha256;
pub use image_encoder::{Encoded, ImageEncoder, Pixels};
pub use preprocess::{CropRounding, Preprocess, RgbImage, Scaled};
pub use text_encoder::TextEncoder;
pub use tokenizer::Tokenizer;
pub use transformer::HiddenStates;
pub use weights::weights_sha256;
