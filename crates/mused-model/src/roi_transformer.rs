use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_kernels::{Dropout, KernelBackend, dropout, linear};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::encoder::{Affine, Block, EncoderConfig, Noise, Norm};
use crate::{Batch, TokenOutput, initial};

/// Standard deviation the subject tokens and ROI embeddings start with (published code).
const TOKEN_SD: f32 = 0.02;

/// What an input row is made of, and how it becomes tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "of")]
pub enum Tokenizer {
    /// Regions of interest, each with a Linear of its own: voxels of two regions have nothing in
    /// common.
    Regions {
        /// Values of each, in input order.
        lengths: Vec<usize>,
    },
    /// Cubic patches of a volume with one Linear for all and an embedding for each, as in a
    /// Vision Transformer.
    Patches {
        /// Number of patches.
        count: usize,
        /// Values of each.
        length: usize,
    },
}

/// Everything that determines the shapes of a [`RoiTransformer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoiTransformerConfig {
    /// What an input row is made of.
    pub tokenizer: Tokenizer,
    /// Subjects with tokens of their own; 1 = all share one pair.
    pub subjects: usize,
    /// Labels to decode.
    pub labels: usize,
    /// Dropout of single input values.
    pub input_dropout: f64,
    /// Size and regularisation of the encoder.
    pub encoder: EncoderConfig,
}

/// A region's Linear, [length, dim]; its bias is the region's embedding.
#[derive(Module, Debug)]
struct RoiTokenizer<B: Backend> {
    weight: Param<Tensor<B, 2>>,
    embedding: Param<Tensor<B, 1>>,
}

/// One Linear for all patches, [length, dim], and an embedding for each, [patches, dim].
#[derive(Module, Debug)]
struct PatchTokenizer<B: Backend> {
    weight: Param<Tensor<B, 2>>,
    embedding: Param<Tensor<B, 2>>,
}

impl<B: KernelBackend> PatchTokenizer<B> {
    /// # Shapes
    /// [batch, patches · length] → [batch, patches, dim]
    fn forward(&self, inputs: Tensor<B, 2>) -> Tensor<B, 3> {
        let [batch, width] = inputs.dims();
        let ([length, dim], [patches, _]) = (self.weight.dims(), self.embedding.dims());
        let rows = inputs.reshape([batch * width / length, length]);
        let tokens = linear(rows, self.weight.val(), None);
        tokens.reshape([batch, patches, dim]) + self.embedding.val().unsqueeze_dim(0)
    }
}

/// A learnable token: a shared part and one row a subject.
#[derive(Module, Debug)]
struct SubjectToken<B: Backend> {
    subjects: Param<Tensor<B, 2>>,
    position: Param<Tensor<B, 1>>,
}

impl<B: KernelBackend> SubjectToken<B> {
    fn init(subjects: usize, dim: usize, rng: &mut impl Rng, device: &B::Device) -> Self {
        Self {
            subjects: initial::normal([subjects, dim], TOKEN_SD, rng, device),
            position: initial::normal([dim], TOKEN_SD, rng, device),
        }
    }

    fn forward(&self, subject_weights: Tensor<B, 2>) -> Tensor<B, 3> {
        linear(
            subject_weights,
            self.subjects.val(),
            Some(self.position.val()),
        )
        .unsqueeze_dim(1)
    }
}

/// Multi-label decoder of regions or patches, one network for all subjects.
///
/// The token sequence is [high-level; low-level; one token a region or patch] (order of the published
/// code). Both subject tokens, normalised, concatenated, give the logits through one Linear.
#[derive(Module, Debug)]
pub struct RoiTransformer<B: Backend> {
    rois: Vec<RoiTokenizer<B>>,
    patches: Option<PatchTokenizer<B>>,
    high_level_token: SubjectToken<B>,
    low_level_token: SubjectToken<B>,
    blocks: Vec<Block<B>>,
    norm: Norm<B>,
    head: Affine<B>,
    input_dropout: f64,
}

impl RoiTransformerConfig {
    /// A model with freshly drawn weights.
    pub fn init<B: KernelBackend>(
        &self,
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> RoiTransformer<B> {
        let dim = self.encoder.dim;
        let tokenizer = |length: &usize, rng: &mut _| RoiTokenizer {
            weight: initial::uniform([*length, dim], *length, rng, device),
            embedding: initial::normal([dim], TOKEN_SD, rng, device),
        };
        let (rois, patches) = match &self.tokenizer {
            Tokenizer::Regions { lengths } => {
                let rois = lengths.iter().map(|length| tokenizer(length, rng));
                (rois.collect(), None)
            }
            Tokenizer::Patches { count, length } => {
                let patches = PatchTokenizer {
                    weight: initial::uniform([*length, dim], *length, rng, device),
                    embedding: initial::normal([*count, dim], TOKEN_SD, rng, device),
                };
                (Vec::new(), Some(patches))
            }
        };
        RoiTransformer {
            rois,
            patches,
            high_level_token: SubjectToken::init(self.subjects, dim, rng, device),
            low_level_token: SubjectToken::init(self.subjects, dim, rng, device),
            blocks: (0..self.encoder.depth)
                .map(|_| Block::init(&self.encoder, rng, device))
                .collect(),
            norm: Norm::init(dim, device),
            head: Affine::init(2 * dim, self.labels, rng, device),
            input_dropout: self.input_dropout,
        }
    }
}

impl<B: KernelBackend> RoiTransformer<B> {
    /// # Shapes
    /// See [`Batch`] and [`TokenOutput`].
    pub fn forward(&self, batch: Batch<B>, mut noise: Noise) -> TokenOutput<B> {
        let [size, _] = batch.inputs.dims();
        let inputs = match noise.site(self.input_dropout) {
            Some(Dropout { rate, seed }) => dropout(batch.inputs, rate, seed),
            None => batch.inputs,
        };
        let mut tokens = vec![
            self.high_level_token.forward(batch.subject_weights.clone()),
            self.low_level_token.forward(batch.subject_weights),
        ];
        let mut offset = 0;
        for roi in &self.rois {
            let [length, _] = roi.weight.dims();
            let values = inputs.clone().narrow(1, offset, length);
            let token = linear(values, roi.weight.val(), Some(roi.embedding.val()));
            tokens.push(token.unsqueeze_dim(1));
            offset += length;
        }
        if let Some(patches) = &self.patches {
            tokens.push(patches.forward(inputs));
        }
        let key_mask = batch.mask.map(|mask| {
            let always = Tensor::ones([size, 2], &mask.device());
            Tensor::cat(vec![always, mask], 1)
        });
        let mut x = Tensor::cat(tokens, 1);
        for (index, block) in self.blocks.iter().enumerate() {
            let last = index + 1 == self.blocks.len();
            let kept = if last { 2 } else { x.dims()[1] };
            x = block.forward(x, key_mask.clone(), kept, &mut noise);
        }
        let dim = x.dims()[2];
        let read = self
            .norm
            .forward(x.narrow(1, 0, 2).reshape([2 * size, dim]));
        let read = read.reshape([size, 2 * dim]);
        TokenOutput {
            logits: self.head.forward(read.clone()),
            high_level: read.clone().narrow(1, 0, dim),
            low_level: read.narrow(1, dim, dim),
        }
    }
}
