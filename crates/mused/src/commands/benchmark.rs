use std::process::ExitCode;

use anyhow::{Context as _, bail};
use mused::benchmark::{
    Benchmark, Contender, Row, against_ridges, differences, rows, write_differences,
};
use mused::data::Dataset;
use mused::run::MODELS;
use mused::{Layers, Results, Run};

use super::compare::print_differences;
use super::{planned, three};
use crate::args::BenchmarkArgs;
use crate::bars::TrainingBar;
use crate::signals;

/// What a benchmark borrows.
pub(crate) struct Asked<'a> {
    args: &'a BenchmarkArgs,
    dataset: Dataset,
    layers: Layers,
    models: Vec<Contender>,
    /// The ridge regression among them that nobody named.
    added: Option<Contender>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(args: &'a BenchmarkArgs) -> anyhow::Result<Self> {
        args.device.choose()?;
        let dataset = Dataset::open(&args.dataset)?;
        let mut layers = args.layers.preset()?;
        if args.budget > 1 {
            layers.insert("split.validation_fraction", 0.1, "--budget")?;
        }
        let layers = args.layers.over(layers)?;
        if Run::exists(&args.out) {
            bail!(
                "--out {}: this is a run directory; choose another folder",
                args.out.display()
            );
        }
        let mut seeds = args.seeds.clone();
        seeds.sort_unstable();
        if let Some(twice) = seeds.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!("--seeds names {} twice: a seed is one run", twice[0]);
        }
        let mut models = contenders(args)?;
        let added = Contender::missing_ridge(&models, &layers, &dataset)?;
        models.extend(added.clone());
        Ok(Self {
            args,
            dataset,
            layers,
            models,
            added,
        })
    }

    pub(crate) fn benchmark(&self, threads: usize) -> Benchmark<'_> {
        Benchmark {
            dataset: &self.dataset,
            layers: &self.layers,
            models: &self.models,
            seeds: &self.args.seeds,
            budget: self.args.budget.into(),
            out: &self.args.out,
            threads,
        }
    }
}

pub(crate) fn run(args: &BenchmarkArgs) -> anyhow::Result<ExitCode> {
    let asked = Asked::new(args)?;
    let (models, added) = (&asked.models, &asked.added);
    if let Some(ridge) = added {
        eprintln!(
            "{} is added: networks are held against ridge regression (--set train.ridge=false leaves it out)",
            ridge.name
        );
    }
    let benchmark = asked.benchmark(args.threads.count());
    if let Some(folder) = &args.plan.plan {
        benchmark.check()?;
        return planned::write(folder, &args.plan, args.memory.asked(), &benchmark);
    }
    signals::stop_when_asked()?;
    args.memory.limit();
    args.time.limit();
    let entries = benchmark.run(|place, total, name| {
        eprintln!("{place}/{total}: {name}");
        TrainingBar::new()
    })?;
    let Some(entries) = entries else {
        eprintln!("stopped and saved; the same command goes on");
        return Ok(signals::exit_code());
    };
    let mut scored = entries
        .iter()
        .filter_map(|entry| entry.results.as_ref().ok());
    print(&rows(&entries), scored.next_back());
    let mut failed = false;
    for entry in &entries {
        if let Err(message) = &entry.results {
            // What nobody asked for may fail.
            failed |= added.as_ref().is_none_or(|ridge| ridge.name != entry.model);
            eprintln!("{}, seed {}: {message}", entry.model, entry.seed);
        }
    }
    let differences = differences(&entries);
    let (table, tests) = (
        Run::benchmark_path(&args.out),
        args.out.join("differences.tsv"),
    );
    write_differences(&differences, &tests)?;
    if let (Some(first), false) = (models.first(), differences.is_empty()) {
        println!();
        print_differences(&first.name, &differences);
    }
    println!("\nwritten to {} and {}", table.display(), tests.display());
    if let Some(against) = against_ridges(&entries) {
        println!("\n{}", against.sentences().join("\n"));
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The named models, without names all, and the variants.
fn contenders(args: &BenchmarkArgs) -> anyhow::Result<Vec<Contender>> {
    let names: Vec<&str> = match args.models.as_slice() {
        [] => MODELS.iter().map(|model| model.name).collect(),
        chosen => chosen.iter().map(String::as_str).collect(),
    };
    let mut models = Vec::new();
    for name in names {
        models.push(Contender::named(name)?);
    }
    for variant in &args.variants {
        let (name, settings) = variant.split_once(':').with_context(|| {
            format!("--variant {variant}: expected NAME:KEY=VALUE,…, e.g. image:guidance.high=low")
        })?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if name.is_empty() || !name.chars().all(plain) || models.iter().any(|m| m.name == name) {
            bail!(
                "--variant {variant}: expected a new name of letters, digits, - and _, found {name:?}"
            );
        }
        models.push(Contender {
            name: name.to_owned(),
            settings: settings.split(',').map(str::to_owned).collect(),
        });
    }
    Ok(models)
}

fn print(rows: &[Row], any: Option<&Results>) {
    println!(
        "{:<26} {:>5} {:>15} {:>15} {:>15}",
        "mean over subjects", "seeds", "macro AP", "macro ROC-AUC", "Hamming loss"
    );
    for row in rows {
        let [ap, auc, hamming] = row.scores.map(|(mean, sd)| match sd {
            Some(sd) => format!("{} ± {sd:.3}", three(mean)),
            None => three(mean),
        });
        println!(
            "{:<26} {:>5} {ap:>15} {auc:>15} {hamming:>15}",
            row.model, row.seeds
        );
    }
    if let Some(results) = any {
        let floors = &results.floors;
        println!(
            "{:<26} {:>5} {:>15} {:>15} {:>15}",
            "knowing nothing",
            "",
            three(floors.random_average_precision),
            three(Some(floors.roc_auc)),
            three(floors.hamming_loss)
        );
        println!("± standard deviation over seeds");
    }
}
