use std::collections::{BTreeMap, HashMap, HashSet};

use ndarray::Array2;

use crate::read::Unread;
use crate::writer::claim_folder_name;
use crate::{
    Dataset, Description, Error, FeatureSet, Labels, Responses, Result, Stimulus, Subject, Trial,
    Voxel,
};

/// Makes a [`Dataset`] of arrays, with the checks that opening a directory makes.
///
/// ```
/// use mused_data::{Dataset, FeatureSet, Labels, Level, Stimulus, Voxel};
/// use ndarray::arr2;
///
/// # fn main() -> mused_data::Result<()> {
/// let stimuli = ["face-1", "face-2", "house-1"].map(Stimulus::new).to_vec();
/// let labels = Labels {
///     names: vec!["person".to_owned()],
///     matrix: arr2(&[[1], [1], [0]]),
/// };
/// let mut builder = Dataset::builder("faces and houses", stimuli, labels);
/// builder.subject(
///     "01",
///     builder.trials(["face-1", "house-1", "face-2", "face-1"])?,
///     Voxel::in_regions(["V1", "V1", "FFA"]),
///     arr2(&[[0.3, -1.0, 2.1], [0.1, 0.4, -0.7], [0.2, -0.8, 1.9], [0.5, -1.1, 2.4]]),
/// )?;
/// let clip = FeatureSet::new("clip", Level::High);
/// builder.features(clip, arr2(&[[0.9, 0.1], [0.8, 0.2], [0.1, 0.7]]))?;
/// let dataset = builder.build()?;
///
/// assert_eq!(dataset.roi_names(), ["V1", "FFA"]);
/// assert_eq!(dataset.subjects[0].trials[3].repeat, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DatasetBuilder {
    dataset: Dataset,
    subjects: HashSet<String>,
    features: HashSet<String>,
}

impl Dataset {
    /// Starts a dataset in memory. A name alone stands for regions of voxels; whatever else [`Description`] can say
    /// goes in its place.
    pub fn builder(
        description: impl Into<Description>,
        stimuli: Vec<Stimulus>,
        labels: Labels,
    ) -> DatasetBuilder {
        DatasetBuilder {
            dataset: Self {
                root: None,
                description: description.into(),
                stimuli: stimuli.into(),
                labels: labels.into(),
                subjects: Vec::new(),
                features: Vec::new(),
                arrays: BTreeMap::new(),
                unread: Unread::new(),
            },
            subjects: HashSet::new(),
            features: HashSet::new(),
        }
    }
}

impl DatasetBuilder {
    /// Presentations of the stimuli with these ids, one after the other in one run, repeats counted.
    ///
    /// # Errors
    /// An id that no stimulus has.
    pub fn trials<S: AsRef<str>>(&self, ids: impl IntoIterator<Item = S>) -> Result<Vec<Trial>> {
        let stimuli = self.dataset.stimuli.iter().enumerate();
        let places: HashMap<&str, usize> = stimuli.map(|(at, s)| (s.id.as_str(), at)).collect();
        let mut seen: HashMap<usize, u32> = HashMap::new();
        let trial = |(row, id): (usize, S)| {
            let stimulus = *places.get(id.as_ref()).ok_or_else(|| {
                Error::Request(format!(
                    "trial {row}: expected the id of one of the {} stimuli, found {:?}",
                    places.len(),
                    id.as_ref()
                ))
            })?;
            let repeat = seen.entry(stimulus).or_default();
            *repeat += 1;
            Ok(Trial {
                repeat: *repeat,
                ..Trial::of(stimulus)
            })
        };
        ids.into_iter().enumerate().map(trial).collect()
    }

    /// Adds a subject with its responses, trials × voxels: an array, or rows that are lent. Values are checked when they
    /// are read.
    ///
    /// # Errors
    /// When the id repeats or cannot be a folder name, trials or voxels name stimuli that are not there, or the shape
    /// of the responses is another.
    pub fn subject(
        &mut self,
        id: &str,
        trials: Vec<Trial>,
        voxels: Vec<Voxel>,
        responses: impl Into<Responses>,
    ) -> Result<()> {
        let subject = Subject {
            id: id.to_owned(),
            trials: trials.into(),
            voxels: voxels.into(),
            responses: responses.into(),
            folder: None,
        };
        subject.check(
            self.dataset.description.response,
            self.dataset.stimuli.len(),
        )?;
        claim_folder_name("subject id", id, &mut self.subjects)?;
        self.dataset.subjects.push(subject);
        Ok(())
    }

    /// Adds guidance: stimuli × features, or stimuli × stimuli where `features.is_rdm`. Its shape is that of `array`.
    ///
    /// # Errors
    /// When the name repeats or cannot be a folder name, or the rows do not match the stimuli.
    pub fn features(&mut self, features: FeatureSet, array: Array2<f32>) -> Result<()> {
        let shape = array.dim().into();
        features.check(shape, self.dataset.stimuli.len())?;
        claim_folder_name("name of features", &features.name, &mut self.features)?;
        let arrays = &mut self.dataset.arrays;
        arrays.insert(features.name.clone(), array.into_shared());
        self.dataset.features.push(FeatureSet { shape, ..features });
        Ok(())
    }

    /// What it holds so far.
    pub fn so_far(&self) -> &Dataset {
        &self.dataset
    }

    /// Checks stimuli and labels, as [`Self::build`] does, before there are subjects.
    ///
    /// # Errors
    /// Two stimuli of one id; labels that do not match the stimuli, or are not 0 or 1.
    pub fn check(&self) -> Result<()> {
        Stimulus::check_ids(&self.dataset.stimuli)?;
        self.dataset.labels.check(self.dataset.stimuli.len())
    }

    /// The dataset, its subjects and feature sets by name, as a directory has them.
    ///
    /// # Errors
    /// Without stimuli or subjects, with two stimuli of one id, or where labels do not match the stimuli.
    pub fn build(mut self) -> Result<Dataset> {
        let dataset = &self.dataset;
        let place = dataset.place();
        if dataset.stimuli.is_empty() || dataset.subjects.is_empty() {
            return Err(Error::Request(format!(
                "{place} has {} stimuli and {} subjects, expected at least one of each",
                dataset.stimuli.len(),
                dataset.subjects.len()
            )));
        }
        self.check()?;
        let dataset = &mut self.dataset;
        dataset.subjects.sort_by(|a, b| a.id.cmp(&b.id));
        dataset.features.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(self.dataset)
    }
}
