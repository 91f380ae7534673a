use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::sync_folder;

/// Those at work in this process.
static AT_WORK: Mutex<Vec<Arc<Written>>> = Mutex::new(Vec::new());
/// As many syncs wait for the disk at a time.
const AT_A_TIME: usize = 16;

/// Files that are brought to disk together: a disk takes many at once in the time of one.
///
/// While it lives, what is written below its folders, by whichever thread, is not synced file by file but by
/// [`sync`](Self::sync). A power cut before may leave zeros, a part or nothing under each name, in any order: who reads
/// these files must notice, or find no sign that they were done.
#[derive(Debug)]
pub struct Together(Arc<Written>);

#[derive(Debug, Default)]
struct Written {
    folders: Mutex<Vec<PathBuf>>,
    /// Files, and folders whose names changed, since the last sync.
    waiting: Mutex<BTreeSet<PathBuf>>,
}

/// For no folder yet.
impl Default for Together {
    fn default() -> Self {
        let together = Self(Arc::default());
        lock(&AT_WORK).push(Arc::clone(&together.0));
        together
    }
}

impl Together {
    /// For no folder yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over what is written at `folder` and below from now on.
    pub fn include(&self, folder: impl Into<PathBuf>) {
        lock(&self.0.folders).push(folder.into());
    }

    /// Brings all that was written to disk. What was moved or removed since has no need of it.
    ///
    /// # Errors
    /// Of the disk.
    pub fn sync(&self) -> io::Result<()> {
        let waiting = std::mem::take(&mut *lock(&self.0.waiting));
        let waiting = Mutex::new(waiting.into_iter());
        let work = || {
            while let Some(path) = { lock(&waiting).next() } {
                match sync(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    synced => synced?,
                }
            }
            Ok(())
        };
        let threads = lock(&waiting).len().min(AT_A_TIME);
        thread::scope(|scope| {
            // Where there are no more threads, those that there are do it all.
            let more = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            let others: Vec<_> = (1..threads).filter_map(more).collect();
            let own = work();
            let mut ended = others.into_iter().map(|other| other.join());
            let early = |_| Err(io::Error::other("a sync ended early"));
            own.and(ended.try_for_each(|end| end.unwrap_or_else(early)))
        })
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        lock(&AT_WORK).retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}

/// Who brings a file or a name to disk later.
pub(crate) struct Later(Arc<Written>);

impl Later {
    /// Of what is written at `path`, if anybody does.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let at_work = lock(&AT_WORK);
        let of = at_work.iter().find(|written| {
            let folders = lock(&written.folders);
            folders.iter().any(|folder| path.starts_with(folder))
        });
        of.map(|written| Self(Arc::clone(written)))
    }

    /// Has a file that is there under its name, or a folder whose names have changed, wait for the next sync.
    pub(crate) fn wait(&self, path: &Path) {
        lock(&self.0.waiting).insert(path.to_owned());
    }
}

fn sync(path: &Path) -> io::Result<()> {
    match path.is_dir() {
        true => sync_folder(path),
        // Windows asks for the right to write.
        false => File::options().write(true).open(path)?.sync_all(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{make_folder, replace_file};

    #[test]
    fn files_of_a_folder_wait_for_each_other() {
        let root = tempfile::TempDir::new().unwrap();
        let [inside, beside] = ["inside", "inside-not"].map(|name| root.path().join(name));
        let together = Together::new();
        together.include(&inside);
        let waiting = || {
            lock(&together.0.waiting)
                .iter()
                .cloned()
                .collect::<Vec<_>>()
        };
        for folder in [&inside, &beside] {
            make_folder(folder.join("deep")).unwrap();
            replace_file(folder.join("deep/file"), b"content").unwrap();
            replace_file(folder.join("deep/removed"), b"content").unwrap();
            std::fs::remove_file(folder.join("deep/removed")).unwrap();
        }
        let expected = [
            "",
            "inside",
            "inside/deep",
            "inside/deep/file",
            "inside/deep/removed",
        ];
        assert_eq!(
            waiting(),
            expected.map(|name| root.path().join(name).components().collect::<PathBuf>())
        );
        together.sync().unwrap();
        assert!(waiting().is_empty());
        drop(together);
        assert!(Later::of(&inside.join("deep/file")).is_none());
    }
}
