use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use mused::Run;
use mused::data::Dataset;
use mused::retrieval::{Average, GalleryChoice, RetrievalRequest, retrieve};
use mused::run::{MeasureResult, RetrievalResults};
use rayon::ThreadPoolBuilder;

use crate::args::{AverageArg, RetrieveArgs};
use crate::bars::Counter;

pub(crate) fn run(args: &RetrieveArgs) -> anyhow::Result<ExitCode> {
    args.device.choose()?;
    let run = Run::open(&args.run)?;
    let dataset = run.dataset(args.dataset.as_deref())?;
    let request = RetrievalRequest {
        run: &run,
        dataset: &dataset,
        gallery: gallery(&args.gallery, args.model.as_deref())?,
        features: args.features.as_deref(),
        average: match args.average {
            AverageArg::Repeats => Average::Repeats,
            AverageArg::None => Average::Nothing,
            AverageArg::Subjects => Average::Subjects,
        },
        k: usize::from(args.k),
    };
    let pool = ThreadPoolBuilder::new()
        .num_threads(args.threads.count())
        .build()?;
    let counter = Counter::new("steps");
    let found = pool.install(|| {
        retrieve(&request, &mut |what, done, total| {
            counter.of(what, done, total)
        })
    });
    counter.finish();
    let (results, folder) = found?;
    print!("{}", table(&results));
    println!("\nwritten to {}", folder.display());
    Ok(ExitCode::SUCCESS)
}

fn gallery<'a>(named: &'a Path, model: Option<&'a Path>) -> anyhow::Result<GalleryChoice<'a>> {
    Ok(match named.to_str() {
        Some("test") => GalleryChoice::Tested,
        Some("dataset") => GalleryChoice::Everything,
        _ if named.extension().is_some_and(|end| end == "npy") => GalleryChoice::Features(named),
        _ if Dataset::exists(named) => GalleryChoice::Dataset(named),
        _ if named.is_dir() => GalleryChoice::Pictures {
            folder: named,
            model: model.with_context(|| {
                format!(
                    "--gallery {} is a folder of pictures: name the CLIP model that made the run's features with --model",
                    named.display()
                )
            })?,
        },
        _ => anyhow::bail!(
            "--gallery {}: expected test, dataset, a dataset directory, a folder of pictures or a .npy file, found none of \
             them",
            named.display()
        ),
    })
}

fn table(results: &RetrievalResults) -> String {
    let RetrievalResults {
        items: [fewest, most],
        ..
    } = results;
    let size = match fewest == most {
        true => format!("{most}"),
        false => format!("{fewest} to {most}"),
    };
    let mut text = format!(
        "{} responses ({}) among {size} items ({}), by {}\n",
        results.responses, results.averaged, results.gallery, results.features
    );
    write_measures(&mut text, &results.all);
    if let Some(unseen) = &results.unseen {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\nof these {} were trained on (at most, a fold); among the others alone",
            results.seen
        );
        write_measures(&mut text, unseen);
    }
    let copies = [
        (
            results.duplicated,
            "have a near-duplicate of their picture in the gallery, which does not compete with it",
        ),
        (
            results.trained,
            "show a picture that nearly is one trained on: they are no decoding",
        ),
    ];
    for (count, what) in copies.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "note: {count} responses {what}");
    }
    for note in &results.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn write_measures(text: &mut String, measures: &[MeasureResult]) {
    let _ = writeln!(
        text,
        "{:<12}{:>9}  {:<18}{:>8}{:>10}{:>9}  more than ridge (95 %)",
        "", "mean", "95 % interval", "chance", "p", "ridge"
    );
    for measure in measures {
        let interval = measure.interval.value();
        let interval = interval.map_or("–".to_owned(), |found| {
            format!("{:.3} to {:.3}", found.low, found.high)
        });
        let p = measure.permutation.value();
        let p = p.map_or("–".to_owned(), |found| format!("{:.4}", found.p));
        let gain = measure.gain.value();
        let gain = gain.map_or("–".to_owned(), |found| {
            format!(
                "{:+.3} ({:+.3} to {:+.3})",
                found.estimate, found.low, found.high
            )
        });
        let _ = writeln!(
            text,
            "{:<12}{:>9.3}  {interval:<18}{:>8.3}{p:>10}{:>9.3}  {gain}",
            measure.name, measure.mean, measure.chance, measure.ridge
        );
    }
}
