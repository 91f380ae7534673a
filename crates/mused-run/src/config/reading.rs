//! What stands in an input row for a region: `model.inputs`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::settings::Kind;

/// What stands in an input row for a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reading {
    /// Left to the data; the run records what it was.
    Auto,
    /// The voxels themselves.
    Voxels,
    /// What a subject's voxels are mapped onto.
    Aligned(Onto),
}

/// What subjects' voxels are mapped onto, that means the same in everybody: one of these, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Onto {
    /// Components of guidance features.
    pub guidance: bool,
    /// Components of the other subjects' mean geometry.
    pub consensus: bool,
    /// Likenesses to the training stimuli that everybody saw.
    pub stimuli: bool,
    /// Scores of the labels.
    pub labels: bool,
}

const AUTO: &str = "auto";
const VOXELS: &str = "voxels";
const MEANINGS: [(&str, &str); 6] = [
    (
        AUTO,
        "In spaces of subjects' own, what guidance+labels reads where the dataset has guidance, else labels; in a common \
         space, and for families that are no shared network over regions, voxels. The run records which it was.",
    ),
    (VOXELS, "The voxels themselves."),
    (
        "guidance",
        "Where the subject's ridge regression puts the stimulus among the components of the guidance features.",
    ),
    (
        "consensus",
        "The same among the components of the other subjects' mean geometry of the training stimuli all of them saw.",
    ),
    (
        "stimuli",
        "How like the response is to the subject's responses to each training stimulus that all subjects saw, whitened.",
    ),
    (
        "labels",
        "The subject's ridge scores of the labels. The last four can be joined: guidance+labels.",
    ),
];

impl Onto {
    fn named(self) -> [(&'static str, bool); 4] {
        let Self {
            guidance,
            consensus,
            stimuli,
            labels,
        } = self;
        let names = ["guidance", "consensus", "stimuli", "labels"];
        let chosen = [guidance, consensus, stimuli, labels];
        std::array::from_fn(|place| (names[place], chosen[place]))
    }
}

impl Reading {
    /// What voxels are mapped onto; `None` where they are read as they are, or where that is left to the data.
    pub fn onto(self) -> Option<Onto> {
        match self {
            Self::Aligned(onto) => Some(onto),
            Self::Auto | Self::Voxels => None,
        }
    }
}

impl fmt::Display for Onto {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chosen = self.named().into_iter().filter(|(_, chosen)| *chosen);
        let names: Vec<&str> = chosen.map(|(name, _)| name).collect();
        formatter.write_str(&names.join("+"))
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str(AUTO),
            Self::Voxels => formatter.write_str(VOXELS),
            Self::Aligned(onto) => onto.fmt(formatter),
        }
    }
}

impl TryFrom<String> for Onto {
    type Error = String;

    /// Names joined by `+`, in any order.
    fn try_from(text: String) -> Result<Self, String> {
        let mut onto = Self::default();
        for name in text.split('+').map(str::trim) {
            *match name {
                "guidance" => &mut onto.guidance,
                "consensus" => &mut onto.consensus,
                "stimuli" => &mut onto.stimuli,
                "labels" => &mut onto.labels,
                _ => {
                    return Err(format!(
                        "expected auto, voxels, or guidance, consensus, stimuli and labels joined by +, found {text:?}"
                    ));
                }
            } = true;
        }
        Ok(onto)
    }
}

impl TryFrom<String> for Reading {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            AUTO => Ok(Self::Auto),
            VOXELS => Ok(Self::Voxels),
            _ => Onto::try_from(text).map(Self::Aligned),
        }
    }
}

impl From<Onto> for String {
    fn from(onto: Onto) -> Self {
        onto.to_string()
    }
}

impl From<Reading> for String {
    fn from(reading: Reading) -> Self {
        reading.to_string()
    }
}

impl Kind for Reading {
    fn kind() -> String {
        "one of a few, or several".to_owned()
    }

    fn choices() -> Vec<(&'static str, String)> {
        let choice = |(name, meaning): (&'static str, &str)| (name, meaning.to_owned());
        MEANINGS.map(choice).to_vec()
    }

    fn joined() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_order() {
        let read = |text: &str| Reading::try_from(text.to_owned());
        for name in [
            "auto",
            "voxels",
            "stimuli",
            "guidance+consensus+stimuli+labels",
        ] {
            assert_eq!(read(name).unwrap().to_string(), name);
        }
        assert_eq!(
            read("labels + guidance").unwrap().to_string(),
            "guidance+labels"
        );
        for wrong in ["", "guidance+", "voxels+labels", "Labels"] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(&format!("found {wrong:?}")), "{error}");
        }
    }
}
