//! The configuration of version 0.1.0, whose `model` section had the keys of all families side by side.

use toml::{Table, Value};

use super::{Family, InputConfig};

/// Whether a table is a whole configuration of that version.
pub(crate) fn is_old(table: &Table) -> bool {
    table.contains_key("brainformer")
}

/// The same settings with the keys of today.
pub(crate) fn modernised(mut table: Table) -> Table {
    let Some(Value::Table(brainformer)) = table.remove("brainformer") else {
        return table;
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
