//! XML as a tree, for headers. Entities of a document's own are refused, so that none can be expanded into many.

use std::borrow::Cow;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::{Budget, Error, Result};

/// The formats nest some six deep.
const MAX_DEPTH: usize = 32;
/// The formats have a handful. To find two of one name takes time that grows with the square of their number.
const MAX_ATTRIBUTES: usize = 64;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// An element with all that is in it.
#[derive(Debug, Default)]
pub(crate) struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    /// All text and CDATA directly in it, joined.
    pub(crate) text: String,
    children: Vec<Element>,
    /// Byte of the document behind its opening tag.
    at: u64,
}

impl Element {
    /// Parses a document; the result is its root, which must be of that name.
    pub(crate) fn parse(bytes: &[u8], root: &str, budget: &mut Budget) -> Result<Self> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let place = format!("byte {}", error.valid_up_to());
            Error::malformed(place, "UTF-8 text", "other bytes")
        })?;
        budget.take("XML", Some(memory(text)))?;
        let document = tree(text)?;
        match document.children.into_iter().next() {
            Some(element) if element.name == root => Ok(element),
            Some(other) => Err(other.malformed(format!("the element {root}"), other.name.clone())),
            None => {
                let expected = format!("the element {root}");
                Err(Error::malformed("XML", expected, "no element"))
            }
        }
    }

    pub(crate) fn optional(&self, attribute: &str) -> Option<&str> {
        let named = self.attributes.iter().find(|(name, _)| name == attribute);
        named.map(|(_, value)| value.as_str())
    }

    pub(crate) fn attribute(&self, attribute: &str) -> Result<&str> {
        let value = self.optional(attribute);
        value.ok_or_else(|| self.malformed(format!("the attribute {attribute}"), "none"))
    }

    /// An attribute as a number.
    pub(crate) fn number<T: std::str::FromStr>(&self, attribute: &str) -> Result<T> {
        let text = self.attribute(attribute)?;
        text.trim()
            .parse()
            .map_err(|_| self.malformed(format!("a number as {attribute}"), format!("{text:?}")))
    }

    pub(crate) fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    pub(crate) fn first(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the child of that name, without the blanks around it; empty where there is none.
    pub(crate) fn text_of(&self, name: &str) -> &str {
        self.first(name).map_or("", |child| child.text.trim())
    }

    /// Numbers separated by blanks.
    pub(crate) fn numbers<T: std::str::FromStr>(&self) -> Result<Vec<T>> {
        let words = self.text.split_ascii_whitespace();
        words
            .map(|word| {
                let parsed = word.parse();
                parsed.map_err(|_| self.malformed("numbers".to_owned(), format!("{word:?}")))
            })
            .collect()
    }

    /// The pairs of a `MetaData` child.
    pub(crate) fn metadata(&self) -> Vec<(String, String)> {
        let pairs = self.first("MetaData").into_iter();
        pairs
            .flat_map(|metadata| metadata.all("MD"))
            .map(|pair| {
                (
                    pair.text_of("Name").to_owned(),
                    pair.text_of("Value").to_owned(),
                )
            })
            .collect()
    }

    pub(crate) fn malformed(&self, expected: String, found: impl Into<String>) -> Error {
        Error::malformed(self.place(), expected, found)
    }

    /// Where it is, as messages say it.
    pub(crate) fn place(&self) -> String {
        format!("element {} at byte {}", self.name, self.at)
    }
}

/// What a tree of this text, and the numbers in it, take at most: a vector of one has room for four, and two characters
/// are a number and the blank behind it.
fn memory(text: &str) -> u64 {
    let count = |mark| text.bytes().filter(|byte| *byte == mark).count();
    let elements = count(b'<') * 2 * size_of::<Element>();
    let attributes = count(b'=') * 4 * size_of::<(String, String)>();
    (elements + attributes + text.len() * size_of::<f64>()) as u64
}

fn tree(text: &str) -> Result<Element> {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|error| {
            let place = format!("byte {}", reader.error_position());
            Error::malformed(place, "well-formed XML", error.to_string())
        })?;
        let at = reader.buffer_position();
        if matches!(event, Event::Start(_) | Event::Empty(_)) && open.len() > MAX_DEPTH {
            let expected = format!("at most {MAX_DEPTH} elements within each other");
            return Err(Error::malformed(format!("byte {at}"), expected, "more"));
        }
        let Some(current) = open.last_mut() else {
            return Err(Error::malformed(format!("byte {at}"), "the end", "more"));
        };
        match event {
            Event::Start(start) => open.push(element(&start, at)?),
            Event::Empty(start) => current.children.push(element(&start, at)?),
            Event::End(_) => {
                // The reader has checked that the names match.
                if let Some(closed) = open.pop()
                    && let Some(parent) = open.last_mut()
                {
                    parent.children.push(closed);
                }
            }
            Event::Text(text) => current.text.push_str(&text.xml10_content()),
            Event::CData(text) => current.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => current.text.push_str(&referred(&reference, at)?),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    let mut open = open.into_iter();
    match (open.next(), open.next()) {
        (Some(document), None) => Ok(document),
        (_, unclosed) => {
            let name = unclosed.map_or_else(String::new, |element| element.name);
            let (place, expected) = (format!("byte {}", text.len()), format!("</{name}>"));
            Err(Error::malformed(place, expected, "the end"))
        }
    }
}

fn element(start: &BytesStart<'_>, at: u64) -> Result<Element> {
    let malformed =
        |found: String| Error::malformed(format!("byte {at}"), "well-formed attributes", found);
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| malformed(error.to_string()))?;
        if attributes.len() == MAX_ATTRIBUTES {
            return Err(malformed(format!("more than {MAX_ATTRIBUTES}")));
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| malformed(error.to_string()))?;
        attributes.push((as_text(attribute.key.as_ref()), value.into_owned()));
    }
    Ok(Element {
        name: as_text(start.name().as_ref()),
        attributes,
        at,
        ..Element::default()
    })
}

fn as_text(name: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(name.as_ref()).into_owned()
}

/// The character that `&lt;` or `&#60;` stand for.
fn referred(reference: &BytesRef<'_>, at: u64) -> Result<Cow<'static, str>> {
    let character = reference.resolve_char_ref().map_err(|error| {
        Error::malformed(
            format!("byte {at}"),
            "a character reference",
            error.to_string(),
        )
    })?;
    if let Some(character) = character {
        return Ok(character.to_string().into());
    }
    let name = reference.xml10_content();
    resolve_predefined_entity(&name)
        .map(Cow::from)
        .ok_or_else(|| {
            Error::unsupported(
                format!("byte {at}"),
                format!("the entity &{name}; of the document's own"),
            )
        })
}
