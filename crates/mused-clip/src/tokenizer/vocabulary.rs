//! Byte-pair encoding (Sennrich et al. 2016) over bytes, words marked at their end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::path::Path;

use flate2::read::GzDecoder;
use mused_formats::Budget;
use serde::Deserialize;

use super::{END, START};
use crate::{Error, Result};

/// Marks the last symbol of a word.
const WORD_END: &str = "</w>";

/// Merges of OpenAI's file that its vocabulary of 49,152 has room for, beside 256 bytes and 2 special tokens (the
/// other form of the bytes, at a word's end, comes on top).
const MERGES: usize = 49_152 - 256 - 2;

#[derive(Debug)]
pub(super) struct Vocabulary {
    /// The symbol of each byte inside a word and at its end.
    bytes: Vec<[u32; 2]>,
    /// Rank of a pair and what it becomes.
    merges: HashMap<(u32, u32), (u32, u32)>,
    start: u32,
    end: u32,
}

/// The visible characters that stand for the 256 bytes: printable ones for themselves, the others from 256 on.
fn byte_characters() -> [char; 256] {
    let mut next = 256;
    std::array::from_fn(|byte| {
        let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if printable {
            byte as u32
        } else {
            next += 1;
            next - 1
        };
        char::from_u32(code).unwrap_or('\0')
    })
}

#[derive(Deserialize)]
struct TokenizerFile {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Line(String),
    Pair(String, String),
}

type Pairs = Vec<(String, String)>;

const LISTS: [&str; 2] = ["vocab.json", "merges.txt"];
const TOKENIZER: [&str; 1] = ["tokenizer.json"];
const OPENAI: [&str; 1] = ["bpe_simple_vocab_16e6.txt.gz"];

/// Forms of a vocabulary, in order of preference.
#[derive(Clone, Copy)]
enum Form {
    Lists,
    Tokenizer,
    OpenAi,
}

impl Form {
    const ALL: [Self; 3] = [Self::Lists, Self::Tokenizer, Self::OpenAi];

    fn files(self) -> &'static [&'static str] {
        match self {
            Self::Lists => &LISTS,
            Self::Tokenizer => &TOKENIZER,
            Self::OpenAi => &OPENAI,
        }
    }

    fn of(folder: &Path) -> Result<Self> {
        let there = |form: &Self| form.files().iter().all(|name| folder.join(name).is_file());
        let found = Self::ALL.into_iter().find(there);
        found.ok_or_else(|| Error::MissingFile {
            folder: folder.to_owned(),
            what: "tokenizer",
            looked_for: Self::ALL.map(Self::files).concat(),
        })
    }
}

/// Names of the files that the vocabulary of a model directory is read from.
pub(crate) fn files(folder: &Path) -> Result<&'static [&'static str]> {
    Form::of(folder).map(Form::files)
}

