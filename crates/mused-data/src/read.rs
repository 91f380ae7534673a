//! The tables and arrays of a dataset directory, each checked as it is read.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use mused_formats::npy::{self, NpyMatrix};
use mused_formats::table::{Column, Table};
use ndarray::{Array2, ArrayD, Ix2};

use crate::json::read_json;
use crate::{
    Description, Error, FeatureSet, Labels, Part, Response, Result, Stimulus, Subject, Trial, Voxel,
};

/// The text of a file, without its byte order mark.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = mused_formats::read(path)?;
    if let Some(other) = mused_formats::recognised(&bytes) {
        return Err(Error::invalid(
            path,
            format!("expected text, found {other}"),
        ));
    }
    let text = String::from_utf8(bytes);
    let text =
        text.map_err(|_| Error::invalid(path, "expected text in UTF-8, found other bytes"))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

pub(crate) fn matrix<T>(path: &Path, array: ArrayD<T>) -> Result<Array2<T>> {
    let shape = array.shape().to_vec();
    array.into_dimensionality::<Ix2>().map_err(|_| {
        Error::invalid(
            path,
            format!("expected a 2-dimensional array, found shape {shape:?}"),
        )
    })
}

/// Visible sub-folders by name; names starting with a dot are unfinished writes.
pub(crate) fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(parent).map_err(Error::io("cannot list", parent))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("cannot list", parent))?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() && !hidden {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn folder_name(folder: &Path) -> Result<String> {
    folder
        .file_name()
        .and_then(|name| name.to_str())
        .map(str::to_owned)
        .ok_or_else(|| Error::invalid(folder, "expected a folder name in UTF-8"))
}

pub(crate) fn unique<'a>(
    column: Column<'_>,
    values: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let mut seen = HashSet::new();
    for (row, value) in values.into_iter().enumerate() {
        if !seen.insert(value) {
            return Err(column.invalid(row, "an id that occurs once").into());
        }
    }
    Ok(())
}

/// The columns that each table may have.
pub(crate) const STIMULUS_COLUMNS: [&str; 6] =
    ["stimulus_id", "group", "split", "file", "frame", "caption"];
pub(crate) const CAPTION_COLUMNS: [&str; 2] = ["stimulus_id", "caption"];
pub(crate) const LABEL_COLUMNS: [&str; 1] = ["label"];
pub(crate) const TRIAL_COLUMNS: [&str; 5] = ["stimulus_id", "session", "run", "onset", "repeat"];
pub(crate) const VOXEL_COLUMNS: [&str; 5] = ["roi", "i", "j", "k", "reference_stimulus"];

/// What to say of columns that are not read. Each is said once, of however many subjects.
pub(crate) type Unread = BTreeSet<String>;

/// A table of which only the `known` columns are read; the others are added to `unread`.
///
/// # Errors
/// A column whose name is nearly that of a known one that is not there: read past, it would be missing without a word.
pub(crate) fn read_table(path: &Path, known: &[&str], unread: &mut Unread) -> Result<Table> {
    let table = Table::read(path)?;
    let file = path.file_name().unwrap_or_default().display();
    let missing = |name: &&&str| table.optional_column(name).is_none();
    for column in table.columns() {
        if known.contains(&column.as_str()) {
            continue;
        }
        if let Some(meant) = (known.iter().filter(missing)).find(|known| misspells(column, known)) {
            return Err(Error::invalid(path, misspelt("column", meant, column)));
        }
        unread.insert(format!("column {column:?} of {file} is not read"));
    }
    Ok(table)
}

/// What to say of a column or key whose name is nearly that of one that is read.
pub(crate) fn misspelt(what: &str, meant: &str, found: &str) -> String {
    format!(
        "expected the {what} {meant:?}, found {found:?}: rename it, or, if it is something else, give it a name that is \
         less like {meant:?}"
    )
}

/// Whether a name is `known` in other letter case, or a slip or two away: two of a long name, none of one letter.
pub(crate) fn misspells(name: &str, known: &str) -> bool {
    let slips = match known.len() {
        ..3 => 0,
        3..8 => 1,
        _ => 2,
    };
    strsim::osa_distance(&name.trim().to_lowercase(), known) <= slips
}

