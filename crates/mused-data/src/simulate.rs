//! Simulated experiments with known structure: to try the whole program without data, to test it,
//! and to see whether a method finds what was put in.
//!
//! # Model
//! **Pictures.** A scene has a topic, and one to three pictures that share labels and look alike;
//! the scene is the stimulus group. Label frequencies fall off as in COCO (about 3 of 80 labels a
//! picture) and labels keep company with their topic. A picture's *high-level content* is the sum
//! of its labels' meanings plus meaning no label names; its *low-level content* is a vector
//! of its own that the topic explains only in small part: this is what makes two levels of
//! guidance distinguishable. Guidance features are noisy nonlinear codes of the two contents, as
//! an image encoder would give, never the contents or labels.
//!
//! **Who sees what.** Everybody sees some pictures in common, the first ones, and as many of their own as make up the
//! rest, as in the Natural Scenes Dataset.
//!
//! **Cortex.** In every region lies a code: a few directions of content, the same in all people. How voxels carry it is
//! a person's own ([`Spaces::Own`]): each has smooth maps of its own, and mixes the code into them by weights of its
//! own. Voxel i of two people has nothing in common, the geometry of a region has. That is how people are before
//! anything is brought into a common space; no weight over voxels can be shared.
//!
//! **Cortex in a common space** ([`Spaces::Common`]). A voxel's tuning is a smooth function of its place on its region's sheet, made of
//! two maps that everybody has. One is the same in all people; the other has the same layout and
//! the opposite sign in each of two kinds of people. That is a caricature of how functional
//! layouts differ, chosen for what it does: a model with one set of weights for everybody has the
//! second map averaged away and keeps the first, while a model that is told who it is can choose
//! how to read a region. It is the variance subject tokens are for; a subject a model was never
//! told about may be read with the wrong sign, below chance. Beside it, people differ in how much
//! signal each region carries and, as no shared weights can follow, in voxel counts, in a
//! slight warp of the sheet and in idiosyncratic tuning.
//!
//! Warp and idiosyncrasy are smaller by default than in real brains, for a reason: where they are
//! large and trials few, they tell people apart so well that a linear model without any subject
//! information learns each person's code separately, and the kinds no longer conflict.
//!
//! **Scanner.** Noise is partly smooth over the sheet and persists over trials, sessions differ in
//! gain and drift, and repeats share the signal alone.
//!
//! A subject's random numbers depend on the seed and the subject's number alone, so a
//! simulation with more subjects begins with the same ones, as long as everybody sees the same pictures.

mod cortex;
mod names;
mod scanner;
mod scenes;

use std::ops::RangeInclusive;
use std::path::Path;

use mused_formats::npy::Dtype;
use ndarray::{Array2, Axis, concatenate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::{DatasetWriter, Description, Error, FeatureSet, Kind, Level, Response, Result, Voxel};
use cortex::{SubjectRegion, Topography};
use scenes::Scenes;

/// Dimensions of a simulated encoder's features.
const FEATURES: usize = 64;
/// Standard deviation of what an encoder sees that nothing else knows of, against a content of 1.
const ENCODER_NOISE: f64 = 0.3;

/// A simulated region of interest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedRoi {
    /// Name of the region.
    pub name: String,
    /// Share of its tuned variance that is high-level, from 0 (as V1) to 1.
    pub semantic: f64,
}

/// What the voxels of two people have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spaces {
    /// Nothing: everybody's voxels mix what a region codes in their own way.
    Own,
    /// Their places: maps that everybody has, in two kinds of people.
    Common,
}

/// A simulated experiment. The default is small enough to train on in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimulateConfig {
    /// Whether the dataset is said to be regions or a volume: the voxels, which have a place in
    /// both, are the same.
    pub kind: Kind,
    /// What the voxels of two people have in common.
    pub spaces: Spaces,
    /// Number of people.
    pub subjects: usize,
    /// Number of pictures that each person sees.
    pub stimuli: usize,
    /// Share of these that everybody sees; the others are seen by one person alone.
    pub shared: f64,
    /// Number of labels.
    pub labels: usize,
    /// Presentations of each picture to each subject.
    pub repeats: usize,
    /// Scanning sessions the presentations are divided into.
    pub sessions: usize,
    /// Regions, in the order of the voxels.
    pub rois: Vec<SimulatedRoi>,
    /// Fewest and most voxels of a region; each subject's count is drawn between.
    pub voxels_per_roi: (usize, usize),
    /// Signal variance over noise variance of a single trial in an average region.
    pub signal_to_noise: f64,
    /// Spread among people of the signal a region carries: standard deviation of the
    /// logarithm of the signal variance.
    pub gain_spread: f64,
    /// In a common space: share of the common map in a region's shared variance; the rest is opposed between kinds.
    pub agreement: f64,
    /// Share of a region's signal variance that nobody else's region codes.
    pub idiosyncrasy: f64,
    /// In a common space: typical displacement of a voxel from where the common topography has it, in voxels.
    pub warp: f64,
    /// Seed: the same one gives the same files.
    pub seed: u64,
}

