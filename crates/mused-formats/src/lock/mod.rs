//! Rights to be the only writer of something.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::SystemTime;

mod claim;
#[cfg(unix)]
mod shared;
#[cfg(not(unix))]
mod single;

pub use claim::Claim;
#[cfg(unix)]
pub use shared::Lock;
#[cfg(not(unix))]
pub use single::Lock;

/// What there is where somebody asks for a [`Lock`].
#[derive(Debug)]
pub enum Locked {
    /// It is free, and the caller's now.
    Own(Lock),
    /// Another process has it: which, where and since when, as far as it wrote that.
    Other(String),
}

fn this_process() -> impl Display {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => String::new(),
        host => format!(" on {host}"),
    };
    let since = humantime::format_rfc3339_seconds(SystemTime::now());
    format!("process {}{host} (since {since})", std::process::id())
}

/// Opens a file, which is made where it is missing, and says whether it is this caller's alone until it is closed.
pub(crate) fn open_alone(path: &Path) -> io::Result<(File, bool)> {
    loop {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok((file, false)),
            // Some file systems of clusters have no locks: nothing is kept out there.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        // Whoever had it may have moved or removed it meanwhile.
        if is_at(&file, path)? {
            return Ok((file, true));
        }
    }
}

/// Whether an open file is the one that has this name.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt as _;

    let file_of = |found: Metadata| (found.dev(), found.ino());
    let same =
        || -> io::Result<bool> { Ok(file_of(file.metadata()?) == file_of(fs::metadata(path)?)) };
    match same() {
        // Some file systems do not find a file any more that is open and was removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        same => same,
    }
}

#[cfg(not(unix))]
pub(crate) fn is_at(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_at_a_time_and_leaves_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("lock");
        // A process that was killed left its file.
        fs::write(&path, "process 1 on elsewhere").unwrap();
        let Locked::Own(lock) = Lock::take(&path).unwrap() else {
            panic!("nobody has it");
        };
        let Locked::Other(holder) = Lock::take(&path).unwrap() else {
            panic!("two have it");
        };
        let own = format!("process {}", std::process::id());
        assert!(
            holder.starts_with(&own) && holder.contains("since 2"),
            "{holder}"
        );
        drop(lock);
        assert!(!path.exists());
        assert!(matches!(Lock::take(&path).unwrap(), Locked::Own(_)));
    }

    /// Who opened the file before it was removed does not hold the lock of the one made since.
    #[test]
    fn threads_take_turns() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("lock");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        if let Locked::Own(_lock) = Lock::take(&path).unwrap() {
                            let others = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            assert_eq!(others, 0);
                            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        }
                    }
                });
            }
        });
    }
}
