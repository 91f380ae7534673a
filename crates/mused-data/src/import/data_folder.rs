//! The data folder: every file read from it, found inside it and accounted for.

use std::collections::HashMap;
use std::fs;
use std::path::{Component as PathPart, Path, PathBuf};

use mused_formats::mat::{MatFile, Variable};
use mused_formats::npy;
use ndarray::ArrayD;

use super::driver::SourceFile;
use super::pattern::{Captured, Component};
use crate::read::read_text;
use crate::{Error, Result};

/// Reads files below one folder; MATLAB files stay open, for they hold many arrays.
pub(crate) struct DataFolder {
    root: PathBuf,
    mat_files: HashMap<PathBuf, MatFile>,
    variables: HashMap<(PathBuf, String), Variable>,
}

impl DataFolder {
    pub(crate) fn new(root: &Path) -> Result<Self> {
        if !root.is_dir() {
            return Err(Error::invalid(
                root,
                "expected the folder with the data, found none",
            ));
        }
        Ok(Self {
            root: root.to_owned(),
            mat_files: HashMap::new(),
            variables: HashMap::new(),
        })
    }

    /// Where `relative` is. A manifest may come from a stranger: it names nothing outside.
    pub(crate) fn path(&self, relative: &str) -> Result<PathBuf> {
        let inside = Path::new(relative)
            .components()
            .all(|part| matches!(part, PathPart::Normal(_) | PathPart::CurDir));
        if !inside || relative.is_empty() {
            return Err(Error::invalid(
                &self.root,
                format!("expected a path inside the data folder, found {relative:?}"),
            ));
        }
        Ok(self.root.join(relative))
    }

    pub(super) fn source(&self, relative: &str) -> Result<SourceFile> {
        Ok(SourceFile {
            path: self.path(relative)?,
            name: relative.to_owned(),
        })
    }

    pub(crate) fn text(&self, relative: &str) -> Result<String> {
        read_text(&self.path(relative)?)
    }

    /// Reads a .npy file, or the value `select` of a .mat file.
    pub(crate) fn array(&mut self, relative: &str, select: Option<&str>) -> Result<ArrayD<f64>> {
        let path = self.path(relative)?;
        match (is_mat(relative), select) {
            (false, None) => Ok(npy::read_npy(path)?),
            (true, Some(select)) => {
                let (variable, rest) = self.variable(path, select)?;
                Ok(variable.array(rest)?)
            }
            (true, None) => Err(Error::invalid(
                path,
                "expected select = \"…\" for a .mat file",
            )),
            (false, Some(select)) => Err(Error::invalid(
                path,
                format!("select = {select:?} is for .mat files alone: remove it"),
            )),
        }
    }

    /// Reads the strings `select` of a .mat file.
    pub(crate) fn strings(&mut self, relative: &str, select: &str) -> Result<Vec<String>> {
        let path = self.path(relative)?;
        if !is_mat(relative) {
            return Err(Error::invalid(
                path,
                "expected a .mat file to select names from",
            ));
        }
        let (variable, rest) = self.variable(path, select)?;
        Ok(variable.strings(rest)?)
    }

    fn variable<'a>(&mut self, path: PathBuf, select: &'a str) -> Result<(&Variable, &'a str)> {
        let (name, rest) = select.split_at(select.find(['[', '.']).unwrap_or(select.len()));
        if !self.mat_files.contains_key(&path) {
            self.mat_files.insert(path.clone(), MatFile::read(&path)?);
        }
        let key = (path, name.to_owned());
        if !self.variables.contains_key(&key) {
            let variable = self.mat_files[&key.0].variable(name)?;
            self.variables.insert(key.clone(), variable);
        }
        Ok((&self.variables[&key], rest))
    }

    /// All files that match a pattern, with what they have at its places, sorted by path.
    pub(crate) fn matching(&self, pattern: &[Component]) -> Result<Vec<(String, Captured)>> {
        let mut found = vec![(String::new(), Captured::default())];
        for component in pattern {
            let mut deeper = Vec::new();
            for (relative, captured) in found {
                let join = |name: &str| {
                    if relative.is_empty() {
                        name.to_owned()
                    } else {
                        format!("{relative}/{name}")
                    }
                };
                match component.literal() {
                    Some(name) => deeper.push((join(name), captured)),
                    None => {
                        for name in self.names(&relative)? {
                            if let Some(captured) = component.captures(&name, &captured) {
                                deeper.push((join(&name), captured));
                            }
                        }
                    }
                }
            }
            found = deeper;
        }
        // A link that leads nowhere is named when it is opened.
        let is_file = |path: PathBuf| path.is_file() || path.is_symlink() && !path.is_dir();
        found.retain(|(relative, _)| is_file(self.root.join(relative)));
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// Names in a folder, none where there is no such folder; a name that is not UTF-8 cannot match
    /// a pattern.
    fn names(&self, relative: &str) -> Result<Vec<String>> {
        let folder = if relative.is_empty() {
            self.root.clone()
        } else {
            self.path(relative)?
        };
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io("cannot list", &folder))? {
            let entry = entry.map_err(Error::io("cannot list", &folder))?;
            names.extend(entry.file_name().into_string());
        }
        Ok(names)
    }
}

fn is_mat(relative: &str) -> bool {
    Path::new(relative)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("mat"))
}
