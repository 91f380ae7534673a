//! A value unlike the others.

use crate::student::upper_tail;
use crate::summary::{mean, sample_sd};

/// A value held against all the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Against {
    /// Mean of the others.
    pub others: f64,
    /// Two-sided p that it comes from the normal distribution that they come from, its mean and spread unknown: the
    /// externally studentised residual's (Cook & Weisberg 1982). One value's p: divide the threshold by their number.
    pub p: f64,
}

/// Holds each value against the others; `None` where it or all but two of the others are missing.
pub fn against_others(values: &[Option<f64>]) -> Vec<Option<Against>> {
    let held = |(index, value): (usize, &Option<f64>)| {
        let value = (*value)?;
        let others = values
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let others: Vec<f64> = others.filter_map(|(_, value)| *value).collect();
        let count = others.len() as f64;
        let (mean, sd) = (mean(&others)?, sample_sd(&others).filter(|_| count > 2.0)?);
        let distance = (value - mean).abs() / (1.0 + 1.0 / count).sqrt();
        let p = match distance > 0.0 {
            // Others that are all equal leave no doubt.
            true => 2.0 * upper_tail(distance / sd, count - 1.0),
            false => 1.0,
        };
        Some(Against { others: mean, p })
    };
    values.iter().enumerate().map(held).collect()
}

/// Which values are unlike the others, and how they stand to those that are not: at most a quarter of them, found one after
/// the other, so that two do not hide each other (generalised extreme studentised deviates; Rosner 1983). `risk` is the
/// chance that any is named though all are alike.
pub fn outliers(values: &[Option<f64>], risk: f64) -> Vec<(usize, Against)> {
    let mut left = values.to_vec();
    let known = left.iter().flatten().count();
    let (mut removed, mut sure) = (Vec::new(), 0);
    for step in 0..(known / 4).max(1) {
        let held = against_others(&left);
        let held = held.into_iter().enumerate();
        let held = held.filter_map(|(index, held)| Some((index, held?)));
        let Some((index, most)) = held.min_by(|a, b| a.1.p.total_cmp(&b.1.p)) else {
            break;
        };
        left[index] = None;
        removed.push((index, most.p));
        if most.p < risk / (known - step) as f64 {
            sure = removed.len();
        }
    }
    for (index, _) in removed.split_off(sure) {
        left[index] = values[index];
    }
    let rest: Vec<f64> = left.into_iter().flatten().collect();
    let others = mean(&rest).unwrap_or(f64::NAN);
    let against = removed.into_iter();
    against
        .map(|(index, p)| (index, Against { others, p }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_eight_do_not_hide_each_other() {
        let values = [1.0, 1.1, 5.0, 0.9, 1.05, 0.95, 5.2, 1.0].map(Some);
        let mut found: Vec<usize> = outliers(&values, 0.01)
            .iter()
            .map(|(index, _)| *index)
            .collect();
        found.sort_unstable();
        assert_eq!(found, [2, 6]);
        assert!((outliers(&values, 0.01)[0].1.others - 1.0).abs() < 1e-12);
        let alike = [1.0, 1.1, 1.2, 0.9, 1.05, 0.95, 0.8, 1.0].map(Some);
        assert_eq!(outliers(&alike, 0.01), []);
        assert_eq!(outliers(&[Some(1.0), None], 0.01), []);
    }

    /// scipy.stats.t.sf of the residual by numpy.
    #[test]
    fn p_is_that_of_the_studentised_residual() {
        let values = [1.0, 1.2, 0.9, 1.1, 3.0].map(Some);
        let found = against_others(&values);
        assert!((found[4].unwrap().p - P4).abs() < 1e-12, "{found:?}");
        assert!((found[0].unwrap().p - P0).abs() < 1e-12, "{found:?}");
        assert_eq!(found[4].unwrap().others, 1.05);
    }

    const P4: f64 = 0.0008770104459356335;
    const P0: f64 = 0.6484992013758457;

    #[test]
    fn few_or_equal_values() {
        assert_eq!(
            against_others(&[Some(1.0), None, Some(2.0), Some(3.0)]),
            [None; 4]
        );
        let equal = against_others(&[1.0, 1.0, 1.0, 2.0].map(Some));
        assert_eq!(equal[3].unwrap().p, 0.0);
        assert_eq!(against_others(&[1.0; 4].map(Some))[0].unwrap().p, 1.0);
    }
}
