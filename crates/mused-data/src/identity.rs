use std::collections::BTreeMap;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Dataset, FeatureSet, Kind, Part, Response, Responses, Result, Subject};
use mused_formats::sha256::hexadecimal;

/// What a run reads of a dataset, each part as the SHA-256 of its content in hexadecimal: the same for the same data
/// in memory and in files, whatever else the directory holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Arrangement of the voxels.
    pub kind: Kind,
    /// What a response value is.
    pub response: Response,
    /// Ids, groups and published split, in order.
    pub stimuli: String,
    /// Names and which stimulus has which.
    pub labels: String,
    /// Trials, voxels and responses, by subject.
    pub subjects: BTreeMap<String, String>,
    /// Arrays, by name.
    pub features: BTreeMap<String, String>,
}

impl Dataset {
    /// What this dataset is to a run guided by `features`. A set that the dataset lacks is left out, which
    /// [`Identity::difference`] tells.
    ///
    /// Reads every response once, subjects in parallel.
    ///
    /// # Errors
    /// When responses or features cannot be read, or features are not finite.
    pub fn identity(&self, features: &[&str]) -> Result<Identity> {
        let subject = |subject| self.subject_hash(subject);
        let subjects = self
            .subjects
            .par_iter()
            .map(subject)
            .collect::<Result<_>>()?;
        let read = self
            .features
            .iter()
            .filter(|f| features.contains(&f.name.as_str()));
        Ok(Identity {
            kind: self.description.kind,
            response: self.description.response,
            stimuli: self.stimuli_hash(),
            labels: self.labels_hash(),
            subjects,
            features: read.map(|f| self.features_hash(f)).collect::<Result<_>>()?,
        })
    }

    fn stimuli_hash(&self) -> String {
        let mut content = Content::default();
        for stimulus in self.stimuli.iter() {
            content.text(&stimulus.id);
            content.text(&stimulus.group);
            content.text(match stimulus.part {
                None => "",
                Some(Part::Train) => "train",
                Some(Part::Test) => "test",
            });
        }
        content.hash()
    }

    fn labels_hash(&self) -> String {
        let mut content = Content::default();
        content.number(self.labels.names.len() as u64);
        for name in &self.labels.names {
            content.text(name);
        }
        for row in self.labels.matrix.rows() {
            content.bytes(&row.to_vec());
        }
        content.hash()
    }

    /// Stimuli by their ids: others that come or go are no change to the subject.
    fn subject_hash(&self, subject: &Subject) -> Result<(String, String)> {
        let mut content = Content::default();
        content.number(subject.trials.len() as u64);
        for trial in subject.trials.iter() {
            content.text(&self.stimuli[trial.stimulus].id);
            content.number(trial.session.into());
            content.number(trial.run.into());
            content.option(trial.onset.map(f64::to_bits));
            content.number(trial.repeat.into());
        }
        content.number(subject.voxels.len() as u64);
        for voxel in subject.voxels.iter() {
            content.text(&voxel.roi);
            for axis in 0..3 {
                content.option(voxel.coordinate.map(|at| i64::from(at[axis]) as u64));
            }
            content.text(
                voxel
                    .reference
                    .map_or("", |stimulus| &self.stimuli[stimulus].id),
            );
        }
        content.values(&subject.responses)?;
        Ok((subject.id.clone(), content.hash()))
    }

    fn features_hash(&self, features: &FeatureSet) -> Result<(String, String)> {
        let mut content = Content::default();
        content.number(features.is_rdm.into());
        content.values(&self.read_features(features)?.into())?;
        Ok((features.name.clone(), content.hash()))
    }
}

impl Identity {
    /// The same of fewer feature sets.
    pub fn with_features(mut self, names: &[&str]) -> Self {
        self.features
            .retain(|name, _| names.contains(&name.as_str()));
        self
    }

    /// What differs in `found`, in words; `None` where nothing does.
    pub fn difference(&self, found: &Self) -> Option<String> {
        let mut differences = Vec::new();
        let mut differs = |what: &str, differs: bool| {
            if differs {
                differences.push(what.to_owned());
            }
        };
        differs("the kind of the dataset", self.kind != found.kind);
        differs("what a response is", self.response != found.response);
        let stimuli = "the stimuli, their groups or their published split";
        differs(stimuli, self.stimuli != found.stimuli);
        differs("the labels", self.labels != found.labels);
        let values = "the responses, trials or voxels of subject";
        differences.extend(changes("subject", values, &self.subjects, &found.subjects));
        let values = "the values of the feature set";
        differences.extend(changes(
            "feature set",
            values,
            &self.features,
            &found.features,
        ));
        (!differences.is_empty()).then(|| differences.join("; "))
    }
}

/// Of parts by name: those that are gone, have other `values`, or are new.
fn changes(
    what: &str,
    values: &str,
    recorded: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Vec<String> {
    let changed = recorded
        .iter()
        .filter_map(|(name, hash)| match found.get(name) {
            None => Some(format!("the {what} {name} is no longer there")),
            Some(other) => (other != hash).then(|| format!("{values} {name}")),
        });
    let new = found.keys().filter(|name| !recorded.contains_key(*name));
    changed
        .chain(new.map(|name| format!("the {what} {name} is new")))
        .collect()
}

/// SHA-256 of one value after the other; texts begin with their length, so that none runs into the next.
#[derive(Default)]
struct Content(Sha256);

impl Content {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn option(&mut self, number: Option<u64>) {
        self.bytes(&[number.is_some().into()]);
        self.number(number.unwrap_or_default());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    fn values(&mut self, values: &Responses) -> Result<()> {
        self.text(&values.dtype().to_string());
        self.number(values.rows() as u64);
        self.number(values.columns() as u64);
        for row in 0..values.rows() {
            self.bytes(&values.row_bytes(row)?);
        }
        Ok(())
    }

    fn hash(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}
