use super::{Anchor, Ink, Scale, Svg};
use crate::number::tick;

/// Two axes with a frame for marks between them.
pub(crate) struct Plot {
    pub(crate) svg: Svg,
    pub(crate) x: Scale,
    pub(crate) y: Scale,
}

impl Plot {
    /// Axes of a drawing of some size, with their names and round values on helping lines.
    pub(crate) fn new(size: (f64, f64), x: (f64, f64), y: (f64, f64), names: [&str; 2]) -> Self {
        let (values, step) = Scale::new(x, (0.0, 1.0)).ticks(5);
        let ticks = values.into_iter().map(|value| (value, tick(value, step)));
        Self::with_ticks(size, (x, ticks), y, names)
    }

    /// As [`Self::new`], with words of its own at places of the lying axis.
    pub(crate) fn with_ticks(
        size: (f64, f64),
        (x, x_ticks): ((f64, f64), impl IntoIterator<Item = (f64, String)>),
        y: (f64, f64),
        names: [&str; 2],
    ) -> Self {
        let (width, height) = size;
        let (left, right, top, bottom) = (60.0, width - 14.0, 16.0, height - 42.0);
        let x = Scale::new(x, (left, right));
        let y = Scale::new(y, (bottom, top));
        let mut svg = Svg::new(width, height);
        let (values, step) = y.ticks(5);
        for value in values {
            let at = y.at(value);
            svg.line((left, at), (right, at), Ink::Grid, 1.0);
            svg.text(
                (left - 7.0, at + 4.0),
                Anchor::End,
                Ink::Quiet,
                &tick(value, step),
            );
        }
        for (value, words) in x_ticks {
            let at = x.at(value);
            svg.line((at, bottom), (at, bottom + 4.0), Ink::Axis, 1.0);
            svg.text((at, bottom + 17.0), Anchor::Middle, Ink::Quiet, &words);
        }
        svg.line((left, bottom), (right, bottom), Ink::Axis, 1.0);
        svg.text(
            ((left + right) / 2.0, height - 7.0),
            Anchor::Middle,
            Ink::Text,
            names[0],
        );
        svg.turned_text(
            (11.0, (top + bottom) / 2.0),
            Anchor::Middle,
            -90.0,
            names[1],
        );
        Self { svg, x, y }
    }

    /// Position of a pair of values.
    pub(crate) fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.at(x), self.y.at(y))
    }

    /// Positions of pairs of values; pairs that are not finite break a line.
    pub(crate) fn all(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let place = |point: &(f64, f64)| {
            if point.0.is_finite() && point.1.is_finite() {
                self.at(*point)
            } else {
                (f64::NAN, f64::NAN)
            }
        };
        points.iter().map(place).collect()
    }
}
