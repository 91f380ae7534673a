use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mused_run::{EpochLosses, ValidationScores};

/// Told what happens during training. Models report from threads of their own. Nothing needs to be listened to.
pub trait Progress: Sync {
    /// Training starts: `done` of `total` steps over all models were done before. The models that are fitted side by side
    /// need about so many bytes of memory.
    fn start(&self, _done: usize, _total: usize, _bytes: u64) {}
    /// The maps of so many subjects are fitted, of all subjects of all models that read aligned inputs.
    fn aligned(&self, _done: usize, _total: usize) {}
    /// A step of a model (`fold-0`, or `fold-0-SUBJECT`) ended.
    fn step(&self, _model: &str, _losses: &EpochLosses) {}
    /// An epoch (from 1) ended.
    fn epoch(&self, _epoch: usize, _validation: Option<&ValidationScores>) {}
    /// All models of the run are trained; what is trained beside it comes next.
    fn trained(&self) {}
    /// The named model `model` was trained beside it, as the run `run`, in so long.
    fn beside(&self, _model: &str, _run: &Path, _took: Duration) {}
    /// Something that went another way than usual: a sentence for people.
    fn note(&self, _message: &str) {}
    /// Whether to stop after this step.
    fn interrupted(&self) -> bool {
        false
    }
}

/// Silence.
impl Progress for () {}

/// Asks training to stop, from any thread: clones ask for the same.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks to stop after this step, with everything saved.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
