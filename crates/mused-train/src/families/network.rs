use std::marker::PhantomData;

use burn::tensor::Tensor;
use mused_data::{FitBytes, Layout};
use mused_kernels::{KernelBackend, TrainBackend};
use mused_model::{Batch, Decoder, DecoderConfig, TokenOutput};
use mused_run::Config;
use ndarray::{Array2, Array3, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::architecture::network;
use super::precision::products;
use super::trainer::Trainer;
use crate::learner::{Fit, Learner, Model, Outputs};
use crate::model_file::Architecture;
use crate::parameters::{NamedTensors, below_one_another, collect, restore, to_host};
use crate::sample_set::{SampleSet, kept_bytes, tensor};
use crate::{Error, Result, memory};

/// Most samples, and most values of inputs, of a forward pass without gradients.
const EVALUATION_BATCH: (usize, usize) = (256, 1 << 24);

/// Networks, trained by gradient steps.
pub(crate) struct Networks<'c, B> {
    config: &'c Config,
    backend: PhantomData<fn() -> B>,
}

impl<'c, B> Networks<'c, B> {
    pub(crate) fn new(config: &'c Config) -> Self {
        Self {
            config,
            backend: PhantomData,
        }
    }
}

impl<B: TrainBackend> Learner for Networks<'_, B> {
    fn architecture(
        &self,
        layout: &Layout,
        subjects: usize,
        labels: usize,
    ) -> Result<Architecture> {
        network(self.config, layout, subjects, labels).map(Architecture::Network)
    }

    fn memory(
        &self,
        architecture: &Architecture,
        layout: &Layout,
        samples: usize,
        beside: u64,
    ) -> Result<FitBytes> {
        let network = architecture.network()?;
        // Aligned inputs of training samples are made once, by maps of their own, and kept however many they are.
        let train = match self.config.model.inputs.inputs.onto() {
            Some(_) => 4 * samples as u64 * layout.width() as u64,
            None => kept_bytes(samples, layout.width()),
        };
        let kept = train.saturating_add(beside);
        let held = match self.device() {
            None => memory::check(network, &self.config.train, kept)?,
            // What a GPU has left, it does not say.
            Some(_) => kept,
        };
        Ok(FitBytes::default().and(held))
    }

    fn device(&self) -> Option<String> {
        B::device_name(&Default::default())
    }

    fn check_here(&self) -> Result<()> {
        products::<B>(&self.config.train).map(drop)
    }

    fn steps(&self, samples: usize) -> usize {
        samples.div_ceil(self.config.train.batch_size) * self.config.train.epochs
    }

    fn fit(&self, fit: &mut Fit<'_, '_>) -> Result<Option<Box<dyn Model>>> {
        let total = self.steps(fit.data.train.len());
        let mut trainer = Trainer::<B>::new(fit, self.config, total)?;
        while !trainer.finished() {
            fit.worker.run(|| trainer.step())?;
            if fit.watch.progress.interrupted() || fit.worker.stopped() {
                fit.worker.stop();
                trainer.save()?;
                return Ok(None);
            }
        }
        let network = fit.worker.run(|| trainer.finish())?;
        Ok(Some(Box::new(network)))
    }
}

/// Trained networks of one architecture whose logits are averaged, often one.
pub(crate) struct Network<B: KernelBackend> {
    members: Vec<Decoder<B>>,
    device: B::Device,
}

impl<B: KernelBackend> Network<B> {
    pub(crate) fn new(members: Vec<Decoder<B>>, device: B::Device) -> Self {
        Self { members, device }
    }

    /// The networks of stored tensors.
    ///
    /// # Errors
    /// Every missing, surplus and mis-shaped tensor.
    pub(crate) fn restore(
        config: &DecoderConfig,
        members: usize,
        tensors: NamedTensors,
    ) -> Result<Self> {
        let device = B::Device::default();
        if !(1..=tensors.len().max(1)).contains(&members) {
            let message = format!("{} tensors are not of {members} networks", tensors.len());
            return Err(Error::Request(message));
        }
        // The drawn weights are all replaced.
        let drawn = config.init::<B>(&mut ChaCha8Rng::seed_from_u64(0), &device)?;
        let tensors = below_one_another(tensors, config);
        let members = members_of(tensors, members).into_iter();
        let members = members.map(|tensors| restore(drawn.clone(), tensors));
        Ok(Self::new(members.collect::<Result<_>>()?, device))
    }

