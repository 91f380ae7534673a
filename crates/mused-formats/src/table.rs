//! Tables with a header row, tab- or comma-separated, as BIDS and pandas write them.
//!
//! A cell that is blank or `n/a` is missing; blanks around a number do not count. Cells may be quoted with `"`, as pandas does where a cell holds a quote.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use csv::{ReaderBuilder, StringRecord, WriterBuilder};

use crate::{Error, Result, WholeFile, recognise};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A table in memory. Columns are found by name, rows by index from 0.
#[derive(Clone, Debug)]
pub struct Table {
    path: Option<PathBuf>,
    columns: Vec<String>,
    /// All cells, row by row: a record for each row would take many times the bytes of a short one.
    cells: StringRecord,
    lines: Vec<u64>,
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// An unreadable file; as [`Table::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_separated(path.as_ref(), b'\t')
    }

    /// Reads a file whose cells are separated by commas.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_separated(path.as_ref(), b',')
    }

    fn read_separated(path: &Path, separator: u8) -> Result<Self> {
        let table = recognise::open(path);
        let table = table.and_then(|file| Self::parse_separated(file, separator));
        let table = table.map_err(|error| error.in_file(path))?;
        Ok(Self {
            path: Some(path.to_owned()),
            ..table
        })
    }

    /// Parses the contents of a file.
    ///
    /// # Errors
    /// No header row; two columns of one name; a row with more or fewer cells than the header; text that is not UTF-8;
    /// a quote that opens a cell and closes before its end, or not on its line.
    pub fn parse(reader: impl Read) -> Result<Self> {
        Self::parse_separated(reader, b'\t')
    }

    /// Parses the contents of a file whose cells are separated by commas.
    ///
    /// # Errors
    /// As [`Table::parse`].
    pub fn parse_csv(reader: impl Read) -> Result<Self> {
        Self::parse_separated(reader, b',')
    }

    fn parse_separated(mut reader: impl Read, separator: u8) -> Result<Self> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        if !bytes.is_empty()
            && let Some(other) = recognise::instead_of("a table", &bytes)
        {
            return Err(other);
        }
        let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
        check_quotes(text, separator)?;
        let mut lines = Lines {
            text,
            at: 0,
            line: 1,
        };
        // `flexible`, so that a ragged row becomes an error of ours, with its line.
        let mut reader = ReaderBuilder::new()
            .delimiter(separator)
            .flexible(true)
            .from_reader(text);
        let header = reader
            .headers()
            .map_err(|error| from_csv(error, &mut lines))?;
        if header.is_empty() {
            return Err(Error::malformed("line 1", "a header row", "an empty file"));
        }
        let columns: Vec<String> = header.iter().map(str::to_owned).collect();
        if let Some(name) = first_repeated(&columns) {
            let found = format!("`{name}` twice");
            return Err(Error::malformed(
                "header row",
                "column names that differ",
                found,
            ));
        }
        let mut table = Self {
            path: None,
            columns,
            cells: StringRecord::new(),
            lines: Vec::new(),
        };
        for record in reader.records() {
            let record = record.map_err(|error| from_csv(error, &mut lines))?;
            let line = lines.line_of(record.position());
            let malformed =
                |expected, found| Error::malformed(format!("line {line}"), expected, found);
            if record.len() != table.columns.len() {
                let expected = format!("{} cells", table.columns.len());
                return Err(malformed(expected, record.len().to_string()));
            }
            table.cells.extend(&record);
            table.lines.push(line);
        }
        Ok(table)
    }

    /// Column names, in file order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Number of rows, the header not counted.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The cells of a row as they stand, `n/a` and all.
    pub fn row(&self, row: usize) -> Option<impl Iterator<Item = &str>> {
        let cells = |columns| (0..columns).filter_map(move |column| self.cell(row, column));
        (row < self.rows()).then(|| cells(self.columns.len()))
    }

    fn cell(&self, row: usize, column: usize) -> Option<&str> {
        self.cells.get(row * self.columns.len() + column)
    }

    /// The line of the file, from 1, that a row stands on.
    pub fn line(&self, row: usize) -> Option<u64> {
        self.lines.get(row).copied()
    }

    /// The column of that name.
    ///
    /// # Errors
    /// There is none; the message names those that exist.
    pub fn column(&self, name: &str) -> Result<Column<'_>> {
        self.optional_column(name).ok_or_else(|| {
            let available = self.columns.iter().map(String::as_str);
            self.located(Error::missing("column", name, available))
        })
    }

    /// The column of that name, if there is one.
    pub fn optional_column(&self, name: &str) -> Option<Column<'_>> {
        let index = self.columns.iter().position(|column| column == name)?;
        Some(Column { table: self, index })
    }

    fn located(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

/// A column of a [`Table`].
#[derive(Clone, Copy, Debug)]
pub struct Column<'t> {
    table: &'t Table,
    index: usize,
}

