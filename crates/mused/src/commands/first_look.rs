//! `mused try`: the whole way on somebody's own data, and what came out, in words.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use mused::data::quality::{Quality, quality};
use mused::data::{Dataset, DatasetWriter, Imported, Severity};
use mused::formats::{make_folder, quoted, replace_file};
use mused::run::{AgainstRidge, Standing, Stated};
use mused::stats::metrics::Undefined;
use mused::{Error, Layers, Results, Run, Training};

use super::evaluate::evaluate_and_write;
use super::explain::explained;
use super::import;
use super::report::write_page;
use crate::args::TryArgs;
use crate::bars::TrainingBar;
use crate::signals;

/// Folds of a cross-validation, where there are as many groups of stimuli and no published test part.
const FOLDS: usize = 5;

pub(crate) fn run(args: &TryArgs) -> anyhow::Result<ExitCode> {
    args.device.choose()?;
    let started = Instant::now();
    signals::stop_when_asked()?;
    args.memory.limit();
    let out = &args.out;
    own(&args.source, out)?;
    say(1, "the data");
    let dataset = dataset(&args.source, out)?;
    say(2, "checks");
    let found = check(&dataset)?;
    say(3, "one model for all, and ridge regression");
    let Some(run) = train(args, &dataset)? else {
        eprintln!(
            "stopped and saved; the same command goes on: mused try {} --out {}",
            quoted(&args.source),
            quoted(out)
        );
        return Ok(signals::exit_code());
    };
    say(4, "scores on held-out stimuli, with intervals and tests");
    let results = evaluate_and_write(&run, Undefined::Exclude)?;
    let mut runs = vec![run.path().to_owned()];
    if let Some(beside) = run.ridge().and_then(Result::ok) {
        evaluate_and_write(&beside.run, Undefined::Exclude)?;
        runs.push(beside.run.path().to_owned());
    }
    say(5, "what the model reads");
    explained(run.path(), None, 0)?;
    say(6, "the page");
    let page = Run::report_path(out);
    write_page(&runs, false, &[], &[], Some(found.clone()), &page)?;
    progress!("{:.0} s in all\n", started.elapsed().as_secs_f64());
    for sentence in last_words(&results, &found) {
        println!("{sentence}");
    }
    println!("Next: {}", next(&dataset, &results, &run));
    println!("The page: {}", page.display());
    Ok(ExitCode::SUCCESS)
}

fn say(step: usize, what: &str) {
    progress!("[{step}/6] {what}");
}

/// Makes the folder this data's, or finds that it is another's.
fn own(source: &Path, out: &Path) -> anyhow::Result<()> {
    let absolute = fs::canonicalize(source).ok().filter(|path| path.is_dir());
    let absolute = absolute.with_context(|| {
        format!(
            "{}: expected a dataset, a folder of arrays or a BIDS folder, found no folder",
            source.display()
        )
    })?;
    import::refuse_inside(&absolute, out)?;
    let file = out.join("source.txt");
    let text = format!("{}\n", absolute.display());
    match fs::read_to_string(&file) {
        Ok(found) if found == text => Ok(()),
        // A try that failed before it made anything holds nothing of anybody's.
        Ok(found) if !is_bare(out)? => bail!(
            "{} is of other data ({}): choose another folder with --out, or remove it",
            out.display(),
            found.trim()
        ),
        Ok(_) => Ok(replace_file(&file, text.as_bytes())?),
        Err(_) if out.exists() && !is_bare(out)? => bail!(
            "{} already exists and was not made by `mused try`: choose another folder with --out",
            out.display()
        ),
        Err(_) => {
            make_folder(out).with_context(|| format!("cannot create {}", out.display()))?;
            Ok(replace_file(&file, text.as_bytes())?)
        }
    }
}

