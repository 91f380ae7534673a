use std::ops::Range;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use crate::backend::{KernelBackend, unwrap, wrap};

/// What [`region_tokens`] reads beside the tokens before its own.
#[derive(Clone, Debug)]
pub struct Regions<B: KernelBackend> {
    /// `[batch, width]`
    pub inputs: FloatTensor<B>,
    /// Columns of `inputs` that each region has.
    pub columns: Vec<Range<usize>>,
    /// Weights of all regions, below one another, `[sum of columns, dim]`.
    pub weight: FloatTensor<B>,
    /// `[regions, dim]`
    pub bias: FloatTensor<B>,
}

/// A token sequence: tokens that are there, then one of each region, by a linear layer of its own for each.
///
/// # Shapes
/// - `leading`: `[batch, read, dim]`, the tokens that are there, one at least
/// - `inputs`: `[batch, width]`; data, which get no gradient
/// - `columns`: those of `inputs` that each region has, one at least
/// - `weight`: `[sum of columns, dim]`, those of all regions below one another
/// - `bias`: `[regions, dim]`
/// - output: `[batch, read + regions, dim]`
///
/// # Panics
/// When the shapes disagree, or one is empty.
pub fn region_tokens<B: KernelBackend>(
    leading: Tensor<B, 3>,
    inputs: Tensor<B, 2>,
    columns: Vec<Range<usize>>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 2>,
) -> Tensor<B, 3> {
    let ([batch, read, dim], [rows, width]) = (leading.dims(), inputs.dims());
    assert_eq!(batch, rows, "region_tokens: inputs against leading tokens");
    let whole = |own: &Range<usize>| !own.is_empty() && own.end <= width;
    assert!(
        batch * read * dim > 0 && !columns.is_empty() && columns.iter().all(whole),
        "region_tokens: {read} tokens of {dim} values, then columns {columns:?} of {batch} × {width}"
    );
    let all = columns.iter().map(Range::len).sum();
    assert_eq!([all, dim], weight.dims(), "region_tokens: weight");
    assert_eq!([columns.len(), dim], bias.dims(), "region_tokens: bias");
    let regions = Regions {
        inputs: unwrap(inputs),
        columns,
        weight: unwrap(weight),
        bias: unwrap(bias),
    };
    wrap(B::kernel_region_tokens(unwrap(leading), regions))
}

impl<B: KernelBackend> Regions<B> {
    /// Inputs of each region, and where its weights begin.
    fn inputs(&self) -> impl Iterator<Item = (Tensor<B, 2>, Range<usize>)> {
        let inputs = wrap::<B, 2>(self.inputs.clone());
        let mut end = 0;
        self.columns.iter().map(move |own| {
            let weights = end..end + own.len();
            end = weights.end;
            let inputs = inputs.clone().narrow(1, own.start, own.len());
            (inputs, weights)
        })
    }
}

/// `[batch, regions, dim]`
fn products<B: KernelBackend>(regions: &Regions<B>) -> Tensor<B, 3> {
    let weight = wrap::<B, 2>(regions.weight.clone());
    let token = |(inputs, own): (Tensor<B, 2>, Range<usize>)| {
        let weight = weight.clone().narrow(0, own.start, own.len());
        wrap::<B, 2>(B::kernel_linear(unwrap(inputs), unwrap(weight), None)).unsqueeze_dim(1)
    };
    Tensor::cat(regions.inputs().map(token).collect(), 1)
}

pub(crate) fn plain<B: KernelBackend>(
    leading: FloatTensor<B>,
    regions: Regions<B>,
) -> FloatTensor<B> {
    let tokens = products(&regions);
    joined(leading, tokens, regions.bias)
}

/// The tokens that are there, then those of the regions, which a bias is added to.
pub(crate) fn joined<B: KernelBackend>(
    leading: FloatTensor<B>,
    tokens: Tensor<B, 3>,
    bias: FloatTensor<B>,
) -> FloatTensor<B> {
    let tokens = tokens + wrap::<B, 2>(bias).unsqueeze_dim(0);
    unwrap(Tensor::cat(vec![wrap::<B, 3>(leading), tokens], 1))
}

pub(crate) fn plain_gradient<B: KernelBackend>(
    regions: Regions<B>,
    gradient: FloatTensor<B>,
) -> [FloatTensor<B>; 2] {
    let gradient = wrap::<B, 3>(gradient);
    let own = of_regions(&gradient, &regions);
    let [batch, _, dim] = own.dims();
    let of_weight = |(region, (inputs, _)): (usize, (Tensor<B, 2>, _))| {
        let token = own.clone().narrow(1, region, 1).reshape([batch, dim]);
        wrap::<B, 2>(B::kernel_linear_weight_gradient(
            unwrap(inputs),
            unwrap(token),
        ))
    };
    let weight = Tensor::cat(regions.inputs().enumerate().map(of_weight).collect(), 0);
    [unwrap(weight), bias_gradient::<B>(own)]
}

/// What of a gradient is that of the regions' tokens, `[batch, regions, dim]`.
pub(crate) fn of_regions<B: KernelBackend>(
    gradient: &Tensor<B, 3>,
    regions: &Regions<B>,
) -> Tensor<B, 3> {
    let (count, all) = (regions.columns.len(), gradient.dims()[1]);
    gradient.clone().narrow(1, all - count, count)
}

/// Sums over the batch: `[batch, regions, dim]` → `[regions, dim]`.
pub(crate) fn bias_gradient<B: KernelBackend>(gradient: Tensor<B, 3>) -> FloatTensor<B> {
    let [batch, regions, dim] = gradient.dims();
    let rows = unwrap(gradient.reshape([batch, regions * dim]));
    let sums = wrap::<B, 1>(B::kernel_linear_bias_gradient(rows));
    unwrap(sums.reshape([regions, dim]))
}

#[derive(Debug)]
struct RegionTokens;

impl<B: KernelBackend> Backward<B, 3> for RegionTokens {
    type State = Regions<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let [leading_node, weight_node, bias_node] = ops.parents;
        if let Some(node) = leading_node {
            let gradient = wrap::<B, 3>(gradient.clone());
            let read = gradient.dims()[1] - ops.state.columns.len();
            grads.register::<B>(node.id, unwrap(gradient.narrow(1, 0, read)));
        }
        let values = B::kernel_region_tokens_gradient(ops.state, gradient);
        for (node, value) in [weight_node, bias_node].into_iter().zip(values) {
            if let Some(node) = node {
                grads.register::<B>(node.id, value);
            }
        }
    }
}

pub(crate) fn tracked<B: KernelBackend, C: CheckpointStrategy>(
    leading: FloatTensor<Autodiff<B, C>>,
    regions: Regions<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = [leading.node, regions.weight.node, regions.bias.node];
    let inner = Regions {
        inputs: regions.inputs.primitive,
        columns: regions.columns,
        weight: regions.weight.primitive,
        bias: regions.bias.primitive,
    };
    let tokens = B::kernel_region_tokens(leading.primitive, inner.clone());
    match RegionTokens.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(inner, tokens),
        OpsKind::UnTracked(prep) => prep.finish(tokens),
    }
}
