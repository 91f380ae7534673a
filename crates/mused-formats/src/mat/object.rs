use ndarray::{ArrayD, IxDyn};

use super::selector::Step;
use super::value::{Class, character_rows, locate, volume};
use crate::hdf5::{DataType, Dataset, File};
use crate::{Error, Result};

/// A value of a version 7.3 file, its contents still there.
///
/// MATLAB's dimensions are those of the dataset reversed: the first index varies fastest in both. Cells are references
/// to values in the group #refs#; a structure is a group of fields; a structure array one whose fields are references.
#[derive(Clone, Debug)]
pub(super) struct Object {
    file: File,
    /// The selector that leads here, for messages.
    place: String,
    class: Class,
    pub(super) shape: Vec<usize>,
    node: Node,
    /// For a structure array, the element that an index has picked.
    picked: Option<usize>,
}

#[derive(Clone, Debug)]
enum Node {
    Dataset(Dataset),
    /// The path of a structure's group.
    Structure(String),
    /// The same, of one whose fields are references.
    StructureArray(String),
    /// An array without elements: the dataset holds its shape.
    Empty,
}

impl Object {
    pub(super) fn new(file: File, path: String, place: String) -> Result<Self> {
        let is_group = file.is_group(&path);
        let class = class(&file, &path)?;
        if file.attribute(&path, "MATLAB_sparse")?.is_some() {
            return Err(Error::unsupported(place, "a sparse array"));
        }
        if let Some(Class::Other(what)) = class {
            return Err(Error::unsupported(place, what));
        }
        let (class, shape, node) = match is_group {
            true => match element_shape(&file, &path)? {
                Some(shape) => (Class::Structure, shape, Node::StructureArray(path)),
                None => (Class::Structure, vec![1, 1], Node::Structure(path)),
            },
            false => of_dataset(&file, &path, class)?,
        };
        if volume(&shape).is_none() {
            let expected = "lengths whose product fits in memory";
            return Err(Error::malformed(place, expected, format!("{shape:?}")));
        }
        Ok(Self {
            file,
            place,
            class,
            shape,
            node,
            picked: None,
        })
    }

    pub(super) fn step(self, step: &Step) -> Result<Self> {
        match (step, self.class) {
            (Step::Index(indices), Class::Structure) if self.picked.is_none() => {
                let (picked, place) = locate(&self.place, &self.shape, indices)?;
                Ok(Self {
                    picked: Some(picked),
                    place,
                    ..self
                })
            }
            (Step::Index(indices), Class::Cell) => {
                let (index, place) = locate(&self.place, &self.shape, indices)?;
                let references = self.references()?;
                self.follow(references.get(index), place)
            }
            (Step::Field(name), Class::Structure) => self.field(name),
            (Step::Index(_), _) => Err(self.wrong("a structure or cell array to index")),
            (Step::Field(name), _) => Err(self.wrong(&format!("a structure with a field {name}"))),
        }
    }

    fn field(self, name: &str) -> Result<Self> {
        let element = match (self.picked, volume(&self.shape)) {
            (Some(element), _) => element,
            (None, Some(1)) => 0,
            (None, _) => return Err(self.wrong(&format!("indices before the field {name}"))),
        };
        let place = format!("{}.{name}", self.place);
        let (Node::Structure(path) | Node::StructureArray(path)) = &self.node else {
            return Err(self.wrong(&format!("a structure with a field {name}")));
        };
        let fields = self.file.keys(path)?;
        if !fields.iter().any(|field| field == name) {
            let available = fields.iter().map(String::as_str);
            return Err(Error::missing("field", &place, available));
        }
        let path = format!("{path}/{name}");
        match self.node {
            Node::StructureArray(_) => {
                let references = self.file.dataset(&path)?.references()?;
                self.follow(references.get(element), place)
            }
            _ => Self::new(self.file, path, place),
        }
    }

    /// The values of a numeric array, in standard layout.
    pub(super) fn numbers(self) -> Result<ArrayD<f64>> {
        if self.class != Class::Numeric {
            return Err(self.wrong("a numeric array"));
        }
        let Node::Dataset(dataset) = &self.node else {
            let empty = ArrayD::from_shape_vec(IxDyn(&self.shape), Vec::new());
            return empty.map_err(|_| self.wrong("an array without elements"));
        };
        if let DataType::Other(what) = dataset.dtype() {
            // MATLAB stores complex numbers as compounds of two.
            let complex = what.contains("compound of 2");
            let what = if complex { "a complex array" } else { what };
            return Err(Error::unsupported(self.place, what));
        }
        let array = dataset.read()?.reversed_axes();
        let array = match array.ndim() {
            0 => array.into_shape_with_order(IxDyn(&self.shape)),
            _ => Ok(array),
        };
        let array = array.map_err(|_| self.wrong("one value"))?;
        Ok(array.as_standard_layout().into_owned())
    }