pub(crate) fn read_stimuli(root: &Path, unread: &mut Unread) -> Result<Vec<Stimulus>> {
    let path = root.join("stimuli.tsv");
    let table = read_table(&path, &STIMULUS_COLUMNS, unread)?;
    let id_column = table.column("stimulus_id")?;
    let ids = id_column.strings()?;
    unique(id_column, ids.iter().copied())?;
    let mut stimuli: Vec<Stimulus> = ids.into_iter().map(Stimulus::new).collect();
    if stimuli.is_empty() {
        return Err(Error::invalid(
            path,
            "expected a row a stimulus, found none",
        ));
    }
    if let Some(groups) = table.optional_column("group") {
        for (stimulus, group) in stimuli.iter_mut().zip(groups.strings()?) {
            stimulus.group = group.to_owned();
        }
    }
    if let Some(parts) = table.optional_column("split") {
        for (row, (stimulus, part)) in stimuli.iter_mut().zip(parts.cells()).enumerate() {
            stimulus.part = match part {
                None => None,
                Some("train") => Some(Part::Train),
                Some("test") => Some(Part::Test),
                Some(_) => return Err(parts.invalid(row, "train, test or n/a").into()),
            };
        }
    }
    if let Some(files) = table.optional_column("file") {
        for (stimulus, file) in stimuli.iter_mut().zip(files.cells()) {
            stimulus.file = file.map(str::to_owned);
        }
    }
    if let Some(captions) = table.optional_column("caption") {
        for (stimulus, caption) in stimuli.iter_mut().zip(captions.cells()) {
            stimulus.captions.extend(caption.map(str::to_owned));
        }
    }
    if let Some(frames) = table.optional_column("frame") {
        for (row, (stimulus, frame)) in stimuli.iter_mut().zip(frames.cells()).enumerate() {
            stimulus.frame = frame
                .map(|frame| {
                    let number = frame.parse();
                    number.map_err(|_| frames.invalid(row, "a whole number from 0"))
                })
                .transpose()?;
        }
    }
    read_captions(root, &mut stimuli, unread)?;
    Ok(stimuli)
}

/// `captions.tsv`: as many rows a stimulus as there are captions.
fn read_captions(root: &Path, stimuli: &mut [Stimulus], unread: &mut Unread) -> Result<()> {
    let path = root.join("captions.tsv");
    if !path.exists() {
        return Ok(());
    }
    let table = read_table(&path, &CAPTION_COLUMNS, unread)?;
    let places: HashMap<String, usize> = stimuli
        .iter()
        .enumerate()
        .map(|(place, stimulus)| (stimulus.id.clone(), place))
        .collect();
    let ids = table.column("stimulus_id")?;
    let captions = table.column("caption")?.strings()?;
    for (row, (id, caption)) in ids.strings()?.into_iter().zip(captions).enumerate() {
        let place = places
            .get(id)
            .ok_or_else(|| ids.invalid(row, "a stimulus_id of stimuli.tsv"))?;
        stimuli[*place].captions.push(caption.to_owned());
    }
    Ok(())
}

pub(crate) fn read_labels(root: &Path, stimuli: usize, unread: &mut Unread) -> Result<Labels> {
    let table = read_table(&root.join("labels.tsv"), &LABEL_COLUMNS, unread)?;
    let name_column = table.column("label")?;
    let names: Vec<String> = name_column
        .strings()?
        .into_iter()
        .map(str::to_owned)
        .collect();
    unique(name_column, names.iter().map(String::as_str))?;
    let path = root.join("labels.npy");
    let matrix = matrix(&path, npy::read_npy_u8(&path)?)?;
    if matrix.dim() != (stimuli, names.len()) {
        return Err(Error::invalid(
            &path,
            format!(
                "expected {stimuli} rows (stimuli.tsv) × {} columns (labels.tsv), found {} × {}",
                names.len(),
                matrix.nrows(),
                matrix.ncols()
            ),
        ));
    }
    if let Some(((row, column), value)) = matrix.indexed_iter().find(|(_, value)| **value > 1) {
        return Err(Error::invalid(
            &path,
            format!("expected 0 or 1, found {value} in row {row}, column {column}"),
        ));
    }
    Ok(Labels { names, matrix })
}

