//! HDF5 read: groups, attributes, datasets in all layouts that h5py and MATLAB write, whole or by rows.
//!
//! The parsing is that of the crate `hdf5-reader`; here are the types of this crate, limits on memory, and object
//! references as paths. Read: contiguous, compact and chunked datasets with every chunk index; gzip, shuffle, fletcher32
//! and scale-offset (n-bit and szip too, though no test holds them to h5py); integers, floats, booleans, text of fixed and
//! variable length, references. Not read: other filters (lzf, blosc, lz4), compounds, files and links outside the file.

mod columns;
mod dataset;
mod number_type;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use hdf5_reader::group::Group;
use hdf5_reader::storage::{BytesStorage, DynStorage, FileStorage};
use hdf5_reader::{Hdf5File, OpenOptions};

use crate::{Budget, Error, Result, recognise};
pub use dataset::{Attribute, DataType, Dataset};

const MAGIC: &[u8] = b"\x89HDF";
/// Bytes by which a file of another kind is recognised.
const RECOGNISED: u64 = 512;
const MAX_CHUNK_BYTES: usize = 1 << 28;
const MAX_HEADER_BYTES: usize = 1 << 24;
/// Filters that are registered, not read, and met.
const FILTERS: [(u16, &str); 6] = [
    (307, "bzip2"),
    (32000, "lzf"),
    (32001, "blosc"),
    (32004, "lz4"),
    (32008, "bitshuffle"),
    (32015, "zstd"),
];
/// Groups within groups that are searched for what a reference points to.
const MAX_DEPTH: usize = 32;

/// An open file.
#[derive(Clone)]
pub struct File {
    inner: Arc<Inner>,
}

