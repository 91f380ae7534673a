use burn::tensor::Tensor;
use mused_kernels::KernelBackend;
use rayon::prelude::*;

use crate::config::{ClipConfig, ImageConfig};
use crate::transformer::{Affine, Block, BlockConfig, HiddenStates, Norm, Shapes, tensor};
use crate::weights::Weights;
use crate::{Error, Result};

/// Preprocessed images: normalised values, image after image, in each red, green and blue planes of `size` × `size`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    size: usize,
    values: Vec<f32>,
}

impl Pixels {
    /// `values` has the shape `[batch, 3, size, size]`.
    ///
    /// # Errors
    /// A number of values that is no multiple of 3 · size².
    pub fn new(size: usize, values: Vec<f32>) -> Result<Self> {
        let image = size.checked_mul(size).and_then(|n| n.checked_mul(3));
        match image {
            Some(image) if image > 0 && values.len().is_multiple_of(image) => {
                Ok(Self { size, values })
            }
            _ => Err(Error::Mismatch {
                what: "pixel values",
                expected: format!("a multiple of 3 · {size} · {size}"),
                found: format!("{}", values.len()),
            }),
        }
    }

    /// Number of images.
    pub fn batch(&self) -> usize {
        self.values.len() / (3 * self.size * self.size)
    }

    /// Side of an image.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The values, `[batch, 3, size, size]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Rows of patches, left to right and top to bottom, in each its colours, rows and columns:
    /// `[batch · grid², 3 · patch²]`. Pixels past the last whole patch are dropped, as a strided convolution does.
    fn patches(&self, patch: usize) -> Vec<f32> {
        let (size, grid) = (self.size, self.size / patch);
        let row = 3 * patch * patch;
        let mut patches = vec![0.0; self.batch() * grid * grid * row];
        let images = self.values.par_chunks(3 * size * size);
        let outputs = patches.par_chunks_mut((grid * grid * row).max(1));
        images.zip(outputs).for_each(|(image, out)| {
            for (index, out) in out.chunks_exact_mut(row).enumerate() {
                let (y, x) = (index / grid * patch, index % grid * patch);
                for (line, out) in out.chunks_exact_mut(patch).enumerate() {
                    let (colour, line) = (line / patch, line % patch);
                    let start = (colour * size + y + line) * size + x;
                    out.copy_from_slice(&image[start..start + patch]);
                }
            }
        });
        patches
    }
}

/// What an encoder says of a batch at its end.
#[derive(Clone, Debug)]
pub struct Encoded<B: KernelBackend> {
    /// The state of the class token (image) or of the last token (text) after the final norm: `[batch, hidden]`.
    pub pooled: Tensor<B, 2>,
    /// That state in the space shared by images and texts, not normalised: `[batch, projection]`.
    pub projected: Tensor<B, 2>,
}

/// CLIP's image encoder.
#[derive(Clone, Debug)]
pub struct ImageEncoder<B: KernelBackend> {
    config: ImageConfig,
    /// A convolution whose stride is its size is a Linear on patches.
    patch_embedding: Affine<B>,
    class_embedding: Tensor<B, 1>,
    position_embedding: Tensor<B, 2>,
    pre_norm: Norm<B>,
    blocks: Vec<Block<B>>,
    post_norm: Norm<B>,
    projection: Affine<B>,
    device: B::Device,
}

const EMBEDDINGS: &str = "vision_model.embeddings";

impl<B: KernelBackend> ImageEncoder<B> {
    fn blocks(config: &ImageConfig) -> BlockConfig {
        BlockConfig {
            dim: config.hidden_size,
            hidden: config.intermediate_size,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            epsilon: config.layer_norm_eps,
            causal: false,
        }
    }

    pub(crate) fn shapes(config: &ClipConfig) -> Shapes {
        let image = &config.image;
        let (dim, patch) = (image.hidden_size, image.patch_size);
        let mut shapes = vec![
            (format!("{EMBEDDINGS}.class_embedding"), vec![dim]),
            (
                format!("{EMBEDDINGS}.patch_embedding.weight"),
                vec![dim, 3, patch, patch],
            ),
            (
                format!("{EMBEDDINGS}.position_embedding.weight"),
                vec![image.tokens(), dim],
            ),
        ];
        // The misspelt name is the published one.
        shapes.extend(Norm::<B>::shapes("vision_model.pre_layrnorm", dim));
        for layer in 0..image.num_hidden_layers {
            let name = format!("vision_model.encoder.layers.{layer}");
            shapes.extend(Block::<B>::shapes(&name, &Self::blocks(image)));
        }
        shapes.extend(Norm::<B>::shapes("vision_model.post_layernorm", dim));
        let projection = vec![config.projection_dim, dim];
        shapes.push(("visual_projection.weight".into(), projection));
        shapes
    }

