//! The tokenizer against OpenAI's (`golden/clip_tiny`), and over vocabularies that are none.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;

use mused_clip::Tokenizer;
use support::{Golden, shared};

#[test]
fn texts_are_tokenised_as_by_openai() {
    let (Some(golden), Some(vocabulary)) = (
        shared("golden/clip_tiny"),
        shared("data/clip-preprocess-sample"),
    ) else {
        return;
    };
    let texts = fs::read(golden.join("texts.json")).unwrap();
    let texts: serde_json::Value = serde_json::from_slice(&texts).unwrap();
    let texts = texts["texts"].as_array().unwrap();
    let expected = Golden::open(golden.join("golden.safetensors")).ids("input_ids");
    let tokenizer = Tokenizer::open(vocabulary, 77).unwrap();
    for (text, expected) in texts.iter().zip(expected) {
        let text = text.as_str().unwrap();
        assert_eq!(tokenizer.encode(text), expected, "{text}");
    }
}
