use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mused_data::map;

use super::Input;
use crate::figure::{By, Figure, Section, Variants};
use crate::figures::{Mark, Panel, Row, RowsChart, Volume, slices};
use crate::input::{Attention, Explain, Occlusion, RunFiles};
use crate::number::{difference, three};
use crate::svg::range_of;
use crate::table::Table;

/// Rows in a picture; the table has all.
const ROWS: usize = 60;
/// Subjects whose slices are shown.
const SLICED: usize = 4;

/// Attention to regions, the score's drop without them, and where they are.
pub(crate) fn brain(input: &Input<'_>, maps: &[(String, Result<PathBuf, String>)]) -> Section {
    let mut section = Section::new("brain", "Where in the brain");
    let explain = match &input.files.explain {
        Ok(explain) => explain,
        Err(why) => {
            section.missing(format!(
                "Nothing is known about places: {why}. Run `mused explain {}` and make the report again.",
                input.files.path.display()
            ));
            return section;
        }
    };
    section.heading("Attention");
    match &explain.attention {
        Ok(rows) => match attention(input, explain, rows) {
            Some(figure) => section.figures([figure]),
            None => section.missing("explain/attention.tsv has no rows."),
        },
        Err(_) => section.missing("The network has no attention over regions or cubes, or explain/attention.tsv is missing."),
    };
    section.heading("Occlusion");
    match &explain.occlusion {
        Ok(rows) => match occlusion(input, rows) {
            Some(figure) => section.figures([figure]),
            None => section.missing("explain/occlusion.tsv has no rows."),
        },
        Err(why) => section.missing(format!("There is no occlusion importance: {why}")),
    };
    section.heading("On the brain");
    places(input, explain, &mut section);
    for (subject, map) in maps {
        match map {
            Ok(path) => section.paragraph(format!(
                "Importance of {} as an image, beside this page: <code>{}</code>",
                crate::escape::escaped(subject),
                crate::escape::escaped(&path.file_name().unwrap_or_default().to_string_lossy())
            )),
            Err(why) => section.missing(format!("No image of {subject}: {why}")),
        };
    }
    section
}

fn attention(input: &Input<'_>, explain: &Explain, rows: &[Attention]) -> Option<Figure> {
    let levels: Vec<&String> = explain
        .about
        .levels
        .iter()
        .filter(|level| rows.iter().any(|row| row.level == **level))
        .collect();
    let mut of: BTreeMap<(&str, &str), Vec<(&str, f64)>> = BTreeMap::new();
    for row in rows {
        of.entry((&row.part, &row.level))
            .or_default()
            .push((&row.subject, row.weight));
    }
    let mean = |part: &str, level: &str| {
        let values: Vec<f64> = of
            .get(&(part, level))?
            .iter()
            .map(|(_, weight)| *weight)
            .collect();
        Some((
            mused_stats::summary::mean(&values)?,
            mused_stats::summary::sample_sd(&values),
        ))
    };
    let first = levels.first()?;
    let mut parts: Vec<&String> = explain
        .about
        .parts
        .iter()
        .filter(|part| mean(part, first).is_some())
        .collect();
    let weight = |part: &str| mean(part, first).map_or(0.0, |(mean, _)| mean);
    parts.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    let shown = parts.len().min(ROWS);
    let drawn: Vec<Row> = parts[..shown]
        .iter()
        .map(|part| {
            let mark = |level: &&String| {
                let (mean, sd) = mean(part, level)?;
                Some(Mark {
                    value: mean,
                    interval: sd.map(|sd| ((mean - sd).max(0.0), mean + sd)),
                    strong: true,
                    title: format!("{part}: {}", three(mean)),
                    ..Mark::default()
                })
            };
            Row {
                name: (*part).clone(),
                pick: None,
                marks: levels.iter().map(mark).collect(),
            }
        })
        .collect();
    let uniform = 1.0 / explain.about.parts.len().max(1) as f64;
    let (_, high) = range_of(rows.iter().map(|row| row.weight).chain([uniform]))?;
    let panels = levels
        .iter()
        .map(|level| Panel {
            title: format!("Attention of the {level}-level token"),
            domain: (0.0, high),
            reference: Some(uniform),
        })
        .collect();
    let chart = RowsChart::new(drawn, panels);
    let overlay = |subject: &String| {
        let value = |part: &str, level: &str| {
            let found = of
                .get(&(part, level))?
                .iter()
                .find(|(name, _)| name == subject);
            found.map(|(_, weight)| *weight)
        };
        let each = parts[..shown]
            .iter()
            .map(|part| levels.iter().map(|level| value(part, level)).collect());
        chart.overlay(&each.collect::<Vec<Vec<Option<f64>>>>())
    };
    let mut table = Table::new(&["subject", "level", "part", "weight", "sd"]);
    for row in rows {
        table.push([
            (&row.subject).into(),
            (&row.level).into(),
            (&row.part).into(),
            row.weight.into(),
            row.sd.into(),
        ]);
    }
    let markup = std::iter::once(String::new())
        .chain(input.subjects.iter().map(overlay))
        .collect();
    let alt = format!(
        "Attention weights of {} {}s; most: {}",
        parts.len(),
        explain.about.part_kind,
        parts.first()?
    );
    Some(
        Figure::new("attention", "Attention of tokens", alt, chart.draw(Some(("attention-subject", ""))), table)
            .caption(format!(
                "Weights of the last block, mean over heads, test samples and subjects; line: ± standard deviation over \
                 subjects. Dashed: even attention. Orange: the picked subject. Attention tells where a network reads, \
                 not what it needs.{}",
                cut(parts.len())
            ))
            .variants([Variants {
                target: "attention-subject".to_owned(),
                by: By::Subject,
                markup,
            }])
            .wide(),
    )
}

