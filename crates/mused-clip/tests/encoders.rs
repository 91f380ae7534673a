//! Both encoders against transformers (`golden/clip_tiny`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use mused_clip::{Clip, Pixels};
use mused_kernels::Cpu;
use support::{Golden, shared};

fn model() -> Option<(Clip<Cpu>, Golden)> {
    let folder = shared("golden/clip_tiny")?;
    let clip = Clip::open(&folder, &Default::default()).unwrap();
    Some((clip, Golden::open(folder.join("golden.safetensors"))))
}

#[test]
fn image_encoder_is_transformers() {
    let Some((clip, golden)) = model() else {
        return;
    };
    let pixels = Pixels::new(32, golden.floats("pixel_values")).unwrap();
    let states: Vec<_> = clip.images().hidden_states(&pixels).unwrap().collect();
    assert_eq!(states.len(), 5);
    for (layer, state) in states.iter().enumerate() {
        golden.check(&format!("vision_hidden.{layer}"), state.clone());
    }
    let encoded = clip.images().encode(&pixels).unwrap();
    golden.check("vision_pooled", encoded.pooled);
    golden.check("image_embeds", encoded.projected);
}

#[test]
fn text_encoder_is_transformers() {
    let Some((clip, golden)) = model() else {
        return;
    };
    let ids = golden.ids("input_ids");
    let states: Vec<_> = clip.texts().hidden_states(&ids).unwrap().collect();
    assert_eq!(states.len(), 4);
    for (layer, state) in states.iter().enumerate() {
        golden.check(&format!("text_hidden.{layer}"), state.clone());
    }
    let encoded = clip.texts().encode_ids(&ids).unwrap();
    golden.check("text_pooled", encoded.pooled);
    golden.check("text_embeds", encoded.projected);
}
