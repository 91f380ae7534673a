#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use mused_data::meant;
use toml::{Table, Value};

use super::{Config, NamedModel, Setting, legacy};
use crate::{Error, Result};

/// A configuration put together from a preset, a file and single settings, later ones winning,
/// that remembers where each value came from.
#[derive(Clone, Debug)]
pub struct Layers {
    preset: String,
    values: Table,
    origins: BTreeMap<String, String>,
}

impl Layers {
    /// Starts from a preset.
    ///
    /// # Errors
    /// When there is no such preset.
    pub fn preset(name: &str) -> Result<Self> {
        let values = table(&Config::preset(name)?)?;
        let origin = format!("preset {name}");
        let origins = keys(&values).map(|key| (key, origin.clone())).collect();
        Ok(Self {
            preset: name.to_owned(),
            values,
            origins,
        })
    }

    /// A configuration that a program made: what differs from the defaults is on its account.
    ///
    /// # Errors
    /// A value that TOML does not have.
    pub fn of(config: &Config) -> Result<Self> {
        Self::inherited(config, "program")
    }

    /// A configuration that is there: what differs from the defaults is on account of `origin`.
    ///
    /// # Errors
    /// A value that TOML does not have.
    pub fn inherited(config: &Config, origin: &str) -> Result<Self> {
        let mut layers = Self::preset("default")?;
        let values = table(config)?;
        let family = config.model.family.name();
        if layers.family() != family {
            layers.insert(FAMILY, family, origin)?;
        }
        for key in keys(&values) {
            if let Some(value) = lookup(&values, &key)
                && lookup(&layers.values, &key) != Some(value)
            {
                layers.insert(&key, value.clone(), origin)?;
            }
        }
        Ok(layers)
    }

