use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::models::MODELS;
use crate::{Config, Error, Result};

/// A configuration put together from a preset, a file and single settings, later ones winning,
/// that remembers where each value came from.
#[derive(Clone, Debug)]
pub struct Layers {
    values: Table,
    origins: BTreeMap<String, String>,
}

impl Layers {
    /// Starts from a preset.
    ///
    /// # Errors
    /// When there is no such preset.
    pub fn preset(name: &str) -> Result<Self> {
        let values = Table::try_from(Config::preset(name)?)
            .map_err(|error| Error::Config(error.to_string()))?;
        let origin = format!("preset {name}");
        let origins = leaves(&values)
            .into_iter()
            .map(|key| (key, origin.clone()))
            .collect();
        Ok(Self { values, origins })
    }

    /// Lays a TOML file over what there is.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has an unknown key.
    pub fn file(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).map_err(Error::io("cannot read", path))?;
        let table: Table = text
            .parse()
            .map_err(|error| Error::invalid(path, format!("{error}")))?;
        let origin = path.display().to_string();
        self.overlay("", &table, &origin)
    }

    /// Lays one `key=value` over what there is; the value is TOML or else a plain string.
    ///
    /// # Errors
    /// When there is no `=` or the key is unknown.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        self.assign(assignment, "--set")
    }

    /// Lays the settings of a baseline, control or ablation over what there is, see [`MODELS`].
    ///
    /// # Errors
    /// Names the models there are.
    pub fn model(&mut self, name: &str) -> Result<()> {
        let Some(model) = MODELS.iter().find(|model| model.name == name) else {
            let known: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
            return Err(Error::Config(format!(
                "unknown model {name:?}: expected one of {}",
                known.join(", ")
            )));
        };
        let origin = format!("model {name}");
        model
            .settings
            .iter()
            .try_for_each(|setting| self.assign(setting, &origin))
    }

    /// Lays one `key=value` over what there is, as [`Layers::set`] does, on account of `origin`.
    ///
    /// # Errors
    /// As [`Layers::set`].
    pub fn assign(&mut self, assignment: &str, origin: &str) -> Result<()> {
        let (key, text) = assignment.split_once('=').ok_or_else(|| {
            Error::Config(format!(
                "{origin} {assignment}: expected key=value, e.g. train.epochs=10"
            ))
        })?;
        let (key, text) = (key.trim(), text.trim());
        let value = format!("value = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| Value::String(text.to_owned()));
        self.insert(key, value, origin)
    }

    /// Lays one value over what there is, e.g. that of a command-line option.
    ///
    /// # Errors
    /// When the key is unknown.
    pub fn insert(&mut self, key: &str, value: impl Into<Value>, origin: &str) -> Result<()> {
        let mut nested = value.into();
        let mut parts: Vec<&str> = key.split('.').collect();
        parts.reverse();
        for part in parts {
            nested = Value::Table(Table::from_iter([(part.to_owned(), nested)]));
        }
        match nested {
            Value::Table(table) => self.overlay("", &table, origin),
            _ => Ok(()),
        }
    }

    fn overlay(&mut self, prefix: &str, table: &Table, origin: &str) -> Result<()> {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}.{name}")
            };
            let current = lookup(&self.values, &key);
            match (value, current) {
                (Value::Table(inner), Some(Value::Table(_))) if key != RATE_FACTORS => {
                    self.overlay(&key, inner, origin)?;
                }
                (_, None) if !key.starts_with(RATE_FACTORS) => {
                    return Err(self.unknown(&key, origin));
                }
                (_, current) => {
                    let value = match (value, current) {
                        // `--set train.weight_decay=0` means 0.0.
                        (Value::Integer(whole), Some(Value::Float(_))) => {
                            Value::Float(*whole as f64)
                        }
                        // `--set brainformer.depth=34` means the one called "34".
                        (Value::Integer(whole), Some(Value::String(_))) => {
                            Value::String(whole.to_string())
                        }
                        _ => value.clone(),
                    };
                    store(&mut self.values, &key, value);
                    self.origins.insert(key, origin.to_owned());
                }
            }
        }
        Ok(())
    }

    fn unknown(&self, key: &str, origin: &str) -> Error {
        let known = leaves(&self.values);
        let nearest = known
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
        let hint = nearest.map_or(String::new(), |name| format!("; did you mean {name}?"));
        Error::Config(format!("unknown key {key} ({origin}){hint}"))
    }

    /// The configuration.
    ///
    /// # Errors
    /// When a value has the wrong type or is out of range.
    pub fn config(&self) -> Result<Config> {
        let config: Config = self
            .values
            .clone()
            .try_into()
            .map_err(|error: toml::de::Error| Error::Config(self.locate(error.to_string())))?;
        config.check()?;
        Ok(config)
    }

    /// Adds, to a message about a value, which values were set by hand.
    fn locate(&self, message: String) -> String {
        let mut given: Vec<String> = Vec::new();
        for (key, origin) in self
            .origins
            .iter()
            .filter(|(_, o)| !o.starts_with("preset"))
        {
            given.push(format!("{key} ({origin})"));
        }
        format!(
            "{}; values given: {}",
            message.trim().replace('\n', " "),
            given.join(", ")
        )
    }

    /// The effective configuration as TOML, each value with where it came from.
    pub fn annotated(&self) -> String {
        let mut text = String::new();
        for (section, values) in &self.values {
            let Value::Table(values) = values else {
                continue;
            };
            let _ = writeln!(text, "[{section}]");
            for (name, value) in values {
                let key = format!("{section}.{name}");
                let origin = self.origins.get(&key).map_or("", String::as_str);
                let _ = writeln!(text, "{name} = {value} # {origin}");
            }
            text.push('\n');
        }
        text
    }
}

