use std::fs;
use std::path::PathBuf;

use mused::features::Pictures;
use mused::formats::replace_file;
use mused::report::{Images, NoImages, Report, Request, RunFiles, ScoredRun};
use mused::run::Trials;
use mused::{AdaptRequest, Results, ScoreDrop, adapt, evaluate, explain, predict};
use numpy::{IntoPyArray, PyArray2};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::dataset::Dataset;
use crate::error::{ConfigError, MusedError, raised};

/// A run directory.
#[pyclass(frozen, module = "mused._mused")]
pub(crate) struct Run(pub(crate) mused::Run);

/// Subject and stimulus of a row.
type Row = (String, String);

/// Names of the labels; subject and stimulus of each row; rows × labels.
type Table<'py, T> = (Vec<String>, Vec<Row>, Bound<'py, PyArray2<T>>);

/// A part of the input; what macro AP and AUC lose without it, mean and ends of the interval; and of each label, what its AUC
/// loses: low, mean, high.
type Drop = (
    String,
    [Option<f64>; 3],
    [Option<f64>; 3],
    Vec<Option<[f64; 3]>>,
);

impl Run {
    /// The scores that are there, or new ones.
    fn scored(&self) -> mused::Result<Results> {
        match self.0.results()? {
            Ok(results) => Ok(results),
            Err(_) => evaluate(&self.0),
        }
    }
}

#[pymethods]
impl Run {
    #[classmethod]
    fn open(_class: &Bound<'_, PyType>, path: PathBuf) -> PyResult<Self> {
        Ok(Self(mused::Run::open(path).map_err(raised)?))
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    #[getter]
    fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// The dataset that it was made on, where that lies in a directory.
    fn dataset(&self, py: Python<'_>) -> PyResult<Dataset> {
        let dataset = py.detach(|| self.0.dataset(None)).map_err(raised)?;
        Ok(Dataset::opened(dataset))
    }

    /// The ridge regression beside a network.
    fn ridge(&self) -> Option<Self> {
        let beside = self.0.ridge()?.ok()?;
        Some(Self(beside.run))
    }

    /// `results.json`: read, or made and written.
    fn results(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.scored()).map_err(raised)?;
        Ok(fs::read_to_string(self.0.results_path())?)
    }

    /// What the scores say.
    fn words(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let results = py.detach(|| self.scored()).map_err(raised)?;
        Ok(results.in_words())
    }

    /// Probabilities of everything in a dataset.
    fn predict<'py>(&self, py: Python<'py>, dataset: &Dataset) -> PyResult<Table<'py, f32>> {
        let dataset = dataset.get()?;
        let found = py.detach(|| predict(&self.0, &dataset)).map_err(raised)?;
        Ok((found.labels, found.rows, found.values.into_pyarray(py)))
    }

    /// The test predictions, as [`Self::predict`] gives others.
    fn predictions<'py>(&self, py: Python<'py>) -> PyResult<Table<'py, f64>> {
        let found = py.detach(|| self.0.predictions()).map_err(raised)?;
        let values = found.probabilities.into_pyarray(py);
        Ok((found.labels, found.keys, values))
    }

    fn adapt(
        &self,
        py: Python<'_>,
        dataset: &Dataset,
        subject: &str,
        trials: String,
        draw: u64,
        out: PathBuf,
    ) -> PyResult<Self> {
        let trials = Trials::try_from(trials)
            .map_err(|error| ConfigError::new_err(format!("trials: {error}")))?;
        let dataset = dataset.get()?;
        let request = AdaptRequest {
            source: &self.0,
            dataset: &dataset,
            subject,
            trials,
            draw,
            run: &out,
        };
        Ok(Self(py.detach(|| adapt(&request)).map_err(raised)?))
    }

    /// What scores lose without a region, from the fold's models; beside it notes in words.
    fn explain(
        &self,
        py: Python<'_>,
        dataset: &Dataset,
        fold: usize,
    ) -> PyResult<(Vec<Drop>, Vec<String>)> {
        let dataset = dataset.get()?;
        let explained = py.detach(|| {
            self.0.check_dataset(&dataset)?;
            explain(&self.0, &dataset, fold, &mut |_, _| ())
        });
        let found = explained.map_err(raised)?;
        let ends = |score: ScoreDrop| {
            let interval = score.interval.map(|ends| ends.map(Some));
            let [low, high] = interval.unwrap_or_default();
            [score.mean, low, high]
        };
        let drops = found.drops.into_iter().map(|drop| {
            let (precision, auc) = (ends(drop.average_precision), ends(drop.roc_auc));
            (drop.part, precision, auc, drop.labels)
        });
        Ok((drops.collect(), found.notes))
    }

    /// Writes the page of this run and others.
    fn report(&self, py: Python<'_>, out: PathBuf, others: Vec<PathBuf>) -> PyResult<()> {
        py.detach(|| {
            self.scored().map_err(raised)?;
            let failed = |error: mused::report::Error| MusedError::new_err(error.to_string());
            let run = RunFiles::read(self.0.path()).map_err(failed)?;
            let others = others.iter().map(|other| ScoredRun::read(other));
            let others: Vec<ScoredRun> = others.collect::<Result<_, _>>().map_err(failed)?;
            let root = run.dataset().and_then(mused::Dataset::root);
            let mut pictures = root.map(|root| Pictures::new(root, &[]));
            let images: &mut dyn Images = match &mut pictures {
                Some(pictures) => pictures,
                None => &mut NoImages,
            };
            let report = Report::new(Request {
                run: &run,
                others: &others,
                images,
                quality: None,
                tsne: false,
                command: "mused.Run.report",
                out: &out,
            });
            let page = report.map_err(failed)?;
            replace_file(&out, page.html().as_bytes())
                .map_err(|error| MusedError::new_err(error.to_string()))
        })
    }
}
