use std::ffi::OsStr;
use std::io::{self, Cursor, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::header::{self, Extension, Header};
use crate::byte_source::ByteSource;
use crate::{Error, Result, number, recognise};

/// Bytes decoded at a time: a multiple of every element's size.
const BLOCK_BYTES: usize = 256 * 1024;
/// Blocks under way between the thread that inflates and the one that converts.
const BLOCKS: usize = 4;
/// Bytes by which a file of another kind is recognised.
const RECOGNISED: usize = 512;
/// More than any volume that was ever measured: 2048 × 2048 × 1024.
const MAX_VOXELS: usize = 1 << 32;

/// An open file. Its values stay there until they are asked for.
///
/// Volumes are counted from 0 over all dimensions behind the third. Going forward through a compressed file reads it
/// once; going back starts again from its beginning.
#[derive(Debug)]
pub struct Nifti {
    path: Option<PathBuf>,
    header: Header,
    extensions: Vec<Extension>,
    source: ByteSource,
}

/// Reads all values of a file, scaled, with the header; indexed as in the file (i, j, k, time, …).
///
/// # Errors
/// As [`Nifti::open`] and [`Nifti::read_volume`].
pub fn read_nifti(path: impl AsRef<Path>) -> Result<(Header, ArrayD<f32>)> {
    let mut file = Nifti::open(path)?;
    let array = file.read_all()?;
    Ok((file.header, array))
}

impl Nifti {
    /// Opens a .nii, .nii.gz, or one of a pair: .hdr or .img, with or without .gz.
    ///
    /// # Errors
    /// An unreadable file; a pair whose other half is missing; as [`Header::parse`]; a plain file too short for its
    /// values.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = match pair(path) {
            Some((header, image)) => {
                Self::open_pair(&header, &image).map_err(|error| error.in_file(&header))
            }
            None => recognise::open(path).and_then(Self::new),
        };
        let file = file.map_err(|error| error.in_file(path))?;
        Ok(Self {
            path: Some(path.to_owned()),
            ..file
        })
    }

    fn open_pair(header: &Path, image: &Path) -> Result<Self> {
        let header = recognise::open(header)?;
        let image = recognise::open(image).map_err(|error| error.in_file(image))?;
        Self::new_pair(header, image)
    }

    /// Reads a single file, plain or compressed by gzip.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn new(input: impl Read + Seek + Send + 'static) -> Result<Self> {
        let mut source = ByteSource::new(input)?;
        let (header, extensions) = read_header(&mut source)?;
        if !header.single_file {
            let expected = "n+1 or n+2, a single file";
            let found = "the mark of a pair of .hdr and .img";
            return Err(Error::malformed("header field magic", expected, found));
        }
        Self::checked(header, extensions, source)
    }

    /// Reads a header and its values from two files, each plain or compressed by gzip.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn new_pair(
        header: impl Read + Seek + Send + 'static,
        image: impl Read + Seek + Send + 'static,
    ) -> Result<Self> {
        let mut source = ByteSource::new(header)?;
        let (header, extensions) = read_header(&mut source)?;
        if header.single_file {
            let expected = "ni1 or ni2, a pair";
            let found = "the mark of a single file";
            return Err(Error::malformed("header field magic", expected, found));
        }
        Self::checked(header, extensions, ByteSource::new(image)?)
    }

    /// [`Self::new`] from the bytes of a whole file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        Self::new(Cursor::new(bytes))
    }

    fn checked(header: Header, extensions: Vec<Extension>, source: ByteSource) -> Result<Self> {
        // Before anything is multiplied.
        let bytes = number::byte_count(&header.shape, header.dtype.size());
        let end = bytes.and_then(|bytes| header.data_offset.checked_add(bytes as u64));
        source.check_holds("header fields dim and datatype", end)?;
        if header.voxels() > MAX_VOXELS {
            let expected = format!("at most {MAX_VOXELS} voxels a volume");
            let found = header.voxels().to_string();
            return Err(Error::malformed("header field dim", expected, found));
        }
        Ok(Self {
            path: None,
            header,
            extensions,
            source,
        })
    }

    /// What stands before the values.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Further data of the header, such as CIFTI-2's XML.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// The values of a volume, scaled, each rounded to the nearest f32; i varies fastest: voxel (i, j, k) of a volume of
    /// `[x, y, z]` is at `i + x * (j + y * k)`. With the last one a compressed file is compared with its checksum.
    ///
    /// # Errors
    /// A volume that does not exist; a file cut short; damaged compression.
    pub fn read_volume(&mut self, volume: usize) -> Result<Vec<f32>> {
        let values = self.volume(volume);
        self.located(values)
    }

    fn volume(&mut self, volume: usize) -> Result<Vec<f32>> {
        let mut values = self.reserved(self.header.voxels())?;
        self.append_volume(volume, &mut values)?;
        Ok(values)
    }

    /// Room for so many values.
    fn reserved(&self, count: usize) -> Result<Vec<f32>> {
        let mut budget = self.source.budget();
        budget.take_elements("header field dim", count, size_of::<f32>())?;
        Ok(Vec::with_capacity(count))
    }

    fn append_volume(&mut self, volume: usize, values: &mut Vec<f32>) -> Result<()> {
        let Header {
            dtype, byte_order, ..
        } = self.header;
        let bytes = self.header.voxels() * dtype.size();
        let start = self.volume_start(volume)?;
        let convert = scaled(self.header.scaling);
        let mut block = Vec::new();
        self.source.seek(start)?;
        for span in spans(bytes) {
            block.resize(span.len(), 0);
            self.source.read_exact(&mut block)?;
            number::extend(values, &block, dtype, byte_order, &convert);
        }
        if volume + 1 == self.header.volumes() {
            self.source.finish()?;
        }
        Ok(())
    }

    /// Byte of the file at which a volume starts.
    fn volume_start(&self, volume: usize) -> Result<u64> {
        let volumes = self.header.volumes();
        if volume >= volumes {
            let expected = format!("one of {volumes} volumes");
            return Err(Error::mismatch("volume", expected, volume.to_string()));
        }
        Ok(self.placed().start_of(volume))
    }

    fn placed(&self) -> Volumes {
        Volumes {
            start: self.header.data_offset,
            bytes: (self.header.voxels() * self.header.dtype.size()) as u64,
            count: self.header.volumes(),
        }
    }

    /// Hands the values of the voxels of a mask to `each`, volume by volume from the first to the last, with the
    /// volume's number. A voxel is the index that [`Self::read_volume`] says; values come in the order of the mask.
    ///
    /// Memory is bounded by the mask: another thread inflates some hundred kilobytes ahead. At the file's end a
    /// compressed one is compared with its checksum.
    ///
    /// # Errors
    /// A voxel that does not exist; what `each` returns; a file cut short; damaged compression.
    pub fn for_each_volume<E: From<Error>>(
        &mut self,
        mask: &[usize],
        mut each: impl FnMut(usize, &[f32]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let picks = self
            .picks(mask)
            .map_err(|error| self.located_error(error))?;
        let path = self.path.clone();
        let located = |error: Error| match &path {
            Some(path) => error.in_file(path),
            None => error,
        };
        let size = self.header.dtype.size();
        let kind = (self.header.dtype, self.header.byte_order);
        let bytes = self.header.voxels() * size;
        let blocks = blocks(&picks, bytes, size);
        let volumes = self.placed();
        let convert = scaled(self.header.scaling);
        let source = &mut self.source;
        thread::scope(|scope| {
            let (filled_sender, filled) = sync_channel(BLOCKS);
            let (empty_sender, empty) = sync_channel(BLOCKS + 2);
            let spans: Vec<_> = blocks.iter().map(|block| block.span.clone()).collect();
            scope.spawn(move || {
                let read = read_blocks(source, volumes, &spans, &empty, &filled_sender);
                let ended = match read {
                    Ok(true) => source
                        .seek(volumes.start_of(volumes.count))
                        .and_then(|()| source.finish()),
                    Ok(false) => return,
                    Err(error) => Err(error),
                };
                // A last empty block says that the file has ended well.
                let _ = filled_sender.send(ended.map(|()| Vec::new()));
            });
            let mut values = vec![0.; mask.len()];
            for volume in 0..volumes.count {
                for Block { span, picks } in &blocks {
                    let block: Vec<u8> = received(&filled).map_err(located)?;
                    let first = span.start / size;
                    number::gather(&mut values, picks, first, &block, kind, &convert);
                    // The reader is gone once it has read everything.
                    let _ = empty_sender.send(block);
                }
                each(volume, &values)?;
            }
            // The checksum of a compressed file.
            received(&filled).map_err(located).map(|_| ())?;
            Ok(())
        })
    }

    /// Voxels of a mask in the order of the file, each with its place in the mask.
    fn picks(&self, mask: &[usize]) -> Result<Vec<(usize, usize)>> {
        let voxels = self.header.voxels();
        if let Some(outside) = mask.iter().find(|&&voxel| voxel >= voxels) {
            let expected = format!("voxels below {voxels}");
            return Err(Error::mismatch("mask", expected, outside.to_string()));
        }
        let mut picks: Vec<_> = mask.iter().copied().zip(0..).collect();
        picks.sort_unstable();
        Ok(picks)
    }

    /// All values, scaled, indexed as in the file.
    ///
    /// # Errors
    /// As [`Self::read_volume`].
    pub fn read_all(&mut self) -> Result<ArrayD<f32>> {
        let values = self.all();
        let values = self.located(values)?;
        let shape = IxDyn(&self.header.shape).f();
        let array = ArrayD::from_shape_vec(shape, values);
        array.map_err(|error| {
            let expected = "as many values as the shape has";
            self.located_error(Error::malformed("values", expected, error.to_string()))
        })
    }

    fn all(&mut self) -> Result<Vec<f32>> {
        let mut values = self.reserved(self.header.shape.iter().product())?;
        for volume in 0..self.header.volumes() {
            self.append_volume(volume, &mut values)?;
        }
        Ok(values)
    }

    fn located<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.located_error(error))
    }

    fn located_error(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }

    /// Values that another format's header describes.
    pub(crate) fn with_header(header: Header, source: ByteSource) -> Result<Self> {
        Self::checked(header, Vec::new(), source)
    }

    pub(crate) fn at_path(self, path: &Path) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..self
        }
    }

    /// Header, extensions and the bytes from there on, for formats that are built on this one.
    pub(crate) fn into_parts(self) -> (Header, Vec<Extension>, ByteSource) {
        (self.header, self.extensions, self.source)
    }
}

