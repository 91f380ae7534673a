//! The `mused` binary.

use std::process::ExitCode;

#[global_allocator]
static HEAP: mused_kernels::Heap = mused_kernels::Heap;

fn main() -> ExitCode {
    mused_kernels::share_heap();
    mused::command_line::main(std::env::args_os())
}