pub(crate) fn read_subject(
    folder: PathBuf,
    description: &Description,
    stimuli: &HashMap<&str, usize>,
    unread: &mut Unread,
) -> Result<Subject> {
    let id = folder_name(&folder)?;
    let trials = read_trials(&folder.join("trials.tsv"), stimuli, unread)?;
    let path = folder.join("voxels.tsv");
    let voxels = read_voxels(&path, description.response, stimuli, unread)?;
    let path = folder.join("responses.npy");
    let responses = NpyMatrix::open(&path)?;
    if (responses.rows(), responses.columns()) != (trials.len(), voxels.len()) {
        return Err(Error::invalid(
            path,
            format!(
                "expected {} rows (trials.tsv) × {} columns (voxels.tsv), found {} × {}",
                trials.len(),
                voxels.len(),
                responses.rows(),
                responses.columns()
            ),
        ));
    }
    Ok(Subject {
        id,
        trials: trials.into(),
        voxels: voxels.into(),
        responses: responses.into(),
        folder: Some(folder),
    })
}

pub(crate) fn read_trials(
    path: &Path,
    stimuli: &HashMap<&str, usize>,
    unread: &mut Unread,
) -> Result<Vec<Trial>> {
    let table = read_table(path, &TRIAL_COLUMNS, unread)?;
    if table.rows() == 0 {
        return Err(Error::invalid(
            path,
            "expected at least one trial, found none",
        ));
    }
    let ids = table.column("stimulus_id")?;
    let numbers = |name: &str| match table.optional_column(name) {
        Some(column) => numbered(column),
        None => Ok(vec![None; table.rows()]),
    };
    let (sessions, runs) = (numbers("session")?, numbers("run")?);
    let repeats = match table.optional_column("repeat") {
        Some(column) => wholes(column)?,
        None => vec![None; table.rows()],
    };
    let onsets: Vec<Option<f64>> = match table.optional_column("onset") {
        Some(column) => column.parse_optional()?,
        None => vec![None; table.rows()],
    };
    let mut trials = Vec::with_capacity(table.rows());
    for (row, id) in ids.strings()?.into_iter().enumerate() {
        let stimulus = *stimuli
            .get(id)
            .ok_or_else(|| ids.invalid(row, "a stimulus_id that stimuli.tsv lists"))?;
        trials.push(Trial {
            stimulus,
            session: sessions[row].unwrap_or(1),
            run: runs[row].unwrap_or(1),
            onset: onsets[row],
            repeat: repeats[row].unwrap_or(1),
        });
    }
    Ok(trials)
}

/// A whole number from 0, also as pandas writes it of a column with missing cells: `1.0`.
fn whole(cell: &str) -> Option<u32> {
    let cell = cell.trim();
    cell.strip_suffix(".0").unwrap_or(cell).parse().ok()
}

fn wholes(column: Column<'_>) -> Result<Vec<Option<u32>>> {
    let cells = column.cells().enumerate();
    let number = |(row, cell): (usize, Option<&str>)| {
        let Some(cell) = cell else { return Ok(None) };
        whole(cell)
            .map(Some)
            .ok_or_else(|| column.invalid(row, "a whole number from 0").into())
    };
    cells.map(number).collect()
}

