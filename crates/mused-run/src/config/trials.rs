//! How many of a subject's training stimuli are used.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::settings::Kind;

/// How many of a subject's training stimuli are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Trials {
    /// None of them.
    None,
    /// At most so many, drawn by `split.draw`, whole groups.
    Most(usize),
    /// All of them.
    All,
}

impl fmt::Display for Trials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("none"),
            Self::Most(most) => most.fmt(formatter),
            Self::All => formatter.write_str("all"),
        }
    }
}

impl TryFrom<String> for Trials {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "none" => Ok(Self::None),
            "all" => Ok(Self::All),
            number => match number.parse() {
                Ok(most) if most > 0 => Ok(Self::Most(most)),
                _ => Err(format!(
                    "expected none, all, or a number of stimuli above 0, found {text:?}"
                )),
            },
        }
    }
}

impl From<Trials> for String {
    fn from(trials: Trials) -> Self {
        trials.to_string()
    }
}

impl Kind for Trials {
    fn kind() -> String {
        "none, all, or a number as text".to_owned()
    }
}
