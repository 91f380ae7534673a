//! The fast paths for contiguous `f32` slices; every other data type takes the plain bodies.

use std::ops::Range;

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

use crate::adam::{self, AdamStep};
use crate::attention_inference_cpu::{self, Attend};
use crate::attention_readout::{self, Readout};
use crate::attention_readout_cpu::{self, Inputs, Kept};
use crate::backend::{Cpu, KernelBackend};
use crate::batch_norm::{self, BatchNormState};
use crate::bf16::Bf16;
use crate::conv3d::{self, Sizes, Window};
use crate::dropout::{self, Dropout};
use crate::gelu::{self, Activation};
use crate::region_tokens::{self, Regions};
use crate::region_tokens_cpu;
use crate::{
    attention, attention_cpu, batch_norm_cpu, layer_norm, layer_norm_cpu, linear, matmul, memory,
};

/// Contiguous tensors of `f32`, or nothing when one holds another type.
fn floats<const N: usize>(tensors: [&FlexTensor; N]) -> Option<[FlexTensor; N]> {
    tensors
        .iter()
        .all(|tensor| tensor.dtype() == DType::F32)
        .then(|| tensors.map(FlexTensor::to_contiguous))
}

/// As [`floats`], where products are not to be in bf16 either.
fn single<const N: usize>(tensors: [&FlexTensor; N]) -> Option<[FlexTensor; N]> {
    floats(tensors).filter(|_| Bf16::in_force().is_none())
}

fn region_sizes<'a>(
    inputs: &FlexTensor,
    read: usize,
    dim: usize,
    columns: &'a [Range<usize>],
) -> region_tokens_cpu::Sizes<'a> {
    let shape = inputs.layout().shape();
    region_tokens_cpu::Sizes {
        batch: shape[0],
        width: shape[1],
        read,
        dim,
        columns,
    }
}

/// A tensor of these values.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape.into()),
        DType::F32,
    )
}

/// The tensor, contiguous and free to write into through `storage_mut` without a copy where nobody else holds it.
fn owned(tensor: FlexTensor) -> FlexTensor {
    let contiguous = tensor.to_contiguous();
    drop(tensor);
    contiguous
}

fn is_f32(tensor: &FlexTensor) -> bool {
    tensor.dtype() == DType::F32
}

/// `left · right`, of each the transpose where so marked, without copying one.
fn product(
    (left, transpose_left): (&FlexTensor, bool),
    (right, transpose_right): (&FlexTensor, bool),
    bias: Option<&[f32]>,
    then: impl Fn(&mut [f32]) + Sync,
) -> FlexTensor {
    // Strides are unsigned below; only a flipped view has others.
    let forwards = |tensor: &FlexTensor| {
        if tensor.layout().has_positive_strides() {
            tensor.clone()
        } else {
            tensor.to_contiguous()
        }
    };
    let (left, right) = (forwards(left), forwards(right));
    let size = |tensor: &FlexTensor, axis: usize| tensor.layout().shape()[axis];
    let rows = size(&left, usize::from(transpose_left));
    let inner = size(&left, usize::from(!transpose_left));
    let columns = size(&right, usize::from(!transpose_right));
    let view = |tensor, transpose| {
        let view = matmul::View::of(tensor);
        if transpose { view.transposed() } else { view }
    };
    let sizes = [rows, inner, columns];
    let (left, right) = (view(&left, transpose_left), view(&right, transpose_right));
    let values = match Bf16::in_force() {
        Some(bf16) => {
            let mut values = bf16.product(left, right, bias, sizes);
            then(&mut values);
            values
        }
        None => matmul::product_then(left, right, bias, sizes, then),
    };
    tensor(values, [rows, columns])
}

/// Attention without what a gradient would need.
fn inference(qkv: &FlexTensor, heads: usize, attend: Attend<'_>) -> FlexTensor {
    let qkv = qkv.to_contiguous();
    let sizes = attention_cpu::Sizes::of(qkv.layout().shape(), heads);
    let output = attention_inference_cpu::run(sizes, qkv.storage(), attend);
    tensor(output, [sizes.batch, sizes.tokens, sizes.dim()])
}

