//! Named checks of an import: each fails loudly unless its user lets it pass by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization as _;

use crate::{Error, Result, Voxel};

/// What an import can be told to let pass, with a warning kept in `dataset.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// A mask or run that lies elsewhere in space than the subject's first run.
    Affine,
    /// Voxels with NaN or infinite values. Let pass, they are left out.
    NanVoxels,
    /// Voxels that never vary within a run. Let pass, they are left out.
    ConstantVoxels,
    /// Two subjects whose responses are equal to the last bit: a file copied under two names.
    IdenticalSubjects,
    /// Two runs of a subject whose responses are equal to the last bit: a file copied under two names.
    IdenticalRuns,
    /// Runs of different repetition times.
    TrDiffers,
    /// A header that contradicts the repetition time of the sidecar or of the user.
    TrHeader,
    /// Events whose response lies outside the run in part. Let pass, the part inside is taken, and an
    /// event without one is left out.
    EventsOutside,
    /// Events without an onset. Let pass, they are left out.
    OnsetMissing,
    /// One stimulus with different labels in different trials. Let pass, it has them all.
    LabelConflict,
    /// A run with more or fewer volumes, or labels for more or fewer seconds, than it is known to have.
    RunLength,
    /// A subject without one of the runs everybody has. Let pass, the others are imported.
    RunMissing,
    /// Another number of test seconds than published results were scored on.
    TestSeconds,
    /// NSD: a session that was measured but is not there.
    SessionMissing,
    /// NSD: sessions of another number of trials than 750.
    TrialCount,
    /// NSD: another number of voxels in `nsdgeneral` than was released.
    VoxelCount,
    /// RDMs read as patterns: more of the variance than correlations leave is negative, which no patterns have. Let
    /// pass, it is left out.
    NegativeVariance,
    /// Labels, regions, or groups of stimuli, whose names differ in case, blanks, signs that are not seen, or the spelling of a number alone: most
    /// often one that was written in two ways.
    NamesAlike,
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Affine,
        Self::NanVoxels,
        Self::ConstantVoxels,
        Self::IdenticalSubjects,
        Self::IdenticalRuns,
        Self::TrDiffers,
        Self::TrHeader,
        Self::EventsOutside,
        Self::OnsetMissing,
        Self::LabelConflict,
        Self::RunLength,
        Self::RunMissing,
        Self::TestSeconds,
        Self::SessionMissing,
        Self::TrialCount,
        Self::VoxelCount,
        Self::NegativeVariance,
        Self::NamesAlike,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Affine => "affine",
            Self::NanVoxels => "nan-voxels",
            Self::ConstantVoxels => "constant-voxels",
            Self::IdenticalSubjects => "identical-subjects",
            Self::IdenticalRuns => "identical-runs",
            Self::TrDiffers => "tr-differs",
            Self::TrHeader => "tr-header",
            Self::EventsOutside => "events-outside",
            Self::OnsetMissing => "onset-missing",
            Self::LabelConflict => "label-conflict",
            Self::RunLength => "run-length",
            Self::RunMissing => "run-missing",
            Self::TestSeconds => "test-seconds",
            Self::SessionMissing => "session-missing",
            Self::TrialCount => "trial-count",
            Self::VoxelCount => "voxel-count",
            Self::NegativeVariance => "negative-variance",
            Self::NamesAlike => "names-alike",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Check {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|check| check.name() == name);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::Request(format!(
                "expected the name of a check ({known}), found {name:?}"
            ))
        })
    }
}

/// Which checks are let pass, and what they found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    allowed: BTreeSet<Check>,
    pub(super) warnings: Vec<String>,
}

impl Findings {
    pub(crate) fn new(allowed: &[Check]) -> Self {
        Self {
            allowed: allowed.iter().copied().collect(),
            warnings: Vec::new(),
        }
    }

    /// Keeps what its user must know of, though nothing need be let pass.
    pub(crate) fn warn(&mut self, message: String) {
        self.warnings.push(message);
    }

    /// Notes what a check found: an error, or a warning where the check is let pass.
    pub(crate) fn report(&mut self, check: Check, message: impl Into<String>) -> Result<()> {
        let message = message.into();
        if self.allowed.contains(&check) {
            self.warnings.push(format!("{check}: {message}"));
            return Ok(());
        }
        Err(Error::Check { check, message })
    }
}

/// Names of one kind.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The first of those that are alike, by what is left of them without what is easily overlooked.
    first: BTreeMap<String, String>,
    seen: BTreeSet<String>,
}

