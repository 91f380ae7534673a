use crate::colour::{hex, sequential};
use crate::escape::shortened;
use crate::figure::Figure;
use crate::input::Scores;
use crate::number::{rounded, three};
use crate::svg::{Anchor, Ink, Svg, colour_bar, entry, palette, pixels_url};
use crate::table::Table;

/// Cells up to which each is a mark of its own with its value under the mouse.
const SINGLE_CELLS: usize = 6000;

/// AUC of every label and subject, both from the best to the worst.
pub(crate) fn label_subject(scores: &Scores, labels: &[String]) -> Figure {
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let defined: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        mused_stats::summary::mean(&defined).unwrap_or(-1.0)
    };
    let order = |count: usize, value: &dyn Fn(usize) -> f64| {
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| value(*b).total_cmp(&value(*a)));
        order
    };
    let auc = &scores.roc_auc;
    let rows = order(labels.len(), &|row| mean(&mut auc.row(row).iter().copied()));
    let columns = order(scores.subjects.len(), &|column| {
        mean(&mut auc.column(column).iter().copied())
    });
    let side = |count: usize, room: f64| (room / count.max(1) as f64).clamp(0.5, 34.0);
    // Up to a hundred labels have their names beside them.
    let room = if rows.len() <= 100 { 1400.0 } else { 900.0 };
    let cell_width = side(columns.len(), 560.0);
    let cell_height = side(rows.len(), room).min(18.0);
    let (left, top) = (170.0, 74.0);
    let (width, height) = (
        cell_width * columns.len() as f64,
        cell_height * rows.len() as f64,
    );
    let mut svg = Svg::new((left + width + 20.0).max(420.0), top + height + 46.0);
    if cell_width >= 11.0 {
        for (place, &column) in columns.iter().enumerate() {
            let x = left + (place as f64 + 0.5) * cell_width + 4.0;
            svg.turned_text(
                (x, top - 6.0),
                Anchor::Start,
                -60.0,
                &shortened(&scores.subjects[column], 11),
            );
        }
    } else {
        svg.text(
            (left, top - 8.0),
            Anchor::Start,
            Ink::Quiet,
            &format!("{} subjects", columns.len()),
        );
    }
    if cell_height >= 13.0 {
        for (place, &row) in rows.iter().enumerate() {
            let y = top + (place as f64 + 0.5) * cell_height + 4.0;
            svg.text(
                (left - 8.0, y),
                Anchor::End,
                Ink::Text,
                &shortened(&labels[row], 24),
            );
        }
    } else {
        svg.text(
            (left - 8.0, top + 12.0),
            Anchor::End,
            Ink::Quiet,
            &format!("{} labels", rows.len()),
        );
    }
    // One half to one: what is below chance is as dark as chance.
    let share = |value: f64| (value - 0.5) * 2.0;
    if rows.len() * columns.len() <= SINGLE_CELLS {
        for (y, &row) in rows.iter().enumerate() {
            for (x, &column) in columns.iter().enumerate() {
                let value = auc[[row, column]];
                if value.is_finite() {
                    let place = (left + x as f64 * cell_width, top + y as f64 * cell_height);
                    let title = format!(
                        "{}, {}: {}",
                        labels[row],
                        scores.subjects[column],
                        three(value)
                    );
                    let colour = hex(sequential(share(value)));
                    svg.cell(place.0, place.1, (cell_width, cell_height), &colour, &title);
                }
            }
        }
    } else {
        let pixels: Vec<u8> = rows
            .iter()
            .flat_map(|&row| {
                columns
                    .iter()
                    .map(move |&column| entry(share(auc[[row, column]])))
            })
            .collect();
        let url = pixels_url(&pixels, (columns.len(), rows.len()), &palette(sequential));
        svg.image(left, top, (width, height), &url, false);
    }
    colour_bar(
        &mut svg,
        (left, top + height + 14.0),
        200.0,
        sequential,
        ["≤ 0.5", "AUC", "1"],
    );
    let mut table = Table::new(&["label", "subject", "average_precision", "roc_auc"]);
    for &row in &rows {
        for &column in &columns {
            let at = [row, column];
            table.push([
                (&labels[row]).into(),
                (&scores.subjects[column]).into(),
                rounded(scores.average_precision[at]).into(),
                rounded(auc[at]).into(),
            ]);
        }
    }
    let alt = format!(
        "Area under the ROC curve of {} labels for {} subjects; highest on average: {} and {}",
        rows.len(),
        columns.len(),
        rows.first().map_or("–", |&row| labels[row].as_str()),
        columns
            .first()
            .map_or("–", |&column| scores.subjects[column].as_str()),
    );
    Figure::new(
        "label-subject",
        "Every label of every subject",
        alt,
        svg,
        table,
    )
    .wide()
}
