use mused_results::{IntervalResult, LabelResult, OverSubjects, Results, Stated};

use super::Input;
use crate::figure::{By, Figure, Section, Variants};
use crate::figures::{
    Kind, Mark, Panel, Row, RowsChart, calibration, confusion, curves, label_subject,
};
use crate::number::{three, three_or_dash};
use crate::table::Table;

/// Rows in a picture; the table has all.
const ROWS: usize = 100;

/// Scores of labels and subjects, curves, calibration, confusion.
pub(crate) fn labels(input: &Input<'_>) -> Section {
    let mut section = Section::new("labels", "Labels and subjects");
    let (results, scores) = match (&input.files.results, input.scores) {
        (Ok(results), Some(scores)) => (results, scores),
        _ => {
            section.missing("There are no test predictions: the run is not complete.");
            return section;
        }
    };
    section.heading("Every label");
    section.figures([by_label(input, results)]);
    section.heading("Every subject");
    section.figures([by_subject(input, results)]);
    if input.labels.len() > 1 && input.subjects.len() > 1 {
        section.figures([label_subject(scores, input.labels).caption(
            "Area under the ROC curve; both from the best to the worst, dark: chance or below. Blank: undefined, for \
             the subject's test samples all have the label or none has.",
        )]);
    } else {
        section.missing("A matrix of labels and subjects needs at least two of each.");
    }
    section.heading("Curves of the picked label, and calibration");
    let prevalence: Vec<f64> = results
        .labels
        .iter()
        .map(|label| label.prevalence)
        .collect();
    let curve = |kind| curves(kind, scores, input.labels, &prevalence, input.picked);
    section.figures([
        curve(Kind::PrecisionRecall),
        curve(Kind::Roc),
        calibration(&results.calibration),
    ]);
    section.heading("Confusion");
    match input.files.predictions.as_ref().ok().and_then(confusion) {
        Some(figure) => section.figures([figure]),
        None => section.missing("Confusion needs two labels with test samples."),
    };
    section
}

/// From 0 or the smallest value that is shown to 1.
fn domain(values: impl Iterator<Item = f64>, usual: f64) -> (f64, f64) {
    let low = values
        .filter(|value| value.is_finite())
        .fold(usual, f64::min);
    ((low * 20.0).floor() / 20.0, 1.0)
}

fn panels(auc: impl Iterator<Item = f64>) -> Vec<Panel> {
    vec![
        Panel {
            title: "Average precision".to_owned(),
            domain: (0.0, 1.0),
            reference: None,
        },
        Panel {
            title: "ROC-AUC".to_owned(),
            domain: domain(auc, 0.4),
            reference: Some(0.5),
        },
    ]
}