impl Names {
    /// Takes in a name of a `what`; one that is another, written differently, is reported.
    pub(super) fn add(&mut self, what: &str, name: &str, findings: &mut Findings) -> Result<()> {
        if !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let first = self.first.entry(plain(name));
        let first = first.or_insert_with(|| name.to_owned());
        if first == name {
            return Ok(());
        }
        let message = format!(
            "expected {what}s that nobody takes for one another, found {first:?} and {name:?}: write them in one way where they \
             are one"
        );
        findings.report(Check::NamesAlike, message)
    }
}

/// A name without case, blanks, signs that are not seen and ways of writing a number.
fn plain(name: &str) -> String {
    let hidden = |sign: &char| {
        sign.is_control()
            || sign.is_whitespace()
            || matches!(
                sign,
                '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
            )
    };
    let seen = name.nfkc().filter(|sign| !hidden(sign));
    let seen: String = seen.flat_map(char::to_lowercase).collect();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, rest) = seen.split_once('.').unwrap_or((&seen, ""));
    if digits(whole) && rest.trim_end_matches('0').is_empty() {
        return whole.trim_start_matches('0').to_owned();
    }
    seen
}

/// Share of a voxel's variance that single precision may take of values that are finer.
pub(crate) const MOST_LOST: f64 = 0.01;

/// Which voxels cannot be used, gathered run by run.
#[derive(Clone, Debug)]
pub(crate) struct VoxelFlaws {
    /// Not finite somewhere.
    pub(crate) nan: Vec<bool>,
    /// Without variation in some run.
    pub(crate) constant: Vec<bool>,
}

impl VoxelFlaws {
    pub(crate) fn none(voxels: usize) -> Self {
        Self {
            nan: vec![false; voxels],
            constant: vec![false; voxels],
        }
    }

    /// Whether a voxel is kept.
    pub(crate) fn usable(&self, voxel: usize) -> bool {
        !self.nan[voxel] && !self.constant[voxel]
    }

    /// Indices of the voxels to keep; flaws are reported.
    pub(crate) fn kept(
        &self,
        subject: &str,
        voxels: &[Voxel],
        findings: &mut Findings,
    ) -> Result<Vec<usize>> {
        let flaws = [
            (
                Check::NanVoxels,
                &self.nan,
                "finite values",
                "NaN or infinite ones",
            ),
            (
                Check::ConstantVoxels,
                &self.constant,
                "values that vary",
                "constant ones",
            ),
        ];
        for (check, flags, expected, found) in flaws {
            let count = flags.iter().filter(|flag| **flag).count();
            if count > 0 {
                let first = flags.iter().position(|flag| *flag).unwrap_or(0);
                let place = voxels.get(first).map_or_else(String::new, |voxel| {
                    let at = voxel.coordinate;
                    let at =
                        at.map_or_else(String::new, |[i, j, k]| format!(" at i {i}, j {j}, k {k}"));
                    format!(" (the first is column {first}, roi {}{at})", voxel.roi)
                });
                findings.report(
                    check,
                    format!(
                        "subject {subject}: expected {expected} in all {} voxels, found {found} in \
                         {count}{place}",
                        flags.len()
                    ),
                )?;
            }
        }
        let voxels = 0..self.nan.len();
        let kept: Vec<usize> = voxels.filter(|&voxel| self.usable(voxel)).collect();
        if kept.is_empty() {
            return Err(Error::Request(format!(
                "subject {subject}: expected at least one usable voxel, found none of {}",
                self.nan.len()
            )));
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken_for_one_another_are_reported() {
        let found = |first: &str, second: &str| {
            let (mut names, mut findings) = (Names::default(), Findings::new(&[]));
            names.add("label", first, &mut findings).unwrap();
            names.add("label", first, &mut findings).unwrap();
            names.add("label", second, &mut findings)
        };
        // The second is what pandas makes of whole numbers in the run where one is missing.
        let alike = [
            ("face", "Face "),
            ("1", "1.0"),
            ("7", "007"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("a b", "a\u{a0}b"),
            ("face", "\u{feff}face\u{200b}"),
        ];
        for (first, second) in alike {
            let message = found(first, second).unwrap_err().to_string();
            let expected =
                format!("found {first:?} and {second:?}: write them in one way where they are one");
            assert!(message.contains(&expected), "{message}");
            assert!(
                message.ends_with("`--allow names-alike` lets it pass"),
                "{message}"
            );
        }
        let (mut names, mut let_pass) = (Names::default(), Findings::new(&[Check::NamesAlike]));
        for name in ["a", "A", "a", "A", "A "] {
            names.add("group", name, &mut let_pass).unwrap();
        }
        assert_eq!(let_pass.warnings.len(), 2);
        for (first, second) in [
            ("V1", "V2"),
            ("1", "10"),
            ("v1", "v1d"),
            ("dog.n.01", "dog.n.02"),
        ] {
            found(first, second).unwrap();
        }
    }
}