/// What a readout of the first tokens reads, contiguous.
struct Reading {
    sizes: attention_readout_cpu::Sizes,
    x: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    key_mask: Option<FlexTensor>,
    dropout: Option<Dropout>,
}

impl Reading {
    /// Nothing when a tensor is not of `f32`.
    fn of(readout: &Readout<Cpu>) -> Option<Self> {
        let [x, weight, bias] = floats([&readout.x, &readout.weight, &readout.bias])?;
        let key_mask = match &readout.key_mask {
            Some(mask) => {
                let [mask] = floats([mask])?;
                Some(mask)
            }
            None => None,
        };
        let shape = x.layout().shape();
        let sizes = attention_readout_cpu::Sizes {
            batch: shape[0],
            tokens: shape[1],
            read: readout.read,
            heads: readout.heads,
            dim: shape[2],
        };
        Some(Self {
            sizes,
            x,
            weight,
            bias,
            key_mask,
            dropout: readout.dropout,
        })
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs {
            x: self.x.storage(),
            weight: self.weight.storage(),
            bias: self.bias.storage(),
        }
    }

    fn output(&self) -> (FlexTensor, Kept<Vec<f32>>) {
        let mask = self.key_mask.as_ref().map(FlexTensor::storage);
        let (values, kept) =
            attention_readout_cpu::forward(self.sizes, self.inputs(), mask, self.dropout);
        let shape = [self.sizes.batch, self.sizes.read, self.sizes.dim];
        (tensor(values, shape), kept)
    }
}

/// Five sizes of a tensor.
fn sizes_of(tensor: &FlexTensor) -> [usize; 5] {
    std::array::from_fn(|axis| tensor.layout().shape()[axis])
}

impl KernelBackend for Cpu {
    fn kernel_linear(x: FlexTensor, weight: FlexTensor, bias: Option<FlexTensor>) -> FlexTensor {
        let bias = bias.map(|bias| bias.to_contiguous());
        if !(is_f32(&x) && is_f32(&weight) && bias.as_ref().is_none_or(is_f32)) {
            return linear::plain::<Self>(x, weight, bias);
        }
        let bias = bias.as_ref().map(FlexTensor::storage);
        product((&x, false), (&weight, false), bias, |_| ())
    }

    fn kernel_linear_activated(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        let bias = bias.to_contiguous();
        if !(is_f32(&x) && is_f32(&weight) && is_f32(&bias)) {
            return linear::plain_activated::<Self>(x, weight, bias, activation);
        }
        let then = |rows: &mut [f32]| gelu::in_place(activation, rows);
        product((&x, false), (&weight, false), Some(bias.storage()), then)
    }

    fn kernel_linear_input_gradient(gradient: FlexTensor, weight: FlexTensor) -> FlexTensor {
        if !(is_f32(&gradient) && is_f32(&weight)) {
            return linear::plain_input_gradient::<Self>(gradient, weight);
        }
        product((&gradient, false), (&weight, true), None, |_| ())
    }

    fn kernel_linear_weight_gradient(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        if !(is_f32(&x) && is_f32(&gradient)) {
            return linear::plain_weight_gradient::<Self>(x, gradient);
        }
        product((&x, true), (&gradient, false), None, |_| ())
    }

    fn kernel_linear_bias_gradient(gradient: FlexTensor) -> FlexTensor {
        match floats([&gradient]) {
            Some([rows]) => {
                let columns = rows.layout().shape()[1];
                tensor(
                    layer_norm_cpu::column_sums(rows.storage(), columns),
                    [columns],
                )
            }
            None => linear::plain_bias_gradient::<Self>(gradient),
        }
    }

    fn kernel_region_tokens(leading: FlexTensor, regions: Regions<Self>) -> FlexTensor {
        let tensors = [&leading, &regions.inputs, &regions.weight, &regions.bias];
        let Some([leading, inputs, weight, bias]) = single(tensors) else {
            return region_tokens::plain::<Self>(leading, regions);
        };
        let shape = leading.layout().shape();
        let (read, dim) = (shape[1], shape[2]);
        let sizes = region_sizes(&inputs, read, dim, &regions.columns);
        let (leading, inputs) = (leading.storage(), inputs.storage());
        let values =
            region_tokens_cpu::forward(sizes, leading, inputs, weight.storage(), bias.storage());
        tensor(values, [sizes.batch, read + regions.columns.len(), dim])
    }

