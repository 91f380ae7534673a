//! Imports arrays and tables that a few lines of Python write: `mused import npy DIR OUT`.
//!
//! [`FILES`] says which.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use mused_formats::nifti::Nifti;
use mused_formats::npy::{self, Dtype, Header, NpyMatrix};
use mused_formats::table::Table;
use ndarray::Array2;

use super::checks::{Check, Findings, MOST_LOST, VoxelFlaws};
use super::driver::{
    self, Plan, Recipe, Responses, SourceFile, Space, SubjectPlan, Work, copied_rows,
};
use super::{count_repeats, name_of};
use crate::checks::check_names;
use crate::read::{
    LABEL_COLUMNS, Unread, VOXEL_COLUMNS, matrix, misspells, read_stimuli, read_table, read_trials,
    read_voxels, unique,
};
use crate::{Description, Error, Grid, Imported, Kind, Labels, Response, Result, Trial, Voxel};

/// The files and their columns.
pub const FILES: &str = "\
Files of FOLDER (tables: tab-separated, with a head line):
  stimuli.tsv            stimulus_id; optional: group (clip, scene or run: stays whole in splits),
                         split (train or test), file (picture or film), frame, caption
  labels.tsv             stimulus_id and a column of 0 and 1 for every label; or
  labels.tsv labels.npy  the column label, and stimuli × labels, 0 or 1 of any number type
  captions.tsv           optional: stimulus_id, caption; several rows a stimulus
  SUBJECT.npy            trials × voxels, float16, float32 or float64
  SUBJECT_trials.tsv     stimulus_id of each row; optional: session, run, onset, repeat
  SUBJECT_voxels.tsv     optional: roi of each column; i j k, its place on the grid of
  SUBJECT_mask.nii.gz    optional (or .nii): an image on the subject's grid, so that maps can be written";

/// Region of voxels that no table assigns to one.
const WHOLE: &str = "brain";
/// End the name of an image on the grid of a subject's voxels.
const MASKS: [&str; 2] = ["_mask.nii.gz", "_mask.nii"];
/// Tables of the whole dataset.
const TABLES: [&str; 4] = ["stimuli.tsv", "captions.tsv", "labels.tsv", "labels.npy"];
/// Ends of the names of a subject's tables.
const OWN_TABLES: [&str; 2] = ["_trials.tsv", "_voxels.tsv"];

/// What to write, for those who have nothing yet.
const EXPECTED: &str = r#"stimuli.tsv, labels.tsv, and <subject>.npy with <subject>_trials.tsv for each subject, as from
    import numpy as np, pandas as pd
    pd.DataFrame({"stimulus_id": ids, "group": groups}).to_csv("stimuli.tsv", sep="\t", index=False)
    pd.DataFrame(labels, index=ids, columns=names).to_csv("labels.tsv", sep="\t", index_label="stimulus_id")
    pd.DataFrame({"stimulus_id": shown}).to_csv("anna_trials.tsv", sep="\t", index=False)
    np.save("anna.npy", betas.astype("float32"))  # trials × voxels"#;

/// What the files themselves do not say.
#[derive(Clone, Debug, Default)]
pub struct NpyConfig {
    /// Name of the dataset; the folder's where `None`.
    pub name: Option<String>,
    /// Licence of the data.
    pub licence: Option<String>,
    /// How to cite the data.
    pub citation: Option<String>,
    /// Checks that become warnings.
    pub allow: Vec<Check>,
}

