use std::f64::consts::PI;

use mused_run::{Schedule, TrainConfig};

/// PyTorch's OneCycleLR defaults: start at 1/25 of the peak, end at 1/10,000 of the start.
const ONE_CYCLE_START: f64 = 1.0 / 25.0;
const ONE_CYCLE_END: f64 = ONE_CYCLE_START / 1e4;

/// Learning rate of step `step` (from 0) of `total`.
pub(crate) fn learning_rate(
    config: &TrainConfig,
    step: usize,
    total: usize,
    steps_per_epoch: usize,
) -> f64 {
    let peak = config.learning_rate;
    if config.schedule == Schedule::OneCycle {
        return peak * one_cycle(step as f64, total as f64, config.warmup);
    }
    let warmup = (config.warmup * total as f64).round();
    let step = step as f64;
    if step < warmup {
        return peak * (step + 1.0) / warmup;
    }
    match config.schedule {
        Schedule::Constant | Schedule::OneCycle => peak,
        Schedule::Cosine => {
            let done = (step - warmup) / (total as f64 - warmup).max(1.0);
            peak * 0.5 * (1.0 + (PI * done).cos())
        }
        Schedule::Step => {
            let epoch = step as usize / steps_per_epoch.max(1);
            peak * config.step_factor.powi((epoch / config.step_epochs) as i32)
        }
    }
}

/// Share of the peak, as PyTorch's OneCycleLR with cosine annealing.
fn one_cycle(step: f64, total: f64, warmup: f64) -> f64 {
    let between =
        |from: f64, to: f64, done: f64| to + (from - to) * 0.5 * (1.0 + (PI * done).cos());
    let top = warmup * total - 1.0;
    if step <= top && top > 0.0 {
        between(ONE_CYCLE_START, 1.0, step / top)
    } else {
        let done = (step - top) / (total - 1.0 - top).max(1.0);
        between(1.0, ONE_CYCLE_END, done.clamp(0.0, 1.0))
    }
}
