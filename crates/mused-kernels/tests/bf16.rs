//! Linear layers inside the scope of bf16 products, by the definition of the instruction: gradients, threads, and where the
//! scope ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use burn::tensor::Tensor;
use mused_kernels::{Bf16, Cpu, linear};
use support::{Train, assert_close, floats, random};

fn inside<T>(run: impl FnOnce() -> T) -> T {
    Bf16::by_definition().products(run)
}

fn rounded<const D: usize>(tensor: &Tensor<Train, D>) -> Tensor<Train, D> {
    let values: Vec<f32> = floats(tensor)
        .into_iter()
        .map(|value| half::bf16::from_f32(value).to_f32())
        .collect();
    support::tensor(&values, tensor.dims())
}

/// Output and gradients of x, weight and bias.
fn layer(
    x: &Tensor<Train, 2>,
    weight: &Tensor<Train, 2>,
    gradient: &Tensor<Train, 2>,
) -> [Vec<f32>; 4] {
    let [x, weight] = [x, weight].map(|tensor| tensor.clone().require_grad());
    let bias = random::<Train, 1>([weight.dims()[1]], 4).require_grad();
    let y = linear(x.clone(), weight.clone(), Some(bias.clone()));
    let grads = (y.clone() * gradient.clone()).sum().backward();
    [
        floats(&y),
        floats(&x.grad(&grads).unwrap()),
        floats(&weight.grad(&grads).unwrap()),
        floats(&bias.grad(&grads).unwrap()),
    ]
}

#[test]
fn a_layer_and_its_gradients_are_of_rounded_factors() {
    for (seed, [rows, inner, columns]) in (1..).zip([[3, 5, 2], [37, 130, 70], [200, 65, 129]]) {
        let x = random::<Train, 2>([rows, inner], seed);
        let weight = random::<Train, 2>([inner, columns], seed + 10);
        let gradient = random::<Train, 2>([rows, columns], seed + 20);
        let found = inside(|| layer(&x, &weight, &gradient));
        // The same in f32 of factors that are bf16 already; the bias and its gradient are not rounded.
        let expected = layer(&rounded(&x), &rounded(&weight), &rounded(&gradient));
        for (what, (found, expected)) in ["y", "dx", "dweight"]
            .iter()
            .zip(found.iter().zip(&expected))
        {
            assert_close(found, expected, 1e-5, what);
        }
        let single = layer(&x, &weight, &gradient);
        assert_eq!(found[3], single[3], "dbias");
        for (what, (found, single)) in ["y", "dx", "dweight"].iter().zip(found.iter().zip(&single))
        {
            assert_close(found, single, 1e-2, what);
            assert_ne!(found, single, "{what} is not in bf16");
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let x = random::<Train, 2>([331, 150], 1);
    let weight = random::<Train, 2>([150, 77], 2);
    let gradient = random::<Train, 2>([331, 77], 3);
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let of = pool
            .build()
            .unwrap()
            .install(|| inside(|| layer(&x, &weight, &gradient)));
        of.map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
    };
    let expected = in_pool(1);
    for threads in [2, 3] {
        assert!(in_pool(threads) == expected, "{threads} threads");
    }
}

#[test]
fn the_scope_ends_also_after_a_panic_and_is_of_its_thread() {
    let (x, weight) = (random::<Cpu, 2>([4, 9], 1), random::<Cpu, 2>([9, 6], 2));
    let y = || floats(&linear(x.clone(), weight.clone(), None));
    let single = y();
    let rounded = inside(y);
    assert_ne!(rounded, single);
    assert_eq!(inside(|| inside(y)), rounded);
    assert_eq!(
        inside(|| std::thread::scope(|scope| scope.spawn(y).join().unwrap())),
        single
    );
    let panic = std::panic::catch_unwind(|| inside(|| panic!("inside")));
    assert!(panic.is_err());
    assert_eq!(y(), single);
}
