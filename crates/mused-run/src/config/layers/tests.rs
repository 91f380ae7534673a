use super::*;
use crate::{Family, MODELS, PRESETS};

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
    assert_eq!(Config::read(&text).unwrap(), config);
    assert_eq!(Layers::of(&config).unwrap().config().unwrap(), config);
}

#[test]
fn every_model_and_preset_can_be_set() {
    for (preset, _) in PRESETS {
        for model in MODELS {
            let mut layers = Layers::preset(preset).unwrap();
            if preset == "clip-mused-hcp" && model.name == "transformer-embedding" {
                // BrainFormer has no such vectors.
                let message = layers.model(model.name).unwrap_err().to_string();
                assert!(message.contains("model.subjects"), "{message}");
                continue;
            }
            if preset == "clip-mused-hcp" && model.name.ends_with("-token") {
                let message = layers.model(model.name).unwrap_err().to_string();
                assert!(message.contains("model.levels"), "{message}");
                continue;
            }
            layers.model(model.name).unwrap();
            let config = layers.config().unwrap();
            let text = layers.annotated();
            let changed = text.contains(&format!("# model {}", model.name));
            assert_eq!(changed, !model.settings.is_empty(), "{}", model.name);
            assert_eq!(Config::read(&text).unwrap(), config);
        }
    }
    let mut layers = Layers::preset("default").unwrap();
    let message = layers.model("forest").unwrap_err().to_string();
    assert!(message.contains("transformer-shared"), "{message}");
}

#[test]
fn a_family_brings_its_own_keys_and_keeps_what_was_set_by_hand() {
    let mut layers = Layers::preset("clip-mused").unwrap();
    layers.set("model.dropout=0.5").unwrap();
    layers.set("model.zscore=false").unwrap();
    layers.set("model.dim=64").unwrap();
    layers.model("mlp-separate").unwrap();
    let config = layers.config().unwrap();
    let Family::Mlp(mlp) = &config.model.family else {
        panic!("{config:?}");
    };
    assert_eq!(
        (mlp.hidden, mlp.dropout, mlp.input_dropout),
        (2048, 0.5, 0.0)
    );
    assert!(config.model.family.separate() && !config.model.inputs.zscore);
    let message = layers.set("model.dim=64").unwrap_err().to_string();
    assert!(
        message.contains("model.dim (--set) is a key of model.family transformer"),
        "{message}"
    );
    let message = layers.set("brainformer.depth=10").unwrap_err().to_string();
    assert!(message.contains("it is model.depth now"), "{message}");
}

#[test]
fn single_values_of_the_first_version_are_taken() {
    let mut layers = Layers::preset("default").unwrap();
    layers.set("model.tokenizer=convolutions").unwrap();
    layers.set("brainformer.depth=34").unwrap();
    let config = layers.config().unwrap();
    assert!(matches!(config.model.family, Family::BrainFormer(model) if model.depth == 34));
    let mut layers = Layers::preset("default").unwrap();
    for setting in [
        "model.family=ridge",
        "model.subjects=shared",
        "model.alignment=srm",
    ] {
        layers.set(setting).unwrap();
    }
    assert_eq!(
        layers.config().unwrap().model.family.name(),
        "aligned-ridge"
    );
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("part.toml");
    fs::write(
        &file,
        "[brainformer]\ndepth = \"10\"\n[model]\ntokenizer = \"convolutions\"\n",
    )
    .unwrap();
    let mut layers = Layers::preset("default").unwrap();
    layers.file(&file).unwrap();
    let config = layers.config().unwrap();
    assert!(matches!(config.model.family, Family::BrainFormer(model) if model.depth == 10));
    // In a file, keys have no order of their own.
    fs::write(
        &file,
        "[model]\nfamily = \"ridge\"\nsubjects = \"shared\"\nalignment = \"srm\"\n",
    )
    .unwrap();
    let mut layers = Layers::preset("default").unwrap();
    layers.file(&file).unwrap();
    assert_eq!(
        layers.config().unwrap().model.family.name(),
        "aligned-ridge"
    );
    // A family that somebody chose is not taken away.
    for (family, tokenizer) in [("brainformer", "patches"), ("mlp", "convolutions")] {
        let mut layers = Layers::preset("default").unwrap();
        layers.set(&format!("model.family={family}")).unwrap();
        let set = layers.set(&format!("model.tokenizer={tokenizer}"));
        let message = set.and_then(|()| layers.config()).unwrap_err().to_string();
        assert!(message.starts_with("model.tokenizer must be"), "{message}");
    }
    let mut layers = Layers::preset("default").unwrap();
    layers.set("model.family=mlp").unwrap();
    let message = layers.model("no-guidance").unwrap_err().to_string();
    assert!(message.contains("a model with subject tokens"), "{message}");
    layers.model("shuffled-brain").unwrap();
    // Folds went before a published test part.
    let folds = OLD.replace("folds = 1", "folds = 3");
    let split = Config::read(&folds).unwrap().split;
    assert_eq!(split.published, crate::Published::Ignore);
}