    fn kernel_region_tokens_gradient(
        regions: Regions<Self>,
        gradient: FlexTensor,
    ) -> [FlexTensor; 2] {
        let Some([inputs, gradient]) = single([&regions.inputs, &gradient]) else {
            return region_tokens::plain_gradient::<Self>(regions, gradient);
        };
        let shape = gradient.layout().shape();
        let (read, dim) = (shape[1] - regions.columns.len(), shape[2]);
        let sizes = region_sizes(&inputs, read, dim, &regions.columns);
        let [weight, bias] =
            region_tokens_cpu::gradient(sizes, inputs.storage(), gradient.storage());
        let alike = |values, of: &FlexTensor| tensor(values, of.layout().shape().clone());
        [alike(weight, &regions.weight), alike(bias, &regions.bias)]
    }

    fn kernel_gelu(x: FlexTensor) -> FlexTensor {
        match floats([&x]) {
            Some([x]) => tensor(gelu::fast(x.storage()), x.layout().shape().clone()),
            None => gelu::plain::<Self>(x),
        }
    }

    fn kernel_quick_gelu(x: FlexTensor) -> FlexTensor {
        match floats([&x]) {
            Some([x]) => tensor(gelu::fast_quick(x.storage()), x.layout().shape().clone()),
            None => gelu::plain_quick::<Self>(x),
        }
    }

    fn kernel_gelu_gradient(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        if !(is_f32(&x) && is_f32(&gradient)) {
            return gelu::plain_gradient::<Self>(x, gradient);
        }
        let mut gradient = owned(gradient);
        gelu::fast_gradient(x.to_contiguous().storage(), gradient.storage_mut());
        gradient
    }

    fn kernel_layer_norm(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f64,
    ) -> FlexTensor {
        match floats([&x, &gamma, &beta]) {
            Some([x, gamma, beta]) => {
                let y = layer_norm_cpu::forward(
                    x.storage(),
                    gamma.storage(),
                    beta.storage(),
                    epsilon as f32,
                );
                tensor(y, x.layout().shape().clone())
            }
            None => layer_norm::plain::<Self>(x, gamma, beta, epsilon),
        }
    }

    fn kernel_layer_norm_gradient(
        x: FlexTensor,
        gamma: FlexTensor,
        gradient: FlexTensor,
        epsilon: f64,
    ) -> [FlexTensor; 3] {
        if floats([&x, &gamma, &gradient]).is_none() {
            return layer_norm::plain_gradient::<Self>(x, gamma, gradient, epsilon);
        }
        let mut gradient = owned(gradient);
        let columns = gamma.layout().shape()[0];
        let [gamma_gradient, beta_gradient] = layer_norm_cpu::gradient(
            x.to_contiguous().storage(),
            gamma.to_contiguous().storage(),
            gradient.storage_mut(),
            epsilon as f32,
        );
        [
            gradient,
            tensor(gamma_gradient, [columns]),
            tensor(beta_gradient, [columns]),
        ]
    }

    fn kernel_conv3d(x: FlexTensor, weight: FlexTensor, window: Window) -> FlexTensor {
        let Some([x, weight]) = floats([&x, &weight]) else {
            return conv3d::plain::<Self>(x, weight, window);
        };
        let [batch, d, h, w, inputs] = sizes_of(&x);
        let [kd, kh, kw, _, outputs] = sizes_of(&weight);
        let (input, kernel) = ([d, h, w], [kd, kh, kw]);
        let sizes = Sizes {
            batch,
            input,
            inputs,
            kernel,
            // The public function has checked that the kernel fits.
            output: window.output(input, kernel).unwrap_or_default(),
            outputs,
            window,
        };
        let [od, oh, ow] = sizes.output;
        let y = conv3d::forward(sizes, x.storage(), weight.storage());
        tensor(y, [batch, od, oh, ow, outputs])
    }