/// The one key whose value is a table of the user's own names.
const RATE_FACTORS: &str = "train.rate_factors";

fn lookup<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((first, rest)) => lookup(table.get(first)?.as_table()?, rest),
    }
}

fn store(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = table
                .entry(first.to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                store(inner, rest, value);
            }
        }
    }
}

fn leaves(table: &Table) -> Vec<String> {
    let mut keys = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                keys.extend(leaves(inner).into_iter().map(|key| format!("{name}.{key}")));
            }
            _ => keys.push(name.clone()),
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_layers_win_and_are_remembered() {
        let mut layers = Layers::preset("default").unwrap();
        layers.set("train.epochs=3").unwrap();
        layers.set("train.weight_decay=0").unwrap();
        layers.set("guidance.high=none").unwrap();
        layers.set("train.rate_factors={attention = 0.1}").unwrap();
        let config = layers.config().unwrap();
        assert_eq!(config.train.epochs, 3);
        assert_eq!(config.train.weight_decay, 0.0);
        assert_eq!(config.guidance.high, "none");
        assert_eq!(config.train.rate_factors["attention"], 0.1);
        let text = layers.annotated();
        assert!(text.contains("epochs = 3 # --set"), "{text}");
        assert!(text.contains("depth = 1 # preset default"), "{text}");
        let again: Config = toml::from_str(&text).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn every_model_can_be_set() {
        for model in MODELS {
            let mut layers = Layers::preset("default").unwrap();
            layers.model(model.name).unwrap();
            layers.config().unwrap();
            let changed = layers
                .annotated()
                .contains(&format!("# model {}", model.name));
            assert_eq!(changed, !model.settings.is_empty(), "{}", model.name);
        }
        let mut layers = Layers::preset("default").unwrap();
        let message = layers.model("forest").unwrap_err().to_string();
        assert!(message.contains("transformer-shared"), "{message}");
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        let mut layers = Layers::preset("default").unwrap();
        let message = layers.set("train.epoch=3").unwrap_err().to_string();
        assert!(message.contains("did you mean train.epochs?"), "{message}");
        let message = layers.set("epochs=3").unwrap_err().to_string();
        assert!(message.contains("unknown key epochs"), "{message}");
    }

    #[test]
    fn wrong_values_are_refused() {
        let mut layers = Layers::preset("default").unwrap();
        layers.set("train.epochs=many").unwrap();
        assert!(layers.config().is_err());
        let mut layers = Layers::preset("default").unwrap();
        layers.set("model.heads=5").unwrap();
        let message = layers.config().unwrap_err().to_string();
        assert!(
            message.contains("model.heads must be a divisor of model.dim"),
            "{message}"
        );
    }
}
