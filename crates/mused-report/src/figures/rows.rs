use crate::escape::shortened;
use crate::number::{difference, three, tick};
use crate::svg::{Anchor, Ink, Scale, Svg, range_of};

/// Letters of a name that are shown, and the room of one.
const LETTERS: usize = 24;
const LETTER: f64 = 7.0;
/// Width of a panel where there are several, and of one alone.
const PANEL: f64 = 120.0;
const ONLY_PANEL: f64 = 260.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 34.0;
const GAP: f64 = 32.0;

/// A value of a row, with what belongs to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mark {
    pub(crate) value: f64,
    pub(crate) interval: Option<(f64, f64)>,
    /// What the value is held against, in this row alone.
    pub(crate) reference: Option<f64>,
    /// Lower and upper bound of what can be reached.
    pub(crate) ceiling: Option<(f64, f64)>,
    /// Drawn filled: significant, or nothing is tested.
    pub(crate) strong: bool,
    /// What the mouse shows.
    pub(crate) title: String,
}

impl Mark {
    /// A value that nothing tests.
    pub(crate) fn plain(name: &str, value: f64) -> Self {
        Self {
            value,
            strong: true,
            title: format!("{name}: {}", three(value)),
            ..Self::default()
        }
    }

    /// A difference, strong where its interval leaves out 0 or there is none.
    pub(crate) fn difference(name: &str, value: f64, interval: Option<(f64, f64)>) -> Self {
        let range = interval.map_or(String::new(), |(low, high)| {
            format!(" ({} to {})", difference(low), difference(high))
        });
        Self {
            value,
            interval,
            strong: interval.is_none_or(|(low, high)| low > 0.0 || high < 0.0),
            title: format!("{name}: {}{range}", difference(value)),
            ..Self::default()
        }
    }

    /// The value and the ends of its interval.
    pub(crate) fn ends(&self) -> [f64; 3] {
        let (low, high) = self.interval.unwrap_or((self.value, self.value));
        [self.value, low, high]
    }
}

/// A name and its values, one a panel.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// What clicking it picks: `label` or `subject`, and which.
    pub(crate) pick: Option<(&'static str, usize)>,
    pub(crate) marks: Vec<Option<Mark>>,
}

/// A column of values with its axis.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) domain: (f64, f64),
    /// A line through all rows: the floor, or no difference.
    pub(crate) reference: Option<f64>,
}

impl Panel {
    /// Of a range that holds values and the reference.
    pub(crate) fn around(
        title: &str,
        values: impl Iterator<Item = f64>,
        reference: Option<f64>,
    ) -> Self {
        Self {
            title: title.to_owned(),
            domain: range_of(values.chain(reference)).unwrap_or((0.0, 1.0)),
            reference,
        }
    }
}

impl Row {
    /// One that cannot be picked.
    pub(crate) fn new(name: &str, marks: impl IntoIterator<Item = Option<Mark>>) -> Self {
        Self {
            name: name.to_owned(),
            pick: None,
            marks: marks.into_iter().collect(),
        }
    }

    /// Picks a `label` or `subject` when it is clicked.
    pub(crate) fn picking(self, what: &'static str, index: usize) -> Self {
        Self {
            pick: Some((what, index)),
            ..self
        }
    }
}

/// Values of many things, one a row, in panels side by side.
pub(crate) struct RowsChart {
    rows: Vec<Row>,
    panels: Vec<Panel>,
    step: f64,
    /// Where the first panel starts.
    names: f64,
}

impl RowsChart {
    pub(crate) fn new(rows: Vec<Row>, panels: Vec<Panel>) -> Self {
        let step = if rows.len() > 40 { 16.0 } else { 20.0 };
        let letters = rows.iter().map(|row| row.name.chars().count().min(LETTERS));
        let names = 24.0 + LETTER * letters.max().unwrap_or(0) as f64;
        Self {
            rows,
            panels,
            step,
            names,
        }
    }

    fn scale(&self, panel: usize) -> Scale {
        let width = self.panel();
        let start = self.names + panel as f64 * (width + GAP);
        Scale::new(self.panels[panel].domain, (start, start + width))
    }

    fn panel(&self) -> f64 {
        if self.panels.len() > 1 {
            PANEL
        } else {
            ONLY_PANEL
        }
    }

    fn width(&self) -> f64 {
        self.names + self.panels.len() as f64 * (self.panel() + GAP)
    }

