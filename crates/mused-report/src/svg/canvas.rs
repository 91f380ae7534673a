use std::fmt::Write as _;

use crate::escape::escaped;

/// What a mark means. The page colours it by its class; the attribute is for a file on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Words.
    Text,
    /// Words that matter less.
    Quiet,
    /// Helping lines.
    Grid,
    /// Axes.
    Axis,
    /// What the run reached.
    Mark,
    /// What it is held against, or what was picked.
    Other,
    /// Knowing nothing.
    Floor,
    /// The most there could be.
    Ceiling,
    /// Not filled, bordered.
    Hollow,
}

impl Ink {
    fn class(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Quiet => "quiet",
            Self::Grid => "grid",
            Self::Axis => "axis",
            Self::Mark => "mark",
            Self::Other => "other",
            Self::Floor => "floor",
            Self::Ceiling => "ceiling",
            Self::Hollow => "hollow",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Text => "#1b1f24",
            Self::Quiet | Self::Floor => "#5c6670",
            Self::Grid => "#dfe3e8",
            Self::Axis => "#7d8791",
            Self::Mark => "#0072b2",
            Self::Other => "#c24e00",
            Self::Ceiling => "#00795a",
            Self::Hollow => "#0072b2",
        }
    }

    fn fill(self) -> String {
        match self {
            Self::Hollow => format!(
                r#"class="hollow" fill="none" stroke="{}" stroke-width="1.5""#,
                self.colour()
            ),
            _ => format!(r#"class="{}" fill="{}""#, self.class(), self.colour()),
        }
    }

    fn stroke(self) -> String {
        format!(
            r#"class="{}-line" stroke="{}" fill="none""#,
            self.class(),
            self.colour()
        )
    }
}

/// Which part of a text stands at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// An SVG document as it grows.
#[derive(Clone, Debug)]
pub(crate) struct Svg {
    width: f64,
    height: f64,
    pub(crate) body: String,
}

impl Svg {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    /// Markup made here or by another drawing.
    pub(crate) fn push(&mut self, markup: &str) -> &mut Self {
        self.body.push_str(markup);
        self
    }

    pub(crate) fn line(
        &mut self,
        from: (f64, f64),
        to: (f64, f64),
        ink: Ink,
        width: f64,
    ) -> &mut Self {
        self.styled_line(from, to, ink, width, "")
    }

    pub(crate) fn dashed(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink) -> &mut Self {
        self.styled_line(from, to, ink, 1.5, r#" stroke-dasharray="5 3""#)
    }

    fn styled_line(
        &mut self,
        (x1, y1): (f64, f64),
        (x2, y2): (f64, f64),
        ink: Ink,
        width: f64,
        style: &str,
    ) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(
            self.body,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {} stroke-width="{width}"{style}/>"#,
            ink.stroke()
        );
        self
    }

