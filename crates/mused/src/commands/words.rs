use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use mused::Run;
use mused::retrieval::{Average, Vectors, Vocabulary, WordsRequest, words};
use mused::run::{IntervalResult, Stated, WordsResults, WordsTruth};
use rayon::ThreadPoolBuilder;

use super::three;
use crate::args::WordsArgs;
use crate::bars::Counter;

pub(crate) fn run(args: &WordsArgs) -> anyhow::Result<ExitCode> {
    args.device.choose()?;
    let vocabulary = match args.words.to_str() {
        Some("coco") => Vocabulary::coco(),
        Some("lvis") => Vocabulary::lvis(),
        _ => Vocabulary::read(&args.words)?,
    };
    let vectors = match (&args.vectors, &args.model) {
        (Some(file), _) => Vectors::File(file),
        (None, Some(folder)) => Vectors::Model {
            folder,
            prompt: &args.prompt,
        },
        (None, None) => bail!(
            "words need vectors: name the CLIP model that made the run's features with --model, or give their vectors with \
             --vectors FILE.npy"
        ),
    };
    let run = Run::open(&args.run)?;
    let dataset = run.dataset(args.dataset.as_deref())?;
    let request = WordsRequest {
        run: &run,
        dataset: &dataset,
        vocabulary: &vocabulary,
        vectors,
        features: args.features.as_deref(),
        average: match args.over_subjects {
            true => Average::Subjects,
            false => Average::Repeats,
        },
    };
    let pool = ThreadPoolBuilder::new()
        .num_threads(args.threads.count())
        .build()?;
    let counter = Counter::new("steps");
    let found = pool.install(|| {
        words(&request, &mut |what, done, total| {
            counter.of(what, done, total)
        })
    });
    counter.finish();
    let (results, folder) = found?;
    print!("{}", table(&results));
    println!("\nwritten to {}", folder.display());
    Ok(ExitCode::SUCCESS)
}

fn table(results: &WordsResults) -> String {
    let mut text = format!(
        "{} responses, {} words ({}), by {}\n",
        results.responses, results.words, results.vocabulary, results.features
    );
    if let Some(truth) = &results.truth {
        write_truth(&mut text, truth);
    }
    for note in &results.notes {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn write_truth(text: &mut String, truth: &WordsTruth) {
    let interval = |stated: &Stated<IntervalResult>| {
        stated.value().map_or("–".to_owned(), |found| {
            format!(
                "{:.3} ({:.3} to {:.3})",
                found.estimate, found.low, found.high
            )
        })
    };
    let _ = writeln!(
        text,
        "AUC of {} words that are labels, none of them told to the decoder: {}; chance .5; of the run, trained on them: {}",
        truth.labels.len(),
        interval(&truth.roc_auc),
        interval(&truth.supervised)
    );
    let _ = writeln!(
        text,
        "a true word among the first five: {:.3}; chance {:.3}",
        truth.top_five.mean, truth.top_five.chance
    );
    let _ = writeln!(
        text,
        "{:<24}{:>7}  {:<18}{:>8}",
        "word", "AUC", "95 % interval", "trained"
    );
    for label in &truth.labels {
        let interval = label.interval;
        let interval = interval.map_or("–".to_owned(), |[low, high]| {
            format!("{low:.3} to {high:.3}")
        });
        let _ = writeln!(
            text,
            "{:<24}{:>7}  {interval:<18}{:>8}",
            label.name,
            three(label.roc_auc),
            three(label.supervised)
        );
    }
}
