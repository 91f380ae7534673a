use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use mused_kernels::{AdamStep, TrainBackend, adam_update, ema_update, sums_of_squares};
use mused_run::TrainConfig;

use crate::Result;
use crate::parameters::{NamePath, NamedTensors, to_host};

/// First and second moments and averaged weights of one parameter, flattened.
struct Slot<B: Backend> {
    exp_avg: Tensor<B, 1>,
    exp_avg_sq: Tensor<B, 1>,
    ema: Option<Tensor<B, 1>>,
    shape: Vec<usize>,
}

/// Gradients by parameter name, flattened.
pub(crate) type Gradients<B> = BTreeMap<String, Tensor<B, 1>>;

/// Takes a module's gradients out of a backward pass and adds them to those of earlier ones.
pub(crate) fn add_gradients<B: TrainBackend, M: Module<B>>(
    sum: &mut Gradients<B::InnerBackend>,
    module: &M,
    mut gradients: B::Gradients,
) {
    module.visit(&mut Take::<B> {
        path: NamePath::default(),
        gradients: &mut gradients,
        sum,
    });
}

struct Take<'g, B: TrainBackend> {
    path: NamePath,
    gradients: &'g mut B::Gradients,
    sum: &'g mut Gradients<B::InnerBackend>,
}

impl<B: TrainBackend> ModuleVisitor<B> for Take<'_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = param.val().grad_remove(self.gradients) {
            let gradient = gradient.flatten::<1>(0, D - 1);
            let name = self.path.name();
            let gradient = match self.sum.remove(&name) {
                Some(earlier) => earlier + gradient,
                None => gradient,
            };
            self.sum.insert(name, gradient);
        }
    }
}

/// Adam or AdamW with learning-rate factors by parameter name, gradient clipping by global norm
/// and an exponential moving average of the weights.
pub(crate) struct Optimizer<B: TrainBackend> {
    slots: BTreeMap<String, Slot<B::InnerBackend>>,
    step: u64,
}

impl<B: TrainBackend> Optimizer<B> {
    pub(crate) fn new() -> Self {
        Self {
            slots: BTreeMap::new(),
            step: 0,
        }
    }

    /// Applies one step's gradients; `false` where a weight, or a mean that its next steps divide by, is no longer finite.
    /// Weights that nobody else holds are updated in place.
    pub(crate) fn step<M: Module<B>>(
        &mut self,
        module: M,
        gradients: Gradients<B::InnerBackend>,
        learning_rate: f64,
        config: &TrainConfig,
    ) -> (M, bool) {
        self.step += 1;
        let gradient_scale = if config.gradient_clip > 0.0 {
            let squares = sums_of_squares(gradients.values().cloned());
            let norm = squares.iter().sum::<f64>().sqrt();
            (config.gradient_clip / (norm + 1e-6)).min(1.0)
        } else {
            1.0
        };
        let step = AdamStep {
            weight_decay: config.weight_decay,
            decoupled: config.optimizer == mused_run::Optimizer::AdamW,
            gradient_scale,
            ..AdamStep::adam(learning_rate, self.step)
        };
        let mut update = Update::<B> {
            path: NamePath::default(),
            slots: &mut self.slots,
            gradients,
            config,
            step,
            stepped: Vec::new(),
        };
        let module = module.map(&mut update);
        // All at once: a GPU is waited for once a step.
        let finite = sums_of_squares(update.stepped)
            .iter()
            .all(|sum| sum.is_finite());
        (module, finite)
    }

    /// The averaged weights, where they are kept.
    pub(crate) fn averaged(&self) -> Result<Option<NamedTensors>> {
        let mut named = NamedTensors::new();
        for (name, slot) in &self.slots {
            match &slot.ema {
                Some(ema) => {
                    named.insert(name.clone(), (slot.shape.clone(), to_host(ema.clone())?));
                }
                None => return Ok(None),
            }
        }
        Ok(Some(named))
    }

    /// Everything needed to go on later, under the names `exp_avg.…`, `exp_avg_sq.…`, `ema.…`.
    pub(crate) fn state(&self) -> Result<NamedTensors> {
        let mut named = NamedTensors::new();
        for (name, slot) in &self.slots {
            let mut put = |kind: &str, tensor: &Tensor<B::InnerBackend, 1>| -> Result<()> {
                let values = to_host(tensor.clone())?;
                named.insert(format!("{kind}.{name}"), (slot.shape.clone(), values));
                Ok(())
            };
            put("exp_avg", &slot.exp_avg)?;
            put("exp_avg_sq", &slot.exp_avg_sq)?;
            if let Some(ema) = &slot.ema {
                put("ema", ema)?;
            }
        }
        Ok(named)
    }

    /// The optimiser [`state`](Self::state) was taken from, after `step` steps.
    pub(crate) fn from_state(mut state: NamedTensors, step: u64, device: &B::Device) -> Self {
        let names: Vec<String> = state
            .keys()
            .filter_map(|key| key.strip_prefix("exp_avg."))
            .map(str::to_owned)
            .collect();
        let mut slots = BTreeMap::new();
        for name in names {
            let mut take = |kind: &str| {
                let (shape, values) = state.remove(&format!("{kind}.{name}"))?;
                let length = values.len();
                let data = TensorData::new(values, [length]);
                Some((shape, Tensor::<B::InnerBackend, 1>::from_data(data, device)))
            };
            if let (Some((shape, exp_avg)), Some((_, exp_avg_sq))) =
                (take("exp_avg"), take("exp_avg_sq"))
            {
                let ema = take("ema").map(|(_, ema)| ema);
                slots.insert(
                    name,
                    Slot {
                        exp_avg,
                        exp_avg_sq,
                        ema,
                        shape,
                    },
                );
            }
        }
        Self { slots, step }
    }
}

