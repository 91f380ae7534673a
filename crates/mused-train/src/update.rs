use burn::module::{AutodiffModule, Module as _, ModuleMapper, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_kernels::TrainBackend;
use mused_model::{Decoder, LossConfig, LossTerms, TokenOutput};
use mused_run::EpochLosses;

use crate::fold_data::Guides;
use crate::optimizer::{Gradients, add_gradients};
use crate::sample_set::SampleSet;

/// One batch of training samples with its inputs.
pub(crate) struct Chosen<'a, 'd, B: Backend> {
    pub(crate) set: &'a SampleSet<'d>,
    pub(crate) samples: &'a [usize],
    /// samples × input width
    pub(crate) inputs: &'a Tensor<B, 2>,
    /// Seed of the step's dropout masks.
    pub(crate) seed: u64,
}

impl<B: Backend> Chosen<'_, '_, B> {
    /// Parts of at most `size` samples; 0 = one part. Each has dropout masks of its own.
    fn parts(&self, size: usize) -> Vec<Part<'_, '_, B>> {
        let size = if size == 0 { self.samples.len() } else { size };
        let parts = self.samples.chunks(size.max(1)).enumerate();
        parts
            .map(|(part, samples)| Part {
                of: self,
                samples,
                first: part * size,
                seed: self.seed.wrapping_add((part as u64) << 32),
            })
            .collect()
    }
}

/// Some samples of a batch, those from `first` on.
struct Part<'a, 'd, B: Backend> {
    of: &'a Chosen<'a, 'd, B>,
    samples: &'a [usize],
    first: usize,
    /// Of its dropout masks.
    seed: u64,
}

impl<B: Backend> Part<'_, '_, B> {
    /// Its rows of a tensor of the whole batch.
    fn rows(&self, of_batch: Tensor<B, 2>) -> Tensor<B, 2> {
        match self.samples.len() == self.of.samples.len() {
            true => of_batch,
            false => of_batch.narrow(0, self.first, self.samples.len()),
        }
    }

    fn inputs(&self) -> Tensor<B, 2> {
        self.rows(self.of.inputs.clone())
    }
}

/// Losses of a batch and the gradients of their sum.
///
/// A batch in several parts passes the network twice. The first pass, without gradients, gives
/// the tokens of the whole batch, hence the gradient of its losses with respect to them: guidance
/// compares all samples of a batch with one another, so parts cannot be treated alone. The second
/// carries that gradient into the network a part at a time (the gradient cache of Gao et al.,
/// RepL4NLP 2021). The sum is that of the whole batch, but for batch normalisation, whose
/// statistics are of the part.
pub(crate) fn losses_and_gradients<B: TrainBackend>(
    model: &mut Decoder<B>,
    chosen: &Chosen<'_, '_, B::InnerBackend>,
    guides: &Guides,
    config: &LossConfig,
    micro_batch: usize,
    device: &B::Device,
) -> (EpochLosses, Gradients<B::InnerBackend>) {
    let (high, low) = (guides.high.as_ref(), guides.low.as_ref());
    let targets = chosen.set.targets::<B>(chosen.samples, high, low, device);
    let parts = chosen.parts(micro_batch);
    let mut gradients = Gradients::new();
    if let [whole] = parts.as_slice() {
        let output = forward(model, whole, device);
        let terms = config.terms(output, targets);
        let losses = read(&terms);
        add_gradients(&mut gradients, model, terms.total.backward());
        return (losses, gradients);
    }

    let mut tokens = Vec::with_capacity(parts.len());
    for part in &parts {
        // Its running statistics are those of the second pass.
        let mut model = model.valid();
        let batch = part.of.set.batch(part.samples, part.inputs(), device);
        tokens.push(model.forward_train(batch, part.seed));
    }
    let leaf = |parts: Vec<Tensor<B::InnerBackend, 2>>| {
        Tensor::<B, 2>::from_inner(Tensor::cat(parts, 0)).require_grad()
    };
    let level = |field: fn(&TokenOutput<B::InnerBackend>) -> &Option<_>| {
        let parts: Option<Vec<_>> = tokens.iter().map(|output| field(output).clone()).collect();
        parts.map(leaf)
    };
    let output = TokenOutput {
        logits: leaf(tokens.iter().map(|output| output.logits.clone()).collect()),
        high_level: level(|output| &output.high_level),
        low_level: level(|output| &output.low_level),
    };
    let terms = config.terms(output.clone(), targets);
    let losses = read(&terms);
    let of_tokens = terms.total.backward();
    let seeds = outputs(&output).map(|leaf| leaf?.grad(&of_tokens));

    for part in &parts {
        *model = model.clone().map(&mut Anew);
        let output = forward(model, part, device);
        let products = outputs(&output).into_iter().zip(&seeds);
        let products = products.filter_map(|(output, seed)| {
            // A token no loss speaks of has no gradient.
            let seed = part.rows(seed.clone()?);
            Some((output? * Tensor::from_inner(seed)).sum())
        });
        if let Some(product) = products.reduce(|sum, product| sum + product) {
            add_gradients(&mut gradients, model, product.backward());
        }
    }
    (losses, gradients)
}

/// Has a module's parameters be others to the engine, of the same values.
///
/// After a backward pass it forgets the parameters that it came to, as those of one step are not those of the next. What is
/// computed from forgotten ones has nobody to hold it while two tensors are joined, and the pass of another model, on
/// another thread, that ends at that moment takes it away as refuse: a gradient is lost, in silence (burn #5573).
struct Anew;

impl<B: TrainBackend> ModuleMapper<B> for Anew {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let gradient = tensor.is_require_grad();
        let anew = Tensor::from_inner(tensor.inner()).set_require_grad(gradient);
        Param::from_mapped_value(id, anew, mapper)
    }
}

