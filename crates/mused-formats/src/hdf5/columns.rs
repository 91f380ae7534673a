use std::collections::HashMap;
use std::ops::Range;

use hdf5_reader::{SliceInfo, SliceInfoElem};
use ndarray::{Array2, ArrayD};

use super::dataset::{DataType, Dataset};
use super::number_type::number_type;
use crate::npy::{ByteOrder, Dtype};
use crate::{Error, Result, number};

/// What is read at once of a dataset without chunks, or of one chunk and its followers in the rows.
const BLOCK_BYTES: usize = 1 << 25;
const VALUE_BYTES: usize = size_of::<i16>();
/// Up to so many places of chunks are looked up one by one. The parser goes through the whole index for each, and through
/// all chunks in the time of some.
const FEW_TILES: usize = 4;

/// The dimensions behind the first at which a chunk lies, or all of a dataset without chunks.
#[derive(Debug)]
struct Tile {
    start: Vec<usize>,
    size: Vec<usize>,
    /// Chosen columns: the place within the tile, last index fastest, and the place in the result.
    picks: Vec<(usize, usize)>,
}

impl Dataset {
    /// The int16 values of chosen columns in all rows: rows × columns.
    ///
    /// Rows are the first dimension. A column is a position in the dimensions behind it, last index fastest: for a
    /// dataset of trials × z × y × x it is `x + width * (y + height * z)`, NIfTI's voxel. No chunk is decoded twice,
    /// however its rows and columns lie; besides the result, memory holds the index of the chunks (some 200 bytes each)
    /// and 32 MB or one chunk.
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
        let chunk = self.dataset.chunks().map(|chunk| {
            let lengths = chunk.iter().map(|length| (*length as usize).max(1));
            lengths.collect::<Vec<_>>()
        });
        let (chunk_rows, chunk) = match chunk.as_deref() {
            Some([rows, chunk @ ..]) if chunk.len() == lengths.len() => (*rows, chunk.to_vec()),
            _ => (1, lengths.to_vec()),
        };
        if number::byte_count(&chunk, VALUE_BYTES).is_none() {
            let expected = "chunks that fit in memory";
            return Err(self.malformed(expected, format!("chunks of {chunk:?}")));
        }
        let count = rows.saturating_mul(columns.len());
        self.take_memory(count, VALUE_BYTES)?;
        let mut values = Array2::zeros((rows, columns.len()));
        let mut tiles = tiles(columns, lengths, &chunk);
        if tiles.len() > FEW_TILES {
            self.take_chunks(&mut tiles, lengths, &mut values)?;
        }
        // Those left have no chunk in the file: they hold the fill value.
        for tile in tiles.values() {
            self.read_tile(tile, lengths, chunk_rows, &mut values)?;
        }
        Ok(values)
    }

    /// Goes through all chunks once, and removes the tiles whose rows are complete.
    fn take_chunks(
        &self,
        tiles: &mut HashMap<usize, Tile>,
        lengths: &[usize],
        values: &mut Array2<i16>,
    ) -> Result<()> {
        let located = |error| self.file.located(error, &self.path);
        let big = number_type(self.dataset.dtype())
            .is_some_and(|(_, order)| matches!(order, ByteOrder::Big));
        let rows = values.nrows();
        let mut taken: HashMap<usize, usize> = HashMap::new();
        for chunk in self.dataset.iter_chunks().map_err(located)? {
            let chunk = chunk.map_err(located)?;
            let offsets: Vec<usize> = chunk.offsets().iter().map(|at| *at as usize).collect();
            let Some((&first, start)) = offsets.split_first() else {
                continue;
            };
            let key = flat(start, lengths);
            let Some(tile) = tiles.get(&key) else {
                continue;
            };
            let size: usize = tile.size.iter().product();
            let numbers = chunk.bytes().as_chunks::<VALUE_BYTES>().0;
            let found = numbers.chunks_exact(size).zip(first..rows);
            for (numbers, row) in found {
                for &(within, place) in &tile.picks {
                    values[[row, place]] = match big {
                        true => i16::from_be_bytes(numbers[within]),
                        false => i16::from_le_bytes(numbers[within]),
                    };
                }
                *taken.entry(key).or_default() += 1;
            }
        }
        tiles.retain(|key, _| taken.get(key) != Some(&rows));
        Ok(())
    }

    fn read_tile(
        &self,
        tile: &Tile,
        lengths: &[usize],
        chunk_rows: usize,
        values: &mut Array2<i16>,
    ) -> Result<()> {
        let rows = values.nrows();
        let size: usize = tile.size.iter().product::<usize>().max(1);
        let step = (BLOCK_BYTES / (size * VALUE_BYTES)).max(1);
        let step = step.next_multiple_of(chunk_rows);
        for first in (0..rows).step_by(step) {
            let block = self.read_block(first..rows.min(first + step), tile, lengths)?;
            // A chunk at the border is larger than what there is of it.
            let shape = block.shape().get(1..).unwrap_or_default().to_vec();
            let block = block.as_standard_layout();
            let numbers = block.as_slice().unwrap_or_default();
            let rows = numbers.chunks_exact(shape.iter().product::<usize>().max(1));
            for (numbers, row) in rows.zip(first..) {
                for &(within, place) in &tile.picks {
                    values[[row, place]] = numbers[flat(&coordinates(within, &tile.size), &shape)];
                }
            }
        }
        Ok(())
    }

    fn read_block(
        &self,
        rows: Range<usize>,
        tile: &Tile,
        lengths: &[usize],
    ) -> Result<ArrayD<i16>> {
        let mut selection = SliceInfo::all(self.shape.len());
        let columns = tile.start.iter().zip(&tile.size).zip(lengths);
        let columns = columns.map(|((start, size), length)| *start..(start + size).min(*length));
        let ranges = std::iter::once(rows).chain(columns);
        for (element, range) in selection.selections.iter_mut().zip(ranges) {
            *element = SliceInfoElem::Slice {
                start: range.start as u64,
                end: range.end as u64,
                step: 1,
            };
        }
        let values = self.dataset.read_slice::<i16>(&selection);
        values.map_err(|error| self.file.located(error, &self.path))
    }
}

/// Tiles that hold a chosen column, by the column of their first corner.
fn tiles(columns: &[usize], lengths: &[usize], chunk: &[usize]) -> HashMap<usize, Tile> {
    let mut tiles: HashMap<usize, Tile> = HashMap::new();
    for (place, &column) in columns.iter().enumerate() {
        let at = coordinates(column, lengths);
        let start: Vec<usize> = at.iter().zip(chunk).map(|(at, by)| at / by * by).collect();
        let within: Vec<usize> = at.iter().zip(chunk).map(|(at, by)| at % by).collect();
        let tile = tiles.entry(flat(&start, lengths)).or_insert_with(|| Tile {
            start,
            size: chunk.to_vec(),
            picks: Vec::new(),
        });
        tile.picks.push((flat(&within, chunk), place));
    }
    tiles
}

/// Place of an index, last fastest.
fn flat(index: &[usize], lengths: &[usize]) -> usize {
    let places = index.iter().zip(lengths);
    places.fold(0, |place, (at, length)| place * length + at)
}

fn coordinates(mut place: usize, lengths: &[usize]) -> Vec<usize> {
    let mut index = vec![0; lengths.len()];
    for (at, length) in index.iter_mut().zip(lengths).rev() {
        *at = place % length;
        place /= length;
    }
    index
}
