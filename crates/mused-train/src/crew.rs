use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use mused_run::Task;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// Threads that take tasks from a common list. Each step of a task runs in a pool of its share of
/// the CPU threads, so that the last ones get what the finished ones leave.
///
/// The last tasks may be more than there are threads: their steps take turns, so that they end together, and no thread is
/// left without work while one of them still has all of its own to do.
pub(crate) struct Crew<'t> {
    pending: Mutex<Vec<&'t Task>>,
    standing: Standing,
}

/// How many tasks are worked on at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AtOnce {
    /// While there are many.
    pub(crate) workers: usize,
    /// The last ones; no fewer.
    pub(crate) last: usize,
    /// CPU threads of all together.
    pub(crate) threads: usize,
}

/// What every worker sees of the others.
struct Standing {
    at_once: AtOnce,
    stopped: AtomicBool,
    turns: Mutex<Turns>,
    changed: Condvar,
}

/// Who is at work.
struct Turns {
    /// Tasks begun and not ended.
    open: usize,
    /// Threads that no step runs on.
    free: usize,
    /// Steps that asked for their threads, and those that got them: in that order.
    asked: u64,
    served: u64,
}

impl<'t> Crew<'t> {
    /// A crew for `tasks`, in that order.
    pub(crate) fn new(tasks: impl DoubleEndedIterator<Item = &'t Task>, at_once: AtOnce) -> Self {
        let turns = Turns {
            open: 0,
            free: at_once.threads.max(1),
            asked: 0,
            served: 0,
        };
        Self {
            pending: Mutex::new(tasks.rev().collect()),
            standing: Standing {
                at_once,
                stopped: AtomicBool::new(false),
                turns: Mutex::new(turns),
                changed: Condvar::new(),
            },
        }
    }

    /// Works all tasks off. An error or a panic of one stops the others after their step.
    pub(crate) fn work(
        &self,
        job: impl Fn(&'t Task, &mut Worker<'_>) -> Result<()> + Sync,
    ) -> Result<()> {
        let workers = self.standing.at_once.last.max(1);
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
        let mut result = Ok(());
        while result.is_ok()
            && let Some(task) = self.next()
        {
            // Nothing of a task that panicked is used again: its last saved state is.
            let end = catch_unwind(AssertUnwindSafe(|| job(task, &mut worker)));
            result = end.unwrap_or_else(|panic| Err(panicked(&task.name(), panic.as_ref())));
            if result.is_err() {
                worker.stop();
            }
            self.standing.change(|turns| turns.open -= 1);
        }
        result
    }

    /// A task to begin: at once while few are open, or when all that are left may be; else when another has ended.
    fn next(&self) -> Option<&'t Task> {
        let AtOnce { workers, last, .. } = self.standing.at_once;
        let mut turns = self.standing.turns();
        loop {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            if self.stopped() || pending.is_empty() {
                return None;
            }
            if turns.open < workers || turns.open + pending.len() <= last {
                turns.open += 1;
                // Shares are smaller now.
                self.standing.changed.notify_all();
                return pending.pop();
            }
            drop(pending);
            turns = self.standing.wait(turns);
        }
    }

    /// Whether a worker was asked to stop, or failed.
    pub(crate) fn stopped(&self) -> bool {
        self.standing.stopped.load(Ordering::Relaxed)
    }
}

impl Standing {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'m>(&self, turns: MutexGuard<'m, Turns>) -> MutexGuard<'m, Turns> {
        let woken = self.changed.wait(turns);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Turns)) {
        change(&mut self.turns());
        self.changed.notify_all();
    }

    /// Waits for this worker's turn, and for its share of the threads.
    fn turn(&self) -> Turn<'_> {
        let mut turns = self.turns();
        let number = turns.asked;
        turns.asked += 1;
        let threads = loop {
            let threads = (self.at_once.threads / turns.open.max(1)).max(1);
            if turns.served == number && turns.free >= threads {
                break threads;
            }
            turns = self.wait(turns);
        };
        turns.served += 1;
        turns.free -= threads;
        drop(turns);
        self.changed.notify_all();
        Turn {
            standing: self,
            threads,
        }
    }
}

/// Threads that a step has until it ends.
struct Turn<'c> {
    standing: &'c Standing,
    threads: usize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.standing.change(|turns| turns.free += self.threads);
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

/// A pool of so many threads.
pub(crate) fn pool_of(size: usize) -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(size).build();
    pool.map_err(|error| Error::Request(format!("cannot start {size} threads: {error}")))
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
        let turn = self.crew.turn();
        let size = turn.threads;
        let pool = match self.pools.entry(size) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(new) => new.insert(pool_of(size)?),
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
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    use super::*;

    fn task(index: usize) -> Task {
        Task {
            index,
            fold: index,
            subject: None,
            holdout: None,
        }
    }

    fn at_once(workers: usize, last: usize) -> AtOnce {
        AtOnce {
            workers,
            last,
            threads: 2,
        }
    }

    /// Five models on two threads: two, then the three that are left, whose steps share the threads.
    #[test]
    fn the_last_models_take_turns() {
        let tasks: Vec<Task> = (0..5).map(task).collect();
        let both = Barrier::new(2);
        let [begun, running, most] = [0, 0, 0].map(AtomicUsize::new);
        let started = Instant::now();
        let crew = Crew::new(tasks.iter(), at_once(2, 3));
        let ended = crew.work(|task, worker| {
            if task.fold < 2 {
                both.wait();
                let others = begun.load(Ordering::SeqCst);
                both.wait();
                assert_eq!(others, 0);
                return Ok(());
            }
            begun.fetch_add(1, Ordering::SeqCst);
            // The others have to be begun for this one to end.
            let all = || begun.load(Ordering::SeqCst) == 3;
            while !all() && started.elapsed() < Duration::from_secs(60) {
                worker.run(|| {
                    most.fetch_max(1 + running.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(1));
                    running.fetch_sub(1, Ordering::SeqCst);
                    assert_eq!(rayon::current_num_threads(), 1);
                    Ok(())
                })?;
            }
            assert!(all());
            Ok(())
        });
        ended.unwrap();
        assert!(most.into_inner() <= 2);
    }

    /// One model panics in its step while the other is at work: the other is told to stop, and takes nothing new.
    #[test]
    fn a_panic_stops_the_others_and_is_an_error() {
        let tasks: Vec<Task> = (0..6).map(task).collect();
        let (both, begun) = (Barrier::new(2), AtomicUsize::new(0));
        let crew = Crew::new(tasks.iter(), at_once(2, 2));
        let ended = crew.work(|task, worker| {
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
