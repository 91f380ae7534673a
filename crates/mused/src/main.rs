//! The `mused` binary: thin verbs over the library.

#[macro_use]
mod terminal;
mod args;
mod bars;
mod commands;
mod signals;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    // clap itself ends with 2 on wrong usage and 0 after help.
    let cli = Cli::parse();
    if cli.quiet {
        terminal::hush();
    }
    let shows = !cli.command.saves();
    let done = match cli.command {
        Command::Demo(args) => commands::demo::run(&args),
        Command::Try(args) => commands::first_look::run(&args),
        Command::Simulate(args) => commands::simulate::run(&args),
        Command::Import(args) => commands::import::run(&args),
        Command::Completions { shell } => commands::manual::completions(shell),
        Command::Man { out } => commands::manual::pages(&out),
        Command::Devices => commands::devices::run(),
        Command::Info(args) => commands::info::run(&args),
        Command::Audit(args) => commands::audit::run(&args),
        Command::Benchmark(args) => commands::benchmark::run(&args),
        Command::Curve(args) => commands::curve::run(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::Evaluate(args) => commands::evaluate::run(&args),
        Command::Features(args) => commands::features::run(&args),
        Command::Rdm(args) => commands::rdm::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Config(args) => commands::config::run(&args),
        Command::Permute(args) => commands::permute::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Retrieve(args) => commands::retrieve::run(&args),
        Command::Words(args) => commands::words::run(&args),
        Command::Adapt(args) => commands::adapt::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::ImportCheckpoint(args) => commands::checkpoint::import(&args),
        Command::ExportCheckpoint(args) => commands::checkpoint::export(&args),
        Command::Map(args) => commands::map::run(&args),
    };
    match done {
        // What is in files is whole, whoever listened.
        Ok(code) if code == ExitCode::SUCCESS && shows && terminal::lost() => {
            eprintln!("mused: standard output could not be written to its end");
            ExitCode::FAILURE
        }
        Ok(code) => code,
        Err(error) => {
            let mut message = error.to_string();
            for cause in error.chain().skip(1).map(ToString::to_string) {
                // Library errors tell their cause themselves.
                if !message.ends_with(&cause) {
                    message = format!("{message}: {cause}");
                }
            }
            eprintln!("mused: {message}");
            ExitCode::FAILURE
        }
    }
}
