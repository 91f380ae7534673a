use std::path::Path;

use mused_results::{Comparison, MetricDifference, Results, Stated, compare};
use mused_stats::summary::{mean, sample_sd};

use super::Input;
use crate::figure::{Figure, Section};
use crate::figures::{Mark, Panel, Row, RowsChart};
use crate::input::{Part, Settings};
use crate::number::{difference, three};
use crate::table::Table;

/// Runs that are held against the first, with intervals and tests.
const COMPARED: usize = 24;

/// Runs that differ in their seed alone.
struct Group<'a> {
    name: String,
    settings: &'a Settings,
    /// Those with results.
    paths: Vec<&'a Path>,
    results: Vec<&'a Results>,
    failures: Vec<String>,
}

/// Scores of all runs, and their differences from the first one.
pub(crate) fn runs(input: &Input<'_>) -> Section {
    let mut section = Section::new("runs", "Runs compared");
    let groups = groups(input);
    section.paragraph(format!(
        "Everything else on this page is about the first run, <em>{}</em>.",
        crate::escape::escaped(&input.files.name)
    ));
    section.figures(league(&groups));
    for group in &groups {
        for failure in &group.failures {
            section.missing(format!("{}: {failure}", group.name));
        }
    }
    if groups.len() < 2 {
        section.missing("All runs differ in their seed alone: there is no difference to test.");
        return section;
    }
    let mut compared = Vec::new();
    for group in groups
        .iter()
        .skip(1)
        .take(COMPARED)
        .filter(|group| !group.results.is_empty())
    {
        let seeds = groups[0].paths.len().min(group.paths.len());
        match compare(&groups[0].paths[..seeds], &group.paths[..seeds]) {
            Ok(comparison) => compared.push((group.name.clone(), comparison)),
            Err(error) => {
                section.missing(format!("{} is not compared: {error}", group.name));
            }
        }
    }
    if groups.len() > COMPARED + 1 {
        section.missing(format!(
            "Differences are of the first {COMPARED} others; `mused compare` takes any."
        ));
    }
    if !compared.is_empty() {
        section.figures([differences(&groups[0].name, &compared)]);
    }
    section
}

/// The part of a run's name that is not its seed.
fn without_seed(name: &str) -> &str {
    name.split_once("/seed-").map_or(name, |(model, _)| model)
}

fn groups<'a>(input: &'a Input<'_>) -> Vec<Group<'a>> {
    let files = input.files;
    let first = (
        &files.name,
        &files.settings,
        files.path.as_path(),
        &files.results,
    );
    let others = input
        .others
        .iter()
        .map(|o| (&o.name, &o.settings, o.path.as_path(), &o.results));
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (name, settings, path, results) in std::iter::once(first).chain(others) {
        let results: &'a Part<Results> = results;
        let known = groups.iter_mut().find(|group| {
            !settings.text.is_empty()
                && without_seed(&group.name) == without_seed(name)
                && group.settings.same_but_for_seed(settings)
        });
        let group = match known {
            Some(group) => group,
            None => {
                groups.push(Group {
                    name: name.clone(),
                    settings,
                    paths: Vec::new(),
                    results: Vec::new(),
                    failures: Vec::new(),
                });
                let last = groups.len() - 1;
                &mut groups[last]
            }
        };
        match results {
            Ok(results) => {
                group.paths.push(path);
                group.results.push(results);
            }
            Err(why) => group.failures.push(why.clone()),
        }
    }
    for group in &mut groups {
        if group.results.len() + group.failures.len() > 1 {
            group.name = without_seed(&group.name).to_owned();
        }
    }
    groups
}

