use std::process::ExitCode;

use mused::data::Dataset;
use mused::data::map::{self, Quantity};

use crate::args::{MapArgs, QuantityArg};

pub(crate) fn run(args: &MapArgs) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::open(&args.dataset)?;
    let subject = dataset.subject(&args.subject)?;
    let quantity = args.quantity.map(|quantity| match quantity {
        QuantityArg::Mean => Quantity::Mean,
        QuantityArg::Sd => Quantity::Sd,
        QuantityArg::Roi => Quantity::Roi,
        QuantityArg::Repeatability => Quantity::Repeatability,
    });
    let (name, values) = match (quantity, &args.values) {
        (Some(quantity), _) => (quantity.name(), map::compute(&dataset, subject, quantity)?),
        (None, Some(path)) => ("values", map::read_values(&dataset, subject, path)?),
        (None, None) => anyhow::bail!("expected --quantity or --values"),
    };
    map::write(&dataset.subjects[subject], name, &values, &args.out)?;
    if quantity == Some(Quantity::Roi) {
        for (number, roi) in (1..).zip(dataset.roi_names()) {
            println!("{number}\t{roi}");
        }
    }
    eprintln!("{}: written", args.out.display());
    Ok(ExitCode::SUCCESS)
}
