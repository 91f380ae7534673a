//! Which picture was seen, and which word says it: responses looked up in the space of stimulus features.
//!
//! Both rest on the points of [`mused_train::decode_points`], which any complete run over voxels has, whatever its model
//! is: closed forms, fitted on the training part of each fold.

mod error;
mod gallery;
mod lookup;
mod output;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mused_data::{Dataset, FeatureSet};
use mused_run::{
    FolderResults as _, IntervalResult, MeasureResult, RETRIEVAL_SCHEMA, RetrievalResults, Run,
    Stated, TestResult,
};
use mused_stats::retrieval::{Measure, Pool, Response, Score, gain, scores};
use mused_train::{Averaged, DecodedRow, FoldPoints, PointsRequest, decode_points};
use ndarray::{Array2, Axis};

pub use error::{Error, Result};
use gallery::Gallery;
pub use gallery::GalleryChoice;
use lookup::{LookedUp, Shelf, look_up, responses};
pub use words::{Vectors, Vocabulary, WordsRequest, words};

/// Stimuli in the places of others.
const PERMUTATIONS: usize = 10_000;
const SEED: u64 = 0;

/// What a response is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Average {
    /// A subject's trials of a stimulus together.
    #[default]
    Repeats,
    /// Every trial by itself.
    Nothing,
    /// The mean over subjects of their points of a stimulus.
    Subjects,
}

impl Average {
    fn words(self) -> &'static str {
        match self {
            Self::Repeats => "a subject's trials of a stimulus, averaged",
            Self::Nothing => "a single trial",
            Self::Subjects => "the points of all subjects of a stimulus, averaged",
        }
    }

    fn of_points(self) -> Averaged {
        match self {
            Self::Nothing => Averaged::Nothing,
            Self::Repeats | Self::Subjects => Averaged::Repeats,
        }
    }
}

/// What to look up where.
#[derive(Debug)]
pub struct RetrievalRequest<'a> {
    /// A complete run.
    pub run: &'a Run,
    /// Its dataset.
    pub dataset: &'a Dataset,
    /// What is looked through.
    pub gallery: GalleryChoice<'a>,
    /// Feature set whose space it is; `None` = the run's high-level guidance.
    pub features: Option<&'a str>,
    /// What a response is.
    pub average: Average,
    /// Items that are named for each response.
    pub k: usize,
}

/// How far work has come: what is done, how much of how much.
pub type Report<'p> = dyn FnMut(&str, usize, usize) + 'p;

/// Looks every test response of a run up in a gallery, and writes the folder `retrieval/` of the run. An earlier one is
/// replaced, once everything is written. The same bits every time.
///
/// # Errors
/// As [`decode_points`]; a gallery of one, of another model, or that cannot be read.
pub fn retrieve(
    request: &RetrievalRequest<'_>,
    report: &mut Report<'_>,
) -> Result<(RetrievalResults, PathBuf)> {
    let RetrievalRequest {
        run,
        dataset,
        average,
        k,
        ..
    } = *request;
    let config = run.config()?;
    let decoded = decoded(run, dataset, request.features, average, true, report)?;
    let set = feature_set(dataset, &decoded)?;
    let gallery = Gallery::open(request.gallery, dataset, set, |done, total| {
        report("pictures encoded", done, total);
    })?;
    let near_duplicate = config.audit.near_duplicate;
    let Searched {
        models,
        ridge,
        pools,
        shelves,
    } = searched(&decoded, &gallery, dataset, near_duplicate, k, report)?;
    let subjects = subject_names(dataset, &decoded, average);
    let mut table =
        |of: &[Response], ridge: &[Response]| measures(of, ridge, &pools, &subjects, report);
    let sizes = shelves.iter().map(|(shelf, _)| shelf.items.len());
    let count = |of: &dyn Fn(&Shelf, usize) -> bool| {
        let rows = models.all.iter();
        rows.filter(|row| of(&shelves[row.pool].0, row.stimulus))
            .count()
    };
    let results = RetrievalResults {
        schema: RETRIEVAL_SCHEMA.to_owned(),
        gallery: gallery.words.clone(),
        items: [sizes.clone().min().unwrap_or(0), sizes.max().unwrap_or(0)],
        features: set.name.clone(),
        averaged: average.words().to_owned(),
        responses: models.all.len(),
        near_duplicate,
        duplicated: count(&|shelf, own| !shelf.duplicates[own].is_empty()),
        trained: count(&|shelf, own| shelf.seen[own]),
        seen: (shelves.iter())
            .map(|(shelf, _)| shelf.seen.iter().filter(|seen| **seen).count())
            .max()
            .unwrap_or(0),
        all: table(&models.all, &ridge.all)?,
        unseen: match models.unseen.is_empty() {
            true => None,
            false => Some(table(&models.unseen, &ridge.unseen)?),
        },
        notes: notes(&gallery, average),
    };
    let folder = run.retrieval_folder();
    let written = output::Written {
        dataset,
        gallery: &gallery,
        decoded: &decoded,
        shelves: &shelves,
        responses: &models.all,
        ridge: &ridge.all,
        subjects: &subjects,
    };
    output::replaced(&folder, |partial| {
        written.write(partial)?;
        Ok(results.write(partial)?)
    })?;
    Ok((results, folder))
}

