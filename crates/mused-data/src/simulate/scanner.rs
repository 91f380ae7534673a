//! The experiment: who saw what when, and the noise that came with it.

use ndarray::{Array1, Array2};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::cortex::SubjectRegion;
use super::{SimulateConfig, normal_matrix};
use crate::Trial;

/// Trials of one run.
const RUN: usize = 60;
/// Seconds from trial to trial.
const TRIAL: f64 = 4.0;
/// Seconds before the first trial of a run.
const LEAD_IN: f64 = 12.0;
/// Shares of the noise variance; what remains is independent of everything.
const SMOOTH_NOISE: f64 = 0.3;
const GLOBAL_NOISE: f64 = 0.05;
const DRIFT: f64 = 0.05;
/// Correlation of smooth and global noise from one trial to the next.
const PERSISTENCE: f64 = 0.35;
/// Standard deviation of the logarithm of a session's gain.
const SESSION_GAIN: f64 = 0.1;

/// The order of presentations: every one of the `shown` stimuli `repeats` times, repeats drawn apart over the
/// experiment, in runs of [`RUN`] trials.
pub(super) fn trials(
    config: &SimulateConfig,
    shown: &[usize],
    random: &mut ChaCha8Rng,
) -> Vec<Trial> {
    let mut order: Vec<(f64, usize)> = Vec::new();
    for repeat in 0..config.repeats {
        let mut stimuli = shown.to_vec();
        stimuli.shuffle(random);
        // Rounds overlap by half, as in experiments whose sessions mix new and seen pictures.
        order.extend(
            stimuli
                .into_iter()
                .map(|s| (repeat as f64 + 1.5 * random.random::<f64>(), s)),
        );
    }
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut seen = vec![0; config.pictures()];
    let total = order.len();
    let mut trials: Vec<Trial> = Vec::with_capacity(total);
    let mut first_of_session = 0;
    for (index, (_, stimulus)) in order.into_iter().enumerate() {
        seen[stimulus] += 1;
        let session = (index * config.sessions / total) as u32 + 1;
        if trials.last().is_some_and(|last| last.session != session) {
            first_of_session = index;
        }
        let within = index - first_of_session;
        trials.push(Trial {
            stimulus,
            session,
            run: (within / RUN) as u32 + 1,
            onset: Some(LEAD_IN + TRIAL * (within % RUN) as f64),
            repeat: seen[stimulus],
        });
    }
    trials
}

/// Responses of a region: trials × voxels, in units of the noise of a single trial.
pub(super) fn scan(
    region: &SubjectRegion,
    trials: &[Trial],
    random: &mut ChaCha8Rng,
) -> Array2<f64> {
    let voxels = region.signal.ncols();
    let white = (1.0 - SMOOTH_NOISE - GLOBAL_NOISE - DRIFT).sqrt();
    let mut responses = normal_matrix(trials.len(), voxels, random) * white;
    let patterns = region.smooth.nrows();
    // Divided by the number of patterns: each has unit variance over voxels only together.
    let mut smooth = Array1::<f64>::zeros(patterns);
    let mut global = 0.0;
    let mut state = SessionState::default();
    for (mut row, trial) in responses.rows_mut().into_iter().zip(trials) {
        if state.session != trial.session {
            state = SessionState::draw(trial.session, voxels, random);
        }
        let fresh = (1.0 - PERSISTENCE * PERSISTENCE).sqrt();
        smooth.mapv_inplace(|value| PERSISTENCE * value + fresh * normal(random));
        global = PERSISTENCE * global + fresh * normal(random);
        row.scaled_add(
            (SMOOTH_NOISE / patterns as f64).sqrt(),
            &smooth.dot(&region.smooth),
        );
        row += GLOBAL_NOISE.sqrt() * global;
        row.scaled_add(state.gain, &region.signal.row(trial.stimulus));
        // From one end of the session to the other: a slope in runs, as from scanner heating.
        let progress = f64::from(trial.run) / 10.0;
        row.scaled_add(DRIFT.sqrt(), &(&state.offset + &(&state.slope * progress)));
    }
    responses
}

/// What changes between sessions: the head, the coil, the day.
#[derive(Default)]
struct SessionState {
    session: u32,
    gain: f64,
    offset: Array1<f64>,
    slope: Array1<f64>,
}

impl SessionState {
    fn draw(session: u32, voxels: usize, random: &mut ChaCha8Rng) -> Self {
        let gain = (SESSION_GAIN * normal(random)).exp();
        let mut each = || Array1::from_shape_simple_fn(voxels, || normal(random));
        Self {
            session,
            gain,
            offset: each(),
            slope: each(),
        }
    }
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}
