use mused_run::Calibration;

use crate::figure::Figure;
use crate::number::{count, three, three_or_dash};
use crate::svg::{Ink, Plot};
use crate::table::Table;

/// Whether probabilities come true: share of positives against mean probability, a bin each.
pub(crate) fn calibration(calibration: &Calibration) -> Figure {
    let mut plot = Plot::new(
        (360.0, 320.0),
        (0.0, 1.0),
        (0.0, 1.0),
        ["predicted probability", "share that is true"],
    );
    let (from, to) = (plot.at((0.0, 0.0)), plot.at((1.0, 1.0)));
    plot.svg.dashed(from, to, Ink::Floor);
    let curve: Vec<(f64, f64)> = calibration.curve.iter().map(|(_, x, y)| (*x, *y)).collect();
    let points = plot.all(&curve);
    plot.svg.curve(&points, Ink::Mark, 2.0, 1.0);
    let most = calibration
        .curve
        .iter()
        .map(|(n, _, _)| *n)
        .max()
        .unwrap_or(1) as f64;
    let mut table = Table::new(&["decisions", "mean_probability", "share_true"]);
    for ((n, predicted, observed), at) in calibration.curve.iter().zip(points) {
        let title = format!(
            "{} decisions: predicted {}, true {}",
            count(*n),
            three(*predicted),
            three(*observed)
        );
        // Area by the logarithm of the number, for it spans orders of magnitude.
        let radius = (2.5 + 4.5 * ((*n as f64).ln_1p() / most.ln_1p())).round();
        plot.svg.dot(at, radius, Ink::Mark, &title);
        table.push([(*n).into(), (*predicted).into(), (*observed).into()]);
    }
    let error = calibration.expected_calibration_error;
    let alt = format!(
        "Share of decisions that are true against their predicted probability in {} bins; Brier score {}",
        curve.len(),
        three(calibration.brier)
    );
    Figure::new("calibration", "Calibration", alt, plot.svg, table).caption(format!(
        "On the dashed line probabilities come true. Brier score {} (predicting each label's prevalence: {}), expected \
         calibration error {}. All samples and labels; larger dots hold more decisions.",
        three(calibration.brier),
        three(calibration.brier_floor),
        three_or_dash(error)
    ))
}
