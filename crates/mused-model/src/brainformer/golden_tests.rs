//! The parts of a BrainFormer against the published PyTorch code (`tests/golden`): outputs in evaluation and training,
//! gradients of inputs and parameters, running statistics after the training pass.

use std::cell::RefCell;

use burn::backend::Autodiff;
use burn::module::Param;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use mused_kernels::{BatchNormTail, Cpu};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;

use super::attention::{DeepAttention, DeepAttentionSizes, ShallowAttention, Tokens};
use super::block::BasicBlock;
use super::layers::{BatchNorm, Convolution, Mode, Volume};
use super::state::{Check, Collect, Layout, Load, NamedTensors, StateTensor, StateVisitor};

type B = Autodiff<Cpu>;

/// Relative to the largest value of a tensor, at least 1: gradients of a bias before a normalisation are rounding errors.
const TOLERANCE: f32 = 1e-5;

fn golden(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    std::fs::read(format!("{folder}/{name}.safetensors")).unwrap()
}

struct Golden<'a>(SafeTensors<'a>);

impl Golden<'_> {
    fn named(&self, prefix: &str) -> NamedTensors {
        let names = self.0.names().into_iter();
        let names = names.filter_map(|name| Some((name, name.strip_prefix(prefix)?)));
        names
            .map(|(name, rest)| (rest.to_owned(), self.get(name)))
            .collect()
    }

    fn get(&self, name: &str) -> StateTensor {
        let view = self.0.tensor(name).unwrap();
        let words = view.data().as_chunks::<4>().0.iter();
        StateTensor {
            shape: view.shape().to_vec(),
            values: words.map(|word| f32::from_le_bytes(*word)).collect(),
        }
    }

    /// [batch, channels, d, h, w] with channels last.
    fn volume(&self, name: &str) -> Tensor<B, 5> {
        let StateTensor { shape, values } = self.get(name);
        Tensor::<B, 5>::from_data(TensorData::new(values, shape), &Default::default())
            .permute([0, 2, 3, 4, 1])
            .detach()
            .require_grad()
    }

    /// [batch, 1, dim] → [batch, dim]
    fn token(&self, name: &str) -> Tensor<B, 2> {
        let StateTensor { shape, values } = self.get(name);
        let data = TensorData::new(values, [shape[0], shape[2]]);
        Tensor::from_data(data, &Default::default()).require_grad()
    }

    fn close(&self, name: &str, found: &[f32]) {
        close(name, found, &self.get(name).values);
    }

    fn close_volume<Back: burn::tensor::backend::Backend>(
        &self,
        name: &str,
        found: Tensor<Back, 5>,
    ) {
        let found = found.permute([0, 4, 1, 2, 3]).into_data();
        self.close(name, &found.into_vec::<f32>().unwrap());
    }

    fn close_token<Back: burn::tensor::backend::Backend>(
        &self,
        name: &str,
        found: Tensor<Back, 2>,
    ) {
        self.close(name, &found.into_data().into_vec::<f32>().unwrap());
    }
}

fn close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(1.0_f32, |max, v| max.max(v.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= TOLERANCE * largest,
            "{name}: {found} against {expected} (scale {largest})"
        );
    }
}

/// Gradients of the parameters, as a state.
struct Gradients<'g> {
    gradients: &'g <B as AutodiffBackend>::Gradients,
    collect: RefCell<Collect>,
}

impl StateVisitor<B> for Gradients<'_> {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        layout: Layout,
        param: &mut Param<Tensor<B, D>>,
    ) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            let mut gradient = Param::from_tensor(gradient);
            StateVisitor::<Cpu>::tensor(
                &mut *self.collect.borrow_mut(),
                name,
                layout,
                &mut gradient,
            );
        }
    }
}

/// What a part offers to a test.
trait Part {
    fn visit(&mut self, visitor: &mut impl StateVisitor<B>);

    fn load(&mut self, golden: &Golden<'_>) {
        let tensors = golden.named("param.");
        let mut check = Check::new(&tensors);
        self.visit(&mut check);
        check.finish().unwrap();
        self.visit(&mut Load { tensors });
    }

    fn compare(&mut self, golden: &Golden<'_>, gradients: &<B as AutodiffBackend>::Gradients) {
        let mut found = Gradients {
            gradients,
            collect: RefCell::default(),
        };
        self.visit(&mut found);
        let found = found.collect.into_inner().tensors;
        let expected = golden.named("train.grad.");
        assert_eq!(found.len(), expected.len(), "number of gradients");
        for (name, expected) in expected {
            assert_eq!(found[&name].shape, expected.shape, "{name}");
            close(&name, &found[&name].values, &expected.values);
        }
        let mut state = Collect::default();
        self.visit(&mut state);
        for (name, expected) in golden.named("after.") {
            close(&name, &state.tensors[&name].values, &expected.values);
        }
    }
}

macro_rules! part {
    ($name:ident) => {
        impl Part for $name<B> {
            fn visit(&mut self, visitor: &mut impl StateVisitor<B>) {
                self.visit_state("", &mut Unprefixed(visitor));
            }
        }
    };
}

part!(BasicBlock);
part!(Bottleneck);
part!(ShallowAttention);
part!(DeepAttention);

/// Takes away the dot after an empty name.
struct Unprefixed<'v, V>(&'v mut V);

impl<V: StateVisitor<B>> StateVisitor<B> for Unprefixed<'_, V> {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        layout: Layout,
        param: &mut Param<Tensor<B, D>>,
    ) {
        self.0.tensor(name.trim_start_matches('.'), layout, param);
    }
}

