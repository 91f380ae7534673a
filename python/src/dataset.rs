use std::path::PathBuf;
use std::sync::Arc;

use mused::data::quality::quality;
use mused::data::{
    DatasetBuilder, FeatureSet, Labels, Level, Part, Problem, Responses, Rows, Severity, Stimulus,
    Voxel,
};
use ndarray::{Array2, ArrayView2};
use numpy::{IntoPyArray, PyArray2, PyArrayMethods, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::error::{DataError, raised};
use crate::watched::heard;

/// A dataset that is being made of arrays, or that lies in a directory.
#[pyclass(module = "mused._mused")]
pub(crate) struct Dataset(State);

/// A problem: whether it stops training, and what it is.
type Found = (bool, String);

enum State {
    Made(DatasetBuilder),
    Opened(mused::Dataset),
}

/// Responses as they come. float32 whose rows lie in one piece is lent; the rest is copied.
#[derive(FromPyObject)]
pub(crate) enum Given<'py> {
    Single(Bound<'py, PyArray2<f32>>),
    Double(PyReadonlyArray2<'py, f64>),
}

impl Given<'_> {
    /// What the dataset reads, all of it finite.
    fn responses(self) -> PyResult<Responses> {
        let array = match self {
            Self::Single(array) => array,
            Self::Double(array) => {
                return Ok(copied(array.as_array(), |value| value as f32)?.into());
            }
        };
        let values = array.try_readonly()?;
        let view = values.as_array();
        if view.strides().get(1) != Some(&1) {
            return Ok(copied(view, |value| value)?.into());
        }
        finite(view)?;
        let lent: Arc<dyn Rows> = Arc::new(Lent {
            shape: view.dim(),
            array: array.clone().unbind(),
        });
        Ok(lent.into())
    }
}

/// An array of Python, kept alive and read under its lock.
#[derive(Debug)]
struct Lent {
    array: Py<PyArray2<f32>>,
    shape: (usize, usize),
}

impl Rows for Lent {
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    fn read_row(&self, row: usize, out: &mut [f32]) -> mused::data::Result<()> {
        Python::attach(|py| {
            let array = self.array.bind(py).try_readonly();
            let changed = |why: String| mused::data::Error::Request(format!("responses: {why}"));
            let array = array.map_err(|error| changed(error.to_string()))?;
            let view = array.as_array();
            if view.dim() != self.shape {
                return Err(changed(format!(
                    "expected the {} x {} values that were added, found their array made {} x {} since",
                    self.shape.0,
                    self.shape.1,
                    view.nrows(),
                    view.ncols()
                )));
            }
            for (out, value) in out.iter_mut().zip(view.row(row)) {
                *out = *value;
            }
            Ok(())
        })
    }
}

impl Dataset {
    /// One that lies in a directory.
    pub(crate) fn opened(dataset: mused::Dataset) -> Self {
        Self(State::Opened(dataset))
    }

    /// What there is so far.
    fn seen(&self) -> &mused::Dataset {
        match &self.0 {
            State::Made(builder) => builder.so_far(),
            State::Opened(dataset) => dataset,
        }
    }

    /// The dataset as it is now. Responses are shared.
    pub(crate) fn get(&self) -> PyResult<mused::Dataset> {
        match &self.0 {
            State::Made(builder) => builder.clone().build().map_err(raised),
            State::Opened(dataset) => Ok(dataset.clone()),
        }
    }

    fn builder(&mut self) -> PyResult<&mut DatasetBuilder> {
        match &mut self.0 {
            State::Made(builder) => Ok(builder),
            State::Opened(dataset) => Err(DataError::new_err(format!(
                "{} lies in a directory and is not changed: make a Dataset of arrays to add to",
                dataset.place()
            ))),
        }
    }
}

#[pymethods]
impl Dataset {
    #[new]
    fn new(
        name: &str,
        stimuli: Vec<String>,
        groups: Option<Vec<String>>,
        tested: Option<Vec<bool>>,
        labels: Vec<String>,
        matrix: PyReadonlyArray2<'_, u8>,
    ) -> PyResult<Self> {
        let mut stimuli: Vec<Stimulus> = stimuli.into_iter().map(Stimulus::new).collect();
        for (stimulus, group) in stimuli.iter_mut().zip(groups.into_iter().flatten()) {
            stimulus.group = group;
        }
        for (stimulus, tested) in stimuli.iter_mut().zip(tested.into_iter().flatten()) {
            stimulus.part = Some(if tested { Part::Test } else { Part::Train });
        }
        let labels = Labels {
            names: labels,
            matrix: matrix.as_array().to_owned(),
        };
        let builder = mused::Dataset::builder(name, stimuli, labels);
        builder.check().map_err(raised)?;
        Ok(Self(State::Made(builder)))
    }

    #[classmethod]
    fn open(_class: &Bound<'_, PyType>, py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let dataset = py.detach(|| mused::Dataset::open(path));
        Ok(Self::opened(dataset.map_err(raised)?))
    }

    /// The same stimuli, labels and features, of nobody yet.
    fn without_subjects(&self, py: Python<'_>) -> PyResult<Self> {
        let of = self.seen();
        let (stimuli, labels) = (of.stimuli.to_vec(), Labels::clone(&of.labels));
        let mut builder = mused::Dataset::builder(of.description.clone(), stimuli, labels);
        py.detach(|| {
            for features in &of.features {
                builder.features(features.clone(), of.read_features(features)?)?;
            }
            Ok::<_, mused::data::Error>(())
        })
        .map_err(raised)?;
        Ok(Self(State::Made(builder)))
    }

    fn add_features(
        &mut self,
        name: &str,
        array: PyReadonlyArray2<'_, f32>,
        level: Option<&str>,
        is_rdm: bool,
    ) -> PyResult<()> {
        let level = match level {
            Some("high") => Some(Level::High),
            Some("low") => Some(Level::Low),
            _ => None,
        };
        let mut features = FeatureSet::new(name, level);
        features.is_rdm = is_rdm;
        let array = array.as_array().to_owned();
        self.builder()?.features(features, array).map_err(raised)
    }

    fn add_subject(
        &mut self,
        id: &str,
        responses: Given<'_>,
        stimuli: Vec<String>,
        rois: Vec<String>,
        runs: Option<Vec<u32>>,
        sessions: Option<Vec<u32>>,
    ) -> PyResult<()> {
        let builder = self.builder()?;
        let mut trials = builder.trials(stimuli).map_err(raised)?;
        for (trial, run) in trials.iter_mut().zip(runs.into_iter().flatten()) {
            trial.run = run;
        }
        for (trial, session) in trials.iter_mut().zip(sessions.into_iter().flatten()) {
            trial.session = session;
        }
        let voxels = Voxel::in_regions(rois);
        builder
            .subject(id, trials, voxels, responses.responses()?)
            .map_err(raised)
    }

    /// Writes a dataset directory.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let dataset = self.get()?;
        heard(py, move || dataset.write(path).map_err(raised))
    }

    /// Problems, each with whether it stops training, and who looks unlike the others.
    fn check(&self, py: Python<'_>) -> PyResult<(Vec<Found>, Vec<String>)> {
        let dataset = self.get()?;
        let (problems, outliers) = heard(py, move || {
            let mut problems = dataset.problems();
            problems.extend(dataset.check_arrays().map_err(raised)?);
            Ok((problems, quality(&dataset).map_err(raised)?.outliers))
        })?;
        let said = |problem: Problem| (problem.severity == Severity::Error, problem.message);
        Ok((
            problems.into_iter().map(said).collect(),
            outliers.iter().map(ToString::to_string).collect(),
        ))
    }

    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.seen().root().map(ToOwned::to_owned)
    }

    #[getter]
    fn name(&self) -> &str {
        &self.seen().description.name
    }

    /// Licence of the data and how to cite them, where they are known.
    #[getter]
    fn terms(&self) -> (Option<String>, Option<String>) {
        let description = &self.seen().description;
        (description.licence.clone(), description.citation.clone())
    }

    /// Of each subject its name, trials and voxels.
    #[getter]
    fn subjects(&self) -> Vec<(&str, usize, usize)> {
        let subjects = self.seen().subjects.iter();
        subjects
            .map(|subject| {
                let (trials, voxels) = (subject.trials.len(), subject.voxels.len());
                (subject.id.as_str(), trials, voxels)
            })
            .collect()
    }

    #[getter]
    fn regions(&self) -> Vec<&str> {
        self.seen().roi_names()
    }

    #[getter]
    fn stimuli(&self) -> Vec<(&str, &str)> {
        let stimuli = self.seen().stimuli.iter();
        stimuli
            .map(|stimulus| (stimulus.id.as_str(), stimulus.group.as_str()))
            .collect()
    }

    #[getter]
    fn labels(&self) -> Vec<String> {
        self.seen().labels.names.clone()
    }

    /// stimuli × labels
    #[getter]
    fn label_matrix<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<u8>> {
        self.seen().labels.matrix.clone().into_pyarray(py)
    }

    /// Of each feature set its name and what it guides.
    #[getter]
    fn features(&self) -> Vec<(&str, Option<&str>)> {
        let features = self.seen().features.iter();
        features
            .map(|features| {
                let level = features.level.map(|level| match level {
                    Level::High => "high",
                    Level::Low => "low",
                });
                (features.name.as_str(), level)
            })
            .collect()
    }
}

/// float32 in C order, all of it finite.
fn copied<T: Copy>(array: ArrayView2<'_, T>, single: impl Fn(T) -> f32) -> PyResult<Array2<f32>> {
    let values: Vec<f32> = array.iter().map(|value| single(*value)).collect();
    let copy = Array2::from_shape_vec(array.dim(), values);
    let copy = copy.map_err(|error| DataError::new_err(format!("responses: {error}")))?;
    finite(copy.view())?;
    Ok(copy)
}

/// Refuses NaN and infinity, saying where.
fn finite(array: ArrayView2<'_, f32>) -> PyResult<()> {
    let Some(((row, column), value)) = array.indexed_iter().find(|(_, value)| !value.is_finite())
    else {
        return Ok(());
    };
    Err(DataError::new_err(format!(
        "responses: expected finite values, found {value} in row {row}, column {column} (from 0); leave the trial or the \
         voxel out, or fill the value in"
    )))
}
