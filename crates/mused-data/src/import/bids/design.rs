//! How a trial's response is read from a run's time series. Every method is linear: a trial is a row
//! of weights over volumes, so that runs can be read volume by volume.

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::{Drift, Estimate};

/// Points of the fine time grid a repetition time.
const OVERSAMPLING: f64 = 50.0;
/// Seconds before the first volume at which the fine grid starts: later events still act in the run.
pub(super) const GRID_START: f64 = -24.0;
/// Length of the haemodynamic response in seconds.
const RESPONSE_SECONDS: f64 = 32.0;
/// A column is taken for a combination of others when less than this share of its length remains.
const DEPENDENT: f64 = 1e-7;
/// Delay of the haemodynamic response and shortest window where the user gives none, in seconds.
const DELAY: f64 = 4.0;

/// When volumes were taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Timing {
    pub(super) volumes: usize,
    /// Seconds between volumes.
    pub(super) tr: f64,
    /// Seconds from the clock of the events to the time that the first volume stands for.
    pub(super) start: f64,
}

impl Timing {
    fn time(&self, volume: usize) -> f64 {
        self.start + volume as f64 * self.tr
    }

    /// When the last volume is over.
    pub(super) fn end(&self) -> f64 {
        self.time(self.volumes)
    }
}

/// When something was shown, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) onset: f64,
    pub(super) duration: f64,
}

impl Interval {
    /// First second and end of the window whose mean is the response.
    pub(super) fn window(&self, window: Option<[f64; 2]>) -> [f64; 2] {
        let [from, to] = window.unwrap_or([DELAY, DELAY + self.duration.max(DELAY)]);
        [self.onset + from, self.onset + to]
    }
}

/// Weights of the mean over a window, trials × volumes: all volumes at or after its start and before
/// its end. The row of a trial without any is zero.
pub(super) fn window_weights(
    trials: &[Interval],
    window: Option<[f64; 2]>,
    timing: Timing,
) -> Array2<f64> {
    let mut weights = Array2::zeros((trials.len(), timing.volumes));
    // So that a volume at the very second is not lost to rounding.
    let slack = 1e-6 * timing.tr;
    for (mut row, trial) in weights.rows_mut().into_iter().zip(trials) {
        let [from, to] = trial.window(window);
        let inside: Vec<usize> = (0..timing.volumes)
            .filter(|&volume| (from - slack..to - slack).contains(&timing.time(volume)))
            .collect();
        for volume in &inside {
            row[*volume] = 1.0 / inside.len() as f64;
        }
    }
    weights
}

/// Weights of least-squares betas, trials × volumes.
///
/// Drift, constant and `nuisance` columns (volumes × any) are projected out of the trials'
/// regressors first, which leaves the betas of the full model (Frisch & Waugh, Econometrica 1933).
/// With [`Estimate::Lss`] a trial has a model of its own: its regressor and one for all others
/// together (Mumford et al., NeuroImage 2012).
///
/// # Errors
/// The index of a trial that the model cannot tell from the rest.
pub(super) fn beta_weights(
    trials: &[Interval],
    nuisance: &[Array1<f64>],
    estimate: Estimate,
    drift: Drift,
    timing: Timing,
) -> Result<Array2<f64>, usize> {
    let mut basis = Basis::default();
    for column in drift_columns(drift, timing).iter().chain(nuisance) {
        basis.add(column);
    }
    let mut columns = Array2::zeros((trials.len(), timing.volumes));
    for (index, (mut row, trial)) in columns.rows_mut().into_iter().zip(trials).enumerate() {
        let raw = regressor(&[*trial], timing);
        let rest = basis.without(&raw);
        if !is_independent(&rest, &raw) {
            return Err(index);
        }
        row.assign(&rest);
    }
    match estimate {
        Estimate::Lss => separate(&columns),
        Estimate::Lsa | Estimate::Window(_) => together(&columns),
    }
}

/// All trials in one model: rows of (XᵀX)⁻¹Xᵀ through X = QR, trials being the rows of `columns`.
fn together(columns: &Array2<f64>) -> Result<Array2<f64>, usize> {
    let trials = columns.nrows();
    let mut basis = Basis::default();
    let mut upper = Array2::zeros((trials, trials));
    for (index, column) in columns.rows().into_iter().enumerate() {
        let column = column.to_owned();
        let rest = basis.without(&column);
        if !is_independent(&rest, &column) {
            return Err(index);
        }
        basis.add(&column);
        for (row, direction) in basis.directions.iter().enumerate() {
            upper[[row, index]] = direction.dot(&column);
        }
    }
    // Back substitution: R W = Qᵀ.
    let mut weights = Array2::zeros(columns.dim());
    for row in (0..trials).rev() {
        let mut solved = basis.directions[row].clone();
        for later in row + 1..trials {
            solved.scaled_add(-upper[[row, later]], &weights.row(later));
        }
        solved /= upper[[row, row]];
        weights.row_mut(row).assign(&solved);
    }
    Ok(weights)
}

/// A model a trial: its regressor and the sum of all others.
fn separate(columns: &Array2<f64>) -> Result<Array2<f64>, usize> {
    let all = columns.sum_axis(Axis(0));
    let mut weights = Array2::zeros(columns.dim());
    for (index, (mut row, own)) in weights
        .rows_mut()
        .into_iter()
        .zip(columns.rows())
        .enumerate()
    {
        let own = own.to_owned();
        let mut others = Basis::default();
        if columns.nrows() > 1 {
            others.add(&(&all - &own));
        }
        let rest = others.without(&own);
        if !is_independent(&rest, &own) {
            return Err(index);
        }
        row.assign(&(&rest / rest.dot(&rest)));
    }
    Ok(weights)
}

