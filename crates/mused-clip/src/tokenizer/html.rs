//! HTML character references (HTML standard, §13.2.5.72 and after) as Python resolves them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::clean::from_windows;

/// What the names stand for, without the `&`; 106 of them are also known without the semicolon.
static NAMES: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let names = entities::ENTITIES.iter();
    names
        .map(|entity| (&entity.entity[1..], entity.characters))
        .collect()
});

/// Longest name looked for.
const LONGEST: usize = 32;

/// Python's `html.unescape`: named references with and without semicolon, numbers.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let taken = match rest.strip_prefix('#') {
            Some(number) => numbered(number, &mut result).map(|len| len + 1),
            None => named(rest, &mut result),
        };
        match taken {
            Some(len) => rest = &rest[len..],
            None => result.push('&'),
        }
    }
    result.push_str(rest);
    result.into()
}

/// Bytes of a number and its semicolon after `&#`.
fn numbered(text: &str, result: &mut String) -> Option<usize> {
    let (digits, radix) = match text.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let is_digit = |c: char| c.is_ascii() && c.is_digit(radix);
    let len = digits.find(|c: char| !is_digit(c)).unwrap_or(digits.len());
    if len == 0 {
        return None;
    }
    // More digits than a number holds: past every character.
    let number = u32::from_str_radix(digits[..len].trim_start_matches('0'), radix);
    let number = match number {
        Ok(number) => number,
        Err(_) if digits[..len].bytes().all(|digit| digit == b'0') => 0,
        Err(_) => u32::MAX,
    };
    result.extend(character(number));
    let semicolon = usize::from(digits[len..].starts_with(';'));
    Some(text.len() - digits.len() + len + semicolon)
}

/// The character a number stands for; none where it stands for nothing.
fn character(number: u32) -> Option<char> {
    match number {
        0 => Some('\u{fffd}'),
        0x0d => Some('\r'),
        0x80..=0x9f => char::from_u32(number).map(from_windows),
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if number <= 0x10_ffff && number & 0xfffe == 0xfffe => None,
        _ => Some(char::from_u32(number).unwrap_or('\u{fffd}')),
    }
}

/// Bytes of a name, the longest known one, after `&`.
fn named(text: &str, result: &mut String) -> Option<usize> {
    let ends = |c: char| matches!(c, '\t' | '\n' | '\x0c' | ' ' | '<' | '&' | '#' | ';');
    let mut end = text.len();
    for (count, (at, c)) in text.char_indices().enumerate() {
        if count == LONGEST || ends(c) {
            end = at;
            break;
        }
    }
    if end == 0 {
        return None;
    }
    let with_semicolon = end + usize::from(text[end..].starts_with(';'));
    if let Some(characters) = NAMES.get(&text[..with_semicolon]) {
        result.push_str(characters);
        return Some(with_semicolon);
    }
    // A known name of two characters or more at its start, without a semicolon.
    let starts = text[..with_semicolon].char_indices().map(|(at, _)| at);
    for at in starts.skip(2).collect::<Vec<_>>().into_iter().rev() {
        if let Some(characters) = NAMES.get(&text[..at]) {
            result.push_str(characters);
            return Some(at);
        }
    }
    None
}

/// ftfy's more careful reading: names that end in a semicolon, also in capitals, and numbers with one.
pub(super) struct NamedOnly;

impl NamedOnly {
    pub(super) fn unescape(text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('&') {
            result.push_str(&rest[..at]);
            rest = &rest[at..];
            match Self::reference(rest) {
                Some((characters, len)) => {
                    result.push_str(&characters);
                    rest = &rest[len..];
                }
                None => {
                    result.push('&');
                    rest = &rest[1..];
                }
            }
        }
        result.push_str(rest);
        result
    }

    /// What the reference at the start of the text stands for, and its bytes.
    fn reference(text: &str) -> Option<(String, usize)> {
        let body = &text[1..];
        let name = body.strip_prefix('#').unwrap_or(body);
        let count = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if !(1..=24).contains(&count) || !name[count..].starts_with(';') {
            return None;
        }
        let len = text.len() - name.len() + count + 1;
        if body.starts_with('#') {
            let unescaped = unescape(&text[..len]);
            // What stays a reference, or half of one, was none.
            let whole = !unescaped.contains(';');
            return whole.then(|| (unescaped.into_owned(), len));
        }
        let name = &text[1..len];
        if let Some(characters) = NAMES.get(name) {
            return Some(((*characters).to_owned(), len));
        }
        let lower = name.to_ascii_lowercase();
        let capitals = name == name.to_ascii_uppercase();
        let characters = NAMES.get(lower.as_str()).filter(|_| capitals)?;
        // Such a name must not begin with a shorter one that would be read by itself.
        let by_itself = unescape(&text[..len]);
        (by_itself == text[..len]).then(|| (characters.to_uppercase(), len))
    }
}
