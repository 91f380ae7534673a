use std::path::Path;

use mused_kernels::KernelBackend;

use crate::Result;
use crate::config::ClipConfig;
use crate::image_encoder::ImageEncoder;
use crate::text_encoder::TextEncoder;
use crate::weights::Weights;

/// Both encoders.
pub struct Clip<B: KernelBackend> {
    images: ImageEncoder<B>,
    texts: TextEncoder<B>,
}

impl<B: KernelBackend> Clip<B> {
    /// Opens a directory.
    ///
    /// # Errors
    /// ...
    pub fn open(folder: impl AsRef<Path>, device: &B::Device) -> Result<Self> {
        let folder = folder.as_ref();
        let config = ClipConfig::open(folder.join("config.json"))?;
        let weights = Weights::open(folder)?;
        let mut shapes = ImageEncoder::<B>::shapes(&config);
        shapes.extend(TextEncoder::<B>::shapes(&config));
        weights.check(&shapes)?;
        Ok(Self {
            images: ImageEncoder::load(&weights, &config, device)?,
            texts: TextEncoder::load(&weights, &config, device)?,
        })
    }

    /// The image encoder.
    pub fn images(&self) -> &ImageEncoder<B> {
        &self.images
    }

    /// The text encoder.
    pub fn texts(&self) -> &TextEncoder<B> {
        &self.texts
    }
}