#[test]
fn unknown_keys_name_the_nearest() {
    let mut layers = Layers::preset("default").unwrap();
    let message = layers.set("train.epoch=3").unwrap_err().to_string();
    assert!(message.contains("did you mean train.epochs?"), "{message}");
    let message = layers.set("epochs=3").unwrap_err().to_string();
    assert!(message.contains("unknown key epochs"), "{message}");
}

/// A misspelt key must not pass for a name among the learning-rate factors, nor their origin be lost.
#[test]
fn learning_rate_factors_are_one_value() {
    let mut layers = Layers::preset("clip-mused").unwrap();
    let message = layers.set("train.rate_factorss=2").unwrap_err().to_string();
    assert!(
        message.contains("did you mean train.rate_factors?"),
        "{message}"
    );
    let text = layers.annotated();
    assert!(
        text.contains("{ attention = 0.1 } # preset clip-mused"),
        "{text}"
    );
    layers.set("train.rate_factors.tokens=-1").unwrap();
    let message = layers.config().unwrap_err().to_string();
    assert!(message.ends_with("(--set)"), "{message}");
}

#[test]
fn wrong_values_are_refused_with_their_origin() {
    let refused = |setting: &str| {
        let mut layers = Layers::preset("default").unwrap();
        let set = layers.set(setting);
        set.and_then(|()| layers.config()).unwrap_err().to_string()
    };
    for (setting, expected) in [
        (
            "train.epochs=many",
            "train.epochs must be a whole number, found \"many\" (--set)",
        ),
        (
            "train.epochs=0",
            "train.epochs must be from 1 to 16777216, found 0 (--set)",
        ),
        (
            "model.heads=5",
            "model.heads must be a divisor of model.dim (--set)",
        ),
        (
            "train.optimizer=sgd",
            "train.optimizer must be one of adam, adamw, found \"sgd\" (--set)",
        ),
        (
            "model.inputs=labels+nose",
            "model.inputs must be one of auto, voxels, guidance, consensus, stimuli, labels, found \"labels+nose\" (--set)",
        ),
        (
            "model.inputs=voxels+labels",
            "model.inputs: expected auto, voxels, or guidance, consensus, stimuli and labels joined by +, found \"voxels+labels\"",
        ),
        (
            "model.dropout=1",
            "model.dropout must be 0 or more and below 1, found 1.0 (--set)",
        ),
        (
            "model.mlp_ratio=inf",
            "model.mlp_ratio must be above 0, found inf (--set)",
        ),
        (
            "train.epochs=-1",
            "train.epochs must be 0 or more, found -1 (--set)",
        ),
        ("audit.allow=[\"nosuch\"]", "audit.allow: unknown variant"),
        (
            "model.family=forest",
            "model.family must be one of transformer",
        ),
    ] {
        let message = refused(setting);
        assert!(message.starts_with(expected), "{setting}: {message}");
    }
}

#[test]
fn names_that_look_like_numbers_stay_names() {
    let mut layers = Layers::preset("default").unwrap();
    for (given, expected) in [
        ("0x10", "0x10"),
        ("007", "007"),
        ("1e3", "1e3"),
        ("\"5\"", "5"),
    ] {
        layers
            .set(&format!("split.holdout_subject={given}"))
            .unwrap();
        assert_eq!(layers.config().unwrap().split.holdout_subject, expected);
    }
    layers.set("loss.orthogonality_form=L1").unwrap();
    let text = layers.annotated();
    assert!(text.contains("orthogonality_form = \"l1\""), "{text}");
}

/// As version 0.1.0 wrote it.
const OLD: &str = include_str!("../../../tests/config-0.1.0.toml");

/// Versions that did not know `model.inputs` read voxels, and their runs go on to; nor did they train ridge regression
/// beside a network, or weigh the two.
fn not_known() -> Config {
    let voxels = Config::default().set("model.inputs=voxels").unwrap();
    let alone = voxels.set("train.ridge=false").unwrap();
    alone.set("model.own_share=0.5").unwrap()
}

fn of_old() -> Config {
    not_known().set("split.validation_fraction=0.1").unwrap()
}

#[test]
fn a_configuration_of_the_first_version_is_read() {
    assert_eq!(Config::read(OLD).unwrap(), of_old());
    let with = |from: &str, to: &str| {
        assert!(OLD.contains(from), "{from}");
        Config::read(&OLD.replace(from, to)).unwrap().model
    };
    let shared = |family: &str| {
        let own = OLD.replace("subjects = \"tokens\"", "subjects = \"shared\"");
        let own = own.replace(
            "family = \"transformer\"",
            &format!("family = \"{family}\""),
        );
        Config::read(&own).unwrap().model
    };
    assert_eq!(shared("ridge").family.name(), "ridge");
    let mlp = shared("mlp");
    assert!(matches!(mlp.family, Family::Mlp(mlp) if mlp.hidden == 256));
    let volume = with("tokenizer = \"auto\"", "tokenizer = \"convolutions\"");
    assert!(matches!(volume.family, Family::BrainFormer(model) if model.depth == 18));
}

