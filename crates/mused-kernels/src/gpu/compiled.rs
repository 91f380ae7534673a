//! What was compiled for a GPU stays on disk for the next run.

use std::env::{current_exe, var_os};
use std::fs::{self, create_dir_all};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig as _};

use crate::device::{Found, gpus};

/// Bytes that what is compiled for a network takes at most: 4.5 MB for the largest measured.
const ROOM: usize = 16 << 20;

/// Asks the engine to keep the kernels it compiles for NVIDIA's GPUs in the user's cache folder (`$XDG_CACHE_HOME/mused`, else
/// `~/.cache/mused`): the first step of a run takes up to 30 s without, a fraction of a second with them.
///
/// Another build of the program, another GPU, driver or machine has a folder of its own: kernels are told apart by their
/// names there, not by what they do, and what one driver compiled another may refuse. Does nothing where there is no room for
/// them, or once a GPU was used.
pub fn keep_compiled_kernels() {
    let (Some(cache), Ok(build)) = (cache(), fingerprint()) else {
        return;
    };
    let folder = cache.join("mused").join(format!("kernels-{build:016x}"));
    // The engine panics where it cannot write.
    if has_room(&folder).is_err() {
        return;
    }
    let mut state = CubeClRuntimeConfig::storage().lock();
    if state.is_none() {
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        config
            .compilation
            .cache
            .get_or_insert(CacheConfig::File(folder));
        *state = Some(Arc::new(config));
    }
}

fn cache() -> Option<PathBuf> {
    let absolute = |folder: PathBuf| folder.is_absolute().then_some(folder);
    let of = |name| var_os(name).map(PathBuf::from).and_then(absolute);
    let home = || of("HOME").map(|home| home.join(".cache"));
    of("XDG_CACHE_HOME")
        .or_else(|| of("LOCALAPPDATA"))
        .or_else(home)
}

fn has_room(folder: &Path) -> io::Result<()> {
    create_dir_all(folder)?;
    let room = folder.join(format!("room-{}", process::id()));
    let written = fs::write(&room, vec![0; ROOM]);
    fs::remove_file(room).and(written)
}

/// Of this program and of what it runs on.
fn fingerprint() -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write(&fs::read(current_exe()?)?);
    let names = |found: Found| (found.by, found.name);
    gpus()
        .into_iter()
        .map(names)
        .for_each(|name| name.hash(&mut hasher));
    driver().hash(&mut hasher);
    // Homes are shared by the machines of a cluster.
    fs::read("/proc/sys/kernel/hostname").ok().hash(&mut hasher);
    Ok(hasher.finish())
}

/// The version of NVIDIA's driver.
fn driver() -> i32 {
    let mut version = 0;
    #[allow(unsafe_code)]
    // SAFETY: writes one number, into `version`; where it fails that stays 0.
    let _ = unsafe { cudarc::driver::sys::cuDriverGetVersion(&mut version) };
    version
}
