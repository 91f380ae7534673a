//! Errors of JSON, TOML and the operating system in words that do not take knowing Rust.

use std::fmt::Display;
use std::io;

/// What the parsers of JSON and TOML call what they expect, and what it is.
const WORDS: [(&str, &str); 20] = [
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0"),
    ("u64", "a whole number from 0"),
    ("usize", "a whole number from 0"),
    ("a nonzero u32", "a whole number from 1"),
    ("a nonzero usize", "a whole number from 1"),
    ("i8", "a whole number"),
    ("i16", "a whole number"),
    ("i32", "a whole number"),
    ("i64", "a whole number"),
    ("isize", "a whole number"),
    ("f32", "a number"),
    ("f64", "a number"),
    ("a boolean", "true or false"),
    ("a string", "text"),
    ("a sequence", "a list"),
    ("a map", "names with values"),
    ("a borrowed string", "text"),
    ("unit", "nothing"),
];

/// The message of a parser of JSON or TOML with types of Rust in plain words.
pub fn plain(error: impl Display) -> String {
    let message = error.to_string();
    let Some((before, expected)) = message.split_once("expected ") else {
        return message;
    };
    let end = |name: &str| {
        let rest = expected.strip_prefix(name)?;
        let ends = !rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        ends.then_some(rest)
    };
    for (name, words) in WORDS {
        if let Some(rest) = end(name) {
            return format!("{before}expected {words}{rest}");
        }
    }
    match expected.strip_prefix("struct ") {
        Some(named) => {
            let rest = named.trim_start_matches(|letter: char| letter.is_alphanumeric());
            format!("{before}expected names with values{rest}")
        }
        None => message,
    }
}

/// What the operating system refused, without its number, which tells nobody anything.
pub fn refusal(error: &io::Error) -> String {
    let message = error.to_string();
    let Some(number) = error.raw_os_error() else {
        return message;
    };
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission is denied".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        io::ErrorKind::AlreadyExists => "something is in the way there".to_owned(),
        io::ErrorKind::NotADirectory => "a part of this path is a file, not a folder".to_owned(),
        _ => message.replace(&format!(" (os error {number})"), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_no_numbers() {
        let missing = std::fs::read("nowhere/to/be/found").unwrap_err();
        assert_eq!(refusal(&missing), "there is no such file or folder");
        let busy = io::Error::from_raw_os_error(16);
        assert!(!refusal(&busy).contains("os error"), "{}", refusal(&busy));
        assert_eq!(refusal(&io::Error::other("an own one")), "an own one");
    }

    #[test]
    fn types_of_rust_are_told_in_plain_words() {
        let of = |text: &str| plain(serde_json::from_str::<Vec<u32>>(text).unwrap_err());
        assert_eq!(
            of("[-1]"),
            "invalid value: integer `-1`, expected a whole number from 0 at line 1 column 3"
        );
        assert_eq!(
            of("{}"),
            "invalid type: map, expected a list at line 1 column 0"
        );
        let number = serde_json::from_str::<f64>("\"x\"").unwrap_err();
        assert!(plain(number).contains("string \"x\", expected a number at line 1"));
        assert_eq!(
            plain("expected value at line 1"),
            "expected value at line 1"
        );
        assert_eq!(
            plain("invalid type: integer `1`, expected struct Task at line 3"),
            "invalid type: integer `1`, expected names with values at line 3"
        );
        assert_eq!(plain("expected u32x"), "expected u32x");
    }
}
