use mused_data::Grid;

use super::views::{Views, colour};
use crate::svg::{Anchor, Ink, Svg, entry, palette, pixels_url};

/// Room of the three views together, their height at most, and the room between them.
const WIDTH: f64 = 390.0;
const HEIGHT: f64 = 190.0;
const GAP: f64 = 12.0;
const TOP: f64 = 28.0;
/// More voxels along an axis than any scanner gives: a coordinate is wrong.
const LONGEST: usize = 1024;

/// From where a view looks: the axis it looks along, the one to the right and the one up, of right, front and up.
struct View {
    across: usize,
    up: usize,
    /// Left and right end of the picture.
    ends: [&'static str; 2],
}

const VIEWS: [View; 3] = [
    View {
        across: 1,
        up: 2,
        ends: ["back", "front"],
    },
    View {
        across: 0,
        up: 2,
        ends: ["L", "R"],
    },
    View {
        across: 0,
        up: 1,
        ends: ["L", "R"],
    },
];

/// Voxels of a brain, and which way it lies.
pub(crate) struct Brain {
    places: Vec<[i32; 3]>,
    low: [i32; 3],
    shape: [usize; 3],
    /// Of right, front and up: the axis of voxels, whether it runs the other way, and the millimetres of a voxel.
    axes: [(usize, bool, f64); 3],
    /// Where voxels lie in millimetres; `None` where nobody knows, and with it which side is left.
    grid: Option<Grid>,
}

impl Brain {
    /// `None` without voxels, or of places that no scanner gives.
    pub(crate) fn new(places: Vec<[i32; 3]>, grid: Option<Grid>) -> Option<Self> {
        let first = *places.first()?;
        let (mut low, mut high) = (first, first);
        for place in &places {
            for axis in 0..3 {
                low[axis] = low[axis].min(place[axis]);
                high[axis] = high[axis].max(place[axis]);
            }
        }
        let mut shape = [0; 3];
        for axis in 0..3 {
            let length = i64::from(high[axis]) - i64::from(low[axis]) + 1;
            shape[axis] = usize::try_from(length).ok().filter(|n| *n <= LONGEST)?;
        }
        let known = |grid: &Grid| grid.affine.iter().flatten().all(|value| value.is_finite());
        let grid = grid.filter(known);
        let axes = grid
            .as_ref()
            .map_or([(0, false, 1.0), (1, false, 1.0), (2, false, 1.0)], axes);
        Some(Self {
            places,
            low,
            shape,
            axes,
            grid,
        })
    }

    pub(crate) fn places(&self) -> &[[i32; 3]] {
        &self.places
    }

    /// The place in millimetres.
    fn millimetres(&self, place: [i32; 3]) -> Option<[f64; 3]> {
        let affine = self.grid.as_ref()?.affine;
        Some(std::array::from_fn(|row| {
            let turned = (0..3).map(|axis| affine[row][axis] * f64::from(place[axis]));
            turned.sum::<f64>() + affine[row][3]
        }))
    }

    /// The values with the largest size along each line of sight, row by row from above.
    fn seen(&self, view: &View, values: &[f64]) -> (Vec<f64>, usize, usize) {
        let length = |axis: usize| self.shape[self.axes[axis].0];
        let (width, height) = (length(view.across), length(view.up));
        let at = |place: &[i32; 3], axis: usize| {
            let (own, turned, _) = self.axes[axis];
            let index = (place[own] - self.low[own]) as usize;
            if turned {
                self.shape[own] - 1 - index
            } else {
                index
            }
        };
        let mut seen = vec![f64::NAN; width * height];
        for (place, &value) in self.places.iter().zip(values) {
            let row = height - 1 - at(place, view.up);
            let pixel = &mut seen[row * width + at(place, view.across)];
            if pixel.is_nan() || value.abs() > pixel.abs() {
                *pixel = value;
            }
        }
        (seen, width, height)
    }

