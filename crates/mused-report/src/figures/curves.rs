use crate::escape::escaped;
use crate::figure::{By, Figure, Variants};
use crate::input::Scores;
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

/// The curve of the picked label: mean over subjects, and the picked subject's.
pub(crate) fn curves(
    kind: Kind,
    scores: &Scores,
    labels: &[String],
    prevalence: &[f64],
    picked: usize,
) -> Figure {
    let (id, title, names, area) = match kind {
        Kind::Roc => (
            "roc",
            "ROC curve",
            ["false positive rate", "true positive rate"],
            "AUC",
        ),
        Kind::PrecisionRecall => (
            "precision-recall",
            "Precision and recall",
            ["recall", "precision"],
            "AP",
        ),
    };
    let all = match kind {
        Kind::Roc => &scores.roc,
        Kind::PrecisionRecall => &scores.precision_recall,
    };
    let plot = Plot::new((360.0, 320.0), (0.0, 1.0), (0.0, 1.0), names);
    let floor = |label: usize| match kind {
        Kind::Roc => [(0.0, 0.0), (1.0, 1.0)],
        Kind::PrecisionRecall => [(0.0, prevalence[label]), (1.0, prevalence[label])],
    };
    let drawn = |label: usize| {
        let mut svg = Svg::new(0.0, 0.0);
        let [from, to] = floor(label);
        svg.dashed(plot.at(from), plot.at(to), Ink::Floor);
        if let Some(mean) = &all[label].mean {
            svg.curve(&plot.all(&mean.points), Ink::Mark, 2.5, 1.0);
        }
        svg.body
    };
    let single = |label: usize, subject: usize| {
        let curve = all[label].subjects[subject].as_ref();
        curve.map_or(String::new(), |curve| {
            let mut svg = Svg::new(0.0, 0.0);
            svg.curve(&plot.all(&curve.points), Ink::Other, 1.5, 1.0);
            svg.body
        })
    };
    let words = |label: usize| match &all[label].mean {
        Some(mean) => format!(
            "<strong>{}</strong>: {area} {} (mean over subjects)",
            escaped(&labels[label]),
            three(mean.area)
        ),
        None => format!(
            "<strong>{}</strong>: no curve, for no subject has both test samples with and without it",
            escaped(&labels[label])
        ),
    };
    let mut table = Table::new(&["label", names[0], names[1]]);
    for (label, curves) in all.iter().enumerate() {
        for (x, y) in curves.mean.iter().flat_map(|mean| &mean.points) {
            table.push([
                (&labels[label]).into(),
                rounded(*x).into(),
                rounded(*y).into(),
            ]);
        }
    }
    let mean_id = format!("{id}-mean");
    let words_id = format!("{id}-words");
    let subject_id = format!("{id}-subject");
    let alt = format!(
        "{title} of the picked label, mean over subjects; at first of {}",
        labels.get(picked).map_or("no label", String::as_str)
    );
    let mut svg = plot.svg.clone();
    svg.target(&mean_id, &drawn(picked)).target(&subject_id, "");
    let each = 0..labels.len();
    let count = scores.subjects.len();
    let mut variants = vec![
        Variants {
            target: mean_id,
            by: By::Label,
            markup: each.clone().map(drawn).collect(),
        },
        Variants {
            target: words_id.clone(),
            by: By::Label,
            markup: each.clone().map(words).collect(),
        },
    ];
    let mut hint = if count > 1 {
        " Pick a subject to see theirs in orange."
    } else {
        ""
    };
    if count > 1 && labels.len() * count <= SINGLE_CURVES {
        let every = each.flat_map(|label| {
            std::iter::once(String::new())
                .chain((0..count).map(move |subject| single(label, subject)))
        });
        variants.push(Variants {
            target: subject_id,
            by: By::Both,
            markup: every.collect(),
        });
    } else if count > 1 {
        hint = " Curves of single subjects are too many for this page.";
    }
    Figure::new(id, title, alt, svg, table)
        .caption(format!(
            r#"<span id="{words_id}">{}</span>. The area under the mean curve is the {area} in the tables; dashed: floor.{hint}"#,
            words(picked)
        ))
        .variants(variants)
}
