use ndarray::Array2;

use crate::colour::sequential;
use crate::escape::shortened;
use crate::figure::Figure;
use crate::svg::{Anchor, Ink, Svg, colour_bar, entry, palette, pixels_url};
use crate::table::Table;

/// Matrices a row, and the side of one.
const COLUMNS: usize = 4;
const SIDE: f64 = 92.0;

/// One matrix of several.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// Below the matrix.
    pub(crate) note: String,
    pub(crate) matrix: Array2<f32>,
}

/// Matrices side by side, each in ranks of its own: what matters is the order of its dissimilarities.
pub(crate) fn rdms(id: &str, title: &str, panels: &[Panel], table: Table) -> Figure {
    let columns = COLUMNS.min(panels.len()).max(1);
    let rows = panels.len().div_ceil(columns);
    let (across, down) = (SIDE + 8.0, SIDE + 46.0);
    let mut svg = Svg::new(
        (across * columns as f64 + 16.0).max(300.0),
        down * rows as f64 + 44.0,
    );
    for (place, panel) in panels.iter().enumerate() {
        let x = 8.0 + (place % columns) as f64 * across;
        let y = 24.0 + (place / columns) as f64 * down;
        add(&mut svg, panel, (x, y), SIDE);
    }
    let y = down * rows as f64 + 8.0;
    colour_bar(
        &mut svg,
        (8.0, y),
        240.0,
        sequential,
        ["similar", "rank of dissimilarity", "unlike"],
    );
    let names: Vec<&str> = panels.iter().map(|panel| panel.title.as_str()).collect();
    let alt = format!(
        "Dissimilarity matrices over {} stimuli: {}",
        panels.first().map_or(0, |panel| panel.matrix.nrows()),
        names.join(", ")
    );
    Figure::new(id, title, alt, svg, table)
}

fn add(svg: &mut Svg, panel: &Panel, (x, y): (f64, f64), side: f64) {
    let title = shortened(&panel.title, (side / 6.4) as usize);
    svg.text((x, y - 6.0), Anchor::Start, Ink::Text, &title);
    let n = panel.matrix.nrows();
    let pixels: Vec<u8> = ranks(&panel.matrix).into_iter().map(entry).collect();
    let url = pixels_url(&pixels, (n, n), &palette(sequential));
    svg.image(x, y, (side, side), &url, false);
    let note = shortened(&panel.note, (side / 5.4) as usize);
    svg.text((x, y + side + 16.0), Anchor::Start, Ink::Quiet, &note);
}

/// Share of the entries off the diagonal that are smaller; the diagonal is 0.
fn ranks(matrix: &Array2<f32>) -> Vec<f64> {
    let above = matrix
        .indexed_iter()
        .filter(|((row, column), value)| row < column && value.is_finite());
    let mut sorted: Vec<f32> = above.map(|(_, value)| *value).collect();
    sorted.sort_by(f32::total_cmp);
    let most = (sorted.len().max(2) - 1) as f64;
    let rank = |((row, column), value): ((usize, usize), &f32)| {
        if row == column {
            0.0
        } else if value.is_finite() {
            let below = sorted.partition_point(|other| other < value);
            let up_to = sorted.partition_point(|other| other <= value);
            (below + up_to).saturating_sub(1) as f64 / 2.0 / most
        } else {
            f64::NAN
        }
    };
    matrix.indexed_iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn ranks_are_shares_of_the_other_entries() {
        let matrix = array![[0.0, 1.0, 9.0], [1.0, 0.0, 4.0], [9.0, 4.0, 0.0f32]];
        let expected = [0.0, 0.0, 1.0, 0.0, 0.0, 0.5, 1.0, 0.5, 0.0];
        assert_eq!(ranks(&matrix), expected);
    }
}