    fn kernel_conv3d_input_gradient(
        gradient: FlexTensor,
        weight: FlexTensor,
        input: [usize; 3],
        window: Window,
    ) -> FlexTensor {
        let Some([gradient, weight]) = floats([&gradient, &weight]) else {
            return conv3d::plain_input_gradient::<Self>(gradient, weight, input, window);
        };
        let [batch, od, oh, ow, _] = sizes_of(&gradient);
        let [kd, kh, kw, inputs, outputs] = sizes_of(&weight);
        let sizes = Sizes {
            batch,
            input,
            inputs,
            kernel: [kd, kh, kw],
            output: [od, oh, ow],
            outputs,
            window,
        };
        let [d, h, w] = input;
        let value = conv3d::input_gradient(sizes, gradient.storage(), weight.storage());
        tensor(value, [batch, d, h, w, inputs])
    }

    fn kernel_conv3d_weight_gradient(
        x: FlexTensor,
        gradient: FlexTensor,
        kernel: [usize; 3],
        window: Window,
    ) -> FlexTensor {
        let Some([x, gradient]) = floats([&x, &gradient]) else {
            return conv3d::plain_weight_gradient::<Self>(x, gradient, kernel, window);
        };
        let [batch, d, h, w, inputs] = sizes_of(&x);
        let [_, od, oh, ow, outputs] = sizes_of(&gradient);
        let sizes = Sizes {
            batch,
            input: [d, h, w],
            inputs,
            kernel,
            output: [od, oh, ow],
            outputs,
            window,
        };
        let [kd, kh, kw] = kernel;
        let value = conv3d::weight_gradient(sizes, x.storage(), gradient.storage());
        tensor(value, [kd, kh, kw, inputs, outputs])
    }

    fn kernel_batch_norm(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        residual: Option<FlexTensor>,
        relu: bool,
        epsilon: f64,
    ) -> [FlexTensor; 3] {
        let residual = residual.map(|residual| residual.to_contiguous());
        let fits = residual.as_ref().is_none_or(is_f32);
        let Some([x, gamma, beta]) = floats([&x, &gamma, &beta]).filter(|_| fits) else {
            return batch_norm::plain::<Self>(x, gamma, beta, residual, relu, epsilon);
        };
        let channels = gamma.layout().shape()[0];
        let [mean, variance] = batch_norm_cpu::statistics(x.storage(), channels);
        let scale: Vec<f32> = variance
            .iter()
            .zip(gamma.storage::<f32>())
            .map(|(v, gamma)| (f64::from(*gamma) / (f64::from(*v) + epsilon).sqrt()) as f32)
            .collect();
        let y = batch_norm_cpu::affine(
            x.storage(),
            [&mean, &scale, beta.storage()],
            residual.as_ref().map(FlexTensor::storage),
            relu,
        );
        [
            tensor(y, x.layout().shape().clone()),
            tensor(mean, [channels]),
            tensor(variance, [channels]),
        ]
    }

    fn kernel_batch_norm_gradient(
        state: BatchNormState<Self>,
        gradient: FlexTensor,
        residual: bool,
    ) -> [FlexTensor; 4] {
        let tensors = [&state.x, &state.gamma, &state.mean, &state.variance];
        let fits = state.relu_output.as_ref().is_none_or(is_f32) && is_f32(&gradient);
        let Some([x, gamma, mean, variance]) = floats(tensors).filter(|_| fits) else {
            return batch_norm::plain_gradient::<Self>(state, gradient);
        };
        let relu_output = state.relu_output.map(|y| y.to_contiguous());
        let forward = batch_norm_cpu::Forward {
            x: x.storage(),
            relu_output: relu_output.as_ref().map(FlexTensor::storage),
            gamma: gamma.storage(),
            mean: mean.storage(),
            variance: variance.storage(),
            epsilon: state.epsilon,
        };
        let mut gradient = owned(gradient);
        let [gamma, beta] = batch_norm_cpu::gradient_sums(&forward, gradient.storage_mut());
        let empty = || tensor(vec![], [0, 0]);
        let passed_on = match residual {
            true => tensor(
                memory::copied(gradient.storage()),
                gradient.layout().shape().clone(),
            ),
            false => empty(),
        };
        batch_norm_cpu::input_gradient(&forward, [&gamma, &beta], gradient.storage_mut());
        let channels = [gamma.len()];
        [
            gradient,
            tensor(gamma, channels),
            tensor(beta, channels),
            passed_on,
        ]
    }

