use std::path::PathBuf;

use clap::Args;
use mused::Layers;

/// Configuration of all runs of a command.
#[derive(Debug, Args)]
pub(crate) struct LayerArgs {
    /// Named set of defaults that all models start from
    #[arg(long, value_name = "NAME", default_value = "default")]
    preset: String,
    /// TOML file with values that differ from the preset
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One value, e.g. train.epochs=10
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Cross-validate over K folds of stimulus groups
    #[arg(long, value_name = "K")]
    folds: Option<u32>,
}

impl LayerArgs {
    pub(crate) fn preset(&self) -> anyhow::Result<Layers> {
        Ok(Layers::preset(&self.preset)?)
    }

    /// What was asked for, over these layers.
    pub(crate) fn over(&self, mut layers: Layers) -> anyhow::Result<Layers> {
        if let Some(file) = &self.config {
            layers.file(file)?;
        }
        for assignment in &self.settings {
            layers.set(assignment)?;
        }
        if let Some(folds) = self.folds {
            layers.insert("split.folds", i64::from(folds), "--folds")?;
        }
        Ok(layers)
    }
}
