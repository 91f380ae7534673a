use std::collections::HashMap;
use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor, TensorData};
use mused_data::{Dataset, Guidance, GuidanceTarget, InputReader, Sample};
use mused_model::losses::rdm;
use mused_model::{Batch, Targets};
use ndarray::{Array2, Axis};

use crate::Result;

/// Most values of inputs that are kept in memory (256 MiB); larger sets are read again every time
/// they are used.
const KEPT_VALUES: usize = 1 << 26;

/// Bytes of the inputs of so many samples that are kept.
pub(crate) fn kept_bytes(samples: usize, width: usize) -> u64 {
    match samples.saturating_mul(width) {
        values if values <= KEPT_VALUES => 4 * values as u64,
        _ => 0,
    }
}

/// A list of samples: their inputs, labels and subjects.
pub(crate) struct SampleSet<'d> {
    pub(crate) samples: Vec<Sample>,
    reader: Arc<InputReader<'d>>,
    /// samples × input width, where it is small.
    kept: Option<Array2<f32>>,
    /// samples × labels
    labels: Array2<f32>,
    /// Column of each sample's subject among the subject tokens; `None` = the mean of all.
    tokens: Vec<Option<usize>>,
    token_count: usize,
    /// samples × regions or patches, where some subject lacks one
    mask: Option<Array2<f32>>,
}

impl<'d> SampleSet<'d> {
    /// Prepares `samples`. `subjects` are those with tokens of their own; a subject outside gets
    /// their mean. Without subject tokens (`token_count` 1) all share the one.
    pub(crate) fn new(
        reader: Arc<InputReader<'d>>,
        samples: Vec<Sample>,
        subjects: &[String],
        token_count: usize,
    ) -> Result<Self> {
        let kept = if samples.len() * reader.layout().width() <= KEPT_VALUES {
            Some(reader.read(&samples.iter().collect::<Vec<_>>())?)
        } else {
            None
        };
        Ok(Self::with_inputs(
            reader,
            samples,
            subjects,
            token_count,
            kept,
        ))
    }

    /// As [`Self::new`], of samples whose inputs are made already, samples × width, and stay in memory; `None` = they are
    /// read whenever they are used.
    pub(crate) fn with_inputs(
        reader: Arc<InputReader<'d>>,
        samples: Vec<Sample>,
        subjects: &[String],
        token_count: usize,
        kept: Option<Array2<f32>>,
    ) -> Self {
        let dataset = reader.dataset();
        let stimuli: Vec<usize> = samples.iter().map(|sample| sample.stimulus).collect();
        let labels = dataset
            .labels
            .matrix
            .select(Axis(0), &stimuli)
            .mapv(f32::from);
        let mut tokens = Vec::with_capacity(samples.len());
        let mut mask = Array2::ones((samples.len(), reader.layout().slots().len()));
        let mut complete = true;
        let places: HashMap<&str, usize> = subjects.iter().map(String::as_str).zip(0..).collect();
        for (sample, mut mask) in samples.iter().zip(mask.rows_mut()) {
            let own = places.get(dataset.subjects[sample.subject].id.as_str());
            tokens.push(own.copied().filter(|_| token_count > 1));
            for (mask, &has) in mask.iter_mut().zip(reader.has_slot(sample.subject)) {
                *mask = f32::from(u8::from(has));
                complete &= has;
            }
        }
        Self {
            samples,
            reader,
            kept,
            labels,
            tokens,
            token_count,
            mask: (!complete).then_some(mask),
        }
    }

    /// Length of an input row.
    pub(crate) fn width(&self) -> usize {
        self.reader.layout().width()
    }

    /// As if the set were too large to keep.
    #[cfg(test)]
    pub(crate) fn forget(&mut self) {
        self.kept = None;
    }