fn length(column: &Array1<f64>) -> f64 {
    column.dot(column).sqrt()
}

fn is_independent(rest: &Array1<f64>, whole: &Array1<f64>) -> bool {
    length(rest) > DEPENDENT * length(whole)
}

/// Orthonormal directions, grown column by column.
#[derive(Default)]
struct Basis {
    directions: Vec<Array1<f64>>,
}

impl Basis {
    /// What is left of a column; projected twice, for once leaves rounding errors.
    fn without(&self, column: &Array1<f64>) -> Array1<f64> {
        let mut rest = column.clone();
        for _ in 0..2 {
            for direction in &self.directions {
                let along = direction.dot(&rest);
                rest.scaled_add(-along, direction);
            }
        }
        rest
    }

    /// Grows by a column, unless it is a combination of those before.
    fn add(&mut self, column: &Array1<f64>) {
        let rest = self.without(column);
        let size = length(&rest);
        if size > 0.0 && is_independent(&rest, column) {
            self.directions.push(rest / size);
        }
    }
}

/// Slow drift, and last the constant.
fn drift_columns(drift: Drift, timing: Timing) -> Vec<Array1<f64>> {
    let volumes = timing.volumes;
    let column =
        |value: &dyn Fn(f64) -> f64| Array1::from_shape_fn(volumes, |volume| value(volume as f64));
    let constant = column(&|_| 1.0);
    let mut columns: Vec<_> = match drift {
        // Discrete cosines (DCT-II) below the cut-off.
        Drift::Cosine { high_pass } => {
            let order = (2.0 * volumes as f64 * high_pass * timing.tr).floor();
            let order = (order.max(0.0) as usize).min(volumes.saturating_sub(1));
            let step = std::f64::consts::PI / volumes as f64;
            let cosine = |k: usize| column(&|v| (step * (v + 0.5) * k as f64).cos());
            (1..=order).map(cosine).collect()
        }
        // Powers of -1 … 1, so that their span is well kept.
        Drift::Polynomial { order } => {
            let half = (volumes as f64 - 1.0).max(1.0) / 2.0;
            let power = |k: u32| column(&|v| (v / half - 1.0).powi(k as i32));
            (1..=order).map(power).collect()
        }
    };
    columns.insert(0, constant);
    columns
}

/// Response expected to events, a value a volume: boxcars on a fine grid, convolved with
/// [`haemodynamic_response`] and read at the volumes' times, linearly between grid points. Grid and
/// rounding are nilearn's.
pub(super) fn regressor(events: &[Interval], timing: Timing) -> Array1<f64> {
    let first = timing.start + GRID_START;
    let points = ((timing.end() - first) / timing.tr * OVERSAMPLING + 1.0).round() as usize;
    let step = (timing.end() - first) / points.saturating_sub(1).max(1) as f64;
    let last = points.saturating_sub(1);
    let at = |seconds: f64| -> usize {
        // First grid point at or after; never left to the rounding of a division alone.
        let guess = ((seconds - first) / step).floor().max(0.0) as usize;
        let mut point = guess.saturating_sub(1).min(last);
        while point < last && point as f64 * step + first < seconds {
            point += 1;
        }
        point
    };
    let kernel = haemodynamic_response(timing.tr);
    let mut fine = vec![0.0; points];
    for event in events {
        let from = at(event.onset);
        let mut to = at(event.onset + event.duration);
        if to == from && to < last {
            to += 1;
        }
        for shown in from..to {
            for (value, weight) in fine.iter_mut().skip(shown).zip(&kernel) {
                *value += weight;
            }
        }
    }
    Array1::from_shape_fn(timing.volumes, |volume| {
        let place = ((timing.time(volume) - first) / step).clamp(0.0, last as f64);
        let below = (place.floor() as usize).min(last.saturating_sub(1));
        let part = place - below as f64;
        let next = fine.get(below + 1).copied().unwrap_or(fine[below]);
        fine[below] * (1.0 - part) + next * part
    })
}

/// SPM's canonical response: a gamma density that peaks near 5 s less a sixth of one that peaks near
/// 15 s (shapes 6 and 16, dispersion 1, ratio .167), sampled 50 times a repetition time, sum 1.
fn haemodynamic_response(tr: f64) -> Vec<f64> {
    let step = tr / OVERSAMPLING;
    let points = (RESPONSE_SECONDS / step).round().max(2.0) as usize;
    let spacing = RESPONSE_SECONDS / (points - 1) as f64;
    // Γ(6) and Γ(16).
    let (gamma_6, gamma_16) = (120.0, 1_307_674_368_000.0);
    let value = |point: usize| {
        let seconds = point as f64 * spacing - step;
        if seconds < 0.0 {
            return 0.0;
        }
        let decay = (-seconds).exp();
        seconds.powi(5) * decay / gamma_6 - 0.167 * seconds.powi(15) * decay / gamma_16
    };
    let values: Vec<f64> = (0..points).map(value).collect();
    let sum: f64 = values.iter().sum();
    values.into_iter().map(|value| value / sum).collect()
}

/// Centred and scaled to unit variance; the model has a constant, so its betas do not change.
pub(super) fn standardised(column: ArrayView1<'_, f64>) -> Array1<f64> {
    let mean = column.mean().unwrap_or(0.0);
    let centred = column.mapv(|value| value - mean);
    let sd = (centred.dot(&centred) / column.len().max(1) as f64).sqrt();
    if sd > 0.0 { centred / sd } else { centred }
}
