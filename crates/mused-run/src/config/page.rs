//! The page `docs/configuration.md`, made from the definitions of the settings.

use std::fmt::Write as _;

use super::{Config, FAMILIES, MODELS, PRESETS, Setting};

impl Config {
    /// Every key with its type, range, default, meaning and source, as a page of Markdown.
    pub fn page() -> String {
        let mut text = String::from(
            "# Configuration\n\nMade by `mused config --markdown` from the definitions; `mused config KEY` prints one key, `mused config \
             --run RUN` the values of a run and where each came from.\n\nA configuration is put together from a preset \
             (`--preset`), a TOML file (`--config`), a named model (`--model`) and single values (`--set KEY=VALUE`), \
             later ones winning. `RUN/config.toml` keeps the result and is itself a valid `--config`.\n",
        );
        let settings = Self::settings();
        for section in ["split", "model", "guidance", "loss", "train", "audit"] {
            let of = |setting: &&Setting| setting.section() == section && setting.family.is_none();
            let common: Vec<&Setting> = settings.iter().filter(of).collect();
            let _ = writeln!(text, "\n## {section}\n");
            if section == "model" {
                text.push_str("Keys of every family:\n\n");
            }
            table(&mut text, &common);
            if section == "model" {
                for (family, meaning) in FAMILIES {
                    let _ = writeln!(text, "\n### model.family = \"{family}\"\n\n{meaning}\n");
                    let own = settings
                        .iter()
                        .filter(|setting| setting.family == Some(family));
                    table(&mut text, &own.collect::<Vec<_>>());
                }
            }
        }
        text.push_str("\n## Presets\n\n| `--preset` | is |\n|---|---|\n");
        for (name, meaning) in PRESETS {
            let _ = writeln!(text, "| `{name}` | {meaning} |");
        }
        text.push_str("\n## Named models\n\n| `--model` | is | settings |\n|---|---|---|\n");
        for model in MODELS {
            let settings: Vec<String> = model.settings.iter().map(|s| format!("`{s}`")).collect();
            let _ = writeln!(
                text,
                "| `{}` | {} | {} |",
                model.name,
                model.description,
                settings.join(" ")
            );
        }
        text
    }
}

fn table(text: &mut String, settings: &[&Setting]) {
    text.push_str("| key | type | default | meaning | source |\n|---|---|---|---|---|\n");
    for setting in settings {
        let mut kind = setting.takes();
        if !setting.choices.is_empty() {
            kind = String::new();
            for (name, meaning) in &setting.choices {
                let _ = write!(kind, "`{name}`: {meaning} ");
            }
        }
        let _ = writeln!(
            text,
            "| `{}` | {} | `{}` | {} | {} |",
            setting.key,
            kind.trim(),
            setting.default,
            setting.meaning,
            setting.source.unwrap_or_default()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `mused config --markdown > docs/configuration.md` mends it.
    #[test]
    fn the_page_is_true() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let written = std::fs::read_to_string(path).unwrap();
        assert!(
            written == Config::page(),
            "docs/configuration.md is not what the settings say"
        );
    }

    /// A setting that no field has, or a field that no setting tells of, would make the page a lie.
    #[test]
    fn every_field_has_its_setting() {
        let settings = Config::settings();
        for (preset, _) in PRESETS {
            for (family, _) in FAMILIES {
                let mut layers = crate::Layers::preset(preset).unwrap();
                layers.set(&format!("model.family={family}")).unwrap();
                let text = layers.annotated();
                let written: toml::Table = text.parse().unwrap();
                let mut keys: Vec<String> = written
                    .iter()
                    .flat_map(|(section, of)| {
                        let of = of.as_table().unwrap().keys();
                        of.map(move |key| format!("{section}.{key}"))
                    })
                    .collect();
                let told = settings.iter().filter(|setting| setting.is_of(family));
                let mut told: Vec<String> = told.map(|setting| setting.key.clone()).collect();
                keys.sort();
                told.sort();
                assert_eq!(keys, told, "{preset} {family}");
            }
        }
        for setting in settings {
            assert!(setting.meaning.ends_with('.'), "{}", setting.key);
            let range = setting.range;
            assert!(
                range.is_none_or(|range| range.admits(&setting.default)),
                "{}",
                setting.key
            );
        }
    }
}
