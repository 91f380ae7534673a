use std::path::Path;

use toml::Value;

/// The configuration of a run: `config.toml`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// As it stands, with the origin of every value.
    pub(crate) text: String,
    table: toml::Table,
}

impl Settings {
    /// What can be read of it; nothing where it is missing.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Self {
            table: text.parse().unwrap_or_default(),
            text,
        }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        let (section, name) = key.split_once('.')?;
        self.table.get(section)?.get(name)
    }

    /// The number at `section.name`.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        match self.value(key)? {
            Value::Integer(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The number at `section.name` as it is written; a dash where there is none.
    pub(crate) fn written(&self, key: &str) -> String {
        self.number(key)
            .map_or("–".to_owned(), |value| value.to_string())
    }

    /// The text at `section.name`; empty where there is none.
    pub(crate) fn text_at(&self, key: &str) -> &str {
        self.value(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether `section.name` is true.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.value(key).and_then(Value::as_bool) == Some(true)
    }

    /// Seed of weights and batches: `train.seed`.
    pub(crate) fn seed(&self) -> Option<u64> {
        u64::try_from(self.value("train.seed")?.as_integer()?).ok()
    }

    /// Whether two runs differ in their seed at most.
    pub(crate) fn same_but_for_seed(&self, other: &Self) -> bool {
        let without_seed = |settings: &Self| {
            let mut table = settings.table.clone();
            if let Some(Value::Table(train)) = table.get_mut("train") {
                train.remove("seed");
            }
            table
        };
        without_seed(self) == without_seed(other)
    }
}
