//! Labels from `WordNetFeatures.hdf5`: a matrix seconds × labels a run, and the names `synsets`.

use std::path::Path;

use mused_formats::hdf5::{DataType, File};
use ndarray::{Array2, Ix2};

use super::clips::{MOVIES, Movie, Second};
use crate::import::checks::{Check, Findings};
use crate::read::read_text;
use crate::{Error, Labels, Result};

/// Dataset with the names.
const NAMES: &str = "synsets";

/// Labels of `seconds`. Kept are those that at least the part `frequency` of the training seconds have.
pub(super) fn read(
    path: &Path,
    names: Option<&Path>,
    seconds: &[Second],
    frequency: f64,
    findings: &mut Findings,
) -> Result<Labels> {
    let file = File::open(path)?;
    let mut movies = Vec::new();
    for movie in &MOVIES {
        let matrix = matrix(path, &file, movie, findings)?;
        let expected = movies.first().map_or(matrix.ncols(), Array2::ncols);
        if matrix.ncols() != expected {
            let found = matrix.ncols();
            let message = format!(
                "{}: expected {expected} labels, as {} has, found {found}",
                movie.name, MOVIES[0].name
            );
            return Err(Error::invalid(path, message));
        }
        movies.push(matrix);
    }
    let has = |second: &Second, label: usize| movies[second.movie][[second.second, label]] > 0.0;
    let training: Vec<&Second> = seconds.iter().filter(|second| !second.is_test()).collect();
    let all = movies.first().map_or(0, Array2::ncols);
    let kept: Vec<usize> = (0..all)
        .filter(|label| {
            let count = training.iter().filter(|second| has(second, *label)).count();
            count > 0 && count as f64 / training.len() as f64 >= frequency
        })
        .collect();
    if kept.is_empty() {
        let message = format!(
            "expected labels that {frequency} of the training seconds have, found none of {all}: \
             choose a lower frequency"
        );
        return Err(Error::invalid(path, message));
    }
    let names = self::names(path, &file, names, all)?;
    let matrix = Array2::from_shape_fn((seconds.len(), kept.len()), |(row, column)| {
        u8::from(has(&seconds[row], kept[column]))
    });
    Ok(Labels {
        names: kept.iter().map(|label| names[*label].clone()).collect(),
        matrix,
    })
}

/// The matrix of a movie: the dataset of its name, or the only one with two dimensions that begins
/// with its number, as `MOVIE1`.
fn matrix(path: &Path, file: &File, movie: &Movie, findings: &mut Findings) -> Result<Array2<f32>> {
    let (number, _) = movie.name.split_once('_').unwrap_or((movie.name, ""));
    let keys = file.keys("/")?;
    let mut like = Vec::new();
    for key in keys
        .iter()
        .filter(|key| key.to_uppercase().starts_with(number))
    {
        if !file.is_group(key) && file.dataset(key)?.shape().len() == 2 {
            like.push(key.as_str());
        }
    }
    let key = match like.as_slice() {
        keys if keys.contains(&movie.name) => movie.name,
        [key] => key,
        _ => {
            let message = format!(
                "expected a dataset {} of seconds × labels, found {}",
                movie.name,
                keys.join(", ")
            );
            return Err(Error::invalid(path, message));
        }
    };
    let values = file.dataset(key)?.read_f32()?;
    let values = values.into_dimensionality::<Ix2>().map_err(|error| {
        Error::invalid(path, format!("{key}: expected two dimensions: {error}"))
    })?;
    let (rows, last) = (values.nrows(), movie.last_second());
    if rows <= last {
        let message = format!(
            "{key}: expected a row for each of the {} seconds of the run, or up to second {last}, \
             found {rows} rows",
            movie.seconds
        );
        return Err(Error::invalid(path, message));
    }
    if rows != movie.seconds {
        let message = format!(
            "{}, {key}: expected a row for each of the {} seconds of the run, found {rows}",
            path.display(),
            movie.seconds
        );
        findings.report(Check::RunLength, message)?;
    }
    let wrong = values
        .indexed_iter()
        .find(|(_, value)| !(0.0..).contains(*value));
    match wrong {
        None => Ok(values),
        Some(((row, column), value)) => Err(Error::invalid(
            path,
            format!(
                "{key}: expected 0 or more (0 = no), found {value} in row {row}, column {column}"
            ),
        )),
    }
}

/// Names of all labels: those of a text file, of the dataset `synsets`, or numbers.
fn names(path: &Path, file: &File, own: Option<&Path>, count: usize) -> Result<Vec<String>> {
    let (place, names) = match own {
        Some(own) => {
            let text = read_text(own)?;
            (
                own,
                text.lines()
                    .map(|line| line.trim().to_owned())
                    .collect::<Vec<_>>(),
            )
        }
        None if file.keys("/")?.iter().any(|key| key == NAMES) => {
            let dataset = file.dataset(NAMES)?;
            if *dataset.dtype() != DataType::Text {
                let found = dataset.dtype();
                let message = format!(
                    "{NAMES}: expected the labels' names as text, found {found}: give --label-names"
                );
                return Err(Error::invalid(path, message));
            }
            (path, dataset.strings()?)
        }
        None => {
            let numbered = (1..=count).map(|number| format!("wordnet_{number:04}"));
            (path, numbered.collect())
        }
    };
    if names.len() != count {
        let found = names.len();
        let message = format!("expected a name for each of the {count} labels, found {found}");
        return Err(Error::invalid(place, message));
    }
    let mut seen = std::collections::HashSet::new();
    match names
        .iter()
        .find(|name| name.is_empty() || !seen.insert(*name))
    {
        None => Ok(names),
        Some(name) => {
            let message = format!("expected names that differ, found {name:?} twice or none");
            Err(Error::invalid(place, message))
        }
    }
}
