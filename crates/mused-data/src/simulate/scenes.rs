//! The pictures: scenes, labels, and the two kinds of content a brain may represent.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::RngExt;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rand_distr::weighted::WeightedIndex;
use rand_distr::{Distribution, Poisson, StandardNormal};

use super::names::{self, TOPICS, Topic};
use super::{SimulateConfig, normal_matrix};
use crate::{Labels, Stimulus};

/// Dimensions of the low-level content (colour, orientation, layout).
pub(super) const LOW: usize = 16;
/// Dimensions of the high-level content (what is there).
pub(super) const HIGH: usize = 32;

/// Offset and exponent of label frequency over rank, `(rank + OFFSET)^-EXPONENT`: with 80 labels
/// the commonest is in about half of the pictures, the rarest in one of a hundred.
const ZIPF: (f64, f64) = (2.0, 0.85);
/// How much rarer a label is outside its home topic.
const AWAY_FROM_HOME: f64 = 0.06;
/// How much rarer the commonest label, people, is than if it were at home in every topic.
const PEOPLE: f64 = 0.5;
/// Labels a picture has beside its first.
const FURTHER_LABELS: f64 = 1.9;
/// Chance that the next picture of a scene shows a label of the scene again.
const SHARED_LABEL: f64 = 0.6;
/// Share of low-level variance that pictures of one scene have in common.
const SHARED_LOW: f64 = 0.4;
/// Share of low-level variance that the topic explains: gist and meaning are correlated.
const TOPIC_LOW: f64 = 0.15;
/// Variance of meaning beyond the labels, relative to that of the labels.
const UNLABELLED: f64 = 0.35;
/// Variance of a label's meaning that its topic explains.
const TOPIC_IN_LABEL: f64 = 0.35;

/// All stimuli, their labels and their content.
pub(super) struct Scenes {
    pub(super) stimuli: Vec<Stimulus>,
    pub(super) labels: Labels,
    /// stimuli × [`LOW`], unit variance a column on average.
    pub(super) low: Array2<f64>,
    /// stimuli × [`HIGH`], unit variance a column on average.
    pub(super) high: Array2<f64>,
}

impl Scenes {
    pub(super) fn draw(config: &SimulateConfig, random: &mut ChaCha8Rng) -> Self {
        let catalogue: Vec<(String, Topic)> = (0..config.labels).map(names::label).collect();
        let pictures = config.pictures();
        let groups = groups(pictures, random);
        let topics = topics(&catalogue, groups.last().map_or(0, |last| last + 1), random);
        let topic_of = |stimulus: usize| topics[groups[stimulus]];
        let mut matrix = Array2::zeros((pictures, config.labels));
        for stimulus in 0..pictures {
            let previous = stimulus
                .checked_sub(1)
                .filter(|&p| groups[p] == groups[stimulus]);
            let shared: Vec<usize> = previous.map_or_else(Vec::new, |previous| {
                present(matrix.view(), previous)
                    .into_iter()
                    .filter(|_| random.random_bool(SHARED_LABEL))
                    .collect()
            });
            for label in draw_labels(&catalogue, TOPICS[topic_of(stimulus)], shared, random) {
                matrix[[stimulus, label]] = 1;
            }
        }
        give_every_label_a_minimum(&mut matrix, &catalogue, &topic_of, random);
        let low = low_content(pictures, &groups, &topic_of, random);
        let high = high_content(matrix.view(), &catalogue, random);
        let stimuli = groups
            .iter()
            .enumerate()
            .map(|(index, group)| {
                let mut stimulus = Stimulus::new(format!("image{:04}", index + 1));
                stimulus.group = format!("scene{:04}", group + 1);
                stimulus
            })
            .collect();
        let names = catalogue.into_iter().map(|(name, _)| name).collect();
        Self {
            stimuli,
            labels: Labels { names, matrix },
            low,
            high,
        }
    }
}

/// Scene of each stimulus: scenes of one to three neighbouring stimuli, mostly pairs, so that a
/// split that tears scenes apart scores too well, as it would on film frames.
fn groups(stimuli: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut groups = Vec::with_capacity(stimuli);
    let mut scene = 0;
    while groups.len() < stimuli {
        let size = [1, 2, 2, 3][random.random_range(0..4)].min(stimuli - groups.len());
        groups.extend(std::iter::repeat_n(scene, size));
        scene += 1;
    }
    groups
}

/// Relative frequency of the label at `rank`.
fn frequency(rank: usize) -> f64 {
    let (offset, exponent) = ZIPF;
    (rank as f64 + offset).powf(-exponent)
}

/// Topic of each scene. A topic is as frequent as its labels together, so that a rare label stays
/// rare though few others share its home.
fn topics(catalogue: &[(String, Topic)], scenes: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut weights = [0.0; TOPICS.len()];
    for (rank, (_, topic)) in catalogue.iter().enumerate().skip(1) {
        weights[*topic as usize] += frequency(rank);
    }
    match WeightedIndex::new(weights) {
        Ok(weighted) => (0..scenes).map(|_| weighted.sample(random)).collect(),
        // Only without labels beyond the first: then no topic means anything.
        Err(_) => vec![0; scenes],
    }
}

