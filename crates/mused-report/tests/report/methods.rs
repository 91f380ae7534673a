//! What the methods paragraph says of runs, and what it must not say.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use mused_run::{
    AlignedInputs, Config, GuidanceUse, HeldOut, Inputs, Layers, MODELS, Onto, Resolved, Run,
};
use tempfile::TempDir;

use crate::example::Example;
use crate::page;

/// The methods paragraph of a run, paragraphs by lines.
fn words(example: &Example) -> String {
    let folder = TempDir::new().unwrap();
    words_of(&page(&example.write(folder.path())))
}

fn words_of(page: &str) -> String {
    let (_, after) = page.split_once(r#"<div class="prose">"#).unwrap();
    let (text, _) = after.split_once("</div>").unwrap();
    let text = text
        .replace("</p><p>", "\n")
        .replace("<p>", "")
        .replace("</p>", "");
    text.replace("&#39;", "'").trim().to_owned()
}

fn run_of(config: &Config) -> Example {
    Example {
        config: Layers::of(config).unwrap().annotated(),
        resolved: Some(resolved(config)),
        validation: true,
        explained: false,
        ..Example::default()
    }
}

fn with(settings: &[&str]) -> Config {
    let set = |config: Config, setting: &&str| config.set(setting).unwrap();
    settings.iter().fold(Config::default(), set)
}

/// What a configuration comes to on a dataset of ten regions that has features for both levels.
fn resolved(config: &Config) -> Resolved {
    let [high, low] = config.model.family.tokens();
    let guidance = |token: bool, choice: &str, features: &str, weight: f64| {
        let unused = match (token, choice) {
            (false, _) => "the model has no such token",
            (true, "none") => "the configuration says none",
            _ => {
                let features = features.to_owned();
                return GuidanceUse::Used { features, weight };
            }
        };
        let unused = unused.to_owned();
        GuidanceUse::Unused { unused }
    };
    let (choices, loss, inputs) = (&config.guidance, &config.loss, &config.model.inputs);
    let arrangement = match (config.model.family.name(), inputs.roi_components) {
        ("brainformer", _) => "grid",
        (_, 0) => "regions",
        _ => "components",
    };
    Resolved {
        guidance_high: guidance(high, &choices.high, "meanings", loss.high),
        guidance_low: guidance(low, &choices.low, "edges", loss.low),
        inputs: Inputs {
            arrangement: arrangement.to_owned(),
            aligned: None,
            zscored: inputs.zscore,
            slots: 10,
            width: 200,
        },
        weights_chosen_by_validation: config.model.family.by_steps(),
        held_out: (!config.split.holdout_subject.is_empty()).then(|| HeldOut {
            subjects: ["sub-01", "sub-02", "sub-03"].map(str::to_owned).to_vec(),
            statistics: "their own responses to training stimuli, without labels".to_owned(),
        }),
        shuffled_brain: inputs.shuffled_brain,
        relabelling: None,
    }
}

/// A run of the defaults on data whose subjects have spaces of their own.
fn aligned(onto: &str) -> Example {
    let onto = Onto::try_from(onto.to_owned()).unwrap();
    let mut run = run_of(&Config::default());
    let inputs = &mut run.resolved.as_mut().unwrap().inputs;
    inputs.arrangement = "aligned".to_owned();
    inputs.aligned = Some(AlignedInputs {
        onto,
        guidance: onto.guidance.then(|| "meanings".to_owned()),
        because: "the configuration says so".to_owned(),
    });
    run
}

#[test]
fn what_regions_were_mapped_onto_is_told() {
    let text = words(&aligned("guidance+labels"));
    for said in [
        "The model read 10 regions of interest, each as what ridge regression made of its voxels, a token each.",
        "onto at most 24 principal components of the features meanings and onto the labels.",
        "least squared error",
        "Voxels were centred and brought to one scale a subject",
        "Tested, logits were the mean of those of the network, which was trained alone, and those of the subject's own scores",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    for not in [
        "z-scored",
        "geometry of the training",
        "No token read scores of labels",
    ] {
        assert!(!text.contains(not), "{not}: {text}");
    }
    let text = words(&aligned("labels"));
    assert!(text.contains("mapped by ridge regression onto the labels."));
    let text = words(&aligned("consensus"));
    assert!(text.contains("the other subjects' mean geometry of the training stimuli"));
    assert!(
        text.contains("No token read scores of labels.")
            && !text.contains("of the features meanings and onto")
    );
    let mut unscaled = aligned("labels");
    unscaled.resolved.as_mut().unwrap().inputs.zscored = false;
    assert!(words(&unscaled).contains("Inputs were not z-scored."));
    assert!(!words(&run_of(&Config::default())).contains("mapped by ridge regression"));
}

#[test]
fn penalties_are_chosen_as_they_were() {
    for (regions, said) in [
        ("together", "One penalty for all labels was chosen"),
        (
            "averaged",
            "One penalty a regression, for all labels, was chosen",
        ),
        ("stacked", "(stacking; Breiman, 1996; Lin et al., 2023)"),
        (
            "banded",
            "(banded ridge regression; Nunez-Elizalde et al., 2019)",
        ),
    ] {
        let regions = format!("model.regions={regions}");
        let mut run = run_of(&with(&["model.family=ridge", &regions]));
        let text = words(&run);
        assert!(text.contains(said), "{regions}: {text}");
        assert!(text.contains("up to six parts of them (least squared error)"));
        // Of one region they are all the same.
        run.resolved.as_mut().unwrap().inputs.slots = 1;
        assert!(words(&run).contains("One penalty for all labels was chosen"));
    }
    let mut first_version = run_of(&with(&["model.family=ridge"]));
    first_version.resolved = None;
    let text = words(&first_version);
    assert!(
        text.contains("up to four parts of them (highest macro average precision)"),
        "{text}"
    );
}

#[test]
fn words_of_every_model_are_as_they_were() {
    let mut all = String::new();
    let models = MODELS.iter().map(|model| {
        let config = Config::default().model(model.name).unwrap();
        (format!("--model {}", model.name), config)
    });
    let presets = ["clip-mused", "clip-mused-hcp"].map(|preset| {
        let config = Config::preset(preset).unwrap();
        (format!("--preset {preset}"), config)
    });
    for (name, config) in models.chain(presets) {
        writeln!(all, "# {name}\n{}\n", words(&run_of(&config))).unwrap();
    }
    for onto in ["guidance+labels", "labels", "stimuli+labels"] {
        let words = words(&aligned(onto));
        writeln!(all, "# aligned inputs: {onto}\n{words}\n").unwrap();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/methods.txt");
    // MUSED_WRITE_SNAPSHOTS=1 writes it anew: read what changed before a commit.
    if std::env::var_os("MUSED_WRITE_SNAPSHOTS").is_some() {
        fs::write(&path, &all).unwrap();
    }
    assert_eq!(all, fs::read_to_string(&path).unwrap_or_default());
}

#[test]
fn no_guidance_is_claimed_where_no_features_were_found() {
    let mut run = run_of(&Config::default());
    let unused = || "no feature set of the dataset names this level".to_owned();
    let resolved = run.resolved.as_mut().unwrap();
    resolved.guidance_high = GuidanceUse::Unused { unused: unused() };
    resolved.guidance_low = GuidanceUse::Unused { unused: unused() };
    let text = words(&run);
    assert!(!text.contains("Representational similarity analysis"));
    assert!(text.contains("Neither token was guided: no feature set of the dataset names"));
    // A run of version 0.1.0 whose dataset is gone.
    run.resolved = None;
    let text = words(&run);
    assert!(!text.contains("Representational similarity analysis"));
    assert!(text.contains("whether there was one is not recorded"));
}

#[test]
fn an_orthogonality_term_is_one_of_two_tokens_and_a_weight() {
    let said = "orthogonality term";
    assert!(words(&run_of(&Config::default())).contains(said));
    for setting in [
        "loss.orthogonality=0",
        "model.levels=high",
        "model.levels=low",
    ] {
        let text = words(&run_of(&with(&[setting])));
        assert!(!text.contains(said), "{setting}: {text}");
    }
}

#[test]
fn tokens_are_those_that_the_model_has() {
    let text = words(&run_of(&with(&["model.levels=high"])));
    assert!(text.contains("each had a high-level token of its own"));
    assert!(!text.contains("low-level"));
    let text = words(&run_of(&with(&["model.levels=low"])));
    assert!(text.contains("a low-level token") && !text.contains("high-level"));
}

#[test]
fn held_out_subjects_are_those_of_single_models() {
    let text = words(&run_of(&with(&["split.holdout_subject=each"])));
    assert!(text.contains("Each subject was tested by models trained on the others."));
    assert!(text.contains("came from their own responses to training stimuli, without labels."));
    assert!(!text.contains("never trained on"));
    let text = words(&run_of(&with(&["split.holdout_subject=sub-02"])));
    assert!(text.contains("Subject sub-02 was tested and never trained on."));
}

#[test]
fn inputs_are_z_scored_where_they_were() {
    let said = "Inputs were z-scored";
    assert!(words(&run_of(&Config::default())).contains(said));
    let mut profiles = run_of(&Config::default());
    profiles.resolved.as_mut().unwrap().inputs.zscored = false;
    assert!(!words(&profiles).contains(said));
    // Nobody knows of a run of version 0.1.0 whose dataset is gone.
    profiles.resolved = None;
    assert!(!words(&profiles).contains("z-scored"));
}

#[test]
fn components_and_alignment_are_told() {
    let text = words(&run_of(&with(&["model.roi_components=20"])));
    assert!(text.contains("10 regions of interest, each as at most 20 principal components"));
    for (alignment, name) in [
        ("procrustes", "Procrustes rotations"),
        ("srm", "shared response model"),
    ] {
        let alignment = format!("model.alignment={alignment}");
        let settings = [
            "model.family=aligned-ridge",
            &alignment,
            "model.alignment_components=30",
        ];
        let text = words(&run_of(&with(&settings)));
        assert!(text.contains("one space of at most 30 dimensions") && text.contains(name));
        assert!(text.contains("the training stimuli that all of them saw"));
    }
}

#[test]
fn controls_say_what_they_are() {
    let mut run = run_of(&with(&["model.shuffled_brain=true"]));
    run.resolved.as_mut().unwrap().relabelling = Some(7);
    let text = words(&run);
    assert!(text.contains("responses were dealt anew to the stimuli of the same run"));
    assert!(text.contains("stimuli carried the labels of others (relabelling 7)"));
}

#[test]
fn weights_are_chosen_as_they_were() {
    let chosen = "the highest macro average precision on the validation stimuli were kept";
    assert!(words(&run_of(&Config::default())).contains(chosen));
    let mut last = run_of(&Config::default());
    (last.validation, last.resolved) = (false, None);
    assert!(words(&last).contains("The weights of the last epoch were kept."));
    let averaged = "Each model is 3 such networks with initial weights of their own, whose logits were averaged.";
    assert!(!words(&run_of(&Config::default())).contains("such networks"));
    assert!(words(&run_of(&with(&["train.ensemble=3"]))).contains(averaged));
    let text = words(&run_of(&with(&["model.family=ridge"])));
    assert!(text.contains("One penalty for all labels was chosen inside the training stimuli"));
    assert!(text.contains("Validation stimuli were not used.") && !text.contains(chosen));
}

#[test]
fn relabellings_are_told_as_they_were_made() {
    let folder = TempDir::new().unwrap();
    let path = run_of(&Config::default()).write(folder.path());
    page(&path);
    let run = Run::open(&path).unwrap();
    for (exchanged, said) in [
        (
            "groups",
            "whole groups of test stimuli exchanged their labels",
        ),
        ("stimuli", ", in which test stimuli exchanged their labels"),
        (
            "blocks",
            "blocks of test stimuli labelled alike exchanged their labels within their group",
        ),
        (
            "shift",
            "the labels of all test stimuli, in the order shown, were shifted along a circle",
        ),
    ] {
        let mut results = run.results().unwrap().unwrap();
        results.inference.exchanged = exchanged.to_owned();
        run.write_results(&results).unwrap();
        let text = words_of(&page(&path));
        assert!(text.contains(said), "{exchanged}: {text}");
    }
}
