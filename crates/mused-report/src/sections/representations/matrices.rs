use super::correlations;
use super::rdm_rows::{name, table};
use crate::escape::escaped;
use crate::figure::{Figure, Section};
use crate::figures::{RdmPanel, rdms};
use crate::input::{Explain, RdmRow};

/// Matrices in one picture.
const PANELS: usize = 24;

/// The matrices, then their correlations with the guiding ones.
pub(super) fn add(section: &mut Section, explain: &Explain, rows: &[RdmRow]) {
    section.heading("Dissimilarity matrices");
    section.paragraph(escaped(&stimuli(explain)));
    for (id, title, rows) in groups(rows) {
        if rows.is_empty() {
            section.missing(format!("{title}: explain/rdms.tsv lists none."));
            continue;
        }
        let (panels, failures) = panels(explain, &rows);
        if !panels.is_empty() {
            section.figures([figure(id, title, &panels, &rows)]);
        }
        for why in failures {
            section.missing(why);
        }
    }
    let of_mean = |row: &&RdmRow| {
        row.subject.is_empty() && matches!(row.kind.as_str(), "token" | "region" | "label")
    };
    let means: Vec<&RdmRow> = rows.iter().filter(of_mean).collect();
    if let Some(figure) = correlations::figure(&means) {
        section.heading("Correlation with the geometry of the stimuli");
        section.figures([figure]);
    }
}

fn stimuli(explain: &Explain) -> String {
    let labels = match explain.rdm_stimuli.as_slice() {
        [(_, first), .., (_, last)] if first != last => format!(" (from {first} to {last})"),
        _ => String::new(),
    };
    format!(
        "Test stimuli of fold {} that every subject saw, {} of them, in one order everywhere: by label{labels}, then by name.",
        explain.about.fold,
        explain.rdm_stimuli.len(),
    )
}

/// Id, title and matrices of each picture.
fn groups(rows: &[RdmRow]) -> [(&'static str, &'static str, Vec<&RdmRow>); 3] {
    let chosen = |wanted: fn(&RdmRow) -> bool| -> Vec<&RdmRow> {
        rows.iter().filter(|row| wanted(row)).collect()
    };
    let stimuli = chosen(|row| match row.kind.as_str() {
        "guidance" | "label" => true,
        kind => kind == "token" && row.subject.is_empty(),
    });
    let regions = chosen(|row| row.kind == "region" && row.subject.is_empty());
    let mut subjects = chosen(|row| row.kind == "token" && !row.subject.is_empty());
    // Levels of one subject side by side.
    subjects.sort_by(|a, b| (&a.subject, &a.level).cmp(&(&b.subject, &b.level)));
    [
        ("rdm-stimuli", "Stimuli, labels and mean tokens", stimuli),
        ("rdm-regions", "Regions, mean over subjects", regions),
        ("rdm-subjects", "Tokens of each subject", subjects),
    ]
}

/// The first matrices, and why some of them cannot be read.
fn panels(explain: &Explain, rows: &[&RdmRow]) -> (Vec<RdmPanel>, Vec<String>) {
    let (mut panels, mut failures) = (Vec::new(), Vec::new());
    for row in rows.iter().take(PANELS) {
        match explain.rdm(row) {
            Ok(matrix) => panels.push(RdmPanel {
                title: name(row),
                note: note(row),
                matrix,
            }),
            Err(why) => failures.push(why),
        }
    }
    (panels, failures)
}

fn note(row: &RdmRow) -> String {
    match (row.guidance_high, row.guidance_low) {
        (Some(high), Some(low)) => format!("ρ {high:.2} high, {low:.2} low"),
        (Some(high), None) => format!("ρ {high:.2} high"),
        (None, Some(low)) => format!("ρ {low:.2} low"),
        (None, None) => String::new(),
    }
}

fn figure(id: &str, title: &str, panels: &[RdmPanel], rows: &[&RdmRow]) -> Figure {
    let cut = match rows.len() > PANELS {
        true => format!(" The first {PANELS} of {}; the table has all.", rows.len()),
        false => String::new(),
    };
    rdms(id, title, panels, table(rows)).caption(format!(
        "ρ: Spearman correlation with the RDMs that guide the high- and the low-level token. The matrices \
         themselves are in explain/rdms/ of the run.{cut}"
    ))
}
