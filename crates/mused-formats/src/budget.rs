use std::io::Read;

use crate::{Error, ErrorKind, Result};

/// What every file may take: volumes of zeros shrink to nearly nothing, and one at half a millimetre is as large.
const LEAST: u64 = 1 << 28;
/// How many times its own bytes a larger file may take. Pictures with one background shrink to a twentieth, and their bytes
/// become numbers of eight, held twice while they are turned. Deflate alone reaches 1032 times, which no measurement does.
const TIMES: u64 = 320;
/// The most that deflate shrinks anything (RFC 1951: 258 bytes in 2 bits), rounded up.
const MAX_INFLATION: u64 = 1040;

/// The memory that what is read from a file may take: 256 MiB, or 320 times the file where that is more.
///
/// Whatever makes more bytes of fewer (compression, counts, references, wider numbers) takes from it before it takes
/// the memory. One is good for one thing that is read: an array, a table of contents.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    most: u64,
    left: u64,
}

impl Budget {
    /// That of a file of so many bytes.
    pub fn of(file_bytes: u64) -> Self {
        let most = file_bytes.saturating_mul(TIMES).max(LEAST);
        Self { most, left: most }
    }

    /// Makes room for what a further file of so many bytes holds.
    pub(crate) fn add_file(&mut self, file_bytes: u64) {
        let more = file_bytes.saturating_mul(TIMES);
        self.most = self.most.saturating_add(more);
        self.left = self.left.saturating_add(more);
    }

    /// Bytes that are left.
    pub fn left(self) -> u64 {
        self.left
    }

    /// Takes `bytes`, `None` where they are more than can be counted, for what stands at `place`.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn take(&mut self, place: &str, bytes: Option<u64>) -> Result<()> {
        match bytes.and_then(|bytes| self.left.checked_sub(bytes)) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(ErrorKind::TooLarge {
                place: place.to_owned(),
                needed: bytes.map(|bytes| bytes.saturating_add(self.most - self.left)),
                most: self.most,
            }
            .into()),
        }
    }

    /// [`Self::take`] for `count` elements of `size` bytes.
    pub(crate) fn take_elements(&mut self, place: &str, count: usize, size: usize) -> Result<()> {
        self.take(place, (count as u64).checked_mul(size as u64))
    }

    /// Reads what `packed` unpacks to: `most` bytes of it where it is longer.
    ///
    /// # Errors
    /// As [`Self::take`]; damaged compression, which `malformed` tells.
    pub fn unpack<E: From<Error>>(
        &mut self,
        place: &str,
        packed: impl Read,
        most: u64,
        malformed: impl FnOnce(String) -> E,
    ) -> std::result::Result<Vec<u8>, E> {
        let mut bytes = Vec::new();
        // While it grows, a vector holds twice what is in it; one byte more shows that there is more.
        let limit = most.min((self.left / 2).saturating_add(1));
        match packed.take(limit).read_to_end(&mut bytes) {
            Ok(read) => {
                let read = (read as u64 <= self.left / 2).then_some(read as u64);
                self.take(place, read)?;
                bytes.shrink_to_fit();
                Ok(bytes)
            }
            Err(error) => Err(malformed(error.to_string())),
        }
    }
}

/// The most bytes that deflate can have made of so many.
pub(crate) fn most_unpacked(packed: u64) -> u64 {
    packed.saturating_mul(MAX_INFLATION)
}
