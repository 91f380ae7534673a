//! Labels from keyword lists or from a matrix of zeros and ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ndarray::{Array2, Axis, Ix2};

use super::manifest::LabelsTable;
use crate::import::data_folder::DataFolder;
use crate::{Error, Labels, Result};

/// Reads the labels of `stimuli` stimuli; `manifest` is the file errors about the table name.
pub(super) fn read(
    table: &LabelsTable,
    stimuli: usize,
    data: &mut DataFolder,
    manifest: &Path,
) -> Result<Labels> {
    let (labels, field) = match (&table.words, &table.matrix) {
        (Some(files), None) => {
            let only_matrix = table.select.is_some() || table.names.is_some();
            if only_matrix || table.names_select.is_some() {
                let message = "labels: select, names and names_select go with matrix, not words";
                return Err(Error::invalid(manifest, message));
            }
            (
                from_words(table, files, stimuli, data, manifest)?,
                "labels.words",
            )
        }
        (None, Some(file)) => {
            if table.minimum_stimuli.is_some() {
                let message = "labels: minimum_stimuli goes with words, not matrix";
                return Err(Error::invalid(manifest, message));
            }
            (
                from_matrix(table, file, stimuli, data, manifest)?,
                "labels.matrix",
            )
        }
        _ => {
            return Err(Error::invalid(
                manifest,
                "labels: expected either words or matrix",
            ));
        }
    };
    if labels.names.is_empty() {
        return Err(Error::invalid(
            manifest,
            format!("{field}: expected labels, none are left"),
        ));
    }
    Ok(labels)
}

/// An excluded name that does not exist is a misspelling of one that would stay.
fn check_excluded<'a>(
    table: &LabelsTable,
    manifest: &Path,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<()> {
    match table
        .exclude
        .iter()
        .find(|name| !known.clone().any(|known| known == *name))
    {
        None => Ok(()),
        Some(name) => Err(Error::invalid(
            manifest,
            format!("labels.exclude: expected names that occur, found {name:?}, which does not"),
        )),
    }
}

fn from_words(
    table: &LabelsTable,
    files: &[String],
    stimuli: usize,
    data: &DataFolder,
    manifest: &Path,
) -> Result<Labels> {
    let mut having: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for file in files {
        let text = data.text(file)?;
        let lines = text.lines().count();
        if lines != stimuli {
            return Err(Error::invalid(
                data.path(file)?,
                format!("expected a line for each of the {stimuli} stimuli, found {lines} lines"),
            ));
        }
        for (stimulus, line) in text.lines().enumerate() {
            for word in line
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty())
            {
                having.entry(word.to_owned()).or_default().insert(stimulus);
            }
        }
    }
    check_excluded(table, manifest, having.keys().map(String::as_str))?;
    let minimum = table.minimum_stimuli.unwrap_or(1);
    having.retain(|word, stimuli| stimuli.len() >= minimum && !table.exclude.contains(word));
    // The map is sorted by name and the sort is stable.
    let mut words: Vec<(String, BTreeSet<usize>)> = having.into_iter().collect();
    words.sort_by_key(|(_, stimuli)| std::cmp::Reverse(stimuli.len()));
    let matrix = Array2::from_shape_fn((stimuli, words.len()), |(stimulus, word)| {
        u8::from(words[word].1.contains(&stimulus))
    });
    Ok(Labels {
        names: words.into_iter().map(|(word, _)| word).collect(),
        matrix,
    })
}

fn from_matrix(
    table: &LabelsTable,
    file: &str,
    stimuli: usize,
    data: &mut DataFolder,
    manifest: &Path,
) -> Result<Labels> {
    let names = match (&table.names, &table.names_select) {
        (Some(names), None) => names.clone(),
        (None, Some(select)) => data.strings(file, select)?,
        _ => {
            return Err(Error::invalid(
                manifest,
                "labels: expected either names or names_select",
            ));
        }
    };
    let array = data.array(file, table.select.as_deref())?;
    let path = data.path(file)?;
    let shape = array.shape().to_vec();
    let matrix = match array.into_dimensionality::<Ix2>() {
        Ok(matrix) if matrix.dim() == (stimuli, names.len()) => matrix,
        _ => {
            let expected = format!("expected {stimuli} stimuli × {} names", names.len());
            return Err(Error::invalid(
                path,
                format!("{expected}, found shape {shape:?}"),
            ));
        }
    };
    if let Some(((row, column), value)) = matrix
        .indexed_iter()
        .find(|(_, value)| **value != 0.0 && **value != 1.0)
    {
        return Err(Error::invalid(
            path,
            format!("expected 0 or 1, found {value} in row {row}, column {column}"),
        ));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(Error::invalid(
            path,
            format!("label {twice:?} occurs twice"),
        ));
    }
    check_excluded(table, manifest, names.iter().map(String::as_str))?;
    let kept: Vec<usize> = (0..names.len())
        .filter(|&column| !table.exclude.contains(&names[column]))
        .collect();
    let matrix = matrix
        .select(Axis(1), &kept)
        .mapv(|value| u8::from(value == 1.0));
    Ok(Labels {
        names: kept
            .into_iter()
            .map(|column| names[column].clone())
            .collect(),
        matrix,
    })
}
