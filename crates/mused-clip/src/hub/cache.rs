//! The hub's cache of one model.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

pub(super) struct Cache {
    /// `…/models--ORG--NAME`
    folder: PathBuf,
    revision: String,
}

/// Whether a name can be part of a path without leaving its folder.
fn plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
}

fn checked(what: &'static str, name: &str, parts: usize) -> Result<()> {
    let count = name.split('/').count();
    if (1..=parts).contains(&count) && name.split('/').all(plain) {
        return Ok(());
    }
    Err(Error::Mismatch {
        what,
        expected: "letters, digits, `-`, `_` and `.`".into(),
        found: format!("`{name}`"),
    })
}

impl Cache {
    pub(super) fn open(root: &Path, id: &str, revision: &str) -> Result<Self> {
        checked("model", id, 2)?;
        checked("revision", revision, 4)?;
        Ok(Self {
            folder: root.join(format!("models--{}", id.replace('/', "--"))),
            revision: revision.to_owned(),
        })
    }

    /// A file of the revision last seen, or of the commit the revision is.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let reference = self.folder.join("refs").join(&self.revision);
        let commit = fs::read_to_string(reference);
        let commit = commit.unwrap_or_else(|_| self.revision.clone());
        let path = self.snapshot(commit.trim(), name).ok()?;
        path.is_file().then_some(path)
    }

    fn snapshot(&self, commit: &str, name: &str) -> Result<PathBuf> {
        checked("commit", commit, 1)?;
        checked("file", name, 1)?;
        Ok(self.folder.join("snapshots").join(commit).join(name))
    }

    /// Where contents of this hash belong; their folder exists afterwards.
    pub(super) fn blob(&self, etag: &str) -> Result<PathBuf> {
        checked("ETag", etag, 1)?;
        let folder = self.folder.join("blobs");
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok(folder.join(etag))
    }

    /// The file's place in the snapshot, if its contents are in the cache; remembers what the revision is.
    pub(super) fn place(&self, commit: &str, name: &str, etag: &str) -> Result<Option<PathBuf>> {
        let blob = self.blob(etag)?;
        let path = self.snapshot(commit, name)?;
        if !blob.is_file() {
            return Ok(None);
        }
        if self.revision != commit {
            let reference = self.folder.join("refs").join(&self.revision);
            if let Some(folder) = reference.parent() {
                fs::create_dir_all(folder).map_err(Error::io(folder))?;
            }
            mused_formats::replace_file(&reference, commit.as_bytes())?;
        }
        if path.is_file() {
            return Ok(Some(path));
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        // A link left behind by contents that are gone.
        if path.is_symlink() {
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
        link(&blob, etag, &path)?;
        Ok(Some(path))
    }
}

/// A relative link to the contents, as the official client makes, or a copy where there are no links.
fn link(blob: &Path, etag: &str, path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        let target = Path::new("..").join("..").join("blobs").join(etag);
        if std::os::unix::fs::symlink(target, path).is_ok() {
            return Ok(());
        }
    }
    #[cfg(not(unix))]
    let _ = etag;
    Ok(mused_formats::copy_file(blob, path)?)
}
