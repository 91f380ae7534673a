//! Tokens of texts, for comparison with Python (`bench/clip_tokens.py`).
//!
//! `cargo run --release -p mused-clip --example tokenize -- FOLDER` reads a JSON array of strings from stdin and prints a
//! JSON array of arrays.
use std::error::Error;

use mused_clip::Tokenizer;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: tokenize FOLDER")?;
    let tokenizer = Tokenizer::open(folder, 77)?;
    let texts: Vec<String> = serde_json::from_reader(std::io::stdin().lock())?;
    let ids: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.tokens(text)).collect();
    println!("{}", serde_json::to_string(&ids)?);
    Ok(())
}
