use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_kernels::{Dropout, KernelBackend, dropout, linear, region_tokens};
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

/// How the network is told whose responses it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// By tokens of their own for each subject.
    Tokens,
    /// By a vector of each subject, added to every token; the tokens are everybody's.
    Embedding,
}

/// Which tokens there are for the logits to be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Levels {
    /// The high-level and the low-level one.
    Both,
    /// The high-level one alone.
    High,
    /// The low-level one alone.
    Low,
}

/// Everything that determines the shapes of a [`RoiTransformer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoiTransformerConfig {
    /// What an input row is made of.
    pub tokenizer: Tokenizer,
    /// How the network is told whose responses it reads.
    pub identity: Identity,
    /// Tokens for the logits.
    pub levels: Levels,
    /// Whether the last `labels` values of every region are scores of the subject's own, which no token reads and whose
    /// mean over regions has a say in the logits.
    #[serde(default)]
    pub scores: bool,
    /// Their share of what is decoded, from 0 to 1; the rest is the network's. Models of before it was stored have 0.5.
    #[serde(default = "even")]
    pub own_share: f64,
    /// Subjects that are told apart; 1 = nobody is.
    pub subjects: usize,
    /// Labels to decode.
    pub labels: usize,
    /// Dropout of single input values.
    pub input_dropout: f64,
    /// Size and regularisation of the encoder.
    pub encoder: EncoderConfig,
}

/// The Linears of all regions below one another, [sum of lengths, dim]; their biases are the regions' embeddings,
/// [regions, dim].
#[derive(Module, Debug)]
struct RoiTokenizer<B: Backend> {
    weight: Param<Tensor<B, 2>>,
    embedding: Param<Tensor<B, 2>>,
    /// Values that are read of each region.
    lengths: Vec<usize>,
}

impl<B: KernelBackend> RoiTokenizer<B> {
    fn init(lengths: Vec<usize>, dim: usize, rng: &mut impl Rng, device: &B::Device) -> Self {
        let (mut weight, mut embedding) = (Vec::new(), Vec::new());
        for length in &lengths {
            let bound = initial::bound(*length);
            weight.extend((0..length * dim).map(|_| initial::within(bound, rng)));
            embedding.extend((0..dim).map(|_| initial::around_0(TOKEN_SD, rng)));
        }
        let all = lengths.iter().sum();
        Self {
            weight: initial::parameter([all, dim], weight, device),
            embedding: initial::parameter([lengths.len(), dim], embedding, device),
            lengths,
        }
    }

    /// Columns of the inputs that are read, where each region has `scores` more at its end.
    fn columns(&self, scores: usize) -> Vec<Range<usize>> {
        let columns = self.lengths.iter().scan(0, |next, length| {
            let start = *next;
            *next += length + scores;
            Some(start..start + length)
        });
        columns.collect()
    }
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

/// The token sequence somewhere in the network.
struct Sequence<B: Backend> {
    /// [batch, tokens, dim]
    x: Tensor<B, 3>,
    /// [batch, tokens]
    key_mask: Option<Tensor<B, 2>>,
    /// Subject tokens, which come first.
    read: usize,
}

fn even() -> f64 {
    0.5
}

/// Multi-label decoder of regions or patches, one network for all subjects.
///
/// The token sequence is [high-level; low-level; one token a region or patch] (order of the published
/// code). The subject tokens, normalised, concatenated, give the logits through one Linear.
#[derive(Module, Debug)]
pub struct RoiTransformer<B: Backend> {
    rois: Option<RoiTokenizer<B>>,
    patches: Option<PatchTokenizer<B>>,
    high_level_token: Option<SubjectToken<B>>,
    low_level_token: Option<SubjectToken<B>>,
    /// [subjects, dim]
    subject_embedding: Option<Param<Tensor<B, 2>>>,
    blocks: Vec<Block<B>>,
    norm: Norm<B>,
    head: Affine<B>,
    input_dropout: f64,
    /// Scores at the end of every region.
    scores: usize,
    /// Their share of what is decoded, from 0 to 1.
    own_share: f64,
    /// Logits of the labels' frequencies in training, [labels]: what scores of 0 stand for.
    prior: Option<Param<Tensor<B, 1>>>,
}

impl RoiTransformerConfig {
    /// Values that a training pass keeps for its backward pass, of one sample.
    ///
    /// A float: sizes that no machine has are counted as well, to be refused with what would fit.
    pub(crate) fn activations(&self) -> f64 {
        let (tokens, width) = match &self.tokenizer {
            Tokenizer::Regions { lengths } => (lengths.len() + 2, self.width()),
            Tokenizer::Patches { count, .. } => (count + 2, self.width()),
        };
        let EncoderConfig {
            dim, depth, heads, ..
        } = self.encoder;
        let [tokens, width, dim, depth, heads] =
            [tokens, width, dim, depth, heads].map(|size| size as f64);
        let hidden = self.encoder.mlp_ratio * dim;
        // Queries, keys, values, four sums and norms; the MLP before and after its activation.
        let block = tokens * (7.0 * dim + 2.0 * hidden) + 2.0 * heads * tokens * tokens;
        2.0 * width + tokens * dim + depth * block
    }

