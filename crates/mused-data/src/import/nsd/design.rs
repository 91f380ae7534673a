//! Which image each trial showed: `nsd_expdesign.mat` and `nsd_stim_info_merged.csv`, held against each other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mused_formats::mat::MatFile;
use mused_formats::table::{Column, Table};
use ndarray::{ArrayD, Axis, Ix2};

use super::tree;
use crate::{Error, Result};

/// Columns of the table that count a subject's showings of an image.
const REPETITIONS: usize = 3;

/// What the table says of an image; its number counts from 0.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) coco_id: u64,
    /// `train2017` or `val2017`.
    pub(super) coco_split: String,
    /// Fractions cut off at the top, bottom, left and right.
    pub(super) crop: [f64; 4],
    /// Whether it is one of the 1,000 that all subjects were to see.
    pub(super) shared: bool,
}

/// The design of the experiment.
#[derive(Debug)]
pub(super) struct Design {
    pub(super) images: Vec<Image>,
    /// Image of each planned trial, by subject from 1.
    shown: HashMap<u8, Vec<usize>>,
    pub(super) files: [PathBuf; 2],
}

impl Design {
    /// Reads and compares both files, for some subjects.
    pub(super) fn read(root: &Path, subjects: impl Iterator<Item = u8>) -> Result<Self> {
        let folder = tree::experiment(root);
        let mat = folder.join("nsd_expdesign.mat");
        let csv = folder.join("nsd_stim_info_merged.csv");
        let table = Table::read_csv(&csv)?;
        let images = images(&table)?;
        let file = MatFile::read(&mat)?;
        let array = |name: &str| Ok::<_, Error>(file.variable(name)?.array("")?);
        let ordering = indices(
            &mat,
            "masterordering",
            &array("masterordering")?,
            usize::MAX,
        )?;
        let subjectim = array("subjectim")?;
        let shared = indices(&mat, "sharedix", &array("sharedix")?, images.len())?;
        check_shared(&csv, &images, &shared)?;

        let subjectim = subjectim.into_dimensionality::<Ix2>().map_err(|_| {
            Error::invalid(
                &mat,
                "subjectim: expected subjects × images, found other dimensions",
            )
        })?;
        let mut shown = HashMap::new();
        for subject in subjects {
            let rows = subjectim.nrows();
            if usize::from(subject) > rows {
                let message =
                    format!("subjectim: expected a row of subject {subject}, found {rows}");
                return Err(Error::invalid(&mat, message));
            }
            let own = subjectim.index_axis(Axis(0), usize::from(subject) - 1);
            let own = indices(&mat, "subjectim", &own.to_owned().into_dyn(), images.len())?;
            let trials = ordering.iter().enumerate().map(|(trial, &place)| {
                own.get(place).copied().ok_or_else(|| {
                    let message = format!(
                        "masterordering: expected indices from 1 to {} (the columns of subjectim), \
                         found {} at trial {}",
                        own.len(),
                        place + 1,
                        trial + 1
                    );
                    Error::invalid(&mat, message)
                })
            });
            let trials = trials.collect::<Result<Vec<usize>>>()?;
            check_repetitions(&mat, &table, subject, &trials)?;
            shown.insert(subject, trials);
        }
        Ok(Self {
            images,
            shown,
            files: [mat, csv],
        })
    }

    /// Image of each planned trial of a subject.
    pub(super) fn shown(&self, subject: u8) -> &[usize] {
        self.shown.get(&subject).map_or(&[], Vec::as_slice)
    }
}

/// Indices from 1 to `most`, as indices from 0.
fn indices(path: &Path, name: &str, values: &ArrayD<f64>, most: usize) -> Result<Vec<usize>> {
    let values = values.iter().enumerate();
    let from_zero = values.map(|(place, value)| {
        let whole = value.fract() == 0.0 && *value >= 1.0 && *value <= most as f64;
        if whole {
            return Ok(*value as usize - 1);
        }
        let upper = if most == usize::MAX {
            String::new()
        } else {
            format!(" to {most}")
        };
        let message = format!(
            "{name}: expected whole numbers from 1{upper}, found {value} at place {}",
            place + 1
        );
        Err(Error::invalid(path, message))
    });
    from_zero.collect()
}

