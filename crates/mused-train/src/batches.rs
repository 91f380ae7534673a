use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor, TensorData};
use mused_data::{Dataset, Guidance, GuidanceTarget, InputTransform, Sample};
use mused_model::losses::rdm;
use mused_model::{RoiBatch, Targets};
use ndarray::{Array2, Axis};

use crate::Result;

/// Model inputs and labels of a list of samples, in memory.
pub(crate) struct SampleSet {
    pub(crate) samples: Vec<Sample>,
    /// samples × input width
    inputs: Array2<f32>,
    /// samples × labels
    labels: Array2<f32>,
    /// Column of each sample's subject among the subject tokens; `None` = the mean of all.
    tokens: Vec<Option<usize>>,
    token_count: usize,
    /// samples × regions, where some subject lacks a region
    roi_mask: Option<Array2<f32>>,
}

impl SampleSet {
    /// Reads and transforms `samples`. `subjects` are those with tokens of their own; a subject
    /// outside gets their mean. Without subject tokens (`token_count` 1) all share the one.
    pub(crate) fn load(
        dataset: &Dataset,
        transform: &InputTransform,
        samples: Vec<Sample>,
        subjects: &[String],
        token_count: usize,
    ) -> Result<Self> {
        let inputs = transform.apply(dataset, &samples)?;
        let stimuli: Vec<usize> = samples.iter().map(|sample| sample.stimulus).collect();
        let labels = dataset
            .labels
            .matrix
            .select(Axis(0), &stimuli)
            .mapv(f32::from);
        let mut tokens = Vec::with_capacity(samples.len());
        let mut roi_mask = Array2::ones((samples.len(), transform.layout.rois.len()));
        let mut complete = true;
        for (sample, mut mask) in samples.iter().zip(roi_mask.rows_mut()) {
            let id = &dataset.subjects[sample.subject].id;
            let own = subjects.iter().position(|subject| subject == id);
            tokens.push(own.filter(|_| token_count > 1));
            for (mask, &has) in mask.iter_mut().zip(&transform.subject(id)?.has_roi) {
                *mask = f32::from(u8::from(has));
                complete &= has;
            }
        }
        let roi_mask = (!complete).then_some(roi_mask);
        Ok(Self {
            samples,
            inputs,
            labels,
            tokens,
            token_count,
            roi_mask,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    /// 0 or 1 of the given rows: rows × labels.
    pub(crate) fn target_rows(&self, rows: &[usize]) -> Array2<u8> {
        self.labels.select(Axis(0), rows).mapv(|label| label as u8)
    }

    /// The model's view of the samples `chosen`.
    pub(crate) fn batch<B: Backend>(&self, chosen: &[usize], device: &B::Device) -> RoiBatch<B> {
        let mut weights = Array2::zeros((chosen.len(), self.token_count));
        for (&sample, mut weights) in chosen.iter().zip(weights.rows_mut()) {
            match self.tokens[sample] {
                Some(own) => weights[own] = 1.0,
                None => weights.fill(1.0 / self.token_count as f32),
            }
        }
        RoiBatch {
            inputs: tensor(self.inputs.select(Axis(0), chosen), device),
            subject_weights: tensor(weights, device),
            roi_mask: self
                .roi_mask
                .as_ref()
                .map(|m| tensor(m.select(Axis(0), chosen), device)),
        }
    }

    /// What the model's outputs for the samples `chosen` are compared with.
    pub(crate) fn targets<B: Backend>(
        &self,
        chosen: &[usize],
        high: Option<&Guidance>,
        low: Option<&Guidance>,
        device: &B::Device,
    ) -> Targets<B> {
        let stimuli: Vec<usize> = chosen
            .iter()
            .map(|&sample| self.samples[sample].stimulus)
            .collect();
        let target_rdm = |guidance: &Guidance| match guidance.target(&stimuli) {
            GuidanceTarget::Features(features) => rdm(tensor::<B>(features, device)),
            GuidanceTarget::Rdm(target) => tensor(target, device),
        };
        let size = stimuli.len();
        let different: Vec<bool> = stimuli
            .iter()
            .flat_map(|a| stimuli.iter().map(move |b| a != b))
            .collect();
        Targets {
            labels: tensor(self.labels.select(Axis(0), chosen), device),
            high_rdm: high.map(target_rdm),
            low_rdm: low.map(target_rdm),
            different: Tensor::<B, 2, Bool>::from_data(
                TensorData::new(different, [size, size]),
                device,
            ),
        }
    }
}

fn tensor<B: Backend>(array: Array2<f32>, device: &B::Device) -> Tensor<B, 2> {
    let shape = [array.nrows(), array.ncols()];
    // `select` and `zeros` make arrays in standard order, whose iteration is their memory.
    let values: Vec<f32> = array.into_iter().collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
