use super::rdm_rows::{name, table};
use crate::figure::Figure;
use crate::figures::{Mark, Panel, Row, RowsChart};
use crate::input::RdmRow;
use crate::number::three;

/// Rows in the picture; the table has all.
const ROWS: usize = 100;

/// `None` where no matrix is correlated with a guiding one.
pub(super) fn figure(rows: &[&RdmRow]) -> Option<Figure> {
    let correlated = |row: &&RdmRow| row.guidance_high.is_some() || row.guidance_low.is_some();
    let shown: Vec<&RdmRow> = rows.iter().copied().filter(correlated).take(ROWS).collect();
    if shown.is_empty() {
        return None;
    }
    let alt = format!(
        "Spearman correlations of {} RDMs with those of the guiding features",
        shown.len()
    );
    let svg = chart(rows, &shown).draw(None);
    Some(
        Figure::new("rdm-correlations", "Correlations", alt, svg, table(rows))
            .caption("Spearman correlation with the geometry that guides each level. Green: noise ceiling, between the lower and upper bound of what any RDM can reach across subjects."),
    )
}

fn chart(rows: &[&RdmRow], shown: &[&RdmRow]) -> RowsChart {
    let drawn = shown.iter().map(|row| {
        let rhos = [row.guidance_high, row.guidance_low];
        Row::new(&name(row), rhos.map(|rho| mark(row, rho)))
    });
    let ends = rows.iter().flat_map(|row| {
        let (_, upper) = row.ceiling.unzip();
        [row.guidance_high, row.guidance_low, upper]
    });
    let panels = ["high", "low"].map(|level| {
        let title = format!("ρ, {level}-level features");
        Panel::around(&title, ends.clone().flatten(), Some(0.0))
    });
    RowsChart::new(drawn.collect(), panels.into())
}

fn mark(row: &RdmRow, rho: Option<f64>) -> Option<Mark> {
    let rho = rho?;
    Some(Mark {
        value: rho,
        ceiling: row.ceiling,
        strong: true,
        title: format!("{}: ρ = {}", name(row), three(rho)),
        ..Mark::default()
    })
}