/// Responses among all items, and of those whose picture was not trained on among those that were not.
#[derive(Default)]
struct Found {
    all: Vec<Response>,
    unseen: Vec<Response>,
}

impl Found {
    /// Takes in what was found for one model; returns what is near.
    fn add(
        &mut self,
        points: &FoldPoints,
        shelf: &Shelf,
        stimuli: &[usize],
        pool: usize,
        found: LookedUp,
    ) -> Vec<Vec<lookup::Nearest>> {
        self.all.extend(responses(points, stimuli, pool, found.all));
        let unseen = responses(points, stimuli, pool, found.unseen);
        self.unseen
            .extend(unseen.into_iter().filter(|row| !shelf.seen[row.stimulus]));
        found.nearest
    }
}

/// What was found for the responses of all models of a run, by their decoders and by ridge regression a subject.
#[derive(Default)]
struct Searched {
    models: Found,
    ridge: Found,
    pools: Vec<Pool>,
    /// Of each model; and what is near its responses.
    shelves: Vec<(Shelf, Vec<Vec<lookup::Nearest>>)>,
}

/// Looks all responses up.
fn searched(
    decoded: &[FoldPoints],
    gallery: &Gallery,
    dataset: &Dataset,
    near_duplicate: f64,
    k: usize,
    report: &mut Report<'_>,
) -> Result<Searched> {
    let mut searched = Searched::default();
    let mut groups = BTreeMap::new();
    // By the decoders and by ridge regression.
    let total = 2 * decoded
        .iter()
        .map(|points| points.rows.len())
        .sum::<usize>();
    let mut done = 0;
    let mut looked = |count: usize| {
        done += count;
        report("responses looked up", done, total);
    };
    looked(0);
    for (number, points) in decoded.iter().enumerate() {
        let shelf = Shelf::of(points, gallery, dataset, near_duplicate)?;
        searched.pools.push(shelf.pool(dataset, &mut groups));
        let [placed, levelled] = shelf.placed(points, gallery);
        let stimuli = shelf.stimuli(&points.rows);
        let level = points.space.level().mapv(|factor| factor as f32);
        let of_model = &points.points * &level;
        let of_model = look_up(
            of_model.view(),
            &stimuli,
            &levelled,
            &shelf,
            Some(k),
            &mut looked,
        )?;
        let of_ridge = look_up(
            points.own.view(),
            &stimuli,
            &placed,
            &shelf,
            None,
            &mut looked,
        )?;
        let nearest = searched
            .models
            .add(points, &shelf, &stimuli, number, of_model);
        searched
            .ridge
            .add(points, &shelf, &stimuli, number, of_ridge);
        searched.shelves.push((shelf, nearest));
    }
    Ok(searched)
}

