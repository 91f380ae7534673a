use crate::colour::diverging;
use crate::figure::Figure;
use crate::number::difference;
use crate::svg::{Anchor, Ink, Svg, colour_bar, entry, palette, pixels_url};
use crate::table::Table;

/// Slices in a mosaic.
const SLICES: usize = 12;

/// The axes that a slice across an axis shows: to the right and up.
const PLANES: [[usize; 2]; 3] = [[1, 2], [0, 2], [0, 1]];

/// A value a voxel with a place.
pub(crate) struct Volume {
    pub(crate) places: Vec<[i32; 3]>,
    pub(crate) values: Vec<f32>,
}

/// The values of a box, NaN where there is no voxel.
struct Filled {
    low: [i32; 3],
    shape: [usize; 3],
    values: Vec<f32>,
}

impl Filled {
    fn new(volume: &Volume) -> Option<Self> {
        let first = volume.places.first()?;
        let (mut low, mut high) = (*first, *first);
        for place in &volume.places {
            for axis in 0..3 {
                low[axis] = low[axis].min(place[axis]);
                high[axis] = high[axis].max(place[axis]);
            }
        }
        let length =
            |axis: usize| usize::try_from(i64::from(high[axis]) - i64::from(low[axis]) + 1).ok();
        let shape = [length(0)?, length(1)?, length(2)?];
        // More than any scanner gives: a coordinate is wrong.
        if shape.iter().any(|length| *length > 1024) {
            return None;
        }
        let mut filled = Self {
            low,
            shape,
            values: vec![f32::NAN; shape.iter().product()],
        };
        for (place, value) in volume.places.iter().zip(&volume.values) {
            let index = filled.index(std::array::from_fn(|axis| {
                (place[axis] - low[axis]) as usize
            }));
            filled.values[index] = *value;
        }
        Some(filled)
    }

    fn index(&self, [i, j, k]: [usize; 3]) -> usize {
        i + self.shape[0] * (j + self.shape[1] * k)
    }

    /// Pixels of the slice at a place on an axis, the last remaining axis upwards.
    fn slice(&self, axis: usize, place: usize, most: f64) -> (Vec<u8>, usize, usize) {
        let [across, up] = PLANES[axis];
        let (width, height) = (self.shape[across], self.shape[up]);
        let mut pixels = Vec::with_capacity(width * height);
        for row in (0..height).rev() {
            for column in 0..width {
                let mut at = [0; 3];
                (at[axis], at[across], at[up]) = (place, column, row);
                let value = f64::from(self.values[self.index(at)]);
                pixels.push(entry((value / most + 1.0) / 2.0));
            }
        }
        (pixels, width, height)
    }
}

/// A mosaic of axial slices and three cuts through the largest value. `None` without voxels.
pub(crate) fn slices(id: &str, title: &str, volume: &Volume) -> Option<Figure> {
    let filled = Filled::new(volume)?;
    let finite = || {
        volume
            .values
            .iter()
            .zip(&volume.places)
            .filter(|(value, _)| value.is_finite())
    };
    let most = finite().fold(1e-9f64, |most, (value, _)| most.max(f64::from(value.abs())));
    let (peak, at) = finite().max_by(|a, b| a.0.total_cmp(b.0))?;
    let colours = palette(|share| diverging(2.0 * share - 1.0));
    let used: Vec<usize> = (0..filled.shape[2])
        .filter(|&k| {
            let plane = filled.shape[0] * filled.shape[1];
            filled.values[k * plane..(k + 1) * plane]
                .iter()
                .any(|value| value.is_finite())
        })
        .collect();
    let shown: Vec<usize> = (0..SLICES.min(used.len()))
        .map(|n| used[n * used.len() / SLICES.min(used.len())])
        .collect();
    let (columns, room) = (6, 112.0);
    let rows = shown.len().div_ceil(columns);
    // Slices that lie flat need less height than room.
    let flat = |axis: usize, room: f64| {
        let [across, up] = PLANES[axis].map(|side| filled.shape[side] as f64);
        room * up / across.max(up)
    };
    let step = flat(2, room) + 24.0;
    let cuts = (0..3).map(|axis| flat(axis, 160.0)).fold(110.0, f64::max);
    let top = rows as f64 * step;
    let mut svg = Svg::new(columns as f64 * (room + 8.0) + 16.0, top + cuts + 48.0);
    let mut draw = |(x, y): (f64, f64),
                    room: f64,
                    (pixels, width, height): (Vec<u8>, usize, usize),
                    words: &str| {
        let factor = room / width.max(height) as f64;
        let size = (width as f64 * factor, height as f64 * factor);
        svg.cell(x, y + 16.0, size, "#7d87911f", "");
        svg.image(
            x,
            y + 16.0,
            size,
            &pixels_url(&pixels, (width, height), &colours),
            false,
        );
        svg.text((x, y + 11.0), Anchor::Start, Ink::Quiet, words);
    };
    for (place, &k) in shown.iter().enumerate() {
        let x = 8.0 + (place % columns) as f64 * (room + 8.0);
        let y = (place / columns) as f64 * step;
        draw(
            (x, y),
            room,
            filled.slice(2, k, most),
            &format!("k = {}", filled.low[2] + k as i32),
        );
    }
    for (place, (axis, name)) in [(0, "i"), (1, "j"), (2, "k")].into_iter().enumerate() {
        let cut = (at[axis] - filled.low[axis]) as usize;
        let x = 8.0 + place as f64 * 176.0;
        draw(
            (x, top + 14.0),
            160.0,
            filled.slice(axis, cut, most),
            &format!("{name} = {}", at[axis]),
        );
    }
    let (low, high) = (difference(-most), difference(most));
    let words = [low.as_str(), "drop of AP", high.as_str()];
    colour_bar(
        &mut svg,
        (536.0, top + 60.0),
        180.0,
        |share| diverging(2.0 * share - 1.0),
        words,
    );
    let mut table = Table::new(&["i", "j", "k", "importance"]);
    for (value, place) in volume.values.iter().zip(&volume.places) {
        let text = |axis: usize| place[axis].to_string().as_str().into();
        table.push([text(0), text(1), text(2), f64::from(*value).into()]);
    }
    let alt = format!(
        "{title}: {} axial slices, and three cuts through voxel {} {} {}, where the score drops most, by {}",
        shown.len(),
        at[0],
        at[1],
        at[2],
        difference(f64::from(*peak))
    );
    Some(Figure::new(id, title, alt, svg, table).wide())
}