    fn row_at(&self, row: usize) -> f64 {
        TOP + (row as f64 + 0.5) * self.step
    }

    /// Dots of something else at the same rows: `values[row][panel]`.
    pub(crate) fn overlay(&self, values: &[Vec<Option<f64>>]) -> String {
        let mut svg = Svg::new(0.0, 0.0);
        for (row, values) in values.iter().enumerate().take(self.rows.len()) {
            for (panel, value) in values.iter().enumerate().take(self.panels.len()) {
                if let Some(value) = value.filter(|value| value.is_finite()) {
                    let at = (self.scale(panel).at(value), self.row_at(row));
                    svg.dot(
                        at,
                        3.5,
                        Ink::Other,
                        &format!("{}: {value:.3}", self.rows[row].name),
                    );
                }
            }
        }
        svg.body
    }

    /// The picture, with a group of an id for overlays and its first content.
    pub(crate) fn draw(&self, overlay: Option<(&str, &str)>) -> Svg {
        let bottom = TOP + self.rows.len() as f64 * self.step;
        let mut svg = Svg::new(self.width(), bottom + BOTTOM);
        for panel in 0..self.panels.len() {
            self.axis(&mut svg, panel, bottom);
        }
        for (place, row) in self.rows.iter().enumerate() {
            self.row(&mut svg, row, self.row_at(place));
        }
        if let Some((id, content)) = overlay {
            svg.target(id, content);
        }
        svg
    }

    fn axis(&self, svg: &mut Svg, panel: usize, bottom: f64) {
        let (scale, panel) = (self.scale(panel), &self.panels[panel]);
        let at = (scale.range.0, 16.0);
        svg.text(at, Anchor::Start, Ink::Text, &panel.title);
        let (values, step) = scale.ticks(3);
        for value in values {
            let x = scale.at(value);
            svg.line((x, TOP - 6.0), (x, bottom), Ink::Grid, 1.0);
            for y in [TOP - 11.0, bottom + 16.0] {
                svg.text((x, y), Anchor::Middle, Ink::Quiet, &tick(value, step));
            }
        }
        if let Some(reference) = panel.reference {
            let x = scale.at(reference);
            svg.dashed((x, TOP - 6.0), (x, bottom), Ink::Floor);
        }
    }

    fn row(&self, svg: &mut Svg, row: &Row, y: f64) {
        let mut drawn = Svg::new(0.0, 0.0);
        let at = (self.names - 12.0, y + 4.0);
        let name = shortened(&row.name, LETTERS);
        drawn.text(at, Anchor::End, Ink::Text, &name);
        for (panel, mark) in row.marks.iter().enumerate() {
            match mark.as_ref().filter(|mark| mark.value.is_finite()) {
                Some(mark) => self.mark(&mut drawn, panel, y, mark),
                None => {
                    let at = (self.scale(panel).range.0 + 4.0, y + 4.0);
                    drawn.text(at, Anchor::Start, Ink::Quiet, "–");
                }
            }
        }
        match row.pick {
            Some((what, index)) => {
                let (at, size) = ((0.0, y - self.step / 2.0), (self.width(), self.step));
                svg.picking(what, index, at, size, &drawn.body)
            }
            None => svg.push(&drawn.body),
        };
    }

    fn mark(&self, svg: &mut Svg, panel: usize, y: f64, mark: &Mark) {
        let scale = self.scale(panel);
        let x = scale.at(mark.value);
        if let Some(reference) = mark.reference {
            let at = scale.at(reference);
            svg.line((at, y - 5.0), (at, y + 5.0), Ink::Floor, 2.0);
            svg.line((at, y), (x, y), Ink::Grid, 2.0);
        }
        if let Some((low, high)) = mark.ceiling {
            let (from, to) = (scale.at(low), scale.at(high).max(scale.at(low) + 2.0));
            svg.rect(
                from,
                y - 3.0,
                (to - from, 6.0),
                Ink::Ceiling,
                &format!("noise ceiling {low:.3} to {high:.3}"),
            );
        }
        if let Some((low, high)) = mark.interval {
            svg.line((scale.at(low), y), (scale.at(high), y), Ink::Mark, 2.0);
        }
        let ink = if mark.strong { Ink::Mark } else { Ink::Hollow };
        svg.dot((x, y), 4.0, ink, &mark.title);
    }
}
