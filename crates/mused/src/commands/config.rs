use std::process::ExitCode;

use anyhow::bail;
use mused::run::{Setting, Settled};
use mused::{Config, Layers, Run};

use crate::args::ConfigArgs;

pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    if args.markdown {
        print!("{}", Config::page());
        return Ok(ExitCode::SUCCESS);
    }
    let settled = match &args.run {
        Some(run) => Some(Run::open(run)?.settled()?),
        None => None,
    };
    let mut settings = Config::settings();
    if let Some(settled) = &settled {
        let family = settled.family();
        settings.retain(|setting| setting.family.is_none_or(|of| Some(of) == family));
    }
    let found: Vec<&Setting> = match &args.key {
        None => settings.iter().collect(),
        Some(key) => match settings
            .iter()
            .filter(|setting| setting.key == *key)
            .collect()
        {
            exact if !Vec::is_empty(&exact) => exact,
            _ => settings
                .iter()
                .filter(|setting| setting.key.contains(key.as_str()))
                .collect(),
        },
    };
    match (found.as_slice(), &args.key) {
        ([], Some(key)) => {
            // The message of an unknown key names the nearest one.
            Layers::preset("default")?.insert(key, true, "mused config")?;
            bail!("no key has {key:?} in its name");
        }
        (exact, Some(key)) if exact.iter().all(|setting| setting.key == *key) => {
            exact
                .iter()
                .for_each(|setting| describe(setting, settled.as_ref()));
        }
        _ => list(&found, settled.as_ref()),
    }
    Ok(ExitCode::SUCCESS)
}

/// A line a key.
fn list(settings: &[&Setting], settled: Option<&Settled>) {
    for setting in settings {
        let family = setting
            .family
            .map_or(String::new(), |family| format!(" ({family})"));
        let key = format!("{}{family}", setting.key);
        match settled {
            None => println!(
                "{key:<42} {:<14} {}",
                setting.default.to_string(),
                setting.meaning
            ),
            Some(settled) => {
                let (value, origin) = settled.of(&setting.key);
                println!("{:<30} {value:<14} {origin}", setting.key);
            }
        }
    }
}

/// Everything about a key.
fn describe(setting: &Setting, settled: Option<&Settled>) {
    println!("{}", setting.key);
    if let Some(family) = setting.family {
        println!("  family   model.family = \"{family}\"");
    }
    println!("  meaning  {}", setting.meaning);
    println!("  takes    {}", setting.takes());
    for (name, meaning) in &setting.choices {
        println!("           {name}: {meaning}");
    }
    println!("  default  {}", setting.default);
    if let Some(source) = setting.source {
        println!("  source   {source}");
    }
    if let Some(settled) = settled {
        let (value, origin) = settled.of(&setting.key);
        println!("  here     {value} ({origin})");
    }
}
