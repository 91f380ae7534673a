//! The folders `retrieval/` and `words/` of a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mused_data::Dataset;
use mused_formats::table::TableWriter;
use mused_formats::{make_folder, npy, replace_folder};
use mused_stats::retrieval::Response;
use mused_train::FoldPoints;
use ndarray::{Array2, Axis, concatenate};

use super::gallery::Gallery;
use super::lookup::{Nearest, Shelf};
use super::{Error, Result};

/// Writes a folder beside its place and puts it there once it is whole.
pub(super) fn replaced(folder: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder.with_file_name(format!(".{name}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(Error::io("cannot remove", &partial))?;
    }
    make_folder(&partial).map_err(Error::io("cannot create", &partial))?;
    write(&partial)?;
    Ok(replace_folder(&partial, folder)?)
}

/// What is written of a retrieval.
pub(super) struct Written<'w> {
    pub(super) dataset: &'w Dataset,
    pub(super) gallery: &'w Gallery,
    pub(super) decoded: &'w [FoldPoints],
    pub(super) shelves: &'w [(Shelf, Vec<Vec<Nearest>>)],
    pub(super) responses: &'w [Response],
    pub(super) ridge: &'w [Response],
    pub(super) subjects: &'w BTreeMap<usize, String>,
}

impl Written<'_> {
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        self.responses(folder)?;
        self.nearest(folder)?;
        self.gallery(folder)?;
        let all = |of: fn(&FoldPoints) -> &Array2<f32>| {
            let directions = self
                .decoded
                .iter()
                .map(|points| points.space.directions(of(points).view()));
            let directions: Vec<Array2<f32>> = directions.collect();
            let views: Vec<_> = directions.iter().map(|rows| rows.view()).collect();
            concatenate(Axis(0), &views).map_err(|error| Error::Request(error.to_string()))
        };
        let (points, ridge) = (all(|points| &points.points)?, all(|points| &points.own)?);
        npy::write_npy_f32(folder.join("points.npy"), points.view())?;
        npy::write_npy_f32(folder.join("points_ridge.npy"), ridge.view())?;
        Ok(())
    }

    fn responses(&self, folder: &Path) -> Result<()> {
        let mut table = TableWriter::create(
            folder.join("responses.tsv"),
            &[
                "fold",
                "subject",
                "stimulus_id",
                "trial",
                "rank",
                "items",
                "pairwise",
                "rank_ridge",
                "near_duplicates",
                "trained",
            ],
        )?;
        let rows = self.decoded.iter().flat_map(|points| {
            let fold = points.fold;
            points.rows.iter().map(move |row| (fold, row))
        });
        for ((fold, row), (found, ridge)) in rows.zip(self.responses.iter().zip(self.ridge)) {
            let shelf = &self.shelves[found.pool].0;
            let place = found.place;
            table.write_row([
                fold.to_string(),
                self.subjects.get(&row.subject).cloned().unwrap_or_default(),
                self.dataset.stimuli[row.stimulus].id.clone(),
                row.trial
                    .map_or("n/a".to_owned(), |trial| trial.to_string()),
                place.rank().to_string(),
                (place.others + 1).to_string(),
                format!("{:.6}", place.pairwise()),
                ridge.place.rank().to_string(),
                shelf.duplicates[found.stimulus].len().to_string(),
                u8::from(shelf.seen[found.stimulus]).to_string(),
            ])?;
        }
        Ok(table.finish()?)
    }

    fn nearest(&self, folder: &Path) -> Result<()> {
        let mut table = TableWriter::create(
            folder.join("nearest.tsv"),
            &[
                "response",
                "place",
                "item",
                "name",
                "cosine",
                "trained",
                "near_duplicate",
            ],
        )?;
        let mut responses = self.responses.iter();
        let mut number = 0;
        for (shelf, nearest) in self.shelves {
            for (found, response) in nearest.iter().zip(&mut responses) {
                for (place, near) in found.iter().enumerate() {
                    let item = shelf.items[near.item];
                    let copy = shelf.duplicates[response.stimulus].contains(&near.item);
                    table.write_row([
                        number.to_string(),
                        (place + 1).to_string(),
                        item.to_string(),
                        self.name(item).to_owned(),
                        format!("{:.6}", near.cosine),
                        u8::from(shelf.seen[near.item]).to_string(),
                        u8::from(copy).to_string(),
                    ])?;
                }
                number += 1;
            }
        }
        Ok(table.finish()?)
    }

    /// Every item that is in the gallery of some fold: its number in `nearest.tsv`, and in which folds it was trained on.
    fn gallery(&self, folder: &Path) -> Result<()> {
        let mut folds: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (points, (shelf, _)) in self.decoded.iter().zip(self.shelves) {
            for (&item, &seen) in shelf.items.iter().zip(&shelf.seen) {
                let trained = folds.entry(item).or_default();
                if seen {
                    trained.push(points.fold.to_string());
                }
            }
        }
        let mut table = TableWriter::create(
            folder.join("gallery.tsv"),
            &["item", "name", "file", "trained_in_folds"],
        )?;
        for (item, trained) in folds {
            let other = item.checked_sub(self.dataset.stimuli.len());
            let file = match other {
                None => self.dataset.stimuli[item].file.clone(),
                Some(other) => self.gallery.others[other]
                    .file
                    .as_ref()
                    .map(|file| file.display().to_string()),
            };
            table.write_row([
                item.to_string(),
                self.name(item).to_owned(),
                file.unwrap_or_else(|| "n/a".to_owned()),
                match trained.is_empty() {
                    true => "n/a".to_owned(),
                    false => trained.join(","),
                },
            ])?;
        }
        Ok(table.finish()?)
    }

    fn name(&self, item: usize) -> &str {
        match self.dataset.stimuli.get(item) {
            Some(stimulus) => &stimulus.id,
            None => &self.gallery.others[item - self.dataset.stimuli.len()].name,
        }
    }
}
