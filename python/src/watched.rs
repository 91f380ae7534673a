//! Long work on a thread of its own, while the thread that asked for it tells Python how far it is and hears Ctrl-C.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use mused::run::EpochLosses;
use mused::{Cancel, Progress};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

use crate::error::{Interrupted, MusedError};

/// Between looks whether Ctrl-C was pressed.
const LOOK: Duration = Duration::from_millis(100);

/// What is told.
enum Said {
    /// The next training, of a benchmark.
    Training(String),
    Start(usize, usize),
    Step,
    Trained,
    Beside(String),
    Note(String),
}

/// Tells a listener what happens; asked to stop by it.
#[derive(Clone)]
pub(crate) struct Teller {
    said: Sender<Said>,
    stop: Cancel,
}

impl Teller {
    fn say(&self, said: Said) {
        // Who listens no more needs not be told.
        let _ = self.said.send(said);
    }

    /// The next training begins.
    pub(crate) fn training(&self, name: String) {
        self.say(Said::Training(name));
    }
}

impl Progress for Teller {
    fn start(&self, done: usize, total: usize, _bytes: u64) {
        self.say(Said::Start(done, total));
    }

    fn step(&self, _model: &str, _losses: &EpochLosses) {
        self.say(Said::Step);
    }

    fn trained(&self) {
        self.say(Said::Trained);
    }

    fn beside(&self, model: &str, _run: &Path, _took: Duration) {
        self.say(Said::Beside(model.to_owned()));
    }

    fn note(&self, message: &str) {
        self.say(Said::Note(message.to_owned()));
    }

    fn interrupted(&self) -> bool {
        self.stop.is_cancelled()
    }
}

/// Does `work` while `listener` is told: methods `training`, `start`, `step`, `trained`, `beside` and `note`. An exception of
/// the listener, or Ctrl-C, asks `work` to stop, and is raised once it has.
pub(crate) fn watched<T: Send>(
    listener: &Bound<'_, PyAny>,
    work: impl FnOnce(&Teller) -> PyResult<T> + Send,
) -> PyResult<T> {
    let py = listener.py();
    let (said, mut heard) = channel();
    let stop = Cancel::default();
    let teller = Teller {
        said,
        stop: stop.clone(),
    };
    let mut asked = None;
    let done = thread::scope(|scope| {
        let worker = scope.spawn(move || work(&teller));
        loop {
            let heard = &mut heard;
            let next = py.detach(move || next(heard));
            let told = match next {
                Some(said) => tell(listener, said).and_then(|()| py.check_signals()),
                None => break,
            };
            if let (Err(error), None) = (told, &asked) {
                asked = Some(error);
                stop.cancel();
            }
        }
        py.detach(|| worker.join())
    });
    let done = done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match (done, asked) {
        (done, None) => done,
        // What says that everything is saved is an interrupt from the keyboard too.
        (Err(error), Some(by))
            if error.is_instance_of::<Interrupted>(py)
                && by.is_instance_of::<PyKeyboardInterrupt>(py) =>
        {
            Err(error)
        }
        (_, Some(by)) => Err(by),
    }
}

/// Does `work` on a thread of its own while Ctrl-C is heard. Work that cannot be stopped is left alone then: what it still
/// writes is whole, and what it returns is dropped.
pub(crate) fn heard<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> PyResult<T> + Send + 'static,
) -> PyResult<T> {
    let (done, waiting) = channel();
    let worker = thread::spawn(move || {
        // Who waits no more needs not be told.
        let _ = done.send(work());
    });
    let mut waiting = waiting;
    loop {
        let receiver = &mut waiting;
        match py.detach(move || receiver.recv_timeout(LOOK)) {
            Ok(done) => return done,
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    match py.detach(|| worker.join()) {
        Err(panic) => std::panic::resume_unwind(panic),
        Ok(()) => Err(MusedError::new_err("the work ended without a result")),
    }
}

/// What was said since; nothing after a while; `None` when nobody speaks any more.
fn next(heard: &mut Receiver<Said>) -> Option<Vec<Said>> {
    match heard.recv_timeout(LOOK) {
        Ok(first) => Some(std::iter::once(first).chain(heard.try_iter()).collect()),
        Err(RecvTimeoutError::Timeout) => Some(Vec::new()),
        Err(RecvTimeoutError::Disconnected) => None,
    }
}

fn tell(listener: &Bound<'_, PyAny>, said: Vec<Said>) -> PyResult<()> {
    let mut steps = 0;
    for said in said {
        if let Said::Step = said {
            steps += 1;
            continue;
        }
        if steps > 0 {
            listener.call_method1("step", (steps,))?;
            steps = 0;
        }
        match said {
            Said::Training(name) => listener.call_method1("training", (name,)),
            Said::Start(done, total) => listener.call_method1("start", (done, total)),
            Said::Trained => listener.call_method0("trained"),
            Said::Beside(model) => listener.call_method1("beside", (model,)),
            Said::Note(message) => listener.call_method1("note", (message,)),
            Said::Step => continue,
        }?;
    }
    if steps > 0 {
        listener.call_method1("step", (steps,))?;
    }
    Ok(())
}
