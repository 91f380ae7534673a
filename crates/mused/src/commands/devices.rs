use std::process::ExitCode;

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    for found in mused::devices() {
        println!("{found}");
    }
    if cfg!(not(any(feature = "gpu", feature = "cuda"))) {
        println!(
            "this build of mused runs on the processor alone: build it with `--features cuda` for GPUs of NVIDIA, with \
             `--features gpu` for Vulkan, and Metal on macOS"
        );
    }
    Ok(ExitCode::SUCCESS)
}