    pub(crate) fn rect(
        &mut self,
        x: f64,
        y: f64,
        size: (f64, f64),
        ink: Ink,
        title: &str,
    ) -> &mut Self {
        let (width, height) = (size.0.max(0.0), size.1.max(0.0));
        let _ = write!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" {}{}"#,
            ink.fill(),
            titled("rect", title)
        );
        self
    }

    /// A cell of a matrix, in a colour that is a value.
    pub(crate) fn cell(
        &mut self,
        x: f64,
        y: f64,
        size: (f64, f64),
        colour: &str,
        title: &str,
    ) -> &mut Self {
        let (width, height) = size;
        let _ = write!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"{}"#,
            titled("rect", title)
        );
        self
    }

    pub(crate) fn dot(
        &mut self,
        (x, y): (f64, f64),
        radius: f64,
        ink: Ink,
        title: &str,
    ) -> &mut Self {
        let _ = write!(
            self.body,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" {}{}"#,
            ink.fill(),
            titled("circle", title)
        );
        self
    }

    /// A dot in a colour that is a category.
    pub(crate) fn coloured_dot(
        &mut self,
        (x, y): (f64, f64),
        radius: f64,
        colour: &str,
        title: &str,
    ) -> &mut Self {
        let _ = write!(
            self.body,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{colour}" fill-opacity="0.8"{}"#,
            titled("circle", title)
        );
        self
    }

    pub(crate) fn curve(
        &mut self,
        points: &[(f64, f64)],
        ink: Ink,
        width: f64,
        opacity: f64,
    ) -> &mut Self {
        let _ = write!(
            self.body,
            r#"<path d="{}" {} stroke-width="{width}" stroke-opacity="{opacity}" stroke-linejoin="round"/>"#,
            path(points),
            ink.stroke()
        );
        self
    }

    /// A curve in a colour that is a category.
    pub(crate) fn coloured_curve(
        &mut self,
        points: &[(f64, f64)],
        colour: &str,
        width: f64,
        opacity: f64,
    ) -> &mut Self {
        let _ = write!(
            self.body,
            r#"<path d="{}" stroke="{colour}" fill="none" stroke-width="{width}" stroke-opacity="{opacity}" stroke-linejoin="round"/>"#,
            path(points)
        );
        self
    }

    pub(crate) fn text(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        ink: Ink,
        text: &str,
    ) -> &mut Self {
        self.sized_text((x, y), anchor, ink, 12.0, text)
    }

    pub(crate) fn sized_text(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        ink: Ink,
        size: f64,
        text: &str,
    ) -> &mut Self {
        let anchor = match anchor {
            Anchor::Start => String::new(),
            other => format!(r#" text-anchor="{}""#, other.name()),
        };
        let _ = write!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}"{anchor} font-size="{size}" {}>{}</text>"#,
            ink.fill(),
            escaped(text)
        );
        self
    }

    /// Text turned by degrees around its position.
    pub(crate) fn turned_text(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        degrees: f64,
        text: &str,
    ) -> &mut Self {
        let _ = write!(
            self.body,
            r#"<text transform="translate({x:.1} {y:.1}) rotate({degrees})" text-anchor="{}" font-size="12" {}>{}</text>"#,
            anchor.name(),
            Ink::Text.fill(),
            escaped(text)
        );
        self
    }

    /// Pixels at a place; `smooth` where they are a photograph.
    pub(crate) fn image(
        &mut self,
        x: f64,
        y: f64,
        size: (f64, f64),
        url: &str,
        smooth: bool,
    ) -> &mut Self {
        let (width, height) = size;
        let style = if smooth {
            ""
        } else {
            r#" style="image-rendering:pixelated""#
        };
        let _ = write!(
            self.body,
            r#"<image x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" preserveAspectRatio="none"{style} href="{url}"/>"#
        );
        self
    }

    /// A group that the script fills anew when something is picked.
    pub(crate) fn target(&mut self, id: &str, content: &str) -> &mut Self {
        let _ = write!(self.body, r#"<g id="{}">{content}</g>"#, escaped(id));
        self
    }

    /// A group that picks a label or subject when its place is clicked.
    pub(crate) fn picking(
        &mut self,
        what: &str,
        index: usize,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        content: &str,
    ) -> &mut Self {
        let _ = write!(
            self.body,
            r#"<g class="pick" data-{what}="{index}"><rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="none" pointer-events="all"/>{content}</g>"#
        );
        self
    }

    /// The document; `alt` says what it shows to who cannot see it.
    pub(crate) fn finish(self, alt: &str) -> String {
        let Self {
            width,
            height,
            body,
        } = self;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" role="img" aria-label="{}" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif">{body}</svg>"#,
            escaped(alt)
        )
    }
}

/// The rest of an element, with what the mouse shows over it.
fn titled(element: &str, title: &str) -> String {
    if title.is_empty() {
        "/>".to_owned()
    } else {
        format!("><title>{}</title></{element}>", escaped(title))
    }
}

/// A polyline as path data; it breaks where a point is not finite.
pub(crate) fn path(points: &[(f64, f64)]) -> String {
    let mut data = String::new();
    let mut pen_down = false;
    for (x, y) in points {
        if !(x.is_finite() && y.is_finite()) {
            pen_down = false;
            continue;
        }
        let command = if pen_down { 'L' } else { 'M' };
        let _ = write!(data, "{command}{x:.1} {y:.1}");
        pen_down = true;
    }
    data
}
