//! NumPy's .npz: several .npy arrays in a zip file, stored or deflated.
//!
//! Format: PKWARE's APPNOTE 6.3, sections 4.3 and 4.5.3 (zip64). Not read: encryption, several volumes, other methods.

use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use ndarray::ArrayD;

use crate::fields::Fields;
use crate::npy::{self, ByteOrder};
use crate::{Budget, Error, Result, recognise};

const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END_BYTES: usize = 22;
const END_64_SIGNATURE: u32 = u32::from_le_bytes(*b"PK\x06\x06");
const LOCATOR_64_SIGNATURE: u32 = u32::from_le_bytes(*b"PK\x06\x07");
const LOCATOR_64_BYTES: usize = 20;
const ENTRY_SIGNATURE: u32 = u32::from_le_bytes(*b"PK\x01\x02");
const LOCAL_SIGNATURE: u32 = u32::from_le_bytes(*b"PK\x03\x04");
const ZIP64_FIELD: u16 = 1;
const ENCRYPTED: u16 = 1;

/// A file whose arrays are known by name and inflated when asked for.
#[derive(Debug)]
pub struct NpzFile {
    path: Option<PathBuf>,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    unpacked: u64,
    local: u64,
}

impl NpzFile {
    /// Reads a file.
    ///
    /// # Errors
    /// An unreadable file; as [`Self::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = recognise::read(path).and_then(Self::parse);
        let file = file.map_err(|error| error.in_file(path))?;
        Ok(Self {
            path: Some(path.to_owned()),
            ..file
        })
    }

    /// Finds the arrays in the bytes of a whole file.
    ///
    /// # Errors
    /// Not a zip file; a directory that is cut short or points beyond the file.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let entries = directory(&bytes)?;
        Ok(Self {
            path: None,
            bytes,
            entries,
        })
    }

    /// Names of the arrays, without .npy, in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The array of that name, of any type, as f64.
    ///
    /// # Errors
    /// No array of that name (the message gives those that exist); damaged or unsupported compression; as
    /// [`npy::parse`].
    pub fn array(&self, name: &str) -> Result<ArrayD<f64>> {
        self.with(name, size_of::<f64>(), npy::parse)
    }

    /// The array of that name, of any type, as f32.
    ///
    /// # Errors
    /// As [`Self::array`].
    pub fn array_f32(&self, name: &str) -> Result<ArrayD<f32>> {
        self.with(name, size_of::<f32>(), npy::parse_f32)
    }

    /// The array of that name, of uint8 or bool.
    ///
    /// # Errors
    /// As [`Self::array`].
    pub fn array_u8(&self, name: &str) -> Result<ArrayD<u8>> {
        self.with(name, 1, npy::parse_u8)
    }

    /// `size` is that of an element as it is decoded.
    fn with<T>(
        &self,
        name: &str,
        size: usize,
        parse: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let mut budget = Budget::of(self.bytes.len() as u64);
        let entry = self.entries.iter().find(|entry| entry.name == name);
        let value = entry
            .ok_or_else(|| Error::missing("array", name, self.names()))
            .and_then(|entry| {
                let bytes = self.unpack(entry, &mut budget)?;
                let header = npy::Header::parse(&bytes).map_err(|error| error.within(name))?;
                // Decoded, and put in C order.
                budget.take_elements(name, header.shape.iter().product(), 2 * size)?;
                parse(&bytes).map_err(|error| error.within(name))
            });
        value.map_err(|error| match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        })
    }

    fn unpack(&self, entry: &Entry, budget: &mut Budget) -> Result<Vec<u8>> {
        if entry.flags & ENCRYPTED != 0 {
            return Err(Error::unsupported(entry.name.as_str(), "encryption"));
        }
        let mut local = at(&self.bytes, entry.local)?;
        expect_signature(&mut local, LOCAL_SIGNATURE, "an array's local header")?;
        local.take(22)?;
        let skipped = usize::from(local.u16()?) + usize::from(local.u16()?);
        local.take(skipped)?;
        let packed = local.take(usize::try_from(entry.packed).unwrap_or(usize::MAX))?;
        let unpacked = match entry.method {
            0 => packed.to_vec(),
            8 => inflate(packed, entry, budget)?,
            other => {
                let what = format!("zip's compression method {other}");
                return Err(Error::unsupported(entry.name.as_str(), what));
            }
        };
        let mut crc = Crc::new();
        crc.update(&unpacked);
        if unpacked.len() as u64 != entry.unpacked || crc.sum() != entry.crc {
            let expected = format!("{} bytes of checksum {:#010x}", entry.unpacked, entry.crc);
            let found = format!("{} of {:#010x}", unpacked.len(), crc.sum());
            return Err(Error::malformed(entry.name.as_str(), expected, found));
        }
        Ok(unpacked)
    }
}

