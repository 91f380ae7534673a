//! Named checks of an import: each fails loudly unless its user lets it pass by name.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use mused_formats::npy::{Dtype, NpyMatrix};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fingerprint::hexadecimal;
use crate::{DatasetWriter, Error, Result, Trial, Voxel};

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
    /// Runs of different repetition times.
    TrDiffers,
    /// A header that contradicts the repetition time of the sidecar or of the user.
    TrHeader,
    /// Events whose response lies outside the run in part. Let pass, the part inside is taken, and an
    /// event without one is left out.
    EventsOutside,
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
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Affine,
        Self::NanVoxels,
        Self::ConstantVoxels,
        Self::IdenticalSubjects,
        Self::TrDiffers,
        Self::TrHeader,
        Self::EventsOutside,
        Self::LabelConflict,
        Self::RunLength,
        Self::RunMissing,
        Self::TestSeconds,
        Self::SessionMissing,
        Self::TrialCount,
        Self::VoxelCount,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Affine => "affine",
            Self::NanVoxels => "nan-voxels",
            Self::ConstantVoxels => "constant-voxels",
            Self::IdenticalSubjects => "identical-subjects",
            Self::TrDiffers => "tr-differs",
            Self::TrHeader => "tr-header",
            Self::EventsOutside => "events-outside",
            Self::LabelConflict => "label-conflict",
            Self::RunLength => "run-length",
            Self::RunMissing => "run-missing",
            Self::TestSeconds => "test-seconds",
            Self::SessionMissing => "session-missing",
            Self::TrialCount => "trial-count",
            Self::VoxelCount => "voxel-count",
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
    warnings: Vec<String>,
}

impl Findings {
    pub(crate) fn new(allowed: &[Check]) -> Self {
        Self {
            allowed: allowed.iter().copied().collect(),
            warnings: Vec::new(),
        }
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

    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

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

/// Responses that can be read a trial at a time.
pub(crate) trait ResponseRows {
    /// Copies the response of a trial, one value a voxel.
    fn copy_row(&self, row: usize, out: &mut [f32]) -> Result<()>;
}

impl ResponseRows for NpyMatrix {
    fn copy_row(&self, row: usize, out: &mut [f32]) -> Result<()> {
        Ok(self.read_row(row, out)?)
    }
}

impl ResponseRows for Array2<f32> {
    fn copy_row(&self, row: usize, out: &mut [f32]) -> Result<()> {
        for (value, source) in out.iter_mut().zip(self.row(row)) {
            *value = *source;
        }
        Ok(())
    }
}

/// Subjects as they are written, so that copies of one another are seen, and a killed import goes on behind them.
#[derive(Debug, Default)]
pub(crate) struct SubjectsWritten {
    hashes: HashMap<String, String>,
    last: Option<WrittenSubject>,
    /// Warnings that are not of the subject at work.
    before: usize,
}

/// What is recorded of a subject that is complete.
#[derive(Debug, Serialize, Deserialize)]
struct WrittenSubject {
    hash: String,
    voxels: usize,
    warnings: Vec<String>,
}

impl SubjectsWritten {
    /// The number of voxels of a subject that a killed import had completed; it is taken over.
    pub(crate) fn completed(
        &mut self,
        writer: &mut DatasetWriter,
        subject: &str,
        findings: &mut Findings,
    ) -> Result<Option<usize>> {
        let record: Option<WrittenSubject> = writer.recorded(&format!("subject-{subject}"));
        let Some(written) = record else {
            self.before = findings.warnings.len();
            return Ok(None);
        };
        writer.keep_subject(subject)?;
        self.hashes.insert(written.hash, subject.to_owned());
        findings.warnings.extend(written.warnings);
        Ok(Some(written.voxels))
    }

    /// Records that the subject written last is complete.
    pub(crate) fn complete(&mut self, writer: &DatasetWriter, subject: &str) -> Result<()> {
        match self.last.take() {
            Some(written) => writer.record(&format!("subject-{subject}"), &written),
            None => Ok(()),
        }
    }

    /// Writes a subject without the voxels that cannot be used, and returns how many are left.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn write(
        &mut self,
        writer: &mut DatasetWriter,
        subject: &str,
        trials: &[Trial],
        voxels: &[Voxel],
        rows: (&dyn ResponseRows, Dtype),
        flaws: &VoxelFlaws,
        findings: &mut Findings,
    ) -> Result<usize> {
        let kept = flaws.kept(subject, voxels, findings)?;
        let usable: Vec<Voxel> = kept.iter().map(|&voxel| voxels[voxel].clone()).collect();
        let mut out = writer.subject(subject, trials, &usable, rows.1)?;
        let mut hash = Sha256::new();
        let mut row = vec![0.0; voxels.len()];
        let mut chosen = Vec::with_capacity(kept.len());
        for trial in 0..trials.len() {
            rows.0.copy_row(trial, &mut row)?;
            chosen.clear();
            chosen.extend(kept.iter().map(|&voxel| row[voxel]));
            for value in &chosen {
                hash.update(value.to_le_bytes());
            }
            out.write_response(&chosen)?;
        }
        out.finish()?;
        let size = [trials.len(), usable.len()];
        self.note(subject, hash, size, findings)?;
        Ok(usable.len())
    }

    /// Reports a subject whose responses (trials × voxels, hashed row by row) equal those of another.
    pub(crate) fn note(
        &mut self,
        subject: &str,
        hash: Sha256,
        [trials, voxels]: [usize; 2],
        findings: &mut Findings,
    ) -> Result<()> {
        let hash = hexadecimal(&hash.finalize());
        if let Some(other) = self.hashes.insert(hash.clone(), subject.to_owned()) {
            findings.report(
                Check::IdenticalSubjects,
                format!(
                    "expected responses of their own for each subject, found those of {subject} \
                     equal to those of {other} in all {trials} trials and {voxels} voxels"
                ),
            )?;
        }
        self.last = Some(WrittenSubject {
            hash,
            voxels,
            warnings: findings.warnings[self.before..].to_vec(),
        });
        Ok(())
    }
}
