//! Losses of the method (CLIP-MUSED, ICLR 2024, section 3), in the form of its published code.

use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};

/// Added to the product of norms in an RDM, as the published code does.
const RDM_EPSILON: f64 = 1e-6;

/// Added under the root of a norm: tokens start near 0, where the root has no finite gradient.
const NORM_EPSILON: f64 = 1e-24;

/// How the high-level and low-level token of a sample are pushed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orthogonality {
    /// Mean of squared inner products over all pairs of the batch: ‖H Lᵀ‖²/B².
    F,
    /// Mean absolute inner product of a sample's two tokens.
    L1,
    /// Mean squared inner product of a sample's two tokens.
    L2,
    /// Mean of squared cosines over all pairs of the batch: F of normalised tokens, bounded
    /// whatever their norms.
    Cosine,
}

/// How a token's RDM is compared with the stimulus RDM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaForm {
    /// Mean squared difference over all pairs (published).
    SquaredError,
    /// Mean squared difference over pairs of different stimuli, after the mean of each RDM over
    /// these pairs is taken off: the offset of the tokens' dissimilarities is theirs to choose.
    Centred,
}

/// Coefficients and forms of the loss terms.
#[derive(Clone, Debug, PartialEq)]
pub struct LossConfig {
    /// Weight of the high-level RSA loss.
    pub high: f64,
    /// Weight of the low-level RSA loss.
    pub low: f64,
    /// Weight of the orthogonality loss.
    pub orthogonality: f64,
    /// Form of the orthogonality loss.
    pub orthogonality_form: Orthogonality,
    /// Form of the RSA losses.
    pub rsa_form: RsaForm,
}

/// What the outputs of a batch are compared with.
#[derive(Clone, Debug)]
pub struct Targets<B: Backend> {
    /// [batch, labels], 0 or 1.
    pub labels: Tensor<B, 2>,
    /// [batch, batch], where the high-level token is guided.
    pub high_rdm: Option<Tensor<B, 2>>,
    /// [batch, batch], where the low-level token is guided.
    pub low_rdm: Option<Tensor<B, 2>>,
    /// [batch, batch], true where two samples show different stimuli.
    pub different: Tensor<B, 2, Bool>,
}

/// The terms of a batch, unweighted, each of shape \[1\], and their weighted sum.
#[derive(Clone, Debug)]
pub struct LossTerms<B: Backend> {
    /// What is minimised.
    pub total: Tensor<B, 1>,
    /// Binary cross-entropy with logits.
    pub classification: Tensor<B, 1>,
    /// Orthogonality; `None` where its weight is 0.
    pub orthogonality: Option<Tensor<B, 1>>,
    /// High-level RSA; `None` without guidance.
    pub high: Option<Tensor<B, 1>>,
    /// Low-level RSA; `None` without guidance.
    pub low: Option<Tensor<B, 1>>,
}

/// Cosine dissimilarities of the rows: 1 - A Aᵀ / (‖a_i‖‖a_j‖ + 1e-6).
///
/// # Shapes
/// [batch, dim] → [batch, batch]
pub fn rdm<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let products = rows.clone().matmul(rows.clone().transpose());
    let norms = (rows.powi_scalar(2).sum_dim(1) + NORM_EPSILON).sqrt();
    let norms = norms.clone().matmul(norms.transpose());
    (products / (norms + RDM_EPSILON)).neg() + 1.0
}

/// RSA loss of a token's RDM against a stimulus RDM, shape \[1\].
///
/// # Shapes
/// All [batch, batch]; `different` is read by [`RsaForm::Centred`] alone.
pub fn rsa<B: Backend>(
    tokens: Tensor<B, 2>,
    stimuli: Tensor<B, 2>,
    different: &Tensor<B, 2, Bool>,
    form: RsaForm,
) -> Tensor<B, 1> {
    match form {
        RsaForm::SquaredError => (stimuli - tokens).powi_scalar(2).mean(),
        RsaForm::Centred => {
            let pairs = different.clone().float();
            let count = pairs.clone().sum().clamp_min(1.0);
            let difference = (stimuli - tokens) * pairs.clone();
            let mean = difference.clone().sum() / count.clone();
            ((difference - mean.unsqueeze()) * pairs)
                .powi_scalar(2)
                .sum()
                / count
        }
    }
}

/// Orthogonality of high-level tokens H and low-level tokens L, shape \[1\].
///
/// # Shapes
/// Both [batch, dim].
pub fn orthogonality<B: Backend>(
    high: Tensor<B, 2>,
    low: Tensor<B, 2>,
    form: Orthogonality,
) -> Tensor<B, 1> {
    match form {
        Orthogonality::F => high.matmul(low.transpose()).powi_scalar(2).mean(),
        Orthogonality::L1 => (high * low).sum_dim(1).abs().mean(),
        Orthogonality::L2 => (high * low).sum_dim(1).powi_scalar(2).mean(),
        Orthogonality::Cosine => {
            let normalised = |x: Tensor<B, 2>| {
                let norms = (x.clone().powi_scalar(2).sum_dim(1) + NORM_EPSILON).sqrt();
                x / norms
            };
            orthogonality(normalised(high), normalised(low), Orthogonality::F)
        }
    }
}

/// Binary cross-entropy with logits, mean over samples and labels, shape \[1\].
///
/// # Shapes
/// Both [batch, labels].
pub fn binary_cross_entropy<B: Backend>(
    logits: Tensor<B, 2>,
    labels: Tensor<B, 2>,
) -> Tensor<B, 1> {
    let softplus = logits.clone().abs().neg().exp().log1p();
    (relu(logits.clone()) - logits * labels + softplus).mean()
}

impl LossConfig {
    /// All terms of a batch; a term that speaks of a token the network lacks is left out.
    ///
    /// # Shapes
    /// - high_level, low_level: [batch, dim]
    /// - logits: [batch, labels]
    pub fn terms<B: Backend>(
        &self,
        output: crate::TokenOutput<B>,
        targets: Targets<B>,
    ) -> LossTerms<B> {
        let crate::TokenOutput {
            logits,
            high_level,
            low_level,
        } = output;
        let classification = binary_cross_entropy(logits, targets.labels);
        let both = high_level.clone().zip(low_level.clone());
        let orthogonality = both
            .filter(|_| self.orthogonality != 0.0)
            .map(|(high, low)| orthogonality(high, low, self.orthogonality_form));
        let guided = |tokens: Option<Tensor<B, 2>>, target: Option<Tensor<B, 2>>, weight: f64| {
            let (tokens, target) = tokens.zip(target).filter(|_| weight != 0.0)?;
            Some(rsa(rdm(tokens), target, &targets.different, self.rsa_form))
        };
        let high = guided(high_level, targets.high_rdm, self.high);
        let low = guided(low_level, targets.low_rdm, self.low);
        let weighted = [
            (&orthogonality, self.orthogonality),
            (&high, self.high),
            (&low, self.low),
        ];
        let mut total = classification.clone();
        for (term, weight) in weighted {
            if let Some(term) = term {
                total = total + term.clone() * weight;
            }
        }
        LossTerms {
            total,
            classification,
            orthogonality,
            high,
            low,
        }
    }
}
