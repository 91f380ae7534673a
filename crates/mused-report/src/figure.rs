use crate::table::Table;

/// What a pickable part of a figure depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum By {
    /// The picked label; entry 0 is the mean over labels.
    Label,
    /// The picked subject; entry 0 is the mean over subjects.
    Subject,
    /// Both: an entry a label, of an entry a subject, the means first.
    Both,
}

/// A part of a figure that changes with what is picked.
#[derive(Clone, Debug)]
pub(crate) struct Variants {
    /// Id of the element whose content changes.
    pub(crate) target: String,
    pub(crate) by: By,
    /// Markup for the mean and each label or subject, or `[label * subjects + subject]`.
    pub(crate) markup: Vec<String>,
    /// Markup where that has none.
    pub(crate) rest: String,
}

/// A picture with words and numbers behind it.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Unique in a report; also the name of its files.
    pub id: String,
    /// A few words.
    pub title: String,
    /// What to see and how it was made: markup.
    pub caption: String,
    /// The picture in words.
    pub alt: String,
    /// An SVG document that stands on its own.
    pub svg: String,
    /// The numbers.
    pub table: Table,
    pub(crate) variants: Vec<Variants>,
}

impl Figure {
    pub(crate) fn new(
        id: &str,
        title: &str,
        alt: String,
        svg: crate::svg::Svg,
        table: Table,
    ) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            caption: String::new(),
            svg: svg.finish(&alt),
            alt,
            table,
            variants: Vec::new(),
        }
    }

    pub(crate) fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    pub(crate) fn variants(mut self, variants: impl IntoIterator<Item = Variants>) -> Self {
        self.variants.extend(variants);
        self
    }
}

/// A part of a section.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    /// A heading below the section's.
    Heading(String),
    /// Markup.
    Html(String),
    /// Figures side by side where there is room.
    Figures(Vec<Figure>),
    /// A table by itself.
    Table(String, Table),
    /// Tables side by side where there is room.
    Tables(Vec<(String, Table)>),
    /// What is not there, and why.
    Missing(String),
    /// What is shown on request, under a name.
    Fold(String, Vec<Block>),
}

/// A chapter of a report.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) blocks: Vec<Block>,
}

impl Section {
    pub(crate) fn new(id: &'static str, title: &'static str) -> Self {
        Self {
            id,
            title,
            blocks: Vec::new(),
        }
    }

    pub(crate) fn heading(&mut self, text: &str) -> &mut Self {
        self.push(Block::Heading(text.to_owned()))
    }

    /// A paragraph; its markup is the caller's.
    pub(crate) fn paragraph(&mut self, markup: impl AsRef<str>) -> &mut Self {
        self.push(Block::Html(format!("<p>{}</p>", markup.as_ref())))
    }

    pub(crate) fn figures(&mut self, figures: impl IntoIterator<Item = Figure>) -> &mut Self {
        self.push(Block::Figures(figures.into_iter().collect()))
    }

    pub(crate) fn missing(&mut self, why: impl Into<String>) -> &mut Self {
        self.push(Block::Missing(why.into()))
    }

    /// What few look for, behind a name. Nothing where nothing is inside.
    pub(crate) fn fold(&mut self, name: &str, inside: Self) -> &mut Self {
        if inside.blocks.is_empty() {
            return self;
        }
        self.push(Block::Fold(name.to_owned(), inside.blocks))
    }

    /// A section without a name, for what is folded.
    pub(crate) fn inside() -> Self {
        Self::new("", "")
    }

    pub(crate) fn push(&mut self, block: Block) -> &mut Self {
        self.blocks.push(block);
        self
    }

    pub(crate) fn all_figures(&self) -> impl Iterator<Item = &Figure> {
        let mut found = Vec::new();
        collect(&self.blocks, &mut found);
        found.into_iter()
    }
}

fn collect<'b>(blocks: &'b [Block], found: &mut Vec<&'b Figure>) {
    for block in blocks {
        match block {
            Block::Figures(figures) => found.extend(figures),
            Block::Fold(_, inside) => collect(inside, found),
            _ => {}
        }
    }
}