/// The block of the published depths above 34, which cannot run as a whole: here it holds the layers, 1³ convolutions
/// among them, to PyTorch in another arrangement. Convolutions and norms, the last pair on the shortcut.
struct Bottleneck<Back: burn::tensor::backend::Backend>([(Convolution<Back>, BatchNorm<Back>); 4]);

impl Bottleneck<B> {
    fn init([inputs, inner]: [usize; 2], stride: usize) -> Self {
        let device = Default::default();
        let layer = |[inputs, outputs]: [usize; 2], size, stride| {
            let convolution =
                Convolution::init([inputs, outputs], size, stride, &mut rng(), &device);
            (convolution, BatchNorm::init(outputs, 1.0, &device))
        };
        Self([
            layer([inputs, inner], 1, 1),
            layer([inner, inner], 3, stride),
            layer([inner, 4 * inner], 1, 1),
            layer([inputs, 4 * inner], 1, stride),
        ])
    }

    fn forward(&mut self, x: &Volume<B>, mode: Mode) -> Volume<B> {
        let [first, second, third, shortcut] = &mut self.0;
        let residual = shortcut.0.forward(x).rows();
        let residual = shortcut.1.forward(residual, BatchNormTail::none(), mode);
        let mut hidden = x.clone();
        for (convolution, norm) in [first, second] {
            hidden = convolution.forward(&hidden);
            hidden = hidden.with_rows(norm.forward(hidden.rows(), BatchNormTail::relu(), mode));
        }
        hidden = third.0.forward(&hidden);
        let tail = BatchNormTail {
            residual: Some(residual),
            relu: true,
        };
        hidden.with_rows(third.1.forward(hidden.rows(), tail, mode))
    }

    fn visit_state(&mut self, _: &str, visitor: &mut impl StateVisitor<B>) {
        let names = [
            [".conv1", ".bn1"],
            [".conv2", ".bn2"],
            [".conv3", ".bn3"],
            [".downsample.0", ".downsample.1"],
        ];
        for ((convolution, norm), [first, second]) in self.0.iter_mut().zip(names) {
            convolution.visit_state(first, visitor);
            norm.visit_state(second, visitor);
        }
    }
}

#[test]
fn bottleneck_equals_the_published_one() {
    check_volume_part(
        "bottleneck",
        Bottleneck::init([4, 4], 2),
        Bottleneck::forward,
    );
}

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(0)
}

/// A part that reads and gives one volume.
fn check_volume_part<P: Part>(
    name: &str,
    mut part: P,
    forward: impl Fn(&mut P, &Volume<B>, Mode) -> Volume<B>,
) {
    let bytes = golden(name);
    let golden = Golden(SafeTensors::deserialize(&bytes).unwrap());
    part.load(&golden);
    let x = golden.volume("in0");
    let volume = Volume { values: x.clone() };
    golden.close_volume(
        "eval.out0",
        forward(&mut part, &volume, Mode::Evaluate).values,
    );
    let out = forward(&mut part, &volume, Mode::Train).values;
    golden.close_volume("train.out0", out.clone());
    let gradients = (out * golden.volume("train.cotangent0")).sum().backward();
    golden.close_volume("train.grad_in0", x.grad(&gradients).unwrap());
    part.compare(&golden, &gradients);
}

#[test]
fn basic_block_equals_the_published_one() {
    let block = BasicBlock::init([4, 8], 2, &mut rng(), &Default::default());
    check_volume_part("basic_block", block, BasicBlock::forward);
}

#[test]
fn shallow_attention_equals_the_published_one() {
    let part = ShallowAttention::init(8, 12, &mut rng(), &Default::default());
    check_volume_part("shallow_attention", part, ShallowAttention::forward);
}

#[test]
fn deep_attention_equals_the_published_one() {
    let bytes = golden("deep_attention");
    let golden = Golden(SafeTensors::deserialize(&bytes).unwrap());
    let sizes = DeepAttentionSizes {
        channels: 32,
        heads: 4,
        head_dim: 8,
        hidden: 48,
    };
    let mut part = DeepAttention::init(sizes, &mut rng(), &Default::default());
    part.load(&golden);
    let x = golden.volume("in0");
    let (high, low) = (golden.token("in1"), golden.token("in2"));
    let tokens = Tokens {
        patches: Volume { values: x.clone() },
        high: high.clone(),
        low: low.clone(),
    };
    let compare = |out: &Tokens<B>, mode: &str| {
        golden.close_volume(&format!("{mode}.out0"), out.patches.values.clone());
        golden.close_token(&format!("{mode}.out1"), out.high.clone());
        golden.close_token(&format!("{mode}.out2"), out.low.clone());
    };
    compare(&part.forward(&tokens, Mode::Evaluate), "eval");
    let out = part.forward(&tokens, Mode::Train);
    compare(&out, "train");
    let scalar = (out.patches.values * golden.volume("train.cotangent0")).sum()
        + (out.high * golden.token("train.cotangent1")).sum()
        + (out.low * golden.token("train.cotangent2")).sum();
    let gradients = scalar.backward();
    golden.close_volume("train.grad_in0", x.grad(&gradients).unwrap());
    golden.close_token("train.grad_in1", high.grad(&gradients).unwrap());
    golden.close_token("train.grad_in2", low.grad(&gradients).unwrap());
    part.compare(&golden, &gradients);
}
