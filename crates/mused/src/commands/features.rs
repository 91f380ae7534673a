use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::ensure;
use mused::data::Dataset;
use mused::features::{Extraction, Guide, Made, Outcome, Tokens, extract};
#[cfg(not(feature = "hub"))]
use mused::formats::quoted;
use rayon::ThreadPoolBuilder;

use crate::args::{FeaturesArgs, GuideArg, TokensArg};
use crate::{bars, signals};

pub(crate) fn run(args: &FeaturesArgs) -> anyhow::Result<ExitCode> {
    args.device.choose()?;
    let plain = !args.name.is_empty() && !args.name.starts_with('.');
    ensure!(
        plain && !args.name.contains(['/', '\\']),
        "--name {:?}: expected the name of a folder",
        args.name
    );
    if let Some(bound) = args.clip {
        ensure!(bound > 0.0, "--clip {bound}: expected a bound above 0");
    }
    let dataset = Dataset::open(&args.dataset)?;
    let model = model_folder(args)?;
    let both = args.low == args.high;
    let request = Extraction {
        dataset: &dataset,
        allow: &args.allow,
        model: &model,
        name: &args.name,
        low: (args.low || both).then_some(match args.low_tokens {
            TokensArg::Mean => Tokens::Mean,
            TokensArg::Cls => Tokens::Cls,
            TokensArg::Flatten => Tokens::Flatten,
        }),
        high: (args.high || both).then_some(match args.guidance {
            GuideArg::Both => Guide::Both,
            GuideArg::Image => Guide::Image,
            GuideArg::Text => Guide::Text,
        }),
        clip: args.clip,
        normalise: args.normalise,
        batch: usize::from(args.batch),
    };
    args.memory.limit();
    bars::say_memory("features need", request.bytes(request.batch)?);
    signals::stop_when_asked()?;
    let pool = ThreadPoolBuilder::new()
        .num_threads(args.threads.count())
        .build()?;
    let counter = bars::Counter::new("stimuli");
    let outcome = pool.install(|| {
        extract(&request, |done, total| {
            counter.set(done, total);
            !signals::asked()
        })
    });
    counter.finish();
    match outcome? {
        Outcome::Interrupted => {
            eprintln!("stopped; the same command goes on where it was");
            Ok(signals::exit_code())
        }
        Outcome::Complete { made, unchanged } => {
            let features = args.dataset.join("features");
            for Made { name, reasons } in made {
                let place = features.join(name);
                match reasons.join(", ") {
                    none if none.is_empty() => println!("{}: made", place.display()),
                    why => println!("{}: made again: {why}", place.display()),
                }
            }
            for name in unchanged {
                println!(
                    "{}: there already, unchanged",
                    features.join(name).display()
                );
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn model_folder(args: &FeaturesArgs) -> anyhow::Result<PathBuf> {
    let local = Path::new(&args.model);
    if local.is_dir() {
        return Ok(local.to_owned());
    }
    #[cfg(feature = "hub")]
    {
        Ok(mused::features::hub::Hub::from_environment()?.model(&args.model, &args.revision)?)
    }
    #[cfg(not(feature = "hub"))]
    anyhow::bail!(
        "{} is not a folder, and this build of mused has no downloads: fetch the model with \
         `hf download {}` and give its folder, or build mused with `--features hub`",
        args.model,
        quoted(&args.model)
    )
}