impl Vocabulary {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let inside = |name| folder.join(name);
        match Form::of(folder)? {
            Form::Lists => {
                let [vocab, merges] = LISTS.map(inside);
                let numbers = json(&vocab)?;
                let pairs = lines(&merges, &text(&merges)?, usize::MAX)?;
                Self::new(&vocab, &numbers, &pairs)
            }
            Form::Tokenizer => {
                let [path] = TOKENIZER.map(inside);
                let file: TokenizerFile = json(&path)?;
                let pairs = file.model.merges.into_iter().map(|merge| match merge {
                    Merge::Pair(left, right) => Ok((left, right)),
                    Merge::Line(line) => pair(&path, &line),
                });
                let pairs: Pairs = pairs.collect::<Result<_>>()?;
                Self::new(&path, &file.model.vocab, &pairs)
            }
            Form::OpenAi => {
                let [path] = OPENAI.map(inside);
                let pairs = lines(&path, &unpacked(&path)?, MERGES)?;
                Self::new(&path, &numbered(&pairs), &pairs)
            }
        }
    }

    fn new(path: &Path, numbers: &HashMap<String, u32>, pairs: &Pairs) -> Result<Self> {
        let number = |token: &str| {
            let number = numbers.get(token).copied();
            number.ok_or_else(|| Error::malformed(path, format!("a token `{token}`"), "none"))
        };
        let bytes = byte_characters().map(|c| {
            let inside = number(&c.to_string())?;
            Ok([inside, number(&format!("{c}{WORD_END}"))?])
        });
        let mut merges = HashMap::with_capacity(pairs.len());
        for (rank, (left, right)) in (0..).zip(pairs) {
            let merged = number(&format!("{left}{right}"))?;
            merges.insert((number(left)?, number(right)?), (rank, merged));
        }
        Ok(Self {
            bytes: bytes.into_iter().collect::<Result<_>>()?,
            merges,
            start: number(START)?,
            end: number(END)?,
        })
    }

    pub(super) fn start(&self) -> u32 {
        self.start
    }

    pub(super) fn end(&self) -> u32 {
        self.end
    }

    /// Adds the tokens of a word. Of all neighbouring pairs the one learnt first is merged, from left to right, until
    /// none is known; a heap makes that n log n, as words come from outside.
    pub(super) fn encode(&self, word: &str, ids: &mut Vec<u32>) {
        let last = word.len().saturating_sub(1);
        let symbols = word.bytes().enumerate();
        let mut symbols: Vec<Option<u32>> = symbols
            .map(|(at, byte)| Some(self.bytes[usize::from(byte)][usize::from(at == last)]))
            .collect();
        // Neighbours of the symbols still there.
        let mut next: Vec<usize> = (1..=symbols.len()).collect();
        let mut previous: Vec<Option<usize>> =
            (0..symbols.len()).map(|at| at.checked_sub(1)).collect();
        let mut heap = BinaryHeap::new();
        let known = |left: Option<u32>, right: Option<Option<u32>>| {
            let pair = (left?, right??);
            self.merges.get(&pair).map(|merge| (*merge, pair))
        };
        for at in 0..last {
            if let Some(((rank, _), pair)) = known(symbols[at], Some(symbols[at + 1])) {
                heap.push(Reverse((rank, at, pair)));
            }
        }
        while let Some(Reverse((_, at, pair))) = heap.pop() {
            let right = next[at];
            // The pair may have been taken apart since.
            let Some(((_, merged), now)) = known(symbols[at], symbols.get(right).copied()) else {
                continue;
            };
            if now != pair {
                continue;
            }
            symbols[at] = Some(merged);
            symbols[right] = None;
            next[at] = next[right];
            if let Some(place) = previous.get_mut(next[at]) {
                *place = Some(at);
            }
            let after = symbols.get(next[at]).copied();
            if let Some(((rank, _), pair)) = known(symbols[at], after) {
                heap.push(Reverse((rank, at, pair)));
            }
            if let Some(before) = previous[at]
                && let Some(((rank, _), pair)) = known(symbols[before], Some(symbols[at]))
            {
                heap.push(Reverse((rank, before, pair)));
            }
        }
        ids.extend(symbols.into_iter().flatten());
    }
}

/// The numbers OpenAI gives tokens: bytes, bytes at a word's end, merges, special tokens. Printable bytes come first.
fn numbered(pairs: &Pairs) -> HashMap<String, u32> {
    let mut characters = byte_characters().to_vec();
    characters.sort_unstable();
    let inside = characters.iter().map(char::to_string);
    let at_end = characters.iter().map(|c| format!("{c}{WORD_END}"));
    let merged = pairs.iter().map(|(left, right)| format!("{left}{right}"));
    let special = [START, END].map(str::to_owned);
    inside
        .chain(at_end)
        .chain(merged)
        .chain(special)
        .zip(0..)
        .collect()
}

/// The merges of a file, after its first line if that is a comment on the version.
fn lines(path: &Path, text: &str, most: usize) -> Result<Pairs> {
    let header = |line: &str| line.contains("#version");
    let skipped = usize::from(text.lines().next().is_some_and(header));
    text.lines()
        .skip(skipped)
        .filter(|line| !line.is_empty())
        .take(most)
        .map(|line| pair(path, line))
        .collect()
}

fn pair(path: &Path, line: &str) -> Result<(String, String)> {
    match line.split_once(' ') {
        Some((left, right)) if !right.contains(' ') => Ok((left.to_owned(), right.to_owned())),
        _ => Err(Error::malformed(
            path,
            "pairs of symbols",
            format!("`{line}`"),
        )),
    }
}

fn json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let bytes = mused_formats::read(path)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Error::malformed(
            path,
            "a tokenizer's vocabulary",
            mused_formats::plain(error),
        )
    })
}

fn text(path: &Path) -> Result<String> {
    let bytes = mused_formats::read(path)?;
    utf8(path, bytes)
}

fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::malformed(path, "UTF-8", "other bytes"))
}

fn unpacked(path: &Path) -> Result<String> {
    let packed = mused_formats::read(path)?;
    let malformed = |found| Error::malformed(path, "a gzip stream", found);
    let mut budget = Budget::of(packed.len() as u64);
    let stream = GzDecoder::new(&packed[..]);
    let bytes = budget.unpack("vocabulary", stream, u64::MAX, malformed);
    let bytes = bytes.map_err(|error| match error {
        Error::Format(error) => error.in_file(path).into(),
        error => error,
    })?;
    utf8(path, bytes)
}
