use std::collections::HashSet;
use std::fmt;

use mused_stats::moments::varies;
use ndarray::Array2;

use crate::map::moments;
use crate::{Dataset, Error, FeatureSet, Labels, Response, Result, Stimulus, Subject, Voxel};

/// How serious a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Training is refused until it is mended.
    Error,
    /// Worth knowing.
    Warning,
}

/// Something about a dataset that its user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops training.
    pub severity: Severity,
    /// What is wrong, where, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(formatter, "{severity}: {}", self.message)
    }
}

/// Fewer stimuli than this with a label cannot be in every fold of a cross-validation.
const FEW_POSITIVES: usize = 5;

/// What computing an RDM in half or single precision leaves, as a share of its largest entry.
const RDM_TOLERANCE: f32 = 1e-3;

/// Names that a sentence lists.
const NAMED: usize = 10;

/// The first names, and how many more there are.
fn listed(names: &[&str]) -> String {
    match names.get(..NAMED) {
        Some(first) if names.len() > NAMED => {
            format!("{} and {} more", first.join(", "), names.len() - NAMED)
        }
        _ => names.join(", "),
    }
}

impl Dataset {
    /// Whether no two stimuli share a group, so that nothing keeps pictures of one clip or scene together.
    pub fn has_no_groups(&self) -> bool {
        let mut seen = HashSet::new();
        let mut groups = self.stimuli.iter().map(|stimulus| &stimulus.group);
        groups.all(|group| seen.insert(group))
    }

    /// What is wrong with labels and trials, and which columns of tables nothing reads, without reading responses.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let positives = self.labels.positives();
        let named = |wanted: &dyn Fn(usize) -> bool| -> Vec<&str> {
            let labels = self.labels.names.iter().zip(&positives);
            labels
                .filter(|(_, count)| wanted(**count))
                .map(|(name, _)| name.as_str())
                .collect()
        };
        let never = named(&|count| count == 0);
        if !never.is_empty() {
            problems.push(Problem {
                severity: Severity::Error,
                message: format!(
                    "no stimulus has the label {}: remove it from labels.tsv and labels.npy",
                    listed(&never)
                ),
            });
        }
        let rare = named(&|count| (1..FEW_POSITIVES).contains(&count));
        if !rare.is_empty() {
            problems.push(Problem {
                severity: Severity::Warning,
                message: format!(
                    "fewer than {FEW_POSITIVES} stimuli have the label {}: a fold may have none",
                    listed(&rare)
                ),
            });
        }
        let all = named(&|count| count == self.stimuli.len());
        if !all.is_empty() {
            problems.push(Problem {
                severity: Severity::Warning,
                message: format!(
                    "every stimulus has the label {}: nothing can be told apart by it, and no score counts it",
                    listed(&all)
                ),
            });
        }
        let mut shown = vec![false; self.stimuli.len()];
        for trial in self.subjects.iter().flat_map(|s| s.trials.iter()) {
            shown[trial.stimulus] = true;
        }
        let unseen = shown.iter().filter(|shown| !**shown).count();
        if unseen > 0 {
            problems.push(Problem {
                severity: Severity::Warning,
                message: format!("{unseen} of {} stimuli were shown to nobody", shown.len()),
            });
        }
        problems.extend(self.unread.iter().map(|message| Problem {
            severity: Severity::Warning,
            message: message.clone(),
        }));
        problems
    }

    /// Reads every response and feature set: constant voxels are a warning, NaN and infinite values an error, and so are
    /// features that cannot guide.
    ///
    /// # Errors
    /// At the first array that is not what it should be or cannot be read.
    pub fn check_arrays(&self) -> Result<Vec<Problem>> {
        let mut problems = Vec::new();
        for subject in &self.subjects {
            let moments = moments(subject)?;
            let spread = moments.means().iter().zip(moments.population_variances());
            let count = spread
                .filter(|(mean, variance)| !varies(**mean, variance.sqrt()))
                .count();
            if count > 0 {
                problems.push(Problem {
                    severity: Severity::Warning,
                    message: format!(
                        "subject {}: {count} of {} voxels never vary; they are ignored",
                        subject.id,
                        subject.voxels.len()
                    ),
                });
            }
        }
        for features in self.features.iter() {
            self.read_features(features)?;
        }
        Ok(problems)
    }
}

/// Names that a table does not take for missing ones: they must be read again.
pub(crate) fn check_names<'n>(what: &str, names: impl IntoIterator<Item = &'n str>) -> Result<()> {
    let mut names = names.into_iter().zip(1..);
    match names.find(|(name, _)| matches!(name.trim(), "" | "n/a")) {
        None => Ok(()),
        Some((name, number)) => Err(Error::Request(format!(
            "expected a {what}, found {name:?} as number {number}: tables take it for none"
        ))),
    }
}

impl Stimulus {
    /// Ids that are some and differ, groups and captions that are some.
    pub(crate) fn check_ids(stimuli: &[Self]) -> Result<()> {
        check_names(
            "id of a stimulus",
            stimuli.iter().map(|stimulus| &*stimulus.id),
        )?;
        let groups = stimuli.iter().map(|stimulus| &*stimulus.group);
        check_names("group of a stimulus", groups)?;
        let captions = stimuli.iter().flat_map(|stimulus| &stimulus.captions);
        check_names("caption", captions.map(String::as_str))?;
        let mut ids = HashSet::new();
        match stimuli.iter().find(|stimulus| !ids.insert(&stimulus.id)) {
            None => Ok(()),
            Some(twice) => Err(Error::Request(format!(
                "stimulus id {:?} occurs twice",
                twice.id
            ))),
        }
    }
}

