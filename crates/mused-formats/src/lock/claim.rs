use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use super::Locked;

/// What a lock's file says of its holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Which process, where and since when.
    pub holder: String,
    /// How long it had been at work at its last sign of life, by its own clock.
    pub at_work: Duration,
    /// How many thousandth parts of its work are done, as far as it tells.
    pub done: u32,
    /// The kernel that it runs under; empty of earlier versions.
    kernel: String,
}

impl Claim {
    /// What the lock `path` says of its holder; `None` where nobody has it.
    pub fn read(path: impl AsRef<Path>) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        Self::of(&mut file).ok()
    }

    /// Whether its process runs on this machine, as far as can be told from here.
    pub fn ended_here(&self) -> bool {
        let process = self.holder.strip_prefix("process ");
        let id = process.and_then(|rest| rest.split(' ').next());
        let gone = |id: &str| !Path::new("/proc").join(id).exists();
        !self.elsewhere() && Path::new("/proc/self").exists() && id.is_some_and(gone)
    }

    pub(super) fn of(file: &mut File) -> io::Result<Self> {
        let mut text = String::new();
        file.take(1000).read_to_string(&mut text)?;
        let mut lines = text.lines();
        let holder = lines.next().unwrap_or_default().trim().to_owned();
        let mut words = lines.flat_map(str::split_whitespace);
        let kernel = words.find(|word| *word == "kernel").and(words.next());
        let mut numbers = words.clone().filter_map(|word| word.parse::<u64>().ok());
        Ok(Self {
            holder,
            kernel: kernel.unwrap_or_default().to_owned(),
            at_work: Duration::from_millis(numbers.next().unwrap_or(0)),
            done: numbers.next().map_or(0, |done| done.min(1000) as u32),
        })
    }

    /// Whether the kernel's lock does not tell that it is gone: it is of another machine, or being written.
    pub(super) fn elsewhere(&self) -> bool {
        self.holder.is_empty() || (!self.kernel.is_empty() && self.kernel != kernel())
    }

    pub(super) fn holder(self) -> Locked {
        Locked::Other(match self.holder.as_str() {
            "" => "another process".to_owned(),
            _ => self.holder,
        })
    }
}

/// What tells this start of this machine's kernel from all others, containers on it included; empty where there is no telling.
pub(super) fn kernel() -> &'static str {
    static KERNEL: OnceLock<String> = OnceLock::new();

    let read = || fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    KERNEL.get_or_init(|| read().trim().to_owned())
}