/// A run of another version may lack any key, and have more.
#[test]
fn keys_of_a_run_may_be_missing_or_unknown() {
    let lines: Vec<&str> = OLD.lines().collect();
    for left_out in 0..lines.len() {
        let kept = lines
            .iter()
            .enumerate()
            .filter(|(line, _)| *line != left_out);
        let text: Vec<&str> = kept.map(|(_, line)| *line).collect();
        if !lines[left_out].starts_with('[') {
            Config::read(&text.join("\n")).unwrap();
        }
    }
    let more = format!(
        "{}\n[future]\nkey = 1\n",
        OLD.replace("[train]", "[train]\nnew = 2")
    );
    assert_eq!(Config::read(&more).unwrap(), of_old());
}

#[test]
fn what_a_run_did_not_know_it_did_not_do() {
    let text = Layers::of(&Config::default()).unwrap().annotated();
    assert_eq!(Config::read(&text).unwrap(), Config::default());
    let newer = |line: &&str| {
        let keys = ["inputs = ", "ridge = ", "own_share = "];
        keys.iter().any(|key| line.starts_with(key))
    };
    let before: Vec<&str> = text.lines().filter(|line| !newer(line)).collect();
    let before = before.join("\n");
    assert_eq!(Config::read(&before).unwrap(), not_known());
    // A file of settings is no run: what it leaves out is the preset's.
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, &before).unwrap();
    let mut layers = Layers::preset("default").unwrap();
    layers.file(&file).unwrap();
    assert_eq!(layers.config().unwrap(), Config::default());
}

/// Everything that version 0.1.0 let pass opens as a run, is trained again as it is, and is taken as a file.
#[test]
fn all_that_the_first_version_took_is_taken() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("config.toml");
    let mut seen = 0;
    for family in ["transformer", "mlp", "ridge", "prevalence"] {
        for subjects in ["tokens", "shared", "embedding", "separate"] {
            for tokenizer in ["auto", "regions", "patches", "convolutions"] {
                for levels in ["both", "high", "low"] {
                    for alignment in ["none", "procrustes", "srm"] {
                        let transformer = family == "transformer";
                        let convolutions = tokenizer == "convolutions";
                        let taken = (transformer || ["shared", "separate"].contains(&subjects))
                            && (alignment == "none" || (family, subjects) == ("ridge", "shared"))
                            && (!convolutions || (levels == "both" && subjects != "embedding"));
                        if !taken {
                            continue;
                        }
                        seen += 1;
                        let mut text = OLD.to_owned();
                        for (key, old, new) in [
                            ("family", "transformer", family),
                            ("subjects", "tokens", subjects),
                            ("tokenizer", "auto", tokenizer),
                            ("levels", "both", levels),
                            ("alignment", "none", alignment),
                        ] {
                            let line = |value: &str| format!("\n{key} = \"{value}\"");
                            assert!(text.contains(&line(old)), "{key}");
                            text = text.replace(&line(old), &line(new));
                        }
                        let case = format!("{family} {subjects} {tokenizer} {levels} {alignment}");
                        let config = Config::read(&text).unwrap_or_else(|e| panic!("{case}: {e}"));
                        let expected = match (family, convolutions, alignment) {
                            ("transformer", true, _) => "brainformer",
                            ("ridge", _, "procrustes" | "srm") => "aligned-ridge",
                            _ => family,
                        };
                        assert_eq!(config.model.family.name(), expected, "{case}");
                        let again = Layers::of(&config).and_then(|layers| layers.config());
                        assert_eq!(
                            again.unwrap_or_else(|e| panic!("{case}: {e}")),
                            config,
                            "{case}"
                        );
                        fs::write(&file, &text).unwrap();
                        let mut layers = Layers::preset("default").unwrap();
                        layers.file(&file).unwrap_or_else(|e| panic!("{case}: {e}"));
                        if expected == "transformer" {
                            // A run of before shared evenly; who gives its file means today's share.
                            layers.set("model.own_share=0.5").unwrap();
                        }
                        let given = layers.config().unwrap_or_else(|e| panic!("{case}: {e}"));
                        assert_eq!(given.model, config.model, "{case}");
                        // A key of the old table is missing, as in files of versions between.
                        for missing in ["alignment", "tokenizer", "dim", "mlp_ratio", "patch_size"]
                        {
                            let kept = text
                                .lines()
                                .filter(|line| !line.starts_with(&format!("{missing} =")));
                            let text: Vec<&str> = kept.collect();
                            let less = Config::read(&text.join("\n"))
                                .unwrap_or_else(|e| panic!("{case} without {missing}: {e}"));
                            let decides = ["alignment", "tokenizer"].contains(&missing);
                            assert!(
                                decides || less.model.family.name() == expected,
                                "{case} without {missing}"
                            );
                        }
                    }
                }
            }
        }
    }
    assert!(seen > 40, "{seen}");
}