impl Default for SimulateConfig {
    fn default() -> Self {
        let rois = [
            ("V1", 0.0),
            ("V2", 0.05),
            ("V3", 0.15),
            ("hV4", 0.35),
            ("LO", 0.7),
            ("pFus", 0.85),
            ("FFA", 0.95),
            ("EBA", 0.9),
            ("PPA", 0.85),
            ("OPA", 0.75),
            ("pSTS", 0.95),
            ("TPJ", 1.0),
        ];
        Self {
            kind: Kind::Roi,
            spaces: Spaces::Own,
            subjects: 4,
            stimuli: 1000,
            shared: 0.25,
            labels: 80,
            repeats: 2,
            sessions: 2,
            rois: rois
                .map(|(name, semantic)| SimulatedRoi {
                    name: name.to_owned(),
                    semantic,
                })
                .to_vec(),
            voxels_per_roi: (80, 100),
            signal_to_noise: 0.4,
            gain_spread: 0.5,
            agreement: 0.04,
            idiosyncrasy: 0.02,
            warp: 0.1,
            seed: 1,
        }
    }
}

impl SimulateConfig {
    /// The default in a common space, where everybody sees all pictures.
    pub fn common_space() -> Self {
        Self {
            spaces: Spaces::Common,
            shared: 1.0,
            ..Self::default()
        }
    }

    /// Number of pictures that everybody sees, and that each person sees alone.
    fn shared_and_own(&self) -> [usize; 2] {
        let shared = (self.shared * self.stimuli as f64).round() as usize;
        [shared, self.stimuli - shared]
    }

    /// Number of all pictures.
    fn pictures(&self) -> usize {
        let [shared, own] = self.shared_and_own();
        shared + self.subjects * own
    }

    /// Pictures that a subject sees.
    fn seen_by(&self, subject: usize) -> Vec<usize> {
        let [shared, own] = self.shared_and_own();
        let first = shared + subject * own;
        (0..shared).chain(first..first + own).collect()
    }

    /// Checks that the experiment can be simulated.
    ///
    /// # Errors
    /// Names the first value out of its range, the range, and what was found.
    pub fn check(&self) -> Result<()> {
        let count = |name: &str, range: RangeInclusive<usize>, value: usize| {
            if range.contains(&value) {
                return Ok(());
            }
            let (least, most) = (range.start(), range.end());
            Err(Error::Request(format!(
                "{name} is {value}, expected from {least} to {most}"
            )))
        };
        count("subjects", 1..=10_000, self.subjects)?;
        count("stimuli", 10..=1_000_000, self.stimuli)?;
        count("labels", 2..=100_000, self.labels)?;
        count("repeats", 1..=1000, self.repeats)?;
        count("sessions", 1..=1000, self.sessions)?;
        count("number of rois", 1..=1000, self.rois.len())?;
        let (fewest, most) = self.voxels_per_roi;
        count("fewest voxels of a region", 2..=1_000_000, fewest)?;
        count("most voxels of a region", fewest..=1_000_000, most)?;
        let within = |name: &str, value: f64, least: f64, most: f64| {
            // Written so that NaN fails too.
            if value >= least && value <= most {
                return Ok(());
            }
            Err(Error::Request(format!(
                "{name} is {value}, expected from {least} to {most}"
            )))
        };
        within("shared", self.shared, 0.0, 1.0)?;
        let factors = [
            self.subjects,
            self.stimuli,
            self.repeats,
            self.rois.len(),
            most,
        ];
        let responses = factors
            .iter()
            .fold(1, |values: u128, n| values * *n as u128);
        let labels = self.pictures() as u128 * self.labels as u128;
        if responses > MOST_VALUES || labels > MOST_VALUES {
            return Err(Error::Request(format!(
                "expected at most {MOST_VALUES} responses and as many labels of pictures, asked for {responses} and \
                 {labels}: fewer subjects, stimuli, repeats, voxels or labels"
            )));
        }
        within("signal_to_noise", self.signal_to_noise, 0.0, 100.0)?;
        within("gain_spread", self.gain_spread, 0.0, 3.0)?;
        within("agreement", self.agreement, 0.0, 1.0)?;
        within("idiosyncrasy", self.idiosyncrasy, 0.0, 1.0)?;
        within("warp", self.warp, 0.0, 100.0)?;
        for roi in &self.rois {
            within(&format!("semantic of {}", roi.name), roi.semantic, 0.0, 1.0)?;
        }
        let mut names: Vec<&str> = self.rois.iter().map(|roi| roi.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::Request(format!("roi {:?} occurs twice", pair[0]))),
            None => Ok(()),
        }
    }

    /// Random numbers of their own for each purpose: none moves when another draws more.
    fn stream(&self, stream: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(stream);
        random
    }
}