    /// Lays a TOML file over what there is.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has an unknown key.
    pub fn file(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).map_err(Error::io("cannot read", path))?;
        self.text(&text, path)
    }

    /// Lays the text of the TOML file `path` over what there is.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub fn text(&mut self, text: &str, path: &Path) -> Result<()> {
        let table: Table = text
            .parse()
            .map_err(|error| Error::invalid(path, format!("{error}")))?;
        let table = match legacy::is_old(&table) {
            true => legacy::modernised(table),
            false => table,
        };
        self.overlay("", &table, &path.display().to_string())
    }

    /// Lays one `key=value` over what there is; the value is TOML or else a plain string.
    ///
    /// # Errors
    /// When there is no `=`, the key is unknown, or does not take the value.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        self.assign(assignment, "--set")
    }

    /// Lays the settings of a baseline, control or ablation over what there is, see [`super::MODELS`].
    ///
    /// # Errors
    /// Names the models there are.
    pub fn model(&mut self, name: &str) -> Result<()> {
        let origin = format!("model {name}");
        let settings = NamedModel::named(name)?.settings;
        let tokens = ["transformer", "brainformer"].contains(&self.family());
        let own_family = settings
            .iter()
            .any(|setting| setting.starts_with("model.family="));
        if !tokens && !own_family && name != SHUFFLED {
            let family = self.family();
            let from = self.origin(FAMILY);
            return Err(Error::Config(format!(
                "{name} is a model with subject tokens, and {FAMILY} is {family:?} ({from}): leave one of them out"
            )));
        }
        settings
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
            .and_then(|mut table| table.remove("value"));
        // A name may look like a number: `split.holdout_subject=0x10`.
        let names = lookup(&self.values, key).is_some_and(Value::is_str);
        let value = value.filter(|value| !names || value.is_str());
        let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
        self.insert(key, value, origin)
    }

    /// Lays one value over what there is, e.g. that of a command-line option.
    ///
    /// # Errors
    /// When the key is unknown or does not take the value.
    pub fn insert(&mut self, key: &str, value: impl Into<Value>, origin: &str) -> Result<()> {
        let mut nested = value.into();
        for part in key.rsplit('.') {
            nested = Value::Table(Table::from_iter([(part.to_owned(), nested)]));
        }
        match nested {
            Value::Table(table) => self.overlay("", &table, origin),
            _ => Ok(()),
        }
    }

    fn overlay(&mut self, prefix: &str, table: &Table, origin: &str) -> Result<()> {
        // The family first, and what version 0.1.0 kept apart last: the family decides which other keys there are.
        let mut entries: Vec<(&String, &Value)> = table.iter().collect();
        entries.sort_by_key(|(name, _)| match name.as_str() {
            "family" if prefix == "model" => 0,
            OLD_SECTION if prefix.is_empty() => 2,
            _ => 1,
        });
        for (name, value) in entries {
            let key = match prefix {
                "" => name.clone(),
                prefix => format!("{prefix}.{name}"),
            };
            let family = self.family().to_owned();
            let model = self.values.get("model").and_then(Value::as_table);
            // A family that somebody chose stays.
            let chosen = self.origin(FAMILY);
            let free = chosen.starts_with("preset") || chosen.ends_with(BY_OLD_KEY);
            let asked = model.and_then(|model| legacy::asks_for(&key, value, model, free));
            if let Some((family, _)) = &asked
                && *family != self.family()
            {
                let origin = format!("{origin}{BY_OLD_KEY}");
                self.store(FAMILY.to_owned(), (*family).into(), &origin)?;
            }
            let value = match &asked {
                Some((_, None)) => continue,
                Some((_, Some(value))) => value,
                None => value,
            };
            match (value, lookup(&self.values, &key)) {
                (Value::Table(inner), None) if key == OLD_SECTION && family == "brainformer" => {
                    self.overlay("model", inner, origin)?;
                }
                (Value::Table(inner), Some(Value::Table(_))) if key != RATE_FACTORS => {
                    self.overlay(&key, inner, origin)?;
                }
                (value, Some(current)) => {
                    let value = self.fitted(&key, value, current, origin)?;
                    self.store(key, value, origin)?;
                }
                (value, None) => {
                    let inner = value.as_table().and_then(|table| table.keys().next());
                    let key = inner.map_or(key.clone(), |inner| format!("{key}.{inner}"));
                    return Err(self.unknown(&key, origin));
                }
            }
        }
        Ok(())
    }

    fn store(&mut self, key: String, value: Value, origin: &str) -> Result<()> {
        if key == FAMILY {
            self.change_family(&value, origin)?;
        }
        if let Some((section, name)) = key.split_once('.')
            && let Some(Value::Table(section)) = self.values.get_mut(section)
        {
            section.insert(name.to_owned(), value);
        }
        self.origins.insert(key, origin.to_owned());
        Ok(())
    }

    fn family(&self) -> &str {
        let family = lookup(&self.values, FAMILY).and_then(Value::as_str);
        family.unwrap_or_default()
    }

    /// Gives the model section the keys of another family: what was set by hand stays where the new family has the key.
    fn change_family(&mut self, name: &Value, origin: &str) -> Result<()> {
        let Some(Value::Table(old)) = self.values.get("model").cloned() else {
            return Ok(());
        };
        if old.get("family") == Some(name) {
            return Ok(());
        }
        let family = name.as_str().unwrap_or_default();
        let new = Config::family_of_preset(&self.preset, family).ok_or_else(|| {
            let known = super::FAMILIES.map(|(name, _)| name).join(", ");
            Error::Config(format!(
                "{FAMILY} must be one of {known}, found {name} ({origin})"
            ))
        })?;
        let mut model = table(&super::ModelConfig {
            family: new,
            inputs: super::InputConfig::default(),
        })?;
        let common = table(&super::InputConfig::default())?;
        for (key, value) in old {
            let full = format!("model.{key}");
            let by_hand = self
                .origins
                .get(&full)
                .is_some_and(|o| !o.starts_with("preset"));
            let kept = common.contains_key(&key) || (by_hand && COMMON.contains(&key.as_str()));
            if model.contains_key(&key) && kept {
                model.insert(key, value);
            } else {
                self.origins.remove(&full);
            }
        }
        for key in model.keys() {
            let full = format!("model.{key}");
            let preset = || format!("preset {}", self.preset);
            self.origins.entry(full).or_insert_with(preset);
        }
        self.values.insert("model".to_owned(), Value::Table(model));
        Ok(())
    }

    /// A value as the key takes it.
    fn fitted(&self, key: &str, value: &Value, current: &Value, origin: &str) -> Result<Value> {
        let family = self.family();
        let of_family = |setting: &Setting| setting.is_of(family);
        let settings = Config::settings().into_iter().filter(of_family);
        let setting = settings.into_iter().find(|setting| setting.key == key);
        let choices = || setting.iter().flat_map(|setting| &setting.choices);
        let one = |text: &str| {
            let known = choices().find(|(name, _)| name.eq_ignore_ascii_case(text));
            known.map(|(name, _)| *name)
        };
        let named = |text: &str| match setting.as_ref().is_some_and(|setting| setting.joined) {
            true => {
                let parts: Option<Vec<&str>> =
                    text.split('+').map(|part| one(part.trim())).collect();
                Some(Value::from(parts?.join("+")))
            }
            false => one(text).map(Value::from),
        };
        Ok(match (value, current) {
            // `depth = "18"`, as version 0.1.0 wrote it.
            (Value::String(text), Value::Integer(_)) if text.parse::<i64>().is_ok() => {
                Value::Integer(text.parse().unwrap_or_default())
            }
            // `--set train.weight_decay=0` means 0.0.
            (Value::Integer(whole), Value::Float(_)) => Value::Float(*whole as f64),
            (Value::String(text), _) if key != FAMILY && choices().next().is_some() => named(text)
                .ok_or_else(|| {
                    let known: Vec<&str> = choices().map(|(name, _)| *name).collect();
                    Error::Config(format!(
                        "{key} must be one of {}, found {value} ({origin})",
                        known.join(", ")
                    ))
                })?,
            // No key takes less than 0 as a whole number but the corners of a grid.
            (Value::Integer(whole), Value::Integer(_)) if *whole < 0 => {
                return Err(Error::Config(format!(
                    "{key} must be 0 or more, found {value} ({origin})"
                )));
            }
            _ if !value.same_type(current) => {
                let kind = (setting.as_ref()).map_or(current.type_str(), |setting| &setting.kind);
                let article = match ["whole", "number", "list", "table"]
                    .iter()
                    .any(|noun| kind.starts_with(noun))
                {
                    true => "a ",
                    false => "",
                };
                let hint = match current.is_str() {
                    true => ": write it in quotes",
                    false => "",
                };
                return Err(Error::Config(format!(
                    "{key} must be {article}{kind}, found {value} ({origin}){hint}"
                )));
            }
            _ => value.clone(),
        })
    }

    fn unknown(&self, key: &str, origin: &str) -> Error {
        let settings = Config::settings();
        let of: Vec<&str> = (settings.iter())
            .filter(|setting| setting.key == key)
            .filter_map(|setting| setting.family)
            .collect();
        if !of.is_empty() {
            let found = self.family();
            return Error::Config(format!(
                "{key} ({origin}) is a key of {FAMILY} {}, and the family is {found:?}: set the family before it, or leave \
                 the key out",
                of.join(", ")
            ));
        }
        if let Some(name) = key.strip_prefix("brainformer.") {
            return Error::Config(format!(
                "unknown key {key} ({origin}): it is model.{name} now, after model.family = \"brainformer\""
            ));
        }
        let meant = meant(key, settings.iter().map(|setting| setting.key.as_str()));
        let hint = meant.map_or("; `mused config` lists all".to_owned(), |name| {
            format!("; did you mean {name}?")
        });
        Error::Config(format!("unknown key {key} ({origin}){hint}"))
    }

    /// The configuration.
    ///
    /// # Errors
    /// When a value is out of range; the message says where it was set.
    pub fn config(&self) -> Result<Config> {
        let config: Config = (self.values.clone().try_into())
            .map_err(|error: toml::de::Error| Error::Config(self.located(error.message())))?;
        match config.problem()? {
            None => Ok(config),
            Some((key, message)) => {
                let origin = self.origins.get(&key).map_or("", String::as_str);
                Err(Error::Config(format!("{message} ({origin})")))
            }
        }
    }

    /// A message about a value that has the wrong type, with the key that is at fault: the one without which all is well.
    fn located(&self, message: &str) -> String {
        let by_hand = (self.origins.iter()).filter(|(_, origin)| !origin.starts_with("preset"));
        for (key, origin) in by_hand {
            let (section, name) = key.split_once('.').unwrap_or(("", key));
            let mut values = self.values.clone();
            if let Some(Value::Table(section)) = values.get_mut(section) {
                section.remove(name);
            }
            if values.try_into::<Config>().is_ok() {
                return format!("{key}: {message} ({origin})");
            }
        }
        message.to_owned()
    }

    fn origin(&self, key: &str) -> &str {
        self.origins.get(key).map_or("", String::as_str)
    }

    /// The effective configuration as TOML, each value with where it came from.
    pub fn annotated(&self) -> String {
        let mut text = String::new();
        for (section, values) in &self.values {
            let _ = writeln!(text, "[{section}]");
            for (name, value) in values.as_table().into_iter().flatten() {
                let origin = self.origins.get(&format!("{section}.{name}"));
                let origin = origin.map_or("", String::as_str).replace(['\n', '\r'], " ");
                let _ = writeln!(text, "{name} = {value} # {origin}");
            }
            text.push('\n');
        }
        text
    }
}

