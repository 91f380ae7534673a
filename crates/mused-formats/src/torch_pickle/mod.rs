//! State dicts that `torch.save` wrote: named tensors, and nothing else.
//!
//! The file is a zip archive of a Python pickle and one entry a storage. A pickle is a program; the machine
//! here knows only what describes tensors (ordered dictionaries, tensor rebuilding, storages) and refuses every other
//! name before anything is done with it. Nothing is ever called or imported.
//!
//! Nested dictionaries are flattened with dots (`state_dict.layer.weight`); numbers, strings and other plain values
//! beside tensors are skipped. Files of PyTorch before 1.6 (no zip) are not supported.

mod archive;
mod machine;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::{Budget, Error, Result};
use archive::Archive;
use machine::{Machine, Node, Value};

/// Longest pickle accepted: it describes tensors and holds none.
const LONGEST_PICKLE: u64 = 1 << 26;

/// Deepest nesting of dictionaries and lists that is looked into.
const DEEPEST: usize = 32;

/// What a tensor takes beside its names and numbers: an entry in a tree of them.
const ENTRY_BYTES: usize = 2 * size_of::<(String, TensorEntry)>();

/// Data type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElementType {
    /// IEEE half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned byte.
    U8,
    /// Signed byte.
    I8,
    /// Two bytes, signed.
    I16,
    /// Four bytes, signed.
    I32,
    /// Eight bytes, signed.
    I64,
}

impl ElementType {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// Where a tensor's elements lie in a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    element_type: ElementType,
    shape: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
    storage: String,
    /// Elements of the storage.
    storage_len: usize,
}

impl TensorEntry {
    /// Its data type.
    pub fn element_type(&self) -> ElementType {
        self.element_type
    }

    /// Its shape; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(n, s)| {
            let fits = *n == 1 || *s == expected;
            expected *= *n;
            fits
        })
    }
}

trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// The tensors of a file.
pub struct StateDict {
    path: Option<PathBuf>,
    archive: Mutex<Archive<Box<dyn Source>>>,
    tensors: BTreeMap<String, TensorEntry>,
}

impl std::fmt::Debug for StateDict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("StateDict");
        debug.field("path", &self.path);
        debug
            .field("tensors", &self.tensors)
            .finish_non_exhaustive()
    }
}

/// Opens a file; tensors are read from it when asked for.
///
/// # Errors
/// A file that cannot be read; one that is not a zip archive of a pickle, or whose pickle holds anything but plain
/// values and tensors.
pub fn open(path: impl AsRef<Path>) -> Result<StateDict> {
    let path = path.as_ref();
    let named = |error: Error| error.in_file(path);
    let file = File::open(path).map_err(|error| named(error.into()))?;
    let mut tensors = load(Box::new(file)).map_err(named)?;
    tensors.path = Some(path.to_owned());
    Ok(tensors)
}

/// Reads the bytes of such a file.
///
/// # Errors
/// As [`open`].
pub fn from_bytes(bytes: Vec<u8>) -> Result<StateDict> {
    load(Box::new(Cursor::new(bytes)))
}

fn load(source: Box<dyn Source>) -> Result<StateDict> {
    let mut archive = Archive::open(source)?;
    let mut budget = archive.budget();
    let pickle = archive.find_suffix("data.pkl")?;
    if let Some(order) = archive.find("byteorder")? {
        let order = archive.read(&order, 64, &mut budget)?;
        if order.trim_ascii() != b"little" {
            let found = String::from_utf8_lossy(&order).into_owned();
            return Err(Error::unsupported("byteorder", format!("`{found}`")));
        }
    }
    let pickle = archive.read(&pickle, LONGEST_PICKLE, &mut budget)?;
    let machine = machine::run(&pickle, &mut budget).map_err(|error| error.within("data.pkl"))?;
    let mut flat = Flat {
        machine: &machine,
        tensors: BTreeMap::new(),
        budget,
    };
    flat.add(String::new(), machine.result(), 0)?;
    let tensors = flat.tensors;
    Ok(StateDict {
        path: None,
        archive: Mutex::new(archive),
        tensors,
    })
}

/// The tensors found so far, under their dotted names.
struct Flat<'a> {
    machine: &'a Machine,
    tensors: BTreeMap<String, TensorEntry>,
    /// A list may hold another one many times: every way to a value counts.
    budget: Budget,
}

