//! The stimulus features that guide a decoder (Zhou et al. 2024, §3.3): low-level from an early layer of the image
//! encoder, high-level from the joint space of images and texts.

use std::path::Path;

use burn::tensor::Tensor;
use mused_kernels::KernelBackend;
use ndarray::Array2;

use crate::clip::{Images, Texts, array};
use crate::config::ClipConfig;
use crate::image_encoder::ImageEncoder;
use crate::text_encoder::TextEncoder;
use crate::transformer::Shapes;
use crate::{Error, Result, RgbImage};

/// How the tokens of a layer become one vector an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// The class token alone: `hidden` values.
    Cls,
    /// The mean of all tokens, the class token among them: `hidden` values.
    Mean,
    /// All tokens one after another, the class token first: `tokens · hidden` values.
    Flatten,
}

/// Features of a batch of images, a row each.
#[derive(Clone, Debug)]
pub struct ImageFeatures {
    /// `[images, values]` of the layer asked for.
    pub layer: Option<Array2<f32>>,
    /// `[images, projection]` in the space shared with texts, not normalised.
    pub projected: Option<Array2<f32>>,
}

impl<B: KernelBackend> Images<B> {
    /// Features of images in one pass. `layer` counts as [`hidden_states`](crate::ImageEncoder::hidden_states) does: 0 is
    /// the embedding, 1 the output of the first block. Without `projected` no later block is computed.
    ///
    /// # Errors
    /// An empty batch; a layer the encoder lacks.
    pub fn features(
        &self,
        images: &[RgbImage],
        layer: Option<(usize, Tokens)>,
        projected: bool,
    ) -> Result<ImageFeatures> {
        let pixels = self.preprocess().pixels(images)?;
        let mut states = self.encoder().hidden_states(&pixels)?;
        let count = states.len();
        let layer = match layer {
            None => None,
            Some((layer, tokens)) => {
                let state = states.nth(layer).ok_or_else(|| Error::Mismatch {
                    what: "layer",
                    expected: format!("0 to {}", count - 1),
                    found: format!("{layer}"),
                })?;
                Some(array(tokens.of(state))?)
            }
        };
        let projected = projected.then(|| {
            let class = states.class_token();
            array(self.encoder().read_out(class).projected)
        });
        Ok(ImageFeatures {
            layer,
            projected: projected.transpose()?,
        })
    }
}

impl Tokens {
    /// `[batch, tokens, dim]` → `[batch, values]`.
    fn of<B: KernelBackend>(self, state: Tensor<B, 3>) -> Tensor<B, 2> {
        let [batch, count, dim] = state.dims();
        match self {
            Self::Cls => state.narrow(1, 0, 1).reshape([batch, dim]),
            Self::Mean => state.mean_dim(1).reshape([batch, dim]),
            Self::Flatten => state.reshape([batch, count * dim]),
        }
    }
}

impl<B: KernelBackend> Texts<B> {
    /// Texts in the space shared with images, not normalised: `[texts, projection]`.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn projected<T: AsRef<str>>(&self, texts: &[T]) -> Result<Array2<f32>> {
        array(self.encode(texts)?.projected)
    }
}

/// About the bytes of memory that a process takes whose encoders of the model in `folder` read `batch` images, or texts,
/// at once.
///
/// # Errors
/// A configuration that cannot be read.
pub fn encoding_bytes<B: KernelBackend>(
    folder: &Path,
    images: bool,
    texts: bool,
    batch: usize,
) -> Result<u64> {
    let config = ClipConfig::open(folder.join("config.json"))?;
    // A float: sizes that no machine has are counted as well.
    let weights = |shapes: Shapes| -> f64 {
        let sizes = shapes
            .iter()
            .map(|(_, shape)| shape.iter().map(|&n| n as f64).product::<f64>());
        sizes.sum()
    };
    // The state, its norm, queries, keys, values and their sums; the hidden layer before and after its activation.
    let states =
        |tokens: usize, dim: usize, hidden: usize| tokens as f64 * (6 * dim + 2 * hidden) as f64;
    let mut values = 0.0;
    if images {
        let own = &config.image;
        // Pixels, and the same as patches.
        let pixels = 6.0 * (own.image_size as f64).powi(2);
        let one = pixels + states(own.tokens(), own.hidden_size, own.intermediate_size);
        values += weights(ImageEncoder::<B>::shapes(&config)) + batch as f64 * one;
    }
    if texts {
        let own = &config.text;
        let one = states(
            own.max_position_embeddings,
            own.hidden_size,
            own.intermediate_size,
        );
        values += weights(TextEncoder::<B>::shapes(&config)) + batch as f64 * one;
    }
    Ok(PROCESS_BYTES + (4.0 * values) as u64)
}

/// What the process has beside: its code, its threads.
const PROCESS_BYTES: u64 = 30_000_000;

/// Rows divided by their norms; a row of zeros stays one.
pub fn unit_rows(mut rows: Array2<f32>) -> Array2<f32> {
    for mut row in rows.rows_mut() {
        let norm = row
            .iter()
            .map(|v| f64::from(*v).powi(2))
            .sum::<f64>()
            .sqrt();
        if norm > 0.0 {
            row.mapv_inplace(|v| (f64::from(v) / norm) as f32);
        }
    }
    rows
}