impl Config {
    /// The configuration in `text`, of a run of this or another version: a key that is missing has its default, one that
    /// is unknown is passed over.
    ///
    /// # Errors
    /// Text that is no TOML, or a value of the wrong type.
    pub fn read(text: &str) -> std::result::Result<Self, toml::de::Error> {
        Self::of_run(text.parse()?)
    }

    /// The configuration of a run of this version or an earlier one.
    pub(crate) fn of_run(mut table: Table) -> std::result::Result<Self, toml::de::Error> {
        if legacy::is_of_old_run(&table) {
            table = legacy::modernised(table);
        }
        legacy::ignore_published(&mut table);
        legacy::read_voxels(&mut table);
        legacy::no_ridge(&mut table);
        legacy::even_share(&mut table);
        if let Some(Value::Table(model)) = table.get_mut("model") {
            model.entry("family").or_insert("transformer".into());
        }
        table.try_into()
    }

    /// The keys whose values differ in another configuration: `key: this value, now that one`.
    ///
    /// # Errors
    /// A value that TOML does not have.
    pub(crate) fn changes(&self, other: &Self) -> Result<Vec<String>> {
        let [this, that] = [&table(self)?, &table(other)?];
        let all: BTreeSet<String> = keys(this).chain(keys(that)).collect();
        let text = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
        let differ = all.into_iter().filter_map(|key| {
            let (a, b) = (lookup(this, &key), lookup(that, &key));
            (a != b).then(|| format!("{key}: {}, now {}", text(a), text(b)))
        });
        Ok(differ.collect())
    }
}

/// The one key whose value is a table of the user's own names.
const RATE_FACTORS: &str = "train.rate_factors";
const FAMILY: &str = "model.family";
/// The one named model that takes any family as it is.
const SHUFFLED: &str = "shuffled-brain";
/// Keys that mean the same in every family that has them.
const COMMON: [&str; 3] = ["subjects", "dropout", "input_dropout"];
/// Ends the origin of a family that a key of version 0.1.0 asked for.
const BY_OLD_KEY: &str = ", by a key of version 0.1.0";
/// Where version 0.1.0 had the sizes of BrainFormer.
const OLD_SECTION: &str = "brainformer";

fn table(values: &impl serde::Serialize) -> Result<Table> {
    Table::try_from(values).map_err(|error| Error::Config(error.to_string()))
}

pub(crate) fn lookup<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((first, rest)) => lookup(table.get(first)?.as_table()?, rest),
    }
}

/// Every `section.name` of a configuration; a table of the user's own names is one value.
fn keys(values: &Table) -> impl Iterator<Item = String> {
    values.iter().flat_map(|(section, values)| {
        let names = values.as_table().into_iter().flat_map(Table::keys);
        names.map(move |name| format!("{section}.{name}"))
    })
}
