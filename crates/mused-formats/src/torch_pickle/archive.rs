//! The entries of a zip archive (PKWARE APPNOTE 6.3), with the 64-bit fields large checkpoints need.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use flate2::read::DeflateDecoder;

use crate::{Budget, Error, Result};

/// Longest table of contents accepted.
const LONGEST_DIRECTORY: u64 = 1 << 28;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    method: u16,
    packed: u64,
    unpacked: u64,
    header: u64,
}

impl Entry {
    /// Bytes of its contents.
    pub(super) fn len(&self) -> u64 {
        self.unpacked
    }
}

pub(super) struct Archive<R> {
    source: R,
    length: u64,
    entries: BTreeMap<String, Entry>,
    /// The folder all entries lie in, with its slash.
    prefix: String,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn damaged(place: &str) -> Error {
    Error::malformed(place, "a zip archive", "a damaged one")
}

impl<R: Read + Seek> Archive<R> {
    pub(super) fn open(mut source: R) -> Result<Self> {
        let length = source.seek(SeekFrom::End(0))?;
        let mut archive = Self {
            source,
            length,
            entries: BTreeMap::new(),
            prefix: String::new(),
        };
        let start = archive.bytes(0, 4.min(length))?;
        if start != b"PK\x03\x04" {
            let found = if start.starts_with(&[0x80]) {
                "a pickle without one, as PyTorch before 1.6 saved"
            } else {
                "something else"
            };
            return Err(Error::malformed(
                "byte 0",
                "the zip archive of torch.save",
                found,
            ));
        }
        let (start, size, count) = archive.directory_place()?;
        let directory = archive.bytes(start, size)?;
        archive
            .read_directory(&directory, count)
            .ok_or_else(|| damaged("table of contents"))?;
        Ok(archive)
    }

    /// The memory that one thing read from the file may take.
    pub(super) fn budget(&self) -> Budget {
        Budget::of(self.length)
    }

    /// `len` bytes from `start`; checked against the file before they are allocated.
    fn bytes(&mut self, start: u64, len: u64) -> Result<Vec<u8>> {
        let end = start.checked_add(len).filter(|end| *end <= self.length);
        if end.is_none() {
            let place = format!("byte {start}");
            let found = format!("the end of the file at {}", self.length);
            return Err(Error::malformed(place, format!("{len} bytes"), found));
        }
        self.source.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; len as usize];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Where the table of contents starts, its bytes and its entries.
    fn directory_place(&mut self) -> Result<(u64, u64, u64)> {
        let tail_start = self.length.saturating_sub(22 + 0xFFFF);
        let tail = self.bytes(tail_start, self.length - tail_start)?;
        let end = tail.windows(4).rposition(|window| window == b"PK\x05\x06");
        let end = end.ok_or_else(|| {
            Error::malformed(
                format!("byte {}", self.length),
                "the table of contents of a zip archive",
                "none: the file is cut short",
            )
        })?;
        let place = (|| {
            let count = u16_at(&tail, end + 10)?;
            let size = u32_at(&tail, end + 12)?;
            let start = u32_at(&tail, end + 16)?;
            Some((u64::from(start), u64::from(size), u64::from(count)))
        })();
        let (mut start, mut size, mut count) =
            place.ok_or_else(|| damaged("end of the archive"))?;
        let locator = end.checked_sub(20).map(|at| &tail[at..end]);
        if let Some(locator) = locator.filter(|bytes| bytes.starts_with(b"PK\x06\x07")) {
            let at = u64_at(locator, 8).ok_or_else(|| damaged("64-bit locator"))?;
            let record = self.bytes(at, 56)?;
            let wide = (record.starts_with(b"PK\x06\x06"))
                .then(|| {
                    Some((
                        u64_at(&record, 48)?,
                        u64_at(&record, 40)?,
                        u64_at(&record, 32)?,
                    ))
                })
                .flatten();
            (start, size, count) = wide.ok_or_else(|| damaged("64-bit end of the archive"))?;
        }
        if size > LONGEST_DIRECTORY {
            return Err(damaged("table of contents"));
        }
        Ok((start, size, count))
    }