/// The numbers of sessions or runs, and those that names stand for: the number at the end of each (`run1`, `ses-02`), or
/// else their order in the table.
fn numbered(column: Column<'_>) -> Result<Vec<Option<u32>>> {
    let cells: Vec<Option<&str>> = column.cells().map(|cell| cell.map(str::trim)).collect();
    if cells.iter().flatten().all(|cell| whole(cell).is_some()) {
        let missing = cells.iter().position(Option::is_none);
        return match missing.filter(|_| cells.iter().any(Option::is_some)) {
            None => wholes(column),
            // It would be of the first run.
            Some(row) => Err(column
                .invalid(row, "a whole number from 0 in all rows, or in none")
                .into()),
        };
    }
    let mut names: Vec<&str> = Vec::new();
    for (row, cell) in cells.iter().enumerate() {
        let name = cell.filter(|name| whole(name).is_some() || name.parse::<f64>().is_err());
        let expected = "a whole number from 0 in all rows, or a name in all rows";
        let name = name.ok_or_else(|| column.invalid(row, expected))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let numbers = numbers_of(&names);
    let number_of: HashMap<&str, u32> = names.into_iter().zip(numbers).collect();
    let number = |cell: Option<&str>| number_of.get(cell?).copied();
    Ok(cells.into_iter().map(number).collect())
}

/// The numbers that names of sessions or runs stand for: the one at the end of each, where the names differ in that
/// alone, or else their order.
pub(crate) fn numbers_of(names: &[&str]) -> Vec<u32> {
    let parted = names.iter().map(|name| {
        let start = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        (start, name[start.len()..].parse().ok())
    });
    let (starts, ends): (BTreeSet<&str>, Vec<Option<u32>>) = parted.unzip();
    let distinct: BTreeSet<u32> = ends.iter().copied().flatten().collect();
    match starts.len() == 1 && distinct.len() == names.len() {
        true => ends.into_iter().flatten().collect(),
        false => (1..).take(names.len()).collect(),
    }
}

pub(crate) fn read_voxels(
    path: &Path,
    response: Response,
    stimuli: &HashMap<&str, usize>,
    unread: &mut Unread,
) -> Result<Vec<Voxel>> {
    let table = read_table(path, &VOXEL_COLUMNS, unread)?;
    let rois = table.column("roi")?.strings()?;
    let mut axes = Vec::new();
    for axis in ["i", "j", "k"] {
        if let Some(column) = table.optional_column(axis) {
            axes.push(column.parse_optional::<i32>()?);
        }
    }
    let mut voxels: Vec<Voxel> = rois
        .into_iter()
        .enumerate()
        .map(|(row, roi)| Voxel {
            roi: roi.to_owned(),
            coordinate: match axes.as_slice() {
                [i, j, k] => i[row].zip(j[row]).zip(k[row]).map(|((i, j), k)| [i, j, k]),
                _ => None,
            },
            reference: None,
        })
        .collect();
    if response == Response::SimilarityProfiles {
        let column = table.column("reference_stimulus")?;
        let mut seen: HashSet<(&str, usize)> = HashSet::new();
        for (row, id) in column.strings()?.into_iter().enumerate() {
            let reference = *stimuli
                .get(id)
                .ok_or_else(|| column.invalid(row, "a stimulus_id that stimuli.tsv lists"))?;
            voxels[row].reference = Some(reference);
        }
        for (row, voxel) in voxels.iter().enumerate() {
            if let Some(reference) = voxel.reference
                && !seen.insert((&voxel.roi, reference))
            {
                return Err(column
                    .invalid(row, "a reference that occurs once in a roi")
                    .into());
            }
        }
    }
    Ok(voxels)
}

pub(crate) fn read_feature_set(folder: &Path, stimuli: usize) -> Result<FeatureSet> {
    let path = folder.join("feature.json");
    let mut features: FeatureSet = read_json(&path)?;
    let level = |key: &&String| misspells(key, "level");
    if let (None, Some(found)) = (features.level, features.details.keys().find(level)) {
        return Err(Error::invalid(path, misspelt("key", "level", found)));
    }
    features.name = folder_name(folder)?;
    let rdm = folder.join("rdm.npy");
    features.is_rdm = rdm.is_file();
    if features.is_rdm && folder.join("features.npy").exists() {
        let message =
            "expected features.npy or rdm.npy, found both: remove the one that is not meant";
        return Err(Error::invalid(folder, message));
    }
    let path = if features.is_rdm {
        rdm
    } else {
        folder.join("features.npy")
    };
    let array = NpyMatrix::open(&path)?;
    features.shape = [array.rows(), array.columns()];
    let columns = if features.is_rdm {
        stimuli
    } else {
        features.shape[1]
    };
    if features.shape != [stimuli, columns] {
        return Err(Error::invalid(
            path,
            format!(
                "expected {stimuli} rows (stimuli.tsv) × {columns} columns, found {} × {}",
                features.shape[0], features.shape[1]
            ),
        ));
    }
    Ok(features)
}
