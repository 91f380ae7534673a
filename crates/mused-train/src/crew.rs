use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mused_run::Task;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// Threads that take tasks from a common list. Each step of a task runs in a pool of its share of
/// the CPU threads, so that the last ones get what the finished ones leave.
pub(crate) struct Crew<'t> {
    pending: Mutex<Vec<&'t Task>>,
    standing: Standing,
}

/// What every worker sees of the others.
struct Standing {
    at_work: AtomicUsize,
    stopped: AtomicBool,
    threads: usize,
}

impl<'t> Crew<'t> {
    /// A crew for `tasks`, in that order.
    pub(crate) fn new(tasks: impl DoubleEndedIterator<Item = &'t Task>, threads: usize) -> Self {
        Self {
            pending: Mutex::new(tasks.rev().collect()),
            standing: Standing {
                at_work: AtomicUsize::new(0),
                stopped: AtomicBool::new(false),
                threads: threads.max(1),
            },
        }
    }

    /// Works all tasks off. An error or a panic of one stops the others after their step.
    pub(crate) fn work(
        &self,
        workers: usize,
        job: impl Fn(&'t Task, &mut Worker<'_>) -> Result<()> + Sync,
    ) -> Result<()> {
        let workers = workers.clamp(1, self.standing.threads);
        let results: Vec<Result<()>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..workers)
                .map(|_| scope.spawn(|| self.take(&job)))
                .collect();
            let ends = handles.into_iter().map(|handle| handle.join());
            ends.map(|end| end.unwrap_or_else(|panic| Err(panicked("a worker", &panic))))
                .collect()
        });
        results.into_iter().collect()
    }

    fn take(&self, job: &(impl Fn(&'t Task, &mut Worker<'_>) -> Result<()> + Sync)) -> Result<()> {
        let mut worker = Worker {
            crew: &self.standing,
            pools: HashMap::new(),
        };
        self.standing.at_work.fetch_add(1, Ordering::Relaxed);
        let mut result = Ok(());
        while result.is_ok() && !self.stopped() {
            let next = self.pending.lock().unwrap_or_else(|p| p.into_inner()).pop();
            let Some(task) = next else { break };
            // Nothing of a task that panicked is used again: its last saved state is.
            let end = catch_unwind(AssertUnwindSafe(|| job(task, &mut worker)));
            result = end.unwrap_or_else(|panic| Err(panicked(&task.name(), panic.as_ref())));
        }
        if result.is_err() {
            self.standing.stopped.store(true, Ordering::Relaxed);
        }
        self.standing.at_work.fetch_sub(1, Ordering::Relaxed);
        result
    }

    /// Whether a worker was asked to stop, or failed.
    pub(crate) fn stopped(&self) -> bool {
        self.standing.stopped.load(Ordering::Relaxed)
    }
}

fn panicked(model: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Error::Panicked {
        model: model.to_owned(),
        message: text.unwrap_or("no message").to_owned(),
    }
}

/// One thread of a crew.
pub(crate) struct Worker<'c> {
    crew: &'c Standing,
    /// By size, made when first needed.
    pools: HashMap<usize, ThreadPool>,
}

impl Worker<'_> {
    /// Runs a job on this worker's share of the threads.
    pub(crate) fn run<T: Send>(&mut self, job: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let at_work = self.crew.at_work.load(Ordering::Relaxed).max(1);
        let size = (self.crew.threads / at_work).max(1);
        let pool = match self.pools.entry(size) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(new) => {
                let pool = ThreadPoolBuilder::new().num_threads(size).build();
                new.insert(pool.map_err(|error| {
                    Error::Request(format!("cannot start {size} threads: {error}"))
                })?)
            }
        };
        pool.install(job)
    }

    /// Stops all workers after their step.
    pub(crate) fn stop(&self) {
        self.crew.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stopped(&self) -> bool {
        self.crew.stopped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// One model panics in its step while the other is at work: the other is told to stop, and takes nothing new.
    #[test]
    fn a_panic_stops_the_others_and_is_an_error() {
        let task = |index: usize| Task {
            index,
            fold: index,
            subject: None,
            holdout: None,
        };
        let tasks: Vec<Task> = (0..6).map(task).collect();
        let (both, begun) = (Barrier::new(2), AtomicUsize::new(0));
        let crew = Crew::new(tasks.iter(), 2);
        let ended = crew.work(tasks.len(), |task, worker| {
            begun.fetch_add(1, Ordering::Relaxed);
            both.wait();
            if task.fold == 0 {
                panic!("out of luck");
            }
            // As a model that asks after every step.
            while !worker.stopped() {
                std::thread::yield_now();
            }
            Ok(())
        });
        let message = ended.unwrap_err().to_string();
        assert!(
            message.starts_with("fold-0: ") && message.contains("out of luck"),
            "{message}"
        );
        assert_eq!(begun.into_inner(), 2);
        assert!(crew.stopped());
    }
}