fn present(matrix: ArrayView2<'_, u8>, stimulus: usize) -> Vec<usize> {
    matrix
        .row(stimulus)
        .iter()
        .enumerate()
        .filter(|(_, on)| **on == 1)
        .map(|(l, _)| l)
        .collect()
}

fn draw_labels(
    catalogue: &[(String, Topic)],
    topic: Topic,
    mut chosen: Vec<usize>,
    random: &mut ChaCha8Rng,
) -> Vec<usize> {
    // The mean is positive and finite, so the distribution exists.
    let further = Poisson::new(FURTHER_LABELS).map_or(2.0, |poisson| poisson.sample(random));
    let wanted = (1 + further as usize).min(catalogue.len());
    let weight = |label: usize| {
        let at_home = match label {
            // People are everywhere, mostly.
            0 => PEOPLE,
            _ if catalogue[label].1 == topic => 1.0,
            _ => AWAY_FROM_HOME,
        };
        at_home * frequency(label)
    };
    if let Some(missing) = wanted
        .checked_sub(chosen.len())
        .filter(|missing| *missing > 0)
    {
        // Without replacement, each remaining label with probability proportional to its weight.
        let remaining: Vec<usize> = (0..catalogue.len())
            .filter(|label| !chosen.contains(label))
            .collect();
        if let Ok(drawn) = index::sample_weighted(
            random,
            remaining.len(),
            |place| weight(remaining[place]),
            missing,
        ) {
            chosen.extend(drawn.into_iter().map(|place| remaining[place]));
        }
    }
    chosen
}

/// No label without pictures: one that nobody can score would only be a nuisance. Five where
/// there are stimuli enough, so that five folds can each test it.
fn give_every_label_a_minimum(
    matrix: &mut Array2<u8>,
    catalogue: &[(String, Topic)],
    topic_of: &dyn Fn(usize) -> usize,
    random: &mut ChaCha8Rng,
) {
    let stimuli = matrix.nrows();
    let minimum = (1 + stimuli / 100).min(5);
    for (label, (_, home)) in catalogue.iter().enumerate() {
        let have = matrix.column(label).iter().filter(|on| **on == 1).count();
        // Stimuli of the home topic come first, each group in random order.
        let order = index::sample(random, stimuli, stimuli).into_vec();
        let (at_home, away): (Vec<usize>, Vec<usize>) = order
            .into_iter()
            .partition(|&stimulus| TOPICS[topic_of(stimulus)] == *home);
        let lacking = at_home
            .into_iter()
            .chain(away)
            .filter(|&s| matrix[[s, label]] == 0);
        let added: Vec<usize> = lacking.take(minimum.saturating_sub(have)).collect();
        for stimulus in added {
            matrix[[stimulus, label]] = 1;
        }
    }
}

fn low_content(
    stimuli: usize,
    groups: &[usize],
    topic_of: &dyn Fn(usize) -> usize,
    random: &mut ChaCha8Rng,
) -> Array2<f64> {
    let scenes = groups.last().map_or(0, |last| last + 1);
    let by_topic = normal_matrix(TOPICS.len(), LOW, random);
    let by_scene = normal_matrix(scenes, LOW, random);
    let mut low = normal_matrix(stimuli, LOW, random);
    low *= (1.0 - SHARED_LOW - TOPIC_LOW).sqrt();
    for (stimulus, mut row) in low.rows_mut().into_iter().enumerate() {
        row.scaled_add(SHARED_LOW.sqrt(), &by_scene.row(groups[stimulus]));
        row.scaled_add(TOPIC_LOW.sqrt(), &by_topic.row(topic_of(stimulus)));
    }
    centre(low)
}

fn high_content(
    matrix: ArrayView2<'_, u8>,
    catalogue: &[(String, Topic)],
    random: &mut ChaCha8Rng,
) -> Array2<f64> {
    let by_topic = normal_matrix(TOPICS.len(), HIGH, random);
    let mut meaning = normal_matrix(catalogue.len(), HIGH, random);
    meaning *= (1.0 - TOPIC_IN_LABEL).sqrt();
    for (mut row, (_, topic)) in meaning.rows_mut().into_iter().zip(catalogue) {
        row.scaled_add(TOPIC_IN_LABEL.sqrt(), &by_topic.row(*topic as usize));
    }
    let mut high = matrix.mapv(f64::from).dot(&meaning);
    for (mut row, labels) in high.rows_mut().into_iter().zip(matrix.rows()) {
        // A crowded picture is not a stronger stimulus: attention is divided.
        let count = labels.iter().map(|on| f64::from(*on)).sum::<f64>().max(1.0);
        row /= count.sqrt();
        for value in &mut row {
            let residual: f64 = StandardNormal.sample(random);
            *value += UNLABELLED.sqrt() * residual;
        }
    }
    centre(high)
}

/// Subtracts column means and divides all by one standard deviation.
pub(super) fn centre(mut content: Array2<f64>) -> Array2<f64> {
    let means: Array1<f64> = content
        .mean_axis(Axis(0))
        .unwrap_or_else(|| Array1::zeros(content.ncols()));
    content -= &means;
    let variance =
        content.iter().map(|value| value * value).sum::<f64>() / content.len().max(1) as f64;
    content / variance.sqrt().max(f64::MIN_POSITIVE)
}
