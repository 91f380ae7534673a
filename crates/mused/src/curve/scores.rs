//! Rows of a curve, their means over draws and subjects, and its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mused_formats::replace_file;
use mused_report::{Cell, Figure, SizeLine, SizePoint, Table, over_sizes};
use mused_stats::interval::over_subjects;
use mused_stats::summary::mean;
use serde::{Deserialize, Serialize};

use super::{Curves, Over, Size};
use crate::{Error, Result};

/// Version of `curve.json`.
const SCHEMA: &str = "mused-curve/1";

/// A subject's scores from a draw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Number asked for.
    pub asked: Size,
    /// Number there was: of trials whole groups of stimuli that the subject had, the mean over folds; of subjects those that
    /// were trained on.
    pub count: f64,
    /// Name of the model.
    pub model: String,
    /// Which draw.
    pub draw: u32,
    /// The subject.
    pub subject: String,
    /// Macro average precision, where some label can be scored.
    pub average_precision: Option<f64>,
    /// Macro area under the ROC curve.
    pub roc_auc: Option<f64>,
}

/// A mean over subjects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean over subjects of their means over draws.
    pub mean: f64,
    /// Ends of its 95 % interval, for other subjects; none for one subject.
    pub interval: Option<[f64; 2]>,
}

/// Means of a model from so many; scores are average precision and area under the ROC curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    /// Number asked for.
    pub asked: Size,
    /// Mean number that there was.
    pub count: f64,
    /// Name of the model.
    pub model: String,
    /// Number of draws.
    pub draws: usize,
    /// Subjects with a score.
    pub subjects: usize,
    /// Scores.
    pub scores: [Option<Estimate>; 2],
    /// How far they are ahead of ridge regression; none for ridge regression itself.
    pub ahead: [Option<Estimate>; 2],
}

impl Row {
    fn score(&self, metric: usize) -> Option<f64> {
        [self.average_precision, self.roc_auc][metric]
    }
}

impl Estimate {
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            mean: mean(values)?,
            interval: over_subjects(values)
                .ok()
                .map(|found| [found.low, found.high]),
        })
    }
}

impl Curves {
    /// Means, by rising numbers, models in the order of the rows.
    pub fn means(&self) -> Vec<Mean> {
        let mut keys: Vec<(Size, &str)> = Vec::new();
        for row in &self.rows {
            if !keys.contains(&(row.asked, &row.model)) {
                keys.push((row.asked, &row.model));
            }
        }
        keys.into_iter()
            .map(|(asked, model)| self.mean(asked, model))
            .collect()
    }

    fn mean(&self, asked: Size, model: &str) -> Mean {
        let own = || {
            self.rows
                .iter()
                .filter(|row| row.asked == asked && row.model == model)
        };
        let counts: Vec<f64> = own().map(|row| row.count).collect();
        let scores = [0, 1].map(|metric| self.by_subject(asked, model, metric));
        let ahead = [0, 1].map(|metric| {
            let ridge = self.by_subject(asked, &self.ridge, metric);
            let pairs = scores[metric].iter();
            let differences =
                pairs.filter_map(|(subject, score)| Some(score - ridge.get(subject)?));
            let differences: Vec<f64> = differences.collect();
            Estimate::of(&differences).filter(|_| model != self.ridge)
        });
        Mean {
            asked,
            count: mean(&counts).unwrap_or_default(),
            model: model.to_owned(),
            draws: own()
                .map(|row| row.draw as usize + 1)
                .max()
                .unwrap_or_default(),
            subjects: scores[0].len(),
            scores: scores.map(|scores| {
                let scores: Vec<f64> = scores.into_values().collect();
                let mut estimate = Estimate::of(&scores)?;
                estimate.interval = estimate
                    .interval
                    .map(|ends| ends.map(|end| end.clamp(0.0, 1.0)));
                Some(estimate)
            }),
            ahead,
        }
    }

    /// Each subject's mean over draws.
    pub(super) fn by_subject(
        &self,
        asked: Size,
        model: &str,
        metric: usize,
    ) -> BTreeMap<&str, f64> {
        let mut subjects: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for row in &self.rows {
            if let (true, Some(score)) =
                (row.asked == asked && row.model == model, row.score(metric))
            {
                subjects.entry(&row.subject).or_default().push(score);
            }
        }
        let means = subjects
            .into_iter()
            .filter_map(|(subject, scores)| Some((subject, mean(&scores)?)));
        means.collect()
    }

