//! Masks, images of one value inside a region, and atlases, images of whole numbers, one a region, with a table of the
//! regions' names. Outside is 0, or no number at all.

use std::collections::BTreeMap;
use std::path::Path;

use mused_formats::table::Table;

use super::checks::Findings;
use crate::{Error, Result};

/// How far from a whole number a key may lie: resampling and scaling round.
pub(crate) const ROUNDING: f32 = 1e-3;
/// Largest key that f32 tells from the next.
const MOST: f32 = 16_777_215.0;
/// Keys that a message lists.
const LISTED: usize = 10;

/// The whole number that a value of an atlas stands for, if there is one close by.
pub(crate) fn key(value: f32) -> Option<i32> {
    let whole = value.round();
    let near = (value - whole).abs() <= ROUNDING && whole.abs() <= MOST;
    near.then_some(whole as i32)
}

/// The voxels of a mask: those of its one value above 0, which is 1, 255 or any other. -1 marks what was not scanned in
/// some published masks.
pub(crate) fn mask(path: &Path, values: &[f32]) -> Result<Vec<usize>> {
    let inside = |value: f32| value.is_finite() && value.abs() > ROUNDING;
    let largest = values.iter().copied().filter(|value| inside(*value));
    let largest = largest.fold(0.0_f32, f32::max);
    let mut voxels = Vec::new();
    for (voxel, value) in values.iter().copied().enumerate() {
        if (value - largest).abs() <= ROUNDING * largest && inside(value) {
            voxels.push(voxel);
        } else if inside(value) && key(value) != Some(-1) {
            let message = format!(
                "expected a mask, 0 outside (-1 and NaN are taken for it) and one value inside, found {value} and \
                 {largest}: regions of a value each are an atlas (--atlas), and where a mask was resampled or has \
                 probabilities, make it 0 or 1 at a threshold"
            );
            return Err(Error::invalid(path, message));
        }
    }
    match voxels.is_empty() {
        false => Ok(voxels),
        true => Err(Error::invalid(
            path,
            "expected a mask with voxels of a value above 0, found none",
        )),
    }
}

/// Names the keys that have no name, with how many voxels each: they are left out.
pub(crate) fn warn_of_nameless(path: &Path, keys: &BTreeMap<i32, usize>, findings: &mut Findings) {
    if keys.is_empty() {
        return;
    }
    let listed = keys.iter().take(LISTED);
    let mut listed: Vec<String> = listed
        .map(|(key, n)| format!("{key} ({n} voxels)"))
        .collect();
    if let Some(more) = keys.len().checked_sub(LISTED).filter(|more| *more > 0) {
        listed.push(format!("{more} more"));
    }
    let (path, listed) = (path.display(), listed.join(", "));
    findings.warn(format!(
        "{path}: left out are values without a name: {listed}"
    ));
}

/// Voxels of an atlas, region by region, with the names of their regions. Regions that the table
/// (columns `index`, `name`) does not list are left out, and named.
pub(crate) fn voxels(
    path: &Path,
    values: &[f32],
    names: Option<&Path>,
    findings: &mut Findings,
) -> Result<Vec<(usize, String)>> {
    let names = names.map(read_names).transpose()?;
    let mut regions: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (voxel, value) in values.iter().enumerate() {
        if value.is_nan() {
            continue;
        }
        let Some(key) = key(*value).filter(|key| *key >= 0) else {
            let message = format!("expected an atlas of whole numbers from 0, found {value}");
            return Err(Error::invalid(path, message));
        };
        if key > 0 {
            regions.entry(key).or_default().push(voxel);
        }
    }
    let mut voxels = Vec::new();
    let mut nameless = BTreeMap::new();
    for (index, members) in regions {
        let name = match &names {
            None => Some(format!("roi-{index}")),
            Some(names) => names.get(&index).cloned(),
        };
        match name {
            Some(name) => voxels.extend(members.into_iter().map(|voxel| (voxel, name.clone()))),
            None => {
                nameless.insert(index, members.len());
            }
        }
    }
    if voxels.is_empty() {
        let message = "expected an atlas with voxels of the named regions, found none";
        return Err(Error::invalid(path, message));
    }
    warn_of_nameless(path, &nameless, findings);
    Ok(voxels)
}

fn read_names(path: &Path) -> Result<BTreeMap<i32, String>> {
    let table = Table::read(path)?;
    let column = table.column("index")?;
    let indices: Vec<i32> = column.parse()?;
    let mut names = BTreeMap::new();
    for (row, (index, name)) in indices
        .into_iter()
        .zip(table.column("name")?.strings()?)
        .enumerate()
    {
        if names.insert(index, name.to_owned()).is_some() {
            return Err(column.invalid(row, "an index that occurs once").into());
        }
    }
    Ok(names)
}
