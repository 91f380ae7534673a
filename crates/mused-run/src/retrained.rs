use std::path::Path;

use mused_formats::table::{Table, TableWriter};

use crate::Result;

/// Macro scores of pipelines retrained on relabelled stimuli, by the number of the relabelling, from 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retrained {
    /// Macro average precision of each.
    pub average_precision: Vec<f64>,
    /// Macro area under the ROC curve of each.
    pub roc_auc: Vec<f64>,
}

impl Retrained {
    /// Adds the next relabelling.
    pub fn push(&mut self, average_precision: f64, roc_auc: f64) {
        self.average_precision.push(average_precision);
        self.roc_auc.push(roc_auc);
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Ok(Self::default());
        }
        let table = Table::read(path)?;
        Ok(Self {
            average_precision: table.column("macro_ap")?.parse()?,
            roc_auc: table.column("macro_auc")?.parse()?,
        })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut table = TableWriter::create(path, &["index", "macro_ap", "macro_auc"])?;
        let scores = self.average_precision.iter().zip(&self.roc_auc);
        for (index, (ap, auc)) in (1_usize..).zip(scores) {
            table.write_row([index.to_string(), ap.to_string(), auc.to_string()])?;
        }
        Ok(table.finish()?)
    }
}
