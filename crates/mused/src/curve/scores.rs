//! Rows of a curve, their means over draws and subjects, tables and picture.

use std::collections::BTreeMap;
use std::path::Path;

use mused_formats::replace_file;
use mused_formats::table::TableWriter;
use mused_report::{TrialsLine, TrialsPoint, over_trials};
use mused_run::Trials;
use mused_stats::interval::over_subjects;
use mused_stats::summary::mean;

use super::Curves;

/// A subject's scores from a draw of trials.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Number of trials asked for.
    pub asked: Trials,
    /// Number the subject had: whole groups of stimuli, the mean over folds.
    pub trials: f64,
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

/// Means of a model from so many trials; scores are average precision and area under the ROC curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    /// Number of trials asked for.
    pub asked: Trials,
    /// Mean number that subjects had.
    pub trials: f64,
    /// Name of the model.
    pub model: String,
    /// Number of draws.
    pub draws: usize,
    /// Subjects with a score.
    pub subjects: usize,
    /// Scores.
    pub scores: [Option<Estimate>; 2],
    /// How far they are ahead of ridge regression on the same trials; none for ridge regression itself.
    pub ahead: [Option<Estimate>; 2],
}

impl Row {
    fn score(&self, metric: usize) -> Option<f64> {
        [self.average_precision, self.roc_auc][metric]
    }
}

impl Estimate {
    fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            mean: mean(values)?,
            interval: over_subjects(values)
                .ok()
                .map(|found| [found.low, found.high]),
        })
    }
}

impl Curves {
    /// Means, by rising numbers of trials, models in the order of the rows.
    pub fn means(&self) -> Vec<Mean> {
        let mut keys: Vec<(Trials, &str)> = Vec::new();
        for row in &self.rows {
            if !keys.contains(&(row.asked, &row.model)) {
                keys.push((row.asked, &row.model));
            }
        }
        keys.into_iter()
            .map(|(asked, model)| self.mean(asked, model))
            .collect()
    }

    fn mean(&self, asked: Trials, model: &str) -> Mean {
        let own = || {
            self.rows
                .iter()
                .filter(|row| row.asked == asked && row.model == model)
        };
        let counts: Vec<f64> = own().map(|row| row.trials).collect();
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
            trials: mean(&counts).unwrap_or_default(),
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
        asked: Trials,
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

    /// Writes `curve.tsv` (a row a subject and draw), `curve-means.tsv` and the picture `curve.svg`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> mused_formats::Result<()> {
        let number = |value: Option<f64>| value.map_or("n/a".to_owned(), |value| value.to_string());
        let columns = [
            "asked",
            "trials",
            "model",
            "draw",
            "subject",
            "average_precision",
            "roc_auc",
        ];
        let mut table = TableWriter::create(folder.join("curve.tsv"), &columns)?;
        for row in &self.rows {
            table.write_row([
                &row.asked.to_string(),
                &row.trials.to_string(),
                &row.model,
                &row.draw.to_string(),
                &row.subject,
                &number(row.average_precision),
                &number(row.roc_auc),
            ])?;
        }
        table.finish()?;
        let mut columns = ["asked", "trials", "model", "draws", "subjects"]
            .map(str::to_owned)
            .to_vec();
        for score in [
            "average_precision",
            "roc_auc",
            "average_precision_minus_ridge",
            "roc_auc_minus_ridge",
        ] {
            columns.extend(["", "_low", "_high"].map(|end| format!("{score}{end}")));
        }
        let mut table = TableWriter::create(folder.join("curve-means.tsv"), &columns)?;
        let means = self.means();
        for row in &means {
            let mut cells = vec![
                row.asked.to_string(),
                row.trials.to_string(),
                row.model.clone(),
                row.draws.to_string(),
                row.subjects.to_string(),
            ];
            for estimate in row.scores.iter().chain(&row.ahead) {
                let ends = estimate.and_then(|estimate| estimate.interval);
                cells.push(number(estimate.map(|estimate| estimate.mean)));
                cells.extend([0, 1].map(|end| number(ends.map(|ends| ends[end]))));
            }
            table.write_row(&cells)?;
        }
        table.finish()?;
        if let Some(picture) = self.picture(&means) {
            replace_file(folder.join("curve.svg"), picture.as_bytes())?;
        }
        Ok(())
    }

    fn picture(&self, means: &[Mean]) -> Option<String> {
        let mut lines: Vec<TrialsLine> = Vec::new();
        for row in means {
            let Some(score) = row.scores[0] else { continue };
            let point = TrialsPoint {
                trials: row.trials,
                score: score.mean,
                interval: score.interval,
            };
            match lines.iter_mut().find(|line| line.name == row.model) {
                Some(line) => line.points.push(point),
                None => lines.push(TrialsLine {
                    name: row.model.clone(),
                    points: vec![point],
                }),
            }
        }
        let trials = match self.new_subjects {
            true => "trials of the new person",
            false => "training trials of each subject",
        };
        over_trials(&lines, [trials, "macro average precision"])
    }
}
