//! The one place where text from files becomes markup.

use serde::Serialize;

/// Text as it may stand between tags and inside quoted attributes of HTML and SVG.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no place for other control characters, however they are written.
            '\t' | '\n' => out.push(letter),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// A value as JSON that can stand inside a `script` element: no text in it can end the element.
pub(crate) fn json_for_script(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string(value)?
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}

/// The start of a text that is too long for its place, with the last letter an ellipsis.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", start.trim_end())
}

/// Text as a part of ids and file names: letters, digits and dashes.
pub(crate) fn slug(text: &str) -> String {
    let plain = text.chars().map(|letter| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    });
    plain.collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_shown_not_run() {
        let name = "</script><script>alert('x')</script>&\u{7}";
        assert!(!escaped(name).contains(['<', '>', '\'', '\u{7}']));
        let json = json_for_script(&name).unwrap();
        assert!(!json.contains('<'));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), name);
    }

    #[test]
    fn long_names_end_in_an_ellipsis() {
        assert_eq!(shortened("café au lait", 5), "café…");
        assert_eq!(shortened("café", 5), "café");
    }
}
