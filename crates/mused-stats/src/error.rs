/// Why a statistic could not be computed. Indices are zero-based.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two inputs that must agree in shape do not.
    #[error("{what}: expected shape {expected:?} as in the other input, found {found:?}")]
    Shape {
        /// Which input.
        what: &'static str,
        /// Shape of the input it must agree with.
        expected: Vec<usize>,
        /// Its own shape.
        found: Vec<usize>,
    },
    /// There is nothing to compute from.
    #[error("{what}: expected at least one value, found shape {found:?}")]
    Empty {
        /// Which input.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A value is NaN or infinite.
    #[error("{what}: expected a finite value at {index:?}, found {found}")]
    NotFinite {
        /// Which input.
        what: &'static str,
        /// Where in it.
        index: Vec<usize>,
        /// The value.
        found: f64,
    },
    /// A target is neither 0 nor 1.
    #[error("targets: expected 0 or 1 at {index:?}, found {found}")]
    NotBinary {
        /// Where in the targets.
        index: Vec<usize>,
        /// The value.
        found: u8,
    },
    /// A matrix that must be square is not.
    #[error("RDM: expected a square matrix, found {rows} x {columns}")]
    NotSquare {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
    /// A matrix that must be symmetric is not.
    #[error(
        "RDM: expected a symmetric matrix, found {upper} at [{row}, {column}] but {lower} at [{column}, {row}], \
         further apart than {tolerance}"
    )]
    NotSymmetric {
        /// Row of the entry above the diagonal.
        row: usize,
        /// Column of the entry above the diagonal.
        column: usize,
        /// The entry above the diagonal.
        upper: f64,
        /// Its mirror image.
        lower: f64,
        /// The largest difference allowed.
        tolerance: f64,
    },
    /// A length that must be n (n - 1) / 2 for some n is not.
    #[error("condensed RDM: expected a length of n(n-1)/2 for some n, found {found}")]
    NotTriangular {
        /// The length.
        found: usize,
    },
    /// All dissimilarities are equal, so their ranks say nothing.
    #[error("RDM: expected dissimilarities that differ, found all equal")]
    ConstantRdm,
    /// All values of a row are equal, so its correlation with anything is undefined.
    #[error("features: expected values that vary within row {row}, found a constant row")]
    ConstantRow {
        /// The row.
        row: usize,
    },
    /// Cross-validation has nothing to predict from.
    #[error("parts: expected 2 or more to choose a penalty by cross-validation, found 1")]
    OnePart,
    /// There is nothing to align.
    #[error("responses: expected some that vary over stimuli, found a subject whose never do")]
    NothingVaries,
    /// The iteration for eigenvectors did not end.
    #[error("the eigenvectors of a {size} x {size} matrix did not converge")]
    NoEigenvectors {
        /// Rows and columns of the matrix.
        size: usize,
    },
    /// A penalty is too small, or features are too large, for the equations to have a solution.
    #[error(
        "penalty: expected one large enough, and features small enough, for {size} equations to have a solution, found {penalty}"
    )]
    NotPositive {
        /// Number of equations.
        size: usize,
        /// The penalty.
        penalty: f64,
    },
    /// A subject has two samples of one stimulus.
    #[error(
        "samples: expected one sample of stimulus {stimulus} for subject {subject}, found two; average repeats first"
    )]
    Repeated {
        /// The subject.
        subject: usize,
        /// The stimulus.
        stimulus: usize,
    },
    /// Samples of one stimulus name different groups.
    #[error("samples: expected stimulus {stimulus} in one group, found it in {groups:?}")]
    TwoGroups {
        /// The stimulus.
        stimulus: usize,
        /// Two of its groups.
        groups: [usize; 2],
    },
    /// Samples of one stimulus have different targets.
    #[error(
        "targets: expected one target of label {label} for all samples of stimulus {stimulus}, found 0 and 1"
    )]
    TargetsDiffer {
        /// The stimulus.
        stimulus: usize,
        /// Column of the targets.
        label: usize,
    },
    /// A value that must lie between 0 and 1 does not.
    #[error("{what}: expected a value from 0 to 1 at {index:?}, found {found}")]
    NotProbability {
        /// Which input.
        what: &'static str,
        /// Where in it.
        index: Vec<usize>,
        /// The value.
        found: f64,
    },
}

/// Result of a statistic.
pub type Result<T> = std::result::Result<T, Error>;

/// Why sound data has no such number. It stands where the number would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The score is undefined for every subject.
    #[error("no sample is positive, or (for ROC-AUC) every sample is")]
    NotScorable,
    /// Every permitted exchange leaves the labels as they are.
    #[error("no permitted exchange changes the labels")]
    NothingToExchange,
    /// A statement over subjects needs two of them.
    #[error("there are fewer than two subjects with a score")]
    OneSubject,
    /// A statement over stimuli needs two groups of them.
    #[error("there are fewer than two groups of stimuli")]
    OneGroup,
    /// Noise is told from signal by repeats.
    #[error("no stimulus was repeated")]
    NoRepeats,
    /// An interval needs two subjects or two groups of stimuli.
    #[error("there are neither two subjects nor two groups of stimuli")]
    OneSubjectAndGroup,
    /// Without one of the groups of stimuli, a subject has no score.
    #[error("all positives (or all negatives) stand in one group of stimuli")]
    FewPositives,
    /// All values are equal: the scores of an interval, a voxel's responses, an RDM's dissimilarities.
    #[error("there is no variation to measure")]
    NoVariation,
}

/// A number, or why there is none.
pub type Answer<T> = std::result::Result<T, Unavailable>;