    /// A row for each number, model, draw and subject.
    pub(super) fn table(&self) -> Table {
        let columns = ["asked", self.column(), "model", "draw", "subject"].into_iter();
        let columns = columns.chain(["average_precision", "roc_auc"]);
        let cells = |row: &Row| {
            vec![
                Cell::from(&row.asked.to_string()),
                number(row.count),
                (&row.model).into(),
                (row.draw as usize).into(),
                (&row.subject).into(),
                row.average_precision.into(),
                row.roc_auc.into(),
            ]
        };
        Table {
            columns: columns.map(str::to_owned).collect(),
            rows: self.rows.iter().map(cells).collect(),
        }
    }

    /// A row for each number and model.
    pub(super) fn table_of_means(&self) -> Table {
        let columns = ["asked", self.column(), "model", "draws", "subjects"];
        let mut columns = columns.map(str::to_owned).to_vec();
        for score in [
            "average_precision",
            "roc_auc",
            "average_precision_minus_ridge",
            "roc_auc_minus_ridge",
        ] {
            columns.extend(["", "_low", "_high"].map(|end| format!("{score}{end}")));
        }
        let cells = |row: &Mean| {
            let mut cells = vec![
                Cell::from(&row.asked.to_string()),
                number(row.count),
                (&row.model).into(),
                row.draws.into(),
                row.subjects.into(),
            ];
            for estimate in row.scores.iter().chain(&row.ahead) {
                let ends = estimate.and_then(|estimate| estimate.interval);
                cells.push(estimate.map(|estimate| estimate.mean).into());
                cells.extend([0, 1].map(|end| Cell::from(ends.map(|ends| ends[end]))));
            }
            cells
        };
        Table {
            columns,
            rows: self.means().iter().map(cells).collect(),
        }
    }

    fn column(&self) -> &'static str {
        match self.over {
            Over::Trials => "trials",
            Over::Subjects => "training_subjects",
        }
    }

    /// Macro average precision, or area under the ROC curve, over numbers.
    pub(super) fn figure(&self, metric: usize) -> Option<Figure> {
        let mut lines: Vec<SizeLine> = Vec::new();
        for row in self.means() {
            let Some(score) = row.scores[metric] else {
                continue;
            };
            let point = SizePoint {
                size: row.count,
                score: score.mean,
                interval: score.interval,
            };
            match lines.iter_mut().find(|line| line.name == row.model) {
                Some(line) => line.points.push(point),
                None => lines.push(SizeLine {
                    name: row.model.clone(),
                    points: vec![point],
                }),
            }
        }
        let numbers = match (self.over, self.new_subjects) {
            (Over::Trials, true) => "trials of the new person",
            (Over::Trials, false) => "training trials of each subject",
            (Over::Subjects, true) => "other subjects that are trained on",
            (Over::Subjects, false) => "subjects that are trained on",
        };
        let (id, score) = [
            ("curve", "Macro average precision"),
            ("curve-auc", "Macro ROC-AUC"),
        ][metric];
        over_sizes(id, &lines, [numbers, score])
    }

    /// Where a curve lies in its folder.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("curve.json")
    }

    /// Writes `curve.json` (everything), `curve.tsv` (a row a subject and draw), `curve-means.tsv` and the picture
    /// `curve.svg`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: &str| {
            let written = replace_file(folder.join(name), text.as_bytes());
            written.map_err(mused_run::Error::from)
        };
        write("curve.tsv", &self.table().to_tsv())?;
        write("curve-means.tsv", &self.table_of_means().to_tsv())?;
        if let Some(figure) = self.figure(0) {
            write("curve.svg", &figure.svg)?;
        }
        let file = File {
            schema: SCHEMA.to_owned(),
            curves: self,
        };
        let text = serde_json::to_string_pretty(&file).map_err(|error| damaged(folder, &error))?;
        write("curve.json", &text)?;
        Ok(())
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// A file that cannot be read, or is none of this version.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = Self::path(folder);
        let text = fs::read_to_string(&path);
        let text = text.map_err(mused_run::Error::io("cannot read", &path))?;
        let file: File<Self> =
            serde_json::from_str(&text).map_err(|error| damaged(folder, &error))?;
        match file.schema == SCHEMA {
            true => Ok(file.curves),
            false => Err(damaged(folder, &format!("schema {:?}", file.schema))),
        }
    }
}

/// A number of trials, which may be a mean, or of subjects.
fn number(count: f64) -> Cell {
    match count.fract() == 0.0 {
        true => (count as usize).into(),
        false => count.into(),
    }
}

/// The content of `curve.json`.
#[derive(Serialize, Deserialize)]
struct File<C> {
    schema: String,
    #[serde(flatten)]
    curves: C,
}

fn damaged(folder: &Path, found: &dyn std::fmt::Display) -> Error {
    let path = Curves::path(folder);
    Error::from(mused_run::Error::invalid(
        &path,
        format!(
            "expected a curve ({SCHEMA}), found {found}: the command that made it (mused curve) writes it again"
        ),
    ))
}
