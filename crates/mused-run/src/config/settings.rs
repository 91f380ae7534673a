//! Settings that document themselves: one definition gives the field, its default, its range and its page.

use std::fmt;

use serde::Serialize;
use toml::Value;

/// The largest size or count that a setting takes: products of a few of them still fit into 64 bits, and no machine has
/// memory or time for more.
const MOST: i64 = 1 << 24;

/// Values that a number may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// Whole numbers from this one to [`MOST`].
    AtLeast(i64),
    /// Whole numbers from the one to the other.
    Within(i64, i64),
    /// 0 or more, finite.
    NotNegative,
    /// Above 0, finite.
    Positive,
    /// 0 or more and below 1.
    Share,
    /// Above 0 and below 1.
    ProperShare,
    /// A cosine, from -1 to 1.
    Cosine,
}

impl Range {
    fn holds(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::AtLeast(least) => Self::Within(least, MOST).holds(value),
                Self::Within(least, most) => (least as f64..=most as f64).contains(&value),
                Self::NotNegative => value >= 0.0,
                Self::Positive => value > 0.0,
                Self::Share => (0.0..1.0).contains(&value),
                Self::ProperShare => value > 0.0 && value < 1.0,
                Self::Cosine => (-1.0..=1.0).contains(&value),
            }
    }

    /// Whether a value, or every one of a list or table, is in range.
    pub(crate) fn admits(self, value: &Value) -> bool {
        match value {
            Value::Integer(value) => self.holds(*value as f64),
            Value::Float(value) => self.holds(*value),
            Value::Array(values) => values.iter().all(|value| self.admits(value)),
            Value::Table(values) => values.values().all(|value| self.admits(value)),
            _ => true,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => Self::Within(*least, MOST).fmt(formatter),
            Self::Within(least, most) => write!(formatter, "from {least} to {most}"),
            Self::NotNegative => formatter.write_str("0 or more"),
            Self::Positive => formatter.write_str("above 0"),
            Self::Share => formatter.write_str("0 or more and below 1"),
            Self::ProperShare => formatter.write_str("above 0 and below 1"),
            Self::Cosine => formatter.write_str("from -1 to 1"),
        }
    }
}

/// One key of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// `section.name`.
    pub key: String,
    /// Of `model` keys, the family that has it; `None` = every one.
    pub family: Option<&'static str>,
    /// Type of its values.
    pub kind: String,
    /// Values and their meaning, where there is a choice of a few.
    pub choices: Vec<(&'static str, String)>,
    /// Whether several of them may be joined by `+`.
    pub joined: bool,
    /// Values that are taken; `None` = all of the type.
    pub range: Option<Range>,
    /// In the preset `default`.
    pub default: Value,
    /// What it does.
    pub meaning: String,
    /// Where the method or the default comes from.
    pub source: Option<&'static str>,
}

impl Setting {
    /// Whether a model of `family` has it.
    pub fn is_of(&self, family: &str) -> bool {
        self.family.is_none_or(|of| of == family)
    }

    /// The section of its key.
    pub fn section(&self) -> &str {
        self.key.split('.').next().unwrap_or_default()
    }

    /// Which values it takes, in words.
    pub fn takes(&self) -> String {
        match (&self.range, self.choices.is_empty()) {
            (Some(range), _) => format!("{}, {range}", self.kind),
            (None, true) => self.kind.clone(),
            (None, false) => {
                let names: Vec<&str> = self.choices.iter().map(|(name, _)| *name).collect();
                format!("one of {}", names.join(", "))
            }
        }
    }

    /// The setting of a field.
    pub(crate) fn of<T: Kind + Serialize>(
        (section, name): (&str, &str),
        family: Option<&'static str>,
        default: &T,
        range: Option<Range>,
        lines: &[&str],
        source: Option<&'static str>,
    ) -> Self {
        Self {
            key: format!("{section}.{name}"),
            family,
            kind: T::kind(),
            choices: T::choices(),
            joined: T::joined(),
            range,
            // Every default is a value that TOML has: a test writes them all.
            default: Value::try_from(default).unwrap_or(Value::Boolean(false)),
            meaning: joined(lines),
            source,
        }
    }
}

/// The lines of a doc comment as one.
pub(crate) fn joined(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

/// A type of values, in words.
pub(crate) trait Kind {
    fn kind() -> String;
    fn choices() -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// Whether several of the choices may be joined by `+`.
    fn joined() -> bool {
        false
    }
}

macro_rules! kinds {
    ($($kind:ty: $words:literal),+ $(,)?) => {
        $(impl Kind for $kind {
            fn kind() -> String {
                $words.to_owned()
            }
        })+
    };
}

kinds!(
    usize: "whole number",
    u64: "whole number",
    f64: "number",
    bool: "true or false",
    String: "text",
    Vec<[i32; 2]>: "list of pairs of whole numbers",
    [usize; 2]: "two whole numbers",
    [usize; 4]: "four whole numbers",
    Vec<String>: "list of names",
    Vec<mused_data::audit::Leak>: "list of names of leaks",
    std::collections::BTreeMap<String, f64>: "table of numbers",
);

/// An enumeration whose values and their meanings can be listed.
macro_rules! choices {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $meaning:literal])+ $variant:ident = $text:literal $(| $old:literal)*,)+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[doc = $meaning])+ #[serde(rename = $text $(, alias = $old)*)] $variant,)+
        }

        impl $name {
            /// As the configuration has it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl $crate::config::settings::Kind for $name {
            fn kind() -> String {
                "one of a few".to_owned()
            }

            fn choices() -> Vec<(&'static str, String)> {
                vec![$(($text, $crate::config::settings::joined(&[$($meaning),+])),)+]
            }
        }
    };
}

/// A part of the configuration: a struct with its defaults, and the [`Setting`] of every field.
macro_rules! settings {
    ($(#[doc = $about:literal])+ $section:literal $($family:literal)? $name:ident {
        $($(#[doc = $meaning:literal])+ $key:ident: $kind:ty = $default:expr $(, in $range:expr)? $(, from $source:literal)?;)+
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[doc = $meaning])+ pub $key: $kind,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $name {
            pub(crate) fn settings() -> Vec<$crate::config::settings::Setting> {
                let default = Self::default();
                let family = $crate::config::settings::optional!($($family)?);
                vec![$($crate::config::settings::Setting::of(
                    ($section, stringify!($key)),
                    family,
                    &default.$key,
                    $crate::config::settings::optional!($($range)?),
                    &[$($meaning),+],
                    $crate::config::settings::optional!($($source)?),
                ),)+]
            }
        }
    };
}

macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

pub(crate) use {choices, optional, settings};