impl Flat<'_> {
    fn add(&mut self, name: String, value: &Value, depth: usize) -> Result<()> {
        self.budget
            .take_elements("data.pkl", name.len() + ENTRY_BYTES, 1)?;
        if depth > DEEPEST {
            let expected = format!("a state dict, nested {DEEPEST} deep at most");
            return Err(Error::malformed("data.pkl", expected, "more"));
        }
        match value {
            Value::Tensor(tensor) => {
                let lengths = 2 * tensor.shape.len() * size_of::<usize>();
                let bytes = lengths + tensor.storage.len();
                self.budget.take_elements("data.pkl", bytes, 1)?;
                self.tensors.insert(name, (**tensor).clone());
            }
            Value::Node(node) => match self.machine.node(*node) {
                Node::Dict(entries) => {
                    for (key, value) in entries {
                        match key {
                            Value::Text(key) => self.add(under(&name, key), value, depth + 1)?,
                            Value::Int(key) => {
                                self.add(under(&name, &key.to_string()), value, depth + 1)?;
                            }
                            _ => {}
                        }
                    }
                }
                Node::List(items) | Node::Tuple(items) => {
                    for (index, value) in items.iter().enumerate() {
                        self.add(under(&name, &index.to_string()), value, depth + 1)?;
                    }
                }
            },
            _ => {}
        }
        Ok(())
    }
}

fn under(name: &str, key: &str) -> String {
    match name {
        "" => key.to_owned(),
        name => format!("{name}.{key}"),
    }
}

impl StateDict {
    /// The tensors by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorEntry)> {
        let tensors = self.tensors.iter();
        tensors.map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// An unknown name.
    pub fn tensor(&self, name: &str) -> Result<&TensorEntry> {
        self.tensors.get(name).ok_or_else(|| {
            let names = self.tensors.keys().map(String::as_str).take(20);
            self.named(Error::missing("tensor", name, names))
        })
    }

    fn named(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }

    /// The elements of a tensor, little-endian, in row-major order.
    ///
    /// # Errors
    /// An unknown name; a storage that is missing, damaged or shorter than its tensors.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let tensor = self.tensor(name)?;
        self.read_entry(tensor).map_err(|error| self.named(error))
    }

    /// As [`Self::read`], for floating-point tensors of any precision.
    ///
    /// # Errors
    /// As [`Self::read`]; a tensor of integers.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.tensor(name)?;
        let bytes = self.read(name)?;
        Ok(match tensor.element_type {
            ElementType::F16 => words(&bytes, |w| half::f16::from_le_bytes(w).to_f32()),
            ElementType::Bf16 => words(&bytes, |w| half::bf16::from_le_bytes(w).to_f32()),
            ElementType::F32 => words(&bytes, f32::from_le_bytes),
            ElementType::F64 => words(&bytes, |w| f64::from_le_bytes(w) as f32),
            other => {
                let what = format!("{other:?} where floating-point numbers are expected");
                return Err(self.named(Error::unsupported(format!("tensor `{name}`"), what)));
            }
        })
    }

    fn read_entry(&self, tensor: &TensorEntry) -> Result<Vec<u8>> {
        let size = tensor.element_type.size();
        let place = || format!("storage {}", tensor.storage);
        // A poisoned lock means that another reader panicked while seeking; every read seeks anew.
        let mut archive = match self.archive.lock() {
            Ok(archive) => archive,
            Err(poisoned) => poisoned.into_inner(),
        };
        let Some(entry) = archive.find(&format!("data/{}", tensor.storage))? else {
            return Err(Error::malformed(place(), "an entry of the archive", "none"));
        };
        let expected = tensor.storage_len.checked_mul(size).map(|n| n as u64);
        if expected != Some(entry.len()) {
            let wanted = format!("{} elements of {size} bytes", tensor.storage_len);
            return Err(Error::malformed(
                place(),
                wanted,
                format!("{} bytes", entry.len()),
            ));
        }
        if tensor.elements() == 0 {
            return Ok(vec![]);
        }
        if tensor.is_contiguous() && archive.is_stored(&entry) {
            let start = (tensor.offset * size) as u64;
            return archive.read_part(&entry, start, tensor.elements() * size);
        }
        let mut budget = archive.budget();
        let storage = archive.read(&entry, entry.len(), &mut budget)?;
        // Its elements in order, and as f32.
        let bytes = size.max(size_of::<f32>()) * 2;
        budget.take_elements(&place(), tensor.elements(), bytes)?;
        gather(tensor, &storage)
            .ok_or_else(|| Error::malformed(place(), "all elements of its tensors", "fewer"))
    }
}

fn words<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let words = bytes.as_chunks().0.iter();
    words.map(|word| value(*word)).collect()
}

/// Elements in row-major order from wherever the strides say.
fn gather(tensor: &TensorEntry, storage: &[u8]) -> Option<Vec<u8>> {
    let size = tensor.element_type.size();
    let mut result = Vec::with_capacity(tensor.elements() * size);
    let mut index = vec![0; tensor.shape.len()];
    for _ in 0..tensor.elements() {
        let position: usize = index.iter().zip(&tensor.strides).map(|(i, s)| i * s).sum();
        let start = (tensor.offset + position) * size;
        result.extend_from_slice(storage.get(start..start + size)?);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < tensor.shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Some(result)
}