    fn kernel_batch_affine(
        x: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        residual: Option<FlexTensor>,
        relu: bool,
    ) -> FlexTensor {
        let residual = residual.map(|residual| residual.to_contiguous());
        let fits = residual.as_ref().is_none_or(is_f32);
        let Some([x, scale, shift]) = floats([&x, &scale, &shift]).filter(|_| fits) else {
            return batch_norm::plain_affine::<Self>(x, scale, shift, residual, relu);
        };
        let centre = vec![0.0; scale.layout().shape()[0]];
        let y = batch_norm_cpu::affine(
            x.storage(),
            [&centre, scale.storage(), shift.storage()],
            residual.as_ref().map(FlexTensor::storage),
            relu,
        );
        tensor(y, x.layout().shape().clone())
    }

    fn kernel_attention(
        qkv: FlexTensor,
        heads: usize,
        key_mask: Option<FlexTensor>,
        dropout: Option<Dropout>,
    ) -> FlexTensor {
        let key_mask = key_mask.map(|mask| mask.to_contiguous());
        let floats = is_f32(&qkv) && key_mask.as_ref().is_none_or(is_f32);
        if dropout.is_some() || !floats {
            return Self::kernel_attention_forward(qkv, heads, key_mask, dropout).0;
        }
        let mask = key_mask.as_ref().map(FlexTensor::storage);
        inference(&qkv, heads, mask.map_or(Attend::All, Attend::Mask))
    }

    fn kernel_causal_attention(qkv: FlexTensor, heads: usize) -> FlexTensor {
        if !is_f32(&qkv) {
            return attention::plain_causal::<Self>(qkv, heads);
        }
        inference(&qkv, heads, Attend::Earlier)
    }

    fn kernel_attention_forward(
        qkv: FlexTensor,
        heads: usize,
        key_mask: Option<FlexTensor>,
        dropout: Option<Dropout>,
    ) -> (FlexTensor, FlexTensor) {
        let key_mask = key_mask.map(|mask| mask.to_contiguous());
        if !(is_f32(&qkv) && key_mask.as_ref().is_none_or(is_f32)) {
            return attention::plain::<Self>(qkv, heads, key_mask, dropout);
        }
        let qkv = qkv.to_contiguous();
        let sizes = attention_cpu::Sizes::of(qkv.layout().shape(), heads);
        let mask = key_mask.as_ref().map(FlexTensor::storage);
        let (output, probabilities) = attention_cpu::forward(sizes, qkv.storage(), mask, dropout);
        (
            tensor(
                output,
                [sizes.batch, sizes.tokens, sizes.heads * sizes.head_dim],
            ),
            tensor(
                probabilities,
                [sizes.batch, heads, sizes.tokens, sizes.tokens],
            ),
        )
    }

    fn kernel_attention_gradient(
        qkv: FlexTensor,
        probabilities: FlexTensor,
        gradient: FlexTensor,
        heads: usize,
        dropout: Option<Dropout>,
    ) -> FlexTensor {
        match floats([&qkv, &probabilities, &gradient]) {
            Some([qkv, probabilities, gradient]) => {
                let sizes = attention_cpu::Sizes::of(qkv.layout().shape(), heads);
                let value = attention_cpu::gradient(
                    sizes,
                    qkv.storage(),
                    probabilities.storage(),
                    gradient.storage(),
                    dropout,
                );
                tensor(value, qkv.layout().shape().clone())
            }
            None => attention::plain_gradient::<Self>(qkv, probabilities, gradient, heads, dropout),
        }
    }

    fn kernel_attention_readout(readout: Readout<Self>) -> FlexTensor {
        match Reading::of(&readout) {
            Some(reading) => reading.output().0,
            None => attention_readout::plain(readout),
        }
    }