    /// The weights must have been checked against [`Self::shapes`].
    pub(crate) fn load(weights: &Weights, config: &ClipConfig, device: &B::Device) -> Result<Self> {
        let image = &config.image;
        let (dim, patch) = (image.hidden_size, image.patch_size);
        let class = weights.read(&format!("{EMBEDDINGS}.class_embedding"))?;
        let positions = weights.read(&format!("{EMBEDDINGS}.position_embedding.weight"))?;
        let norm = |name| Norm::load(weights, name, image.layer_norm_eps, device);
        let block = |layer| {
            let name = format!("vision_model.encoder.layers.{layer}");
            Block::load(weights, &name, Self::blocks(image), device)
        };
        Ok(Self {
            config: image.clone(),
            patch_embedding: Affine::load_projection(
                weights,
                &format!("{EMBEDDINGS}.patch_embedding"),
                3 * patch * patch,
                device,
            )?,
            class_embedding: tensor(class, [dim], device),
            position_embedding: tensor(positions, [image.tokens(), dim], device),
            pre_norm: norm("vision_model.pre_layrnorm")?,
            blocks: (0..image.num_hidden_layers)
                .map(block)
                .collect::<Result<_>>()?,
            post_norm: norm("vision_model.post_layernorm")?,
            projection: Affine::load_projection(weights, "visual_projection", dim, device)?,
            device: device.clone(),
        })
    }

    /// Its sizes.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// The states between its blocks, `[batch, tokens, hidden]`: item 0 is the normalised embedding, item k leaves the
    /// k-th block (the numbering of transformers' `hidden_states`). Token 0 is the class token.
    ///
    /// # Errors
    /// Images of another size, or none.
    pub fn hidden_states(&self, pixels: &Pixels) -> Result<HiddenStates<'_, B>> {
        let (batch, size) = (pixels.batch(), self.config.image_size);
        if pixels.size() != size || batch == 0 {
            return Err(Error::Mismatch {
                what: "images",
                expected: format!("one or more of {size} × {size}"),
                found: format!("{batch} of {0} × {0}", pixels.size()),
            });
        }
        let (dim, patch) = (self.config.hidden_size, self.config.patch_size);
        let patches = self.config.grid() * self.config.grid();
        let values = tensor(
            pixels.patches(patch),
            [batch * patches, 3 * patch * patch],
            &self.device,
        );
        let embedded = self.patch_embedding.forward(values);
        let class = self.class_embedding.clone().reshape([1, 1, dim]);
        let x = Tensor::cat(
            vec![
                class.expand([batch, 1, dim]),
                embedded.reshape([batch, patches, dim]),
            ],
            1,
        );
        let x = x + self.position_embedding.clone().unsqueeze::<3>();
        let x = self
            .pre_norm
            .forward(x.reshape([batch * (patches + 1), dim]));
        Ok(HiddenStates::new(
            x.reshape([batch, patches + 1, dim]),
            &self.blocks,
        ))
    }

    /// The pooled and projected outputs for what leaves the last block: its [class token](HiddenStates::class_token),
    /// `[batch, 1, hidden]`.
    pub fn read_out(&self, class: Tensor<B, 3>) -> Encoded<B> {
        let [batch, _, dim] = class.dims();
        let pooled = self.post_norm.forward(class.reshape([batch, dim]));
        Encoded {
            projected: self.projection.forward(pooled.clone()),
            pooled,
        }
    }

    /// All of it: pixels to pooled and projected outputs.
    ///
    /// # Errors
    /// As [`Self::hidden_states`].
    pub fn encode(&self, pixels: &Pixels) -> Result<Encoded<B>> {
        Ok(self.read_out(self.hidden_states(pixels)?.class_token()))
    }
}
