//! What a curve goes over, and the numbers on its axis.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a curve goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// Training trials of each subject, or of new people.
    Trials,
    /// Subjects that the network is trained on.
    Subjects,
}

impl Over {
    /// Of several.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Trials => "trials",
            Self::Subjects => "subjects",
        }
    }

    /// So many of them, in words.
    pub fn words(self, size: Size) -> String {
        let unit = self.unit();
        match size {
            Size::Most(1) => format!("1 {}", unit.trim_end_matches('s')),
            size => format!("{size} {unit}"),
        }
    }
}

/// A number of trials or subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Size {
    /// So many; of trials as many whole groups as fit.
    Most(usize),
    /// What there is.
    All,
}

impl Size {
    /// How many, where there are `there`.
    pub(super) fn of(self, there: usize) -> usize {
        match self {
            Self::Most(most) => most,
            Self::All => there,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Most(most) => most.fmt(formatter),
            Self::All => formatter.write_str("all"),
        }
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match (text.as_str(), text.parse()) {
            ("all", _) => Ok(Self::All),
            (_, Ok(most)) if most > 0 => Ok(Self::Most(most)),
            _ => Err(format!(
                "expected all or numbers above 0, as 10,20,all; found {text:?}"
            )),
        }
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}