fn inflate(packed: &[u8], entry: &Entry, budget: &mut Budget) -> Result<Vec<u8>> {
    let damaged = |found| Error::malformed(entry.name.as_str(), "a deflate stream", found);
    // One byte more shows a stream that is longer than it says.
    let most = entry.unpacked.saturating_add(1);
    budget.unpack(&entry.name, DeflateDecoder::new(packed), most, damaged)
}

fn directory(bytes: &[u8]) -> Result<Vec<Entry>> {
    // It ends the file, but for a comment of up to 65,535 bytes.
    let first = bytes
        .len()
        .saturating_sub(END_BYTES + usize::from(u16::MAX));
    let tail = bytes.get(first..).unwrap_or_default();
    let end = tail.windows(4).rposition(|window| window == END_SIGNATURE);
    let Some(end) = end.map(|end| first + end) else {
        let found = "none in the last 65557 bytes";
        return Err(Error::malformed(
            "end of the file",
            "the directory of a zip file",
            found,
        ));
    };
    let mut fields = at(bytes, end as u64)?;
    fields.take(10)?;
    let mut count = u64::from(fields.u16()?);
    fields.take(4)?;
    let mut offset = u64::from(fields.u32()?);
    // The length of the comment.
    fields.u16()?;
    if (count == u64::from(u16::MAX) || offset == u64::from(u32::MAX))
        && let Some(locator) = end.checked_sub(LOCATOR_64_BYTES)
    {
        let mut locator = at(bytes, locator as u64)?;
        expect_signature(&mut locator, LOCATOR_64_SIGNATURE, "the zip64 locator")?;
        locator.take(4)?;
        let mut end = at(bytes, locator.u64()?)?;
        expect_signature(&mut end, END_64_SIGNATURE, "the zip64 directory's end")?;
        end.take(28)?;
        count = end.u64()?;
        end.take(8)?;
        offset = end.u64()?;
    }
    let mut fields = at(bytes, offset)?;
    let mut entries = Vec::new();
    // The end of the bytes stops a count that lies.
    for _ in 0..count {
        let entry = entry(&mut fields)?;
        if let Some(name) = entry.name.strip_suffix(".npy") {
            entries.push(Entry {
                name: name.to_owned(),
                ..entry
            });
        }
    }
    Ok(entries)
}

fn entry(fields: &mut Fields<'_>) -> Result<Entry> {
    expect_signature(fields, ENTRY_SIGNATURE, "a directory entry")?;
    fields.take(4)?;
    let flags = fields.u16()?;
    let method = fields.u16()?;
    fields.take(4)?;
    let crc = fields.u32()?;
    let mut packed = fields.u32()?.into();
    let mut unpacked = fields.u32()?.into();
    let name_bytes = fields.u16()?.into();
    let extra_bytes = fields.u16()?.into();
    let comment_bytes = fields.u16()?.into();
    fields.take(8)?;
    let mut local = fields.u32()?.into();
    let name = String::from_utf8_lossy(fields.take(name_bytes)?).into_owned();
    let start = fields.position() as u64;
    let mut extra = Fields::new(fields.take(extra_bytes)?, ByteOrder::Little, start);
    while extra.rest().len() >= 4 {
        let (id, size) = (extra.u16()?, extra.u16()?);
        let start = start + extra.position() as u64;
        let mut content = Fields::new(extra.take(size.into())?, ByteOrder::Little, start);
        if id == ZIP64_FIELD {
            // Holds those that did not fit, in this order.
            for value in [&mut unpacked, &mut packed, &mut local] {
                if *value == u64::from(u32::MAX) {
                    *value = content.u64()?;
                }
            }
        }
    }
    fields.take(comment_bytes)?;
    Ok(Entry {
        name,
        flags,
        method,
        crc,
        packed,
        unpacked,
        local,
    })
}

fn at(bytes: &[u8], offset: u64) -> Result<Fields<'_>> {
    let offset = usize::try_from(offset)
        .ok()
        .filter(|&offset| offset <= bytes.len());
    let Some(offset) = offset else {
        let expected = format!("an offset within {} bytes", bytes.len());
        return Err(Error::malformed("zip directory", expected, "a larger one"));
    };
    Ok(Fields::new(bytes, ByteOrder::Little, 0).at(offset))
}

fn expect_signature(fields: &mut Fields<'_>, signature: u32, what: &str) -> Result<()> {
    let place = fields.place();
    let found = fields.u32()?;
    if found != signature {
        let found = found.to_le_bytes().escape_ascii().to_string();
        return Err(Error::malformed(place, what, found));
    }
    Ok(())
}
