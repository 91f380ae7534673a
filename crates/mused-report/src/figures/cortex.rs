use mused_formats::surface::Surface;

use super::views::{Views, colour};
use crate::svg::{Anchor, Ink, Svg, entry, palette, pixels_url, shadows_url};

/// Room of the picture, of a view in it, and above the first.
const WIDTH: f64 = 390.0;
const VIEW: [f64; 2] = [184.0, 140.0];
const TOP: f64 = 46.0;
/// Pixels of a view for each of the picture's.
const FINE: f64 = 2.0;
/// Cortex without a value.
const BARE: [u8; 3] = [205, 208, 212];
/// How black a surface is that turns away.
const DARKEST: f64 = 150.0;

/// A half of the brain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// FreeSurfer's lh.
    Left,
    /// FreeSurfer's rh.
    Right,
}

impl Side {
    /// As files are called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "lh",
            Self::Right => "rh",
        }
    }

    /// Of such a name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Left, Self::Right]
            .into_iter()
            .find(|side| side.name() == name)
    }
}

/// Surfaces of the cortex, each from outside and from the middle, all of one scale.
pub(crate) struct Cortex {
    /// Vertices of each half, the left one first.
    pub(crate) halves: Vec<(Side, Surface)>,
    views: Vec<View>,
}

/// A half from a side.
struct View {
    name: &'static str,
    at: (f64, f64),
    /// At which end the front is.
    front: Anchor,
    columns: usize,
    rows: usize,
    /// The place of the vertex that each pixel shows.
    seen: Vec<Option<usize>>,
    shadows: Vec<u8>,
}

impl Cortex {
    /// `None` without a triangle in space.
    pub(crate) fn new(mut halves: Vec<(Side, Surface)>) -> Option<Self> {
        halves.sort_by_key(|(side, _)| *side);
        let mut boxes = Vec::new();
        for (_, surface) in &halves {
            boxes.push(bounds(surface)?);
        }
        let longest = |axis: usize| {
            let lengths = boxes.iter().map(|[low, high]| high[axis] - low[axis]);
            lengths.fold(0.0, f64::max)
        };
        let scale = (VIEW[0] / longest(1)).min(VIEW[1] / longest(2)) * FINE;
        if !(scale.is_finite() && scale > 0.0) {
            return None;
        }
        let height = longest(2) * scale / FINE + 36.0;
        let (mut views, mut first) = (Vec::new(), 0);
        for (column, ((side, surface), bounds)) in halves.iter().zip(&boxes).enumerate() {
            for outside in [true, false] {
                let x = 8.0 + column as f64 * (VIEW[0] + 6.0);
                let y = TOP + if outside { 0.0 } else { height };
                let mut view = View::new(*side, outside, (x, y), bounds, scale);
                view.see(surface, first, bounds, scale);
                views.push(view);
            }
            first += surface.vertices.nrows();
        }
        Some(Self { halves, views })
    }

    /// The first place of a half and the number of its vertices.
    pub(crate) fn half(&self, side: Side) -> Option<(usize, usize)> {
        let mut first = 0;
        for (own, surface) in &self.halves {
            let count = surface.vertices.nrows();
            if *own == side {
                return Some((first, count));
            }
            first += count;
        }
        None
    }

    /// Millimetres of every vertex, in the order of places.
    pub(crate) fn vertices(&self) -> impl Iterator<Item = [f64; 3]> {
        let each = self.halves.iter();
        each.flat_map(|(_, surface)| points(surface))
    }
}

fn points(surface: &Surface) -> impl Iterator<Item = [f64; 3]> {
    let each = surface.vertices.rows().into_iter();
    each.map(|row| std::array::from_fn(|axis| row.get(axis).map_or(f64::NAN, |mm| f64::from(*mm))))
}

