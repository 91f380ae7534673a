//! The stimulus features that guide a decoder (Zhou et al. 2024, §3.3): low-level from an early layer of the image
//! encoder, high-level from the joint space of images and texts.

use burn::tensor::Tensor;
use mused_kernels::KernelBackend;
use ndarray::Array2;

use crate::clip::{Images, Texts, array};
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
        let mut last = None;
        let layer = match layer {
            None => None,
            Some((layer, tokens)) => {
                let state = states.nth(layer).ok_or_else(|| Error::Mismatch {
                    what: "layer",
                    expected: format!("0 to {}", count - 1),
                    found: format!("{layer}"),
                })?;
                last = Some(state.clone());
                Some(array(tokens.of(state))?)
            }
        };
        let last = projected.then(|| states.last().or(last)).flatten();
        let projected = last.map(|last| array(self.encoder().read_out(last).projected));
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
