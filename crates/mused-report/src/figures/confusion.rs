use mused_results::Predictions;
use ndarray::Array2;

use crate::colour::{diverging, hex};
use crate::escape::shortened;
use crate::figure::Figure;
use crate::number::difference;
use crate::svg::{Anchor, Ink, Svg, colour_bar};
use crate::table::Table;

/// Labels in the picture: the most frequent.
const LABELS: usize = 20;

/// For frequent labels: how much likelier label j is predicted, wrongly, where label i is there. `None` with fewer
/// than two labels.
pub(crate) fn confusion(predictions: &Predictions) -> Option<Figure> {
    let positives: Vec<usize> = predictions
        .targets
        .columns()
        .into_iter()
        .map(|column| column.iter().filter(|value| **value == 1).count())
        .collect();
    let mut order: Vec<usize> = (0..positives.len())
        .filter(|&label| positives[label] > 0)
        .collect();
    order.sort_by_key(|&label| std::cmp::Reverse(positives[label]));
    order.truncate(LABELS);
    if order.len() < 2 {
        return None;
    }
    let excess = excess(predictions, &order);
    let finite = excess.iter().filter(|value| value.is_finite());
    let most = finite
        .fold(0.0f64, |most, value| most.max(value.abs()))
        .max(1e-9);
    let names: Vec<&String> = order
        .iter()
        .map(|&label| &predictions.labels[label])
        .collect();
    let (left, top, side) = (170.0, 118.0, 25.0);
    let size = side * order.len() as f64;
    let mut svg = Svg::new((left + size + 60.0).max(420.0), top + size + 50.0);
    svg.text(
        (left - 8.0, top - 8.0),
        Anchor::End,
        Ink::Quiet,
        "is there ↓   predicted →",
    );
    let mut table = Table::new(&["label_there", "label_predicted", "excess_probability"]);
    for (row, name) in names.iter().enumerate() {
        let y = top + row as f64 * side;
        svg.text(
            (left - 8.0, y + side / 2.0 + 4.0),
            Anchor::End,
            Ink::Text,
            &shortened(name, 24),
        );
        svg.turned_text(
            (left + (row as f64 + 0.5) * side + 4.0, top - 6.0),
            Anchor::Start,
            -55.0,
            &shortened(name, 17),
        );
        for (column, other) in names.iter().enumerate() {
            let value = excess[[row, column]];
            if value.is_finite() {
                let colour = hex(diverging(value / most));
                let title = format!(
                    "{name} there, {other} not: {other} {} likelier predicted",
                    difference(value)
                );
                svg.cell(
                    left + column as f64 * side,
                    y,
                    (side - 1.0, side - 1.0),
                    &colour,
                    &title,
                );
            }
            if row != column {
                table.push([(*name).into(), (*other).into(), value.into()]);
            }
        }
    }
    let (low, high) = (difference(-most), difference(most));
    colour_bar(
        &mut svg,
        (left, top + size + 16.0),
        220.0,
        |share| diverging(2.0 * share - 1.0),
        [&low, "probability", &high],
    );
    let largest = excess
        .indexed_iter()
        .filter(|(_, value)| value.is_finite())
        .max_by(|a, b| a.1.total_cmp(b.1));
    let worst = largest.map_or(String::new(), |((row, column), value)| {
        format!(
            "; most: where {} is there, {} is {} likelier predicted",
            names[row],
            names[column],
            difference(*value)
        )
    });
    let alt = format!(
        "Which of {} frequent labels is taken for which{worst}",
        order.len()
    );
    Some(
        Figure::new("confusion", "What is taken for what", alt, svg, table)
            .caption(format!(
                "Of the {} most frequent labels: mean predicted probability of the column's label over test samples that \
                 do not have it but have the row's, minus that over all samples that do not have it. Blue: wrongly \
                 expected together; orange: ruled out by each other.",
                order.len()
            ))
            .wide(),
    )
}

/// labels × labels; NaN on the diagonal and where no sample tells.
fn excess(predictions: &Predictions, order: &[usize]) -> Array2<f64> {
    let count = order.len();
    let mut sums = Array2::<f64>::zeros((count, count));
    let mut numbers = Array2::<f64>::zeros((count, count));
    let (mut base, mut base_numbers) = (vec![0.0; count], vec![0.0; count]);
    let rows = predictions
        .targets
        .rows()
        .into_iter()
        .zip(predictions.probabilities.rows());
    for (targets, probabilities) in rows {
        for (j, &predicted) in order.iter().enumerate() {
            if targets[predicted] == 1 {
                continue;
            }
            let probability = probabilities[predicted];
            base[j] += probability;
            base_numbers[j] += 1.0;
            for (i, &there) in order.iter().enumerate() {
                if targets[there] == 1 {
                    sums[[i, j]] += probability;
                    numbers[[i, j]] += 1.0;
                }
            }
        }
    }
    Array2::from_shape_fn((count, count), |(i, j)| {
        if i == j {
            f64::NAN
        } else {
            sums[[i, j]] / numbers[[i, j]] - base[j] / base_numbers[j]
        }
    })
}
