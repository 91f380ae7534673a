use std::fs;
use std::path::PathBuf;

use mused::features::Pictures;
use mused::formats::replace_file;
use mused::report::{Images, NoImages, Report, Request, RunFiles, ScoredRun};
use mused::run::Trials;
use mused::{
    AdaptRequest, Results, ScoreDrop, Tensors, adapt, evaluate, explain, model_inputs, predict,
    reweigh, weights,
};
use ndarray::ArrayD;
use numpy::{IntoPyArray, PyArray2, PyArrayDyn, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::dataset::Dataset;
use crate::error::{ConfigError, DataError, MusedError, raised};
use crate::watched::heard;

/// A run directory.
#[derive(Clone)]
#[pyclass(frozen, module = "mused._mused")]
pub(crate) struct Run(pub(crate) mused::Run);

/// Subject and stimulus of a row.
type Row = (String, String);

/// Names of the labels; subject and stimulus of each row; rows × labels.
type Table<'py, T> = (Vec<String>, Vec<Row>, Bound<'py, PyArray2<T>>);

type Matrix<'py> = Bound<'py, PyArray2<f32>>;

type Tensor<'py> = Bound<'py, PyArrayDyn<f32>>;

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
        subject: String,
        trials: String,
        draw: u64,
        out: PathBuf,
    ) -> PyResult<Self> {
        let trials = Trials::try_from(trials)
            .map_err(|error| ConfigError::new_err(format!("trials: {error}")))?;
        let (source, dataset) = (self.0.clone(), dataset.get()?);
        heard(py, move || {
            let request = AdaptRequest {
                source: &source,
                dataset: &dataset,
                subject: &subject,
                trials,
                draw,
                run: &out,
            };
            Ok(Self(adapt(&request).map_err(raised)?))
        })
    }

    /// What scores lose without a region, from the fold's models; beside it notes in words.
    fn explain(
        &self,
        py: Python<'_>,
        dataset: &Dataset,
        fold: usize,
    ) -> PyResult<(Vec<Drop>, Vec<String>)> {
        let dataset = dataset.get()?;
        let run = self.0.clone();
        let found = heard(py, move || {
            run.check_dataset(&dataset).map_err(raised)?;
            explain(&run, &dataset, fold, &mut |_, _| ()).map_err(raised)
        })?;
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

    /// Writes the page of this run and others; each of its figures in `figures` too, where that is given.
    fn report(
        &self,
        py: Python<'_>,
        out: PathBuf,
        others: Vec<PathBuf>,
        figures: Option<PathBuf>,
    ) -> PyResult<()> {
        let of = self.clone();
        heard(py, move || {
            of.scored().map_err(raised)?;
            let failed = |error: mused::report::Error| MusedError::new_err(error.to_string());
            let run = RunFiles::read(of.0.path()).map_err(failed)?;
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
                surfaces: &[],
                tsne: false,
                command: "mused.Run.report",
                out: &out,
            });
            let page = report.map_err(failed)?;
            if let Some(folder) = &figures {
                page.write_figures(folder).map_err(failed)?;
            }
            replace_file(&out, page.html().as_bytes())
                .map_err(|error| MusedError::new_err(error.to_string()))
        })
    }

    /// Of each model its name, fold, and the person it is of or tested on.
    #[getter]
    fn models(&self) -> Vec<(String, usize, Option<String>)> {
        let tasks = self.0.tasks().iter();
        tasks
            .map(|task| {
                let person = task.subject.as_ref().or(task.holdout.as_ref());
                (task.name(), task.fold, person.cloned())
            })
            .collect()
    }

    /// Weights of a model, by name, and as JSON what they are of.
    fn weights<'py>(
        &self,
        py: Python<'py>,
        model: &str,
    ) -> PyResult<(String, Vec<(String, Tensor<'py>)>)> {
        let task = self.task(model)?;
        let found = py.detach(|| weights(&self.0, task));
        let (description, tensors) = found.map_err(raised)?;
        let arrays = tensors.into_iter().map(|(name, (shape, values))| {
            let array = ArrayD::from_shape_vec(shape, values);
            let array = array.map_err(|error| MusedError::new_err(format!("{name}: {error}")))?;
            Ok((name, array.into_pyarray(py)))
        });
        Ok((description, arrays.collect::<PyResult<_>>()?))
    }

    /// What a model reads of everything in a dataset: subject and stimulus of each row, inputs, shares of subject tokens,
    /// regions that there are.
    fn inputs<'py>(
        &self,
        py: Python<'py>,
        model: &str,
        dataset: &Dataset,
    ) -> PyResult<(Vec<Row>, Matrix<'py>, Matrix<'py>, Matrix<'py>)> {
        let (task, dataset) = (self.task(model)?, dataset.get()?);
        let found = py.detach(|| model_inputs(&self.0, task, &dataset));
        let found = found.map_err(raised)?;
        Ok((
            found.rows,
            found.inputs.into_pyarray(py),
            found.subject_weights.into_pyarray(py),
            found.mask.into_pyarray(py),
        ))
    }

    /// A run like this one whose models have other weights.
    fn reweighed(
        &self,
        py: Python<'_>,
        dataset: &Dataset,
        weights: Vec<Vec<(String, PyReadonlyArrayDyn<'_, f32>)>>,
        out: PathBuf,
    ) -> PyResult<Self> {
        let (source, dataset) = (self.0.clone(), dataset.get()?);
        let named = |(name, array): (String, PyReadonlyArrayDyn<'_, f32>)| {
            let array = array.as_array();
            (
                name,
                (array.shape().to_vec(), array.iter().copied().collect()),
            )
        };
        let of_model = |model: Vec<_>| model.into_iter().map(named).collect();
        let weights: Vec<Tensors> = weights.into_iter().map(of_model).collect();
        heard(py, move || {
            Ok(Self(
                reweigh(&source, &dataset, weights, &out).map_err(raised)?,
            ))
        })
    }
}

impl Run {
    fn task(&self, name: &str) -> PyResult<&mused::run::Task> {
        let mut tasks = self.0.tasks().iter();
        tasks.find(|task| task.name() == name).ok_or_else(|| {
            let known: Vec<String> = self.0.tasks().iter().map(|task| task.name()).collect();
            DataError::new_err(format!(
                "model: expected one of {}, found {name:?}",
                known.join(", ")
            ))
        })
    }
}
