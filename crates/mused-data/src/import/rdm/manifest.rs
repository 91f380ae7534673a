//! The manifest: a TOML file that says what the files of a published data set mean.

use std::path::Path;

use serde::Deserialize;

use crate::read::read_text;
use crate::{Error, Level, Result};

/// More stimuli than any data set has; a larger number in a manifest is a slip of the pen.
const MAX_STIMULI: usize = 100_000;

/// A manifest. All paths in it are relative to the data folder and stay inside it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Short name of the dataset.
    pub name: String,
    /// Licence of the data.
    pub licence: String,
    /// How to cite the data.
    pub citation: String,
    /// Anatomical space the regions were defined in, e.g. `fsaverage`.
    pub space: Option<String>,
    /// The stimuli: number, ids, groups.
    pub stimuli: StimuliTable,
    /// Where the labels come from.
    pub labels: LabelsTable,
    /// Where the RDMs of the brains are.
    pub responses: ResponsesTable,
    /// Geometries that guide training; each becomes a folder of `features/`.
    #[serde(default)]
    pub guidance: Vec<GuidanceTable>,
}

/// `[stimuli]`: either `count` and `id`, or `ids`, in the order of the RDMs' rows.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StimuliTable {
    /// How many there are.
    pub count: Option<usize>,
    /// Pattern of their ids: `{index}` counts from 1, `{index:03}` with zeros to 3 digits.
    pub id: Option<String>,
    /// The ids themselves.
    pub ids: Option<Vec<String>>,
    /// A group a stimulus (film, scene); a split never divides one. Without it, each is its own.
    pub groups: Option<Vec<String>>,
    /// The pictures, height × width × 3 of 0 to 255 each; `{row}` in `select` counts from 0.
    pub images: Option<ArrayFile>,
}

/// `[labels]`: either `words`, or `matrix` with names.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsTable {
    /// Text files with one line a stimulus of keywords between commas. A stimulus has the words
    /// of all files. Labels are sorted by falling frequency, equals by name.
    pub words: Option<Vec<String>>,
    /// With `words`: fewest stimuli that must have a word to make it a label. Default 1.
    pub minimum_stimuli: Option<usize>,
    /// A .npy or .mat file: stimuli × labels, 0 or 1. Labels keep its order.
    pub matrix: Option<String>,
    /// With a .mat `matrix`: which value in it, e.g. `categoryVectors`.
    pub select: Option<String>,
    /// With `matrix`: a name a column.
    pub names: Option<Vec<String>>,
    /// With a .mat `matrix`, instead of `names`: the value in it that holds the names.
    pub names_select: Option<String>,
    /// Words or columns that are no labels.
    #[serde(default)]
    pub exclude: Vec<String>,
}

/// `[responses]`: either `path`, or a list of `[[responses.rdm]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponsesTable {
    /// What is made of the RDMs: `profiles` (the default) or `patterns`.
    #[serde(default)]
    pub response: ResponseForm,
    /// Pattern of .npy files with `{subject}`, `{roi}` and perhaps `{session}` in it. A
    /// subject is letters, digits and hyphens; a region also underscores and dots; a session
    /// digits. Files that do not match are none of ours.
    ///
    /// Each placeholder takes as little as the text after it allows, the last of a folder or
    /// file name as much; one that occurs twice must be the same both times.
    pub path: Option<String>,
    /// One RDM each.
    #[serde(default)]
    pub rdm: Vec<ResponseRdm>,
}

/// What a response is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseForm {
    /// A row of 1 - RDM: similarities to reference stimuli, in a space that all subjects share. A trial a session.
    #[default]
    Profiles,
    /// The pattern behind the RDM, on axes of each subject's own, as voxels are. One trial a stimulus: patterns of two
    /// sessions would lie in two spaces, so the RDMs of a subject's sessions are averaged.
    Patterns,
}

