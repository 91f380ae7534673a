use std::path::Path;

use mused_data::{Dataset, map};
use mused_formats::npy;
use mused_formats::table::TableWriter;
use mused_formats::{make_folder, replace_file};
use ndarray::Array1;
use serde::Serialize;

use super::attention::AttentionRow;
use super::parts::Parts;
use super::rows::TestRows;
use super::tokens::FoldTokens;
use super::{PartDrop, ScoreDrop};
use crate::{Error, Result};

/// The content of `explain.json`.
#[derive(Serialize)]
pub(super) struct Description<'a> {
    pub(super) schema: &'static str,
    pub(super) fold: usize,
    pub(super) levels: Vec<&'static str>,
    pub(super) parts: Vec<String>,
    pub(super) part_kind: &'static str,
    /// Of the matrices, in the fold.
    pub(super) stimuli: usize,
    /// Over which correlations are averaged, and their stimuli together.
    pub(super) folds: usize,
    pub(super) all_stimuli: usize,
    pub(super) notes: &'a [String],
}

impl Description<'_> {
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("explain.json");
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::invalid(&path, error.to_string()))?;
        Ok(replace_file(&path, text.as_bytes())?)
    }
}

pub(super) fn create(folder: &Path) -> Result<()> {
    make_folder(folder).map_err(Error::io("cannot create", folder))
}

/// A cell; empty where there is no number.
pub(super) fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.6}"))
}

/// `tokens.tsv` and an array a level.
pub(super) fn tokens(
    folder: &Path,
    dataset: &Dataset,
    rows: &TestRows,
    fold: usize,
    tokens: &FoldTokens,
) -> Result<()> {
    let shown = tokens.shown(rows);
    for level in tokens.levels()? {
        if let Some(values) = level.select(&shown) {
            let path = folder.join(format!("tokens_{}.npy", level.level));
            npy::write_npy_f32(path, values.view())?;
        }
    }
    let mut table = TableWriter::create(
        folder.join("tokens.tsv"),
        &["fold", "subject", "stimulus_id"],
    )?;
    for &row in &shown {
        let sample = &rows.samples[row];
        table.write_row([
            fold.to_string().as_str(),
            &dataset.subjects[sample.subject].id,
            &dataset.stimuli[sample.stimulus].id,
        ])?;
    }
    Ok(table.finish()?)
}

/// `attention.tsv`.
pub(super) fn attention(
    folder: &Path,
    dataset: &Dataset,
    parts: &[String],
    rows: &[AttentionRow],
) -> Result<()> {
    let columns = ["subject", "level", "part", "weight", "sd"];
    let mut table = TableWriter::create(folder.join("attention.tsv"), &columns)?;
    for row in rows {
        table.write_row([
            dataset.subjects[row.subject].id.as_str(),
            row.level,
            &parts[row.part],
            &number(Some(row.weight)),
            &number(row.sd),
        ])?;
    }
    Ok(table.finish()?)
}

/// `occlusion.tsv`: of each part, the mean over `subjects` and each of them.
pub(super) fn occlusion(
    folder: &Path,
    dataset: &Dataset,
    subjects: &[usize],
    drops: &[PartDrop],
) -> Result<()> {
    let mut table = TableWriter::create(
        folder.join("occlusion.tsv"),
        &[
            "part",
            "subject",
            "average_precision",
            "roc_auc",
            "ap_low",
            "ap_high",
            "auc_low",
            "auc_high",
        ],
    )?;
    for drop in drops {
        let end = |score: &ScoreDrop, end: usize| number(score.interval.map(|ends| ends[end]));
        let (precision, auc) = (&drop.average_precision, &drop.roc_auc);
        table.write_row([
            drop.part.as_str(),
            "",
            &number(precision.mean),
            &number(auc.mean),
            &end(precision, 0),
            &end(precision, 1),
            &end(auc, 0),
            &end(auc, 1),
        ])?;
        for (place, &subject) in subjects.iter().enumerate() {
            let of = |score: &ScoreDrop| number(score.per_subject.get(place).copied().flatten());
            table.write_row([
                drop.part.as_str(),
                &dataset.subjects[subject].id,
                &of(precision),
                &of(auc),
                "",
                "",
                "",
                "",
            ])?;
        }
    }
    Ok(table.finish()?)
}

/// `occlusion_labels.tsv` or `unique_labels.tsv`: what each label loses without each part.
pub(super) fn labels(path: &Path, dataset: &Dataset, drops: &[PartDrop]) -> Result<()> {
    let columns = ["label", "part", "roc_auc", "auc_low", "auc_high"];
    let mut table = TableWriter::create(path, &columns)?;
    for (label, name) in dataset.labels.names.iter().enumerate() {
        for drop in drops {
            let [low, mean, high] = match drop.labels.get(label).copied().flatten() {
                Some(ends) => ends.map(Some),
                None => [None; 3],
            };
            table.write_row([
                name.as_str(),
                &drop.part,
                &number(mean),
                &number(low),
                &number(high),
            ])?;
        }
    }
    Ok(table.finish()?)
}

/// `importance/SUBJECT.npy`: the drop in average precision of each voxel's part. Gives the subjects that have one.
pub(super) fn importance(
    folder: &Path,
    dataset: &Dataset,
    subjects: &[usize],
    parts: &Parts,
    drops: &[PartDrop],
) -> Result<Vec<String>> {
    let folder = folder.join("importance");
    let mut written = Vec::new();
    for (place, &subject) in subjects.iter().enumerate() {
        let person = &dataset.subjects[subject];
        let placed = person.voxels.iter().all(|voxel| voxel.coordinate.is_some());
        if !placed && map::image(person)?.is_none() {
            continue;
        }
        let of_part = |part: usize| {
            let drop = drops.get(part)?;
            drop.average_precision.per_subject.get(place).copied()?
        };
        let scored = (0..drops.len()).any(|part| of_part(part).is_some());
        if !scored {
            continue;
        }
        let values: Array1<f32> = person
            .voxels
            .iter()
            .map(|voxel| parts.of_voxel(voxel).and_then(of_part).unwrap_or(0.0) as f32)
            .collect();
        create(&folder)?;
        npy::write_npy_f32(folder.join(format!("{}.npy", person.id)), values.view())?;
        written.push(person.id.clone());
    }
    Ok(written)
}
