//! A pickle machine that can describe tensors and do nothing else (Python's `pickletools` documents the opcodes).
//!
//! Containers live in one list and refer to each other by number, so that no nesting in a file can exhaust the stack.

use std::collections::HashMap;
use std::rc::Rc;

use super::{ElementType, TensorEntry};
use crate::{Budget, Error, Result};

#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Bool,
    Int(i64),
    Float,
    Text(Rc<str>),
    Global(Global),
    Storage(Rc<Storage>),
    Tensor(Rc<TensorEntry>),
    /// A container of the machine.
    Node(usize),
}

#[derive(Debug)]
pub(super) enum Node {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
}

/// The names that a file may mention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(ElementType),
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "HalfStorage") => Self::Storage(ElementType::F16),
            ("torch", "BFloat16Storage") => Self::Storage(ElementType::Bf16),
            ("torch", "FloatStorage") => Self::Storage(ElementType::F32),
            ("torch", "DoubleStorage") => Self::Storage(ElementType::F64),
            ("torch", "BoolStorage") => Self::Storage(ElementType::Bool),
            ("torch", "ByteStorage") => Self::Storage(ElementType::U8),
            ("torch", "CharStorage") => Self::Storage(ElementType::I8),
            ("torch", "ShortStorage") => Self::Storage(ElementType::I16),
            ("torch", "IntStorage") => Self::Storage(ElementType::I32),
            ("torch", "LongStorage") => Self::Storage(ElementType::I64),
            _ => return None,
        })
    }
}

#[derive(Debug)]
pub(super) struct Storage {
    element_type: ElementType,
    key: Rc<str>,
    len: usize,
}

/// As many as PyTorch itself takes.
const MAX_DIMENSIONS: usize = 64;
/// Bytes of a storage's key, which is a number in the files of PyTorch; every tensor has a copy.
const LONGEST_KEY: usize = 64;

/// Runs a pickle up to its STOP.
///
/// # Errors
/// A pickle that is cut short, uses an opcode or mentions a name that no state dict needs, or is inconsistent.
pub(super) fn run(bytes: &[u8], budget: &mut Budget) -> Result<Machine> {
    // For text, which is copied.
    budget.take_elements("data.pkl", bytes.len(), 1)?;
    let mut machine = Machine::default();
    let mut reader = Reader { bytes, position: 0 };
    loop {
        let at = reader.position;
        let Some(&code) = bytes.get(at) else {
            let place = format!("byte {at}");
            return Err(Error::malformed(place, "STOP", "the end of the pickle"));
        };
        budget.take_elements("data.pkl", memory(code), 1)?;
        match machine.step(&mut reader) {
            Ok(false) => {}
            Ok(true) => return Ok(machine),
            Err(Fault::Expected(expected, found)) => {
                return Err(Error::malformed(format!("byte {at}"), expected, found));
            }
            Err(Fault::Refused(what)) => {
                return Err(Error::unsupported(format!("data.pkl, byte {at}"), what));
            }
        }
    }
}

/// What an opcode adds at most, beside text that is as long in the pickle: vectors have room for twice what they hold.
fn memory(code: u8) -> usize {
    match code {
        b'q' | b'r' | 0x94 => 4 * size_of::<(usize, Value)>(),
        b')' | b']' | b'}' | b't' | 0x85..=0x87 => 2 * size_of::<(Node, Value)>(),
        // A vector of one has room for four.
        b'a' | b's' => 4 * size_of::<(Value, Value)>(),
        b'R' => 2 * MAX_DIMENSIONS * size_of::<usize>() + size_of::<TensorEntry>() + LONGEST_KEY,
        b'e' | b'u' | b'Q' => 8 * size_of::<Value>(),
        _ => 2 * size_of::<Value>(),
    }
}

/// What a step stumbled on.
enum Fault {
    Expected(String, String),
    Refused(String),
}

type Step<T> = std::result::Result<T, Fault>;

fn expected<T>(expected: impl Into<String>, found: impl Into<String>) -> Step<T> {
    Err(Fault::Expected(expected.into(), found.into()))
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Step<&'a [u8]> {
        let rest = &self.bytes[self.position..];
        let Some(taken) = rest.get(..len) else {
            return expected(format!("{len} bytes"), format!("{}", rest.len()));
        };
        self.position += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Step<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Step<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn u64(&mut self) -> Step<usize> {
        let value = u64::from_le_bytes(self.array()?);
        usize::try_from(value).or_else(|_| expected("a length", format!("{value}")))
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.position..];
        let Some(len) = rest.iter().position(|byte| *byte == b'\n') else {
            return expected("a line", "the end of the pickle");
        };
        self.position += len + 1;
        text(&rest[..len])
    }
}

fn text(bytes: &[u8]) -> Step<&str> {
    std::str::from_utf8(bytes).or_else(|_| expected("UTF-8", "other bytes"))
}

/// The state of a run.
#[derive(Debug, Default)]
pub(super) struct Machine {
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<usize, Value>,
    nodes: Vec<Node>,
}