fn by_label(input: &Input<'_>, results: &Results) -> Figure {
    let scored = |label: &LabelResult| label.average_precision.unwrap_or(-1.0);
    let mut order: Vec<usize> = (0..results.labels.len()).collect();
    order.sort_by_key(|&label| std::cmp::Reverse(results.labels[label].positives));
    order.truncate(ROWS);
    order.sort_by(|&a, &b| scored(&results.labels[b]).total_cmp(&scored(&results.labels[a])));
    let mark = |name: &str,
                value: Option<f64>,
                interval: &Stated<IntervalResult>,
                q: Option<f64>,
                reference: Option<f64>| {
        let value = value?;
        let interval = interval
            .value()
            .map(|interval| (interval.low, interval.high));
        let q_words = q.map_or("not tested".to_owned(), |q| format!("q = {}", three(q)));
        Some(Mark {
            value,
            interval,
            reference,
            ceiling: None,
            strong: q.is_some_and(|q| q < 0.05),
            title: format!("{name}: {} ({q_words})", three(value)),
        })
    };
    let rows: Vec<Row> = order
        .iter()
        .map(|&index| {
            let label = &results.labels[index];
            let q_ap = label.average_precision_test.value().map(|test| test.q);
            let q_auc = label.roc_auc_test.value().map(|test| test.q);
            Row {
                name: label.name.clone(),
                pick: Some(("label", index)),
                marks: vec![
                    mark(
                        &label.name,
                        label.average_precision,
                        &label.average_precision_interval,
                        q_ap,
                        Some(label.prevalence),
                    ),
                    mark(
                        &label.name,
                        label.roc_auc,
                        &label.roc_auc_interval,
                        q_auc,
                        None,
                    ),
                ],
            }
        })
        .collect();
    let lowest = results.labels.iter().flat_map(|label| {
        let interval = label.roc_auc_interval.value().map(|interval| interval.low);
        [label.roc_auc, interval].into_iter().flatten()
    });
    let chart = RowsChart::new(rows, panels(lowest));
    let overlay = |subject: usize| {
        let scores = input.scores;
        let of = |&label: &usize| {
            let value = |matrix: &ndarray::Array2<f64>| Some(matrix[[label, subject]]);
            vec![
                scores.and_then(|scores| value(&scores.average_precision)),
                scores.and_then(|scores| value(&scores.roc_auc)),
            ]
        };
        chart.overlay(&order.iter().map(of).collect::<Vec<_>>())
    };
    // Of one subject the mean is the same.
    let subjects = if input.subjects.len() > 1 {
        input.subjects.len()
    } else {
        0
    };
    let each = (0..subjects).map(overlay);
    let markup: Vec<String> = std::iter::once(String::new()).chain(each).collect();
    let mut table = Table::new(&[
        "label",
        "prevalence",
        "positives",
        "average_precision",
        "ap_low",
        "ap_high",
        "ap_p",
        "ap_q",
        "roc_auc",
        "auc_low",
        "auc_high",
        "auc_p",
        "auc_q",
    ]);
    let ends = |interval: &Stated<IntervalResult>| {
        let interval = interval.value();
        [
            interval.map(|interval| interval.low).into(),
            interval.map(|interval| interval.high).into(),
        ]
    };
    for label in &results.labels {
        let (ap, auc) = (
            label.average_precision_test.value(),
            label.roc_auc_test.value(),
        );
        let [ap_low, ap_high] = ends(&label.average_precision_interval);
        let [auc_low, auc_high] = ends(&label.roc_auc_interval);
        table.push([
            (&label.name).into(),
            label.prevalence.into(),
            label.positives.into(),
            label.average_precision.into(),
            ap_low,
            ap_high,
            ap.map(|test| test.p).into(),
            ap.map(|test| test.q).into(),
            label.roc_auc.into(),
            auc_low,
            auc_high,
            auc.map(|test| test.p).into(),
            auc.map(|test| test.q).into(),
        ]);
    }
    let best = order
        .first()
        .map_or("–", |&label| results.labels[label].name.as_str());
    let alt = format!(
        "Average precision and ROC-AUC of {} labels, sorted; highest: {best}",
        order.len()
    );
    let svg = chart.draw(Some(("labels-subject", "")));
    let cut = match results.labels.len() > ROWS {
        true => format!(
            " Shown are the {ROWS} most frequent of {} labels; the table has all.",
            results.labels.len()
        ),
        false => String::new(),
    };
    Figure::new("by-label", "Scores of every label", alt, svg, table)
        .caption(format!(
            "Means over subjects. Grey tick: prevalence, the floor of AP; dashed: one half. Filled: above chance at a \
             false discovery rate of 0.05. Click a name to pick it; orange: the picked subject.{cut}"
        ))
        .variants((subjects > 0 && fits(&markup)).then_some(Variants {
            target: "labels-subject".to_owned(),
            by: By::Subject,
            markup,
        }))
        .wide()
}

