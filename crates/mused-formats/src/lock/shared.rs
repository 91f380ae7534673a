//! Locks that hold on network file systems too, where those of a kernel may not reach its neighbours.
//!
//! A lock is a file that is there as long as it is held. It appears under its name whole, by a hard link, which one process
//! alone is granted on any file system. The kernel's lock on it tells at once, on the same machine, that its holder is gone.
//! Elsewhere a sign of life does: the holder rewrites how long it has been at work, and who wants the lock watches whether
//! that moves. No clocks of two machines are compared.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::claim::{Claim, kernel};
use super::{Locked, is_at, this_process};
use crate::{Error, Result};

/// How often a holder gives a sign of life, and how long none must come for it to count as dead.
#[derive(Clone, Copy)]
struct Pace {
    sign: Duration,
    dead: Duration,
}

const PACE: Pace = Pace {
    sign: Duration::from_secs(5),
    dead: Duration::from_secs(120),
};

/// The right to be the only writer of something: held by one process at a time, and gone with it however it ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: Arc<File>,
    shown: Arc<Shown>,
    /// Ends the signs of life when it goes.
    end: Option<Sender<()>>,
    signs: Option<JoinHandle<()>>,
}

/// What a watcher sees of a claim.
enum Sign {
    OfLife,
    None,
    Gone,
}

/// What the holder and its signs of life share.
#[derive(Debug)]
struct Shown {
    holder: String,
    done: AtomicU32,
    lost: AtomicBool,
}