/// Makes a dataset directory at `out` of the files in `folder`. `progress` is told how many of how
/// many subjects are done.
///
/// float16 and float32 arrays in C order are read a row at a time, others are held in memory.
///
/// # Errors
/// Names the file, what was expected and what was found. Nothing is left at `out` then.
pub fn import(
    folder: &Path,
    out: &Path,
    config: &NpyConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported> {
    let names = match folder.is_dir() {
        true => files(folder)?,
        false => BTreeSet::new(),
    };
    if !names.iter().any(|name| is_array_or_table(name)) {
        let found = match folder.is_dir() {
            true => "neither .npy nor .tsv",
            false => "no such folder",
        };
        return Err(Error::invalid(
            folder,
            format!("expected {EXPECTED}\nfound {found}"),
        ));
    }
    let mut findings = Findings::new(&config.allow);
    let mut unread = Unread::new();
    let subjects = subjects(folder, &names)?;
    let own = own_files(folder, &subjects, &names, &mut unread)?;
    for table in ["stimuli.tsv", "labels.tsv"] {
        if !names.contains(table) {
            let message = format!("expected {EXPECTED}\nfound no {table}");
            return Err(Error::invalid(folder, message));
        }
    }
    let stimuli = read_stimuli(folder, &mut unread)?;
    let shown: Vec<String> = stimuli.iter().map(|stimulus| stimulus.id.clone()).collect();
    let index: HashMap<&str, usize> = shown.iter().map(String::as_str).zip(0..).collect();
    let labels = read_labels(folder, &index, &mut unread)?;
    let mut plan = Plan::new(describe(folder, config), stimuli, labels);
    for id in subjects {
        let trials = trials(folder, &id, &index, &mut unread)?;
        let voxels = folder.join(format!("{id}_voxels.tsv"));
        if voxels.exists() {
            read_table(&voxels, &VOXEL_COLUMNS, &mut unread)?;
        }
        let runs: BTreeSet<_> = trials.iter().map(|t| (t.session, t.run)).collect();
        plan.subjects.push(SubjectPlan {
            id,
            recordings: runs.len(),
            steps: 1,
            trials,
            sources: Vec::new(),
            own: (),
        });
    }
    findings.warnings.extend(unread);
    let files = own.into_iter().map(|name| SourceFile {
        path: folder.join(&name),
        name,
    });
    plan.sources = files.collect();
    let npy = Npy { folder, index };
    driver::import(out, config, npy, plan, findings, progress)
}

fn describe(folder: &Path, config: &NpyConfig) -> Description {
    let name = config.name.clone().unwrap_or_else(|| name_of(folder));
    let mut description = Description::new(name, Kind::Roi, Response::Voxels);
    description.licence.clone_from(&config.licence);
    description.citation.clone_from(&config.citation);
    description
}

struct Npy<'r> {
    folder: &'r Path,
    index: HashMap<&'r str, usize>,
}

impl Recipe for Npy<'_> {
    type Subject = ();

    fn responses<'r>(
        &'r mut self,
        subject: &'r SubjectPlan<()>,
        work: &mut Work<'_>,
    ) -> Result<Responses<'r>> {
        work.progress.at(0);
        let SubjectPlan { id, trials, .. } = subject;
        let path = self.folder.join(format!("{id}.npy"));
        let (copy, dtype, shape) = read_array(&path)?;
        let table = voxels(self.folder, id, &self.index)?;
        let columns = table.as_ref().map_or(shape[1], Vec::len);
        if shape != [trials.len(), columns] {
            let expected = match &table {
                Some(_) => format!(" × {columns} columns ({id}_voxels.tsv)"),
                None => ", one a trial".to_owned(),
            };
            let turned = shape[1] == trials.len() && (table.is_none() || shape[0] == columns);
            let hint = match turned {
                true => ": voxels by trials, it seems; save array.T",
                false => "",
            };
            return Err(Error::invalid(
                path,
                format!(
                    "expected {} rows ({id}_trials.tsv){expected}, found {} × {}{hint}",
                    trials.len(),
                    shape[0],
                    shape[1]
                ),
            ));
        }
        let voxels = table.unwrap_or_else(|| {
            let voxel = Voxel {
                roi: WHOLE.to_owned(),
                coordinate: None,
                reference: None,
            };
            vec![voxel; columns]
        });
        let masks = MASKS.map(|end| self.folder.join(format!("{id}{end}")));
        let mask = masks.iter().find(|mask| mask.exists());
        Ok(Responses {
            voxels,
            flaws: flaws(&copy, shape)?,
            dtype,
            space: match mask {
                Some(mask) => Space::Volume(Grid::of(Nifti::open(mask)?.header())),
                None => Space::Unknown,
            },
            rows: copied_rows(shape, copy),
        })
    }
}