    fn read_directory(&mut self, mut bytes: &[u8], count: u64) -> Option<()> {
        for _ in 0..count {
            if !bytes.starts_with(b"PK\x01\x02") {
                return None;
            }
            let method = u16_at(bytes, 10)?;
            let mut packed = u64::from(u32_at(bytes, 20)?);
            let mut unpacked = u64::from(u32_at(bytes, 24)?);
            let [name_len, extra, comment] =
                [u16_at(bytes, 28)?, u16_at(bytes, 30)?, u16_at(bytes, 32)?].map(usize::from);
            let mut header = u64::from(u32_at(bytes, 42)?);
            let name_bytes = bytes.get(46..46 + name_len)?;
            let mut fields = bytes.get(46 + name_len..46 + name_len + extra)?;
            while fields.len() >= 4 {
                let len = usize::from(u16_at(fields, 2)?);
                let field = fields.get(4..4 + len)?;
                if u16_at(fields, 0)? == 1 {
                    // Only the fields that did not fit above are there, in this order.
                    let mut at = 0;
                    for value in [&mut unpacked, &mut packed, &mut header] {
                        if *value == u64::from(u32::MAX) {
                            *value = u64_at(field, at)?;
                            at += 8;
                        }
                    }
                }
                fields = &fields[4 + len..];
            }
            let name = String::from_utf8(name_bytes.to_vec()).ok()?;
            let entry = Entry {
                method,
                packed,
                unpacked,
                header,
            };
            self.entries.insert(name, entry);
            bytes = bytes.get(46 + name_len + extra + comment..)?;
        }
        Some(())
    }

    /// The entry whose name in its folder is this; its folder is that of all entries from then on.
    pub(super) fn find_suffix(&mut self, name: &str) -> Result<Entry> {
        let found = self.entries.iter().find_map(|(full, entry)| {
            let prefix = full.strip_suffix(name)?;
            let folder = prefix.is_empty() || prefix.ends_with('/');
            folder.then(|| (prefix.to_owned(), entry.clone()))
        });
        match found {
            Some((prefix, entry)) => {
                self.prefix = prefix;
                Ok(entry)
            }
            None => {
                let names = self.entries.keys().map(String::as_str).take(20);
                Err(Error::missing("entry", name, names))
            }
        }
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<Entry>> {
        let full = format!("{}{name}", self.prefix);
        Ok(self.entries.get(&full).cloned())
    }

    /// Whether parts of it can be read.
    pub(super) fn is_stored(&self, entry: &Entry) -> bool {
        entry.method == STORED
    }

    /// Where an entry's data starts.
    fn data(&mut self, entry: &Entry) -> Result<u64> {
        let header = self.bytes(entry.header, 30)?;
        let lengths = header
            .starts_with(b"PK\x03\x04")
            .then(|| Some((u16_at(&header, 26)?, u16_at(&header, 28)?)))
            .flatten();
        let (name, extra) = lengths.ok_or_else(|| damaged(&format!("byte {}", entry.header)))?;
        // Within the file, of which the header is a part: no overflow.
        Ok(entry.header + 30 + u64::from(name) + u64::from(extra))
    }

    /// All of an entry, `limit` bytes at most.
    pub(super) fn read(
        &mut self,
        entry: &Entry,
        limit: u64,
        budget: &mut Budget,
    ) -> Result<Vec<u8>> {
        if entry.unpacked > limit {
            let found = format!("{} bytes", entry.unpacked);
            return Err(Error::malformed(
                "entry",
                format!("at most {limit} bytes"),
                found,
            ));
        }
        let data = self.data(entry)?;
        match entry.method {
            STORED if entry.packed == entry.unpacked => self.bytes(data, entry.unpacked),
            DEFLATED => {
                let packed = self.bytes(data, entry.packed)?;
                let place = format!("byte {data}");
                let broken = |found| Error::malformed(place.as_str(), "a deflate stream", found);
                let most = entry.unpacked.saturating_add(1);
                let bytes =
                    budget.unpack(&place, DeflateDecoder::new(&packed[..]), most, broken)?;
                if bytes.len() as u64 != entry.unpacked {
                    return Err(damaged(&format!("byte {data}")));
                }
                Ok(bytes)
            }
            STORED => Err(damaged(&format!("byte {data}"))),
            other => Err(Error::unsupported(
                "zip archive",
                format!("compression {other}"),
            )),
        }
    }

    /// Part of an entry that is [stored](Self::is_stored).
    pub(super) fn read_part(&mut self, entry: &Entry, start: u64, len: usize) -> Result<Vec<u8>> {
        let end = start.checked_add(len as u64);
        if entry.packed != entry.unpacked || end.is_none_or(|end| end > entry.unpacked) {
            let found = format!("{} bytes", entry.unpacked);
            return Err(Error::malformed(
                "storage",
                format!("{start} + {len} bytes"),
                found,
            ));
        }
        let data = self.data(entry)?;
        self.bytes(data + start, len as u64)
    }
}
