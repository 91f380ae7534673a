//! Student's t distribution.

/// Upper-tail quantile: the t that is exceeded with probability `tail` (0 < `tail` <= 0.5), by bisection of
/// [`upper_tail`]. `degrees` > 0.
pub(crate) fn quantile(tail: f64, degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while upper_tail(high, degrees) > tail {
        (low, high) = (high, high * 2.0);
    }
    // Until the bounds are neighbours.
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return middle;
        }
        match upper_tail(middle, degrees) > tail {
            true => low = middle,
            false => high = middle,
        }
    }
}

/// Probability of a value above `t` >= 0: half the regularised incomplete beta function of ν/(ν + t²) at (ν/2, 1/2)
/// (Abramowitz & Stegun 26.7.1).
pub(crate) fn upper_tail(t: f64, degrees: f64) -> f64 {
    let x = degrees / (degrees + t * t);
    0.5 * incomplete_beta(x, degrees / 2.0, 0.5)
}

/// Regularised incomplete beta function I_x(a, b), by its continued fraction (Abramowitz & Stegun 26.5.8) evaluated
/// from the front (Lentz 1976).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast below the mean alone.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    let away_from_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + term * d);
            c = away_from_zero(1.0 + term / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    front.exp() * fraction / a
}

/// ln Γ(x) for x > 0: Stirling's series (Abramowitz & Stegun 6.1.41) after the recurrence has carried x past 10.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
    ];
    let correction = series
        .iter()
        .rev()
        .fold(0.0, |sum, term| sum * inverse + term)
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + correction - f64::ln(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.t.isf(tail, degrees)` and `scipy.stats.t.sf(t, degrees)`.
    #[test]
    fn scipys() {
        for (tail, degrees, expected) in QUANTILES {
            let found = quantile(tail, degrees);
            assert!(
                (found / expected - 1.0).abs() < 1e-11,
                "{tail} {degrees}: {found} {expected}"
            );
        }
        for (t, degrees, expected) in TAILS {
            let found = upper_tail(t, degrees);
            assert!(
                (found / expected - 1.0).abs() < 1e-11,
                "{t} {degrees}: {found} {expected}"
            );
        }
    }
    const QUANTILES: [(f64, f64, f64); 10] = [
        (0.025, 1.0, 12.706204736174705),
        (0.025, 2.5, 3.5746548420036834),
        (0.025, 7.0, 2.3646242515927844),
        (0.025, 18.3, 2.0984560197995634),
        (0.025, 250.0, 1.9694983934211538),
        (0.005, 1.0, 63.65674116287158),
        (0.005, 2.5, 7.163728138948786),
        (0.005, 7.0, 3.4994832973504932),
        (0.005, 18.3, 2.8729675840606856),
        (0.005, 250.0, 2.5956376304661806),
    ];
    const TAILS: [(f64, f64, f64); 12] = [
        (0.0, 1.0, 0.5),
        (0.0, 6.4, 0.5),
        (0.0, 40.0, 0.5),
        (0.3, 1.0, 0.4072264209222577),
        (0.3, 6.4, 0.3868421816095471),
        (0.3, 40.0, 0.38286535838550956),
        (2.0, 1.0, 0.14758361765043326),
        (2.0, 6.4, 0.04472428871737139),
        (2.0, 40.0, 0.026161171607524594),
        (9.0, 1.0, 0.03522328747727728),
        (9.0, 6.4, 3.633806675256746e-05),
        (9.0, 40.0, 1.8400822358530918e-11),
    ];
}
