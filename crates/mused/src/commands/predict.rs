use std::process::ExitCode;

use mused::data::Dataset;
use mused::{Probabilities, Run, predict};

use crate::args::PredictArgs;

pub(crate) fn run(args: &PredictArgs) -> anyhow::Result<ExitCode> {
    args.device.choose()?;
    let dataset = Dataset::open(&args.dataset)?;
    let table = Probabilities::writable(&args.out)?;
    let probabilities = predict(&Run::open(&args.run)?, &dataset)?;
    probabilities.write(&args.out)?;
    println!(
        "{}: {} rows, listed in {}",
        args.out.display(),
        probabilities.rows.len(),
        table.display()
    );
    Ok(ExitCode::SUCCESS)
}
