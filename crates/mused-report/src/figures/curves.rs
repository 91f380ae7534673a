use std::borrow::Cow;

use mused_stats::summary;

use crate::escape::escaped;
use crate::figure::{By, Figure, Variants};
use crate::input::{LabelCurves, Scores};
use crate::number::{rounded, three};
use crate::svg::{Ink, Plot, Svg};
use crate::table::Table;

/// Curves of labels and subjects up to which a page carries each; of more it has the means alone.
const SINGLE_CURVES: usize = 3000;

/// Which curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Roc,
    PrecisionRecall,
}

impl Kind {
    fn id(self) -> &'static str {
        match self {
            Self::Roc => "roc",
            Self::PrecisionRecall => "precision-recall",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Roc => "ROC curve",
            Self::PrecisionRecall => "Precision and recall",
        }
    }

    fn axes(self) -> [&'static str; 2] {
        match self {
            Self::Roc => ["false positive rate", "true positive rate"],
            Self::PrecisionRecall => ["recall", "precision"],
        }
    }

    fn area(self) -> &'static str {
        match self {
            Self::Roc => "AUC",
            Self::PrecisionRecall => "AP",
        }
    }
}

/// Curves of a label, or of the mean over labels, and their floor.
struct LabelRow<'a> {
    name: &'a str,
    curves: Cow<'a, LabelCurves>,
    floor: [(f64, f64); 2],
}

/// The curve of the picked label: mean over subjects, and the picked subject's.
pub(crate) fn curves(kind: Kind, scores: &Scores, labels: &[String]) -> Figure {
    let rows = rows(kind, scores, labels);
    let plot = Plot::new((360.0, 320.0), (0.0, 1.0), (0.0, 1.0), kind.axes());
    let (id, area, subjects) = (kind.id(), kind.area(), scores.subjects.len());
    let first = rows.first();
    let mut svg = plot.svg.clone();
    svg.target(
        &format!("{id}-mean"),
        &first.map_or(String::new(), |row| mean(&plot, row)),
    )
    .target(&format!("{id}-subject"), "");
    let alt = format!(
        "{} of the mean over labels and subjects, or of the picked label",
        kind.title()
    );
    let each_fits = rows.len() * subjects <= SINGLE_CURVES;
    let hint = match (subjects, each_fits) {
        (0 | 1, _) => "",
        (_, true) => " Pick a subject to see theirs in orange.",
        (_, false) => " Curves of single subjects are too many for this page.",
    };
    let singles = (subjects > 1 && each_fits).then(|| Variants {
        target: format!("{id}-subject"),
        by: By::Both,
        markup: rows.iter().flat_map(|row| singles(&plot, row)).collect(),
        rest: String::new(),
    });
    Figure::new(id, kind.title(), alt, svg, table(kind, &rows))
        .caption(format!(
            r#"<span id="{id}-words">{}</span>. The area under the curve is the {area} in the tables; dashed: chance.{hint}"#,
            first.map_or(String::new(), |row| words(kind, row))
        ))
        .variants([
            by_label(format!("{id}-mean"), &rows, |row| mean(&plot, row)),
            by_label(format!("{id}-words"), &rows, |row| words(kind, row)),
        ])
        .variants(singles)
}

/// The mean over labels, then each.
fn rows<'a>(kind: Kind, scores: &'a Scores, labels: &'a [String]) -> Vec<LabelRow<'a>> {
    let curves = match kind {
        Kind::Roc => &scores.roc,
        Kind::PrecisionRecall => &scores.precision_recall,
    };
    let floor = |random: f64| match kind {
        Kind::Roc => [(0.0, 0.0), (1.0, 1.0)],
        Kind::PrecisionRecall => [(0.0, random), (1.0, random)],
    };
    let random = &scores.random_average_precision;
    let all: Vec<f64> = random.iter().copied().flatten().collect();
    let mean = LabelRow {
        name: "All labels",
        curves: Cow::Owned(LabelCurves::mean_of(curves)),
        floor: floor(summary::mean(&all).unwrap_or_default()),
    };
    let each = labels.iter().zip(curves).zip(random);
    let each = each.map(|((name, curves), random)| LabelRow {
        name,
        curves: Cow::Borrowed(curves),
        floor: floor(random.unwrap_or_default()),
    });
    std::iter::once(mean).chain(each).collect()
}

fn by_label(
    target: String,
    rows: &[LabelRow<'_>],
    markup: impl Fn(&LabelRow<'_>) -> String,
) -> Variants {
    Variants {
        target,
        by: By::Label,
        markup: rows.iter().map(markup).collect(),
        rest: String::new(),
    }
}

fn mean(plot: &Plot, row: &LabelRow<'_>) -> String {
    let mut svg = Svg::new(0.0, 0.0);
    let [from, to] = row.floor;
    svg.dashed(plot.at(from), plot.at(to), Ink::Floor);
    if let Some(mean) = &row.curves.mean {
        svg.curve(&plot.all(&mean.points), Ink::Mark, 2.5, 1.0);
    }
    svg.body
}

/// Nothing over the mean, then each subject's curve.
fn singles(plot: &Plot, row: &LabelRow<'_>) -> Vec<String> {
    let single = row.curves.subjects.iter().map(|curve| {
        let mut svg = Svg::new(0.0, 0.0);
        if let Some(curve) = curve {
            svg.curve(&plot.all(&curve.points), Ink::Other, 1.5, 1.0);
        }
        svg.body
    });
    std::iter::once(String::new()).chain(single).collect()
}

fn words(kind: Kind, row: &LabelRow<'_>) -> String {
    let name = escaped(row.name);
    match &row.curves.mean {
        Some(mean) => format!(
            "<strong>{name}</strong>: {} {} (mean over subjects)",
            kind.area(),
            three(mean.area)
        ),
        None => format!(
            "<strong>{name}</strong>: no curve, for no subject has both test samples with and without it"
        ),
    }
}

fn table(kind: Kind, rows: &[LabelRow<'_>]) -> Table {
    let [x, y] = kind.axes();
    let mut table = Table::new(&["label", x, y]);
    for row in rows {
        for (x, y) in row.curves.mean.iter().flat_map(|mean| &mean.points) {
            table.push([row.name.into(), rounded(*x).into(), rounded(*y).into()]);
        }
    }
    table
}
