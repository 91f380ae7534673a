use std::process::ExitCode;

use mused::data::Dataset;
use mused::train::predict;

use super::Cpu;
use crate::args::PredictArgs;

pub(crate) fn run(args: &PredictArgs) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::open(&args.dataset)?;
    let rows = predict::<Cpu>(&args.run, &dataset, &args.out)?;
    let table = args.out.with_extension("tsv");
    println!(
        "{}: {rows} rows, listed in {}",
        args.out.display(),
        table.display()
    );
    Ok(ExitCode::SUCCESS)
}
