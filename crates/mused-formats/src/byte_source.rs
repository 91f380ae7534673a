use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use flate2::bufread::GzDecoder;

use crate::budget::{Budget, most_unpacked};
use crate::{Error, Result};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 128 * 1024;

/// Where bytes come from: a file, or bytes in memory.
pub(crate) trait Input: Read + Seek + Send {}
impl<T: Read + Seek + Send> Input for T {}

type Buffered = BufReader<Box<dyn Input>>;

enum Stream {
    Plain(Buffered),
    /// The member at work.
    Gzip(Box<GzDecoder<Buffered>>),
    /// Between the two ends of a rewind that failed.
    Lost,
}

/// Bytes read forward, from a file that may be compressed by gzip (of one member or several).
///
/// Going back in a compressed file starts again from its beginning.
pub(crate) struct ByteSource {
    stream: Stream,
    position: u64,
    budget: Budget,
    most: u64,
    compressed: bool,
}

impl fmt::Debug for ByteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteSource")
            .field("position", &self.position)
            .field("compressed", &self.compressed)
            .finish_non_exhaustive()
    }
}

impl ByteSource {
    pub(crate) fn new(input: impl Read + Seek + Send + 'static) -> Result<Self> {
        let mut input: Box<dyn Input> = Box::new(input);
        let length = input.seek(SeekFrom::End(0))?;
        input.rewind()?;
        let mut magic = Vec::new();
        (&mut input).take(2).read_to_end(&mut magic)?;
        input.rewind()?;
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        let compressed = magic == GZIP_MAGIC;
        let (stream, most) = match compressed {
            true => (
                Stream::Gzip(Box::new(GzDecoder::new(input))),
                most_unpacked(length),
            ),
            false => (Stream::Plain(input), length),
        };
        Ok(Self {
            stream,
            position: 0,
            budget: Budget::of(length),
            most,
            compressed,
        })
    }

    /// The memory that one thing read from the file may take.
    pub(crate) fn budget(&self) -> Budget {
        self.budget
    }

    /// That the file can hold `bytes` up to some end, before anything of that size is allocated. Exact for a plain file,
    /// a bound for a compressed one.
    pub(crate) fn check_holds(&self, what: &str, end: Option<u64>) -> Result<()> {
        if end.is_some_and(|end| end <= self.most) {
            return Ok(());
        }
        let promised = end.map_or_else(
            || "more bytes than can be counted".to_owned(),
            |end| format!("{end} bytes"),
        );
        let found = match self.compressed {
            true => format!("a compressed file that holds {} at most", self.most),
            false => format!("a file of {}", self.most),
        };
        Err(Error::malformed(what, promised, found))
    }

    /// Makes `to` the next byte to be read.
    pub(crate) fn seek(&mut self, to: u64) -> Result<()> {
        if let Stream::Plain(input) = &mut self.stream {
            // Keeps what is buffered where that is enough.
            let offset = to.cast_signed().wrapping_sub(self.position.cast_signed());
            input.seek_relative(offset)?;
            self.position = to;
            return Ok(());
        }
        if to < self.position {
            self.rewind()?;
        }
        let mut scratch = vec![0; BUFFER_BYTES];
        while self.position < to {
            let step = usize::try_from(to - self.position)
                .unwrap_or(usize::MAX)
                .min(scratch.len());
            self.read_exact(scratch.get_mut(..step).unwrap_or_default())?;
        }
        Ok(())
    }

    fn rewind(&mut self) -> Result<()> {
        self.start_member(Seek::rewind)?;
        self.position = 0;
        Ok(())
    }

    /// Fills `out`.
    ///
    /// # Errors
    /// The end of the file before that; damaged compression; the operating system's.
    pub(crate) fn read_exact(&mut self, out: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest)? {
                0 => {
                    let found = format!("the file's end after {filled}");
                    let expected = format!("{} bytes", out.len());
                    return Err(Error::malformed(self.place(filled), expected, found));
                }
                count => filled += count,
            }
        }
        self.position += filled as u64;
        Ok(())
    }

    /// Reads at most `limit` bytes, up to the end.
    pub(crate) fn read_up_to(&mut self, limit: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut block = vec![0; limit.min(BUFFER_BYTES)];
        while bytes.len() < limit {
            let wanted = block.len().min(limit - bytes.len());
            let count = self.read(block.get_mut(..wanted).unwrap_or_default())?;
            if count == 0 {
                break;
            }
            self.position += count as u64;
            bytes.extend_from_slice(block.get(..count).unwrap_or_default());
        }
        Ok(bytes)
    }

    /// Reads a compressed file on to its end, where checksum and length are compared; of a plain one nothing.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if !self.compressed {
            return Ok(());
        }
        let mut scratch = vec![0; BUFFER_BYTES];
        loop {
            match self.read(&mut scratch)? {
                0 => return Ok(()),
                count => self.position += count as u64,
            }
        }
    }

    /// Goes on behind the end of a member: zeros are padding, anything else must be a further member. False at the
    /// file's end.
    fn next_member(&mut self) -> Result<bool> {
        let Stream::Gzip(decoder) = &mut self.stream else {
            return Ok(false);
        };
        let input = decoder.get_mut();
        let next = loop {
            let buffered = input.fill_buf()?;
            let zeros = buffered.iter().take_while(|byte| **byte == 0).count();
            let next = buffered.get(zeros).copied();
            let ended = buffered.is_empty();
            input.consume(zeros);
            if ended || next.is_some() {
                break next;
            }
        };
        match next {
            None => Ok(false),
            Some(next) if next == GZIP_MAGIC[0] => self.start_member(|_| Ok(())).map(|()| true),
            Some(_) => {
                let expected = "the end of the file or a further gzip stream";
                let place = "behind the gzip stream";
                Err(Error::malformed(place, expected, "other bytes"))
            }
        }
    }

    /// Starts a member where `place` puts the input.
    fn start_member(&mut self, place: impl FnOnce(&mut Buffered) -> io::Result<()>) -> Result<()> {
        if let Stream::Gzip(decoder) = std::mem::replace(&mut self.stream, Stream::Lost) {
            let mut input = decoder.into_inner();
            place(&mut input)?;
            self.stream = Stream::Gzip(Box::new(GzDecoder::new(input)));
        }
        Ok(())
    }

    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            let read = match &mut self.stream {
                Stream::Plain(input) => input.read(out),
                Stream::Gzip(decoder) => decoder.read(out),
                Stream::Lost => Err(io::Error::other("an earlier rewind failed")),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.compressed && is_damage(&error) => {
                    let (expected, place) = ("an undamaged gzip stream", self.place(0));
                    return Err(Error::malformed(place, expected, error.to_string()));
                }
                Ok(0) if self.compressed && !out.is_empty() => {
                    if !self.next_member()? {
                        return Ok(0);
                    }
                }
                read => return Ok(read?),
            }
        }
    }

    fn place(&self, further: usize) -> String {
        let unpacked = if self.compressed { "unpacked " } else { "" };
        format!("{unpacked}byte {}", self.position + further as u64)
    }
}

fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}
