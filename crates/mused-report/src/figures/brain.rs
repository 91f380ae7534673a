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
    let voxels = volume.values.iter().copied().zip(&volume.places);
    let finite = voxels.filter(|(value, _)| value.is_finite());
    let (peak, at) = finite.clone().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let most = finite.fold(1e-9f64, |most, (value, _)| most.max(f64::from(value.abs())));
    let shown = filled.shown();
    let alt = format!(
        "{title}: {} axial slices, and three cuts through voxel {} {} {}, where the score drops most, by {}",
        shown.len(),
        at[0],
        at[1],
        at[2],
        difference(f64::from(peak))
    );
    let svg = Mosaic {
        filled: &filled,
        most,
    }
    .draw(&shown, at);
    Some(Figure::new(id, title, alt, svg, table(volume)).wide())
}

impl Filled {
    /// Axial slices with voxels, evenly chosen.
    fn shown(&self) -> Vec<usize> {
        let plane = self.shape[0] * self.shape[1];
        let planes = self.values.chunks(plane.max(1)).enumerate();
        let used: Vec<usize> = planes
            .filter(|(_, values)| values.iter().any(|value| value.is_finite()))
            .map(|(k, _)| k)
            .collect();
        let count = SLICES.min(used.len());
        (0..count).map(|n| used[n * used.len() / count]).collect()
    }
}

/// Axial slices a row, and the room of each.
const COLUMNS: usize = 6;
const ROOM: f64 = 112.0;
/// Room of a cut.
const CUT: f64 = 160.0;

/// Slices of a volume in colours up to a value.
struct Mosaic<'a> {
    filled: &'a Filled,
    most: f64,
}

impl Mosaic<'_> {
    fn draw(&self, shown: &[usize], at: &[i32; 3]) -> Svg {
        let step = self.flat(2, ROOM) + 24.0;
        let top = shown.len().div_ceil(COLUMNS) as f64 * step;
        let cuts = (0..3)
            .map(|axis| self.flat(axis, CUT))
            .fold(110.0, f64::max);
        let width = COLUMNS as f64 * (ROOM + 8.0) + 16.0;
        let mut svg = Svg::new(width, top + cuts + 48.0);
        for (place, &k) in shown.iter().enumerate() {
            let x = 8.0 + (place % COLUMNS) as f64 * (ROOM + 8.0);
            let y = (place / COLUMNS) as f64 * step;
            let words = format!("k = {}", self.filled.low[2] + k as i32);
            self.add(&mut svg, (x, y), ROOM, (2, k), &words);
        }
        for (axis, name) in ["i", "j", "k"].into_iter().enumerate() {
            let cut = (at[axis] - self.filled.low[axis]) as usize;
            let place = (8.0 + axis as f64 * (CUT + 16.0), top + 14.0);
            let words = format!("{name} = {}", at[axis]);
            self.add(&mut svg, place, CUT, (axis, cut), &words);
        }
        let (low, high) = (difference(-self.most), difference(self.most));
        let words = [low.as_str(), "drop of AP", high.as_str()];
        colour_bar(&mut svg, (536.0, top + 60.0), 180.0, colour, words);
        svg
    }

    /// Slices that lie flat need less height than room.
    fn flat(&self, axis: usize, room: f64) -> f64 {
        let [across, up] = PLANES[axis].map(|side| self.filled.shape[side] as f64);
        room * up / across.max(up)
    }

    fn add(
        &self,
        svg: &mut Svg,
        (x, y): (f64, f64),
        room: f64,
        (axis, place): (usize, usize),
        words: &str,
    ) {
        let (pixels, width, height) = self.filled.slice(axis, place, self.most);
        let factor = room / width.max(height) as f64;
        let size = (width as f64 * factor, height as f64 * factor);
        svg.cell(x, y + 16.0, size, "#7d87911f", "");
        let url = pixels_url(&pixels, (width, height), &palette(colour));
        svg.image(x, y + 16.0, size, &url, false);
        svg.text((x, y + 11.0), Anchor::Start, Ink::Quiet, words);
    }
}

fn colour(share: f64) -> [u8; 3] {
    diverging(2.0 * share - 1.0)
}

fn table(volume: &Volume) -> Table {
    let mut table = Table::new(&["i", "j", "k", "importance"]);
    for (value, place) in volume.values.iter().zip(&volume.places) {
        let [i, j, k] = place.map(|index| (&index.to_string()).into());
        table.push([i, j, k, f64::from(*value).into()]);
    }
    table
}
