//! Predictions of two decoders with random effects of subjects and of stimuli.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use mused_stats::Samples;
use ndarray::Array2;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) const LABELS: usize = 3;

#[derive(Clone, Copy)]
pub(crate) struct Simulation {
    pub(crate) subjects: usize,
    pub(crate) stimuli: usize,
    /// Stimuli of a group, and the share of variance (of labels and signal) they have in common.
    pub(crate) per_group: usize,
    pub(crate) group_share: f64,
    pub(crate) prevalence: f64,
    /// Mean distance of positives from negatives in decoder A, and how much further it is in B.
    pub(crate) information: f64,
    pub(crate) advantage: f64,
    /// Standard deviations of that distance over subjects: of both decoders, of their difference.
    pub(crate) subject_sd: f64,
    pub(crate) subject_difference_sd: f64,
    /// Standard deviation of what all subjects see in a stimulus, beside noise of 1.
    pub(crate) stimulus_sd: f64,
    /// Decoder B's scores are squeezed to this multiple.
    pub(crate) scale_of_b: f64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            subjects: 8,
            stimuli: 60,
            per_group: 1,
            group_share: 0.0,
            prevalence: 0.25,
            information: 1.0,
            advantage: 0.0,
            subject_sd: 0.3,
            subject_difference_sd: 0.0,
            stimulus_sd: 0.7,
            scale_of_b: 1.0,
        }
    }
}

pub(crate) struct Data {
    pub(crate) a: Array2<f64>,
    pub(crate) b: Array2<f64>,
    pub(crate) targets: Array2<u8>,
    pub(crate) samples: Samples,
}

impl Simulation {
    pub(crate) fn draw(&self, seed: u64) -> Data {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let groups = self.stimuli.div_ceil(self.per_group);
        let shared = |rng: &mut ChaCha8Rng| {
            let of_group = Array2::from_shape_simple_fn((groups, LABELS), || normal(rng));
            let own = Array2::from_shape_simple_fn((self.stimuli, LABELS), || normal(rng));
            Array2::from_shape_fn((self.stimuli, LABELS), |(stimulus, label)| {
                self.group_share.sqrt() * of_group[[stimulus / self.per_group, label]]
                    + (1.0 - self.group_share).sqrt() * own[[stimulus, label]]
            })
        };
        let latent = shared(&mut rng);
        let (common, of_a, of_b) = (shared(&mut rng), shared(&mut rng), shared(&mut rng));
        // The standard normal's upper quantile, near enough for prevalences of .05 to .5.
        let threshold =
            (1.0 - 2.0 * self.prevalence) * 1.35 / (1.0 - 0.2 * (1.0 - 2.0 * self.prevalence));
        let has = latent.mapv(|value| value > threshold);
        let rows = self.subjects * self.stimuli;
        let (mut a, mut b) = (Array2::zeros((rows, LABELS)), Array2::zeros((rows, LABELS)));
        let (mut subject, mut stimulus) = (Vec::new(), Vec::new());
        for one in 0..self.subjects {
            let distance = self.information + self.subject_sd * normal(&mut rng);
            let further = self.advantage + self.subject_difference_sd * normal(&mut rng);
            let distances = [distance - further / 2.0, distance + further / 2.0];
            for item in 0..self.stimuli {
                let row = subject.len();
                for label in 0..LABELS {
                    let at = [item, label];
                    let positive = f64::from(u8::from(has[at]));
                    let noise = normal(&mut rng);
                    let seen = |own: &Array2<f64>| {
                        self.stimulus_sd * (common[at] + own[at]) * 0.5_f64.sqrt()
                    };
                    let mut score = |distance: f64, own: &Array2<f64>| {
                        positive * distance
                            + seen(own)
                            + (noise + normal(&mut rng)) * 0.5_f64.sqrt()
                    };
                    a[[row, label]] = score(distances[0], &of_a);
                    b[[row, label]] = self.scale_of_b * score(distances[1], &of_b);
                }
                subject.push(one);
                stimulus.push(item);
            }
        }
        let group: Vec<usize> = stimulus.iter().map(|item| item / self.per_group).collect();
        let targets = Array2::from_shape_fn((rows, LABELS), |(row, label)| {
            u8::from(has[[stimulus[row], label]])
        });
        Data {
            a,
            b,
            targets,
            samples: Samples::new(&subject, &stimulus, &group).unwrap(),
        }
    }
}

/// Box and Muller (1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
