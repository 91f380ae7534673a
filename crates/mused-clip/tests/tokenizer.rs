//! The tokenizer against OpenAI's (`golden/clip_tiny`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../mused-formats/tests/support/shared.rs"]
mod shared;
mod support;

use std::fs;

use mused_clip::Tokenizer;
use safetensors::SafeTensors;
use serde_json::Value;
use shared::shared;
use support::golden;

fn json(path: std::path::PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// With a vocabulary of 554 tokens.
#[test]
fn texts_are_tokenised_as_by_openais_algorithm() {
    let tokenizer = Tokenizer::open(golden(""), 77).unwrap();
    let texts = json(golden("texts.json"));
    for entry in texts.as_array().unwrap() {
        let text = entry["text"].as_str().unwrap();
        let expected = entry["ids"].as_array().unwrap().iter();
        let mut expected: Vec<u32> = expected.map(|id| id.as_u64().unwrap() as u32).collect();
        expected.resize(77, 0);
        assert_eq!(tokenizer.encode(text), expected, "{text}");
    }
}

/// With OpenAI's vocabulary.
#[test]
#[ignore = "reads ../shared/data and golden: run with --ignored where that folder is"]
fn texts_are_tokenised_as_by_openai() {
    let texts = json(shared("golden/clip_tiny/texts.json"));
    let bytes = fs::read(shared("golden/clip_tiny/golden.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let expected = file.tensor("input_ids").unwrap().data().as_chunks::<8>().0;
    let tokenizer = Tokenizer::open(shared("data/clip-preprocess-sample"), 77).unwrap();
    let texts = texts["texts"].as_array().unwrap().iter();
    for (text, expected) in texts.zip(expected.chunks(77)) {
        let text = text.as_str().unwrap();
        let ids = tokenizer.encode(text).into_iter().map(i64::from);
        assert!(
            ids.eq(expected.iter().map(|id| i64::from_le_bytes(*id))),
            "{text}"
        );
    }
}