fn cut(parts: usize) -> String {
    match parts > ROWS {
        true => format!(" Shown are the first {ROWS} of {parts}; the table has all."),
        false => String::new(),
    }
}

fn occlusion(input: &Input<'_>, rows: &[Occlusion]) -> Option<Figure> {
    let mut means: Vec<&Occlusion> = rows.iter().filter(|row| row.subject.is_empty()).collect();
    if means.is_empty() {
        // One subject: there is nothing to average.
        let only = &rows.first()?.subject;
        means = rows.iter().filter(|row| row.subject == *only).collect();
    }
    means.sort_by(|a, b| {
        b.average_precision
            .unwrap_or(0.0)
            .total_cmp(&a.average_precision.unwrap_or(0.0))
    });
    let parts = means.len();
    means.truncate(ROWS);
    let mark = |part: &str, value: Option<f64>, interval: Option<(f64, f64)>| {
        let value = value?;
        let range = interval.map_or(String::new(), |(low, high)| {
            format!(" ({} to {})", difference(low), difference(high))
        });
        Some(Mark {
            value,
            interval,
            strong: interval.is_none_or(|(low, high)| low > 0.0 || high < 0.0),
            title: format!("{part}: {}{range}", difference(value)),
            ..Mark::default()
        })
    };
    let drawn = means
        .iter()
        .map(|row| Row {
            name: row.part.clone(),
            pick: None,
            marks: vec![
                mark(&row.part, row.average_precision, row.ap_interval),
                mark(&row.part, row.roc_auc, row.auc_interval),
            ],
        })
        .collect();
    let panel = |title: &str,
                 value: fn(&Occlusion) -> Option<f64>,
                 interval: fn(&Occlusion) -> Option<(f64, f64)>| {
        let ends = rows.iter().flat_map(|row| {
            [
                value(row),
                interval(row).map(|i| i.0),
                interval(row).map(|i| i.1),
            ]
        });
        Panel {
            title: title.to_owned(),
            domain: range_of(ends.flatten().chain([0.0])).unwrap_or((-1.0, 1.0)),
            reference: Some(0.0),
        }
    };
    let panels = vec![
        panel(
            "Drop of macro AP",
            |row| row.average_precision,
            |row| row.ap_interval,
        ),
        panel(
            "Drop of macro AUC",
            |row| row.roc_auc,
            |row| row.auc_interval,
        ),
    ];
    let chart = RowsChart::new(drawn, panels);
    let overlay = |subject: &String| {
        let values = |mean: &&Occlusion| {
            let own = rows
                .iter()
                .find(|row| row.subject == *subject && row.part == mean.part);
            vec![
                own.and_then(|row| row.average_precision),
                own.and_then(|row| row.roc_auc),
            ]
        };
        chart.overlay(&means.iter().map(values).collect::<Vec<_>>())
    };
    let markup: Vec<String> = std::iter::once(String::new())
        .chain(input.subjects.iter().map(overlay))
        .collect();
    let mut table = Table::new(&[
        "part",
        "subject",
        "average_precision",
        "ap_low",
        "ap_high",
        "roc_auc",
        "auc_low",
        "auc_high",
    ]);
    for row in rows {
        let subject = if row.subject.is_empty() {
            "mean"
        } else {
            &row.subject
        };
        table.push([
            (&row.part).into(),
            subject.into(),
            row.average_precision.into(),
            row.ap_interval.map(|i| i.0).into(),
            row.ap_interval.map(|i| i.1).into(),
            row.roc_auc.into(),
            row.auc_interval.map(|i| i.0).into(),
            row.auc_interval.map(|i| i.1).into(),
        ]);
    }
    let alt = format!(
        "How much scores drop without each of {parts} parts; most without {}, by {}",
        means.first()?.part,
        means
            .first()?
            .average_precision
            .map_or("–".to_owned(), difference)
    );
    Some(
        Figure::new("occlusion", "Importance by occlusion", alt, chart.draw(Some(("occlusion-subject", ""))), table)
            .caption(format!(
                "Score with everything minus score with the part's inputs set to their training mean, without training \
                 anew; mean over subjects with its 95 % interval, filled where it leaves out 0. Orange: the picked \
                 subject. Parts that carry the same information stand in for each other and look unimportant.{}",
                cut(parts)
            ))
            .variants([Variants {
                target: "occlusion-subject".to_owned(),
                by: By::Subject,
                markup,
            }])
            .wide(),
    )
}