impl<'t> Column<'t> {
    /// Its name.
    pub fn name(&self) -> &'t str {
        &self.table.columns[self.index]
    }

    /// Its cells from top to bottom; `None` where one is missing (blank or `n/a`).
    pub fn cells(&self) -> impl Iterator<Item = Option<&'t str>> + use<'t> {
        let index = self.index;
        let table = self.table;
        let cells = (0..table.rows()).map(move |row| table.cell(row, index));
        cells.map(|cell| cell.filter(|cell| !matches!(cell.trim(), "" | "n/a")))
    }

    /// Its cells as text.
    ///
    /// # Errors
    /// A missing cell.
    pub fn strings(&self) -> Result<Vec<&'t str>> {
        let cells = self.cells().enumerate();
        cells
            .map(|(row, cell)| cell.ok_or_else(|| self.invalid(row, "a value")))
            .collect()
    }

    /// Its cells as values of a type.
    ///
    /// # Errors
    /// A cell that is missing or is not of the type.
    pub fn parse<T: FromStr>(&self) -> Result<Vec<T>> {
        let cells = self.cells().enumerate();
        cells
            .map(|(row, cell)| self.value(row, cell.unwrap_or_default()))
            .collect()
    }

    /// Its cells as values of a type, `None` where one is missing.
    ///
    /// # Errors
    /// A cell that is not of the type.
    pub fn parse_optional<T: FromStr>(&self) -> Result<Vec<Option<T>>> {
        let cells = self.cells().enumerate();
        cells
            .map(|(row, cell)| cell.map(|cell| self.value(row, cell)).transpose())
            .collect()
    }

    /// An error that says where this column's cell of a row stands and what it holds, for a caller's own rules.
    pub fn invalid(&self, row: usize, expected: impl Into<String>) -> Error {
        let line = self
            .table
            .line(row)
            .map_or_else(|| "?".to_owned(), |line| line.to_string());
        let cell = self.table.cell(row, self.index).unwrap_or_default();
        let place = format!("line {line}, column {}", self.name());
        self.table
            .located(Error::malformed(place, expected, format!("{cell:?}")))
    }

    fn value<T: FromStr>(&self, row: usize, cell: &str) -> Result<T> {
        cell.trim().parse().map_err(|_| {
            let expected = match std::any::type_name::<T>().as_bytes() {
                [b'u', ..] => "a whole number from 0",
                [b'i', ..] => "a whole number",
                [b'f', ..] => "a number",
                _ => "a value of its kind",
            };
            self.invalid(row, expected)
        })
    }
}

/// Writes a table row by row.
#[derive(Debug)]
pub struct TableWriter {
    path: PathBuf,
    writer: csv::Writer<WholeFile>,
    columns: usize,
}

impl TableWriter {
    /// Starts a file with its header row.
    ///
    /// # Errors
    /// A file that cannot be created; no columns; two columns of one name; a name that holds a tab or a line break.
    pub fn create<S: AsRef<str>>(path: impl AsRef<Path>, columns: &[S]) -> Result<Self> {
        let path = path.as_ref();
        let names: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
        if names.is_empty() {
            return Err(Error::mismatch("columns", "at least one", "none").in_file(path));
        }
        if let Some(name) = first_repeated(&names) {
            let found = format!("`{name}` twice");
            return Err(Error::mismatch("columns", "names that differ", found).in_file(path));
        }
        let file = WholeFile::create(path)?;
        let writer = WriterBuilder::new().delimiter(b'\t').from_writer(file);
        let mut writer = Self {
            path: path.to_owned(),
            writer,
            columns: names.len(),
        };
        writer.write_row(names)?;
        Ok(writer)
    }

