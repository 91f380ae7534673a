//! Settings of a model's image processor against transformers: `make_preprocess_reference.py` beside this file made
//! `fixtures/preprocess.tsv`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use mused_clip::{CropRounding, Preprocess, RgbImage};
use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

fn open(files: &[(&str, Value)]) -> mused_clip::Result<Preprocess> {
    let folder = tempfile::tempdir().unwrap();
    for (name, settings) in files {
        fs::write(folder.path().join(name), settings.to_string()).unwrap();
    }
    Preprocess::open(folder.path(), 24)
}

#[test]
fn settings_mean_what_they_mean_to_transformers() {
    let table = include_str!("fixtures/preprocess.tsv");
    assert_eq!(table.lines().count(), 39);
    for line in table.lines() {
        let [image, settings, values] = *line.split('\t').collect::<Vec<_>>() else {
            panic!("{line}");
        };
        let settings: Value = serde_json::from_str(settings).unwrap();
        let other = json!({"do_normalize": false, "do_rescale": false, "size": 24});
        let forms = [
            vec![("preprocessor_config.json", settings.clone())],
            // Where newer versions write it; it comes before the other file.
            vec![
                (
                    "processor_config.json",
                    json!({"image_processor": settings.clone()}),
                ),
                ("preprocessor_config.json", other),
            ],
            vec![
                (
                    "processor_config.json",
                    json!({"processor_class": "CLIPProcessor"}),
                ),
                ("preprocessor_config.json", settings.clone()),
            ],
        ];
        for files in forms {
            let preprocess = Preprocess {
                rounding: CropRounding::Down,
                ..open(&files).unwrap()
            };
            let image = RgbImage::open(Path::new(FIXTURES).join(image)).unwrap();
            let found = preprocess.pixels(&[image]).unwrap();
            let expected: Vec<f32> = values.split(' ').map(|v| v.parse().unwrap()).collect();
            for (found, expected) in found.values().iter().step_by(97).zip(&expected) {
                let error = (found - expected).abs() / expected.abs().max(1.0);
                assert!(error < 1e-6, "{files:?}: {found} instead of {expected}");
            }
        }
    }
}

#[test]
fn settings_that_cannot_be_followed_are_refused_by_their_key() {
    for (settings, parts) in [
        (json!({"resample": 2}), ["resample 2", "not supported"]),
        (json!({"do_resize": false}), ["do_resize false", ""]),
        (
            json!({"do_center_crop": false}),
            ["do_center_crop false", "size"],
        ),
        (
            json!({"do_center_crop": false, "size": {"height": 24, "width": 25}}),
            ["do_center_crop false", "25"],
        ),
        (json!({"crop_size": 32}), ["crop_size", "24"]),
        (
            json!({"crop_size": {"height": 24, "width": 20}}),
            ["crop_size", "20"],
        ),
        (
            json!({"crop_size": {"shortest_edge": 24}}),
            ["crop_size", "shortest_edge"],
        ),
        (json!({"crop_size": null}), ["crop_size", "null"]),
        (json!({"size": 20}), ["size", "20"]),
        (json!({"size": {"height": 30, "width": 20}}), ["size", "20"]),
        (
            json!({"size": {"shortest_edge": 24, "longest_edge": 30}}),
            ["size", "longest_edge"],
        ),
        (json!({"size": {"height": 24}}), ["size", "height"]),
        (json!({"size": "24"}), ["size", "\"24\""]),
        (json!({"size": 24.5}), ["size", "24.5"]),
        (json!({"size": 1e9}), ["size", "1000000000"]),
        (json!({"size": null}), ["size", "null"]),
        (json!({"do_normalize": 0}), ["do_normalize", "0"]),
        (json!({"rescale_factor": 0}), ["rescale_factor", "0"]),
        (
            json!({"rescale_factor": "1/255"}),
            ["rescale_factor", "1/255"],
        ),
        (json!({"image_mean": [0.5, 0.5]}), ["image_mean", "0.5"]),
        (json!({"image_mean": null}), ["image_mean", "null"]),
        (json!({"image_std": [1, 0, 1]}), ["image_std", "0"]),
        (json!({"do_pad": true}), ["do_pad true", ""]),
        (
            json!({"use_square_size": true}),
            ["use_square_size true", ""],
        ),
        (
            json!({"image_processor_type": "ViTImageProcessor"}),
            ["image_processor_type", "ViTImageProcessor"],
        ),
    ] {
        let message = open(&[("preprocessor_config.json", settings.clone())])
            .unwrap_err()
            .to_string();
        let named = message.contains("preprocessor_config.json");
        let said = parts.iter().all(|part| message.contains(part));
        assert!(named && said, "{settings}: {message}");
    }
    let broken = json!({"image_processor": [1]});
    let message = open(&[("processor_config.json", broken)])
        .unwrap_err()
        .to_string();
    assert!(message.contains("processor_config.json") && message.contains("image_processor"));
    // What is switched off need not be there, nor right.
    for settings in [
        json!({"do_normalize": false, "image_mean": null, "image_std": null, "resample": 3}),
        json!({"do_normalize": null, "do_pad": null}),
        json!({"do_rescale": false, "rescale_factor": null}),
        json!({"do_center_crop": false, "crop_size": null, "size": {"height": 24, "width": 24}}),
        json!({"image_processor_type": "CLIPImageProcessorFast", "do_convert_rgb": true}),
        json!({"feature_extractor_type": "CLIPFeatureExtractor"}),
    ] {
        open(&[("preprocessor_config.json", settings)]).unwrap();
    }
}
