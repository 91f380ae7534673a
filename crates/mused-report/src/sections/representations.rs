use mused_stats::pca::Pca;
use mused_stats::tsne::tsne;
use ndarray::Array2;

use super::Input;
use crate::escape::escaped;
use crate::figure::{Block, By, Figure, Section};
use crate::figures::{
    Mark, Panel, Projection, RdmPanel, Row, RowsChart, TokenMap, rdms, token_map,
};
use crate::input::{Explain, Part, RdmRow};
use crate::number::three;
use crate::svg::range_of;
use crate::table::Table;

/// Matrices in one picture.
const PANELS: usize = 24;

/// RDMs of stimuli, tokens and regions, their correlations, and maps of the tokens.
pub(crate) fn representations(input: &Input<'_>) -> Section {
    let mut section = Section::new("representations", "Representations");
    let explain = match &input.files.explain {
        Ok(explain) => explain,
        Err(why) => {
            section.missing(format!(
                "There are no representations: {why}. Run `mused explain {}` and make the report again.",
                input.files.path.display()
            ));
            return section;
        }
    };
    let notes = explain.about.notes.iter();
    let notes: String = notes
        .map(|note| format!("<li>{}</li>", escaped(note)))
        .collect();
    if !notes.is_empty() {
        let said =
            format!(r#"<p class="note">mused explain noted:</p><ul class="note">{notes}</ul>"#);
        section.push(Block::Html(said));
    }
    match &explain.rdms {
        Ok(rows) if !rows.is_empty() => matrices(&mut section, explain, rows),
        Ok(_) => {
            section.missing("explain/rdms.tsv lists no dissimilarity matrix.");
        }
        Err(why) => {
            section.missing(format!("There are no dissimilarity matrices: {why}"));
        }
    }
    section.heading("Token maps");
    if explain.about.levels.is_empty() {
        section.missing("The model has no tokens of subjects.");
    }
    for level in &explain.about.levels {
        match maps(input, explain, level) {
            Ok(figures) => {
                section.figures(figures);
            }
            Err(why) => {
                section.missing(format!(
                    "There is no map of the {level}-level tokens: {why}"
                ));
            }
        }
    }
    section
}

fn name(row: &RdmRow) -> String {
    let level = match row.level.as_str() {
        "" => String::new(),
        level => format!("{level}-level "),
    };
    match row.kind.as_str() {
        "guidance" => format!("{level}guidance"),
        "label" => "labels".to_owned(),
        "token" if row.subject.is_empty() => format!("{level}token, mean"),
        "token" => format!("{}, {}", row.subject, row.level),
        _ if row.subject.is_empty() => row.part.clone(),
        _ => format!("{}, {}", row.part, row.subject),
    }
}

fn note(row: &RdmRow) -> String {
    match (row.guidance_high, row.guidance_low) {
        (Some(high), Some(low)) => format!("ρ {high:.2} high, {low:.2} low"),
        (Some(high), None) => format!("ρ {high:.2} high"),
        (None, Some(low)) => format!("ρ {low:.2} low"),
        (None, None) => String::new(),
    }
}

fn table(rows: &[&RdmRow]) -> Table {
    let mut table = Table::new(&[
        "kind",
        "level",
        "subject",
        "part",
        "rho_guidance_high",
        "rho_guidance_low",
        "ceiling_lower",
        "ceiling_upper",
        "file",
    ]);
    for row in rows {
        let subject = if row.subject.is_empty() && matches!(row.kind.as_str(), "token" | "region") {
            "mean"
        } else {
            &row.subject
        };
        table.push([
            (&row.kind).into(),
            (&row.level).into(),
            subject.into(),
            (&row.part).into(),
            row.guidance_high.into(),
            row.guidance_low.into(),
            row.ceiling.map(|ceiling| ceiling.0).into(),
            row.ceiling.map(|ceiling| ceiling.1).into(),
            format!("explain/rdms/{}.npy", row.file.trim_end_matches(".npy"))
                .as_str()
                .into(),
        ]);
    }
    table
}

fn matrices(section: &mut Section, explain: &Explain, rows: &[RdmRow]) {
    section.heading("Dissimilarity matrices");
    let ends: Vec<&str> = [explain.rdm_stimuli.first(), explain.rdm_stimuli.last()]
        .into_iter()
        .flatten()
        .map(|(_, label)| label.as_str())
        .collect();
    section.paragraph(escaped(&format!(
        "Test stimuli of fold {} that every subject saw, {} of them, in one order everywhere: by label{}, then by name.",
        explain.about.fold,
        explain.rdm_stimuli.len(),
        match ends.as_slice() {
            [first, last] if first != last => format!(" (from {first} to {last})"),
            _ => String::new(),
        }
    )));
    let chosen = |wanted: &dyn Fn(&RdmRow) -> bool| -> Vec<&RdmRow> {
        rows.iter().filter(|row| wanted(row)).collect()
    };
    for (id, title, rows) in [
        (
            "rdm-stimuli",
            "Stimuli, labels and mean tokens",
            chosen(&|row| {
                matches!(row.kind.as_str(), "guidance" | "label")
                    || (row.kind == "token" && row.subject.is_empty())
            }),
        ),
        (
            "rdm-regions",
            "Regions, mean over subjects",
            chosen(&|row| row.kind == "region" && row.subject.is_empty()),
        ),
        (
            "rdm-subjects",
            "Tokens of each subject",
            by_subject(chosen(&|row| {
                row.kind == "token" && !row.subject.is_empty()
            })),
        ),
    ] {
        if rows.is_empty() {
            section.missing(format!("{title}: explain/rdms.tsv lists none."));
            continue;
        }
        let mut panels = Vec::new();
        let mut failures = Vec::new();
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
        let cut = match rows.len() > PANELS {
            true => format!(" The first {PANELS} of {}; the table has all.", rows.len()),
            false => String::new(),
        };
        if !panels.is_empty() {
            section.figures([rdms(id, title, &panels, table(&rows)).caption(format!(
                "ρ: Spearman correlation with the RDMs that guide the high- and the low-level token. The matrices \
                 themselves are in explain/rdms/ of the run.{cut}"
            ))]);
        }
        for why in failures {
            section.missing(why);
        }
    }
    let means = chosen(&|row| {
        row.subject.is_empty() && matches!(row.kind.as_str(), "token" | "region" | "label")
    });
    if let Some(figure) = correlations(&means) {
        section.heading("Correlation with the geometry of the stimuli");
        section.figures([figure]);
    }
}

/// Levels of one subject side by side.
fn by_subject(mut rows: Vec<&RdmRow>) -> Vec<&RdmRow> {
    rows.sort_by(|a, b| (&a.subject, &a.level).cmp(&(&b.subject, &b.level)));
    rows
}

fn correlations(rows: &[&RdmRow]) -> Option<Figure> {
    let mark = |row: &RdmRow, rho: Option<f64>| {
        Some(Mark {
            value: rho?,
            ceiling: row.ceiling,
            strong: true,
            title: format!("{}: ρ = {}", name(row), three(rho?)),
            ..Mark::default()
        })
    };
    let mut drawn: Vec<Row> = rows
        .iter()
        .filter(|row| row.guidance_high.is_some() || row.guidance_low.is_some())
        .map(|row| Row {
            name: name(row),
            pick: None,
            marks: vec![mark(row, row.guidance_high), mark(row, row.guidance_low)],
        })
        .collect();
    drawn.truncate(100);
    let all = rows.iter().flat_map(|row| {
        [
            row.guidance_high,
            row.guidance_low,
            row.ceiling.map(|c| c.1),
        ]
    });
    let domain = range_of(all.flatten().chain([0.0]))?;
    if drawn.is_empty() {
        return None;
    }
    let panel = |title: &str| Panel {
        title: title.to_owned(),
        domain,
        reference: Some(0.0),
    };
    let alt = format!(
        "Spearman correlations of {} RDMs with those of the guiding features",
        drawn.len()
    );
    let chart = RowsChart::new(
        drawn,
        vec![
            panel("ρ with high-level features"),
            panel("ρ with low-level features"),
        ],
    );
    Some(
        Figure::new("rdm-correlations", "Correlations", alt, chart.draw(None), table(rows))
            .caption("Green: noise ceiling, between the lower and upper bound of what any RDM can reach across subjects.")
            .wide(),
    )
}

fn principal(tokens: &Array2<f64>) -> Part<(Array2<f64>, Projection)> {
    let fitted = Pca::fit(tokens.view(), 2).map_err(|error| error.to_string())?;
    if fitted.components.nrows() < 2 {
        return Err("the tokens span fewer than two directions".to_owned());
    }
    let centred = tokens - &fitted.mean;
    let points = centred.dot(&fitted.components.t());
    let whole = centred.mapv(|value| value * value).sum() / (tokens.nrows().max(2) - 1) as f64;
    let shares = [0, 1].map(|direction| fitted.variances[direction] / whole);
    Ok((points, Projection::PrincipalComponents(shares)))
}

fn maps<'a>(input: &'a Input<'_>, explain: &'a Explain, level: &str) -> Part<Vec<Figure>> {
    let tokens: Array2<f64> = explain.tokens(level)?.mapv(f64::from);
    let (points, projection) = match input.tsne {
        true => (
            tsne(tokens.view()).map_err(|error| error.to_string())?,
            Projection::Tsne,
        ),
        false => principal(&tokens)?,
    };
    let place = |subject: &String| input.subjects.iter().position(|name| name == subject);
    let subject_of: Option<Vec<usize>> = explain
        .token_rows
        .iter()
        .map(|row| place(&row.subject))
        .collect();
    let subject_of = subject_of.ok_or("explain/tokens.tsv names a subject that was not tested")?;
    let with_label = match input.files.dataset() {
        None => Vec::new(),
        Some(dataset) => {
            let stimuli: std::collections::HashMap<&str, usize> = dataset
                .stimuli
                .iter()
                .map(|stimulus| stimulus.id.as_str())
                .zip(0..)
                .collect();
            let of: Vec<Option<usize>> = explain
                .token_rows
                .iter()
                .map(|row| stimuli.get(row.stimulus.as_str()).copied())
                .collect();
            let samples = |label: usize| {
                let has = |stimulus: Option<usize>| {
                    stimulus.is_some_and(|s| dataset.labels.matrix[[s, label]] == 1)
                };
                (0..of.len()).filter(|&sample| has(of[sample])).collect()
            };
            (0..input.labels.len().min(dataset.labels.names.len()))
                .map(samples)
                .collect()
        }
    };
    let known = !with_label.is_empty();
    let mut map = TokenMap {
        id: &format!("tokens-{level}-subject"),
        title: format!("{}{}-level tokens", level[..1].to_uppercase(), &level[1..]),
        points,
        projection,
        subject_of,
        subjects: input.subjects,
        stimuli: explain
            .token_rows
            .iter()
            .map(|row| row.stimulus.as_str())
            .collect(),
        with_label,
        picked: input.picked,
    };
    let by_subject = token_map(&map, By::Subject);
    let id = format!("tokens-{level}-label");
    map.id = &id;
    let by_label = known.then(|| token_map(&map, By::Label)).flatten();
    Ok([by_subject, by_label].into_iter().flatten().collect())
}