impl Lock {
    /// Takes the lock that the file `path` stands for. Where a process of another machine has it, this waits for a sign of
    /// life: seconds; two minutes where none comes and it is taken over.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub fn take(path: impl AsRef<Path>) -> Result<Locked> {
        let path = path.as_ref();
        take(path, Some(PACE)).map_err(|error| Error::from(error).in_file(path))
    }

    /// As [`Self::take`] without waiting: processes of other machines count as alive.
    ///
    /// # Errors
    /// As there.
    pub fn take_at_once(path: impl AsRef<Path>) -> Result<Locked> {
        let path = path.as_ref();
        take(path, None).map_err(|error| Error::from(error).in_file(path))
    }

    /// Shows with the next sign of life how much of the work is done, in thousandth parts.
    pub fn tell(&self, done: u32) {
        self.shown.done.store(done.min(1000), Ordering::Relaxed);
    }

    /// Whether another process has taken it over, because this one gave no sign of life: what it stands for must not be
    /// written any more.
    pub fn is_lost(&self) -> bool {
        let held = || self.shown.is_held(&self.file, &self.path);
        self.shown.lost.load(Ordering::Relaxed) || !held().unwrap_or(true)
    }

    /// The lock whose file is this draft, which has the lock's name now.
    fn begin(draft: Draft, path: &Path, sign: Duration) -> io::Result<Self> {
        let (file, shown) = (Arc::new(draft.file), Arc::new(draft.shown));
        let (end, ended) = channel();
        let mut lock = Self {
            path: path.to_owned(),
            file: Arc::clone(&file),
            shown: Arc::clone(&shown),
            end: Some(end),
            signs: None,
        };
        Draft::sweep(path);
        let (path, since) = (path.to_owned(), draft.since);
        let signs = move || {
            while ended.recv_timeout(sign) == Err(RecvTimeoutError::Timeout) {
                // What cannot be written now may be next time; a lock that is not there any more is lost.
                let _ = file
                    .write_all_at(shown.text(since.elapsed()).as_bytes(), 0)
                    .and_then(|()| file.sync_data());
                if !shown.is_held(&file, &path).unwrap_or(true) {
                    shown.lost.store(true, Ordering::Relaxed);
                }
            }
        };
        lock.signs = Some(thread::Builder::new().spawn(signs)?);
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(signs) = self.signs.take() {
            let _ = signs.join();
        }
        // Nobody else takes what is held: it is this one's that is removed.
        if (self.shown.is_held(&self.file, &self.path)).unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Shown {
    /// Whether the lock's name is still that of its file. Where a file is known by its name alone, its content tells.
    fn is_held(&self, file: &File, path: &Path) -> io::Result<bool> {
        if !is_at(file, path)? {
            return Ok(false);
        }
        let claim = Claim::of(&mut File::open(path)?)?;
        Ok(claim.holder == self.holder && !claim.elsewhere())
    }

    /// Of the same length always, so that a sign of life replaces the one before.
    fn text(&self, at_work: Duration) -> String {
        format!(
            "{}\nkernel {}\nat work {:>12} ms, {:>4} of 1000 done\n",
            self.holder,
            kernel(),
            at_work.as_millis(),
            self.done.load(Ordering::Relaxed)
        )
    }
}

/// A lock's file before it has the lock's name.
struct Draft {
    path: PathBuf,
    file: File,
    shown: Shown,
    since: Instant,
}

impl Draft {
    fn new(lock: &Path) -> io::Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);

        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let machine = kernel().chars().take(8).collect::<String>();
        let own = format!(".{machine}-{}-{number}", std::process::id());
        let path = beside(lock, &own);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        let mut draft = Self {
            file: options.open(&path)?,
            path,
            shown: Shown {
                holder: this_process().to_string(),
                done: AtomicU32::new(0),
                lost: AtomicBool::new(false),
            },
            since: Instant::now(),
        };
        let text = draft.shown.text(Duration::ZERO);
        let written = draft.file.write_all(text.as_bytes());
        // Where there are no kernel's locks, signs of life decide alone.
        let _ = draft.file.try_lock();
        match written {
            Ok(()) => Ok(draft),
            Err(error) => {
                let _ = fs::remove_file(&draft.path);
                Err(error)
            }
        }
    }

    /// Gives it the lock's name, unless there is a file of that name. The answer may get lost on the way from a server:
    /// what counts is what is there.
    fn appears(
        &mut self,
        lock: &Path,
        link: impl Fn(&Path, &Path) -> io::Result<()>,
    ) -> io::Result<bool> {
        let linked = link(&self.path, lock);
        let there = is_at(&self.file, lock);
        let made = match (there, linked.map_err(|error| error.kind())) {
            (Ok(true), _) => Ok(true),
            (there, Err(ErrorKind::AlreadyExists)) => there,
            // Somebody swept it away: again.
            (_, Err(ErrorKind::NotFound)) if lock.parent().is_some_and(Path::is_dir) => Ok(false),
            // Some file systems take the link for another file (sshfs), or have no links.
            (_, Ok(())) => {
                self.goes_on_as(File::options().read(true).write(true).open(lock)?, lock)
            }
            (_, Err(ErrorKind::Unsupported | ErrorKind::PermissionDenied)) => {
                let mut options = File::options();
                match options.read(true).write(true).create_new(true).open(lock) {
                    Ok(file) => self.goes_on_as(file, lock),
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                    Err(error) => Err(error),
                }
            }
            (_, Err(kind)) => Err(kind.into()),
        };
        let _ = fs::remove_file(&self.path);
        made
    }

    /// Goes on with the file that has the lock's name, unless a process looks at it: that one takes it for dead.
    fn goes_on_as(&mut self, file: File, lock: &Path) -> io::Result<bool> {
        file.write_all_at(self.shown.text(Duration::ZERO).as_bytes(), 0)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !is_at(&file, lock)? {
            return Ok(false);
        }
        self.file = file;
        Ok(true)
    }

    /// Removes the drafts of those who died before theirs had the lock's name. One of a living process can be locked for a
    /// moment after it was made: it makes another.
    fn sweep(lock: &Path) {
        let (Some(folder), Some(name)) = (lock.parent(), lock.file_name()) else {
            return;
        };
        let here = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        for entry in fs::read_dir(here).into_iter().flatten().flatten() {
            let found = entry.file_name();
            let own = found.to_str().zip(name.to_str());
            let own = own.and_then(|(found, name)| found.strip_prefix(name)?.strip_prefix('.'));
            if !own.is_some_and(is_draft) {
                continue;
            }
            let file = File::options().write(true).open(entry.path());
            if file.is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Whether a name ends as those of drafts do: kernel, process, number.
fn is_draft(end: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = end.rsplitn(3, '-').collect();
    matches!(parts[..], [number, process, kernel] if is_number(number) && is_number(process) && kernel.len() <= 8)
}

fn take(path: &Path, pace: Option<Pace>) -> io::Result<Locked> {
    let sign = pace.unwrap_or(PACE).sign;
    loop {
        let mut file = match File::options().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut draft = Draft::new(path)?;
                match draft.appears(path, |from, to| fs::hard_link(from, to))? {
                    true => return Ok(Locked::Own(Lock::begin(draft, path, sign)?)),
                    false => continue,
                }
            }
            Err(error) => return Err(error),
        };
        let locked = file.try_lock();
        let claim = Claim::of(&mut file)?;
        if matches!(locked, Err(TryLockError::WouldBlock)) {
            return Ok(claim.holder());
        }
        if !is_at(&file, path)? {
            continue;
        }
        // The kernel tells of its own processes; signs of life of others, and where it keeps no locks.
        if locked.is_err() || claim.elsewhere() {
            match pace.map(|pace| watched(path, &claim, pace)) {
                None | Some(Sign::OfLife) => return Ok(claim.holder()),
                Some(Sign::Gone) => continue,
                Some(Sign::None) => {}
            }
        }
        // One of those who found it dead takes its place; whoever comes after that finds another there.
        let Locked::Own(turn) = take(&beside(path, ".next"), pace)? else {
            return Ok(claim.holder());
        };
        if is_at(&file, path)? && Claim::read(path).as_ref() == Some(&claim) {
            let draft = Draft::new(path)?;
            match fs::rename(&draft.path, path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                renamed => renamed?,
            }
            return Ok(Locked::Own(Lock::begin(draft, path, sign)?));
        }
        drop(turn);
    }
}

