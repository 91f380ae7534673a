use std::path::Path;

use mused_clip::{Images, Pixels};
use mused_kernels::KernelBackend;
use serde_json::{Value, json};

use crate::seconds;

/// Pictures through the image encoder, from pixels on the host to features on the host.
pub(crate) fn images<B: KernelBackend>(
    folder: &Path,
    batch: usize,
    runs: usize,
) -> anyhow::Result<Value> {
    let images = Images::<B>::open(folder, &Default::default())?;
    let size = images.encoder().config().image_size;
    let count = batch * 3 * size * size;
    let values = (0..count).map(|i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0);
    let pixels = Pixels::new(size, values.collect())?;
    let (median, all) = seconds::<B>(runs, || {
        images.encoder().encode(&pixels)?.projected.into_data();
        Ok(())
    })?;
    Ok(json!({ "median": median, "seconds": all }))
}