/// Names of the visible files, sorted. A link that leads nowhere is one: it is named when it is opened.
fn files(folder: &Path) -> Result<BTreeSet<String>> {
    let refused = || Error::io("cannot list", folder);
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(refused())? {
        let entry = entry.map_err(refused())?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if !name.is_empty() && !name.starts_with('.') && !entry.path().is_dir() {
            names.insert(name);
        }
    }
    Ok(names)
}

fn is_array_or_table(name: &str) -> bool {
    name.ends_with(".npy") || name.ends_with(".tsv")
}

/// Whoever has a table of trials.
fn subjects(folder: &Path, files: &BTreeSet<String>) -> Result<Vec<String>> {
    let subjects: Vec<String> = files
        .iter()
        .filter_map(|file| file.strip_suffix("_trials.tsv").map(str::to_owned))
        .collect();
    if subjects.is_empty() {
        let found = files.iter().filter(|name| is_array_or_table(name));
        let found = found.cloned().collect::<Vec<_>>().join(", ");
        let expected = "expected <subject>.npy and <subject>_trials.tsv for each subject";
        return Err(Error::invalid(folder, format!("{expected}, found {found}")));
    }
    for subject in &subjects {
        let array = format!("{subject}.npy");
        if !files.contains(&array) {
            let message = format!("expected {array} beside {subject}_trials.tsv, found none");
            return Err(Error::invalid(folder, message));
        }
    }
    Ok(subjects)
}

/// The files that are read. Another that was meant to be one of them is refused, or it would be missing without a word;
/// further arrays and tables are added to `unread`.
fn own_files(
    folder: &Path,
    subjects: &[String],
    files: &BTreeSet<String>,
    unread: &mut Unread,
) -> Result<BTreeSet<String>> {
    let ends = || [".npy"].into_iter().chain(OWN_TABLES).chain(MASKS);
    let own = subjects.iter();
    let own = own.flat_map(|subject| ends().map(move |end| format!("{subject}{end}")));
    let known: BTreeSet<String> = TABLES.map(str::to_owned).into_iter().chain(own).collect();
    for stray in files.difference(&known) {
        let misspelt = |known: &&String| {
            let alike = is_array_or_table(stray) && misspells(stray, known);
            alike && !files.contains(*known)
        };
        let meant = table_meant(stray).or_else(|| known.iter().find(misspelt).cloned());
        if let Some(meant) = meant.filter(|meant| !files.contains(meant)) {
            let message = format!(
                "expected {meant}, found this one: tables are separated by tabs (in pandas sep=\"\\t\") and arrays saved \
                 by np.save"
            );
            return Err(Error::invalid(folder.join(stray), message));
        }
        if OWN_TABLES
            .iter()
            .chain(&MASKS)
            .any(|end| stray.ends_with(end))
        {
            let message = format!(
                "expected a file of one of the subjects that have a _trials.tsv ({}), found this one",
                subjects.join(", ")
            );
            return Err(Error::invalid(folder.join(stray), message));
        }
        if is_array_or_table(stray) {
            let subject = stray.strip_suffix(".npy");
            let why = subject.map_or_else(String::new, |subject| {
                format!(": it has no {subject}_trials.tsv beside it")
            });
            unread.insert(format!("{stray} is not read{why}"));
        }
    }
    Ok(known.intersection(files).cloned().collect())
}

/// The table that a file of another format was meant to be.
fn table_meant(name: &str) -> Option<String> {
    const FORMATS: [&str; 5] = [".csv", ".txt", ".xlsx", ".tsv.gz", ".csv.gz"];
    let stem = FORMATS
        .iter()
        .find_map(|format| name.strip_suffix(format))?;
    let table = format!("{stem}.tsv");
    let is_own = OWN_TABLES.iter().any(|end| table.ends_with(end));
    (is_own || TABLES.contains(&table.as_str())).then_some(table)
}