/// `[[responses.rdm]]`: the RDM of one subject's region in one session.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseRdm {
    /// Name of the subject.
    pub subject: String,
    /// Name of the region.
    pub roi: String,
    /// Session, from 1. Each is a presentation of all stimuli of its own. Default 1.
    #[serde(default = "first")]
    pub session: u32,
    /// The .npy or .mat file.
    pub path: String,
    /// For a .mat file, which value in it, e.g. `RDMs[0,2,1].RDM`.
    pub select: Option<String>,
}

/// `[[guidance]]`: either `rdms`, or `features`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidanceTable {
    /// `low` or `high`: which token it guides; without one, it guides where a configuration names it.
    pub level: Option<Level>,
    /// Name of the feature set. Default: the level.
    pub name: Option<String>,
    /// What it is and how it was made.
    pub description: String,
    /// RDMs, each divided by the mean of its off-diagonal entries, then averaged.
    pub rdms: Option<Vec<ArrayFile>>,
    /// A .npy or .mat file: stimuli × features.
    pub features: Option<String>,
    /// With a .mat file of `features`: which value in it.
    pub select: Option<String>,
}

impl GuidanceTable {
    /// Name of the feature set; empty where none is given.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(match self.level {
            Some(Level::Low) => "low",
            Some(Level::High) => "high",
            None => "",
        })
    }
}

/// An array in a file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArrayFile {
    /// The .npy or .mat file.
    pub path: String,
    /// For a .mat file, which value in it.
    pub select: Option<String>,
}

fn first() -> u32 {
    1
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or a field is missing, unknown or of the wrong type.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        toml::from_str(&text).map_err(|error| {
            Error::invalid(path, mused_formats::plain(error).trim_end().to_owned())
        })
    }
}

impl StimuliTable {
    /// Ids of the stimuli, in order.
    ///
    /// # Errors
    /// The message names the field at fault.
    pub(super) fn ids(&self) -> std::result::Result<Vec<String>, String> {
        match (&self.ids, self.count, &self.id) {
            (Some(ids), None, None) => {
                if ids.is_empty() {
                    return Err("stimuli.ids: expected at least one, found none".to_owned());
                }
                Ok(ids.clone())
            }
            (None, Some(count), Some(pattern)) => {
                if !(1..=MAX_STIMULI).contains(&count) {
                    return Err(format!(
                        "stimuli.count: expected from 1 to {MAX_STIMULI}, found {count}"
                    ));
                }
                numbered(pattern, count)
            }
            _ => Err("stimuli: expected either count and id, or ids".to_owned()),
        }
    }
}

fn numbered(pattern: &str, count: usize) -> std::result::Result<Vec<String>, String> {
    let problem =
        || format!("stimuli.id: expected one {{index}} or {{index:03}} in it, found {pattern:?}");
    let (before, rest) = pattern.split_once("{index").ok_or_else(problem)?;
    let (format, after) = rest.split_once('}').ok_or_else(problem)?;
    let width: usize = match format.strip_prefix(":0") {
        Some(digits) => digits
            .parse()
            .ok()
            .filter(|w| *w <= 9)
            .ok_or_else(problem)?,
        None if format.is_empty() => 0,
        None => return Err(problem()),
    };
    if before.contains(['{', '}']) || after.contains(['{', '}']) {
        return Err(problem());
    }
    Ok((1..=count)
        .map(|index| format!("{before}{index:0width$}{after}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn ids_are_numbered_from_one() {
        assert_eq!(numbered("clip{index:02}", 2).unwrap(), ["clip01", "clip02"]);
        assert_eq!(numbered("{index}x", 2).unwrap(), ["1x", "2x"]);
        for wrong in [
            "clip",
            "{index",
            "{index:2}",
            "{index:0x}",
            "{index}{index}",
            "{{index}}",
        ] {
            assert!(numbered(wrong, 2).is_err(), "{wrong}");
        }
    }
}
