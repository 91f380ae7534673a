use std::collections::HashMap;
use std::path::Path;

use mused_data::{Dataset, Fold};
use mused_formats::table::{Table, TableWriter};

use crate::{Error, Result};

/// Numbers of stimuli in the parts of a fold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoldSizes {
    /// Weights are fitted on.
    pub train: usize,
    /// Choose among weights.
    pub validation: usize,
    /// Nothing is fitted or chosen on.
    pub test: usize,
}

/// `split.tsv`: which stimuli train, select and test in each fold, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Division {
    rows: Vec<Row>,
    folds: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    fold: usize,
    part: Part,
    stimulus: String,
    group: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Train, "train"),
        (Self::Validation, "validation"),
        (Self::Test, "test"),
    ];

    fn name(self) -> &'static str {
        let [train, validation, test] = Self::ALL.map(|(_, name)| name);
        match self {
            Self::Train => train,
            Self::Validation => validation,
            Self::Test => test,
        }
    }
}

impl Division {
    /// The division of a dataset by folds.
    pub fn of(dataset: &Dataset, folds: &[Fold]) -> Self {
        let mut rows = Vec::new();
        for (index, fold) in folds.iter().enumerate() {
            let parts = [
                (Part::Train, &fold.train),
                (Part::Validation, &fold.validation),
                (Part::Test, &fold.test),
            ];
            for (part, stimuli) in parts {
                rows.extend(stimuli.iter().map(|&stimulus| Row {
                    fold: index,
                    part,
                    stimulus: dataset.stimuli[stimulus].id.clone(),
                    group: dataset.stimuli[stimulus].group.clone(),
                }));
            }
        }
        Self {
            rows,
            folds: folds.len(),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut table = TableWriter::create(path, &["fold", "part", "stimulus_id", "group"])?;
        for row in &self.rows {
            let fold = row.fold.to_string();
            table.write_row([&fold, row.part.name(), &row.stimulus, &row.group])?;
        }
        Ok(table.finish()?)
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let table = Table::read(path)?;
        let folds = table.column("fold")?.parse::<usize>()?;
        let part_column = table.column("part")?;
        let parts = part_column.strings()?;
        let stimuli = table.column("stimulus_id")?.strings()?;
        let groups = table.column("group")?.strings()?;
        let mut rows = Vec::with_capacity(folds.len());
        for (at, (part, &fold)) in parts.into_iter().zip(&folds).enumerate() {
            // A table of so many rows cannot name more folds than that.
            if fold >= folds.len() {
                let message = format!("expected folds numbered from 0, found {fold}");
                return Err(Error::invalid(path, message));
            }
            let known = Part::ALL.into_iter().find(|(_, name)| *name == part);
            let (part, _) =
                known.ok_or_else(|| part_column.invalid(at, "train, validation or test"))?;
            rows.push(Row {
                fold,
                part,
                stimulus: stimuli[at].to_owned(),
                group: groups[at].to_owned(),
            });
        }
        Ok(Self {
            rows,
            folds: folds.iter().max().map_or(0, |last| last + 1),
        })
    }

    /// The folds, as places in the dataset's stimuli.
    ///
    /// # Errors
    /// A stimulus that the dataset does not have.
    pub fn folds(&self, dataset: &Dataset) -> Result<Vec<Fold>> {
        let ids = dataset.stimuli.iter().map(|stimulus| stimulus.id.as_str());
        let places: HashMap<&str, usize> = ids.zip(0..).collect();
        let empty = || Fold {
            train: Vec::new(),
            validation: Vec::new(),
            test: Vec::new(),
        };
        let mut folds: Vec<Fold> = (0..self.folds).map(|_| empty()).collect();
        for row in &self.rows {
            let place = places.get(row.stimulus.as_str()).ok_or_else(|| {
                Error::Request(format!(
                    "split.tsv names the stimulus {:?}, which {} does not have",
                    row.stimulus, dataset.description.name
                ))
            })?;
            let fold = &mut folds[row.fold];
            match row.part {
                Part::Train => fold.train.push(*place),
                Part::Validation => fold.validation.push(*place),
                Part::Test => fold.test.push(*place),
            }
        }
        for fold in &mut folds {
            for part in [&mut fold.train, &mut fold.validation, &mut fold.test] {
                part.sort_unstable();
            }
        }
        Ok(folds)
    }

    /// Sizes of the parts of every fold.
    pub fn sizes(&self) -> Vec<FoldSizes> {
        let mut sizes = vec![FoldSizes::default(); self.folds];
        for row in &self.rows {
            let fold = &mut sizes[row.fold];
            match row.part {
                Part::Train => fold.train += 1,
                Part::Validation => fold.validation += 1,
                Part::Test => fold.test += 1,
            }
        }
        sizes
    }

    /// Whether some group holds more than its own stimulus.
    pub fn grouped(&self) -> bool {
        self.rows.iter().any(|row| row.stimulus != row.group)
    }

    /// Group of every stimulus by name.
    pub(crate) fn groups(&self) -> HashMap<&str, &str> {
        let rows = self.rows.iter();
        rows.map(|row| (row.stimulus.as_str(), row.group.as_str()))
            .collect()
    }
}
