//! From a dataset to scores, with the library alone.
use mused::data::simulate::{SimulateConfig, simulate};
use mused::{Config, Dataset, compare, evaluate, predict, train};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("mused-ten-lines-{}", std::process::id()));
    let people = SimulateConfig {
        subjects: 2,
        stimuli: 60,
        ..SimulateConfig::default()
    };
    simulate(&people, &folder.join("data"), &mut |_, _| ())?;

    let dataset = Dataset::open(folder.join("data"))?;
    let config = Config::default().folds(2).set("train.epochs=2")?;
    let guided = train(&dataset, config.clone(), folder.join("guided"))?;
    let results = evaluate(&guided)?;
    println!("macro AUC {:?}", results.macro_scores.roc_auc.mean);
    println!("against ridge regression: {:?}", results.ridge);
    let other = config.model("no-guidance")?;
    let unguided = train(&dataset, other, folder.join("unguided"))?;
    let compared = compare(&guided, &unguided)?;
    println!("{}", compared.verdict.sentence("No guidance", "guidance"));
    println!(
        "{:?} rows × labels",
        predict(&guided, &dataset)?.values.dim()
    );

    std::fs::remove_dir_all(folder)?;
    Ok(())
}
