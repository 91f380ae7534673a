//! Maps of subjects into aligned inputs, which can take minutes each: an interrupted run goes on with the next subject.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mused_data::Aligned;
use mused_formats::make_folder;
use mused_run::{Run, Task};

use crate::{Error, Progress, Result, inputs};

/// Maps that took longer to fit are kept until their task is done.
const WORTH_KEEPING: Duration = Duration::from_secs(2);

/// The maps of all subjects and tasks of a run.
pub(crate) struct Maps<'r> {
    run: &'r Run,
    progress: &'r dyn Progress,
    done: AtomicUsize,
    total: usize,
    worth_keeping: Duration,
}

impl<'r> Maps<'r> {
    /// For so many subjects over all tasks.
    pub(crate) fn new(run: &'r Run, total: usize, progress: &'r dyn Progress) -> Self {
        Self {
            run,
            progress,
            done: AtomicUsize::new(0),
            total,
            worth_keeping: WORTH_KEEPING,
        }
    }

    /// The maps of a subject: those that were kept, or else fitted by `fit`.
    ///
    /// # Errors
    /// [`Error::Interrupted`] before a fit, where a stop was asked for.
    pub(crate) fn of(
        &self,
        task: &Task,
        subject: usize,
        fit: &dyn Fn() -> mused_data::Result<Aligned>,
    ) -> Result<Aligned> {
        let path = self.run.maps_path(task, subject);
        let kept = match path.is_file() {
            true => match inputs::read_aligned(&path) {
                Ok(kept) => Some(kept),
                Err(error) => {
                    self.progress
                        .note(&format!("{error}; the maps are fitted anew"));
                    None
                }
            },
            false => None,
        };
        let maps = match kept {
            Some(kept) => kept,
            None if self.progress.interrupted() => return Err(Error::Interrupted),
            None => {
                let started = Instant::now();
                let fitted = fit()?;
                if started.elapsed() >= self.worth_keeping {
                    let folder = self.run.task_folder(task);
                    make_folder(&folder).map_err(Error::io("cannot create", &folder))?;
                    inputs::write_aligned(&path, &fitted)?;
                }
                fitted
            }
        };
        let done = 1 + self.done.fetch_add(1, Ordering::Relaxed);
        self.progress.aligned(done, self.total);
        Ok(maps)
    }

    /// Removes what was kept of a task that is done.
    pub(crate) fn forget(&self, task: &Task, subjects: usize) {
        for subject in 0..subjects {
            // Absent where its maps took no time.
            let _ = fs::remove_file(self.run.maps_path(task, subject));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use mused_data::{Alignment, Dataset, Labels, Stimulus, Trial, Voxel, samples};
    use mused_kernels::CpuTraining;
    use mused_run::{Config, Layers};
    use ndarray::Array2;
    use tempfile::TempDir;

    use super::*;
    use crate::{TrainRequest, train};

    /// Asked to stop or not; what it was told.
    #[derive(Default)]
    struct Listener {
        stop: AtomicBool,
        notes: Mutex<Vec<String>>,
        aligned: Mutex<Vec<(usize, usize)>>,
    }

    impl Progress for Listener {
        fn interrupted(&self) -> bool {
            self.stop.load(Ordering::Relaxed)
        }

        fn note(&self, message: &str) {
            self.notes.lock().unwrap().push(message.to_owned());
        }

        fn aligned(&self, done: usize, total: usize) {
            self.aligned.lock().unwrap().push((done, total));
        }
    }

    /// Two people of three voxels, twelve stimuli.
    fn dataset() -> Dataset {
        let stimuli = (0..12).map(|number| Stimulus::new(format!("picture-{number:02}")));
        let labels = Labels {
            names: vec!["odd".to_owned()],
            matrix: Array2::from_shape_fn((12, 1), |(row, _)| (row % 2) as u8),
        };
        let mut builder = Dataset::builder("kept", stimuli.collect(), labels);
        for id in ["one", "three"] {
            let responses = Array2::from_shape_fn((12, 3), |(row, column)| {
                (row * (column + id.len()) % 5) as f32
            });
            let trials = (0..12).map(Trial::of).collect();
            let voxels = Voxel::in_regions(["V1", "V1", "IT"]);
            builder.subject(id, trials, voxels, responses).unwrap();
        }
        builder.build().unwrap()
    }

    #[test]
    fn maps_are_fitted_once() {
        let folder = TempDir::new().unwrap();
        let (dataset, path) = (dataset(), folder.path().join("run"));
        let config = Config::default().model("prevalence").unwrap().folds(2);
        let request = TrainRequest {
            dataset: &dataset,
            layers: &Layers::of(&config).unwrap(),
            run: &path,
            threads: 1,
        };
        train::<CpuTraining>(&request, &()).unwrap();
        let run = Run::open(&path).unwrap();
        let (listener, task) = (Listener::default(), &run.tasks()[0]);
        let maps = |worth_keeping| Maps {
            worth_keeping,
            ..Maps::new(&run, 2, &listener)
        };
        let alignment = Alignment {
            consensus: false,
            guidance: None,
            guided: &[],
            stimuli: false,
            components: 2,
            labels: true,
            zscore: true,
            seed: 0,
        };
        let training = samples(&dataset, &[0, 1], &(0..12).collect::<Vec<_>>());
        let fit = |maps: &Maps<'_>| {
            alignment.fit(&dataset, &training, |subject, fit| {
                maps.of(task, subject, fit)
            })
        };
        // What takes no time is not kept.
        let expected = fit(&maps(WORTH_KEEPING)).unwrap();
        assert!(!run.maps_path(task, 0).exists());
        assert_eq!(*listener.aligned.lock().unwrap(), [(1, 2), (2, 2)]);

        let kept = maps(Duration::ZERO);
        assert_eq!(fit(&kept).unwrap(), expected);
        listener.stop.store(true, Ordering::Relaxed);
        let never = || -> mused_data::Result<Aligned> { panic!("fitted again") };
        for subject in [0, 1] {
            kept.of(task, subject, &never).unwrap();
        }
        assert_eq!(fit(&kept).unwrap(), expected);

        // A damaged file is no map; and nothing is begun after a stop.
        let second = run.maps_path(task, 1);
        let mut bytes = fs::read(&second).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&second, bytes).unwrap();
        assert!(matches!(fit(&kept), Err(Error::Interrupted)));
        assert!(listener.notes.lock().unwrap()[0].ends_with("the maps are fitted anew"));
        listener.stop.store(false, Ordering::Relaxed);
        assert_eq!(fit(&kept).unwrap(), expected);
        kept.forget(task, 2);
        assert!(!run.maps_path(task, 0).exists() && !second.exists());
    }
}
