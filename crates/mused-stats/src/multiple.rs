//! Many tests at once.

use crate::{Error, Result};

/// Benjamini & Hochberg's (1995) adjusted p: the smallest false discovery rate at which each test is significant
/// (`scipy.stats.false_discovery_control`).
///
/// Tests without a p stay without one and do not count as tests.
///
/// # Errors
/// A p that is not from 0 to 1.
pub fn benjamini_hochberg(p: &[Option<f64>]) -> Result<Vec<Option<f64>>> {
    let mut tests: Vec<(f64, usize)> = Vec::with_capacity(p.len());
    for (at, p) in p.iter().enumerate() {
        match p {
            Some(p) if !(0.0..=1.0).contains(p) => {
                return Err(Error::NotProbability {
                    what: "p",
                    index: vec![at],
                    found: *p,
                });
            }
            Some(p) => tests.push((*p, at)),
            None => {}
        }
    }
    tests.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut adjusted = vec![None; p.len()];
    let mut least: f64 = 1.0;
    for (rank, (p, at)) in tests.iter().enumerate().rev() {
        least = least.min(p * (tests.len() as f64 / (rank + 1) as f64));
        adjusted[*at] = Some(least);
    }
    Ok(adjusted)
}