    /// Appends a row.
    ///
    /// # Errors
    /// Another number of cells than columns; a cell that holds a tab or a line break; a full disk. A row that was
    /// refused leaves nothing in the file.
    pub fn write_row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) -> Result<()> {
        let record: StringRecord = cells
            .into_iter()
            .collect::<Vec<S>>()
            .iter()
            .map(AsRef::as_ref)
            .collect();
        self.append(&record)
            .map_err(|error| error.in_file(&self.path))
    }

    fn append(&mut self, record: &StringRecord) -> Result<()> {
        if record.len() != self.columns {
            let (expected, found) = (self.columns.to_string(), record.len().to_string());
            return Err(Error::mismatch("number of cells", expected, found));
        }
        if let Some(cell) = record.iter().find(|cell| cell.contains(['\t', '\n', '\r'])) {
            return Err(Error::mismatch(
                "cell",
                "no tab or line break",
                format!("{cell:?}"),
            ));
        }
        self.writer
            .write_record(record)
            .map_err(|error| io_of(error).into())
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// A full disk.
    pub fn finish(self) -> Result<()> {
        self.writer
            .into_inner()
            .map_err(|error| Error::from(error.into_error()).in_file(&self.path))?
            .finish()
    }
}

/// A quote that opens a cell must close where the cell ends. The `csv` crate drops it and reads on.
fn check_quotes(text: &[u8], separator: u8) -> Result<()> {
    let mut bytes = text.iter().copied().peekable();
    let (mut line, mut opens) = (1_u64, true);
    while let Some(byte) = bytes.next() {
        if opens && byte == b'"' {
            let malformed =
                |expected, found| Err(Error::malformed(format!("line {line}"), expected, found));
            loop {
                match bytes.next() {
                    // Two quotes stand for one.
                    Some(b'"') if bytes.next_if_eq(&b'"').is_none() => break,
                    Some(b'\n' | b'\r') | None => {
                        let found = "one within a cell: is a quote left open?";
                        return malformed("no line break", found);
                    }
                    Some(_) => {}
                }
            }
            let ends = |next: &u8| *next == separator || matches!(next, b'\n' | b'\r');
            if !bytes.peek().is_none_or(ends) {
                return malformed(
                    "the end of a cell at its closing quote",
                    "text behind it: a cell that holds quotes is written as \"\"\"red\"\" car\"",
                );
            }
        }
        opens = byte == separator || matches!(byte, b'\n' | b'\r');
        line += u64::from(byte == b'\n');
    }
    Ok(())
}

fn first_repeated<S: AsRef<str>>(names: &[S]) -> Option<&str> {
    let mut seen = HashSet::new();
    names
        .iter()
        .map(AsRef::as_ref)
        .find(|name| !seen.insert(*name))
}

/// Counts lines up to a record. The `csv` crate's own count leaves out empty lines that stand before it.
struct Lines<'b> {
    text: &'b [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of a record that stands behind all those asked for before.
    fn line_of(&mut self, position: Option<&csv::Position>) -> u64 {
        let byte = position
            .and_then(|position| usize::try_from(position.byte()).ok())
            .unwrap_or(0);
        let passed = self.text.get(self.at..byte).unwrap_or_default();
        let behind = self.text.get(self.at + passed.len()..).unwrap_or_default();
        let empty = behind
            .iter()
            .take_while(|byte| matches!(byte, b'\n' | b'\r'))
            .count();
        let end = self.at + passed.len() + empty;
        let crossed = self.text.get(self.at..end).unwrap_or_default();
        self.line += crossed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.at = end;
        self.line
    }
}

fn from_csv(error: csv::Error, lines: &mut Lines<'_>) -> Error {
    let line = lines.line_of(error.position());
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            let found = format!("other bytes in cell {}", err.field() + 1);
            Error::malformed(format!("line {line}"), "UTF-8 text", found)
        }
        _ => io_of(error).into(),
    }
}

/// Reading from memory and writing known widths leave only the operating system's errors.
fn io_of(error: csv::Error) -> io::Error {
    error.into()
}