fn outputs<B: Backend>(output: &TokenOutput<B>) -> [Option<Tensor<B, 2>>; 3] {
    let TokenOutput {
        logits,
        high_level,
        low_level,
    } = output.clone();
    [Some(logits), high_level, low_level]
}

/// A training pass of a part.
fn forward<B: TrainBackend>(
    model: &mut Decoder<B>,
    part: &Part<'_, '_, B::InnerBackend>,
    device: &B::Device,
) -> TokenOutput<B> {
    let inputs = Tensor::from_inner(part.inputs());
    let batch = part.of.set.batch(part.samples, inputs, device);
    model.forward_train(batch, part.seed)
}

fn read<B: TrainBackend>(terms: &LossTerms<B>) -> EpochLosses {
    let optional = [&terms.orthogonality, &terms.high, &terms.low];
    let there = [&terms.total, &terms.classification]
        .into_iter()
        .chain(optional.into_iter().flatten());
    // All at once: a GPU is waited for once.
    let values = Tensor::cat(there.cloned().collect(), 0).into_data();
    let mut values = values.iter::<f64>();
    let mut next = || values.next().unwrap_or(f64::NAN);
    EpochLosses {
        total: next(),
        classification: next(),
        orthogonality: terms.orthogonality.as_ref().map(|_| next()),
        high: terms.high.as_ref().map(|_| next()),
        low: terms.low.as_ref().map(|_| next()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use mused_data::simulate::{SimulateConfig, simulate};
    use mused_data::{Dataset, Guidance, InputReader, InputTransform, Kind, Level, samples};
    use mused_kernels::{Bf16, CpuTraining};
    use mused_run::{Config, Layers};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use tempfile::TempDir;

    use super::*;
    use crate::families::{losses, network_of};
    use crate::parameters::to_host;
    use crate::sample_set::tensor;

    type B = CpuTraining;

    fn dataset(folder: &TempDir) -> Dataset {
        let config = SimulateConfig {
            kind: Kind::Volume,
            subjects: 2,
            stimuli: 12,
            labels: 5,
            ..SimulateConfig::common_space()
        };
        let path = folder.path().join("data");
        simulate(&config, &path, &mut |_, _| ()).unwrap();
        Dataset::open(path).unwrap()
    }

    fn config(family: &str, micro_batch: usize) -> Config {
        let mut layers = Layers::preset("default").unwrap();
        let small: &[&str] = match family {
            "brainformer" => &[
                "model.depth=10",
                "model.stem=[4, 8]",
                "model.stages=[8, 8, 8, 8]",
                "model.head_dim=4",
                "model.mlp=[8, 8]",
            ],
            _ => &[
                "model.dropout=0",
                "model.attention_dropout=0",
                "model.input_dropout=0",
            ],
        };
        layers.set(&format!("model.family={family}")).unwrap();
        for setting in small {
            layers.set(setting).unwrap();
        }
        let mut config = layers.config().unwrap();
        config.train.micro_batch = micro_batch;
        config
    }

    /// Losses and gradients of all samples of both subjects, and the model's state afterwards.
    fn step(dataset: &Dataset, config: &Config) -> (EpochLosses, Vec<(String, Vec<f32>)>) {
        let stimuli: Vec<usize> = (0..dataset.stimuli.len()).collect();
        let everyone = samples(dataset, &[0, 1], &stimuli);
        let arrangement = config.arrangement(dataset.description.kind);
        let transform = InputTransform::fit(dataset, arrangement, true, &everyone, &[]).unwrap();
        let decoder = network_of(config, &transform.layout, 2, 5).unwrap();
        let reader = InputReader::new(dataset, Arc::new(transform), &[0, 1]).unwrap();
        let ids: Vec<String> = dataset.subjects.iter().map(|s| s.id.clone()).collect();
        let set = SampleSet::new(Arc::new(reader), everyone, &ids, 2).unwrap();
        let chosen: Vec<usize> = (0..set.len()).rev().collect();
        let inputs = tensor(set.inputs(&chosen).unwrap(), &Default::default());
        let guide = |level| Guidance::load(dataset, level, "auto").unwrap();
        let guides = Guides {
            high: guide(Level::High),
            low: guide(Level::Low),
        };
        let device = Default::default();
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let mut model = decoder.init::<B>(rng, &device).unwrap();
        let chosen = Chosen {
            set: &set,
            samples: &chosen,
            inputs: &inputs,
            seed: 1,
        };
        let (losses, gradients) = losses_and_gradients(
            &mut model,
            &chosen,
            &guides,
            &losses(&config.loss),
            config.train.micro_batch,
            &device,
        );
        let gradients = gradients.into_iter();
        let gradients = gradients.map(|(name, values)| (name, to_host(values).unwrap()));
        (losses, gradients.collect())
    }

    fn largest_difference(a: &[(String, Vec<f32>)], b: &[(String, Vec<f32>)]) -> f32 {
        assert_eq!(a.len(), b.len());
        let pairs = a.iter().zip(b);
        pairs
            .map(|((name, a), (other, b))| {
                assert_eq!(name, other);
                let size = a.iter().fold(1e-3_f32, |most, value| most.max(value.abs()));
                let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
                differences.fold(0.0_f32, f32::max) / size
            })
            .fold(0.0, f32::max)
    }

    #[test]
    fn parts_of_a_batch_give_the_gradients_of_the_whole() {
        let folder = TempDir::new().unwrap();
        let dataset = dataset(&folder);
        let whole = step(&dataset, &config("transformer", 0));
        assert!(whole.0.high.is_some() && whole.0.orthogonality.is_some());
        // 24 samples in parts of 7, 7, 7 and 3.
        let parts = step(&dataset, &config("transformer", 7));
        assert!((whole.0.total - parts.0.total).abs() < 1e-5);
        let difference = largest_difference(&whole.1, &parts.1);
        assert!(difference < 1e-4, "{difference}");
    }

    /// The engine's clean-up after one model's backward pass must not take what another one is about to need.
    #[test]
    fn models_beside_one_another_lose_no_gradient() {
        let folder = TempDir::new().unwrap();
        let dataset = dataset(&folder);
        let configs = [0, 1].map(|micro_batch| config("transformer", micro_batch));
        let alone = configs.each_ref().map(|config| step(&dataset, config));
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        let leaf = Tensor::<B, 1>::ones([1], &Default::default());
                        leaf.require_grad().exp().backward();
                    }
                });
            }
            // The threads end with this one, even by a panic.
            let _ended = End(&ended);
            for _ in 0..20 {
                for (config, alone) in configs.iter().zip(&alone) {
                    assert!(step(&dataset, config) == *alone);
                }
            }
        });
    }

    struct End<'e>(&'e AtomicBool);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn gradients_in_bf16_are_near_those_in_single_precision() {
        let folder = TempDir::new().unwrap();
        let dataset = dataset(&folder);
        for (family, most) in [("transformer", 0.05), ("brainformer", 0.2)] {
            let single = step(&dataset, &config(family, 0));
            let inside = |micro_batch| {
                let config = config(family, micro_batch);
                Bf16::by_definition().products(|| step(&dataset, &config))
            };
            let bf16 = inside(0);
            assert!((single.0.total - bf16.0.total).abs() < 0.01 * single.0.total);
            let difference = largest_difference(&single.1, &bf16.1);
            assert!(
                difference > 1e-4 && difference < most,
                "{family}: {difference}"
            );
            if family == "transformer" {
                // Both passes of a batch in parts are in bf16.
                let difference = largest_difference(&bf16.1, &inside(7).1);
                assert!(difference < most, "{difference}");
            }
        }
    }

    #[test]
    fn batch_normalisation_alone_sees_the_parts() {
        let folder = TempDir::new().unwrap();
        let dataset = dataset(&folder);
        let whole = step(&dataset, &config("brainformer", 0));
        let one_part = step(&dataset, &config("brainformer", 24));
        assert_eq!(whole.1, one_part.1);
        let parts = step(&dataset, &config("brainformer", 8));
        assert!(largest_difference(&whole.1, &parts.1) > 1e-4);
        assert!(parts.0.total.is_finite());
    }

    #[test]
    fn inputs_read_again_are_those_kept_in_memory() {
        let folder = TempDir::new().unwrap();
        let dataset = dataset(&folder);
        let stimuli: Vec<usize> = (0..dataset.stimuli.len()).collect();
        let everyone = samples(&dataset, &[0, 1], &stimuli);
        let arrangement = config("brainformer", 0).arrangement(Kind::Volume);
        let transform = InputTransform::fit(&dataset, arrangement, true, &everyone, &[]).unwrap();
        let reader = InputReader::new(&dataset, Arc::new(transform), &[0, 1]).unwrap();
        let mut set = SampleSet::new(Arc::new(reader), everyone, &[], 1).unwrap();
        let chosen = [5, 20, 0];
        let kept = set.inputs(&chosen).unwrap();
        set.forget();
        assert_eq!(set.inputs(&chosen).unwrap(), kept);
        assert!(kept.iter().any(|value| *value != 0.0));
    }
}
