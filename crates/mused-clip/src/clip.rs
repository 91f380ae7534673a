use std::path::Path;

use mused_kernels::KernelBackend;
use ndarray::Array2;

use crate::config::ClipConfig;
use crate::image_encoder::{Encoded, ImageEncoder};
use crate::preprocess::{Preprocess, RgbImage};
use crate::text_encoder::{LEGACY_END, TextEncoder};
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;
use crate::{Error, Result};

/// A CLIP model: preprocessing and tokenizer with their encoders.
///
/// ```no_run
/// use mused_clip::{Clip, RgbImage};
///
/// # fn main() -> mused_clip::Result<()> {
/// let clip = Clip::<mused_kernels::Cpu>::open("clip-vit-base-patch32", &Default::default())?;
/// let image = clip.images().encode(&[RgbImage::open("cat.jpg")?])?;
/// let text = clip.texts().encode(&["a photo of a cat"])?;
/// assert_eq!(image.projected.dims(), text.projected.dims());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Clip<B: KernelBackend> {
    config: ClipConfig,
    images: Images<B>,
    texts: Texts<B>,
}

/// The image half of a model.
#[derive(Debug)]
pub struct Images<B: KernelBackend> {
    preprocess: Preprocess,
    encoder: ImageEncoder<B>,
}

/// The text half of a model.
#[derive(Debug)]
pub struct Texts<B: KernelBackend> {
    tokenizer: Tokenizer,
    encoder: TextEncoder<B>,
}

impl<B: KernelBackend> Clip<B> {
    /// Opens a model directory: `config.json`; weights in `model.safetensors`, `pytorch_model.bin` or the parts that
    /// `model.safetensors.index.json` or `pytorch_model.bin.index.json` names; a [tokenizer](Tokenizer::open).
    ///
    /// # Errors
    /// A file that is missing or not what its name says; [`Error::Contradiction`] with every tensor that is missing or
    /// has another shape than `config.json` gives it.
    pub fn open(folder: impl AsRef<Path>, device: &B::Device) -> Result<Self> {
        let folder = folder.as_ref();
        let config = ClipConfig::open(folder.join("config.json"))?;
        // What is small first: a missing file should not cost the reading of gigabytes.
        let tokenizer = tokenizer(folder, &config)?;
        let preprocess = Preprocess::open(folder, config.image.image_size)?;
        let weights = Weights::open(folder)?;
        let mut shapes = ImageEncoder::<B>::shapes(&config);
        shapes.extend(TextEncoder::<B>::shapes(&config));
        weights.check(&shapes)?;
        Ok(Self {
            images: Images {
                preprocess,
                encoder: ImageEncoder::load(&weights, &config, device)?,
            },
            texts: Texts {
                tokenizer,
                encoder: TextEncoder::load(&weights, &config, device)?,
            },
            config,
        })
    }

    /// Sizes of both encoders.
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// The image half.
    pub fn images(&self) -> &Images<B> {
        &self.images
    }

    /// The text half.
    pub fn texts(&self) -> &Texts<B> {
        &self.texts
    }
}

impl<B: KernelBackend> Images<B> {
    /// Opens the image half alone: no tokenizer is needed, no weight of the text encoder read.
    ///
    /// # Errors
    /// As [`Clip::open`].
    pub fn open(folder: impl AsRef<Path>, device: &B::Device) -> Result<Self> {
        let folder = folder.as_ref();
        let config = ClipConfig::open(folder.join("config.json"))?;
        let preprocess = Preprocess::open(folder, config.image.image_size)?;
        let weights = Weights::open(folder)?;
        weights.check(&ImageEncoder::<B>::shapes(&config))?;
        Ok(Self {
            preprocess,
            encoder: ImageEncoder::load(&weights, &config, device)?,
        })
    }

    /// What happens to an image before it is encoded.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Sets what happens to an image before it is encoded, such as another rounding of the crop.
    ///
    /// # Errors
    /// A size other than the encoder's.
    pub fn with_preprocess(self, preprocess: Preprocess) -> Result<Self> {
        let size = self.encoder.config().image_size;
        if preprocess.size != size {
            return Err(Error::Mismatch {
                what: "preprocessing",
                expected: format!("crops of {size}"),
                found: format!("{}", preprocess.size),
            });
        }
        Ok(Self { preprocess, ..self })
    }

    /// The encoder, for pixels preprocessed elsewhere and for its hidden states.
    pub fn encoder(&self) -> &ImageEncoder<B> {
        &self.encoder
    }

    /// Pooled and projected outputs of a batch of images.
    ///
    /// # Errors
    /// An empty batch.
    pub fn encode(&self, images: &[RgbImage]) -> Result<Encoded<B>> {
        self.encoder.encode(&self.preprocess.pixels(images)?)
    }
}

impl<B: KernelBackend> Texts<B> {
    /// Opens the text half alone: no weight of the image encoder is read.
    ///
    /// # Errors
    /// As [`Clip::open`].
    pub fn open(folder: impl AsRef<Path>, device: &B::Device) -> Result<Self> {
        let folder = folder.as_ref();
        let config = ClipConfig::open(folder.join("config.json"))?;
        let tokenizer = tokenizer(folder, &config)?;
        let weights = Weights::open(folder)?;
        weights.check(&TextEncoder::<B>::shapes(&config))?;
        Ok(Self {
            tokenizer,
            encoder: TextEncoder::load(&weights, &config, device)?,
        })
    }

    /// Text to tokens.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The encoder, for tokens made elsewhere and for its hidden states.
    pub fn encoder(&self) -> &TextEncoder<B> {
        &self.encoder
    }

    /// Pooled and projected outputs of a batch of texts.
    ///
    /// # Errors
    /// An empty batch; a text of which cleaning leaves nothing ([`Error::EmptyCaption`]); a tokenizer with numbers the
    /// encoder does not have.
    pub fn encode<T: AsRef<str>>(&self, texts: &[T]) -> Result<Encoded<B>> {
        let ids = texts.iter().enumerate().map(|(index, text)| {
            if Tokenizer::is_empty_text(text.as_ref()) {
                return Err(Error::EmptyCaption { index });
            }
            Ok(self.tokenizer.encode(text.as_ref()))
        });
        let ids: Vec<Vec<u32>> = ids.collect::<Result<_>>()?;
        self.encoder.encode_ids(&ids)
    }
}

/// The tokenizer of a model, whose texts end as `config.json` says.
fn tokenizer(folder: &Path, config: &ClipConfig) -> Result<Tokenizer> {
    let tokenizer = Tokenizer::open(folder, config.text.max_position_embeddings)?;
    let (said, end) = (config.text.eos_token_id, tokenizer.end() as usize);
    if said == end || said == LEGACY_END {
        return Ok(tokenizer);
    }
    Err(Error::malformed(
        &folder.join("config.json"),
        format!("text_config.eos_token_id {end}, the tokenizer's end token"),
        said.to_string(),
    ))
}

/// `[rows, columns]` of a tensor as an array.
pub(crate) fn array<B: KernelBackend>(tensor: burn::tensor::Tensor<B, 2>) -> Result<Array2<f32>> {
    let [rows, columns] = tensor.dims();
    let values = tensor.into_data().convert::<f32>().to_vec::<f32>();
    let mismatch = |found: String| Error::Mismatch {
        what: "values of a device",
        expected: format!("{rows} · {columns} of f32"),
        found,
    };
    let values = values.map_err(|error| mismatch(format!("{error:?}")))?;
    Array2::from_shape_vec((rows, columns), values).map_err(|error| mismatch(error.to_string()))
}