    /// The network, where there is but one.
    pub(crate) fn single(&self) -> Option<&Decoder<B>> {
        match self.members.as_slice() {
            [decoder] => Some(decoder),
            _ => None,
        }
    }

    /// What each network makes of a batch.
    fn forward(&self, batch: &Batch<B>) -> Vec<TokenOutput<B>> {
        let members = self.members.iter();
        members
            .map(|member| member.forward(batch.clone()))
            .collect()
    }
}

/// Tensors of several networks under one name each: `N.name` of the N-th, the plain name of one that is alone.
pub(crate) fn joined(members: Vec<NamedTensors>) -> NamedTensors {
    let alone = members.len() == 1;
    let named = members
        .into_iter()
        .enumerate()
        .flat_map(|(index, tensors)| {
            let name = move |name| match alone {
                true => name,
                false => format!("{index}.{name}"),
            };
            tensors
                .into_iter()
                .map(move |(own, tensor)| (name(own), tensor))
        });
    named.collect()
}

/// The tensors of each network of [`joined`] ones; what is none of theirs stays with the first, as it is.
pub(crate) fn members_of(tensors: NamedTensors, members: usize) -> Vec<NamedTensors> {
    if members == 1 {
        return vec![tensors];
    }
    let mut parts = vec![NamedTensors::new(); members];
    for (name, tensor) in tensors {
        let member = name.split_once('.').and_then(|(index, own)| {
            let index: usize = index.parse().ok()?;
            Some((index, own.to_owned())).filter(|(index, _)| *index < members)
        });
        let (index, name) = member.unwrap_or((0, name));
        if let Some(part) = parts.get_mut(index) {
            part.insert(name, tensor);
        }
    }
    parts
}

impl<B: KernelBackend> Model for Network<B> {
    fn predict(&self, set: &SampleSet<'_>) -> Result<Array2<f32>> {
        let rows: Vec<usize> = (0..set.len()).collect();
        let mut values = Vec::new();
        let mut labels = 0;
        for chosen in rows.chunks(evaluation_batch(set.width())) {
            let inputs = tensor(set.inputs(chosen)?, &self.device);
            let batch = set.batch::<B>(chosen, inputs, &self.device);
            let logits = self.forward(&batch).into_iter().map(|output| output.logits);
            let logits = mean(logits)?;
            labels = logits.dims()[1];
            values.extend(to_host(logits)?.into_iter().map(probability));
        }
        Array2::from_shape_vec((set.len(), labels), values).map_err(unexpected)
    }

    fn outputs(
        &self,
        set: &SampleSet<'_>,
        chosen: &[usize],
        inputs: ArrayView2<'_, f32>,
    ) -> Result<Outputs> {
        let inputs = tensor(inputs.to_owned(), &self.device);
        let batch = set.batch::<B>(chosen, inputs, &self.device);
        let outputs = self.forward(&batch);
        let mut tokens = Vec::new();
        let high = outputs.iter().map(|output| output.high_level.clone());
        let low = outputs.iter().map(|output| output.low_level.clone());
        let levels: [(_, Option<Vec<_>>); 2] = [("high", high.collect()), ("low", low.collect())];
        for (level, of_members) in levels {
            if let Some(of_members) = of_members {
                tokens.push((level, matrix(Tensor::cat(of_members, 1))?));
            }
        }
        let mut probabilities = matrix(mean(outputs.into_iter().map(|output| output.logits))?)?;
        probabilities.mapv_inplace(probability);
        Ok(Outputs {
            probabilities,
            tokens,
        })
    }

    fn attention(
        &self,
        set: &SampleSet<'_>,
        chosen: &[usize],
        inputs: ArrayView2<'_, f32>,
    ) -> Result<Option<Array3<f32>>> {
        let inputs = tensor(inputs.to_owned(), &self.device);
        let batch = set.batch::<B>(chosen, inputs, &self.device);
        let members = self.members.iter();
        let found: Option<Vec<_>> = members.map(|one| one.attention(batch.clone())).collect();
        let Some(found) = found else {
            return Ok(None);
        };
        let found = mean(found)?;
        let [samples, tokens, slots] = found.dims();
        let values = Array3::from_shape_vec((samples, tokens, slots), to_host(found)?);
        values.map(Some).map_err(unexpected)
    }