/// A subject's trials; `repeat` is counted where the table has no such column.
fn trials(
    folder: &Path,
    subject: &str,
    index: &HashMap<&str, usize>,
    unread: &mut Unread,
) -> Result<Vec<Trial>> {
    let path = folder.join(format!("{subject}_trials.tsv"));
    let mut trials = read_trials(&path, index, unread)?;
    if Table::read(&path)?.optional_column("repeat").is_none() {
        count_repeats(&mut trials);
    }
    Ok(trials)
}

/// The table of a subject's voxels, where there is one.
fn voxels(
    folder: &Path,
    subject: &str,
    index: &HashMap<&str, usize>,
) -> Result<Option<Vec<Voxel>>> {
    let path = folder.join(format!("{subject}_voxels.tsv"));
    let read = || read_voxels(&path, Response::Voxels, index, &mut Unread::new());
    path.exists().then(read).transpose()
}

/// Copies the response of a trial, one value a voxel.
type CopyRow = Box<dyn Fn(usize, &mut [f32]) -> Result<()>>;

/// Responses, the type they are to be stored as, and their shape, trials × voxels.
fn read_array(path: &Path) -> Result<(CopyRow, Dtype, [usize; 2])> {
    // float16 or float32 in C order, read a row at a time.
    if let Ok(matrix) = NpyMatrix::open(path) {
        let (dtype, shape) = (matrix.dtype(), [matrix.rows(), matrix.columns()]);
        let copy = move |row: usize, out: &mut [f32]| Ok(matrix.read_row(row, out)?);
        return Ok((Box::new(copy), dtype, shape));
    }
    let bytes = mused_formats::read(path)?;
    let located = |error: mused_formats::Error| Error::invalid(path, error.to_string());
    let header = Header::parse(&bytes).map_err(located)?;
    let stored = match header.dtype {
        Dtype::F16 => Dtype::F16,
        Dtype::F32 | Dtype::F64 => Dtype::F32,
        other => {
            let expected = "expected float16, float32 or float64";
            return Err(Error::invalid(path, format!("{expected}, found {other}")));
        }
    };
    let array = matrix(path, npy::parse_f32(&bytes).map_err(located)?)?;
    if header.dtype == Dtype::F64 {
        let wide = matrix(path, npy::parse(&bytes).map_err(located)?)?;
        check_precision(path, &wide, &array)?;
    }
    let shape = array.dim().into();
    let copy = move |row: usize, out: &mut [f32]| {
        let values = out.iter_mut().zip(array.row(row));
        values.for_each(|(slot, value)| *slot = *value);
        Ok(())
    };
    Ok((Box::new(copy), stored, shape))
}

/// Single precision must hold what a voxel's responses differ by, not their common level alone.
///
/// Taking the level off here would change what is written of good data too: maps of means, patterns across voxels.
fn check_precision(path: &Path, wide: &Array2<f64>, narrow: &Array2<f32>) -> Result<()> {
    for (column, (wide, narrow)) in wide.columns().into_iter().zip(narrow.columns()).enumerate() {
        let (mean, sd) = (wide.mean().unwrap_or(0.0), wide.std(0.0));
        let lost = (&wide - &narrow.mapv(f64::from)).std(0.0);
        // A few units in the last place of double precision are a constant voxel, which has its own check.
        let varies = sd > 8.0 * f64::EPSILON * mean.abs();
        if varies && lost * lost > MOST_LOST * sd * sd {
            let message = format!(
                "expected responses that single precision can hold, found column {column} of mean {mean} and standard \
                 deviation {sd}, whose differences it rounds by {lost}: subtract each voxel's mean, or z-score, before \
                 the import"
            );
            return Err(Error::invalid(path, message));
        }
    }
    Ok(())
}

