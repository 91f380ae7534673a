use toml::{Table, Value};

use super::layers::lookup;

/// The values of a run as its `config.toml` has them, each with where it came from.
#[derive(Clone, Debug)]
pub struct Settled {
    text: String,
    values: Table,
}

impl Settled {
    pub(crate) fn read(text: &str) -> std::result::Result<Self, toml::de::Error> {
        Ok(Self {
            values: text.parse()?,
            text: text.to_owned(),
        })
    }

    /// The family of the run's model.
    pub fn family(&self) -> Option<&str> {
        lookup(&self.values, "model.family").and_then(Value::as_str)
    }

    /// The value of a key and where it came from.
    pub fn of(&self, key: &str) -> (String, String) {
        let Some(value) = lookup(&self.values, key) else {
            return ("–".to_owned(), "not in this run".to_owned());
        };
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        let mut lines = self.text.lines();
        let inside = lines.any(|line| line.trim() == format!("[{section}]"));
        let own = |line: &&str| line.split('=').next().is_some_and(|key| key.trim() == name);
        let line = lines.take_while(|line| !line.starts_with('[')).find(own);
        let origin = line
            .filter(|_| inside)
            .and_then(|line| line.rsplit_once(" # "));
        (
            value.to_string(),
            origin.map_or(String::new(), |(_, origin)| origin.to_owned()),
        )
    }
}