fn places(input: &Input<'_>, explain: &Explain, section: &mut Section) {
    let dataset = match &input.files.dataset {
        Ok(dataset) => dataset,
        Err(why) => {
            section.missing(format!(
                "The dataset cannot be read, and with it the places of voxels: {why}"
            ));
            return;
        }
    };
    if dataset
        .subjects
        .iter()
        .flat_map(|subject| subject.voxels.iter())
        .all(|voxel| voxel.coordinate.is_none())
    {
        section.missing(
            "The dataset has no positions of voxels: importance cannot be shown on a brain.",
        );
        return;
    }
    let mut failures = Vec::new();
    let mut shown = 0;
    for subject in &dataset.subjects {
        if shown == SLICED {
            break;
        }
        match explain.importance(&subject.id, subject.voxels.len()) {
            Ok(values) => {
                let placed = subject
                    .voxels
                    .iter()
                    .zip(values)
                    .filter_map(|(voxel, value)| Some((voxel.coordinate?, value)));
                let (places, values) = placed.unzip();
                let title = format!("Importance in {}", subject.id);
                let id = format!("slices-{}", crate::escape::slug(&subject.id));
                if let Some(figure) = slices(&id, &title, &Volume { places, values }) {
                    section.figures([figure.caption(
                        "Each voxel has the drop of AP without its region or cube: axial slices, then cuts through the \
                         most important voxel. Blue: the score needs it; orange: it is better off without. Indices are \
                         voxels of the dataset.",
                    )]);
                    shown += 1;
                }
            }
            Err(why) => failures.push(why),
        }
    }
    if shown == 0 {
        let why = failures
            .first()
            .cloned()
            .unwrap_or_else(|| "no subject has placed voxels".to_owned());
        section.missing(format!("Importance cannot be shown on a brain: {why}"));
    }
}

/// Writes each subject's importance beside a report, where its voxels are in the brain. Nothing where
/// `mused explain` gave no importance.
pub(crate) fn importance_maps(
    files: &RunFiles,
    report: &Path,
) -> Vec<(String, Result<PathBuf, String>)> {
    let (Ok(explain), Ok(dataset)) = (&files.explain, &files.dataset) else {
        return Vec::new();
    };
    let stem = report
        .file_stem()
        .map_or("report".into(), |stem| stem.to_string_lossy());
    let mut written = Vec::new();
    for subject in &dataset.subjects {
        let Ok(values) = explain.importance(&subject.id, subject.voxels.len()) else {
            continue;
        };
        let ending = match subject.grayordinates() {
            Ok(Some(_)) => "dscalar.nii",
            _ => "nii.gz",
        };
        let path = report.with_file_name(format!(
            "{stem}-importance-{}.{ending}",
            crate::escape::slug(&subject.id)
        ));
        let map = map::write(subject, "importance", &values, &path);
        written.push((
            subject.id.clone(),
            map.map(|()| path).map_err(|error| error.to_string()),
        ));
    }
    // The same reason for everybody is told once.
    if written.len() > 1 && written.iter().all(|(_, map)| map.is_err()) {
        written.truncate(1);
    }
    written
}
