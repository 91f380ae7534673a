//! CLIP features of a dataset's stimuli: the guidance of both tokens.
//!
//! The low level is an early layer of the image encoder, the high level the joint space of images and
//! captions (Zhou et al., ICLR 2024, section 3.2). Work is done a batch at a time, kept on disk as it
//! goes and found again after an interruption.

mod encode;
mod error;
mod extract;
mod frames;
mod made;
mod pictures;
mod store;

pub use encode::{PictureModel, encode_pictures, encode_texts};
pub use error::{Error, Result};
pub use extract::{Extraction, Guide, Outcome, extract};
pub use made::Made;
pub use mused_clip::Tokens;
#[cfg(feature = "hub")]
pub use mused_clip::hub;
pub use pictures::Pictures;
