//! Atlases: images of whole numbers, one a region, with a table of the regions' names.

use std::collections::BTreeMap;
use std::path::Path;

use mused_formats::table::Table;

use crate::{Error, Result};

/// Voxels of an atlas, region by region, with the names of their regions. Regions that the table
/// (columns `index`, `name`) does not list are left out.
pub(crate) fn voxels(
    path: &Path,
    values: &[f32],
    names: Option<&Path>,
) -> Result<Vec<(usize, String)>> {
    let names = names.map(read_names).transpose()?;
    let mut regions: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (voxel, value) in values.iter().enumerate() {
        if *value < 0.0 || value.fract() != 0.0 || !value.is_finite() || *value > 1e7 {
            let message = format!("expected an atlas of whole numbers from 0, found {value}");
            return Err(Error::invalid(path, message));
        }
        if *value > 0.0 {
            regions.entry(*value as u32).or_default().push(voxel);
        }
    }
    let mut voxels = Vec::new();
    for (index, members) in regions {
        let name = match &names {
            None => Some(format!("roi-{index}")),
            Some(names) => names.get(&index).cloned(),
        };
        if let Some(name) = name {
            voxels.extend(members.into_iter().map(|voxel| (voxel, name.clone())));
        }
    }
    if voxels.is_empty() {
        let message = "expected an atlas with voxels of the named regions, found none";
        return Err(Error::invalid(path, message));
    }
    Ok(voxels)
}

fn read_names(path: &Path) -> Result<BTreeMap<u32, String>> {
    let table = Table::read(path)?;
    let column = table.column("index")?;
    let indices: Vec<u32> = column.parse()?;
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