    /// Values of an input row.
    pub fn width(&self) -> usize {
        match &self.tokenizer {
            Tokenizer::Regions { lengths } => lengths.iter().sum(),
            Tokenizer::Patches { count, length } => count * length,
        }
    }

    /// Values that a token reads of each region; none of cubes.
    pub fn read_lengths(&self) -> Vec<usize> {
        let scores = if self.scores { self.labels } else { 0 };
        match &self.tokenizer {
            Tokenizer::Regions { lengths } => {
                let read = lengths.iter().map(|length| length.saturating_sub(scores));
                read.collect()
            }
            Tokenizer::Patches { .. } => Vec::new(),
        }
    }

    /// About its weights: of the tokenizers and of the blocks.
    pub(crate) fn weights(&self) -> f64 {
        let read = match &self.tokenizer {
            Tokenizer::Regions { lengths } => lengths.iter().sum(),
            Tokenizer::Patches { length, .. } => *length,
        };
        let [read, dim, depth] =
            [read, self.encoder.dim, self.encoder.depth].map(|size| size as f64);
        read * dim + depth * dim * dim * (4.0 + 2.0 * self.encoder.mlp_ratio)
    }

    /// A model with freshly drawn weights.
    pub fn init<B: KernelBackend>(
        &self,
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> RoiTransformer<B> {
        let dim = self.encoder.dim;
        let scores = if self.scores { self.labels } else { 0 };
        let (rois, patches) = match &self.tokenizer {
            Tokenizer::Regions { .. } => {
                let rois = RoiTokenizer::init(self.read_lengths(), dim, rng, device);
                (Some(rois), None)
            }
            Tokenizer::Patches { count, length } => {
                let patches = PatchTokenizer {
                    weight: initial::uniform([*length, dim], *length, rng, device),
                    embedding: initial::normal([*count, dim], TOKEN_SD, rng, device),
                };
                (None, Some(patches))
            }
        };
        let (tokens, embeddings) = match self.identity {
            Identity::Tokens => (self.subjects, None),
            Identity::Embedding => (1, Some(self.subjects)),
        };
        let mut token = |level: Levels| {
            let present = [Levels::Both, level].contains(&self.levels);
            present.then(|| SubjectToken::init(tokens, dim, rng, device))
        };
        let (high_level_token, low_level_token) = (token(Levels::High), token(Levels::Low));
        let count = 2 - usize::from(self.levels != Levels::Both);
        RoiTransformer {
            rois,
            patches,
            high_level_token,
            low_level_token,
            subject_embedding: embeddings
                .map(|subjects| initial::normal([subjects, dim], TOKEN_SD, rng, device)),
            blocks: (0..self.encoder.depth)
                .map(|_| Block::init(&self.encoder, rng, device))
                .collect(),
            norm: Norm::init(dim, device),
            head: Affine::init(count * dim, self.labels, rng, device),
            input_dropout: self.input_dropout,
            scores,
            own_share: self.own_share,
            prior: (scores > 0).then(|| Param::from_tensor(Tensor::zeros([scores], device))),
        }
    }
}

impl<B: KernelBackend> RoiTransformer<B> {
    /// Sets what scores of 0 stand for: logits of the labels' frequencies in training, [labels].
    pub fn set_prior(&mut self, logits: Tensor<B, 1>) {
        if let Some(prior) = &mut self.prior {
            *prior = Param::from_tensor(logits);
        }
    }

    /// As [`Self::forward`] without noise; where inputs have scores of the subject's own, its logits are the mean of the
    /// network's, which is trained alone, and of theirs, weighted by their share.
    ///
    /// # Shapes
    /// See [`Batch`] and [`TokenOutput`].
    pub fn decode(&self, batch: Batch<B>) -> TokenOutput<B> {
        let own = self
            .prior
            .as_ref()
            .map(|prior| self.own_scores(&batch) + prior.val().unsqueeze_dim(0));
        let mut output = self.forward(batch, Noise::none());
        if let Some(own) = own {
            output.logits = output.logits * (1.0 - self.own_share) + own * self.own_share;
        }
        output
    }

