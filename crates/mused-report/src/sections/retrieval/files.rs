//! The tables of the folders `retrieval/` and `words/`.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use mused_formats::table::Table;

use crate::input::Part;

/// A response that was looked up.
pub(super) struct Row {
    pub(super) subject: String,
    pub(super) stimulus: String,
    pub(super) rank: f64,
    pub(super) rank_ridge: f64,
    pub(super) items: f64,
    /// The first items, nearest first.
    pub(super) nearest: Vec<Near>,
}

/// An item near a response.
#[derive(Clone)]
pub(super) struct Near {
    pub(super) name: String,
    /// Its picture, where it is no stimulus of the dataset.
    pub(super) file: Option<String>,
    pub(super) cosine: f64,
    pub(super) trained: bool,
}

/// Everything that was looked up.
pub(super) struct Looked {
    pub(super) rows: Vec<Row>,
}

/// Items shown of each response.
const SHOWN: usize = 5;

fn words<T>(found: mused_formats::Result<T>) -> Part<T> {
    found.map_err(|error| error.to_string())
}

fn strings(table: &Table, name: &str) -> Part<Vec<String>> {
    let column = words(table.column(name))?;
    Ok(words(column.strings())?
        .into_iter()
        .map(str::to_owned)
        .collect())
}

fn numbers(table: &Table, name: &str) -> Part<Vec<f64>> {
    words(words(table.column(name))?.parse())
}

impl Looked {
    pub(super) fn read(folder: &Path) -> Part<Self> {
        let table = words(Table::read(folder.join("responses.tsv")))?;
        let (subjects, stimuli) = (strings(&table, "subject")?, strings(&table, "stimulus_id")?);
        let (ranks, ridge) = (numbers(&table, "rank")?, numbers(&table, "rank_ridge")?);
        let items = numbers(&table, "items")?;
        let row = |((subject, stimulus), place): ((String, String), usize)| Row {
            subject,
            stimulus,
            rank: ranks[place],
            rank_ridge: ridge[place],
            items: items[place],
            nearest: Vec::new(),
        };
        let mut rows: Vec<Row> = subjects
            .into_iter()
            .zip(stimuli)
            .zip(0..)
            .map(row)
            .collect();
        let gallery = words(Table::read(folder.join("gallery.tsv")))?;
        let numbers_of: Vec<String> = strings(&gallery, "item")?;
        let files = words(gallery.column("file"))?;
        let files: HashMap<&str, &str> = (numbers_of.iter().map(String::as_str))
            .zip(files.cells())
            .filter_map(|(item, file)| Some((item, file?)))
            .collect();
        let nearest = words(Table::read(folder.join("nearest.tsv")))?;
        let (items, names) = (strings(&nearest, "item")?, strings(&nearest, "name")?);
        let cosines = numbers(&nearest, "cosine")?;
        let trained = numbers(&nearest, "trained")?;
        let responses: Vec<usize> = words(words(nearest.column("response"))?.parse())?;
        for (place, response) in responses.into_iter().enumerate() {
            if let Some(row) = rows
                .get_mut(response)
                .filter(|row| row.nearest.len() < SHOWN)
            {
                row.nearest.push(Near {
                    name: names[place].clone(),
                    file: files
                        .get(items[place].as_str())
                        .map(|file| (*file).to_owned()),
                    cosine: cosines[place],
                    trained: trained[place] > 0.0,
                });
            }
        }
        Ok(Self { rows })
    }

    /// Responses whose picture came first of all, and last; each stimulus once.
    pub(super) fn best_and_worst(&self, count: usize) -> (Vec<&Row>, Vec<&Row>) {
        let mut order: Vec<&Row> = self.rows.iter().collect();
        let share = |row: &Row| row.rank / row.items.max(1.0);
        let cosine = |row: &Row| row.nearest.first().map_or(0.0, |near| near.cosine);
        order.sort_by(|a, b| {
            let by_rank = share(a).total_cmp(&share(b));
            by_rank.then(cosine(b).total_cmp(&cosine(a)))
        });
        let count = count.min(order.len().div_ceil(2));
        let best = once(order.iter().copied(), count);
        (best, once(order.into_iter().rev(), count))
    }
}

/// The first rows, each stimulus once.
fn once<'r>(rows: impl Iterator<Item = &'r Row>, count: usize) -> Vec<&'r Row> {
    let mut known = BTreeSet::new();
    let first = rows.filter(|row| known.insert(row.stimulus.clone()));
    first.take(count).collect()
}

/// The first words of a response.
pub(super) struct Said {
    pub(super) subject: String,
    pub(super) stimulus: String,
    /// Word, score, and whether it is a label that the stimulus has.
    pub(super) words: Vec<(String, f64, Option<bool>)>,
}

impl Said {
    /// Some responses, evenly spread over all.
    pub(super) fn read(folder: &Path, count: usize) -> Part<Vec<Self>> {
        let table = words(Table::read(folder.join("responses.tsv")))?;
        let (subjects, stimuli) = (strings(&table, "subject")?, strings(&table, "stimulus_id")?);
        let mut all: Vec<Self> = (subjects.into_iter().zip(stimuli))
            .map(|(subject, stimulus)| Self {
                subject,
                stimulus,
                words: Vec::new(),
            })
            .collect();
        let said = words(Table::read(folder.join("words.tsv")))?;
        let responses: Vec<usize> = words(words(said.column("response"))?.parse())?;
        let (names, scores) = (strings(&said, "word")?, numbers(&said, "score")?);
        let labels: Vec<Option<u8>> = words(words(said.column("label"))?.parse_optional())?;
        for (place, response) in responses.into_iter().enumerate() {
            if let Some(one) = all.get_mut(response) {
                let there = labels[place].map(|there| there == 1);
                one.words.push((names[place].clone(), scores[place], there));
            }
        }
        let every = all.len().div_ceil(count.max(1)).max(1);
        Ok(all.into_iter().step_by(every).collect())
    }
}
