//! Means and variances in one pass.

/// Mean and variance of each of several quantities, an observation of all of them at a time.
///
/// Welford's update (Technometrics 4, 1962): a large mean costs the variance no digits.
#[derive(Clone, Debug)]
pub struct Moments {
    count: f64,
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// Of no observation yet.
    pub fn new(quantities: usize) -> Self {
        Self {
            count: 0.0,
            means: vec![0.0; quantities],
            squares: vec![0.0; quantities],
        }
    }

    /// Takes in an observation, one value a quantity.
    pub fn add<T: Copy + Into<f64>>(&mut self, values: &[T]) {
        self.count += 1.0;
        let own = self.means.iter_mut().zip(&mut self.squares);
        for (&value, (mean, squares)) in values.iter().zip(own) {
            let value = value.into();
            let before = value - *mean;
            *mean += before / self.count;
            *squares += before * (value - *mean);
        }
    }

    /// Number of observations.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// Mean of each quantity; 0 before the first observation.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// Sum of squared differences from the mean, of each quantity.
    pub fn squares(&self) -> &[f64] {
        &self.squares
    }

    /// Variance of a population, dividing by the number of observations, as numpy's `var`.
    pub fn population_variances(&self) -> impl Iterator<Item = f64> {
        self.squares.iter().map(|squares| squares / self.count)
    }

    /// Variance estimated from a sample, dividing by one less; NaN of a single observation.
    pub fn sample_variances(&self) -> impl Iterator<Item = f64> {
        let freedom = self.count - 1.0;
        self.squares.iter().map(move |squares| squares / freedom)
    }
}

/// Whether values that were rounded to single precision vary by more than the rounding: whether their standard deviation
/// is above [`f32::EPSILON`] times the magnitude of their mean, the most that one unit in the last place is there.
pub fn varies(mean: f64, sd: f64) -> bool {
    sd > mean.abs() * f64::from(f32::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::{Moments, varies};

    #[test]
    fn a_unit_in_the_last_place_is_no_variation() {
        let spread = |values: &[f32]| {
            let mut moments = Moments::new(1);
            values.iter().for_each(|value| moments.add(&[*value]));
            let sd = moments.sample_variances().next().map_or(0.0, f64::sqrt);
            varies(moments.means()[0], sd)
        };
        for value in [1.0_f32, 14.62, -3e-20, 8.5e30] {
            let next = f32::from_bits(value.to_bits() + 1);
            assert!(!spread(&[value, value, value]), "{value}");
            assert!(!spread(&[value, next, next]), "{value}");
            let far = f32::from_bits(value.to_bits() + 8);
            assert!(spread(&[value, far, far]), "{value}");
        }
        assert!(!spread(&[0.0, 0.0]) && spread(&[0.0, 1e-30]));
    }

    #[test]
    fn one_pass_gives_what_two_passes_give() {
        // The second quantity has a mean a million times its deviation.
        let rows: Vec<[f64; 2]> = (0..100)
            .map(|row| (f64::from(row) * 1.7).sin())
            .map(|value| [3.0 * value, 1e6 + value])
            .collect();
        let mut moments = Moments::new(2);
        rows.iter().for_each(|row| moments.add(row));
        assert_eq!(moments.count(), 100.0);
        let population: Vec<f64> = moments.population_variances().collect();
        let sample: Vec<f64> = moments.sample_variances().collect();
        for quantity in 0..2 {
            let values = rows.iter().map(|row| row[quantity]);
            let mean = values.clone().sum::<f64>() / 100.0;
            let squares = values.map(|value| (value - mean).powi(2)).sum::<f64>();
            let near = |found: f64, expected: f64| {
                assert!(
                    (found / expected - 1.0).abs() < 1e-9,
                    "{found} for {expected}"
                );
            };
            near(moments.means()[quantity], mean);
            near(moments.squares()[quantity], squares);
            near(population[quantity], squares / 100.0);
            near(sample[quantity], squares / 99.0);
        }
    }

    #[test]
    fn one_observation_has_no_sample_variance() {
        let mut moments = Moments::new(1);
        moments.add(&[2.5_f32]);
        assert_eq!(moments.means(), [2.5]);
        assert_eq!(moments.population_variances().next(), Some(0.0));
        assert!(moments.sample_variances().all(f64::is_nan));
    }
}
