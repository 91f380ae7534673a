/// A straight line from values to positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) domain: (f64, f64),
    pub(crate) range: (f64, f64),
}

impl Scale {
    pub(crate) fn new(domain: (f64, f64), range: (f64, f64)) -> Self {
        Self { domain, range }
    }

    /// Position of a value, within the range.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let ((low, high), (start, end)) = (self.domain, self.range);
        let width = if high > low { high - low } else { 1.0 };
        start + ((value - low) / width).clamp(0.0, 1.0) * (end - start)
    }

    /// About `wanted` round values within the domain, and the distance between them.
    pub(crate) fn ticks(&self, wanted: usize) -> (Vec<f64>, f64) {
        let (low, high) = self.domain;
        let span = high - low;
        if !span.is_finite() || span <= 0.0 {
            return (vec![low], 1.0);
        }
        let raw = span / wanted.max(1) as f64;
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step >= raw * 0.999)
            .unwrap_or(10.0 * power);
        let (first, last) = (
            (low / step - 1e-9).ceil() as i64,
            (high / step + 1e-9).floor() as i64,
        );
        ((first..=last).map(|n| n as f64 * step).collect(), step)
    }
}

/// Smallest and largest of finite values, a little wider; `None` where there is none.
pub(crate) fn range_of(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return None;
    }
    let margin = if high > low {
        (high - low) * 0.04
    } else {
        low.abs().max(1.0) * 0.04
    };
    Some((low - margin, high + margin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::new((0.0, 1.0), (0.0, 100.0));
        assert_eq!(
            scale.ticks(5),
            (vec![0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0], 0.2)
        );
        assert_eq!(scale.at(0.25), 25.0);
        assert_eq!(Scale::new((3.0, 97.0), (0.0, 1.0)).ticks(4).0, [50.0]);
        assert_eq!(Scale::new((1.0, 1.0), (0.0, 1.0)).ticks(4).0, [1.0]);
        assert_eq!(range_of([f64::NAN].into_iter()), None);
    }
}
