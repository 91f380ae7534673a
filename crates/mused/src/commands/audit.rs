use std::process::ExitCode;

use mused::data::audit::{Report, audit};
use mused::data::{Dataset, Published, SplitPlan};
use mused::{Config, Run, audit_run};

use crate::args::AuditArgs;

pub(crate) fn run(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let report = if Run::exists(&args.path) || !Dataset::exists(&args.path) {
        audit_run(&Run::open(&args.path)?)?
    } else {
        let dataset = Dataset::open(&args.path)?;
        let split = Config::default().split;
        let plan = SplitPlan {
            folds: args.folds.filter(|folds| *folds > 1),
            // Whoever names folds asks what they would leak.
            published: match args.folds {
                Some(2..) => Published::Ignore,
                _ => Published::Use,
            },
            test_fraction: split.test_fraction,
            validation_fraction: 0.0,
            seed: split.seed,
        };
        audit(&dataset, &plan.folds(&dataset)?, args.near_duplicate)?
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(if report.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(report: &Report) {
    for finding in &report.findings {
        println!("found: {finding}");
    }
    for skipped in &report.skipped {
        println!("not searched: {skipped}");
    }
    if report.findings.is_empty() {
        println!("no leak found");
    }
}
