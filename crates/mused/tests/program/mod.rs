//! The program, run in a folder.

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use tempfile::TempDir;

/// Runs `mused` with arguments between spaces.
pub(crate) fn mused(folder: &TempDir, arguments: &str) -> Assert {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mused"));
    command.current_dir(folder.path());
    command.args(arguments.split_whitespace()).assert()
}