struct Update<'o, B: TrainBackend> {
    path: NamePath,
    slots: &'o mut BTreeMap<String, Slot<B::InnerBackend>>,
    gradients: Gradients<B::InnerBackend>,
    config: &'o TrainConfig,
    step: AdamStep,
    /// What must be finite.
    stepped: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: TrainBackend> ModuleMapper<B> for Update<'_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let name = self.path.name();
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove(&name) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let shape = tensor.dims();
        let value = tensor.inner().flatten::<1>(0, D - 1);
        let slot = self.slots.remove(&name).unwrap_or_else(|| Slot {
            exp_avg: value.zeros_like(),
            exp_avg_sq: value.zeros_like(),
            // The average starts at the initial weights; its memory of them fades with its decay.
            ema: (self.config.ema_decay > 0.0).then(|| value.clone()),
            shape: shape.to_vec(),
        });
        let factor: f64 = self
            .config
            .rate_factors
            .iter()
            .filter(|(part, _)| name.contains(part.as_str()))
            .map(|(_, factor)| factor)
            .product();
        let step = AdamStep {
            learning_rate: self.step.learning_rate * factor,
            weight_decay: if decays(&name, D) {
                self.step.weight_decay
            } else {
                0.0
            },
            ..self.step
        };
        let (value, exp_avg, exp_avg_sq) =
            adam_update(value, gradient, slot.exp_avg, slot.exp_avg_sq, &step);
        // Clipped gradients have small squares.
        let means = (self.config.gradient_clip == 0.0).then(|| exp_avg_sq.clone());
        self.stepped
            .extend(means.into_iter().chain([value.clone()]));
        let ema = slot
            .ema
            .map(|ema| ema_update(ema, value.clone(), warmed(self.config.ema_decay, step.step)));
        self.slots.insert(
            name,
            Slot {
                exp_avg,
                exp_avg_sq,
                ema,
                shape: slot.shape,
            },
        );
        let value = Tensor::from_inner(value.reshape(shape)).require_grad();
        Param::from_mapped_value(id, value, mapper)
    }
}

/// Weight matrices decay; biases, norms, embeddings and subject tokens do not.
fn decays(name: &str, dimensions: usize) -> bool {
    dimensions >= 2 && !name.contains("token") && !name.contains("embedding")
}

/// Early averages forget the random start faster: min(decay, (1 + t) / (10 + t)).
fn warmed(decay: f64, step: u64) -> f64 {
    let step = step as f64;
    decay.min((1.0 + step) / (10.0 + step))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mused_kernels::Cpu;
    use mused_model::{
        BrainFormerConfig, DecoderConfig, Depth, EncoderConfig, Identity, Levels, MlpConfig,
        RoiTransformerConfig, SubjectLinearConfig, Tokenizer,
    };
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::parameters::collect;

    /// Names of the parameters of all networks that decay, without the numbers in them.
    #[test]
    fn weight_matrices_decay_and_nothing_else() {
        let transformer = |tokenizer: Tokenizer, identity: Identity| {
            DecoderConfig::Roi(RoiTransformerConfig {
                tokenizer,
                identity,
                levels: Levels::Both,
                scores: false,
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
        };
        let mut volume = BrainFormerConfig::published(Depth::Ten, 2, 2);
        (volume.grid, volume.stem, volume.stages) = ([16, 16, 16], [4, 8], [8, 8, 8, 8]);
        (volume.head_dim, volume.mlp) = (4, [8, 8]);
        let networks = [
            transformer(
                Tokenizer::Regions {
                    lengths: vec![3, 2],
                },
                Identity::Embedding,
            ),
            transformer(
                Tokenizer::Patches {
                    count: 3,
                    length: 8,
                },
                Identity::Tokens,
            ),
            DecoderConfig::BrainFormer(volume),
            DecoderConfig::Mlp(MlpConfig {
                inputs: 3,
                hidden: 4,
                labels: 2,
                input_dropout: 0.0,
                dropout: 0.0,
            }),
            DecoderConfig::SubjectLinear(SubjectLinearConfig {
                inputs: 3,
                subjects: 2,
                hidden: 4,
                rank: 2,
                depth: 1,
                labels: 2,
                input_dropout: 0.0,
                dropout: 0.0,
            }),
        ];
        let (mut decay, mut stay) = (BTreeSet::new(), BTreeSet::new());
        for network in networks {
            let rng = &mut ChaCha8Rng::seed_from_u64(0);
            let network = network.init::<Cpu>(rng, &Default::default()).unwrap();
            for (name, (shape, _)) in collect(&network).unwrap() {
                let last = name.rsplit('.').next().unwrap().to_owned();
                let kinds = if decays(&name, shape.len()) {
                    &mut decay
                } else {
                    &mut stay
                };
                kinds.insert(last);
            }
        }
        let text = |kinds: &BTreeSet<String>| kinds.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(text(&decay), "weight");
        assert!(text(&stay).contains("embedding"), "{stay:?}");
    }
}