/// Where the volumes lie in the file.
#[derive(Clone, Copy)]
struct Volumes {
    start: u64,
    /// Of each.
    bytes: u64,
    count: usize,
}

impl Volumes {
    /// The first byte of a volume, or behind the last. Opening the file has checked that this does not overflow.
    fn start_of(self, volume: usize) -> u64 {
        self.start + self.bytes * volume as u64
    }
}

/// A part of a volume.
struct Block<'p> {
    /// Its bytes within the volume.
    span: Range<usize>,
    /// Voxels within it, in order, each with its place in the mask.
    picks: &'p [(usize, usize)],
}

/// The blocks of a volume that have a voxel of the mask; to pass over the others costs nothing in a plain file.
fn blocks(picks: &[(usize, usize)], bytes: usize, size: usize) -> Vec<Block<'_>> {
    let with_voxels = |span: Range<usize>| {
        let before = |byte: usize| picks.partition_point(|(voxel, _)| voxel * size < byte);
        let picks = picks.get(before(span.start)..before(span.end))?;
        (!picks.is_empty()).then_some(Block { span, picks })
    };
    spans(bytes).filter_map(with_voxels).collect()
}

/// Fills blocks with the bytes of `spans` of every volume. False where nobody takes them any more.
fn read_blocks(
    source: &mut ByteSource,
    volumes: Volumes,
    spans: &[Range<usize>],
    empty: &Receiver<Vec<u8>>,
    filled: &SyncSender<Result<Vec<u8>>>,
) -> Result<bool> {
    for volume in 0..volumes.count {
        for span in spans {
            let mut block = empty.try_recv().unwrap_or_default();
            block.resize(span.len(), 0);
            source.seek(volumes.start_of(volume) + span.start as u64)?;
            source.read_exact(&mut block)?;
            if filled.send(Ok(block)).is_err() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn received(filled: &Receiver<Result<Vec<u8>>>) -> Result<Vec<u8>> {
    filled.recv().unwrap_or_else(|_| {
        let ended = io::Error::other("the reading thread ended early");
        Err(ended.into())
    })
}

/// Blocks of a volume of so many bytes.
fn spans(bytes: usize) -> impl Iterator<Item = Range<usize>> {
    (0..bytes)
        .step_by(BLOCK_BYTES)
        .map(move |start| start..bytes.min(start + BLOCK_BYTES))
}

fn scaled(scaling: Option<(f64, f64)>) -> impl Fn(f64) -> f32 {
    let (slope, inter) = scaling.unwrap_or((1., 0.));
    let identity = scaling.is_none();
    // Without scaling a NaN keeps its bits and -0 its sign.
    move |value| match identity {
        true => value as f32,
        false => (value * slope + inter) as f32,
    }
}

fn read_header(source: &mut ByteSource) -> Result<(Header, Vec<Extension>)> {
    let mut bytes = source.read_up_to(4)?;
    let (version, _) = match header::version(&bytes) {
        Ok(version) => version,
        Err(error) => {
            bytes.append(&mut source.read_up_to(RECOGNISED)?);
            return Err(recognise::instead_of("a NIfTI header", &bytes).unwrap_or(error));
        }
    };
    bytes.append(&mut source.read_up_to(Header::bytes(version) - 4)?);
    let header = Header::parse(&bytes)?;
    let between = match header.single_file {
        true => header::extension_bytes(&header)?,
        // Behind the header of a pair there is nothing else.
        false => header::MAX_EXTENSION_BYTES,
    };
    let between = source.read_up_to(between)?;
    let start = Header::bytes(version) as u64;
    let extensions = header::extensions(&between, header.byte_order, start)?;
    Ok((header, extensions))
}

/// Header and image file, where the name is of a pair.
fn pair(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let name = path.file_name()?.to_str()?;
    let lower = name.to_ascii_lowercase();
    let zipped = lower.ends_with(".gz");
    let stem_length = name.len() - if zipped { 3 } else { 0 };
    let (stem, ending) = (name.get(..stem_length)?, name.get(stem_length..)?);
    let stem_path = Path::new(stem);
    let extension = stem_path.extension().and_then(OsStr::to_str)?;
    let sibling = |other: &str| {
        let upper = extension.chars().all(char::is_uppercase);
        let other = match upper {
            true => other.to_uppercase(),
            false => other.to_owned(),
        };
        let same = path
            .with_file_name(stem_path.with_extension(&other))
            .into_os_string();
        let mut same = same;
        same.push(ending);
        PathBuf::from(same)
    };
    match extension.to_ascii_lowercase().as_str() {
        "hdr" => Some((path.to_owned(), existing(sibling("img")))),
        "img" => Some((existing(sibling("hdr")), path.to_owned())),
        _ => None,
    }
}

/// The file with or without .gz, whichever is there: one half of a pair may be compressed alone.
fn existing(path: PathBuf) -> PathBuf {
    if path.exists() {
        return path;
    }
    let other = match path.extension() {
        Some(extension) if extension == "gz" => path.with_extension(""),
        _ => {
            let mut zipped = path.clone().into_os_string();
            zipped.push(".gz");
            PathBuf::from(zipped)
        }
    };
    if other.exists() { other } else { path }
}