    fn kernel_attention_readout_forward(readout: Readout<Self>) -> (FlexTensor, Vec<FlexTensor>) {
        let Some(reading) = Reading::of(&readout) else {
            let (output, kept) = attention_readout::plain_forward(readout);
            return (output, kept.into());
        };
        let (output, kept) = reading.output();
        let attention_readout_cpu::Sizes {
            tokens, heads, dim, ..
        } = reading.sizes;
        let rows = reading.sizes.batch * reading.sizes.read;
        let kept = [
            (kept.queries, dim),
            (kept.taken_back, heads * dim),
            (kept.probabilities, heads * tokens),
            (kept.means, heads * dim),
            (kept.sums, heads),
        ];
        let kept = kept.map(|(values, width)| tensor(values, [rows, width]));
        (output, kept.into())
    }

    fn kernel_attention_readout_gradient(
        readout: Readout<Self>,
        kept: Vec<FlexTensor>,
        gradient: FlexTensor,
    ) -> [FlexTensor; 3] {
        let fits = floats([&gradient]).zip(Reading::of(&readout));
        let (Some(([gradient], reading)), [queries, taken_back, probabilities, means, sums]) =
            (fits, kept.as_slice())
        else {
            return attention_readout::plain_gradient(readout, kept, gradient);
        };
        let kept = Kept {
            queries: queries.storage(),
            taken_back: taken_back.storage(),
            probabilities: probabilities.storage(),
            means: means.storage(),
            sums: sums.storage(),
        };
        let (sizes, inputs) = (reading.sizes, reading.inputs());
        let gradient = gradient.storage();
        let values =
            attention_readout_cpu::gradient(sizes, inputs, &kept, gradient, readout.dropout);
        let [x, weight, bias] = values;
        let alike = |values, of: &FlexTensor| tensor(values, of.layout().shape().clone());
        [
            alike(x, &reading.x),
            alike(weight, &reading.weight),
            alike(bias, &reading.bias),
        ]
    }

    fn kernel_dropout(x: FlexTensor, dropout: Dropout) -> FlexTensor {
        if !is_f32(&x) || dropout.rate == 0.0 {
            return dropout::plain::<Self>(x, dropout);
        }
        let mut x = owned(x);
        dropout::fast(dropout, x.storage_mut());
        x
    }

    fn kernel_dropout_add(x: FlexTensor, residual: FlexTensor, dropout: Dropout) -> FlexTensor {
        if !(is_f32(&x) && is_f32(&residual)) {
            return dropout::plain_add::<Self>(x, residual, dropout);
        }
        let mut x = owned(x);
        dropout::fast_add(dropout, residual.to_contiguous().storage(), x.storage_mut());
        x
    }

    fn kernel_adam(
        param: FlexTensor,
        gradient: FlexTensor,
        exp_avg: FlexTensor,
        exp_avg_sq: FlexTensor,
        step: &AdamStep,
    ) -> [FlexTensor; 3] {
        if ![&param, &gradient, &exp_avg, &exp_avg_sq]
            .into_iter()
            .all(is_f32)
        {
            return adam::plain::<Self>(param, gradient, exp_avg, exp_avg_sq, step);
        }
        let mut state = [owned(param), owned(exp_avg), owned(exp_avg_sq)];
        let [param, mean, square] = &mut state;
        adam::fast(
            step,
            gradient.to_contiguous().storage(),
            [
                param.storage_mut(),
                mean.storage_mut(),
                square.storage_mut(),
            ],
        );
        state
    }

    fn kernel_ema(ema: FlexTensor, param: FlexTensor, decay: f64) -> FlexTensor {
        if !(is_f32(&ema) && is_f32(&param)) {
            return adam::plain_ema::<Self>(ema, param, decay);
        }
        let mut ema = owned(ema);
        adam::fast_ema(decay, param.to_contiguous().storage(), ema.storage_mut());
        ema
    }

    fn kernel_sums_of_squares(xs: Vec<FlexTensor>) -> Vec<f64> {
        let fast = |x: &FlexTensor| Some(adam::fast_sum_of_squares(floats([x])?[0].storage()));
        let sums: Option<Vec<f64>> = xs.iter().map(fast).collect();
        sums.unwrap_or_else(|| adam::plain_sums_of_squares::<Self>(xs))
    }
}
