//! Inputs that mean the same in everybody: nothing is fitted outside training, and no row of a training sample by a map
//! that saw its group.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use mused_data::{
    Aligned, Alignment, Dataset, FeatureSet, Guidance, InputReader, Labels, Level, Sample,
    Stimulus, Trial, Voxel, samples,
};
use ndarray::{Array2, ArrayView1, Axis, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Dimensions of what stimuli mean.
const LATENT: usize = 4;
const LABELS: usize = 2;

fn normal(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Array2<f32> {
    Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(rng))
}

/// A person: what was shown, where the voxels are, what they did.
#[derive(Clone)]
struct Person {
    shown: Vec<usize>,
    regions: Vec<(&'static str, usize)>,
    /// Trials × voxels.
    responses: Array2<f32>,
}

/// A dataset before it is built, for tests to change.
#[derive(Clone)]
struct World {
    groups: Vec<usize>,
    labels: Array2<u8>,
    features: Array2<f32>,
    people: Vec<Person>,
}

impl World {
    /// `people` who saw every stimulus of `groups` of `each`; their voxels mix the same latent values, each person's in
    /// its own way, with `noise` times as much noise. Labels are the signs of the first latent values, features mix all.
    fn new(people: usize, groups: usize, each: usize, noise: f32) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let count = groups * each;
        let latent = normal(count, LATENT, rng);
        let regions = [("V1", 12), ("IT", 16)];
        let person = |_| {
            let mixing = normal(LATENT, 28, rng);
            let silent = normal(count, 28, rng) * (noise * (LATENT as f32).sqrt());
            Person {
                shown: (0..count).collect(),
                regions: regions.to_vec(),
                responses: latent.dot(&mixing) + silent,
            }
        };
        let people = (0..people).map(person).collect();
        Self {
            groups: (0..count).map(|stimulus| stimulus / each).collect(),
            labels: Array2::from_shape_fn((count, LABELS), |at| u8::from(latent[at] > 0.0)),
            features: latent.dot(&normal(LATENT, 9, rng)),
            people,
        }
    }

    /// Voxels that say nothing, a level of each group among it, and labels that are a group's: whoever has seen a group
    /// knows its labels.
    fn noise(people: usize, groups: usize, each: usize) -> Self {
        let mut world = Self::new(people, groups, each, 0.0);
        let rng = &mut ChaCha8Rng::seed_from_u64(11);
        for person in &mut world.people {
            let levels = normal(groups, 80, rng).select(Axis(0), &world.groups);
            person.regions = vec![("V1", 40), ("IT", 40)];
            person.responses = levels + normal(groups * each, 80, rng);
        }
        let first: Vec<usize> = world.groups.iter().map(|group| group * each).collect();
        world.labels = world.labels.select(Axis(0), &first);
        world
    }

    fn dataset(&self) -> Dataset {
        let stimuli = self.groups.iter().enumerate();
        let stimuli = stimuli.map(|(stimulus, group)| Stimulus {
            group: format!("clip-{group}"),
            ..Stimulus::new(format!("picture-{stimulus:03}"))
        });
        let labels = Labels {
            names: (0..LABELS).map(|label| format!("label {label}")).collect(),
            matrix: self.labels.clone(),
        };
        let mut builder = Dataset::builder("planted", stimuli.collect(), labels);
        for (index, person) in self.people.iter().enumerate() {
            let voxels = person.regions.iter();
            let voxels = voxels.flat_map(|(name, many)| std::iter::repeat_n(*name, *many));
            let trials = person.shown.iter().map(|&stimulus| Trial::of(stimulus));
            let (trials, voxels) = (trials.collect(), Voxel::in_regions(voxels));
            let responses = person.responses.clone();
            let id = format!("sub-{index:02}");
            builder.subject(&id, trials, voxels, responses).unwrap();
        }
        let features = FeatureSet::new("meanings", Level::High);
        builder.features(features, self.features.clone()).unwrap();
        builder.build().unwrap()
    }

    fn training(&self, dataset: &Dataset, stimuli: &[usize]) -> Vec<Sample> {
        let everyone: Vec<usize> = (0..self.people.len()).collect();
        samples(dataset, &everyone, stimuli)
    }

    /// Aligns everybody by training on all but the last group.
    fn fit(&self, onto: &str) -> mused_data::Result<Made> {
        let last = self.groups.last().unwrap();
        let train = self.groups.iter().filter(|group| *group != last).count();
        let train: Vec<usize> = (0..train).collect();
        self.fit_on(&train, onto)
    }

    fn fit_on(&self, train: &[usize], onto: &str) -> mused_data::Result<Made> {
        let dataset = self.dataset();
        let training = self.training(&dataset, train);
        let guidance = Guidance::load(&dataset, Level::High, "auto")?;
        let alignment = Alignment {
            consensus: onto.contains("consensus"),
            guidance: guidance.as_ref().filter(|_| onto.contains("guidance")),
            guided: train,
            stimuli: onto.contains("stimuli"),
            components: LATENT,
            labels: onto.contains("labels"),
            zscore: true,
            seed: 1,
        };
        Ok(Made {
            aligned: alignment.fit(&dataset, &training, |_, fit| fit())?,
            dataset,
            training,
        })
    }
}

struct Made {
    dataset: Dataset,
    training: Vec<Sample>,
    aligned: Aligned,
}

impl Made {
    /// Training rows of a person.
    fn rows(&self, person: usize) -> Array2<f32> {
        let own = self.training.iter().enumerate();
        let own = own.filter(|(_, sample)| sample.subject == person);
        let own: Vec<usize> = own.map(|(row, _)| row).collect();
        self.aligned.training.select(Axis(0), &own)
    }

    /// What the transform makes of samples.
    fn read(&self, samples: &[Sample]) -> (Array2<f32>, Vec<Vec<bool>>) {
        let everyone: Vec<usize> = (0..self.dataset.subjects.len()).collect();
        let transform = Arc::new(self.aligned.transform.clone());
        let reader = InputReader::new(&self.dataset, transform, &everyone).unwrap();
        let rows = reader.read(&samples.iter().collect::<Vec<_>>()).unwrap();
        let has = everyone.iter().map(|&one| reader.has_slot(one).to_vec());
        (rows, has.collect())
    }
}

fn bits(array: &Array2<f32>) -> Vec<u32> {
    array.iter().map(|value| value.to_bits()).collect()
}

fn correlation(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f32 {
    let centred = |values: ArrayView1<'_, f32>| &values - values.mean().unwrap();
    let (a, b) = (centred(a), centred(b));
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt().max(f32::MIN_POSITIVE)
}

/// Mean correlation of columns.
fn alike(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    let columns = a.columns().into_iter().zip(b.columns());
    let all: Vec<f32> = columns.map(|(a, b)| correlation(a, b)).collect();
    all.iter().sum::<f32>() / all.len() as f32
}

/// Columns that tokens read: of both regions all but what they add to the subject's own scores.
fn read_columns(rows: &Array2<f32>) -> Array2<f32> {
    let region = rows.ncols() / 2;
    let read = (0..rows.ncols()).filter(|column| column % region < region - LABELS);
    rows.select(Axis(1), &read.collect::<Vec<_>>())
}

#[test]
fn what_is_held_out_changes_no_bit() {
    let world = World::new(3, 7, 8, 1.0);
    let mut planted = world.clone();
    let test = 6 * 8..;
    planted.labels.slice_mut(s![test.clone(), ..]).fill(1);
    planted.features.slice_mut(s![test.clone(), ..]).fill(1e30);
    for person in &mut planted.people {
        person.responses.slice_mut(s![test.clone(), ..]).fill(1e6);
    }
    for onto in [
        "labels",
        "guidance+labels",
        "guidance+consensus+labels",
        "stimuli+labels",
    ] {
        let (expected, found) = (world.fit(onto).unwrap(), planted.fit(onto).unwrap());
        assert_eq!(found.aligned.transform, expected.aligned.transform);
        let [found, expected] = [found, expected].map(|made| bits(&made.aligned.training));
        assert_eq!(found, expected, "{onto}");
    }
    // Otherwise the above would prove nothing.
    let mut changed = world.clone();
    changed.labels[[0, 0]] = 1 - changed.labels[[0, 0]];
    let [before, after] = [world, changed].map(|world| world.fit("labels").unwrap().aligned);
    assert_ne!(before.transform, after.transform);
}

#[test]
fn rows_of_noise_say_nothing_of_the_labels_they_were_fitted_to() {
    let made = World::noise(8, 25, 4).fit("labels").unwrap();
    let shown: Vec<usize> = made.training.iter().map(|s| s.stimulus).collect();
    let labels = made.dataset.labels.matrix.select(Axis(0), &shown);
    // Of two regions, what is read and what it adds to the scores.
    let both = ndarray::concatenate![Axis(1), labels, labels, labels, labels].mapv(f32::from);
    let (on_themselves, _) = made.read(&made.training);
    let honest = alike(&made.aligned.training, &both);
    let circular = alike(&on_themselves, &both);
    assert!(honest.abs() < 0.1, "{honest}");
    assert!(circular > 0.3, "{circular}");
}

/// Six training groups are six parts. Labels of a group reach its own scores of a region through what is chosen of all
/// parts alone: the penalty, and one factor a label.
#[test]
fn maps_of_a_groups_rows_have_not_seen_its_labels() {
    let world = World::new(1, 7, 12, 2.0);
    let (group, others) = (s![12..24, ..], s![24..36, ..]);
    let mut changed = world.clone();
    for label in changed.labels.slice_mut(group).iter_mut().step_by(3) {
        *label = 1 - *label;
    }
    let [before, after] = [world, changed].map(|world| world.fit("labels").unwrap());
    // What regions add to the subject's own scores mixes two regressions.
    let [before, after] = [before, after].map(|made| read_columns(&made.aligned.training));
    let columns = |rows| {
        let (before, after): (Array2<f32>, Array2<f32>) =
            (before.slice(rows).to_owned(), after.slice(rows).to_owned());
        let pairs = before.columns().into_iter().zip(after.columns());
        let all: Vec<f32> = pairs
            .map(|(a, b)| a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt())
            .collect();
        all
    };
    assert!(columns(group).iter().all(|cosine| *cosine > 0.999_99));
    assert!(columns(others).iter().any(|cosine| *cosine < 0.999));
}

#[test]
fn rows_of_two_people_are_alike_where_their_voxels_are_not() {
    let world = World::new(2, 7, 12, 0.5);
    let voxels = world.people[0].responses.clone();
    assert!(alike(&voxels, &world.people[1].responses).abs() < 0.2);
    for onto in [
        "labels",
        "guidance+labels",
        "consensus+labels",
        "guidance+consensus+labels",
        "stimuli+labels",
    ] {
        let made = world.fit(onto).unwrap();
        let training = alike(&read_columns(&made.rows(0)), &read_columns(&made.rows(1)));
        // Of 48 likenesses of four latent values most say little.
        let enough = if onto.contains("stimuli") { 0.6 } else { 0.8 };
        assert!(training > enough, "{onto}: {training}");
        let test: Vec<usize> = (6 * 12..7 * 12).collect();
        let (rows, _) = made.read(&world.training(&made.dataset, &test));
        let [one, other] =
            [0..12, 12..24].map(|own| read_columns(&rows.slice(s![own, ..]).to_owned()));
        let tested = alike(&one, &other);
        assert!(tested > enough, "{onto}: {tested}");
    }
}

/// Together regions add up to scores of one scale, which follow the labels of training samples and of others.
#[test]
fn a_subjects_own_scores_follow_the_labels() {
    let world = World::new(2, 7, 12, 0.5);
    let made = world.fit("guidance+labels").unwrap();
    let test = world.training(&made.dataset, &(6 * 12..7 * 12).collect::<Vec<_>>());
    let tested = made.read(&test).0;
    for (samples, rows) in [(&made.training, &made.aligned.training), (&test, &tested)] {
        let region = rows.ncols() / 2;
        let own = |end: usize| rows.slice(s![.., end - LABELS..end]).to_owned();
        let scores = (own(region) + own(2 * region)) / 2.0;
        let shown: Vec<usize> = samples.iter().map(|sample| sample.stimulus).collect();
        let labels = made.dataset.labels.matrix.select(Axis(0), &shown);
        let found = alike(&scores, &labels.mapv(f32::from));
        assert!(found > 0.6, "{found}");
        let first = scores.slice(s![..samples.len() / 2, ..]);
        for sd in &first.std_axis(Axis(0), 0.0) {
            let tolerance = if samples.len() > 24 { 1e-3 } else { 0.5 };
            assert!((sd - 1.0).abs() < tolerance, "{sd}");
        }
    }
}

#[test]
fn bits_are_the_same_on_any_number_of_threads() {
    let world = World::new(2, 7, 8, 1.0);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let fit = || {
            world
                .fit("guidance+consensus+stimuli+labels")
                .unwrap()
                .aligned
        };
        pool.build().unwrap().install(fit)
    };
    let (one, three) = (on(1), on(3));
    assert_eq!(one.transform, three.transform);
    assert_eq!(bits(&one.training), bits(&three.training));
}

#[test]
fn people_may_differ_in_stimuli_trials_voxels_and_regions() {
    let mut world = World::new(3, 7, 8, 0.5);
    let all = world.people[0].shown.len();
    // The first saw half of the stimuli, each twice; the second lacks IT; the third has other voxels in another order.
    let half: Vec<usize> = (0..all).step_by(2).collect();
    let [first, second, third, ..] = &mut world.people[..] else {
        panic!()
    };
    first.shown = [half.clone(), half.clone()].concat();
    first.responses = first.responses.select(Axis(0), &first.shown);
    second.regions = vec![("V1", 12)];
    second.responses = second.responses.slice(s![.., ..12]).to_owned();
    third.regions = vec![("IT", 20), ("V1", 8)];
    let made = world.fit("guidance+labels").unwrap();
    // Components, scores that are read, and what the region adds to the subject's own.
    let width = LATENT + 2 * LABELS;
    let slots = made.aligned.transform.layout.slots();
    let named: Vec<_> = slots.iter().map(|slot| slot.name.as_str()).collect();
    let it = named.iter().position(|name| *name == "IT").unwrap();
    assert!(slots.iter().all(|slot| slot.length == width));
    assert_eq!(made.aligned.training.dim(), (24 + 48 + 48, 2 * width));
    let (read, has) = made.read(&made.training);
    assert_eq!([has[0][it], has[1][it], has[2][it]], [true, false, true]);
    assert!(has.iter().all(|has| has[1 - it]));
    let lacking = s![24..72, slots[it].offset..slots[it].offset + width];
    for rows in [&made.aligned.training, &read] {
        assert!(rows.iter().all(|value| value.is_finite()));
        assert!(rows.slice(lacking).iter().all(|value| *value == 0.0));
        let absent = rows
            .rows()
            .into_iter()
            .filter(|row| row.iter().all(|x| *x == 0.0));
        assert_eq!(absent.count(), 0);
    }
    let shared: Vec<usize> = (0..48).step_by(2).collect();
    let v1 = s![.., slots[1 - it].offset..slots[1 - it].offset + width];
    let one = made.rows(0).slice(v1).to_owned();
    let other = made.rows(2).select(Axis(0), &shared).slice(v1).to_owned();
    assert!(alike(&one, &other) > 0.7, "{}", alike(&one, &other));
    // What not everybody saw is in no map onto the consensus, and is mapped by it as test samples are.
    let made = world.fit("consensus+labels").unwrap();
    let (read, _) = made.read(&made.training);
    let columns = s![24 + 48.., slots[it].offset..slots[it].offset + LATENT];
    let pairs = made.aligned.training.slice(columns).to_owned() - read.slice(columns);
    for (stimulus, difference) in pairs.rows().into_iter().enumerate() {
        let common = stimulus % 2 == 0;
        assert_eq!(difference.iter().any(|x| x.abs() > 1e-4), common);
    }
}

/// Were people's own responses in the consensus that they are mapped onto, what is noise in each would be found again in
/// its own voxels, and rows of two would be alike.
#[test]
fn nobody_is_mapped_onto_the_own_responses() {
    let made = World::noise(2, 25, 4).fit("consensus").unwrap();
    let consensus = |person| made.rows(person).slice(s![.., ..LATENT]).to_owned();
    let found = alike(&consensus(0), &consensus(1));
    assert!(found.abs() < 0.1, "{found}");
}

/// A training sample is like itself: were that read, training rows would name their stimulus, which no test row does.
#[test]
fn no_training_row_tells_its_own_group() {
    let world = World::new(2, 7, 8, 1.0);
    let made = world.fit("stimuli").unwrap();
    let likenesses = made.rows(0).slice(s![.., ..48]).to_owned();
    for (stimulus, row) in likenesses.rows().into_iter().enumerate() {
        for (anchor, value) in row.iter().enumerate() {
            assert_eq!(*value == 0.0, anchor / 8 == stimulus / 8);
        }
    }
    // Where it is read: the diagonal of a positive definite root.
    let (read, _) = made.read(&made.training);
    assert!((0..48).all(|stimulus| read[[stimulus, stimulus]] > 1.0));
}

#[test]
fn a_consensus_needs_stimuli_in_common() {
    let mut world = World::new(2, 7, 8, 0.5);
    let person = &mut world.people[1];
    person.shown.drain(9..48);
    person.responses = person.responses.select(Axis(0), &person.shown);
    let refused = world.fit("consensus").err().unwrap().to_string();
    let expected = "saw 10 training stimuli in common, found 2 who share 9";
    assert!(refused.contains(expected), "{refused}");
    let refused = world.fit("stimuli").err().unwrap().to_string();
    let expected = "needs 10 of them or more that all subjects saw, found 9";
    assert!(refused.contains(expected), "{refused}");
    world.people.truncate(1);
    let refused = world.fit("consensus").err().unwrap().to_string();
    assert!(refused.contains("2 subjects or more"), "{refused}");
}

#[test]
fn labels_and_voxels_that_never_vary_become_zeros() {
    let mut world = World::new(2, 7, 8, 0.5);
    world.labels.column_mut(1).fill(1);
    world.people[0]
        .responses
        .slice_mut(s![.., ..12])
        .fill(14.62);
    let made = world.fit("guidance+consensus+stimuli+labels").unwrap();
    let (read, _) = made.read(&made.training);
    for rows in [&made.aligned.training, &read] {
        assert!(rows.iter().all(|value| value.is_finite()));
        let constant = rows.column(rows.ncols() - 1);
        assert!(constant.iter().all(|value| *value == 0.0), "{constant}");
    }
    world.labels.fill(1);
    let made = world.fit("labels").unwrap();
    assert!(made.aligned.training.iter().all(|value| *value == 0.0));
}

#[test]
fn what_cannot_be_aligned_is_refused_by_name() {
    let refusal = |change: &dyn Fn(&mut World)| {
        let mut world = World::new(2, 7, 8, 0.5);
        change(&mut world);
        let refused = world.fit("guidance+labels").map(|_| ());
        refused.err().map(|error| error.to_string())
    };
    let same = refusal(&|world| {
        let one = normal(1, 9, &mut ChaCha8Rng::seed_from_u64(2));
        world.features.assign(&one);
        world.features[[55, 0]] = 9.0;
    });
    assert_eq!(
        same.as_deref(),
        Some("guidance is the same for all training stimuli: nothing to align subjects by")
    );
    let nan = refusal(&|world| world.features[[3, 2]] = f32::NAN).unwrap();
    assert!(nan.contains("features meanings"), "{nan}");
    let voxel = refusal(&|world| world.people[1].responses[[3, 2]] = f32::NAN).unwrap();
    assert!(voxel.contains("sub-01"), "{voxel}");
    let one_group = refusal(&|world| world.groups[..48].fill(0)).unwrap();
    assert!(
        one_group.contains("expected 2 groups or more, found 1"),
        "{one_group}"
    );
    let one_stimulus = refusal(&|world| {
        let person = &mut world.people[1];
        person.shown.truncate(1);
        person.responses = person.responses.slice(s![..1, ..]).to_owned();
    })
    .unwrap();
    assert!(
        one_stimulus.starts_with("subject sub-01") && one_stimulus.contains("found 1"),
        "{one_stimulus}"
    );
}
