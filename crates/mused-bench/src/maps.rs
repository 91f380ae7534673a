use mused_kernels::KernelBackend;
use mused_stats::ridge::cross_fit;
use ndarray::Array2;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::seconds;

/// Samples, voxels and targets of one region of a large subject: 48 components and 80 labels.
const SIZES: [usize; 3] = [7900, 1250, 128];
const COMPONENTS: usize = 48;
const PARTS: usize = 6;

/// A region's ridge map onto guidance and labels, with its penalties and what each part says to the others.
pub(crate) fn region<B: KernelBackend>(runs: usize) -> anyhow::Result<Value> {
    let [samples, voxels, targets] = SIZES;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut random =
        |columns| Array2::from_shape_simple_fn((samples, columns), || rng.random_range(-1.0..1.0));
    let (responses, values) = (random(voxels), random(targets));
    let parts: Vec<usize> = (0..samples).map(|sample| sample % PARTS).collect();
    let blocks = [COMPONENTS, targets - COMPONENTS];
    let (median, all) = seconds::<B>(runs, || {
        cross_fit(responses.view(), values.view(), &blocks, &parts)?;
        Ok(())
    })?;
    Ok(json!({ "median": median, "seconds": all }))
}
