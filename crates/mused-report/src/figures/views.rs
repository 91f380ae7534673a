use crate::colour::diverging;
use crate::number::difference;
use crate::svg::{Anchor, Ink, Svg, colour_bar};

/// What a value a place is drawn on, seen from several sides.
pub(crate) trait Views {
    /// A picture in which the group of that id shows what [`Self::drawn`] gave, and a click gives it anew.
    fn picture(&self, target: &str, shown: &str) -> Svg;

    /// Paints a value from -1 to 1 for each place; NaN: none.
    fn paint(&self, svg: &mut Svg, shares: &[f64]);

    /// Where a place is, in words.
    fn place(&self, index: usize) -> String;

    /// Below what is painted.
    fn bottom(&self) -> f64;

    /// The views with a value a place, their colours, and where the largest is.
    fn drawn(&self, name: &str, values: &[f32], what: &str) -> String {
        let finite = values.iter().filter(|value| value.is_finite());
        let most = finite.fold(1e-9f64, |most, value| most.max(f64::from(value.abs())));
        let mut svg = Svg::new(0.0, 0.0);
        let known = (0..).zip(values).filter(|(_, value)| value.is_finite());
        let words = match known.max_by(|a, b| a.1.total_cmp(b.1)) {
            Some((place, value)) if *value > 0.0 => {
                let value = difference(f64::from(*value));
                format!("{name}: most at {}, {value}", self.place(place))
            }
            _ => name.to_owned(),
        };
        svg.text((8.0, 14.0), Anchor::Start, Ink::Text, &words);
        let shares: Vec<f64> = (values.iter())
            .map(|value| f64::from(*value) / most)
            .collect();
        self.paint(&mut svg, &shares);
        let (low, high) = (difference(-most), difference(most));
        let at = (8.0, self.bottom() + 34.0);
        colour_bar(&mut svg, at, 200.0, colour, [&low, what, &high]);
        svg.body
    }
}

/// The colour of a share from 0 to 1 of what runs from -1 to 1.
pub(super) fn colour(share: f64) -> [u8; 3] {
    diverging(2.0 * share - 1.0)
}
