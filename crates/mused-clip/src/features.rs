//! The stimulus features that guide a decoder (Zhou et al. 2024, §3.3): low-level from an early layer of the image
//! encoder, high-level from the joint space of images and texts.

use std::path::Path;

use mused_kernels::KernelBackend;
use ndarray::Array2;

use crate::clip::{Clip, Images, array};
use crate::{Error, Result};

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

impl<B: KernelBackend> Images<B> {
    /// A hidden state of each image file, `[files, values]`. `layer` counts as
    /// [`hidden_states`](crate::ImageEncoder::hidden_states) does: 0 is the embedding, 1 the output of the first block.
    /// No later block is computed.
    ///
    /// # Errors
    /// An empty batch; a file that [`RgbImage::open`](crate::RgbImage::open) refuses; a layer the encoder lacks.
    pub fn layer<P: AsRef<Path> + Sync>(
        &self,
        files: &[P],
        layer: usize,
        tokens: Tokens,
    ) -> Result<Array2<f32>> {
        let pixels = self.preprocess().open_pixels(files)?;
        let mut states = self.encoder().hidden_states(&pixels)?;
        let layers = states.len();
        let state = states.nth(layer).ok_or_else(|| Error::Mismatch {
            what: "layer",
            expected: format!("0 to {}", layers - 1),
            found: format!("{layer}"),
        })?;
        let [batch, count, dim] = state.dims();
        array(match tokens {
            Tokens::Cls => state.narrow(1, 0, 1).reshape([batch, dim]),
            Tokens::Mean => state.mean_dim(1).reshape([batch, dim]),
            Tokens::Flatten => state.reshape([batch, count * dim]),
        })
    }

    /// The low-level features of image files, `[files, values]`: the output of the first block.
    ///
    /// # Errors
    /// As [`Self::layer`].
    pub fn low<P: AsRef<Path> + Sync>(&self, files: &[P], tokens: Tokens) -> Result<Array2<f32>> {
        self.layer(files, 1, tokens)
    }
}

impl<B: KernelBackend> Clip<B> {
    /// The high-level features of stimuli, `[stimuli, projection]`: the mean of the projected image and text, each
    /// divided by its norm. `captions[i]` belongs to `files[i]`.
    ///
    /// # Errors
    /// Another number of captions than files; none; what [`Images::encode_files`] and
    /// [`Texts::encode`](crate::Texts::encode) refuse.
    pub fn high<P: AsRef<Path> + Sync, T: AsRef<str>>(
        &self,
        files: &[P],
        captions: &[T],
    ) -> Result<Array2<f32>> {
        if files.len() != captions.len() {
            return Err(Error::Mismatch {
                what: "captions",
                expected: format!("{}, as many as images", files.len()),
                found: format!("{}", captions.len()),
            });
        }
        // Texts first: what is wrong with them shows before the images are read.
        let texts = array(self.texts().encode(captions)?.projected)?;
        let images = array(self.images().encode_files(files)?.projected)?;
        Ok((unit_rows(images) + unit_rows(texts)) * 0.5)
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
