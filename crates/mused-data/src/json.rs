//! JSON files, also as others write them.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Reads a JSON file.
///
/// A byte order mark is passed over; text that is not UTF-8 is taken for Latin-1, as older converters write names. The
/// numbers NaN and infinity, which JSON does not have and Python and dcm2niix write, are strings: they are in the way of
/// a field only where a number is wanted of it.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = mused_formats::read(path)?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error.as_bytes().iter().map(|byte| *byte as char).collect(),
    };
    let own = quoted_words(text.strip_prefix('\u{feff}').unwrap_or(&text));
    serde_json::from_str(&own).map_err(|error| {
        let other = mused_formats::recognised(text.as_bytes());
        let message = other.map(|other| format!("expected JSON, found {other}"));
        Error::invalid(path, message.unwrap_or_else(|| mused_formats::plain(error)))
    })
}

/// The text with quotes around NaN and infinity where they stand outside of strings.
fn quoted_words(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    let mut in_string = false;
    for (number, piece) in text.split('"').enumerate() {
        if number > 0 {
            quoted.push('"');
        }
        if in_string {
            quoted.push_str(piece);
            // A quote behind an odd number of backslashes is a part of the string.
            let before = piece.len() - piece.trim_end_matches('\\').len();
            in_string = before % 2 == 1;
            continue;
        }
        in_string = true;
        for word in piece.split_inclusive(|letter: char| !is_of_number(letter)) {
            let number = word.trim_end_matches(|letter: char| !is_of_number(letter));
            let name = number.trim_start_matches(['-', '+']).to_ascii_lowercase();
            if matches!(name.as_str(), "nan" | "inf" | "infinity") {
                quoted.extend(["\"", number, "\"", &word[number.len()..]]);
            } else {
                quoted.push_str(word);
            }
        }
    }
    quoted
}

fn is_of_number(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "+-.".contains(letter)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_as_others_write_it_is_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.json");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_json::<Value>(&path).map_err(|error| error.to_string())
        };
        let tr = json!({"RepetitionTime": 2.0});
        assert_eq!(read(b"\xef\xbb\xbf{\"RepetitionTime\": 2.0}"), Ok(tr));
        let words = br#"{"a": [NaN,-Infinity, inf ,nan], "b\"NaN": "x \\", "c": -inf, "d": 1e-3}"#;
        let expected = json!({
            "a": ["NaN", "-Infinity", "inf", "nan"], "b\"NaN": "x \\", "c": "-inf", "d": 1e-3
        });
        assert_eq!(read(words), Ok(expected));
        assert_eq!(read(b"{\"a\": \"\xe4\"}"), Ok(json!({"a": "ä"})));
        let pointer = read(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n");
        assert!(pointer.unwrap_err().contains("found a Git LFS pointer"));
        assert!(read(b"{\"a\": Nan1}").is_err());
    }
}
