use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use mused::data::{Dataset, FeatureSet, common_stimuli, feature_rdm, response_rdm};
use mused::formats::{npy, replace_file};
use mused::report::heatmap;
use mused::stats::{rsa, summary};
use ndarray::Array2;
use serde::Serialize;

use crate::args::RdmArgs;
use crate::bars;

#[derive(Serialize)]
struct Output {
    features: String,
    stimuli: usize,
    permutations: usize,
    /// With the RDMs of the dataset's other feature sets.
    with_features: Vec<Correlation>,
    /// With the RDMs of responses, a region.
    with_responses: Vec<Correlation>,
}

/// Spearman's ρ between RDMs.
#[derive(Serialize)]
struct Correlation {
    with: String,
    /// Mean over subjects.
    rho: f64,
    p: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subjects: Vec<SubjectCorrelation>,
}

#[derive(Serialize)]
struct SubjectCorrelation {
    subject: String,
    rho: f64,
}

pub(crate) fn run(args: &RdmArgs) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::open(&args.dataset)?;
    let features = feature_set(&dataset, &args.features)?;
    let file = args
        .out
        .clone()
        .unwrap_or_else(|| format!("{}-rdm.npy", features.name).into());
    ensure!(
        file.extension().is_some_and(|extension| extension == "npy"),
        "--out {}: expected a name that ends in .npy",
        file.display()
    );
    let free = |path: &Path, free: bool| {
        ensure!(
            free,
            "{} already exists: choose another --out",
            path.display()
        );
        anyhow::Ok(())
    };
    free(&file, !file.exists())?;
    let all: Vec<usize> = (0..dataset.stimuli.len()).collect();
    let whole = feature_rdm(&dataset, features, &all)?;
    let output = compare(&dataset, features, args)?;

    let title = format!("{}: {}", dataset.description.name, features.name);
    let drawn = heatmap(whole.view(), &title, "dissimilarity");
    let picture = file.with_extension("svg");
    // A killed process may have left the picture alone.
    let left = fs::read(&picture).is_ok_and(|left| left == drawn.as_bytes());
    free(&picture, left || !picture.exists())?;
    replace_file(&picture, drawn.as_bytes())?;
    npy::write_npy_f64(&file, whole.view())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&output)?);
    } else {
        print!("{}", table(&output));
        println!("\nwritten to {} and {}", file.display(), picture.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn feature_set<'d>(dataset: &'d Dataset, name: &str) -> anyhow::Result<&'d FeatureSet> {
    let Some(features) = dataset.features.iter().find(|f| f.name == name) else {
        let names: Vec<&str> = dataset.features.iter().map(|f| f.name.as_str()).collect();
        bail!(
            "no feature set {name:?} in {}: it has [{}]",
            dataset.place(),
            names.join(", ")
        );
    };
    Ok(features)
}

fn compare(dataset: &Dataset, features: &FeatureSet, args: &RdmArgs) -> anyhow::Result<Output> {
    let stimuli = common_stimuli(dataset);
    ensure!(
        stimuli.len() > 2,
        "{}: {} stimuli were shown to every subject, expected at least 3 to compare RDMs",
        dataset.place(),
        stimuli.len()
    );
    let reference = feature_rdm(dataset, features, &stimuli)?;
    let others: Vec<&FeatureSet> = dataset
        .features
        .iter()
        .filter(|other| other.name != features.name)
        .collect();
    let rois = dataset.roi_names();
    let bar = bars::bar(others.len() + rois.len(), "RDMs");
    let correlate = |with: &str, subjects: Vec<String>, rdms: &[Array2<f64>]| {
        let found = rsa::compare(reference.view(), rdms, args.permutations, args.seed)
            .with_context(|| format!("{} with {with}", features.name))?;
        let subjects = subjects.into_iter().zip(found.rho);
        bar.inc(1);
        anyhow::Ok(Correlation {
            with: with.to_owned(),
            rho: found.mean,
            p: found.p,
            subjects: subjects
                .map(|(subject, rho)| SubjectCorrelation { subject, rho })
                .collect(),
        })
    };
    let mut with_features = Vec::new();
    for other in others {
        let rdm = feature_rdm(dataset, other, &stimuli)?;
        with_features.push(correlate(&other.name, Vec::new(), &[rdm])?);
    }
    let mut with_responses = Vec::new();
    for roi in rois {
        let (mut subjects, mut rdms) = (Vec::new(), Vec::new());
        for (index, subject) in dataset.subjects.iter().enumerate() {
            if let Some(rdm) = response_rdm(dataset, index, roi, &stimuli)? {
                subjects.push(subject.id.clone());
                rdms.push(rdm);
            }
        }
        with_responses.push(correlate(roi, subjects, &rdms)?);
    }
    bar.finish_and_clear();
    Ok(Output {
        features: features.name.clone(),
        stimuli: stimuli.len(),
        permutations: args.permutations,
        with_features,
        with_responses,
    })
}

/// Subjects up to which the table has a column each.
const SHOWN_SUBJECTS: usize = 8;

fn table(output: &Output) -> String {
    let mut text = format!(
        "{}: RDM correlations (Spearman) over {} stimuli, p from {} permutations of the stimuli\n",
        output.features, output.stimuli, output.permutations
    );
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{:<24}{:>8}{:>8}{:>8}", "with", "rho", "sd", "p");
    for row in output.with_features.iter().chain(&output.with_responses) {
        let rho: Vec<f64> = row.subjects.iter().map(|s| s.rho).collect();
        let sd = super::three(summary::sample_sd(&rho));
        let _ = write!(
            text,
            "{:<24}{:>8.3}{sd:>8}{:>8.4}",
            row.with, row.rho, row.p
        );
        if rho.len() <= SHOWN_SUBJECTS {
            for subject in &row.subjects {
                let _ = write!(text, "  {} {:.3}", subject.subject, subject.rho);
            }
        }
        text.push('\n');
    }
    text
}
