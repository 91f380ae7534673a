//! `mused-fuzz TARGET [--executions N] [--seed S]`: tries many mutated inputs, and keeps those that break a target.
//!
//! The inputs are tried in a process of their own, which may be killed by what it is given.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use mused_fuzz::{Fault, TARGETS, Target, execute, mutated};

/// An input that takes longer is kept as one that hangs.
const LONGEST: Duration = Duration::from_secs(20);
/// As many different faults are kept of a target.
const MOST_FAULTS: usize = 20;

#[derive(Parser)]
struct Args {
    /// A parser, or `all` of them one after the other.
    target: String,
    /// How many inputs.
    #[arg(long, default_value_t = 100_000)]
    executions: u64,
    /// Which inputs.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The number of the first one.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Where the number of each input is written before it is tried: the process that tries them.
    #[arg(long, hide = true)]
    progress: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let targets: Vec<&Target> = match args.target.as_str() {
        "all" => TARGETS.iter().collect(),
        name => Target::named(name).into_iter().collect(),
    };
    if targets.is_empty() {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!(
            "no target `{}`; there is: all, {}",
            args.target,
            names.join(", ")
        );
        return ExitCode::from(2);
    }
    let mut faults = 0;
    for target in targets {
        let tried = match &args.progress {
            Some(progress) => attack(target, &args, progress),
            None => supervise(target, &args),
        };
        match tried {
            Ok(found) => faults += found,
            Err(error) => {
                eprintln!("{}: {error}", target.name);
                return ExitCode::FAILURE;
            }
        }
    }
    match faults {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Tries the inputs in processes of their own; how many break the target.
fn supervise(target: &Target, args: &Args) -> io::Result<usize> {
    let started = Instant::now();
    let progress = std::env::temp_dir().join(format!("mused-fuzz-{}", std::process::id()));
    let end = args.first + args.executions;
    let (mut first, mut faults) = (args.first, 0);
    while first < end && faults < MOST_FAULTS {
        fs::write(&progress, first.to_le_bytes())?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg(target.name)
            .args(["--executions", &(end - first).to_string()])
            .args(["--first", &first.to_string()])
            .args(["--seed", &args.seed.to_string()])
            .arg("--progress")
            .arg(&progress)
            .spawn()?;
        let status = watched(&mut child, &progress)?;
        match status.and_then(|status| status.code()) {
            // It came to the end, and has told of what it found.
            Some(code @ (0 | 1)) => {
                faults += usize::from(code == 1);
                break;
            }
            _ => {
                let index = number(&progress)?;
                let why = status.map_or("took too long".to_owned(), |status| status.to_string());
                keep(target, &input(target, args.seed, index), &why)?;
                faults += 1;
                first = index + 1;
            }
        }
    }
    fs::remove_file(&progress)?;
    let (name, seconds) = (target.name, started.elapsed().as_secs_f64());
    println!(
        "{name}\t{} inputs\t{seconds:.0} s\t{faults} faults",
        args.executions
    );
    Ok(faults)
}

/// How a process ended; `None` where it hung and was ended.
fn watched(child: &mut Child, progress: &Path) -> io::Result<Option<ExitStatus>> {
    let (mut last, mut since) = (u64::MAX, Instant::now());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let now = number(progress)?;
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > LONGEST {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(Duration::from_millis(100));
    }
}

fn number(progress: &Path) -> io::Result<u64> {
    let bytes = fs::read(progress)?;
    Ok(bytes
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}

fn input(target: &Target, seed: u64, index: u64) -> Vec<u8> {
    mutated(&(target.seeds)(), seed, index)
}

/// Tries the inputs here; 1 where one breaks the target.
fn attack(target: &Target, args: &Args, progress: &Path) -> io::Result<usize> {
    let seeds = (target.seeds)();
    let mut progress = File::options().write(true).open(progress)?;
    let mut known = BTreeSet::new();
    for index in args.first..args.first + args.executions {
        io::Seek::rewind(&mut progress)?;
        progress.write_all(&index.to_le_bytes())?;
        let input = mutated(&seeds, args.seed, index);
        let Err(fault) = execute(target, &input) else {
            continue;
        };
        let kind = match &fault {
            Fault::Panicked(why) => why.lines().next().unwrap_or_default().to_owned(),
            Fault::TooLarge { .. } => "memory".to_owned(),
        };
        if known.insert(kind) && known.len() <= MOST_FAULTS {
            keep(
                target,
                &smaller(target, input, &fault),
                &format!("{fault:?}"),
            )?;
        }
    }
    Ok(usize::from(!known.is_empty()))
}

/// The same fault by fewer bytes: parts are left out as long as it stays one of its kind.
fn smaller(target: &Target, mut input: Vec<u8>, fault: &Fault) -> Vec<u8> {
    let same = |input: &[u8]| match (execute(target, input), fault) {
        (Err(Fault::Panicked(now)), Fault::Panicked(then)) => {
            now.lines().next() == then.lines().next()
        }
        (Err(Fault::TooLarge { .. }), Fault::TooLarge { .. }) => true,
        _ => false,
    };
    let mut size = input.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < input.len() {
            let mut fewer = input.clone();
            fewer.drain(at..(at + size).min(input.len()));
            if same(&fewer) {
                input = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    input
}

fn keep(target: &Target, input: &[u8], why: &str) -> io::Result<()> {
    let folder = target.regressions();
    fs::create_dir_all(&folder)?;
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = folder.join(format!("{hash:016x}"));
    fs::write(&path, input)?;
    println!(
        "{}: {why}\n  {} ({} bytes)",
        target.name,
        path.display(),
        input.len()
    );
    Ok(())
}
