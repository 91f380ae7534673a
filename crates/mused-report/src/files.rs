use std::path::Path;

use mused_formats::{make_folder, replace_file};

use crate::figure::Figure;
use crate::picture::Pictures;
use crate::{Error, Result};

/// Writes figures as SVG, PNG and TSV, and says how many there were.
pub(crate) fn write<'f>(figures: impl Iterator<Item = &'f Figure>, folder: &Path) -> Result<usize> {
    make_folder(folder).map_err(Error::io(folder))?;
    let pictures = Pictures::new();
    let mut written = 0;
    for figure in figures {
        let path = |ending: &str| folder.join(format!("{}.{ending}", figure.id));
        replace_file(path("svg"), figure.svg.as_bytes())?;
        replace_file(path("tsv"), figure.table.to_tsv().as_bytes())?;
        replace_file(path("png"), &pictures.png(&figure.id, &figure.svg)?)?;
        written += 1;
    }
    Ok(written)
}
