use mused_run::EpochRecord;

use crate::sections::Facts;
use crate::table::{Cell, Table};

/// Seconds of each stage.
pub(super) fn table(facts: &Facts<'_>, epochs: &[EpochRecord]) -> Table {
    let mut table = Table::new(&["stage", "seconds"]);
    for (stage, seconds) in stages(facts, epochs) {
        // Times are rounded to seconds where a run starts and ends.
        let seconds = seconds.map(|seconds| (seconds.max(0.0) * 10.0).round() / 10.0);
        table.push([stage.into(), Cell::from(seconds)]);
    }
    table
}

fn stages(facts: &Facts<'_>, epochs: &[EpochRecord]) -> [(&'static str, Option<f64>); 4] {
    let times = || epochs.iter().map(|epoch| epoch.time);
    let first = times().fold(f64::INFINITY, f64::min);
    let last = times().fold(0.0, f64::max);
    let (started, finished) = (facts.started, facts.finished);
    [
        (
            "reading, checks and the first epoch",
            started.map(|started| first - started),
        ),
        ("other epochs of all folds", Some(last - first)),
        (
            "last epoch to the end: predictions",
            finished.map(|finished| finished - last),
        ),
        (
            "whole run",
            started
                .zip(finished)
                .map(|(started, finished)| finished - started),
        ),
    ]
}
