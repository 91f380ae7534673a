use std::collections::HashMap;

use mused_data::Dataset;
use mused_stats::pca::Pca;
use mused_stats::tsne::tsne;
use ndarray::Array2;

use crate::figure::{By, Figure};
use crate::figures::{Projection, TokenMap, token_map};
use crate::input::{Explain, Part, TokenRow};
use crate::sections::Input;

/// The tokens of a level coloured by subject and, where the labels are known, by label.
pub(super) fn figures(input: &Input<'_>, explain: &Explain, level: &str) -> Part<Vec<Figure>> {
    let tokens = explain.tokens(level)?.mapv(f64::from);
    let (points, projection) = match input.tsne {
        true => (
            tsne(tokens.view()).map_err(|error| error.to_string())?,
            Projection::Tsne,
        ),
        false => principal(&tokens)?,
    };
    let rows = &explain.token_rows;
    let map = TokenMap {
        level,
        points,
        projection,
        subject_of: subject_of(rows, input.subjects)?,
        subjects: input.subjects,
        stimuli: rows.iter().map(|row| row.stimulus.as_str()).collect(),
        with_label: match input.files.dataset() {
            Some(dataset) => with_label(rows, dataset, input.labels.len()),
            None => Vec::new(),
        },
    };
    let by_label = match map.with_label.is_empty() {
        true => None,
        false => token_map(&map, By::Label),
    };
    let by_subject = token_map(&map, By::Subject);
    Ok([by_subject, by_label].into_iter().flatten().collect())
}

fn principal(tokens: &Array2<f64>) -> Part<(Array2<f64>, Projection)> {
    let fitted = Pca::fit(tokens.view(), 2).map_err(|error| error.to_string())?;
    if fitted.components.nrows() < 2 {
        return Err("the tokens span fewer than two directions".to_owned());
    }
    let centred = tokens - &fitted.mean;
    let points = centred.dot(&fitted.components.t());
    let whole = centred.mapv(|value| value * value).sum() / (tokens.nrows().max(2) - 1) as f64;
    let shares = [0, 1].map(|direction| fitted.variances[direction] / whole);
    Ok((points, Projection::PrincipalComponents(shares)))
}

fn subject_of(rows: &[TokenRow], subjects: &[String]) -> Part<Vec<usize>> {
    let place = |row: &TokenRow| subjects.iter().position(|name| *name == row.subject);
    let places: Option<Vec<usize>> = rows.iter().map(place).collect();
    places.ok_or_else(|| "explain/tokens.tsv names a subject that was not tested".to_owned())
}

/// Samples that have each label.
fn with_label(rows: &[TokenRow], dataset: &Dataset, labels: usize) -> Vec<Vec<usize>> {
    let stimuli = dataset.stimuli.iter();
    let places: HashMap<&str, usize> = stimuli
        .map(|stimulus| stimulus.id.as_str())
        .zip(0..)
        .collect();
    let of: Vec<Option<usize>> = rows
        .iter()
        .map(|row| places.get(row.stimulus.as_str()).copied())
        .collect();
    let has = |sample: usize, label: usize| {
        of[sample].is_some_and(|stimulus| dataset.labels.matrix[[stimulus, label]] == 1)
    };
    (0..labels.min(dataset.labels.names.len()))
        .map(|label| (0..of.len()).filter(|&sample| has(sample, label)).collect())
        .collect()
}
