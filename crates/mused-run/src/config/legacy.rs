//! The configuration of version 0.1.0, whose `model` section had the keys of all families side by side.

use toml::{Table, Value};

use super::{Family, InputConfig};

/// Whether a table is a whole configuration of that version.
pub(crate) fn is_old(table: &Table) -> bool {
    let model = table.get("model").and_then(Value::as_table);
    let had = ["alignment", "tokenizer", "dim", "mlp_ratio"];
    table.contains_key("brainformer")
        && model.is_some_and(|model| had.iter().all(|key| model.contains_key(*key)))
}

/// Whether a table is the configuration of a run of that version, any key of which may be missing.
pub(crate) fn is_of_old_run(table: &Table) -> bool {
    let model = table.get("model").and_then(Value::as_table);
    let text = |key: &str| model.and_then(|model| model.get(key)?.as_str());
    table.contains_key("brainformer")
        || text("tokenizer") == Some("convolutions")
        || (text("alignment").is_some() && text("family") != Some("aligned-ridge"))
}

/// The family that a single value of that version asks for, and what is left of the value.
pub(crate) fn asks_for(
    key: &str,
    value: &Value,
    model: &Table,
    free: bool,
) -> Option<(&'static str, Option<Value>)> {
    let text = |key: &str| model.get(key).and_then(Value::as_str);
    // A model a subject cannot be aligned.
    let family = text("family").filter(|_| text("subjects") != Some("separate"));
    match (key, value.as_str()?, family.unwrap_or_default()) {
        ("model.tokenizer", "convolutions", _) if free => {
            Some(("brainformer", Some("grid".into())))
        }
        ("model.tokenizer", "patches" | "regions", "brainformer") if free => {
            Some(("transformer", Some(value.clone())))
        }
        ("model.alignment", "none", "ridge") => Some(("ridge", None)),
        ("model.subjects", "shared", "aligned-ridge") => Some(("aligned-ridge", None)),
        ("model.alignment", _, "ridge") => Some(("aligned-ridge", Some(value.clone()))),
        _ => None,
    }
}

/// Version 0.1.0 divided anew where there were folds, whatever the authors of the data had divided.
pub(crate) fn ignore_published(table: &mut Table) {
    if let Some(Value::Table(split)) = table.get_mut("split") {
        let folds = split.get("folds").and_then(Value::as_integer);
        if folds.is_some_and(|folds| folds > 1) {
            split.entry("published").or_insert("ignore".into());
        }
    }
}

/// Versions that did not know `model.inputs` read voxels.
pub(crate) fn read_voxels(table: &mut Table) {
    if let Some(Value::Table(model)) = table.get_mut("model") {
        model.entry("inputs").or_insert("voxels".into());
    }
}

/// Versions that did not know `model.own_share` gave networks and the subjects' own scores even shares.
pub(crate) fn even_share(table: &mut Table) {
    if let Some(Value::Table(model)) = table.get_mut("model") {
        let family = model.get("family").and_then(Value::as_str);
        if family.unwrap_or("transformer") == "transformer" {
            model.entry("own_share").or_insert(0.5.into());
        }
    }
}

/// Versions that did not know `train.ridge` trained none beside a network.
pub(crate) fn no_ridge(table: &mut Table) {
    let train = table.entry("train").or_insert_with(|| Table::new().into());
    if let Value::Table(train) = train {
        train.entry("ridge").or_insert(false.into());
    }
}

/// The same settings with the keys of today.
pub(crate) fn modernised(mut table: Table) -> Table {
    ignore_published(&mut table);
    read_voxels(&mut table);
    let brainformer = match table.remove("brainformer") {
        Some(Value::Table(brainformer)) => brainformer,
        _ => Table::new(),
    };
    let Some(Value::Table(mut model)) = table.remove("model") else {
        return table;
    };
    let text = |model: &Table, key: &str| model.get(key).and_then(Value::as_str).map(str::to_owned);
    let convolutions = text(&model, "tokenizer").as_deref() == Some("convolutions");
    if convolutions {
        model.insert("tokenizer".to_owned(), "grid".into());
    }
    let family = match text(&model, "family").as_deref() {
        None | Some("transformer") if convolutions => {
            let depth = text(&brainformer, "depth").and_then(|depth| depth.parse::<i64>().ok());
            model.extend(brainformer);
            if let Some(depth) = depth {
                model.insert("depth".to_owned(), depth.into());
            }
            "brainformer"
        }
        Some("mlp") => {
            let number = |key: &str| match model.get(key)? {
                Value::Integer(value) => Some(*value as f64),
                value => value.as_float(),
            };
            if let Some((dim, ratio)) = number("dim").zip(number("mlp_ratio")) {
                let hidden = (dim * ratio).round().max(1.0) as i64;
                model.insert("hidden".to_owned(), hidden.into());
            }
            "mlp"
        }
        Some("ridge") => match text(&model, "alignment").as_deref() {
            None | Some("none") => "ridge",
            Some(_) => "aligned-ridge",
        },
        Some("prevalence") => "prevalence",
        _ => "transformer",
    };
    model.insert("family".to_owned(), family.into());
    let settings = Family::settings().into_iter();
    let own = settings.filter(|setting| setting.family == Some(family));
    let known: Vec<String> = (own.chain(InputConfig::settings()))
        .filter_map(|setting| setting.key.strip_prefix("model.").map(str::to_owned))
        .chain(["family".to_owned()])
        .collect();
    model.retain(|key, _| known.iter().any(|known| known == key));
    table.insert("model".to_owned(), Value::Table(model));
    table
}
