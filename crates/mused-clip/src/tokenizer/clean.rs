//! The clean-up before tokenisation: what OpenAI's CLIP does with `ftfy.fix_text`, Python's `html.unescape`, `strip` and
//! a regular expression.
//!
//! All of ftfy's repairs are made but one: it is not guessed whether text was decoded with a wrong encoding
//! (`fix_encoding=False` in ftfy's terms). Text without such damage comes out the same.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::html::{self, NamedOnly};

/// Rounds of repairs after which a text counts as stable: each can uncover another one, as `&amp;amp;` does, but no
/// real text needs more than a few.
const ROUNDS: usize = 64;

/// The text as the tokenizer sees it: repaired, unescaped, with single spaces, in lower case.
pub(super) fn clean(text: &str) -> String {
    let text = fixed(text);
    let once = html::unescape(&text);
    let text = html::unescape(&once);
    let mut spaced = String::with_capacity(text.len());
    for word in strip(&text).split(char::is_whitespace) {
        if !word.is_empty() {
            if !spaced.is_empty() {
                spaced.push(' ');
            }
            spaced.push_str(word);
        }
    }
    strip(&spaced).to_lowercase()
}

/// Python's `str.strip`, which takes four separators of ASCII for spaces.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

/// Line by line; character references are left alone from the first line that has a tag on.
fn fixed(text: &str) -> String {
    let mut references = true;
    let mut result = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        references &= !line.contains('<');
        result.push_str(&fixed_line(line, references));
    }
    result
}

fn fixed_line(line: &str, references: bool) -> Cow<'_, str> {
    if line.is_ascii() && !line.contains(|c: char| c == '&' || (c.is_control() && c != '\n')) {
        return line.into();
    }
    let mut text = line.to_owned();
    for _ in 0..ROUNDS {
        let before = text.clone();
        if references {
            text = NamedOnly::unescape(&text);
        }
        text = text.chars().map(from_windows).collect();
        text = characters(&text);
        // A carriage return and a line feed are one line break; after the tokenizer's spaces it is all the same.
        text = text
            .chars()
            .map(|c| match c {
                '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => '\n',
                other => other,
            })
            .collect();
        text = without_controls(&without_escapes(&text));
        text = text.nfc().collect();
        if text == before {
            break;
        }
    }
    text.into()
}

/// Windows-1252's character for a control character of the second set.
pub(super) fn from_windows(c: char) -> char {
    const WINDOWS: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match c {
        '\u{80}'..='\u{9f}' => WINDOWS[c as usize - 0x80],
        other => other,
    }
}

/// Latin ligatures in their letters, full- and half-width characters in their usual width, straight quotes.
fn characters(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'Ĳ' | 'ĳ' | 'ŉ' | 'Ǳ'..='ǳ' | 'Ǆ'..='ǌ' | '\u{fb00}'..='\u{fb06}' => {
                result.push_str(ligature(c));
            }
            '\u{3000}' => result.push(' '),
            '\u{ff01}'..='\u{ffef}' => {
                let wide = std::iter::once(c).nfkc();
                result.extend(wide.map(straight));
            }
            other => result.push(straight(other)),
        }
    }
    result
}

fn straight(c: char) -> char {
    match c {
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        other => other,
    }
}

fn ligature(c: char) -> &'static str {
    match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        // The letter apostrophe it begins with becomes a straight one, as it would by itself.
        'ŉ' => "'n",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' => "ſt",
        _ => "st",
    }
}

/// Removes escape sequences of terminals: ESC, `[`, numbers and semicolons, one letter.
fn without_escapes(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        result.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let numbers = after.find(|c: char| !(super::is_decimal(c) || c == ';'));
        let letter = numbers.and_then(|n| after[n..].chars().next().map(|c| (n, c)));
        match letter {
            Some((n, c)) if c.is_ascii_alphabetic() => rest = &after[n + 1..],
            _ => {
                result.push_str("\x1b[");
                rest = after;
            }
        }
    }
    result.push_str(rest);
    result
}

/// Removes control characters that mean nothing in a line of text.
fn without_controls(text: &str) -> String {
    let kept = |c: &char| {
        !matches!(c,
            '\0'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffc}')
    };
    text.chars().filter(kept).collect()
}