impl Labels {
    /// A row a stimulus, a name a column, names that are some and differ, and values of 0 and 1.
    pub(crate) fn check(&self, stimuli: usize) -> Result<()> {
        let Self { names, matrix } = self;
        check_names("name of a label", names.iter().map(String::as_str))?;
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
            return Err(Error::Request(format!("label {twice:?} occurs twice")));
        }
        if matrix.dim() != (stimuli, names.len()) {
            return Err(Error::Request(format!(
                "expected labels of {stimuli} stimuli × {} names, found {} × {}",
                names.len(),
                matrix.nrows(),
                matrix.ncols()
            )));
        }
        match matrix.indexed_iter().find(|(_, value)| **value > 1) {
            None => Ok(()),
            Some(((row, column), value)) => Err(Error::Request(format!(
                "expected labels of 0 or 1, found {value} in row {row}, column {column}"
            ))),
        }
    }
}

impl FeatureSet {
    /// A row a stimulus, and for an RDM a column a stimulus.
    pub(crate) fn check(&self, shape: [usize; 2], stimuli: usize) -> Result<()> {
        let columns = if self.is_rdm { stimuli } else { shape[1] };
        if shape == [stimuli, columns] {
            return Ok(());
        }
        Err(Error::Request(format!(
            "expected features {:?} of {stimuli} stimuli × {columns}, found {} × {}",
            self.name, shape[0], shape[1]
        )))
    }
}

impl FeatureSet {
    /// Finite values that stimuli differ in; for an RDM dissimilarities: from 0, which a stimulus has to itself, and the
    /// same both ways. [`RDM_TOLERANCE`] of the largest is let pass.
    pub(crate) fn check_values(&self, array: &Array2<f32>) -> std::result::Result<(), String> {
        if let Some(((row, column), value)) =
            array.indexed_iter().find(|(_, value)| !value.is_finite())
        {
            return Err(format!(
                "expected finite values, found {value} in row {row}, column {column}"
            ));
        }
        if !self.is_rdm {
            let first = array.row(0);
            return match array.nrows() > 1 && array.rows().into_iter().all(|row| row == first) {
                true => Err(
                    "expected features that differ between stimuli, found the same for all"
                        .to_owned(),
                ),
                false => Ok(()),
            };
        }
        let largest = array
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        let tolerance = RDM_TOLERANCE * largest;
        for ((row, column), &value) in array.indexed_iter() {
            let (place, other) = (
                format!("in row {row}, column {column}"),
                array[[column, row]],
            );
            if row == column && value.abs() > tolerance {
                return Err(format!(
                    "expected the dissimilarities of an RDM, 0 on the diagonal, found {value} {place}: if these are \
                     similarities, write 1 - similarity"
                ));
            }
            if value < -tolerance {
                return Err(format!(
                    "expected the dissimilarities of an RDM, from 0 upwards, found {value} {place}"
                ));
            }
            if (value - other).abs() > tolerance {
                return Err(format!(
                    "expected a symmetric RDM, found {value} {place} and {other} the other way round: write the mean \
                     of the matrix and its transpose"
                ));
            }
        }
        let mut pairs = array
            .indexed_iter()
            .filter(|((row, column), _)| row < column);
        let first = pairs.next().map(|(_, value)| *value);
        let same = |(_, value): (_, &f32)| Some(*value) == first;
        match array.nrows() > 2 && pairs.all(same) {
            true => Err(
                "expected an RDM whose dissimilarities differ, found the same for all pairs"
                    .to_owned(),
            ),
            false => Ok(()),
        }
    }
}

impl Subject {
    /// Trials and voxels that name stimuli there are, with a response each.
    pub(crate) fn check(&self, response: Response, stimuli: usize) -> Result<()> {
        let refused =
            |message: String| Err(Error::Request(format!("subject {}: {message}", self.id)));
        if self.trials.is_empty() || self.voxels.is_empty() {
            return refused(format!(
                "expected at least one trial and one voxel, found {} and {}",
                self.trials.len(),
                self.voxels.len()
            ));
        }
        if let Some(row) = self
            .trials
            .iter()
            .position(|trial| trial.stimulus >= stimuli)
        {
            let found = self.trials[row].stimulus;
            return refused(format!(
                "expected the index of one of {stimuli} stimuli, found {found} in trial {row}"
            ));
        }
        let mut seen = HashSet::new();
        for (column, Voxel { roi, reference, .. }) in self.voxels.iter().enumerate() {
            let expected = match (response, reference) {
                (Response::Voxels, None) => continue,
                (Response::Voxels, _) => "none of a voxel".to_owned(),
                (_, Some(known)) if *known < stimuli && seen.insert((roi, known)) => continue,
                _ => format!("the index of one of {stimuli} stimuli, once in roi {roi}"),
            };
            return refused(format!(
                "expected as reference of column {column} {expected}, found {reference:?}"
            ));
        }
        let found = (self.responses.rows(), self.responses.columns());
        if found != (self.trials.len(), self.voxels.len()) {
            return refused(format!(
                "expected responses of {} trials × {} voxels, found {} × {}",
                self.trials.len(),
                self.voxels.len(),
                found.0,
                found.1
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_counted() {
        let names: Vec<String> = (0..200).map(|name| name.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(listed(&names), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 190 more");
        assert_eq!(listed(&names[..2]), "0, 1");
    }
}
