/// What an import of recordings found, for its user to compare with the paper.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Subjects, sorted, with their numbers of runs (NSD: of sessions), trials and voxels.
    pub subjects: Vec<(String, [usize; 3])>,
    /// Number of stimuli.
    pub stimuli: usize,
    /// Names of the labels.
    pub labels: Vec<String>,
    /// What was not there and is not needed.
    pub notes: Vec<String>,
    /// Checks that were let pass.
    pub warnings: Vec<String>,
}
