use std::cell::RefCell;
use std::process::ExitCode;

use anyhow::Context as _;
use mused::curve::{Curve, Curves, Estimate, Over, Size};
use mused::data::Dataset;
use mused::{Layers, Run};

use super::{planned, three};
use crate::args::CurveArgs;
use crate::bars::{Counted, Counter};
use crate::signals;

/// What a curve borrows.
pub(crate) struct Asked<'a> {
    args: &'a CurveArgs,
    dataset: Dataset,
    layers: Layers,
    over: Over,
    sizes: Vec<Size>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(args: &'a CurveArgs) -> anyhow::Result<Self> {
        args.device.choose()?;
        let (over, sizes) = match &args.subjects {
            Some(sizes) => (Over::Subjects, sizes),
            None => (Over::Trials, &args.trials),
        };
        let sizes = sizes.iter().map(|text| number(text, over));
        let sizes: Vec<Size> = sizes.collect::<anyhow::Result<_>>()?;
        anyhow::ensure!(
            !Run::exists(&args.out),
            "--out {}: this is a run directory; choose another folder",
            args.out.display()
        );
        Ok(Self {
            args,
            dataset: Dataset::open(&args.dataset)?,
            layers: layers(args, over)?,
            over,
            sizes,
        })
    }

    pub(crate) fn curve(&self, threads: usize) -> Curve<'_> {
        Curve {
            dataset: &self.dataset,
            layers: &self.layers,
            over: self.over,
            sizes: &self.sizes,
            draws: self.args.draws.into(),
            new_subjects: self.args.new_subjects,
            models: &self.args.models,
            out: &self.args.out,
            threads,
        }
    }
}

pub(crate) fn run(args: &CurveArgs) -> anyhow::Result<ExitCode> {
    let asked = Asked::new(args)?;
    let curve = asked.curve(args.threads.count());
    if let Some(folder) = &args.plan.plan {
        return planned::write(folder, &args.plan, args.memory.asked(), &curve);
    }
    signals::stop_when_asked()?;
    args.memory.limit();
    args.time.limit();
    let counter = Counter::new("runs");
    let doing = RefCell::new(None);
    let curves = curve.run(|done, total, name| {
        counter.set(done, total);
        *doing.borrow_mut() = Some(name.to_owned());
        Counted::new(&counter, name)
    });
    counter.finish();
    let curves = match doing.into_inner() {
        Some(run) => curves.context(run)?,
        None => curves?,
    };
    let Some(curves) = curves else {
        eprintln!("stopped and saved; the same command goes on");
        return Ok(signals::exit_code());
    };
    curves.write(&args.out)?;
    print(&curves);
    let out = args.out.display();
    println!(
        "\nwritten to curve.json, curve.tsv, curve-means.tsv and curve.svg of {out}; `mused report {out}` makes a page of \
         it\n\n{}",
        curves.sentences().join("\n")
    );
    Ok(ExitCode::SUCCESS)
}

fn number(text: &str, over: Over) -> anyhow::Result<Size> {
    let number = Size::try_from(text.to_owned());
    number.map_err(|why| anyhow::anyhow!("--{}: {why}", over.unit()))
}

fn layers(args: &CurveArgs, over: Over) -> anyhow::Result<Layers> {
    let mut layers = args.layers.preset()?;
    if over == Over::Trials && !args.new_subjects {
        // Trials that choose weights would be trials that are not counted.
        layers.insert("split.validation_fraction", 0.0, "mused curve")?;
    }
    args.layers.over(layers)
}

fn print(curves: &Curves) {
    let means = curves.means();
    let ahead = format!("minus {}", curves.ridge);
    println!(
        "{:<20} {:>8} {:>5} {:>20} {:>20} {:>24}",
        "mean over subjects",
        curves.over.unit(),
        "draws",
        "macro AP",
        "macro ROC-AUC",
        ahead
    );
    for mean in &means {
        let [ap, auc] = mean.scores.map(|score| {
            let ends = score.and_then(|score| score.interval);
            let ends = ends.map(|[low, high]| format!(" {low:.3}–{high:.3}"));
            format!(
                "{}{}",
                three(score.map(|score| score.mean)),
                ends.unwrap_or_default()
            )
        });
        let ahead = mean.ahead[0].map(|Estimate { mean, interval }| match interval {
            Some([low, high]) => format!("{mean:+.3} ({low:+.3} {high:+.3})"),
            None => format!("{mean:+.3}"),
        });
        println!(
            "{:<20} {:>8.0} {:>5} {ap:>20} {auc:>20} {:>24}",
            mean.model,
            mean.count,
            mean.draws,
            ahead.unwrap_or_default()
        );
    }
    println!(
        "{}",
        if means.iter().any(|mean| mean.subjects > 1) {
            "with 95 % intervals over subjects; differences of macro AP"
        } else {
            "differences of macro AP"
        }
    );
}