/// Vertices of triangles, of those whose vertices there are.
fn triangles(surface: &Surface) -> impl Iterator<Item = [usize; 3]> {
    let count = surface.vertices.nrows();
    let each = surface.triangles.rows().into_iter();
    let corners = each.filter_map(|row| {
        let at = |corner: usize| row.get(corner).map(|vertex| *vertex as usize);
        Some([at(0)?, at(1)?, at(2)?])
    });
    corners.filter(move |corners| corners.iter().all(|vertex| *vertex < count))
}

/// The lowest and the highest coordinates.
fn bounds(surface: &Surface) -> Option<[[f64; 3]; 2]> {
    let mut found: Option<[[f64; 3]; 2]> = None;
    for point in points(surface).filter(|point| point.iter().all(|mm| mm.is_finite())) {
        let [low, high] = found.get_or_insert([point, point]);
        for axis in 0..3 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    found
}

impl View {
    fn new(
        side: Side,
        outside: bool,
        at: (f64, f64),
        [low, high]: &[[f64; 3]; 2],
        scale: f64,
    ) -> Self {
        let pixels = |axis: usize| ((high[axis] - low[axis]) * scale).ceil() as usize + 2;
        let (columns, rows) = (pixels(1), pixels(2));
        Self {
            name: match (side, outside) {
                (Side::Left, true) => "left, from outside",
                (Side::Left, false) => "left, from the middle",
                (Side::Right, true) => "right, from outside",
                (Side::Right, false) => "right, from the middle",
            },
            at,
            // Who looks from the left sees the front on the left.
            front: match (side == Side::Left) == outside {
                true => Anchor::Start,
                false => Anchor::End,
            },
            columns,
            rows,
            seen: vec![None; columns * rows],
            shadows: vec![0; columns * rows],
        }
    }

    fn size(&self) -> (f64, f64) {
        (self.columns as f64 / FINE, self.rows as f64 / FINE)
    }

    /// Draws triangles, the nearest in front; a pixel shows the vertex that it is nearest to.
    fn see(&mut self, surface: &Surface, first: usize, [low, high]: &[[f64; 3]; 2], scale: f64) {
        let from_left = self.front == Anchor::Start;
        let seen = |[x, y, z]: [f64; 3]| {
            let across = if from_left { high[1] - y } else { y - low[1] };
            let nearness = if from_left { -x } else { x };
            [
                across * scale + 1.0,
                (high[2] - z) * scale + 1.0,
                nearness * scale,
            ]
        };
        let corners: Vec<[f64; 3]> = points(surface).map(seen).collect();
        let normals = normals(surface, &corners);
        let mut nearest = vec![f64::NEG_INFINITY; self.seen.len()];
        for place in triangles(surface) {
            let [a, b, c] = place.map(|vertex| corners[vertex]);
            let area = cross(a, b, c);
            if area.is_nan() || area.abs() < 1e-12 {
                continue;
            }
            let span = |axis: usize, end: usize| {
                let low = a[axis].min(b[axis]).min(c[axis]).floor().max(0.0) as usize;
                let high = a[axis].max(b[axis]).max(c[axis]).ceil().max(0.0) as usize;
                low..(high + 1).min(end)
            };
            for row in span(1, self.rows) {
                for column in span(0, self.columns) {
                    let at = [column as f64 + 0.5, row as f64 + 0.5, 0.0];
                    let weights =
                        [cross(at, b, c), cross(a, at, c), cross(a, b, at)].map(|part| part / area);
                    let pixel = row * self.columns + column;
                    let mix = |of: [f64; 3]| (0..3).map(|n| weights[n] * of[n]).sum::<f64>();
                    let near = mix([a[2], b[2], c[2]]);
                    if weights.iter().any(|weight| *weight < 0.0) || near <= nearest[pixel] {
                        continue;
                    }
                    nearest[pixel] = near;
                    let largest = (0..3).max_by(|x, y| weights[*x].total_cmp(&weights[*y]));
                    self.seen[pixel] = largest.map(|corner| first + place[corner]);
                    let facing = mix(place.map(|vertex| normals[vertex]));
                    self.shadows[pixel] = (DARKEST * (1.0 - facing.clamp(0.0, 1.0))) as u8;
                }
            }
        }
    }
}

/// Twice the area of a triangle on the picture, with a sign.
fn cross(a: [f64; 3], b: [f64; 3], c: [f64; 3]) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// How much the surface faces who looks at each vertex, from 0 to 1, whichever way its triangles turn.
fn normals(surface: &Surface, corners: &[[f64; 3]]) -> Vec<f64> {
    let mut sums = vec![[0.0; 3]; corners.len()];
    for place in triangles(surface) {
        let [a, b, c] = place.map(|vertex| corners[vertex]);
        let side = |to: [f64; 3]| -> [f64; 3] { std::array::from_fn(|axis| to[axis] - a[axis]) };
        let (u, v) = (side(b), side(c));
        let normal = [
            u[1] * v[2] - u[2] * v[1],
            u[2] * v[0] - u[0] * v[2],
            u[0] * v[1] - u[1] * v[0],
        ];
        for vertex in place {
            for axis in 0..3 {
                sums[vertex][axis] += normal[axis];
            }
        }
    }
    let facing = |sum: &[f64; 3]| {
        let length = sum.iter().map(|part| part * part).sum::<f64>().sqrt();
        sum[2].abs() / length.max(1e-12)
    };
    sums.iter().map(facing).collect()
}

impl Views for Cortex {
    fn picture(&self, target: &str, shown: &str) -> Svg {
        let mut svg = Svg::new(WIDTH, self.bottom() + 74.0);
        for view in &self.views {
            let bare: Vec<u8> = view
                .seen
                .iter()
                .map(|seen| u8::from(seen.is_some()))
                .collect();
            let url = pixels_url(&bare, (view.columns, view.rows), &[[0; 3], BARE]);
            svg.image(view.at.0, view.at.1, view.size(), &url, false);
        }
        svg.target(target, shown);
        for view in &self.views {
            let ((x, y), (width, height)) = (view.at, view.size());
            let url = shadows_url(&view.shadows, (view.columns, view.rows));
            svg.image(x, y, (width, height), &url, true);
            svg.text((x, y - 4.0), Anchor::Start, Ink::Quiet, view.name);
            let end = match view.front {
                Anchor::End => x + width,
                _ => x,
            };
            svg.text((end, y + height + 10.0), view.front, Ink::Quiet, "front");
        }
        svg
    }

    fn paint(&self, svg: &mut Svg, shares: &[f64]) {
        for view in &self.views {
            let share = |place: &Option<usize>| {
                let share = place.and_then(|place| shares.get(place));
                entry((share.copied().unwrap_or(f64::NAN) + 1.0) / 2.0)
            };
            let pixels: Vec<u8> = view.seen.iter().map(share).collect();
            let url = pixels_url(&pixels, (view.columns, view.rows), &palette(colour));
            svg.image(view.at.0, view.at.1, view.size(), &url, false);
        }
    }

    fn place(&self, index: usize) -> String {
        let mut vertex = index;
        for (side, surface) in &self.halves {
            let count = surface.vertices.nrows();
            if vertex < count {
                return match side {
                    Side::Left => format!("vertex {vertex} on the left"),
                    Side::Right => format!("vertex {vertex} on the right"),
                };
            }
            vertex -= count;
        }
        String::new()
    }

    fn bottom(&self) -> f64 {
        let ends = self.views.iter().map(|view| view.at.1 + view.size().1);
        ends.fold(TOP, f64::max) + 10.0
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// A ball of rings, longer from back to front, of the right half: x from 0 to 60.
    fn ball() -> Surface {
        let (rings, around) = (24, 48);
        let point = |ring: usize, step: usize| {
            let (up, turn) = (
                std::f64::consts::PI * ring as f64 / (rings - 1) as f64,
                std::f64::consts::TAU * step as f64 / around as f64,
            );
            [
                30.0 + 30.0 * up.sin() * turn.cos(),
                80.0 * up.sin() * turn.sin(),
                40.0 * up.cos(),
            ]
        };
        let vertices = Array2::from_shape_fn((rings * around, 3), |(vertex, axis)| {
            point(vertex / around, vertex % around)[axis] as f32
        });
        let mut triangles = Vec::new();
        for ring in 0..rings - 1 {
            for step in 0..around {
                let at = |ring: usize, step: usize| (ring * around + step % around) as u32;
                triangles.push([at(ring, step), at(ring, step + 1), at(ring + 1, step)]);
                triangles.push([
                    at(ring + 1, step),
                    at(ring, step + 1),
                    at(ring + 1, step + 1),
                ]);
            }
        }
        let triangles =
            Array2::from_shape_fn((triangles.len(), 3), |(row, corner)| triangles[row][corner]);
        Surface {
            vertices,
            triangles,
            structure: String::new(),
        }
    }

    /// Where a view shows a patch: columns and rows, as shares of its size.
    fn shown(view: &View, patch: impl Fn(usize) -> bool) -> Option<(f64, f64)> {
        let (mut sums, mut count) = ((0.0, 0.0), 0.0);
        for (pixel, seen) in view.seen.iter().enumerate() {
            if seen.is_some_and(&patch) {
                sums.0 += (pixel % view.columns) as f64 / view.columns as f64;
                sums.1 += (pixel / view.columns) as f64 / view.rows as f64;
                count += 1.0;
            }
        }
        (count > 0.0).then(|| (sums.0 / count, sums.1 / count))
    }

    /// A patch at the front, above, on the outside of the right half; and the same on the left, mirrored.
    #[test]
    fn a_patch_is_seen_from_its_side_and_at_its_place() {
        let right = ball();
        let mut left = right.clone();
        left.vertices.column_mut(0).mapv_inplace(|x| -x);
        let cortex = Cortex::new(vec![(Side::Right, right), (Side::Left, left)]).unwrap();
        let (first, count) = cortex.half(Side::Right).unwrap();
        assert_eq!((first, count), (24 * 48, 24 * 48));
        let points: Vec<[f64; 3]> = cortex.vertices().collect();
        let patch = |place: usize| {
            let [x, y, z] = points[place];
            place >= first && x > 35.0 && y > 30.0 && z > 5.0
        };
        let [left_out, left_in, right_out, right_in] = [0, 1, 2, 3].map(|n| &cortex.views[n]);
        assert_eq!(right_out.name, "right, from outside");
        // Who looks from the right has the front on the right.
        let (across, down) = shown(right_out, patch).unwrap();
        assert!(across > 0.65 && down < 0.5, "{across} {down}");
        for hidden in [right_in, left_out, left_in] {
            assert_eq!(shown(hidden, patch), None, "{}", hidden.name);
        }
        let mirrored = |place: usize| {
            let [x, y, z] = points[place];
            place < first && x < -35.0 && y > 30.0 && z > 5.0
        };
        let (across, _) = shown(left_out, mirrored).unwrap();
        assert!(across < 0.35, "{across}");
        assert_eq!(shown(left_in, mirrored), None);
        assert!((right_out.size().0 - VIEW[0]).abs() < 2.0 && right_out.size().1 < VIEW[1]);
        // Brightest where it faces who looks, dark at its rim.
        let middle = right_out.rows / 2 * right_out.columns + right_out.columns / 2;
        assert!(right_out.shadows[middle] < 10);
        assert!(right_out.shadows.iter().any(|shadow| *shadow > 100));
        let mut values = vec![f32::NAN; 2 * count];
        values[first + 5] = 0.25;
        let drawn = cortex.drawn("anna", &values, "drop");
        assert!(drawn.contains("anna: most at vertex 5 on the right, +0.250"));
    }
}