/// Several times the Natural Scenes Dataset.
const MOST_VALUES: u128 = 1 << 34;
const STIMULI: u64 = 0;
const ENCODERS: u64 = 1;
const TOPOGRAPHY: u64 = 2;
const FIRST_SUBJECT: u64 = 1000;

/// Simulates an experiment and writes it as a dataset directory at `out`; `progress` is told how
/// many of how many subjects are done. Responses are stored as f16, in units of a single
/// trial's noise.
///
/// # Errors
/// When a value of `config` is out of range, `out` exists, or writing fails; nothing is left at
/// `out` then.
pub fn simulate(
    config: &SimulateConfig,
    out: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    config.check()?;
    let scenes = Scenes::draw(config, &mut config.stream(STIMULI));
    let mut description = Description::new(
        format!("simulated-{}", config.seed),
        config.kind,
        Response::Voxels,
    );
    description.simulated = true;
    description.licence = Some("CC0-1.0".to_owned());
    description.processing = (config.spaces == Spaces::Own).then(|| {
        let [shared, own] = config.shared_and_own();
        format!(
            "Simulated people whose voxels have nothing in common; each sees {shared} stimuli that everybody sees and \
             {own} of its own."
        )
    });
    let mut writer =
        DatasetWriter::create(out, description, scenes.stimuli.clone(), &scenes.labels)?;
    let mut encoders = config.stream(ENCODERS);
    for (name, level, content) in [
        ("low", Level::Low, &scenes.low),
        ("high", Level::High, &scenes.high),
    ] {
        let features = FeatureSet {
            name: name.to_owned(),
            level: Some(level),
            description: format!("simulated encoder of {name}-level content"),
            is_rdm: false,
            shape: [config.pictures(), FEATURES],
            details: serde_json::Map::new(),
        };
        writer.features(&features, encode(content, &mut encoders).view())?;
    }
    let topography = Topography::draw(config, &mut config.stream(TOPOGRAPHY));
    let content = concatenate![Axis(1), scenes.low, scenes.high];
    for subject in 0..config.subjects {
        progress(subject, config.subjects);
        write_subject(config, &topography, &content, subject, &mut writer)?;
    }
    progress(config.subjects, config.subjects);
    writer.finish()
}

fn write_subject(
    config: &SimulateConfig,
    topography: &Topography,
    content: &Array2<f64>,
    subject: usize,
    writer: &mut DatasetWriter,
) -> Result<()> {
    let mut random = config.stream(FIRST_SUBJECT + subject as u64);
    let trials = scanner::trials(config, &config.seen_by(subject), &mut random);
    let mut voxels = Vec::new();
    let mut responses = Vec::new();
    for index in 0..config.rois.len() {
        let region = SubjectRegion::draw(config, topography, subject, index, content, &mut random);
        responses.push(scanner::scan(&region, &trials, &mut random));
        voxels.extend(region.voxels);
    }
    let name = format!("sub-{:02}", subject + 1);
    let mut rows = writer.subject(&name, &trials, &voxels, Dtype::F16)?;
    let places: Vec<&Voxel> = voxels.iter().collect();
    writer.mask(&name, &cortex::grid(config), &places)?;
    let mut row = Vec::with_capacity(voxels.len());
    for trial in 0..trials.len() {
        row.clear();
        for region in &responses {
            row.extend(region.row(trial).iter().map(|value| *value as f32));
        }
        rows.write_response(&row)?;
    }
    rows.finish()
}

/// A random network of one layer: what an encoder makes of the content.
fn encode(content: &Array2<f64>, random: &mut ChaCha8Rng) -> Array2<f32> {
    let weights =
        normal_matrix(content.ncols(), FEATURES, random) / (content.ncols() as f64).sqrt();
    let noise = normal_matrix(content.nrows(), FEATURES, random) * ENCODER_NOISE;
    (content.dot(&weights) + noise).mapv(|value| value.tanh() as f32)
}

fn normal_matrix(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Array2<f64> {
    Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(random))
}
