//! Data outside the repository, for the tests of every crate that are left out unless asked for.

use std::path::{Path, PathBuf};

pub(crate) fn shared(path: &str) -> PathBuf {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let path = root.join(path);
    let what = "this test reads data that are not part of the repository, and they are absent";
    assert!(path.exists(), "{what}: {}", path.display());
    path
}
