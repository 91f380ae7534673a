use std::env;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser as _;
use mused::plan::{Piecewise, Plan, Worked};

use super::{benchmark, curve, permute, train};
use crate::args::{Cli, Command, WorkArgs};
use crate::bars::TrainingBar;
use crate::signals;

pub(crate) fn run(args: &WorkArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::open(&args.plan)?;
    let (command, folder) = plan.command();
    env::set_current_dir(folder)
        .with_context(|| format!("{}: the plan was made there", folder.display()))?;
    let words = std::iter::once("mused").chain(command.iter().map(String::as_str));
    signals::stop_when_asked()?;
    args.memory.limit();
    args.time.limit();
    let threads = args.threads.count();
    match Cli::try_parse_from(words)?.command {
        Command::Benchmark(of) => {
            work(args, &plan, &benchmark::Asked::new(&of)?.benchmark(threads))
        }
        Command::Train(of) => work(args, &plan, &train::Asked::new(&of)?.models(threads)),
        Command::Curve(of) => work(args, &plan, &curve::Asked::new(&of)?.curve(threads)),
        Command::Permute(of) => work(
            args,
            &plan,
            &permute::Asked::new(&of)?.permutations(threads),
        ),
        _ => bail!(
            "{}: expected a plan of a command that takes --plan",
            args.plan.display()
        ),
    }
}

fn work(args: &WorkArgs, plan: &Plan, of: &impl Piecewise) -> anyhow::Result<ExitCode> {
    plan.check(of)?;
    let progress = |run: &Path| {
        progress!("{}", run.display());
        TrainingBar::new()
    };
    let (tasks, alone) = match args.task {
        Some(task) => (task..=task, true),
        None => (1..=plan.tasks(), false),
    };
    let (mut failed, mut held) = (0, Vec::new());
    for task in tasks {
        if !alone && !args.failed && plan.has_failed(task) {
            failed += 1;
            continue;
        }
        match plan.work(task, of, alone, progress)? {
            Worked::Done => progress!("task {task} is done"),
            Worked::Before if alone => progress!("task {task} was done before"),
            Worked::Before => {}
            Worked::Held(holder) if alone => bail!("task {task}: {holder} is at work on it"),
            Worked::Held(_) => held.push(task),
            Worked::Failed(why) => {
                failed += 1;
                eprintln!("task {task}: {why}");
            }
            Worked::Stopped => {
                eprintln!("stopped and saved; the same command goes on");
                return Ok(signals::exit_code());
            }
        }
    }
    let mut others = 0;
    for task in held {
        // By now it is done, or its process is gone.
        match plan.work(task, of, true, progress)? {
            Worked::Done | Worked::Before => {}
            Worked::Held(_) => others += 1,
            Worked::Failed(why) => {
                failed += 1;
                eprintln!("task {task}: {why}");
            }
            Worked::Stopped => {
                eprintln!("stopped and saved; the same command goes on");
                return Ok(signals::exit_code());
            }
        }
    }
    if !alone {
        println!(
            "{} tasks: {failed} failed, {others} are left to other processes, the others are done",
            plan.tasks()
        );
    }
    Ok(if failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
