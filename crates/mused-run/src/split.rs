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

/// Parts of a fold, as `split.tsv` names them.
const PARTS: [&str; 3] = ["train", "validation", "test"];

/// `split.tsv`: which stimuli train, select and test in each fold, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Division {
    /// Of each fold, the stimuli of its [`PARTS`].
    folds: Vec<[Vec<Member>; 3]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    stimulus: String,
    group: String,
}

impl Division {
    /// The division of a dataset by folds.
    pub fn of(dataset: &Dataset, folds: &[Fold]) -> Self {
        let member = |&stimulus: &usize| Member {
            stimulus: dataset.stimuli[stimulus].id.clone(),
            group: dataset.stimuli[stimulus].group.clone(),
        };
        let members = |fold: &Fold| {
            let parts = [&fold.train, &fold.validation, &fold.test];
            parts.map(|part| part.iter().map(member).collect())
        };
        Self {
            folds: folds.iter().map(members).collect(),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut table = TableWriter::create(path, &["fold", "part", "stimulus_id", "group"])?;
        for (fold, parts) in self.folds.iter().enumerate() {
            let fold = fold.to_string();
            for (part, members) in PARTS.into_iter().zip(parts) {
                for Member { stimulus, group } in members {
                    table.write_row([&fold, part, stimulus, group])?;
                }
            }
        }
        Ok(table.finish()?)
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let table = Table::read(path)?;
        let numbers = table.column("fold")?.parse::<usize>()?;
        let part_column = table.column("part")?;
        let stimuli = table.column("stimulus_id")?.strings()?;
        let members = stimuli.into_iter().zip(table.column("group")?.strings()?);
        let rows = numbers.iter().zip(part_column.strings()?).zip(members);
        let mut folds: Vec<[Vec<Member>; 3]> = Vec::new();
        for (row, ((&fold, name), (stimulus, group))) in rows.enumerate() {
            // A table of so many rows cannot name more folds than that.
            if fold >= numbers.len() {
                let message = format!("expected folds numbered from 0, found {fold}");
                return Err(Error::invalid(path, message));
            }
            let part = PARTS.iter().position(|part| *part == name);
            let part = part.ok_or_else(|| part_column.invalid(row, "train, validation or test"))?;
            if fold >= folds.len() {
                folds.resize_with(fold + 1, Default::default);
            }
            folds[fold][part].push(Member {
                stimulus: stimulus.to_owned(),
                group: group.to_owned(),
            });
        }
        Ok(Self { folds })
    }

    /// The folds, as places in the dataset's stimuli.
    ///
    /// # Errors
    /// A stimulus that the dataset does not have.
    pub fn folds(&self, dataset: &Dataset) -> Result<Vec<Fold>> {
        let ids = dataset.stimuli.iter().map(|stimulus| stimulus.id.as_str());
        let places: HashMap<&str, usize> = ids.zip(0..).collect();
        let place = |Member { stimulus, .. }: &Member| {
            places.get(stimulus.as_str()).copied().ok_or_else(|| {
                Error::Request(format!(
                    "split.tsv names the stimulus {stimulus:?}, which {} does not have",
                    dataset.description.name
                ))
            })
        };
        let placed = |members: &Vec<Member>| -> Result<Vec<usize>> {
            let mut places = members.iter().map(place).collect::<Result<Vec<usize>>>()?;
            places.sort_unstable();
            Ok(places)
        };
        let fold = |[train, validation, test]: &[Vec<Member>; 3]| {
            Ok(Fold {
                train: placed(train)?,
                validation: placed(validation)?,
                test: placed(test)?,
            })
        };
        self.folds.iter().map(fold).collect()
    }

    /// Sizes of the parts of every fold.
    pub fn sizes(&self) -> Vec<FoldSizes> {
        let sizes = |[train, validation, test]: &[Vec<Member>; 3]| FoldSizes {
            train: train.len(),
            validation: validation.len(),
            test: test.len(),
        };
        self.folds.iter().map(sizes).collect()
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.folds.iter().flatten().flatten()
    }

    /// Whether some group holds more than its own stimulus.
    pub fn grouped(&self) -> bool {
        self.members().any(|member| member.stimulus != member.group)
    }

    /// Group of every stimulus by name.
    pub(crate) fn groups(&self) -> HashMap<&str, &str> {
        self.members()
            .map(|member| (member.stimulus.as_str(), member.group.as_str()))
            .collect()
    }

    /// Refuses folds that it does not have, whatever names them.
    pub(crate) fn refuse_others(
        &self,
        folds: impl IntoIterator<Item = usize>,
        found_in: &Path,
    ) -> Result<()> {
        let known = self.folds.len();
        match folds.into_iter().find(|fold| *fold >= known) {
            None => Ok(()),
            Some(fold) => Err(Error::invalid(
                found_in,
                format!(
                    "expected the {known} folds of split.tsv, numbered from 0, found fold {fold}"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mused_formats::npy;

    use crate::{Run, RunRecord, Task};

    /// Files that name folds beyond those of `split.tsv` are refused, not counted on.
    #[test]
    fn folds_beyond_the_division_are_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "split.tsv",
            "fold\tpart\tstimulus_id\tgroup\n0\ttest\ta\ta\n",
        );
        write("labels.tsv", "label\nface\n");
        let probabilities = ndarray::Array2::zeros((1, 1));
        let [predictions, targets] =
            ["predictions.npy", "targets.npy"].map(|name| folder.path().join(name));
        npy::write_npy_f32(predictions, probabilities.view()).unwrap();
        npy::write_npy_u8(targets, probabilities.mapv(|_| 0).view()).unwrap();
        for fold in ["1", "18446744073709551615"] {
            write(
                "trials.tsv",
                &format!("fold\tsubject\tstimulus_id\n{fold}\t01\ta\n"),
            );
            let made_elsewhere = Run::open_predictions(folder.path()).unwrap();
            let message = made_elsewhere.predictions().unwrap_err().to_string();
            assert!(
                message.contains("trials.tsv: expected the 1 folds"),
                "{message}"
            );
        }
        let record = RunRecord {
            schema: RunRecord::SCHEMA.to_owned(),
            tasks: vec![Task {
                index: 0,
                fold: 1,
                subject: None,
                holdout: None,
            }],
            ..RunRecord::default()
        };
        write("run.json", &serde_json::to_string(&record).unwrap());
        let message = Run::open(folder.path()).unwrap().division().unwrap_err();
        assert!(
            message
                .to_string()
                .contains("run.json: expected the 1 folds"),
            "{message}"
        );
    }
}
