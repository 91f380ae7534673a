use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use mused::data::Dataset;
use mused::data::quality::quality;
use mused::data::simulate::{SimulateConfig, simulate};
use mused::formats::make_folder;
use mused::stats::metrics::Undefined;
use mused::{Error, Layers, Results, Run, Training, compare};

use super::evaluate::evaluate_and_write;
use super::explain::explained;
use super::first_look::last_words;
use super::report::write_page;
use super::three;
use crate::args::DemoArgs;
use crate::bars::{TrainingBar, bar};
use crate::signals;

/// The compared networks: folder, name as `mused train --model` takes it, description, whether ridge regression is
/// trained beside it: of both it would be the same.
const RUNS: [(&str, &str, &str, bool); 2] = [
    (
        "aligned",
        "default",
        "one model for all, aligned inputs",
        true,
    ),
    (
        "voxels",
        "clip-mused",
        "one model for all, over voxels",
        false,
    ),
];

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    args.device.choose()?;
    let started = Instant::now();
    if args.out.exists() {
        anyhow::bail!(
            "{} already exists: remove it or choose another folder with --out",
            args.out.display()
        );
    }
    make_folder(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    signals::stop_when_asked()?;
    args.memory.limit();
    let dataset = simulated(args)?;
    let (mut scored, mut runs) = (Vec::new(), Vec::new());
    for (name, model, description, ridge) in RUNS {
        progress!("training: {description}");
        let mut layers = Layers::preset("default")?;
        layers.insert("train.seed", args.seed as i64, "--seed")?;
        layers.model(model)?;
        layers.insert("train.ridge", ridge, "mused demo")?;
        let run = args.out.join(name);
        let progress = TrainingBar::new();
        let training = Training::new(&dataset).layers(&layers).progress(&progress);
        let trained = training.threads(args.threads.count()).train(&run);
        progress.finish();
        if let Err(Error::Interrupted(_)) = trained {
            eprintln!(
                "stopped; remove {} to start the demo again",
                args.out.display()
            );
            return Ok(signals::exit_code());
        }
        let trained = trained?;
        scored.push((
            description.to_owned(),
            evaluate_and_write(&trained, Undefined::Exclude)?,
        ));
        let beside = trained.ridge().and_then(std::result::Result::ok);
        runs.push(trained);
        if let Some(beside) = beside {
            let results = evaluate_and_write(&beside.run, Undefined::Exclude)?;
            scored.push((beside.name().to_owned(), results));
            runs.push(beside.run);
        }
    }
    progress!("explaining the aligned run");
    explained(&args.out.join(RUNS[0].0), None, 0)?;
    let paths: Vec<PathBuf> = runs.iter().map(|run| run.path().to_owned()).collect();
    write_page(&paths, false, &[], &[], None, &Run::report_path(&args.out))?;
    print(&dataset, &scored, &paths, &args.out);
    println!("\n{:.0} s in all\n", started.elapsed().as_secs_f64());
    for sentence in conclusions(&dataset, &scored, &runs)? {
        println!("{sentence}");
    }
    Ok(ExitCode::SUCCESS)
}

fn simulated(args: &DemoArgs) -> anyhow::Result<Dataset> {
    let config = SimulateConfig {
        seed: args.seed,
        ..SimulateConfig::default()
    };
    progress!(
        "simulating {} subjects and {} stimuli",
        config.subjects,
        config.stimuli
    );
    let path = args.out.join("dataset");
    let subjects = bar(config.subjects, "subjects");
    simulate(&config, &path, &mut |done, _| {
        subjects.set_position(done as u64)
    })?;
    subjects.finish_and_clear();
    Ok(Dataset::open(path)?)
}

fn print(dataset: &Dataset, scored: &[(String, Results)], runs: &[PathBuf], out: &Path) {
    println!(
        "SIMULATED brains: {} subjects, {} stimuli, {} labels. The figures show that the path \
         works, not how well real brains decode.\n",
        dataset.subjects.len(),
        dataset.stimuli.len(),
        dataset.labels.names.len()
    );
    println!(
        "{:<40} {:>8} {:>8} {:>8}",
        "held-out stimuli, mean over subjects", "AP", "AUC", "Hamming"
    );
    for (description, results) in scored {
        let scores = &results.macro_scores;
        println!(
            "{description:<40} {:>8} {:>8} {:>8}",
            three(scores.average_precision.mean),
            three(scores.roc_auc.mean),
            three(scores.hamming_loss.mean)
        );
    }
    if let Some((_, results)) = scored.first() {
        let floors = &results.floors;
        println!(
            "{:<40} {:>8} {:>8} {:>8}",
            "knowing nothing",
            three(floors.random_average_precision),
            three(Some(floors.roc_auc)),
            three(floors.hamming_loss)
        );
    }
    println!(
        "people have voxel spaces of their own here: voxel 17 of two of them has nothing in common, so one model for all \
         works where each one's voxels are first mapped onto what stimuli mean (aligned inputs)\n\nfiles"
    );
    println!(
        "  {:<28} the dataset; `mused info` describes it",
        out.join("dataset").display()
    );
    for run in runs {
        println!(
            "  {:<28} config, checkpoints, predictions, results.json",
            run.display()
        );
    }
    println!(
        "  {:<28} what the aligned run reads: `mused explain` writes it",
        out.join(RUNS[0].0).join("explain").display()
    );
    println!(
        "  {:<28} open it in a browser: `mused report` writes it",
        Run::report_path(out).display()
    );
}

/// What came out: of the first network, of it against the other.
fn conclusions(
    dataset: &Dataset,
    scored: &[(String, Results)],
    runs: &[Run],
) -> anyhow::Result<Vec<String>> {
    let mut sentences = Vec::new();
    if let Some((_, aligned)) = scored.first() {
        sentences.extend(last_words(aligned, &quality(dataset)?));
    }
    if let [aligned, .., voxels] = runs {
        let verdict = compare(voxels, aligned)?.verdict;
        let names = ["With aligned inputs it", "the network over voxels"];
        sentences.push(verdict.sentence(names[0], names[1]));
    }
    Ok(sentences)
}
