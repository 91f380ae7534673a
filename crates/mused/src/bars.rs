use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mused::Progress;
use mused::run::{EpochLosses, ValidationScores};

use crate::{signals, terminal};

/// A bar with rate, ETA and a message on stderr; nothing where stderr is not a terminal.
pub(crate) fn bar(total: usize, unit: &str) -> ProgressBar {
    let template = format!(
        "{{prefix}}{{bar:24}} {{pos}}/{{len}} {unit}  {{per_sec}}  ETA {{eta}}  {{wide_msg}}"
    );
    let style = ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─");
    drawn(ProgressBar::new(total as u64).with_style(style))
}

/// Not drawn where progress is left out.
fn drawn(bar: ProgressBar) -> ProgressBar {
    if terminal::quiet() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

/// A sign of life for work that cannot be counted; nothing where stderr is not a terminal.
pub(crate) fn spinner(doing: &'static str) -> ProgressBar {
    let spinner = drawn(ProgressBar::new_spinner().with_message(doing));
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// Progress of counted work: a bar on a terminal, a line now and then elsewhere.
pub(crate) struct Counter {
    bar: ProgressBar,
    unit: &'static str,
    state: Mutex<CounterState>,
}

struct CounterState {
    started: Instant,
    printed: Instant,
    first: Option<usize>,
    /// What is counted, where that changes.
    of: String,
}

impl Counter {
    pub(crate) fn new(unit: &'static str) -> Self {
        let now = Instant::now();
        let state = CounterState {
            started: now,
            printed: now,
            first: None,
            of: String::new(),
        };
        Self {
            bar: bar(0, unit),
            unit,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn set(&self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        let mut state = lock(&self.state);
        let first = *state.first.get_or_insert(done);
        if self.bar.is_hidden() && state.printed.elapsed() > LINE_EVERY {
            let pace = pace(done - first, total - done, state.started);
            let of = match state.of.as_str() {
                "" => self.unit,
                of => of,
            };
            progress!("{done}/{total} {of}  {pace}");
            state.printed = Instant::now();
        }
    }

    /// As [`Self::set`], of one kind of work after another.
    pub(crate) fn of(&self, what: &str, done: usize, total: usize) {
        let mut state = lock(&self.state);
        if state.of != what {
            what.clone_into(&mut state.of);
            (state.first, state.started) = (None, Instant::now());
            self.bar.set_message(what.to_owned());
            self.bar.reset_eta();
        }
        drop(state);
        self.set(done, total);
    }

    /// What is being done.
    pub(crate) fn doing(&self, what: &str) {
        self.bar.set_message(terminal::clean(what).into_owned());
        let mut state = lock(&self.state);
        if self.bar.is_hidden() && state.printed.elapsed() > LINE_EVERY {
            progress!("{what}");
            state.printed = Instant::now();
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Steps of trainings that are counted as a whole.
pub(crate) struct Counted<'c> {
    counter: &'c Counter,
    name: String,
    steps: AtomicUsize,
    total: AtomicUsize,
}

impl<'c> Counted<'c> {
    pub(crate) fn new(counter: &'c Counter, name: &str) -> Self {
        counter.doing(name);
        Self {
            counter,
            name: name.to_owned(),
            steps: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
        }
    }
}

impl Progress for Counted<'_> {
    fn start(&self, done: usize, total: usize, _bytes: u64) {
        self.steps.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    fn step(&self, _model: &str, _losses: &EpochLosses) {
        let done = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.total.load(Ordering::Relaxed);
        let name = &self.name;
        self.counter.doing(&format!("{name}: {done}/{total} steps"));
    }

    fn interrupted(&self) -> bool {
        signals::asked()
    }
}

/// Progress of training: a bar on a terminal, a line now and then elsewhere.
pub(crate) struct TrainingBar {
    bar: Mutex<Option<ProgressBar>>,
    line: Mutex<Line>,
}

struct Line {
    started: Instant,
    printed: Instant,
    first: usize,
    done: usize,
    total: usize,
    validation: String,
}

/// Bytes that laptops have to be asked for.
const WORTH_SAYING: u64 = 1_000_000_000;

/// Says what a command is about to take, where that is much.
pub(crate) fn say_memory(who: &str, bytes: u64) {
    if bytes > WORTH_SAYING {
        progress!("{who} about {:.1} GB", bytes as f64 / 1e9);
    }
}

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl TrainingBar {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let line = Line {
            started: now,
            printed: now,
            first: 0,
            done: 0,
            total: 0,
            validation: String::new(),
        };
        Self {
            bar: Mutex::new(None),
            line: Mutex::new(line),
        }
    }

    /// Ends the display; the second time nothing is left to end.
    pub(crate) fn finish(&self) {
        let Some(bar) = lock(&self.bar).take() else {
            return;
        };
        bar.finish_and_clear();
        let line = lock(&self.line);
        let seconds = line.started.elapsed().as_secs_f64();
        let steps = line.done - line.first;
        progress!("{steps} steps in {seconds:.1} s ({})", rate(steps, seconds));
    }
}

fn rate(count: usize, seconds: f64) -> String {
    let each = seconds / count.max(1) as f64;
    if each < 1.0 {
        format!("{:.1} a second", 1.0 / each)
    } else {
        format!("{each:.1} s each")
    }
}

fn pace(done: usize, left: usize, started: Instant) -> String {
    let seconds = started.elapsed().as_secs_f64();
    let eta = seconds / done.max(1) as f64 * left as f64;
    let eta = humantime::format_duration(Duration::from_secs(eta as u64));
    format!("{}  ETA {eta}", rate(done, seconds))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn describe(losses: &EpochLosses) -> String {
    let mut text = format!("loss {:.4} bce {:.4}", losses.total, losses.classification);
    for (name, value) in [
        ("rsa-high", losses.high),
        ("rsa-low", losses.low),
        ("orth", losses.orthogonality),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(" {name} {value:.3}"));
        }
    }
    text
}

impl Progress for TrainingBar {
    fn start(&self, done: usize, total: usize, bytes: u64) {
        say_memory("training needs", bytes);
        let training = bar(total, "steps");
        training.set_position(done as u64);
        training.reset_eta();
        *lock(&self.bar) = Some(training);
        let mut line = lock(&self.line);
        (line.started, line.first, line.done, line.total) = (Instant::now(), done, done, total);
    }

    fn aligned(&self, done: usize, total: usize) {
        let mut line = lock(&self.line);
        // Nobody waits for what is done at once.
        if done == total || line.started.elapsed() < Duration::from_secs(2) {
            return;
        }
        let pace = pace(done, total - done, line.started);
        let message = format!("aligned {done}/{total} subjects  {pace}");
        if let Some(bar) = lock(&self.bar).as_ref() {
            bar.set_message(message.clone());
            if !bar.is_hidden() {
                return;
            }
        }
        if line.printed.elapsed() > LINE_EVERY {
            progress!("{message}");
            line.printed = Instant::now();
        }
    }

    fn trained(&self) {
        self.finish();
    }

    fn beside(&self, model: &str, run: &Path, took: Duration) {
        let seconds = took.as_secs_f64();
        progress!(
            "ridge regression to hold the network against ({model}) in {seconds:.1} s: {}",
            run.display()
        );
    }

    fn note(&self, message: &str) {
        eprintln!("note: {message}");
    }

    fn step(&self, model: &str, losses: &EpochLosses) {
        let mut line = lock(&self.line);
        line.done += 1;
        let message = || format!("{model} {}{}", describe(losses), line.validation);
        if let Some(bar) = lock(&self.bar).as_ref() {
            bar.inc(1);
            if !bar.is_hidden() {
                bar.set_message(terminal::clean(&message()).into_owned());
                return;
            }
        }
        if line.printed.elapsed() > LINE_EVERY {
            let (done, total) = (line.done, line.total);
            let pace = pace(done - line.first, total - done, line.started);
            progress!("{done}/{total} steps  {pace}  {}", message());
            line.printed = Instant::now();
        }
    }

    fn epoch(&self, _epoch: usize, validation: Option<&ValidationScores>) {
        if let Some(scores) = validation {
            lock(&self.line).validation = format!(
                "  validation AP {:.3} AUC {:.3}",
                scores.average_precision, scores.roc_auc
            );
        }
    }

    fn interrupted(&self) -> bool {
        signals::asked()
    }
}