fn by_subject(input: &Input<'_>, results: &Results) -> Figure {
    let mut order: Vec<usize> = (0..input.subjects.len()).collect();
    let scored = |subject: &usize| {
        let result = results.subjects.get(&input.subjects[*subject]);
        result
            .and_then(|result| result.average_precision)
            .unwrap_or(-1.0)
    };
    order.sort_by(|a, b| scored(b).total_cmp(&scored(a)));
    order.truncate(ROWS);
    let mark = |name: &str, value: Option<f64>| {
        Some(Mark {
            value: value?,
            strong: true,
            title: format!("{name}: {}", three(value?)),
            ..Mark::default()
        })
    };
    let rows: Vec<Row> = order
        .iter()
        .filter_map(|&index| {
            let name = &input.subjects[index];
            let subject = results.subjects.get(name)?;
            Some(Row {
                name: name.clone(),
                pick: Some(("subject", index)),
                marks: vec![
                    mark(name, subject.average_precision),
                    mark(name, subject.roc_auc),
                ],
            })
        })
        .collect();
    let mut panels = panels(
        results
            .subjects
            .values()
            .filter_map(|subject| subject.roc_auc),
    );
    panels[0].reference = results.floors.random_average_precision;
    panels[0].title = "Macro average precision".to_owned();
    panels[1].title = "Macro ROC-AUC".to_owned();
    let chart = RowsChart::new(rows, panels);
    let overlay = |label: usize| {
        let of = |&subject: &usize| match input.scores {
            Some(scores) => vec![
                Some(scores.average_precision[[label, subject]]),
                Some(scores.roc_auc[[label, subject]]),
            ],
            None => Vec::new(),
        };
        chart.overlay(&order.iter().map(of).collect::<Vec<_>>())
    };
    // Of one label the mean is the same.
    let labels = if input.labels.len() > 1 {
        input.labels.len()
    } else {
        0
    };
    let markup: Vec<String> = (0..labels).map(overlay).collect();
    let mut table = Table::new(&[
        "subject",
        "samples",
        "average_precision",
        "roc_auc",
        "hamming_loss",
        "subset_accuracy",
        "labels_without_ap",
        "labels_without_auc",
    ]);
    for (name, subject) in &results.subjects {
        table.push([
            name.into(),
            subject.samples.into(),
            subject.average_precision.into(),
            subject.roc_auc.into(),
            subject.hamming_loss.into(),
            subject.subset_accuracy.into(),
            subject.unscorable_average_precision.into(),
            subject.unscorable_roc_auc.into(),
        ]);
    }
    let alt = format!(
        "Macro average precision and ROC-AUC of {} subjects, sorted",
        order.len()
    );
    let first = markup.get(input.picked).filter(|_| fits(&markup)).cloned();
    let svg = chart.draw(Some(("subjects-label", &first.unwrap_or_default())));
    let spread = |name: &str, metric: &OverSubjects| match (metric.mean, metric.sd) {
        (Some(mean), Some(sd)) => format!("{name} {} ± {}", three(mean), three(sd)),
        (Some(mean), None) => format!("{name} {}", three(mean)),
        _ => format!("{name} undefined"),
    };
    let scores = &results.macro_scores;
    Figure::new("by-subject", "Scores of every subject", alt, svg, table)
        .caption(format!(
            "Means over labels; over subjects (mean ± standard deviation) {}, {}, {} (predicting no label: {}), {}, {}. \
             Dashed: floor. Orange: the picked label.",
            spread("AP", &scores.average_precision),
            spread("AUC", &scores.roc_auc),
            spread("Hamming loss", &scores.hamming_loss),
            three_or_dash(results.floors.hamming_loss),
            spread("subset accuracy", &scores.subset_accuracy),
            spread("micro AP", &scores.micro_average_precision),
        ))
        .variants((labels > 0 && fits(&markup)).then_some(Variants {
            target: "subjects-label".to_owned(),
            by: By::Label,
            markup,
        }))
        .wide()
}

/// Whether overlays are light enough for the page.
fn fits(markup: &[String]) -> bool {
    markup.iter().map(String::len).sum::<usize>() < 2_000_000
}