    pub(super) fn strings(self) -> Result<Vec<String>> {
        match self.class {
            Class::Characters => self.rows(),
            Class::Cell => {
                let references = self.references()?;
                let cells = references.iter().enumerate().map(|(index, reference)| {
                    let place = format!("{}, cell {index}", self.place);
                    self.clone().follow(Some(reference), place)?.string()
                });
                cells.collect()
            }
            _ => Err(self.wrong("a character array or a cell array of them")),
        }
    }

    fn string(self) -> Result<String> {
        let is_empty = self.shape.contains(&0);
        match (self.class, is_empty) {
            (Class::Characters | Class::Numeric, true) => Ok(String::new()),
            (Class::Characters, false) => match <[String; 1]>::try_from(self.rows()?) {
                Ok([row]) => Ok(row),
                Err(_) => Err(self.wrong("one row of characters")),
            },
            _ => Err(self.wrong("one row of characters")),
        }
    }

    fn rows(&self) -> Result<Vec<String>> {
        let &[rows, _] = self.shape.as_slice() else {
            return Err(self.wrong("a character array of two dimensions"));
        };
        let Node::Dataset(dataset) = &self.node else {
            return Ok(Vec::new());
        };
        if rows == 0 {
            return Ok(Vec::new());
        }
        // UTF-16 units, stored as numbers.
        let units: Vec<u16> = dataset.read()?.iter().map(|&unit| unit as u16).collect();
        Ok(character_rows(&units, rows))
    }

    fn references(&self) -> Result<Vec<Option<String>>> {
        match &self.node {
            Node::Dataset(dataset) => dataset.references(),
            _ => Ok(Vec::new()),
        }
    }

    fn follow(self, reference: Option<&Option<String>>, place: String) -> Result<Self> {
        match reference {
            Some(Some(path)) => Self::new(self.file, path.clone(), place),
            _ => Err(Error::malformed(
                place,
                "a reference to a value",
                "one to nothing",
            )),
        }
    }

    fn wrong(&self, expected: &str) -> Error {
        let found = self.class.found(self.picked.is_some(), &self.shape);
        Error::malformed(self.place.as_str(), expected, found)
    }
}

/// What MATLAB says that a value is; `None` where it says nothing.
fn class(file: &File, path: &str) -> Result<Option<Class>> {
    let Some(attribute) = file.attribute(path, "MATLAB_class")? else {
        return Ok(None);
    };
    let names = attribute.strings()?;
    Ok(Some(match names.first().map_or("", String::as_str) {
        "cell" => Class::Cell,
        "struct" => Class::Structure,
        "char" => Class::Characters,
        "double" | "single" | "logical" | "int8" | "uint8" | "int16" | "uint16" | "int32"
        | "uint32" | "int64" | "uint64" => Class::Numeric,
        "function_handle" => Class::Other("a function handle"),
        _ => Class::Other("an object"),
    }))
}

fn of_dataset(file: &File, path: &str, class: Option<Class>) -> Result<(Class, Vec<usize>, Node)> {
    let dataset = file.dataset(path)?;
    let class = class.unwrap_or(match dataset.dtype() {
        DataType::Reference => Class::Cell,
        _ => Class::Numeric,
    });
    let empty = file.attribute(path, "MATLAB_empty")?;
    let empty = empty.map(|attribute| attribute.numbers()).transpose()?;
    if empty.is_some_and(|values| values.first().is_some_and(|&value| value != 0.)) {
        let lengths = dataset.read()?;
        // What is no length saturates, and is found to have too large a product.
        let shape = lengths.iter().map(|&length| length as usize).collect();
        return Ok((class, shape, Node::Empty));
    }
    let mut shape: Vec<usize> = dataset.shape().iter().rev().copied().collect();
    if shape.is_empty() {
        shape = vec![1, 1];
    }
    Ok((class, shape, Node::Dataset(dataset)))
}

/// The shape of a structure array: that of its fields' references, which say no class of their own.
fn element_shape(file: &File, path: &str) -> Result<Option<Vec<usize>>> {
    let fields = file.keys(path)?;
    let Some(first) = fields.first() else {
        return Ok(None);
    };
    let first = format!("{path}/{first}");
    if file.is_group(&first) || class(file, &first)?.is_some() {
        return Ok(None);
    }
    let dataset = file.dataset(&first)?;
    Ok(match dataset.dtype() {
        DataType::Reference => Some(dataset.shape().iter().rev().copied().collect()),
        _ => None,
    })
}
