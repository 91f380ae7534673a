use hdf5_reader::{SliceInfo, SliceInfoElem};
use ndarray::{Array2, ArrayD};

use super::dataset::{DataType, Dataset};
use crate::npy::Dtype;
use crate::{Error, Result};

/// What is read at once, unless a single chunk is more.
const BLOCK_BYTES: usize = 1 << 25;
const VALUE_BYTES: usize = size_of::<i16>();

/// A box of the dimensions behind the first, on the borders of chunks.
struct Tile {
    start: Vec<usize>,
    end: Vec<usize>,
    /// Positions within the dataset's columns, each with its place in the result.
    picks: Vec<(usize, usize)>,
}

impl Dataset {
    /// The int16 values of chosen columns in all rows: rows × columns.
    ///
    /// Rows are the first dimension. A column is a position in the dimensions behind it, last index fastest: for a
    /// dataset of trials × z × y × x it is `x + width * (y + height * z)`, NIfTI's voxel. Each chunk that holds a chosen
    /// column is decoded once, others never; besides the result, memory holds some 32 MB or one chunk.
    ///
    /// # Errors
    /// Another element type; fewer than two dimensions; a column that does not exist; damaged contents.
    pub fn read_columns_i16(&self, columns: &[usize]) -> Result<Array2<i16>> {
        if self.dtype != DataType::Number(Dtype::I16) {
            return Err(self.malformed("int16", self.dtype.to_string()));
        }
        let Some((&rows, lengths)) = self
            .shape
            .split_first()
            .filter(|(_, rest)| !rest.is_empty())
        else {
            let expected = "rows and columns";
            return Err(self.malformed(expected, format!("shape {:?}", self.shape)));
        };
        let count: usize = lengths.iter().product();
        if let Some(outside) = columns.iter().find(|&&column| column >= count) {
            let error = Error::mismatch("column", format!("one of {count}"), outside.to_string());
            return Err(self.file.in_file(error));
        }
        let chunk: Option<Vec<usize>> = self.dataset.chunks().map(|chunk| {
            chunk
                .iter()
                .map(|length| (*length as usize).max(1))
                .collect()
        });
        // What is not in chunks is one tile, read some rows at a time.
        let (chunk_rows, chunk) = match chunk.as_deref() {
            Some([rows, chunk @ ..]) if chunk.len() == lengths.len() => (*rows, chunk.to_vec()),
            _ => (1, lengths.iter().map(|length| (*length).max(1)).collect()),
        };
        let mut values = Array2::zeros((rows, columns.len()));
        for tile in tiles(columns, lengths, &chunk, rows) {
            let size = tile
                .start
                .iter()
                .zip(&tile.end)
                .map(|(start, end)| end - start);
            let row_bytes = size.clone().product::<usize>().max(1) * VALUE_BYTES;
            let step = (BLOCK_BYTES / row_bytes)
                .max(1)
                .next_multiple_of(chunk_rows);
            let strides = strides(&size.collect::<Vec<_>>());
            let offsets: Vec<(usize, usize)> = tile
                .picks
                .iter()
                .map(|&(column, place)| {
                    let within = coordinates(column, lengths).into_iter().zip(&tile.start);
                    let offset = within
                        .zip(&strides)
                        .map(|((at, start), by)| (at - start) * by);
                    (offset.sum(), place)
                })
                .collect();
            for first in (0..rows).step_by(step) {
                let block = self.read_block(first..rows.min(first + step), &tile)?;
                let block = block.as_standard_layout();
                let rows = block.as_slice().unwrap_or_default();
                for (row, block) in rows.chunks_exact(row_bytes / VALUE_BYTES).enumerate() {
                    let mut out = values.row_mut(first + row);
                    for &(offset, place) in &offsets {
                        out[place] = block[offset];
                    }
                }
            }
        }
        Ok(values)
    }

    fn read_block(&self, rows: std::ops::Range<usize>, tile: &Tile) -> Result<ArrayD<i16>> {
        let mut selection = SliceInfo::all(self.shape.len());
        let ranges = std::iter::once((rows.start, rows.end))
            .chain(tile.start.iter().copied().zip(tile.end.iter().copied()));
        for (element, (start, end)) in selection.selections.iter_mut().zip(ranges) {
            *element = SliceInfoElem::Slice {
                start: start as u64,
                end: end as u64,
                step: 1,
            };
        }
        let values = self.dataset.read_slice::<i16>(&selection);
        values.map_err(|error| self.file.located(error, &self.path))
    }
}

/// Chunks that hold a column, neighbours along the last dimension joined while they fit in a block.
fn tiles(columns: &[usize], lengths: &[usize], chunk: &[usize], rows: usize) -> Vec<Tile> {
    let mut picks: Vec<(Vec<usize>, usize, usize)> = columns
        .iter()
        .enumerate()
        .map(|(place, &column)| {
            let at = coordinates(column, lengths);
            let tile = at.iter().zip(chunk).map(|(at, length)| at / length);
            (tile.collect(), column, place)
        })
        .collect();
    picks.sort_unstable();
    let mut tiles: Vec<Tile> = Vec::new();
    for (index, column, place) in picks {
        let start: Vec<usize> = index.iter().zip(chunk).map(|(at, by)| at * by).collect();
        let end: Vec<usize> = start
            .iter()
            .zip(chunk)
            .zip(lengths)
            .map(|((start, by), length)| (start + by).min(*length))
            .collect();
        if let Some(last) = tiles.last_mut()
            && last.takes(&start, &end, rows)
        {
            last.end = end;
            last.picks.push((column, place));
            continue;
        }
        tiles.push(Tile {
            start,
            end,
            picks: vec![(column, place)],
        });
    }
    tiles
}

impl Tile {
    /// Whether a chunk is part of this tile or may be joined to its end.
    fn takes(&self, start: &[usize], end: &[usize], rows: usize) -> bool {
        let (Some((from, before)), Some((to, _))) = (start.split_last(), end.split_last()) else {
            return false;
        };
        let (Some((own, own_before)), Some((own_end, _))) =
            (self.start.split_last(), self.end.split_last())
        else {
            return false;
        };
        if before != own_before {
            return false;
        }
        let across: usize = start
            .iter()
            .zip(end)
            .map(|(start, end)| end - start)
            .product();
        let values = across / (to - from).max(1) * (to - own) * rows;
        to == own_end || from == own_end && values * VALUE_BYTES <= BLOCK_BYTES
    }
}

fn strides(lengths: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; lengths.len()];
    for axis in (1..lengths.len()).rev() {
        strides[axis - 1] = strides[axis] * lengths[axis];
    }
    strides
}

fn coordinates(column: usize, lengths: &[usize]) -> Vec<usize> {
    let strides = strides(lengths);
    let places = strides.iter().zip(lengths);
    places.map(|(by, length)| column / by % length).collect()
}
