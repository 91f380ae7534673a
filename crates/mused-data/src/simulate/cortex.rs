//! The brains: what is common to all subjects, and what makes each one's own.

use ndarray::{Array1, Array2, s};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::scenes::{HIGH, LOW, centre};
use super::{SimulateConfig, SimulatedRoi, Spaces, normal_matrix};
use crate::{Grid, Voxel};

/// Smooth patterns over the sheet that a map is made of, hence content directions a map can show.
const PATTERNS: usize = 6;
/// Width of a region's sheet in voxels; more voxels make it longer.
const SHEET_WIDTH: usize = 10;
/// Standard deviation of the spatial frequencies of the patterns, in radians a voxel.
const SPATIAL_FREQUENCY: f64 = 0.55;

/// Smooth functions of position on a sheet: random Fourier features of a Gaussian kernel
/// (Rahimi & Recht 2007).
struct Patterns {
    /// [`PATTERNS`] × 2.
    frequencies: Array2<f64>,
    phases: Array1<f64>,
}

impl Patterns {
    fn draw(random: &mut ChaCha8Rng) -> Self {
        let frequencies = normal_matrix(PATTERNS, 2, random) * SPATIAL_FREQUENCY;
        let phases = Array1::from_shape_simple_fn(PATTERNS, || {
            random.random_range(0.0..std::f64::consts::TAU)
        });
        Self {
            frequencies,
            phases,
        }
    }

    /// positions × [`PATTERNS`].
    fn at(&self, positions: &Array2<f64>) -> Array2<f64> {
        let angles = positions.dot(&self.frequencies.t()) + &self.phases;
        angles.mapv(|angle| (2.0 / PATTERNS as f64).sqrt() * angle.cos())
    }
}

/// What all subjects have in common: for each region, its two maps. In spaces of people's own, the code of a region is
/// what the first one is tuned to.
pub(super) struct Topography {
    regions: Vec<Region>,
}

struct Region {
    patterns: Patterns,
    /// [`PATTERNS`] × content ([`LOW`] then [`HIGH`]): tuned alike in everybody.
    common: Array2<f64>,
    /// The same shape: tuned in opposite ways in the two kinds of people.
    opposed: Array2<f64>,
}

impl Topography {
    pub(super) fn draw(config: &SimulateConfig, random: &mut ChaCha8Rng) -> Self {
        let draw = |roi: &SimulatedRoi| Region {
            patterns: Patterns::draw(random),
            common: tuning(roi, PATTERNS, random),
            opposed: tuning(roi, PATTERNS, random),
        };
        Self {
            regions: config.rois.iter().map(draw).collect(),
        }
    }
}

impl Region {
    /// The voxels at `positions` of one person: smooth patterns over them (positions × [`PATTERNS`]), and what each is
    /// tuned to ([`PATTERNS`] × content). The code is mixed into patterns of its own.
    fn mixed(
        &self,
        positions: &Array2<f64>,
        random: &mut ChaCha8Rng,
    ) -> (Array2<f64>, Array2<f64>) {
        let basis = Patterns::draw(random).at(positions);
        let mixing = normal_matrix(PATTERNS, PATTERNS, random) / (PATTERNS as f64).sqrt();
        (basis, mixing.dot(&self.common))
    }

    /// The same in the common space, for a person of the kind that `polarity` says.
    fn mapped(
        &self,
        places: &Array2<f64>,
        agreement: f64,
        polarity: f64,
    ) -> (Array2<f64>, Array2<f64>) {
        let mut tuned = &self.common * agreement.sqrt();
        tuned.scaled_add(polarity * (1.0 - agreement).sqrt(), &self.opposed);
        (self.patterns.at(places), tuned)
    }
}

/// Random tuning: rows × ([`LOW`] + [`HIGH`]), the two levels in the proportion of the region.
fn tuning(roi: &SimulatedRoi, rows: usize, random: &mut ChaCha8Rng) -> Array2<f64> {
    let mut tuning = normal_matrix(rows, LOW + HIGH, random);
    let (low, high) = (1.0 - roi.semantic, roi.semantic);
    tuning
        .slice_mut(s![.., ..LOW])
        .mapv_inplace(|weight| weight * (low / LOW as f64).sqrt());
    tuning
        .slice_mut(s![.., LOW..])
        .mapv_inplace(|weight| weight * (high / HIGH as f64).sqrt());
    tuning
}