    fn tensors(&self) -> Result<NamedTensors> {
        let members = self.members.iter().map(collect);
        Ok(joined(members.collect::<Result<_>>()?))
    }
}

/// Samples of a forward pass without gradients, for inputs of `width` values.
pub(crate) fn evaluation_batch(width: usize) -> usize {
    let (samples, most_values) = EVALUATION_BATCH;
    (most_values / width.max(1)).clamp(1, samples)
}

/// Mean over networks of what they make of the same samples.
fn mean<B: KernelBackend, const D: usize>(
    of_members: impl IntoIterator<Item = Tensor<B, D>>,
) -> Result<Tensor<B, D>> {
    let of_members: Vec<_> = of_members.into_iter().collect();
    let count = of_members.len() as f64;
    let sum = of_members.into_iter().reduce(|sum, one| sum + one);
    match sum {
        Some(sum) if count > 1.0 => Ok(sum / count),
        Some(one) => Ok(one),
        None => Err(Error::Request("a model of no networks".to_owned())),
    }
}

fn probability(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

fn matrix<B: KernelBackend>(tensor: Tensor<B, 2>) -> Result<Array2<f32>> {
    let [rows, columns] = tensor.dims();
    Array2::from_shape_vec((rows, columns), to_host(tensor)?).map_err(unexpected)
}

fn unexpected(error: ndarray::ShapeError) -> Error {
    Error::Request(format!("model output of unexpected shape: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mused_data::simulate::{SimulateConfig, simulate};
    use mused_data::{Dataset, InputReader, InputTransform, Kind, samples};
    use mused_kernels::Cpu;
    use mused_model::{EncoderConfig, Identity, Levels, RoiTransformerConfig, Tokenizer};
    use tempfile::TempDir;

    use super::*;

    /// Twelve regions of 1 to 3 values that are read, and 2 of scores each.
    fn regions() -> DecoderConfig {
        DecoderConfig::Roi(RoiTransformerConfig {
            tokenizer: Tokenizer::Regions {
                lengths: (0..12).map(|region| 3 + region % 3).collect(),
            },
            identity: Identity::Tokens,
            levels: Levels::Both,
            scores: true,
            own_share: 0.5,
            subjects: 2,
            labels: 2,
            input_dropout: 0.0,
            encoder: EncoderConfig {
                dim: 4,
                depth: 1,
                heads: 1,
                mlp_ratio: 1.0,
                dropout: 0.0,
                attention_dropout: 0.0,
            },
        })
    }

    /// Tensors as earlier versions had them, a region at a time.
    fn a_region_at_a_time(tensors: &NamedTensors, lengths: &[usize]) -> NamedTensors {
        let mut earlier = NamedTensors::new();
        for (name, (shape, values)) in tensors {
            let Some((begin, kind)) = name.split_once("rois.") else {
                earlier.insert(name.clone(), (shape.clone(), values.clone()));
                continue;
            };
            let mut rest = values.as_slice();
            for (region, length) in lengths.iter().enumerate() {
                let shape = match kind {
                    "weight" => vec![*length, 4],
                    _ => vec![4],
                };
                let (own, after) = rest.split_at(shape.iter().product());
                rest = after;
                earlier.insert(
                    format!("{begin}rois.{region}.{kind}"),
                    (shape, own.to_vec()),
                );
            }
        }
        earlier
    }

    #[test]
    fn networks_of_earlier_versions_are_read_region_by_region() {
        let config = regions();
        let drawn = |seed| {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            config.init::<Cpu>(rng, &Default::default()).unwrap()
        };
        let both = Network::new(vec![drawn(1), drawn(2)], Default::default());
        let tensors = both.tensors().unwrap();
        let lengths: Vec<usize> = (0..12).map(|region| 1 + region % 3).collect();
        let earlier = a_region_at_a_time(&tensors, &lengths);
        assert_eq!(earlier.len(), tensors.len() + 2 * 2 * 11);
        let read = Network::<Cpu>::restore(&config, 2, earlier.clone()).unwrap();
        assert_eq!(read.tensors().unwrap(), tensors);

        // Regions of other lengths, a missing one, one of another width, and both at once are of no network.
        let refused = |change: &dyn Fn(&mut NamedTensors)| {
            let mut changed = earlier.clone();
            change(&mut changed);
            let error = Network::<Cpu>::restore(&config, 2, changed).err().unwrap();
            let message = error.to_string();
            assert!(
                message.contains("rois.0.weight is not part of"),
                "{message}"
            );
        };
        let other =
            a_region_at_a_time(&tensors, &lengths.iter().rev().copied().collect::<Vec<_>>());
        refused(&|tensors| *tensors = other.clone());
        refused(&|tensors| drop(tensors.remove("0.Roi.rois.7.weight")));
        refused(&|tensors| {
            drop(tensors.insert("0.Roi.rois.7.weight".to_owned(), (vec![2, 3], vec![0.0; 6])))
        });
        let whole = tensors["0.Roi.rois.weight"].clone();
        refused(&|tensors| drop(tensors.insert("0.Roi.rois.weight".to_owned(), whole.clone())));
    }

    #[test]
    fn a_model_of_several_networks_is_their_mean() {
        let folder = TempDir::new().unwrap();
        let data = SimulateConfig {
            kind: Kind::Roi,
            subjects: 2,
            stimuli: 12,
            labels: 5,
            ..SimulateConfig::common_space()
        };
        simulate(&data, &folder.path().join("data"), &mut |_, _| ()).unwrap();
        let dataset = Dataset::open(folder.path().join("data")).unwrap();
        let config = Config::default().set("model.dim=16").unwrap();
        let stimuli: Vec<usize> = (0..12).collect();
        let everyone = samples(&dataset, &[0, 1], &stimuli);
        let arrangement = config.arrangement(dataset.description.kind);
        let transform = InputTransform::fit(&dataset, arrangement, true, &everyone, &[]).unwrap();
        let decoder = network(&config, &transform.layout, 2, 5).unwrap();
        let reader = InputReader::new(&dataset, Arc::new(transform), &[0, 1]).unwrap();
        let ids: Vec<String> = dataset.subjects.iter().map(|s| s.id.clone()).collect();
        let set = SampleSet::new(Arc::new(reader), everyone, &ids, 2).unwrap();

        let device = Default::default();
        let drawn = |seed| {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            decoder.init::<Cpu>(rng, &device).unwrap()
        };
        let (one, other) = (drawn(1), drawn(2));
        let alone = |decoder: &Decoder<Cpu>| Network::new(vec![decoder.clone()], device);
        let both = Network::new(vec![one.clone(), other.clone()], device);
        let (one, other) = (alone(&one), alone(&other));
        let logit = |p: f32| (p / (1.0 - p)).ln();
        let of = |network: &Network<Cpu>| network.predict(&set).unwrap().mapv(logit);
        let mean = (of(&one) + of(&other)) / 2.0;
        assert!((of(&both) - mean).iter().all(|off| off.abs() < 1e-5));
        assert!((of(&both) - of(&one)).iter().any(|off| off.abs() > 1e-3));

        let chosen = [3, 20];
        let inputs = set.inputs(&chosen).unwrap();
        let tokens = |network: &Network<Cpu>| {
            let outputs = network.outputs(&set, &chosen, inputs.view()).unwrap();
            outputs.tokens[0].1.dim()
        };
        assert_eq!((tokens(&one), tokens(&both)), ((2, 16), (2, 32)));
        let attention = |network: &Network<Cpu>| {
            let found = network.attention(&set, &chosen, inputs.view()).unwrap();
            found.unwrap()
        };
        let mean = (attention(&one) + attention(&other)) / 2.0;
        assert!((attention(&both) - mean).iter().all(|off| off.abs() < 1e-6));

        let stored = both.tensors().unwrap();
        let restored = Network::<Cpu>::restore(&decoder, 2, stored.clone()).unwrap();
        assert_eq!(restored.predict(&set).unwrap(), both.predict(&set).unwrap());
        for members in [0, 1, 3, usize::MAX] {
            assert!(Network::<Cpu>::restore(&decoder, members, stored.clone()).is_err());
        }
    }
}