/// Whether a folder has nothing but the name of its source, or what is left of a process killed while it wrote it.
fn is_bare(out: &Path) -> anyhow::Result<bool> {
    let listing = fs::read_dir(out).with_context(|| format!("cannot list {}", out.display()))?;
    for entry in listing {
        let name = entry?.file_name();
        if name != "source.txt" && name != "source.txt.partial" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The data as a dataset, imported if they are none.
fn dataset(source: &Path, out: &Path) -> anyhow::Result<Dataset> {
    if Dataset::exists(source) {
        return Ok(Dataset::open(source)?);
    }
    let made = out.join("dataset");
    match Dataset::exists(&made) {
        true => DatasetWriter::tidy(&made)?,
        false => import::remark(&import_as_it_is(source, &made)?),
    }
    Ok(Dataset::open(made)?)
}

fn import_as_it_is(source: &Path, made: &Path) -> anyhow::Result<Imported> {
    let listing =
        fs::read_dir(source).with_context(|| format!("{}: expected a folder", source.display()))?;
    let names: Vec<String> = (listing.collect::<Result<Vec<_>, _>>()?.iter())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let (from, to) = (quoted(source), quoted(made));
    if names.iter().any(|name| name == "dataset_description.json") {
        let imported = import::bids_as_it_is(source, made);
        return imported.with_context(|| {
            format!("with options, `mused import bids {from} {to}` may take it; then give `mused try` that dataset")
        });
    }
    if names
        .iter()
        .any(|name| name == "stimuli.tsv" || name.ends_with(".npy"))
    {
        let imported = import::npy_as_it_is(source, made);
        return imported.with_context(|| {
            format!("with options, `mused import npy {from} {to}` may take it; then give `mused try` that dataset")
        });
    }
    bail!(
        "{}: expected a dataset (dataset.json), a folder of arrays (stimuli.tsv and SUBJECT.npy; see `mused import npy \
         --help`) or a BIDS folder (dataset_description.json), found {}; `mused import --help` lists what else can be read",
        source.display(),
        match names.len() {
            0 => "an empty folder".to_owned(),
            count => format!("{count} others, such as {:?}", names[0]),
        }
    )
}

/// Refuses what cannot be trained on; tells the rest.
fn check(dataset: &Dataset) -> anyhow::Result<Quality> {
    let mut problems = dataset.problems();
    problems.extend(dataset.check_arrays()?);
    let error = problems
        .iter()
        .find(|problem| problem.severity == Severity::Error);
    for problem in &problems {
        eprintln!("{problem}");
    }
    if error.is_some() {
        bail!(
            "{}: the errors above have to be mended first",
            dataset.place()
        );
    }
    Ok(quality(dataset)?)
}

/// The run and the ridge regression beside it, begun or gone on with; `None` when it was stopped.
fn train(args: &TryArgs, dataset: &Dataset) -> anyhow::Result<Option<Run>> {
    let bar = TrainingBar::new();
    let mut layers = Layers::preset("default")?;
    let groups: BTreeSet<&str> = dataset
        .stimuli
        .iter()
        .map(|stimulus| stimulus.group.as_str())
        .collect();
    let published = dataset
        .stimuli
        .iter()
        .any(|stimulus| stimulus.part.is_some());
    if !published && groups.len() > 1 {
        let folds = FOLDS.min(groups.len());
        layers.insert("split.folds", folds as i64, "mused try")?;
    }
    if !args.allow.is_empty() {
        layers.insert("audit.allow", args.allow.clone(), "--allow")?;
    }
    let training = Training::new(dataset)
        .layers(&layers)
        .progress(&bar)
        .threads(args.threads.count());
    let trained = training.complete(args.out.join("run"));
    bar.finish();
    match trained {
        Ok(run) => Ok(Some(run)),
        Err(Error::Interrupted(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What was decoded how well, who is ahead, who looks wrong.
pub(super) fn last_words(results: &Results, found: &Quality) -> Vec<String> {
    let mut words = results.in_words();
    words.extend(found.in_words());
    words
}

/// What to do now.
fn next(dataset: &Dataset, results: &Results, run: &Run) -> String {
    let place: PathBuf = dataset.root().map(Path::to_owned).unwrap_or_default();
    let below = |ridge: &AgainstRidge| ridge.verdict.standing == Standing::Below;
    let ridge = results.ridge.as_ref().and_then(Stated::value);
    if ridge.is_some_and(below) {
        return format!("go on with the regression, {}.", run.ridge_path().display());
    }
    let pictures = dataset
        .stimuli
        .iter()
        .any(|stimulus| stimulus.file.is_some());
    if dataset.features.is_empty() && pictures {
        return format!(
            "the pictures of the stimuli can guide the model: `mused features {} --model CLIP-FOLDER`, then try again.",
            quoted(place)
        );
    }
    let folds = match run.record().folds {
        0 | 1 => String::new(),
        folds => format!(" --folds {folds}"),
    };
    format!(
        "hold it against other models over several seeds: `mused benchmark {}{folds} --models \
         default,ridge-banded,clip-mused --out benchmark`.",
        quoted(place)
    )
}