struct Inner {
    path: Option<PathBuf>,
    file: Hdf5File,
    /// For each reading.
    budget: Budget,
    /// Paths by the address of their object header, once a reference is followed.
    paths: OnceLock<HashMap<u64, String>>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

impl File {
    /// Opens a file; its contents stay there until they are asked for.
    ///
    /// # Errors
    /// An unreadable file; not an HDF5 file; a version of the format that is not read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let open = || {
            let mut start = Vec::new();
            let file = recognise::open(path)?;
            file.take(RECOGNISED).read_to_end(&mut start)?;
            let storage = FileStorage::open(path).map_err(|error| from_hdf5(error, "file"))?;
            let open = Self::new(Arc::new(storage), Some(path.to_owned()));
            // A file of MATLAB has its own mark before that of HDF5.
            open.map_err(|error| match start.starts_with(MAGIC) {
                true => error,
                false => recognise::instead_of("an HDF5 file", &start).unwrap_or(error),
            })
        };
        open().map_err(|error| error.in_file(path))
    }

    /// Opens the bytes of a whole file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        Self::new(Arc::new(BytesStorage::new(bytes)), None)
    }

    fn new(storage: DynStorage, path: Option<PathBuf>) -> Result<Self> {
        let budget = Budget::of(storage.len());
        // What is read at once is held as it is stored and as it is wanted, beside the parser's own.
        let limit = usize::try_from(budget.left() / 2).unwrap_or(usize::MAX);
        let options = OpenOptions {
            max_read_bytes: limit,
            max_chunk_bytes: (limit / 2).min(MAX_CHUNK_BYTES),
            max_object_header_bytes: MAX_HEADER_BYTES,
            ..OpenOptions::default()
        };
        let file = Hdf5File::from_storage_with_options(storage, options);
        let file = file.map_err(|error| from_hdf5(error, "file"))?;
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                file,
                budget,
                paths: OnceLock::new(),
            }),
        })
    }

    /// Names of the datasets and groups in a group, sorted; `/` is the root.
    ///
    /// # Errors
    /// No such group; a damaged one.
    pub fn keys(&self, group: &str) -> Result<Vec<String>> {
        let names = self.group(group)?.member_names();
        let (groups, datasets) = names.map_err(|error| self.located(error, group))?;
        let mut names = [groups, datasets].concat();
        names.sort_unstable();
        Ok(names)
    }

    /// The dataset at a path such as `/group/name`.
    ///
    /// # Errors
    /// None there (the message gives what is beside it); a damaged one; an element type of a kind that is not known.
    pub fn dataset(&self, path: &str) -> Result<Dataset> {
        match self.inner.file.dataset(path) {
            Ok(dataset) => Dataset::new(dataset, path, self.clone()),
            Err(error) => Err(self.absent_or(error, "dataset", path)),
        }
    }

    /// Whether a path leads to a group.
    pub fn is_group(&self, path: &str) -> bool {
        self.inner.file.group(path).is_ok()
    }

    /// The attribute of a dataset or group, if it has one of that name.
    ///
    /// # Errors
    /// Neither dataset nor group there; damaged attributes.
    pub fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>> {
        let attributes = match self.inner.file.group(path) {
            Ok(group) => group.attributes(),
            Err(_) => Ok(self.dataset(path)?.stored_attributes()),
        };
        let attributes = attributes.map_err(|error| self.located(error, path))?;
        let named = attributes.into_iter().find(|stored| stored.name == name);
        Ok(named.map(|stored| Attribute::new(stored, path, self.inner.path.clone())))
    }

    fn group(&self, path: &str) -> Result<Group> {
        let group = self.inner.file.group(path);
        group.map_err(|error| self.absent_or(error, "group", path))
    }

    /// The path of the object whose header is at an address, if there is one.
    fn path_of(&self, address: u64) -> Option<&str> {
        let paths = self.inner.paths.get_or_init(|| self.all_paths());
        paths.get(&address).map(String::as_str)
    }

    /// What cannot be read is passed over: it matters only where a reference leads there.
    fn all_paths(&self) -> HashMap<u64, String> {
        let mut paths = HashMap::new();
        let mut seen = HashSet::new();
        let mut budget = self.inner.budget;
        let mut fits = |path: &str| {
            let bytes = 2 * size_of::<(u64, String)>() + 2 * path.len();
            budget.take(path, Some(bytes as u64)).is_ok()
        };
        let root = self.inner.file.root_group();
        let mut groups: Vec<_> = root
            .into_iter()
            .map(|root| (root, String::new(), 0))
            .collect();
        while let Some((group, path, depth)) = groups.pop() {
            if depth > MAX_DEPTH || !seen.insert(group.address()) {
                continue;
            }
            let Ok((children, datasets)) = group.members() else {
                continue;
            };
            for dataset in datasets {
                let path = format!("{path}/{}", dataset.name());
                if !fits(&path) {
                    return paths;
                }
                paths.insert(dataset.address(), path);
            }
            for child in children {
                let path = format!("{path}/{}", child.name());
                if !fits(&path) {
                    return paths;
                }
                paths.insert(child.address(), path.clone());
                groups.push((child, path, depth + 1));
            }
        }
        paths
    }

    /// The error for something that is not there, or the one that was met on the way.
    fn absent_or(&self, error: hdf5_reader::error::Error, what: &'static str, path: &str) -> Error {
        use hdf5_reader::error::Error::{DatasetNotFound, GroupNotFound};
        let parent = path.trim_end_matches('/').rsplit_once('/');
        let parent = parent.map_or("/", |(parent, _)| parent);
        match innermost(&error) {
            DatasetNotFound(_) | GroupNotFound(_) => {
                let beside = self.inner.file.group(parent);
                let names = beside.and_then(|group| group.member_names());
                let (groups, datasets) = names.unwrap_or_default();
                let available = groups.iter().chain(&datasets).map(String::as_str);
                self.in_file(Error::missing(what, path, available))
            }
            _ => self.located(error, path),
        }
    }

    fn located(&self, error: hdf5_reader::error::Error, place: &str) -> Error {
        self.in_file(from_hdf5(error, place))
    }

    fn in_file(&self, error: Error) -> Error {
        match &self.inner.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

fn innermost(error: &hdf5_reader::error::Error) -> &hdf5_reader::error::Error {
    match error {
        hdf5_reader::error::Error::Context { source, .. } => innermost(source),
        other => other,
    }
}

fn from_hdf5(error: hdf5_reader::error::Error, place: &str) -> Error {
    use hdf5_reader::error::Error as Hdf5;
    let text = innermost(&error).to_string();
    match innermost(&error) {
        Hdf5::InvalidMagic => Error::malformed(place, "the mark of an HDF5 file", "none"),
        Hdf5::UnsupportedFilter(filter) => {
            let known = FILTERS
                .iter()
                .find(|(id, _)| filter.ends_with(&format!("id {id}")));
            let name = known.map_or("unknown", |(_, name)| name);
            let advice = "`h5repack -f GZIP=4` makes gzip of it";
            Error::unsupported(place, format!("{filter} ({name}; {advice})"))
        }
        Hdf5::UnsupportedEncoding(_)
        | Hdf5::UnsupportedSuperblockVersion(_)
        | Hdf5::UnsupportedDatatypeClass(_)
        | Hdf5::UnsupportedLayoutClass(_) => {
            let what = text.trim_start_matches("unsupported ");
            Error::unsupported(place, what)
        }
        Hdf5::Io(io) => std::io::Error::new(io.kind(), format!("{place}: {io}")).into(),
        _ => Error::malformed(place, "undamaged HDF5", text),
    }
}
