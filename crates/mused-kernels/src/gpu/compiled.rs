//! What was compiled for a GPU stays on disk for the next run.

use std::env::{current_exe, var_os};
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig as _};

use crate::device::{Found, gpus};

/// Asks the engine to keep the kernels it compiles for NVIDIA's GPUs in the user's cache folder (`$XDG_CACHE_HOME/mused`, else
/// `~/.cache/mused`): the first step of a run takes up to 30 s without, a fraction of a second with them.
///
/// Another build of the program, or another GPU, has a folder of its own: kernels are told apart by their names there, not by
/// what they do. Does nothing where there is no such folder, or once a GPU was used.
pub fn keep_compiled_kernels() {
    let (Some(cache), Ok(build)) = (cache(), fingerprint()) else {
        return;
    };
    let folder = cache.join("mused").join(format!("kernels-{build:016x}"));
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

/// Of this program and of the GPUs that are here.
fn fingerprint() -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut program = File::open(current_exe()?)?;
    let mut piece = vec![0; 1 << 16];
    loop {
        let read = program.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hasher.write(&piece[..read]);
    }
    let names = |found: Found| (found.by, found.name);
    gpus()
        .into_iter()
        .map(names)
        .for_each(|name| name.hash(&mut hasher));
    Ok(hasher.finish())
}