    /// Sizes of a view in pixels of the picture.
    fn size(&self, view: &View) -> (f64, f64) {
        let length = |axis: usize| {
            let (own, _, millimetres) = self.axes[axis];
            self.shape[own] as f64 * millimetres
        };
        let width: f64 = VIEWS.iter().map(|view| length(view.across)).sum();
        let most = length(1).max(length(2));
        let factor = ((WIDTH - 16.0 - 2.0 * GAP) / width).min(HEIGHT / most);
        (length(view.across) * factor, length(view.up) * factor)
    }
}

impl Views for Brain {
    fn picture(&self, target: &str, shown: &str) -> Svg {
        let mut svg = Svg::new(WIDTH, self.bottom() + 74.0);
        svg.target(target, shown);
        svg
    }

    fn paint(&self, svg: &mut Svg, shares: &[f64]) {
        let (mut x, bottom) = (8.0, self.bottom());
        for view in &VIEWS {
            let (seen, columns, rows) = self.seen(view, shares);
            let pixels: Vec<u8> = (seen.iter())
                .map(|share| entry((share + 1.0) / 2.0))
                .collect();
            let size = self.size(view);
            let y = bottom - size.1;
            svg.cell(x, y, size, "#7d87912e", "");
            let url = pixels_url(&pixels, (columns, rows), &palette(colour));
            svg.image(x, y, size, &url, false);
            if self.grid.is_some() && size.0 > 60.0 {
                let [left, right] = view.ends;
                svg.text((x, bottom + 14.0), Anchor::Start, Ink::Quiet, left);
                svg.text((x + size.0, bottom + 14.0), Anchor::End, Ink::Quiet, right);
            }
            x += size.0 + GAP;
        }
    }

    fn place(&self, index: usize) -> String {
        let Some(place) = self.places.get(index) else {
            return String::new();
        };
        let words = match self.millimetres(*place) {
            Some(at) => format!("{} mm", at.map(|mm| format!("{mm:.0}")).join(" ")),
            None => place.map(|index| index.to_string()).join(" "),
        };
        words.replace('-', "\u{2212}")
    }

    fn bottom(&self) -> f64 {
        let heights = VIEWS.iter().map(|view| self.size(view).1);
        TOP + heights.fold(0.0, f64::max)
    }
}

/// Which axis of voxels runs most to the right, front and up.
fn axes(grid: &Grid) -> [(usize, bool, f64); 3] {
    let mut free = vec![0, 1, 2];
    std::array::from_fn(|row| {
        let size = |axis: &usize| grid.affine[row][*axis].abs();
        let place = (0..free.len()).max_by(|a, b| size(&free[*a]).total_cmp(&size(&free[*b])));
        let axis = free.remove(place.unwrap_or(0));
        let column = (0..3).map(|row| grid.affine[row][axis].powi(2));
        (
            axis,
            grid.affine[row][axis] < 0.0,
            column.sum::<f64>().sqrt().max(1e-6),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored from right to left, and lying: left must be on the left, and up above.
    #[test]
    fn sides_are_those_of_the_affine() {
        let grid = Grid {
            shape: [2, 2, 2],
            affine: [
                [-2.0, 0.0, 0.0, 10.0],
                [0.0, 0.0, 3.0, 0.0],
                [0.0, 4.0, 0.0, -5.0],
                [0.0, 0.0, 0.0, 1.0],
            ],
        };
        let places = vec![[0, 0, 0], [1, 0, 0], [0, 1, 1]];
        let brain = Brain::new(places, Some(grid)).unwrap();
        assert_eq!(
            brain.axes,
            [(0, true, 2.0), (2, false, 3.0), (1, false, 4.0)]
        );
        let (seen, width, height) = brain.seen(&VIEWS[1], &[0.1, -0.2, 0.3]);
        assert_eq!((width, height), (2, 2));
        assert!(seen[0].is_nan());
        assert_eq!(seen[1..], [0.3, -0.2, 0.1]);
        let drawn = brain.drawn("anna", &[0.1, -0.2, 0.3], "drop");
        assert!(drawn.contains("anna: most at 10 3 \u{2212}1 mm, +0.300"));
        let nowhere = Brain::new(vec![[4, 5, 6]], None).unwrap();
        let drawn = nowhere.drawn("ben", &[0.5], "drop");
        assert!(drawn.contains("ben: most at 4 5 6, +0.500"));
    }
}
