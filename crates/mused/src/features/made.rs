use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Key of the digests of a model's files beside its weights in `feature.json`.
pub(super) const SETTINGS: &str = "settings_sha256";

/// A feature set that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// Why the set of this name that was there did not do, such as "config.json changed". Empty where there was none.
    pub reasons: Vec<String>,
}

/// Why a set of the first description is not one of the second.
pub(super) fn reasons(before: &Map<String, Value>, now: &Map<String, Value>) -> Vec<String> {
    let files = |set| Map::get(set, SETTINGS).and_then(Value::as_object);
    let (Some(old), Some(new)) = (files(before), files(now)) else {
        return vec!["the one there was made without regard to the model's settings".to_owned()];
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let names = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name));
    let mut changed: Vec<&str> = names.map(String::as_str).collect();
    for (key, words) in [
        ("weights_sha256", "the model's weights"),
        ("clip", "--clip"),
        ("l2_normalised", "--normalise"),
        ("tokens", "--low-tokens"),
        ("guidance", "--guidance"),
    ] {
        if before.get(key) != now.get(key) {
            changed.push(words);
        }
    }
    if changed.is_empty() {
        // What else a set depends on is in no description.
        changed.push("the stimuli, their images or captions");
    }
    changed
        .iter()
        .map(|what| format!("{what} changed"))
        .collect()
}