fn images(table: &Table) -> Result<Vec<Image>> {
    let ids = table.column("nsdId")?;
    for (row, id) in ids.parse::<usize>()?.into_iter().enumerate() {
        if id != row {
            return Err(ids
                .invalid(row, format!("{row}, images in order from 0"))
                .into());
        }
    }
    let coco_ids: Vec<u64> = table.column("cocoId")?.parse()?;
    let splits = table.column("cocoSplit")?;
    let split_names = splits.strings()?;
    let crops = table.column("cropBox")?;
    let shared = flags(table.column("shared1000")?)?;
    let rows = coco_ids.into_iter().zip(split_names).zip(shared);
    rows.zip(crops.strings()?)
        .enumerate()
        .map(|(row, (((coco_id, split), shared), crop))| {
            if split != "train2017" && split != "val2017" {
                return Err(splits.invalid(row, "train2017 or val2017").into());
            }
            let crop = fractions(crop).ok_or_else(|| {
                crops.invalid(
                    row,
                    "(top, bottom, left, right), fractions that leave a part",
                )
            })?;
            Ok(Image {
                coco_id,
                coco_split: split.to_owned(),
                crop,
                shared,
            })
        })
        .collect()
}

fn flags(column: Column<'_>) -> Result<Vec<bool>> {
    let cells = column.strings()?.into_iter().enumerate();
    cells
        .map(|(row, cell)| match cell {
            "True" | "TRUE" | "true" | "1" => Ok(true),
            "False" | "FALSE" | "false" | "0" => Ok(false),
            _ => Err(column.invalid(row, "True or False").into()),
        })
        .collect()
}

fn fractions(text: &str) -> Option<[f64; 4]> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    let parts: Option<Vec<f64>> = inner
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    let crop = <[f64; 4]>::try_from(parts?).ok()?;
    let [top, bottom, left, right] = crop;
    let inside = crop.iter().all(|fraction| (0.0..1.0).contains(fraction));
    (inside && top + bottom < 1.0 && left + right < 1.0).then_some(crop)
}

fn check_shared(csv: &Path, images: &[Image], shared: &[usize]) -> Result<()> {
    let mut listed = vec![false; images.len()];
    for &image in shared {
        listed[image] = true;
    }
    let differs = images
        .iter()
        .zip(&listed)
        .position(|(image, listed)| image.shared != *listed);
    let Some(image) = differs else {
        return Ok(());
    };
    let (expected, found) = match listed[image] {
        true => ("True", "False"),
        false => ("False", "True"),
    };
    let message = format!(
        "shared1000: expected {expected} at nsdId {image}, as sharedix of nsd_expdesign.mat says, found \
         {found}"
    );
    Err(Error::invalid(csv, message))
}

/// Compares the numbers of the trials that showed each image.
fn check_repetitions(mat: &Path, table: &Table, subject: u8, shown: &[usize]) -> Result<()> {
    let mut planned = vec![vec![0_usize; table.rows()]; REPETITIONS];
    let mut counts = vec![0_usize; table.rows()];
    for (trial, &image) in shown.iter().enumerate() {
        let Some(planned) = planned.get_mut(counts[image]) else {
            let message = format!(
                "masterordering: expected each image {REPETITIONS} times at most, found nsdId {image} \
                 once more at trial {} of subject {subject}",
                trial + 1
            );
            return Err(Error::invalid(mat, message));
        };
        planned[image] = trial + 1;
        counts[image] += 1;
    }
    for (repetition, planned) in planned.iter().enumerate() {
        let column = table.column(&format!("subject{subject}_rep{repetition}"))?;
        for (image, found) in column.parse::<usize>()?.into_iter().enumerate() {
            let expected = planned[image];
            if found != expected {
                let expected =
                    format!("trial {expected}, as nsd_expdesign.mat says (0 = not shown)");
                return Err(column.invalid(image, expected).into());
            }
        }
    }
    Ok(())
}
