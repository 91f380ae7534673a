use std::collections::HashMap;
use std::path::Path;

use super::{count, size};
use crate::fields::{Fields, text};
use crate::npy::ByteOrder;
use crate::{Error, Result};

/// The one version of the colour table that is written with a number.
const TABLE_VERSION: i32 = -2;

/// A parcellation: the region of each vertex.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// The index in `regions` of each vertex; `None` for one without a region.
    pub vertices: Vec<Option<usize>>,
    /// The colour table.
    pub regions: Vec<Region>,
}

/// An entry of a colour table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Red, green, blue, and transparency: 255 less alpha.
    pub rgbt: [u8; 4],
}

/// Reads an .annot file.
///
/// # Errors
/// An unreadable file; as [`parse_annotation`].
pub fn read_annotation(path: impl AsRef<Path>) -> Result<Annotation> {
    super::read(path.as_ref(), parse_annotation)
}

/// [`read_annotation`] from the bytes of a whole file.
///
/// # Errors
/// A file cut short; a vertex that does not exist; no colour table, or one of another version than 2.
pub fn parse_annotation(bytes: &[u8]) -> Result<Annotation> {
    let mut fields = Fields::new(bytes, ByteOrder::Big, 0);
    let vertices = count(&mut fields, "vertices")?;
    let place = fields.place();
    let mut pairs = Fields::new(
        fields.take(size(vertices, 2, 4))?,
        ByteOrder::Big,
        fields.position() as u64,
    );
    let place_of_table = fields.place();
    if fields.i32()? == 0 {
        let what = "an annotation without a colour table";
        return Err(Error::unsupported(place_of_table, what));
    }
    let regions = regions(&mut fields)?;
    let mut index_of = HashMap::new();
    for (index, region) in regions.iter().enumerate() {
        let [red, green, blue, _] = region.rgbt.map(i32::from);
        index_of
            .entry(red | green << 8 | blue << 16)
            .or_insert(index);
    }
    let mut found = vec![None; vertices];
    for _ in 0..vertices {
        let (vertex, colour) = (pairs.i32()?, pairs.i32()?);
        let slot = usize::try_from(vertex)
            .ok()
            .and_then(|vertex| found.get_mut(vertex));
        let slot = slot.ok_or_else(|| {
            let expected = format!("vertices below {vertices}");
            Error::malformed(place.as_str(), expected, vertex.to_string())
        })?;
        // As nibabel has it, 0 is no region even where the table has black.
        *slot = (colour != 0)
            .then(|| index_of.get(&colour).copied())
            .flatten();
    }
    Ok(Annotation {
        vertices: found,
        regions,
    })
}

fn regions(fields: &mut Fields<'_>) -> Result<Vec<Region>> {
    let place = fields.place();
    let first = fields.i32()?;
    let entries = match first {
        // The old form starts with the number of entries.
        1.. => {
            name(fields)?;
            usize::try_from(first).unwrap_or(0)
        }
        TABLE_VERSION => {
            fields.i32()?;
            name(fields)?;
            count(fields, "regions")?
        }
        other => {
            let what = format!("a colour table of version {}", other.saturating_neg());
            return Err(Error::unsupported(place, what));
        }
    };
    let mut regions = Vec::new();
    // The end of the bytes stops a count that lies.
    for _ in 0..entries {
        if first < 0 {
            // Its number, which names and colours do not depend on.
            fields.i32()?;
        }
        let name = name(fields)?;
        let mut rgbt = [0; 4];
        for part in &mut rgbt {
            let place = fields.place();
            let value = fields.i32()?;
            *part = u8::try_from(value)
                .map_err(|_| Error::malformed(place, "a colour of 0 to 255", value.to_string()))?;
        }
        regions.push(Region { name, rgbt });
    }
    Ok(regions)
}

fn name(fields: &mut Fields<'_>) -> Result<String> {
    let length = count(fields, "characters")?;
    Ok(text(fields.take(length)?))
}
