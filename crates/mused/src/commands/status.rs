use std::collections::HashMap;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use mused::formats::{Claim, quoted};
use mused::plan::{Plan, Standing, numbers};

use crate::args::StatusArgs;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// Lines of one kind that are shown.
const MOST_LINES: usize = 20;

pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::open(&args.plan)?;
    let mut moved = HashMap::new();
    loop {
        let standing = plan.status();
        let failed = standing.iter().any(|of| matches!(of, Standing::Failed(_)));
        print(&plan, &standing, &mut moved);
        let left = |of: &Standing| matches!(of, Standing::Running(_) | Standing::Waiting);
        if !args.watch || !standing.iter().any(left) {
            return Ok(if failed {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            });
        }
        thread::sleep(EVERY);
        println!();
    }
}

/// When a claim was last seen to move, by the clock here.
type Moved = HashMap<usize, (Claim, Instant)>;

fn print(plan: &Plan, standing: &[Standing], moved: &mut Moved) {
    let all = || (1..).zip(standing);
    let of = |kind: fn(&Standing) -> bool| -> Vec<usize> {
        let tasks = all().filter(|(_, standing)| kind(standing));
        tasks.map(|(task, _)| task).collect()
    };
    let done = of(|of| matches!(of, Standing::Done));
    let running = of(|of| matches!(of, Standing::Running(_)));
    let failed = of(|of| matches!(of, Standing::Failed(_)));
    let waiting = of(|of| matches!(of, Standing::Waiting));
    println!(
        "{} tasks: {} done, {} running, {} failed, {} waiting",
        standing.len(),
        done.len(),
        running.len(),
        failed.len(),
        waiting.len()
    );
    let lines = all().filter_map(|(task, standing)| match standing {
        Standing::Running(claim) => {
            Some(format!("running {task}: {}", described(task, claim, moved)))
        }
        _ => None,
    });
    shown(lines.collect());
    let lines = all().filter_map(|(task, standing)| match standing {
        Standing::Failed(why) => Some(format!("failed {task}: {why}")),
        _ => None,
    });
    shown(lines.collect());
    let submit = quoted(plan.submit_path());
    for (what, tasks) in [("failed", failed), ("waiting", waiting)] {
        if !tasks.is_empty() {
            println!("{what} again: sbatch --array={} {submit}", numbers(&tasks));
        }
    }
}

fn shown(lines: Vec<String>) {
    for line in lines.iter().take(MOST_LINES) {
        println!("{line}");
    }
    if lines.len() > MOST_LINES {
        println!("… and {} more", lines.len() - MOST_LINES);
    }
}

fn described(task: usize, claim: &Claim, moved: &mut Moved) -> String {
    let whole = |time: Duration| humantime::format_duration(Duration::from_secs(time.as_secs()));
    let seen = moved
        .entry(task)
        .or_insert_with(|| (claim.clone(), Instant::now()));
    if seen.0 != *claim {
        *seen = (claim.clone(), Instant::now());
    }
    let still = seen.1.elapsed();
    let mut text = format!("{}, at work {}", claim.holder, whole(claim.at_work));
    if claim.done > 0 {
        let left = claim
            .at_work
            .mul_f64(f64::from(1000 - claim.done) / f64::from(claim.done));
        text += &format!(
            ", {:.0} %, ETA {}",
            f64::from(claim.done) / 10.0,
            whole(left)
        );
    }
    // The process gives a sign every few seconds.
    if still > 6 * EVERY {
        text += &format!(", no sign of life for {}", whole(still));
    }
    text
}
