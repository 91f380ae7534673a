//! Which picture, which word: what `mused retrieve` and `mused words` found.

mod figures;
mod files;

use mused_run::{FolderResults as _, MeasureResult, RetrievalResults, WordLabel, WordsResults};

use self::figures::{rank_curve, said, wall};
use self::files::{Looked, Said};
use super::Input;
use crate::escape::escaped;
use crate::figure::{Block, Section};
use crate::input::Images;
use crate::number::three;
use crate::table::{Cell, Table};

/// Responses of each kind on the wall of pictures.
const SHOWN: usize = 6;

/// Rows of a table of words that stands in two beside each other.
const LONG: usize = 12;

/// What was looked up; `None` where nothing was.
pub(crate) fn retrieval(input: &Input<'_>, images: &mut dyn Images) -> Option<Section> {
    let run = input.files.run();
    let pictures = RetrievalResults::read(&run.retrieval_folder()).transpose();
    let words = WordsResults::read(&run.words_folder()).transpose();
    if pictures.is_none() && words.is_none() {
        return None;
    }
    let mut section = Section::new("retrieval", "Which picture, which word");
    match pictures {
        None => {}
        Some(Err(why)) => {
            section.missing(why.to_string());
        }
        Some(Ok(results)) => found(&mut section, input, &results, images),
    }
    match words {
        None => {}
        Some(Err(why)) => {
            section.missing(why.to_string());
        }
        Some(Ok(results)) => named(&mut section, input, &results),
    }
    Some(section)
}

fn found(
    section: &mut Section,
    input: &Input<'_>,
    results: &RetrievalResults,
    images: &mut dyn Images,
) {
    let [fewest, most] = results.items;
    let size = match fewest == most {
        true => most.to_string(),
        false => format!("{fewest} to {most}"),
    };
    section.heading("Which picture");
    section.paragraph(escaped(&format!(
        "{} responses ({}) were decoded to points among the components of {} and looked up among {size} pictures: {}. Pairwise: \
         how often the right picture is nearer than another. Ridge: each subject's own regression. Near-duplicates of the \
         picture that was seen do not compete with it ({} responses have one).",
        results.responses, results.averaged, results.features, results.gallery, results.duplicated
    )));
    table(
        section,
        "How often the right picture is found",
        &results.all,
    );
    if let Some(unseen) = &results.unseen {
        section.paragraph(format!(
            "Up to {} of these pictures were trained on. They are no guesses that a decoder could make by chance: among the \
             others alone it finds as much as the tables below say.",
            results.seen
        ));
        table(section, "Among pictures that were not trained on", unseen);
    }
    for note in &results.notes {
        section.paragraph(escaped(note));
    }
    match Looked::read(&input.files.run().retrieval_folder()) {
        Err(why) => {
            section.missing(why);
        }
        Ok(looked) => {
            let (best, worst) = looked.best_and_worst(SHOWN);
            let dataset = input.files.dataset();
            let mut wall =
                |id, title, rows: &[_]| wall(id, title, rows, &looked, dataset, &mut *images);
            section.figures([
                rank_curve(&looked),
                wall("wall-best", "Found best", &best),
                wall("wall-worst", "Found worst", &worst),
            ]);
        }
    }
}

fn table(section: &mut Section, caption: &str, measures: &[MeasureResult]) {
    let mut table = Table::new(&[
        "measure",
        "mean",
        "low",
        "high",
        "chance",
        "p",
        "ridge",
        "more than ridge",
        "gain low",
        "gain high",
    ]);
    for measure in measures {
        let interval = measure.interval.value();
        let gain = measure.gain.value();
        table.push([
            (&measure.name).into(),
            measure.mean.into(),
            interval.map(|found| found.low).into(),
            interval.map(|found| found.high).into(),
            measure.chance.into(),
            measure.permutation.value().map(|found| found.p).into(),
            measure.ridge.into(),
            gain.map(|found| found.estimate).into(),
            gain.map(|found| found.low).into(),
            gain.map(|found| found.high).into(),
        ]);
    }
    let mut subjects = Table::new(&["subject"]);
    subjects
        .columns
        .extend(measures.iter().map(|measure| measure.name.clone()));
    for subject in measures
        .iter()
        .take(1)
        .flat_map(|measure| measure.per_subject.keys())
    {
        let own = |measure: &MeasureResult| Cell::from(measure.per_subject.get(subject).copied());
        subjects.push(std::iter::once(Cell::from(subject)).chain(measures.iter().map(own)));
    }
    let of_each = format!("{caption}: each subject");
    section.push(Block::Tables(vec![
        (caption.to_owned(), table),
        (of_each, subjects),
    ]));
}

fn named(section: &mut Section, input: &Input<'_>, results: &WordsResults) {
    section.heading("Which word");
    let mut words = format!(
        "{} words ({}), of which no decoder was told any. Scores are cosines in units of their standard deviation over \
         training responses.",
        results.words, results.vocabulary
    );
    if let Some(truth) = &results.truth {
        words.push_str(&format!(
            " {} of them are labels: a true one is among the first five in {} of responses (chance {}).",
            truth.labels.len(),
            three(truth.top_five.mean),
            three(truth.top_five.chance)
        ));
        if let Some(found) = truth.roc_auc.value() {
            words.push_str(&format!(
                " Their mean AUC is {} ({} to {}; chance .5).",
                three(found.estimate),
                three(found.low),
                three(found.high)
            ));
        }
    }
    section.paragraph(escaped(&words));
    if let Some(truth) = &results.truth {
        let rows = match truth.labels.len() > LONG {
            true => truth.labels.len().div_ceil(2),
            false => LONG,
        };
        let tables = truth.labels.chunks(rows).map(words_that_are_labels);
        section.push(Block::Tables(tables.collect()));
    }
    match Said::read(&input.files.run().words_folder(), SHOWN) {
        Err(why) => {
            section.missing(why);
        }
        Ok(shown) => {
            section.figures(shown.iter().zip(1..).map(|(one, number)| said(number, one)));
        }
    }
    for note in &results.notes {
        section.paragraph(escaped(note));
    }
}

fn words_that_are_labels(labels: &[WordLabel]) -> (String, Table) {
    let mut table = Table::new(&[
        "word",
        "AUC",
        "low",
        "high",
        "AUC of the run, trained on it",
    ]);
    for label in labels {
        table.push([
            (&label.name).into(),
            label.roc_auc.into(),
            label.interval.map(|[low, _]| low).into(),
            label.interval.map(|[_, high]| high).into(),
            label.supervised.into(),
        ]);
    }
    ("Words that are labels".to_owned(), table)
}
