use ndarray::Array2;

use crate::colour::hex;
use crate::escape::shortened;
use crate::svg::{Anchor, Ink, Svg, colour_bar, entry, palette, pixels_url};

/// Cells up to which each is a mark of its own with its value under the mouse.
const SINGLE_CELLS: usize = 6000;
/// Width of names and cells together, where there are few columns or many.
const ROOM: f64 = 400.0;
/// Letters of the names of rows and of columns, and the room of one.
const ROW_LETTERS: usize = 20;
const COLUMN_LETTERS: usize = 16;
const LETTER: f64 = 7.0;

/// What a value looks like.
pub(crate) struct Colours<'a> {
    /// From 0 to 1, where `colour` has its colours.
    pub(crate) share: &'a dyn Fn(f64) -> f64,
    pub(crate) colour: fn(f64) -> [u8; 3],
    /// Below the cells: low end, name, high end.
    pub(crate) words: [&'a str; 3],
}

/// Values of things against things, as coloured cells.
pub(crate) struct Cells<'a> {
    pub(crate) rows: Vec<&'a str>,
    pub(crate) columns: Vec<&'a str>,
    /// rows × columns; what is not finite stays blank.
    pub(crate) values: Array2<f64>,
    pub(crate) colours: Colours<'a>,
    /// What the mouse shows of a row, a column and their value.
    pub(crate) title: &'a dyn Fn(&str, &str, f64) -> String,
    /// What the rows and columns are.
    pub(crate) kinds: [&'a str; 2],
}

impl Cells<'_> {
    pub(crate) fn draw(&self) -> Svg {
        let (left, top, cell) = (self.left(), self.top(), self.cell());
        let width = cell.0 * self.columns.len() as f64;
        let height = cell.1 * self.rows.len() as f64;
        let mut svg = Svg::new((left + width + 44.0).max(300.0), top + height + 46.0);
        self.names(&mut svg);
        if self.values.len() <= SINGLE_CELLS {
            self.single(&mut svg);
        } else {
            let values = self.values.iter();
            let pixels: Vec<u8> = values
                .map(|value| entry((self.colours.share)(*value)))
                .collect();
            let shape = (self.columns.len(), self.rows.len());
            let url = pixels_url(&pixels, shape, &palette(self.colours.colour));
            svg.image(left, top, (width, height), &url, false);
        }
        let place = (left.min(80.0), top + height + 14.0);
        colour_bar(
            &mut svg,
            place,
            210.0,
            self.colours.colour,
            self.colours.words,
        );
        svg
    }

    fn left(&self) -> f64 {
        let letters = self
            .rows
            .iter()
            .map(|name| name.chars().count().min(ROW_LETTERS));
        12.0 + LETTER * letters.max().unwrap_or(0).max(8) as f64
    }

    fn top(&self) -> f64 {
        let letters = self.columns.iter();
        let letters = letters.map(|name| name.chars().count().min(COLUMN_LETTERS));
        match self.columns_fit() {
            true => 26.0 + 0.85 * LETTER * letters.max().unwrap_or(0) as f64,
            false => 40.0,
        }
    }

    fn cell(&self) -> (f64, f64) {
        let width = (ROOM - self.left()) / self.columns.len().max(1) as f64;
        let width = width.clamp(0.5, 30.0);
        // Up to a hundred rows have their names beside them.
        let height = match self.rows.len() {
            0..=100 => width.clamp(13.0, 20.0),
            rows => (600.0 / rows as f64).clamp(0.5, 6.0),
        };
        (width, height)
    }

    fn columns_fit(&self) -> bool {
        self.cell().0 >= 10.0
    }

    fn names(&self, svg: &mut Svg) {
        let (left, top, (width, height)) = (self.left(), self.top(), self.cell());
        let [row_kind, column_kind] = self.kinds;
        match height >= 13.0 {
            true => {
                for (place, name) in self.rows.iter().enumerate() {
                    let y = top + (place as f64 + 0.5) * height + 4.0;
                    let name = shortened(name, ROW_LETTERS);
                    svg.text((left - 7.0, y), Anchor::End, Ink::Text, &name);
                }
            }
            false => {
                let count = format!("{} {row_kind}", self.rows.len());
                svg.text((left - 7.0, top + 12.0), Anchor::End, Ink::Quiet, &count);
            }
        }
        if !self.columns_fit() {
            let count = format!("{} {column_kind}", self.columns.len());
            svg.text((left, top - 8.0), Anchor::Start, Ink::Quiet, &count);
            return;
        }
        for (place, name) in self.columns.iter().enumerate() {
            let x = left + (place as f64 + 0.5) * width + 4.0;
            let name = shortened(name, COLUMN_LETTERS);
            svg.turned_text((x, top - 6.0), Anchor::Start, -60.0, &name);
        }
    }

    fn single(&self, svg: &mut Svg) {
        let (left, top, (width, height)) = (self.left(), self.top(), self.cell());
        let gap = if width > 8.0 { 1.0 } else { 0.0 };
        for ((row, column), &value) in self.values.indexed_iter() {
            if !value.is_finite() {
                continue;
            }
            let colour = hex((self.colours.colour)((self.colours.share)(value)));
            let title = (self.title)(self.rows[row], self.columns[column], value);
            let (x, y) = (left + column as f64 * width, top + row as f64 * height);
            svg.cell(x, y, (width - gap, height - gap), &colour, &title);
        }
    }
}