/// One subject's region: its voxels and their noiseless responses.
pub(super) struct SubjectRegion {
    pub(super) voxels: Vec<Voxel>,
    /// stimuli × voxels, amplitude as a standard deviation of the noise of a single trial.
    pub(super) signal: Array2<f64>,
    /// Patterns × voxels, unit variance a voxel on average: where noise is spatially smooth.
    pub(super) smooth: Array2<f64>,
}

impl SubjectRegion {
    /// Draws region `index` of subject number `subject`; `content` is stimuli × ([`LOW`] +
    /// [`HIGH`]).
    pub(super) fn draw(
        config: &SimulateConfig,
        topography: &Topography,
        subject: usize,
        index: usize,
        content: &Array2<f64>,
        random: &mut ChaCha8Rng,
    ) -> Self {
        let region = &topography.regions[index];
        let roi = &config.rois[index];
        let (fewest, most) = config.voxels_per_roi;
        let count = random.random_range(fewest..=most);
        let positions = positions(count);
        let (basis, tuned) = match config.spaces {
            Spaces::Own => region.mixed(&positions, random),
            Spaces::Common => {
                // In turn, not by lot: two subjects are enough to have both kinds.
                let polarity = if subject.is_multiple_of(2) { 1.0 } else { -1.0 };
                let places = &positions + &warp(&positions, config.warp, random);
                region.mapped(&places, config.agreement, polarity)
            }
        };
        let shared = centre(content.dot(&tuned.t()).dot(&basis.t()));
        let idiosyncratic = centre(content.dot(&tuning(roi, count, random).t()));
        let own = config.idiosyncrasy;
        let spread: f64 = StandardNormal.sample(random);
        // The mean of the log-normal is one: individual gain moves signal, on average it adds none.
        let gain = (config.gain_spread * spread - 0.5 * config.gain_spread.powi(2)).exp();
        let signal = (shared * (1.0 - own).sqrt() + idiosyncratic * own.sqrt())
            * (config.signal_to_noise * gain).sqrt();
        let smooth = centre(Patterns::draw(random).at(&positions)).reversed_axes();
        let voxels = voxels(&roi.name, index, count);
        Self {
            voxels,
            signal,
            smooth,
        }
    }
}

fn positions(count: usize) -> Array2<f64> {
    Array2::from_shape_fn((count, 2), |(voxel, axis)| {
        let place = if axis == 0 {
            voxel % SHEET_WIDTH
        } else {
            voxel / SHEET_WIDTH
        };
        place as f64
    })
}

/// A smooth displacement of the sheet, in voxels: no two brains align perfectly.
fn warp(positions: &Array2<f64>, amount: f64, random: &mut ChaCha8Rng) -> Array2<f64> {
    let basis = Patterns::draw(random).at(positions);
    basis.dot(&normal_matrix(PATTERNS, 2, random)) * amount
}

/// Sheets side by side.
const COLUMNS: usize = 3;
/// Voxels from layer to layer: a sheet curves by up to 4.
const LAYER: usize = 7;
/// Voxels of air around everything.
const MARGIN: usize = 2;

/// The grid that all regions of all subjects fit in, 2 mm voxels.
pub(super) fn grid(config: &SimulateConfig) -> Grid {
    let layers = config.rois.len().div_ceil(COLUMNS);
    let shape = [
        2 * MARGIN + COLUMNS * (SHEET_WIDTH + 2),
        2 * MARGIN + config.voxels_per_roi.1.div_ceil(SHEET_WIDTH),
        2 * MARGIN + layers * LAYER,
    ];
    let mut affine = [[0.0; 4]; 4];
    affine[3][3] = 1.0;
    for axis in 0..3 {
        affine[axis][axis] = 2.0;
        affine[axis][3] = -(shape[axis] as f64);
    }
    Grid { shape, affine }
}

/// Coordinates on a gently curved sheet; sheets lie beside and above one another without touching.
fn voxels(roi: &str, index: usize, count: usize) -> Vec<Voxel> {
    let (column, layer) = (index % COLUMNS, index / COLUMNS);
    let place = |voxel: usize| {
        let (i, j) = (voxel % SHEET_WIDTH, voxel / SHEET_WIDTH);
        let curve = (i.abs_diff(5).pow(2) + (j % 10).abs_diff(5).pow(2)) / 12;
        let offset = [column * (SHEET_WIDTH + 2) + i, j, layer * LAYER + curve];
        Voxel {
            roi: roi.to_owned(),
            coordinate: Some(offset.map(|offset| (MARGIN + offset) as i32)),
            reference: None,
        }
    };
    (0..count).map(place).collect()
}
