//! CLIP's tokenizer: text to the numbers its text encoder knows (Radford et al. 2021, §2.4).

mod clean;
mod html;
mod vocabulary;

use std::path::Path;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::Result;
use vocabulary::Vocabulary;
pub(crate) use vocabulary::files;

/// Names of the tokens around a text.
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// Byte-pair encoding of cleaned text, as OpenAI's CLIP: texts are repaired (as by ftfy, except that wrong encodings are
/// not guessed), HTML is unescaped twice, white space collapsed, letters made small.
///
/// ```no_run
/// # fn main() -> mused_clip::Result<()> {
/// let tokenizer = mused_clip::Tokenizer::open("clip-vit-base-patch32", 77)?;
/// let ids = tokenizer.encode("a photo of a cat");
/// assert_eq!(ids[..8], [49406, 320, 1125, 539, 320, 2368, 49407, 0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tokenizer {
    vocabulary: Vocabulary,
    length: usize,
}

impl Tokenizer {
    /// Reads the vocabulary of a model directory: `vocab.json` and `merges.txt`, `tokenizer.json`, or OpenAI's
    /// `bpe_simple_vocab_16e6.txt.gz`. `length` is the number of tokens of every text, padding included.
    ///
    /// # Errors
    /// A directory without any of these; a file that is not such a vocabulary.
    pub fn open(folder: impl AsRef<Path>, length: usize) -> Result<Self> {
        Ok(Self {
            vocabulary: Vocabulary::open(folder.as_ref())?,
            length,
        })
    }

    /// The number of the token that ends texts.
    pub(crate) fn end(&self) -> u32 {
        self.vocabulary.end()
    }

    /// The tokens of a text, start and end included, neither cut nor padded.
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        let text = clean::clean(text);
        let mut ids = vec![self.vocabulary.start()];
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            if Kind::of(first) == Kind::Space {
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let (word, after) = rest.split_at(word_len(rest, first));
            match word {
                START => ids.push(self.vocabulary.start()),
                END => ids.push(self.vocabulary.end()),
                word => self.vocabulary.encode(word, &mut ids),
            }
            rest = after;
        }
        ids.push(self.vocabulary.end());
        ids
    }

    /// Exactly as many tokens as a text has: zeros behind a short one, the end token last in one that was cut.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = self.tokens(text);
        if ids.len() > self.length {
            ids.truncate(self.length);
            if let Some(last) = ids.last_mut() {
                *last = self.vocabulary.end();
            }
        }
        ids.resize(self.length, 0);
        ids
    }

    /// Whether nothing but the start and end tokens would be left of a text.
    pub fn is_empty_text(text: &str) -> bool {
        clean::clean(text).is_empty()
    }
}

/// Bytes of the first word of a text that starts with `first`, no white space: a special token, an English contraction,
/// letters, one numeral, or other characters up to the next of these kinds.
fn word_len(text: &str, first: char) -> usize {
    for special in [START, END] {
        if text.starts_with(special) {
            return special.len();
        }
    }
    if let Some(after) = text.strip_prefix('\'') {
        // The old long s is an s to a case-insensitive regular expression.
        for ending in ["s", "ſ", "t", "re", "ve", "m", "ll", "d"] {
            if after.starts_with(ending) {
                return 1 + ending.len();
            }
        }
    }
    let kind = Kind::of(first);
    if kind == Kind::Numeral {
        return first.len_utf8();
    }
    text.find(|c| Kind::of(c) != kind).unwrap_or(text.len())
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Between words, and in none.
    Space,
    Letter,
    Numeral,
    Other,
}

impl Kind {
    fn of(c: char) -> Self {
        // The iota subscript is no letter, but its capital is: Python's case-insensitive expression finds it in no class
        // and passes over it.
        if c.is_whitespace() || c == '\u{345}' {
            return Self::Space;
        }
        match c.general_category_group() {
            GeneralCategoryGroup::Letter => Self::Letter,
            GeneralCategoryGroup::Number => Self::Numeral,
            _ => Self::Other,
        }
    }
}

/// Whether a character is a decimal digit of any script.
fn is_decimal(c: char) -> bool {
    c.general_category() == GeneralCategory::DecimalNumber
}