    /// Mean, over the regions that a subject has, of the scores at their ends: [batch, labels].
    fn own_scores(&self, batch: &Batch<B>) -> Tensor<B, 2> {
        let [size, _] = batch.inputs.dims();
        let device = batch.inputs.device();
        let mut sum = Tensor::zeros([size, self.scores], &device);
        let columns = self.rois.as_ref().map(|rois| rois.columns(self.scores));
        let columns = columns.unwrap_or_default();
        for (place, read) in columns.iter().enumerate() {
            let own = (batch.inputs.clone()).narrow(1, read.end, self.scores);
            sum = sum
                + match &batch.mask {
                    Some(mask) => own * mask.clone().narrow(1, place, 1),
                    None => own,
                };
        }
        match &batch.mask {
            Some(mask) => sum / mask.clone().sum_dim(1).clamp_min(1.0),
            None => sum / columns.len().max(1) as f64,
        }
    }

    /// # Shapes
    /// See [`Batch`] and [`TokenOutput`].
    pub fn forward(&self, batch: Batch<B>, mut noise: Noise) -> TokenOutput<B> {
        let Sequence { x, key_mask, read } = self.before_last_block(batch, &mut noise);
        let x = match self.blocks.last() {
            Some(block) => block.forward(x, key_mask, read, &mut noise),
            None => x,
        };
        let [size, _, dim] = x.dims();
        let rows = x.narrow(1, 0, read).reshape([read * size, dim]);
        let levels = self.norm.forward(rows).reshape([size, read * dim]);
        let mut place = 0;
        let mut take = |token: &Option<SubjectToken<B>>| {
            token.as_ref()?;
            place += 1;
            Some(levels.clone().narrow(1, (place - 1) * dim, dim))
        };
        TokenOutput {
            high_level: take(&self.high_level_token),
            low_level: take(&self.low_level_token),
            logits: self.head.forward(levels),
        }
    }

    /// How much the subject tokens attend to each region or patch in the last block, mean over heads; what a row lacks
    /// to 1 is the attention to the subject tokens. Parts that a subject lacks get 0. `None` without blocks.
    ///
    /// # Shapes
    /// [batch, subject tokens (the high-level one first), regions or patches]
    pub fn attention(&self, batch: Batch<B>) -> Option<Tensor<B, 3>> {
        let block = self.blocks.last()?;
        let Sequence { x, key_mask, read } = self.before_last_block(batch, &mut Noise::none());
        let [size, tokens, _] = x.dims();
        let probabilities = block.attention_probabilities(x, key_mask, read);
        let mean = probabilities.mean_dim(1).reshape([size, read, tokens]);
        Some(mean.narrow(2, read, tokens - read))
    }

    /// The token sequence up to the last block.
    fn before_last_block(&self, batch: Batch<B>, noise: &mut Noise) -> Sequence<B> {
        let [size, _] = batch.inputs.dims();
        let inputs = match noise.site(self.input_dropout) {
            Some(Dropout { rate, seed }) => dropout(batch.inputs, rate, seed),
            None => batch.inputs,
        };
        let weights = batch.subject_weights;
        // Without tokens of their own everybody has the one pair.
        let token_weights = match self.subject_embedding {
            None => weights.clone(),
            Some(_) => Tensor::ones([size, 1], &weights.device()),
        };
        let levels = [&self.high_level_token, &self.low_level_token];
        let levels = levels.into_iter().flatten();
        let levels = levels.map(|token| token.forward(token_weights.clone()));
        let mut x: Tensor<B, 3> = Tensor::cat(levels.collect(), 1);
        let read = x.dims()[1];
        if let Some(rois) = &self.rois {
            let (weight, embedding) = (rois.weight.val(), rois.embedding.val());
            x = region_tokens(x, inputs, rois.columns(self.scores), weight, embedding);
        } else if let Some(patches) = &self.patches {
            x = Tensor::cat(vec![x, patches.forward(inputs)], 1);
        }
        let key_mask = batch.mask.map(|mask| {
            let always = Tensor::ones([size, read], &mask.device());
            Tensor::cat(vec![always, mask], 1)
        });
        if let Some(embedding) = &self.subject_embedding {
            let own = linear(weights, embedding.val(), None);
            x = x + own.unsqueeze_dim(1);
        }
        let earlier = self.blocks.len().saturating_sub(1);
        for block in &self.blocks[..earlier] {
            let kept = x.dims()[1];
            x = block.forward(x, key_mask.clone(), kept, noise);
        }
        Sequence { x, key_mask, read }
    }
}