    /// Inputs of the samples `chosen`: chosen × width.
    pub(crate) fn inputs(&self, chosen: &[usize]) -> Result<Array2<f32>> {
        match &self.kept {
            Some(kept) => Ok(kept.select(Axis(0), chosen)),
            None => {
                let chosen: Vec<&Sample> = chosen.iter().map(|&s| &self.samples[s]).collect();
                Ok(self.reader.read(&chosen)?)
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Name of the subject of a sample.
    pub(crate) fn subject(&self, sample: &Sample) -> &'d str {
        &self.reader.dataset().subjects[sample.subject].id
    }

    /// The dataset the samples are of.
    pub(crate) fn dataset(&self) -> &'d Dataset {
        self.reader.dataset()
    }

    /// 0 or 1 of the given rows: rows × labels.
    pub(crate) fn target_rows(&self, rows: &[usize]) -> Array2<u8> {
        self.labels.select(Axis(0), rows).mapv(|label| label as u8)
    }

    /// How much of each subject token the samples `chosen` have: chosen × tokens.
    pub(crate) fn subject_weights(&self, chosen: &[usize]) -> Array2<f32> {
        let mut weights = Array2::zeros((chosen.len(), self.token_count));
        for (&sample, mut weights) in chosen.iter().zip(weights.rows_mut()) {
            match self.tokens[sample] {
                Some(own) => weights[own] = 1.0,
                None => weights.fill(1.0 / self.token_count as f32),
            }
        }
        weights
    }

    /// Which regions or patches the subjects of the samples `chosen` have, 1 or 0: chosen × regions or patches.
    pub(crate) fn slots(&self, chosen: &[usize]) -> Array2<f32> {
        match &self.mask {
            Some(mask) => mask.select(Axis(0), chosen),
            None => Array2::ones((chosen.len(), self.reader.layout().slots().len())),
        }
    }

    /// The model's view of the samples `chosen`, whose inputs are given.
    pub(crate) fn batch<B: Backend>(
        &self,
        chosen: &[usize],
        inputs: Tensor<B, 2>,
        device: &B::Device,
    ) -> Batch<B> {
        let mask = self.mask.as_ref();
        Batch {
            inputs,
            subject_weights: tensor(self.subject_weights(chosen), device),
            mask: mask.map(|mask| tensor(mask.select(Axis(0), chosen), device)),
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

/// An array on a device.
pub(crate) fn tensor<B: Backend>(array: Array2<f32>, device: &B::Device) -> Tensor<B, 2> {
    let shape = [array.nrows(), array.ncols()];
    // `select`, `zeros` and whole rows of an owned array are in standard order from offset 0.
    let values = array.into_raw_vec_and_offset().0;
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use mused_data::simulate::{SimulateConfig, simulate};
    use mused_data::{InputTransform, samples};
    use mused_run::Config;
    use tempfile::TempDir;

    use super::*;

    /// Reading what is made already takes time for nothing.
    #[test]
    fn inputs_that_are_given_are_not_read() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("data");
        let config = SimulateConfig {
            subjects: 1,
            stimuli: 12,
            ..SimulateConfig::common_space()
        };
        simulate(&config, &path, &mut |_, _| ()).unwrap();
        let dataset = Dataset::open(&path).unwrap();
        let all = samples(&dataset, &[0], &(0..12).collect::<Vec<_>>());
        let arrangement = Config::default().arrangement(dataset.description.kind);
        let transform = InputTransform::fit(&dataset, arrangement, true, &all, &[]).unwrap();
        let reader = Arc::new(InputReader::new(&dataset, Arc::new(transform), &[0]).unwrap());
        let responses = path.join("subjects/sub-01/responses.npy");
        File::create(responses).unwrap();
        assert!(SampleSet::new(reader.clone(), all.clone(), &[], 1).is_err());
        let made = Array2::ones((all.len(), reader.layout().width()));
        let set = SampleSet::with_inputs(reader, all, &[], 1, Some(made));
        assert_eq!(set.inputs(&[3]).unwrap().sum(), set.width() as f32);
    }
}
