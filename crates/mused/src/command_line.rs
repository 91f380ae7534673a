//! The command `mused`: thin verbs over the library. The binary calls it, and so does what a Python wheel brings.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use mused_data::Imported;
use mused_formats::refusal;

use crate::args::{Cli, Command};
use crate::{commands, terminal};

/// Does what the arguments say, of which the first is the name of the program; standard output holds results, standard
/// error the rest.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(said) => {
            // Nobody is left to tell.
            let _ = said.print();
            // 2 on wrong usage, 0 after help.
            return ExitCode::from(u8::try_from(said.exit_code()).unwrap_or(2));
        }
    };
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
        Command::Work(args) => commands::work::run(&args),
        Command::Status(args) => commands::status::run(&args),
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
            for cause in error.chain().skip(1) {
                let cause = match cause.downcast_ref::<io::Error>() {
                    Some(refused) => refusal(refused),
                    None => cause.to_string(),
                };
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

/// Makes a dataset as `mused import` does with these arguments, of which the first is the source, in silence.
///
/// # Errors
/// Arguments that `mused import` does not take, in its words; what it could not do.
pub fn import(
    arguments: impl IntoIterator<Item = OsString>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported, ImportError> {
    let before = ["mused", "import"].map(OsString::from);
    let cli = Cli::try_parse_from(before.into_iter().chain(arguments));
    let command = cli
        .map_err(|error| ImportError::Arguments(worded(&error)))?
        .command;
    let Command::Import(args) = command else {
        return Err(ImportError::Arguments(
            "expected a source to import".to_owned(),
        ));
    };
    commands::import::import(&args.source, progress).map_err(|error| {
        match error.downcast::<mused_data::Error>() {
            Ok(error) => ImportError::Data(error),
            Err(other) => ImportError::Arguments(format!("{other:#}")),
        }
    })
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Arguments are at fault.
    #[error("{0}")]
    Arguments(String),
    /// Files are.
    #[error(transparent)]
    Data(#[from] mused_data::Error),
}

/// The first paragraph of what clap says; what follows is usage of the command line.
fn worded(error: &clap::Error) -> String {
    let text = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            "expected a source to import".to_owned()
        }
        _ => error.to_string(),
    };
    let first = text.split("\n\n").next().unwrap_or_default();
    first.trim_start_matches("error: ").trim().to_owned()
}
