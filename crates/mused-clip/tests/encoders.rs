//! Both encoders against transformers (`golden/clip_tiny`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use mused_clip::{Clip, Pixels, RgbImage, Tokens, unit_rows};
use mused_kernels::Cpu;
use ndarray::Axis;
use support::{Golden, TinyClip, close};

fn model() -> (Clip<Cpu>, Golden, TinyClip) {
    let folder = TinyClip::copy();
    let clip = Clip::open(folder.path(), &Default::default()).unwrap();
    (clip, Golden::open(), folder)
}

#[test]
fn image_encoder_is_transformers() {
    let (clip, golden, _folder) = model();
    let encoder = clip.images().encoder();
    let pixels = Pixels::new(32, golden.floats("pixel_values")).unwrap();
    let states: Vec<_> = encoder.hidden_states(&pixels).unwrap().collect();
    assert_eq!(states.len(), 5);
    for (layer, state) in states.iter().enumerate() {
        golden.check(&format!("vision_hidden.{layer}"), state.clone());
    }
    let encoded = encoder.encode(&pixels).unwrap();
    golden.check("vision_pooled", encoded.pooled);
    golden.check("image_embeds", encoded.projected);
}

#[test]
fn text_encoder_is_transformers() {
    let (clip, golden, _folder) = model();
    let encoder = clip.texts().encoder();
    let ids = golden.ids("input_ids");
    let states: Vec<_> = encoder.hidden_states(&ids).unwrap().collect();
    assert_eq!(states.len(), 4);
    for (layer, state) in states.iter().enumerate() {
        golden.check(&format!("text_hidden.{layer}"), state.clone());
    }
    let encoded = encoder.encode_ids(&ids).unwrap();
    golden.check("text_pooled", encoded.pooled);
    golden.check("text_embeds", encoded.projected);
}

#[test]
fn features_are_states_and_normalised_means() {
    let (clip, _, folder) = model();
    let files: Vec<_> = ["tall.png", "alpha.png"]
        .map(|name| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/").to_owned() + name)
        .into();
    let images = clip.images();
    let opened: Vec<_> = files.iter().map(|f| RgbImage::open(f).unwrap()).collect();
    let pixels = images.preprocess().pixels(&opened).unwrap();
    let first = images
        .encoder()
        .hidden_states(&pixels)
        .unwrap()
        .nth(1)
        .unwrap();
    let layer = |layer, tokens| images.features(&opened, Some((layer, tokens)), true);
    let low = |tokens| layer(1, tokens).unwrap().layer.unwrap();
    let flat = low(Tokens::Flatten);
    assert_eq!(flat.dim(), (2, 17 * 48));
    close(
        flat.as_slice().unwrap(),
        &first.into_data().to_vec::<f32>().unwrap(),
        "flatten",
    );
    let tokens = flat.into_shape_with_order((2, 17, 48)).unwrap();
    let class = low(Tokens::Cls);
    assert_eq!(class, tokens.index_axis(Axis(1), 0));
    let mean = low(Tokens::Mean);
    let expected = tokens.mean_axis(Axis(1)).unwrap();
    assert!((mean - expected).iter().all(|v| v.abs() < 1e-6));
    assert!(layer(5, Tokens::Cls).is_err());

    let projected = images.encode(&opened).unwrap().projected;
    let expected = projected.into_data().to_vec::<f32>().unwrap();
    // The last layer is the one that is read out, whether asked for or not.
    for asked in [None, Some((1, Tokens::Cls)), Some((4, Tokens::Cls))] {
        let found = images.features(&opened, asked, true).unwrap();
        let found = found.projected.unwrap();
        close(found.as_slice().unwrap(), &expected, "projected");
    }
    let none = images.features(&opened, None, false).unwrap();
    assert!(none.layer.is_none() && none.projected.is_none());

    let unit = unit_rows(clip.texts().projected(&["a dog", "a cat"]).unwrap());
    assert!(
        unit.rows()
            .into_iter()
            .all(|row| (row.dot(&row) - 1.0).abs() < 1e-6)
    );
    let message = clip
        .texts()
        .projected(&["a dog", " \n "])
        .unwrap_err()
        .to_string();
    assert!(message.contains("caption 1"), "{message}");

    let alone = mused_clip::Images::<Cpu>::open(folder.path(), &Default::default()).unwrap();
    let found = alone
        .features(&opened, Some((1, Tokens::Cls)), false)
        .unwrap();
    assert_eq!(found.layer.unwrap(), class);
    let alone = mused_clip::Texts::<Cpu>::open(folder.path(), &Default::default()).unwrap();
    assert_eq!(
        unit_rows(alone.projected(&["a dog", "a cat"]).unwrap()),
        unit
    );
}
