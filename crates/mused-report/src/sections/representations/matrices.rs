use super::correlations;
use super::rdm_rows::{name, table};
use crate::escape::escaped;
use crate::figure::{Figure, Section};
use crate::figures::{RdmPanel, rdms};
use crate::input::{Explain, RdmRow};

/// Matrices in one picture.
const PANELS: usize = 24;

/// Fewest stimuli whose matrices say something to the eye.
const LEAST: usize = 20;

/// The matrices beside their correlations with the guiding ones.
pub(super) fn add(section: &mut Section, explain: &Explain, rows: &[RdmRow]) {
    let count = explain.rdm_stimuli.len();
    let of_mean = |row: &&RdmRow| {
        row.subject.is_empty() && matches!(row.kind.as_str(), "token" | "region" | "label")
    };
    let means: Vec<&RdmRow> = rows.iter().filter(of_mean).collect();
    let correlated = match count.max(explain.about.all_stimuli) {
        LEAST.. => correlations::figure(&means),
        _ => None,
    };
    let mut shown: Vec<Figure> = correlated.into_iter().collect();
    if count < LEAST {
        section.missing(format!(
            "Dissimilarity matrices are not shown: {count} test stimuli that every subject saw are too few to be read \
             (at least {LEAST}). They are in explain/rdms/ of the run."
        ));
        if !shown.is_empty() {
            section.figures(shown);
        }
        return;
    }
    section.paragraph(escaped(&stimuli(explain)));
    let [stimuli, regions, subjects] = groups(rows);
    for group in [stimuli, regions] {
        shown.splice(0..0, pictured(section, explain, group));
    }
    section.figures(shown);
    let mut single = Section::inside();
    let figure = pictured(&mut single, explain, subjects);
    if let Some(figure) = figure {
        single.figures([figure]);
        section.fold("Tokens of each subject", single);
    }
}

/// The matrices of a group; why some of them cannot be read is said.
fn pictured(
    section: &mut Section,
    explain: &Explain,
    (id, title, rows): (&str, &str, Vec<&RdmRow>),
) -> Option<Figure> {
    let (panels, failures) = panels(explain, &rows);
    for why in failures {
        section.missing(why);
    }
    (!panels.is_empty()).then(|| figure(id, title, &panels, &rows))
}

fn stimuli(explain: &Explain) -> String {
    let labels = match explain.rdm_stimuli.as_slice() {
        [(_, first), .., (_, last)] if first != last => format!(" (from {first} to {last})"),
        _ => String::new(),
    };
    let folds = match explain.about.folds {
        0 | 1 => String::new(),
        folds => format!(
            " Correlations (ρ) are means over {folds} folds, whose tokens have no space in common."
        ),
    };
    format!(
        "Test stimuli of fold {} that every subject saw, {} of them, in one order everywhere: by label{labels}, then by \
         name.{folds}",
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
        (Some(high), Some(low)) => format!("ρ {high:.2}, {low:.2}"),
        (Some(high), None) => format!("ρ {high:.2}"),
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
        "ρ: Spearman correlation with the RDMs that guide the high- and the low-level token.{cut}"
    ))
}
