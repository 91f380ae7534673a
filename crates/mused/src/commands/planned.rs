use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use mused::formats::quoted;
use mused::plan::{Piecewise, Plan, Script, memory_of};

use crate::args::PlanArgs;

/// Writes the runs of a command as tasks, in place of making them.
pub(crate) fn write(
    folder: &Path,
    args: &PlanArgs,
    memory: Option<u64>,
    of: &impl Piecewise,
) -> anyhow::Result<ExitCode> {
    let pieces = of.runs()?;
    let unreadable =
        |word: OsString| anyhow!("{}: a plan can hold words of Unicode alone", word.display());
    let command = env::args_os().skip(1);
    let command = command.map(|word| word.into_string().map_err(unreadable));
    let command = command.collect::<anyhow::Result<_>>()?;
    let plan = Plan::write(folder, command, of, &pieces, args.task_time)?;
    let cpus = args.cpus.into();
    let script = Script {
        mused: env::current_exe()?,
        partition: args.partition.clone(),
        account: args.account.clone(),
        time: args.time,
        memory: memory.or_else(|| memory_of(of.dataset(), &pieces, cpus)),
        cpus,
    };
    plan.write_script(&script)?;
    let quoted_folder = quoted(folder);
    println!(
        "{} runs in {} tasks: {}",
        pieces.len(),
        plan.tasks(),
        plan.jobs_path().display()
    );
    println!(
        "make them with `sbatch {}`, or with `mused work {quoted_folder}` in any number of processes; `mused status \
         {quoted_folder}` says where they stand, and the same command without --plan gathers them",
        quoted(plan.submit_path())
    );
    let on_path = |path: &OsStr| env::split_paths(path).any(|at| at.join("sbatch").is_file());
    if !env::var_os("PATH").is_some_and(|path| on_path(&path)) {
        eprintln!("there is no sbatch on this machine: submit where there is, from the same files");
    }
    Ok(ExitCode::SUCCESS)
}
