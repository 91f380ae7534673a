//! Which voxels are imported, and the region of each.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use mused_formats::nifti::Nifti;

use super::{NsdConfig, tree};
use crate::Grid;
use crate::import::checks::{Check, Findings};
use crate::read::read_text;
use crate::{Error, Result, Voxel};

/// The region that all of NSD's visual responses lie in: a mask, no atlas.
const GENERAL: &str = "nsdgeneral";
/// Its voxels in subj01 to subj08 at 1.8 mm.
const GENERAL_VOXELS: [usize; 8] = [15724, 14278, 15226, 13153, 13039, 17907, 12682, 14386];
const GENERAL_RESOLUTION: &str = "func1pt8mm";

/// Voxels of a subject.
#[derive(Debug)]
pub(super) struct Regions {
    pub(super) grid: Grid,
    /// File that the grid is of.
    pub(super) origin: PathBuf,
    /// Index in the volume, i fastest.
    pub(super) indices: Vec<usize>,
    pub(super) voxels: Vec<Voxel>,
    /// Files that decided it.
    pub(super) files: Vec<PathBuf>,
}

/// Voxels set by set in the order given, within a set by value, then by index; a voxel of several sets belongs
/// to the first.
pub(super) fn select(
    root: &Path,
    subject: &tree::SubjectFiles,
    config: &NsdConfig,
    findings: &mut Findings,
) -> Result<Regions> {
    let mut chosen: Option<Regions> = None;
    let mut taken = HashSet::new();
    for name in &config.rois {
        let path = tree::roi(root, &subject.id, config, name);
        let mut file = Nifti::open(&path)?;
        let grid = Grid::of(file.header());
        if file.header().volumes() != 1 {
            let message = format!("expected one volume, found shape {:?}", file.header().shape);
            return Err(Error::invalid(path, message));
        }
        let chosen = chosen.get_or_insert_with(|| Regions {
            grid: grid.clone(),
            origin: path.clone(),
            indices: Vec::new(),
            voxels: Vec::new(),
            files: Vec::new(),
        });
        chosen.grid.check(&chosen.origin, &grid, &path, findings)?;
        let values = file.read_volume(0)?;
        let members = match name.as_str() {
            GENERAL => general(&path, subject, config, &values, findings)?,
            _ => atlas(root, &path, subject, name, &values, chosen)?,
        };
        for (roi, members) in members {
            for index in members {
                if taken.insert(index) {
                    chosen.push(index, &roi);
                }
            }
        }
        chosen.files.push(path);
    }
    chosen.ok_or_else(|| {
        Error::Request("expected at least one set of regions, found none".to_owned())
    })
}

impl Regions {
    fn push(&mut self, index: usize, roi: &str) {
        let [width, height, _] = self.grid.shape;
        let coordinate = [
            index % width,
            index / width % height,
            index / width / height,
        ];
        self.indices.push(index);
        self.voxels.push(Voxel {
            roi: roi.to_owned(),
            coordinate: Some(coordinate.map(|index| index as i32)),
            reference: None,
        });
    }
}

type Members = Vec<(String, Vec<usize>)>;

/// Voxels of value 1; 0 is other cortex, -1 what is not cortex.
fn general(
    path: &Path,
    subject: &tree::SubjectFiles,
    config: &NsdConfig,
    values: &[f32],
    findings: &mut Findings,
) -> Result<Members> {
    if let Some(other) = values
        .iter()
        .find(|value| ![-1.0, 0.0, 1.0].contains(*value))
    {
        let message = format!("expected a mask of -1, 0 and 1, found {other}");
        return Err(Error::invalid(path, message));
    }
    let members: Vec<usize> = (0..values.len())
        .filter(|&index| values[index] == 1.0)
        .collect();
    let released = GENERAL_VOXELS.get(usize::from(subject.number) - 1);
    if let Some(&expected) = released.filter(|_| config.resolution == GENERAL_RESOLUTION)
        && expected != members.len()
    {
        let message = format!(
            "{}: expected the {expected} voxels of value 1 that {} has in NSD's release, found {}",
            path.display(),
            subject.id,
            members.len()
        );
        findings.report(Check::VoxelCount, message)?;
    }
    found(path, vec![(GENERAL.to_owned(), members)])
}

fn atlas(
    root: &Path,
    path: &Path,
    subject: &tree::SubjectFiles,
    set: &str,
    values: &[f32],
    chosen: &mut Regions,
) -> Result<Members> {
    let mut regions: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (index, value) in values.iter().enumerate() {
        let Some(key) = crate::import::atlas::key(*value).filter(|key| *key >= -1) else {
            let message = format!("expected an atlas of whole numbers from -1, found {value}");
            return Err(Error::invalid(path, message));
        };
        if key > 0 {
            regions.entry(key).or_default().push(index);
        }
    }
    let table = tree::label_table(root, &subject.id, set);
    let names = match table.is_file() {
        true => read_names(&table)?,
        false => BTreeMap::new(),
    };
    if !names.is_empty() {
        chosen.files.push(table);
    }
    let named = regions.into_iter().map(|(index, members)| {
        let name = names.get(&index).cloned();
        (name.unwrap_or_else(|| format!("{set}_{index}")), members)
    });
    found(path, named.collect())
}

fn found(path: &Path, members: Members) -> Result<Members> {
    if members.iter().all(|(_, members)| members.is_empty()) {
        let message = "expected voxels of value 1 or more, found none";
        return Err(Error::invalid(path, message));
    }
    Ok(members)
}

/// Lines of an index and a name; FreeSurfer puts colours behind them.
fn read_names(path: &Path) -> Result<BTreeMap<i32, String>> {
    let text = read_text(path)?;
    let mut names = BTreeMap::new();
    for (line, content) in text.lines().enumerate() {
        let mut words = content.split_whitespace();
        let Some(first) = words.next().filter(|word| !word.starts_with('#')) else {
            continue;
        };
        let entry = first.parse::<i32>().ok().zip(words.next());
        let (index, name) = entry.ok_or_else(|| {
            let message = format!(
                "line {}: expected an index and a name, found {content:?}",
                line + 1
            );
            Error::invalid(path, message)
        })?;
        if names.insert(index, name.to_owned()).is_some() {
            let message = format!(
                "line {}: expected an index that occurs once, found {index}",
                line + 1
            );
            return Err(Error::invalid(path, message));
        }
    }
    Ok(names)
}
