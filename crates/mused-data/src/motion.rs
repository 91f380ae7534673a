//! How far a subject's head moved from volume to volume, run by run, kept beside its responses: `motion.tsv`.

use std::path::Path;

use mused_formats::table::{Table, TableWriter};

use crate::{Result, Subject};

const MOTION: &str = "motion.tsv";
const COLUMNS: [&str; 4] = ["session", "run", "mean", "largest"];
/// The column of confounds, as fMRIPrep calls it and once did.
const DISPLACEMENT: [&str; 2] = ["framewise_displacement", "FramewiseDisplacement"];

/// Framewise displacement of a run, in mm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// From 1.
    pub session: u32,
    /// Within the session, from 1.
    pub run: u32,
    /// Over volumes.
    pub mean: f64,
    /// Of one volume.
    pub largest: f64,
}

impl Motion {
    /// That of a run with such confounds. `None` where they cannot be read or say nothing of it: an import that was not
    /// asked for confounds does not need them.
    pub(crate) fn of_confounds(path: &Path, [session, run]: [u32; 2]) -> Option<Self> {
        let table = Table::read(path).ok()?;
        let column = DISPLACEMENT
            .iter()
            .find_map(|name| table.optional_column(name))?;
        let values: Vec<Option<f64>> = column.parse_optional().ok()?;
        let known: Vec<f64> = (values.into_iter().flatten())
            .filter(|value| value.is_finite() && *value >= 0.0)
            .collect();
        Some(Self {
            session,
            run,
            mean: mused_stats::summary::mean(&known)?,
            largest: known.iter().copied().fold(0.0, f64::max),
        })
    }
}

pub(crate) fn write(folder: &Path, runs: &[Motion]) -> Result<()> {
    let mut table = TableWriter::create(folder.join(MOTION), &COLUMNS)?;
    for own in runs {
        let [mean, largest] = [own.mean, own.largest].map(|value| format!("{value:.4}"));
        table.write_row([own.session.to_string(), own.run.to_string(), mean, largest])?;
    }
    Ok(table.finish()?)
}

impl Subject {
    /// How its head moved in the runs of which that is known.
    ///
    /// # Errors
    /// When `motion.tsv` cannot be read.
    pub fn motion(&self) -> Result<Vec<Motion>> {
        let Some(path) = self.file(MOTION) else {
            return Ok(Vec::new());
        };
        let table = Table::read(&path)?;
        let [sessions, runs]: [Vec<u32>; 2] = [
            table.column("session")?.parse()?,
            table.column("run")?.parse()?,
        ];
        let [means, largest]: [Vec<f64>; 2] = [
            table.column("mean")?.parse()?,
            table.column("largest")?.parse()?,
        ];
        let places = sessions.into_iter().zip(runs);
        let values = means.into_iter().zip(largest);
        let rows = places.zip(values);
        Ok(rows
            .map(|((session, run), (mean, largest))| Motion {
                session,
                run,
                mean,
                largest,
            })
            .collect())
    }
}