fn flaws(copy: &CopyRow, [trials, voxels]: [usize; 2]) -> Result<VoxelFlaws> {
    let mut flaws = VoxelFlaws::none(voxels);
    let mut first = vec![0.0; voxels];
    let mut row = vec![0.0; voxels];
    // One trial alone has no variation to look for.
    flaws.constant.fill(trials > 1);
    for trial in 0..trials {
        copy(trial, &mut row)?;
        if trial == 0 {
            first.copy_from_slice(&row);
        }
        for (voxel, value) in row.iter().enumerate() {
            flaws.nan[voxel] |= !value.is_finite();
            flaws.constant[voxel] &= *value == first[voxel];
        }
    }
    Ok(flaws)
}

fn read_labels(
    folder: &Path,
    stimuli: &HashMap<&str, usize>,
    unread: &mut Unread,
) -> Result<Labels> {
    let array = folder.join("labels.npy");
    let table_path = folder.join("labels.tsv");
    if !array.exists() {
        return wide_labels(&table_path, &Table::read(&table_path)?, stimuli);
    }
    let table = read_table(&table_path, &LABEL_COLUMNS, unread)?;
    let column = table.column("label")?;
    let names: Vec<String> = column.strings()?.into_iter().map(str::to_owned).collect();
    unique(column, names.iter().map(String::as_str))?;
    let values = matrix(&array, npy::read_npy(&array)?)?;
    if values.dim() != (stimuli.len(), names.len()) {
        return Err(Error::invalid(
            array,
            format!(
                "expected {} rows (stimuli.tsv) × {} columns (labels.tsv), found {} × {}",
                stimuli.len(),
                names.len(),
                values.nrows(),
                values.ncols()
            ),
        ));
    }
    let wrong = values
        .indexed_iter()
        .find(|(_, value)| **value != 0.0 && **value != 1.0);
    if let Some(((row, column), value)) = wrong {
        let place = format!("in row {row}, column {column}");
        return Err(Error::invalid(
            array,
            format!("expected 0 or 1, found {value} {place}"),
        ));
    }
    let matrix = values.mapv(|value| u8::from(value == 1.0));
    Ok(Labels { names, matrix })
}

/// What a cell of a label says, however it is spelt.
fn truth(cell: &str) -> Option<bool> {
    let cell = cell.trim();
    match cell.parse::<f64>() {
        Ok(number) => (number == 0.0 || number == 1.0).then_some(number == 1.0),
        Err(_) if cell.eq_ignore_ascii_case("true") => Some(true),
        Err(_) if cell.eq_ignore_ascii_case("false") => Some(false),
        Err(_) => None,
    }
}

/// A row for every stimulus, in any order, and a column for every label.
fn wide_labels(path: &Path, table: &Table, stimuli: &HashMap<&str, usize>) -> Result<Labels> {
    let ids = table.column("stimulus_id")?;
    let rows = ids.strings()?;
    unique(ids, rows.iter().copied())?;
    let mut places = Vec::with_capacity(rows.len());
    for (row, id) in rows.iter().enumerate() {
        let place = stimuli.get(id).copied();
        places.push(place.ok_or_else(|| ids.invalid(row, "a stimulus_id that stimuli.tsv lists"))?);
    }
    if places.len() != stimuli.len() {
        let message = format!(
            "expected a row for each of the {} stimuli of stimuli.tsv, found {}",
            stimuli.len(),
            places.len()
        );
        return Err(Error::invalid(path, message));
    }
    let names: Vec<String> = table
        .columns()
        .iter()
        .filter(|name| *name != "stimulus_id")
        .cloned()
        .collect();
    if names.is_empty() {
        let message = "expected a column for each label, or labels.npy beside it, found neither";
        return Err(Error::invalid(path, message));
    }
    check_names("name of a label", names.iter().map(String::as_str))
        .map_err(|error| Error::invalid(path, format!("header row: {error}")))?;
    let mut matrix = Array2::zeros((stimuli.len(), names.len()));
    for (label, name) in names.iter().enumerate() {
        let column = table.column(name)?;
        for ((row, cell), place) in column.cells().enumerate().zip(&places) {
            let value = cell.and_then(truth);
            let value = value.ok_or_else(|| column.invalid(row, "0 or 1, or true or false"))?;
            matrix[[*place, label]] = u8::from(value);
        }
    }
    Ok(Labels { names, matrix })
}