/// Test responses as points, averaged as asked.
fn decoded(
    run: &Run,
    dataset: &Dataset,
    features: Option<&str>,
    average: Average,
    labels: bool,
    report: &mut Report<'_>,
) -> Result<Vec<FoldPoints>> {
    let request = PointsRequest {
        run,
        dataset,
        features,
        averaged: average.of_points(),
        labels,
    };
    let mut decoded = decode_points(&request, |done, total| report("maps fitted", done, total))?;
    if average == Average::Subjects {
        for points in &mut decoded {
            over_subjects(points);
        }
    }
    Ok(decoded)
}

/// Puts the mean over subjects in the place of their points.
fn over_subjects(points: &mut FoldPoints) {
    let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, row) in points.rows.iter().enumerate() {
        rows.entry(row.stimulus).or_default().push(place);
    }
    let mean = |of: &Array2<f32>| {
        let mut means = Array2::zeros((rows.len(), of.ncols()));
        for (mut mean, own) in means.rows_mut().into_iter().zip(rows.values()) {
            for row in of.select(Axis(0), own).rows() {
                mean.scaled_add(1.0 / own.len() as f32, &row);
            }
        }
        means
    };
    points.points = mean(&points.points);
    points.own = mean(&points.own);
    points.rows = (rows.keys())
        .map(|&stimulus| DecodedRow {
            subject: 0,
            stimulus,
            trial: None,
        })
        .collect();
}

fn feature_set<'d>(dataset: &'d Dataset, decoded: &[FoldPoints]) -> Result<&'d FeatureSet> {
    let name = decoded.first().map(|points| points.features.as_str());
    let found = dataset
        .features
        .iter()
        .find(|set| Some(set.name.as_str()) == name);
    found.ok_or_else(|| Error::Request("the run tested nothing".to_owned()))
}

/// Names of the subjects that have responses, by number.
fn subject_names(
    dataset: &Dataset,
    decoded: &[FoldPoints],
    average: Average,
) -> BTreeMap<usize, String> {
    if average == Average::Subjects {
        return BTreeMap::from([(0, "mean over subjects".to_owned())]);
    }
    let rows = decoded.iter().flat_map(|points| &points.rows);
    let known: BTreeSet<usize> = rows.map(|row| row.subject).collect();
    known
        .into_iter()
        .map(|subject| (subject, dataset.subjects[subject].id.clone()))
        .collect()
}

fn measures(
    responses: &[Response],
    ridge: &[Response],
    pools: &[Pool],
    subjects: &BTreeMap<usize, String>,
    report: &mut Report<'_>,
) -> Result<Vec<MeasureResult>> {
    let measures = [
        ("top-1", Measure::Top(1)),
        ("top-5", Measure::Top(5)),
        ("pairwise", Measure::Pairwise),
        ("median rank", Measure::MedianRank),
    ];
    let present: BTreeSet<usize> = responses.iter().map(|row| row.subject).collect();
    let each = measures.map(|(_, measure)| measure);
    report("measures tested", 0, each.len());
    let found = scores(responses, pools, &each, PERMUTATIONS, SEED)?;
    let of_ridge = scores(ridge, pools, &each, 0, SEED)?;
    let result = |(((name, measure), found), of_ridge): (((&str, Measure), Score), Score)| {
        let gain = gain(responses, ridge, pools, measure)?;
        let names = subjects
            .iter()
            .filter(|(number, _)| present.contains(number));
        Ok(MeasureResult {
            name: name.to_owned(),
            per_subject: (names.map(|(_, name)| name.clone()).zip(found.per_subject)).collect(),
            mean: found.mean,
            chance: found.chance,
            interval: Stated::of(found.interval, IntervalResult::from),
            permutation: Stated::of(found.permutation, TestResult::from),
            ridge: of_ridge.mean,
            gain: Stated::of(gain.interval, IntervalResult::from),
            gain_p: Stated::of(gain.p, |p| p),
        })
    };
    let each = measures.into_iter().zip(found).zip(of_ridge);
    each.map(result).collect()
}

fn notes(gallery: &Gallery, average: Average) -> Vec<String> {
    let mut notes = gallery.notes.clone();
    if average == Average::Subjects {
        notes.push(
            "one response a stimulus, the mean over subjects: intervals speak of other stimuli alone".to_owned(),
        );
    }
    notes
}
