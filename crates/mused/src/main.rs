//! The `mused` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    mused::command_line::main(std::env::args_os())
}
