//! How numbers are written on the page. Tables behind the figures hold every digit.

/// A number with three decimals and a true minus sign.
pub(crate) fn three(value: f64) -> String {
    signed(format!("{value:.3}"))
}

/// A number with three decimals, or a dash where there is none.
pub(crate) fn three_or_dash(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), three)
}

/// A difference with its sign and three decimals.
pub(crate) fn difference(value: f64) -> String {
    signed(format!("{value:+.3}"))
}

/// A number as the ticks of an axis need it.
pub(crate) fn tick(value: f64, step: f64) -> String {
    let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    let value = if value.abs() < step * 1e-6 {
        0.0
    } else {
        value
    };
    if value.abs() >= 1e5 || (step < 1e-5 && value != 0.0) {
        return signed(format!("{value:.0e}"));
    }
    signed(format!("{value:.decimals$}"))
}

/// A number to four significant digits, for tables.
pub(crate) fn compact(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return signed(format!("{value}"));
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..6).contains(&magnitude) {
        return signed(format!("{value:.2e}"));
    }
    let decimals = (3 - magnitude).clamp(0, 6) as usize;
    signed(format!("{value:.decimals$}"))
}

/// To six decimals, for long tables.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// A p as `= 0.012`, or `< 0.001`.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("= {p:.3}")
    }
}

/// A count with thin spaces between thousands.
pub(crate) fn count(value: usize) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && digits.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A number and what it counts: `1 subject`, `23 subjects`.
pub(crate) fn of(value: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

fn signed(text: String) -> String {
    text.replace('-', "\u{2212}").replace("e\u{2212}", "e-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_readers_expect() {
        assert_eq!(three(-0.12345), "\u{2212}0.123");
        assert_eq!(difference(0.0101), "+0.010");
        assert_eq!(tick(0.30000000000000004, 0.1), "0.3");
        assert_eq!(tick(20.0, 10.0), "20");
        assert_eq!(compact(0.000012), "1.20e-5");
        assert_eq!(compact(12.3456), "12.35");
        assert_eq!(p_value(0.0001), "< 0.001");
        assert_eq!(count(61392), "61\u{202f}392");
        assert_eq!(of(1, "fold", "folds"), "1 fold");
    }
}