fn league(groups: &[Group<'_>]) -> Option<Figure> {
    let metrics: [fn(&Results) -> Option<f64>; 3] = [
        |results| results.macro_scores.average_precision.mean,
        |results| results.macro_scores.roc_auc.mean,
        |results| results.macro_scores.hamming_loss.mean,
    ];
    let values = |group: &Group<'_>, metric: usize| -> Vec<f64> {
        group
            .results
            .iter()
            .filter_map(|results| metrics[metric](results))
            .collect()
    };
    let mut table = Table::new(&[
        "run",
        "seeds",
        "macro_ap",
        "sd_ap",
        "macro_auc",
        "sd_auc",
        "hamming_loss",
        "sd_hamming",
    ]);
    let mut rows = Vec::new();
    let several = groups.iter().any(|group| group.results.len() > 1);
    for group in groups {
        let all: [Vec<f64>; 3] = [0, 1, 2].map(|metric| values(group, metric));
        let cells = all
            .iter()
            .flat_map(|values| [mean(values).into(), sample_sd(values).into()]);
        table.push(
            [(&group.name).into(), group.results.len().into()]
                .into_iter()
                .chain(cells),
        );
        let mark = |metric: usize| {
            let values = &all[metric];
            let value = mean(values)?;
            let inference = &group.results.first()?.inference;
            let of_one = [&inference.average_precision, &inference.roc_auc][metric]
                .interval
                .value();
            let interval = match several {
                true => Some((
                    values.iter().copied().fold(f64::INFINITY, f64::min),
                    values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                )),
                false => of_one.map(|interval| (interval.low, interval.high)),
            };
            Some(Mark {
                value,
                interval,
                strong: true,
                title: format!("{}: {}", group.name, three(value)),
                ..Mark::default()
            })
        };
        rows.push(Row {
            name: group.name.clone(),
            pick: None,
            marks: vec![mark(0), mark(1)],
        });
    }
    rows.sort_by(|a, b| {
        let value = |row: &Row| row.marks[0].as_ref().map_or(-1.0, |mark| mark.value);
        value(b).total_cmp(&value(a))
    });
    let floors = &groups
        .iter()
        .find_map(|group| group.results.first())?
        .floors;
    let panel = |metric: usize, title: &str, reference: Option<f64>| {
        let ends = rows.iter().filter_map(|row| row.marks[metric].as_ref());
        let ends = ends.flat_map(|mark| {
            [
                mark.value,
                mark.interval.map_or(mark.value, |i| i.0),
                mark.interval.map_or(mark.value, |i| i.1),
            ]
        });
        Panel {
            title: title.to_owned(),
            domain: crate::svg::range_of(ends.chain(reference)).unwrap_or((0.0, 1.0)),
            reference,
        }
    };
    let panels = vec![
        panel(
            0,
            "Macro average precision",
            floors.random_average_precision,
        ),
        panel(1, "Macro ROC-AUC", Some(floors.roc_auc)),
    ];
    let best = rows.first().map_or(String::new(), |row| row.name.clone());
    let svg = RowsChart::new(rows, panels).draw(None);
    let alt = format!(
        "Scores of {} models; highest average precision: {best}",
        groups.len()
    );
    let line = match several {
        true => {
            "Dot: mean over seeds; line: from the lowest seed to the highest, which says nothing about other subjects"
        }
        false => "Line: 95 % interval",
    };
    Some(
        Figure::new("league", "All runs", alt, svg, table)
            .caption(format!(
                "Sorted by average precision. {line}. Dashed: floor."
            ))
            .wide(),
    )
}

fn differences(reference: &str, compared: &[(String, Comparison)]) -> Figure {
    let interval = |metric: &MetricDifference| metric.interval.value().cloned();
    let p = |p: &Stated<f64>| p.value().copied();
    let mut table = Table::new(&[
        "run",
        "metric",
        "difference",
        "low",
        "high",
        "p_over_subjects",
        "p_over_stimuli",
        "p_over_both",
        "generalises_to",
    ]);
    let mut rows = Vec::new();
    for (name, comparison) in compared {
        let metrics = [
            ("average_precision", &comparison.average_precision),
            ("roc_auc", &comparison.roc_auc),
        ];
        let mut marks = Vec::new();
        for (metric_name, metric) in metrics {
            let found = interval(metric);
            table.push([
                name.into(),
                metric_name.into(),
                found.as_ref().map(|i| i.estimate).into(),
                found.as_ref().map(|i| i.low).into(),
                found.as_ref().map(|i| i.high).into(),
                p(&metric.p_over_subjects).into(),
                p(&metric.p_over_stimuli).into(),
                p(&metric.p_over_both).into(),
                found.as_ref().map(|i| &i.generalises_to).into(),
            ]);
            marks.push(found.map(|i| Mark {
                value: i.estimate,
                interval: Some((i.low, i.high)),
                reference: None,
                ceiling: None,
                strong: i.low > 0.0 || i.high < 0.0,
                title: format!(
                    "{name}: {} ({} to {})",
                    difference(i.estimate),
                    difference(i.low),
                    difference(i.high)
                ),
            }));
        }
        rows.push(Row {
            name: name.clone(),
            pick: None,
            marks,
        });
    }
    let panel = |metric: usize, title: &str| {
        let marks = rows.iter().filter_map(|row| row.marks[metric].as_ref());
        let ends = marks.flat_map(|mark| {
            [
                mark.interval.map_or(mark.value, |i| i.0),
                mark.interval.map_or(mark.value, |i| i.1),
                0.0,
            ]
        });
        Panel {
            title: title.to_owned(),
            domain: crate::svg::range_of(ends).unwrap_or((-1.0, 1.0)),
            reference: Some(0.0),
        }
    };
    let panels = vec![
        panel(0, "Difference of macro AP"),
        panel(1, "Difference of macro AUC"),
    ];
    let svg = RowsChart::new(rows, panels).draw(None);
    let alt = format!(
        "Differences of {} runs from {reference}, with 95 % intervals",
        compared.len()
    );
    Figure::new("differences", &format!("Differences from {reference}"), alt, svg, table)
        .caption(
            "Other minus reference, mean over subjects with its 95 % interval; filled where the interval leaves out 0. \
             Means over seeds where there are several. A p for other subjects, other stimuli and both is in the table.",
        )
        .wide()
}