impl Machine {
    /// The value the pickle stands for.
    pub(super) fn result(&self) -> &Value {
        self.stack.last().unwrap_or(&Value::None)
    }

    /// A container.
    pub(super) fn node(&self, number: usize) -> &Node {
        // Numbers come from `push_node` alone.
        &self.nodes[number]
    }

    fn push_node(&mut self, node: Node) {
        self.stack.push(Value::Node(self.nodes.len()));
        self.nodes.push(node);
    }

    fn pop(&mut self) -> Step<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return expected("a value on the stack", "none");
        }
        match self.stack.pop() {
            Some(value) => Ok(value),
            None => expected("a value on the stack", "none"),
        }
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Value>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => expected("a mark", "none"),
        }
    }

    fn pop_tuple(&mut self, len: usize) -> Step<()> {
        let mut items = vec![];
        for _ in 0..len {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push_node(Node::Tuple(items));
        Ok(())
    }

    /// The container on top of the stack.
    fn top_node(&mut self) -> Step<&mut Node> {
        match self.stack.last() {
            Some(Value::Node(number)) => Ok(&mut self.nodes[*number]),
            other => expected("a container", format!("{other:?}")),
        }
    }

    fn remember(&mut self, key: usize) -> Step<()> {
        match self.stack.last() {
            Some(value) => {
                self.memo.insert(key, value.clone());
                Ok(())
            }
            None => expected("a value on the stack", "none"),
        }
    }

    fn recall(&mut self, key: usize) -> Step<()> {
        match self.memo.get(&key) {
            Some(value) => {
                self.stack.push(value.clone());
                Ok(())
            }
            None => expected("a remembered value", format!("no number {key}")),
        }
    }

    fn push_global(&mut self, module: &str, name: &str) -> Step<()> {
        match Global::named(module, name) {
            Some(global) => {
                self.stack.push(Value::Global(global));
                Ok(())
            }
            None => Err(Fault::Refused(format!(
                "`{module}.{name}`, which no plain state dict needs,"
            ))),
        }
    }

    fn append(&mut self, items: Vec<Value>) -> Step<()> {
        match self.top_node()? {
            Node::List(list) => {
                list.extend(items);
                Ok(())
            }
            _ => expected("a list", "another container"),
        }
    }

    fn set_items(&mut self, items: Vec<Value>) -> Step<()> {
        let Node::Dict(entries) = self.top_node()? else {
            return expected("a dictionary", "another container");
        };
        let mut items = items.into_iter();
        while let Some(key) = items.next() {
            let Some(value) = items.next() else {
                return expected("a value for each key", "none");
            };
            entries.push((key, value));
        }
        Ok(())
    }

    /// One opcode; true after STOP.
    fn step(&mut self, reader: &mut Reader<'_>) -> Step<bool> {
        match reader.u8()? {
            // PROTO, FRAME: nothing to do for either.
            0x80 => match reader.u8()? {
                2..=5 => {}
                other => return Err(Fault::Refused(format!("pickle protocol {other}"))),
            },
            0x95 => drop(reader.take(8)?),
            b'.' => {
                self.marks.clear();
                let value = self.pop()?;
                self.stack = vec![value];
                return Ok(true);
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'N' => self.stack.push(Value::None),
            0x88 | 0x89 => self.stack.push(Value::Bool),
            b'G' => {
                reader.take(8)?;
                self.stack.push(Value::Float);
            }
            code @ (b'J' | b'K' | b'M' | 0x8a) => {
                let value = integer(code, reader)?;
                self.stack.push(Value::Int(value));
            }
            code @ (b'X' | 0x8c | 0x8d) => {
                let len = match code {
                    b'X' => reader.u32()?,
                    0x8c => usize::from(reader.u8()?),
                    _ => reader.u64()?,
                };
                let value = text(reader.take(len)?)?;
                self.stack.push(Value::Text(value.into()));
            }
            b')' => self.push_node(Node::Tuple(vec![])),
            b']' => self.push_node(Node::List(vec![])),
            b'}' => self.push_node(Node::Dict(vec![])),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_node(Node::Tuple(items));
            }
            code @ 0x85..=0x87 => self.pop_tuple(usize::from(code - 0x84))?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(items)?;
            }
            b'q' => self.remember(usize::from(reader.array::<1>()?[0]))?,
            b'r' => self.remember(reader.u32()?)?,
            0x94 => self.remember(self.memo.len())?,
            b'h' => self.recall(usize::from(reader.array::<1>()?[0]))?,
            b'j' => self.recall(reader.u32()?)?,
            b'c' => {
                let (module, name) = (reader.line()?, reader.line()?);
                self.push_global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return expected("a module and a name", "other values");
                };
                self.push_global(&module, &name)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(&id)?;
                self.stack.push(Value::Storage(Rc::new(storage)));
            }
            b'R' => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.reduce(&callable, &arguments)?;
            }
            b'b' => {
                // Attributes of an ordered dictionary (`_metadata` of a module's state): of no use here.
                self.pop()?;
                if !matches!(self.top_node()?, Node::Dict(_)) {
                    return expected("a dictionary", "another container");
                }
            }
            other => return Err(Fault::Refused(format!("pickle opcode {other:#04x}"))),
        }
        Ok(false)
    }

    fn tuple(&self, value: &Value) -> Step<&[Value]> {
        match value {
            Value::Node(number) => match &self.nodes[*number] {
                Node::Tuple(items) => Ok(items),
                _ => expected("a tuple", "another container"),
            },
            other => expected("a tuple", format!("{other:?}")),
        }
    }

    /// What a persistent id stands for: ("storage", type, key, device, elements).
    fn storage(&self, id: &Value) -> Step<Storage> {
        match self.tuple(id)? {
            [
                Value::Text(kind),
                Value::Global(Global::Storage(element_type)),
                Value::Text(key),
                Value::Text(_),
                Value::Int(len),
            ] if &**kind == "storage" && key.len() <= LONGEST_KEY => Ok(Storage {
                element_type: *element_type,
                key: key.clone(),
                len: count(*len)?,
            }),
            _ => expected("the description of a storage", "another tuple"),
        }
    }

    fn reduce(&mut self, callable: &Value, arguments: &Value) -> Step<()> {
        let arguments = self.tuple(arguments)?;
        match (callable, arguments) {
            (Value::Global(Global::OrderedDict), []) => {
                self.push_node(Node::Dict(vec![]));
            }
            (
                Value::Global(Global::RebuildTensor),
                [
                    Value::Storage(storage),
                    Value::Int(offset),
                    shape,
                    strides,
                    ..,
                ],
            ) => {
                let tensor = self.rebuild(storage, *offset, shape, strides)?;
                self.stack.push(Value::Tensor(Rc::new(tensor)));
            }
            (Value::Global(Global::RebuildParameter), [Value::Tensor(tensor), ..]) => {
                let tensor = tensor.clone();
                self.stack.push(Value::Tensor(tensor));
            }
            (callable, _) => {
                let what = format!("a call of {callable:?} with such arguments");
                return Err(Fault::Refused(what));
            }
        }
        Ok(())
    }

    fn rebuild(
        &self,
        storage: &Storage,
        offset: i64,
        shape: &Value,
        strides: &Value,
    ) -> Step<TensorEntry> {
        let counts = |value: &Value| {
            let items = self.tuple(value)?;
            if items.len() > MAX_DIMENSIONS {
                let wanted = format!("{MAX_DIMENSIONS} dimensions at most");
                return expected(wanted, items.len().to_string());
            }
            let items = items.iter().map(|item| match item {
                Value::Int(value) => count(*value),
                other => expected("a size", format!("{other:?}")),
            });
            items.collect::<Step<Vec<usize>>>()
        };
        let (shape, strides) = (counts(shape)?, counts(strides)?);
        let offset = count(offset)?;
        // Every element lies in the storage, and there are no more of them than it has: nothing below can overflow,
        // and no tensor is larger than the file says on disk.
        let elements = shape.iter().try_fold(1, |n: usize, d| n.checked_mul(*d));
        let last = (shape.iter().zip(&strides)).try_fold(offset, |last: usize, (n, stride)| {
            last.checked_add(n.saturating_sub(1).checked_mul(*stride)?)
        });
        let fits = shape.len() == strides.len()
            && elements.is_some_and(|n| {
                n == 0 || n <= storage.len && last.is_some_and(|last| last < storage.len)
            });
        if !fits {
            return expected(
                format!("a tensor inside its storage of {} elements", storage.len),
                format!("shape {shape:?}, strides {strides:?}, offset {offset}"),
            );
        }
        Ok(TensorEntry {
            element_type: storage.element_type,
            shape,
            strides,
            offset,
            storage: storage.key.to_string(),
            storage_len: storage.len,
        })
    }
}

fn count(value: i64) -> Step<usize> {
    usize::try_from(value).or_else(|_| expected("a size", format!("{value}")))
}

/// BININT, BININT1, BININT2 and LONG1.
fn integer(code: u8, reader: &mut Reader<'_>) -> Step<i64> {
    Ok(match code {
        b'J' => i64::from(i32::from_le_bytes(reader.array()?)),
        b'K' => i64::from(reader.u8()?),
        b'M' => i64::from(u16::from_le_bytes(reader.array()?)),
        _ => {
            let len = usize::from(reader.u8()?);
            let bytes = reader.take(len)?;
            if len > 8 {
                return Err(Fault::Refused(format!("an integer of {len} bytes")));
            }
            let sign = bytes
                .last()
                .map_or(0, |byte| if byte & 0x80 == 0 { 0 } else { 0xff });
            let mut wide = [sign; 8];
            wide[..len].copy_from_slice(bytes);
            i64::from_le_bytes(wide)
        }
    })
}
