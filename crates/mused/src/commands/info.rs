use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use mused::data::quality::{Outlier, Quality, quality};
use mused::data::{Dataset, Level, Problem, Response, Severity};
use serde::Serialize;

use super::three;
use crate::args::InfoArgs;

/// What `mused info --json` prints.
#[derive(Serialize)]
struct Summary {
    name: String,
    response: Response,
    processing: Option<String>,
    simulated: bool,
    stimuli: usize,
    groups: usize,
    subjects: Vec<SubjectSummary>,
    rois: Vec<String>,
    labels: Vec<LabelSummary>,
    features: Vec<FeatureSummary>,
    problems: Vec<String>,
    /// Subjects and runs that look unlike the others.
    outliers: Vec<String>,
}

#[derive(Serialize)]
struct SubjectSummary {
    id: String,
    trials: usize,
    stimuli: usize,
    sessions: usize,
    voxels: usize,
    rois: usize,
    bytes: u64,
    /// Correlation of split halves over stimuli shown again, median voxel.
    repeatability: Option<f64>,
    /// Framewise displacement in mm, mean over volumes and runs.
    motion: Option<f64>,
    /// Of one volume.
    largest_motion: Option<f64>,
}

/// What is measured of a subject.
type Measured = fn(&SubjectSummary) -> Option<f64>;

#[derive(Serialize)]
struct LabelSummary {
    name: String,
    positives: usize,
    prevalence: f64,
}

#[derive(Serialize)]
struct FeatureSummary {
    name: String,
    level: Option<Level>,
    shape: [usize; 2],
    is_rdm: bool,
}

pub(crate) fn run(args: &InfoArgs) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::open(&args.dataset)?;
    let mut problems = dataset.problems();
    problems.extend(dataset.check_arrays()?);
    let found = quality(&dataset)?;
    let summary = summarise(&dataset, &problems, &found);
    if args.json {
        let json = serde_json::to_string_pretty(&summary).context("cannot write JSON")?;
        println!("{json}");
    } else {
        print(&dataset, &summary, &found);
    }
    let failed = problems
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn summarise(dataset: &Dataset, problems: &[Problem], found: &Quality) -> Summary {
    let count = |values: &mut dyn Iterator<Item = String>| values.collect::<BTreeSet<_>>().len();
    let stimuli = dataset.stimuli.len();
    Summary {
        name: dataset.description.name.clone(),
        response: dataset.description.response,
        processing: dataset.description.processing.clone(),
        simulated: dataset.description.simulated,
        stimuli,
        groups: count(
            &mut dataset
                .stimuli
                .iter()
                .map(|stimulus| stimulus.group.clone()),
        ),
        subjects: dataset
            .subjects
            .iter()
            .zip(&found.subjects)
            .map(|(subject, quality)| SubjectSummary {
                id: subject.id.clone(),
                trials: subject.trials.len(),
                stimuli: count(
                    &mut subject
                        .trials
                        .iter()
                        .map(|trial| trial.stimulus.to_string()),
                ),
                sessions: count(&mut subject.trials.iter().map(|trial| trial.session.to_string())),
                voxels: subject.voxels.len(),
                rois: count(&mut subject.voxels.iter().map(|voxel| voxel.roi.clone())),
                bytes: (subject.trials.len() * subject.voxels.len()) as u64
                    * subject.responses.dtype().size() as u64,
                repeatability: quality.repeatability,
                motion: quality.motion(),
                largest_motion: (quality.runs.iter())
                    .filter_map(|run| Some(run.motion?.largest))
                    .max_by(f64::total_cmp),
            })
            .collect(),
        rois: dataset.roi_names().into_iter().map(str::to_owned).collect(),
        labels: dataset
            .labels
            .names
            .iter()
            .zip(dataset.labels.positives())
            .map(|(name, positives)| LabelSummary {
                name: name.clone(),
                positives,
                prevalence: positives as f64 / stimuli as f64,
            })
            .collect(),
        features: dataset
            .features
            .iter()
            .map(|features| FeatureSummary {
                name: features.name.clone(),
                level: features.level,
                shape: features.shape,
                is_rdm: features.is_rdm,
            })
            .collect(),
        problems: problems.iter().map(Problem::to_string).collect(),
        outliers: found.outliers.iter().map(Outlier::to_string).collect(),
    }
}

fn print(dataset: &Dataset, summary: &Summary, found: &Quality) {
    let description = &dataset.description;
    let simulated = if summary.simulated { ", SIMULATED" } else { "" };
    println!("{}{simulated}", summary.name);
    for (name, value) in [
        ("licence", &description.licence),
        ("cite", &description.citation),
        ("responses", &description.processing),
    ] {
        if let Some(value) = value {
            println!("{name}: {value}");
        }
    }
    match dataset.has_no_groups() {
        true => println!("stimuli: {}, each a group of its own", summary.stimuli),
        false => println!("stimuli: {} in {} groups", summary.stimuli, summary.groups),
    }
    let values = match summary.response {
        Response::Voxels => "voxels",
        Response::SimilarityProfiles => "similarities",
    };
    println!(
        "regions: {} ({})",
        summary.rois.len(),
        summary.rois.join(" ")
    );

    // Where somebody has them.
    let measured: [(&str, Measured); 2] = [
        ("repeatability", |subject| subject.repeatability),
        ("motion (mm)", |subject| subject.motion),
    ];
    let measured = measured
        .into_iter()
        .filter(|(_, value)| summary.subjects.iter().any(|own| value(own).is_some()));
    let measured: Vec<_> = measured.collect();
    print!(
        "\n{:<16} {:>7} {:>8} {:>9} {:>13} {:>8} {:>9}",
        "subject", "trials", "stimuli", "sessions", values, "regions", "MB"
    );
    for (name, _) in &measured {
        print!(" {name:>13}");
    }
    println!();
    for subject in &summary.subjects {
        print!(
            "{:<16} {:>7} {:>8} {:>9} {:>13} {:>8} {:>9.1}",
            subject.id,
            subject.trials,
            subject.stimuli,
            subject.sessions,
            subject.voxels,
            subject.rois,
            subject.bytes as f64 / 1e6
        );
        for (_, value) in &measured {
            print!(" {:>13}", three(value(subject)));
        }
        println!();
    }

    let labels = &summary.labels;
    let mean =
        labels.iter().map(|label| label.prevalence).sum::<f64>() / labels.len().max(1) as f64;
    println!(
        "\nlabels: {}, mean prevalence {}",
        labels.len(),
        three(Some(mean))
    );
    for label in labels {
        println!(
            "  {:<24} {:>5}  {}",
            label.name,
            label.positives,
            three(Some(label.prevalence))
        );
    }

    println!(
        "\nfeatures: {}",
        if summary.features.is_empty() {
            "none"
        } else {
            ""
        }
    );
    for features in &summary.features {
        let level = match features.level {
            Some(Level::Low) => "guides the low-level token",
            Some(Level::High) => "guides the high-level token",
            None => "guides no token by itself",
        };
        let [rows, columns] = features.shape;
        let kind = if features.is_rdm { "RDM" } else { "features" };
        println!("  {:<24} {kind} {rows} × {columns}, {level}", features.name);
    }

    if summary.problems.is_empty() {
        println!("\nno problems found");
    } else {
        println!();
        for problem in &summary.problems {
            println!("{problem}");
        }
    }
    println!();
    for sentence in found.in_words() {
        println!("{sentence}");
    }
}