/// Waits for a claim to move.
fn watched(path: &Path, claim: &Claim, pace: Pace) -> Sign {
    let since = Instant::now();
    loop {
        thread::sleep(pace.sign / 5);
        match Claim::read(path) {
            None => return Sign::Gone,
            Some(now) if now != *claim => return Sign::OfLife,
            Some(_) if since.elapsed() >= pace.dead => return Sign::None,
            Some(_) => {}
        }
    }
}

fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(more);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Pace = Pace {
        sign: Duration::from_millis(1),
        dead: Duration::from_millis(20),
    };

    /// As a process of another machine writes it.
    fn elsewhere(at_work: u64) -> String {
        format!(
            "process 7 on far (since 2026-01-01T00:00:00Z)\nkernel other\nat work {at_work:>12} ms,  250 of 1000 done\n"
        )
    }

    fn own(locked: Locked) -> Lock {
        match locked {
            Locked::Own(lock) => lock,
            Locked::Other(holder) => panic!("{holder} has it"),
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.collect()
    }

    #[test]
    fn the_dead_of_another_machine_are_taken_over_and_the_living_are_not() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, elsewhere(3)).unwrap();
        let claim = Claim::read(&path).unwrap();
        assert_eq!((claim.at_work.as_millis(), claim.done), (3, 250));
        assert!(!claim.ended_here());
        // Who does not wait takes it for alive.
        assert!(
            matches!(take(&path, None).unwrap(), Locked::Other(holder) if holder.contains("on far"))
        );
        let lock = own(take(&path, Some(QUICK)).unwrap());
        assert!(
            Claim::read(&path)
                .unwrap()
                .holder
                .contains(&std::process::id().to_string())
        );
        drop(lock);
        assert_eq!(names(folder.path()), Vec::<String>::new());

        let alive = AtomicBool::new(true);
        fs::write(&path, elsewhere(0)).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let file = File::options().write(true).open(&path).unwrap();
                let mut at_work = 0;
                while alive.load(Ordering::Relaxed) {
                    at_work += 1;
                    file.write_all_at(elsewhere(at_work).as_bytes(), 0).unwrap();
                }
            });
            let found = take(
                &path,
                Some(Pace {
                    dead: Duration::from_secs(60),
                    ..QUICK
                }),
            );
            alive.store(false, Ordering::Relaxed);
            assert!(matches!(found.unwrap(), Locked::Other(_)));
        });
    }

    /// Many find the same dead claim at once: it passes to one.
    #[test]
    fn one_of_many_takes_a_dead_claim_over() {
        for _ in 0..20 {
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("lock");
            fs::write(&path, elsewhere(3)).unwrap();
            // Of one who was killed while it took the place of another.
            fs::write(folder.path().join("lock.next"), elsewhere(2)).unwrap();
            let taken = thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| take(&path, Some(QUICK)).unwrap()))
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect::<Vec<_>>()
            });
            let own = taken
                .iter()
                .filter(|locked| matches!(locked, Locked::Own(_)))
                .count();
            assert!(own <= 1, "{own} have it");
            drop(taken);
            drop(self::own(take(&path, Some(QUICK)).unwrap()));
            assert_eq!(names(folder.path()), Vec::<String>::new());
        }
    }

    /// As sshfs has it, which takes a link for another file, and exFAT, which has none.
    #[test]
    fn file_systems_without_links_have_locks_too() {
        type Link = fn(&Path, &Path) -> io::Result<()>;
        let links: [Link; 2] = [
            |from, to| fs::copy(from, to).map(drop),
            |_, _| Err(ErrorKind::Unsupported.into()),
        ];
        for link in links {
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("lock");
            let mut draft = Draft::new(&path).unwrap();
            assert!(draft.appears(&path, link).unwrap());
            let lock = Lock::begin(draft, &path, QUICK.sign).unwrap();
            assert_eq!(names(folder.path()), ["lock"]);
            assert!(!lock.is_lost());
            assert!(matches!(
                take(&path, Some(QUICK)).unwrap(),
                Locked::Other(_)
            ));
            // Another machine's file, where the name alone tells files apart.
            fs::write(&path, elsewhere(1)).unwrap();
            assert!(lock.is_lost());
            drop(lock);
            assert_eq!(fs::read_to_string(&path).unwrap(), elsewhere(1));
        }
    }

    #[test]
    fn signs_of_life_move_and_a_lock_that_another_took_is_lost() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("lock");
        let lock = own(take(&path, Some(QUICK)).unwrap());
        lock.tell(500);
        while Claim::read(&path).is_none_or(|claim| claim.at_work.is_zero() || claim.done != 500) {
            thread::yield_now();
        }
        assert!(!lock.is_lost());
        fs::remove_file(&path).unwrap();
        fs::write(&path, elsewhere(1)).unwrap();
        assert!(lock.is_lost());
        drop(lock);
        assert_eq!(fs::read_to_string(&path).unwrap(), elsewhere(1));
    }

    #[test]
    fn what_the_dead_prepared_goes_and_the_living_keep_theirs() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            "lock.75d7b0f8-6381-0",
            "lock.txt",
            "lock.a-b-1",
            "other.75d7b0f8-1-0",
        ] {
            fs::write(at(name), "").unwrap();
        }
        let path = at("lock");
        let mut living = Draft::new(&path).unwrap();
        let lock = own(take(&path, Some(QUICK)).unwrap());
        let kept = |name: &str| at(name).exists();
        assert!(!kept("lock.75d7b0f8-6381-0"));
        assert!(
            living.path.exists()
                && ["lock.txt", "lock.a-b-1", "other.75d7b0f8-1-0"].map(kept) == [true; 3]
        );
        drop(lock);
        // Swept away all the same, it is no error: it is made again.
        fs::remove_file(&living.path).unwrap();
        assert!(
            !living
                .appears(&path, |from, to| fs::hard_link(from, to))
                .unwrap()
        );
    }
}
