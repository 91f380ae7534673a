use mused_data::Kind;
use mused_run::{
    Config, Family, FoldSizes, Identity, Optimizer, Pooling, Schedule, VolumeIdentity,
};

use crate::escape::escaped;
use crate::figure::Section;
use crate::input::RunFiles;
use crate::number::{count, of};
use crate::sections::Input;

pub(super) fn add(section: &mut Section, input: &Input<'_>) {
    section.heading("Methods paragraph");
    let mut paragraphs = vec![data(input.files)];
    if let Ok(config) = &input.first().config {
        paragraphs.extend([model(input.files, config), optimisation(config)]);
    }
    paragraphs.push(statistics(input));
    for sentences in paragraphs.iter().filter(|text| !text.is_empty()) {
        section.paragraph(escaped(sentences));
    }
}

fn data(files: &RunFiles) -> String {
    let run = files.run().record();
    let mut text = match run.dataset.simulated {
        true => format!(
            "The data are simulated ({}): no brain was measured.",
            run.dataset.name
        ),
        false => format!("The data are {}.", run.dataset.name),
    };
    if let Some(dataset) = files.dataset() {
        let voxels: Vec<usize> = dataset
            .subjects
            .iter()
            .map(|subject| subject.voxels.len())
            .collect();
        let trials: usize = dataset
            .subjects
            .iter()
            .map(|subject| subject.trials.len())
            .sum();
        let (low, high) = (
            voxels.iter().min().copied().unwrap_or(0),
            voxels.iter().max().copied().unwrap_or(0),
        );
        let range = if low == high {
            count(low)
        } else {
            format!("{} to {}", count(low), count(high))
        };
        let profiles = dataset.description.response == mused_data::Response::SimilarityProfiles;
        let values = if profiles {
            "similarities to reference stimuli"
        } else {
            "voxels"
        };
        let rois = dataset.roi_names().len();
        text = format!(
            "{text} {} saw {} in {} trials in all, carrying {}. A response is {range} {values} a subject in {}.",
            of(dataset.subjects.len(), "subject", "subjects"),
            of(dataset.stimuli.len(), "stimulus", "stimuli"),
            count(trials),
            of(dataset.labels.names.len(), "label", "labels"),
            of(rois, "region of interest", "regions of interest"),
        );
        if let Some(processing) = &dataset.description.processing {
            text = format!("{text} {processing}");
        }
        if let Some(space) = &dataset.description.space {
            text = format!("{text} Anatomical space: {space}.");
        }
        if let Some(tr) = dataset.description.tr {
            text = format!("{text} Repetition time {tr} s.");
        }
    }
    let Ok(division) = &files.division else {
        return text;
    };
    let folds = division.sizes();
    let unit = if division.grouped() {
        "whole groups of stimuli (clips, runs or scenes)"
    } else {
        "stimuli"
    };
    let sizes = |pick: fn(&FoldSizes) -> usize| {
        let all: Vec<usize> = folds.iter().map(pick).collect();
        match (all.iter().min(), all.iter().max()) {
            (Some(low), Some(high)) if low == high => count(*low),
            (Some(low), Some(high)) => format!("{} to {}", count(*low), count(*high)),
            _ => "–".to_owned(),
        }
    };
    if folds.is_empty() {
        return text;
    }
    let validation = match folds.iter().any(|fold| fold.validation > 0) {
        true => format!(
            ", {} that selected the weights",
            sizes(|fold| fold.validation)
        ),
        false => "; the last weights were kept".to_owned(),
    };
    let division = match folds.len() {
        1 => "One division by".to_owned(),
        folds => format!("{folds}-fold cross-validation over"),
    };
    let config = files.scored.config.as_ref().ok();
    let holdout = match config.map_or("", |config| config.split.holdout_subject.as_str()) {
        "" => "No test stimulus was trained on in any subject.".to_owned(),
        subject => format!("Subject {subject} was tested and never trained on."),
    };
    format!(
        "{text} {division} {unit} (seed {}): {} training stimuli and {} test stimuli a fold{validation}. {holdout}",
        config.map_or_else(|| "–".to_owned(), |config| config.split.seed.to_string()),
        sizes(|fold| fold.train),
        sizes(|fold| fold.test),
    )
}

fn model(files: &RunFiles, config: &Config) -> String {
    let tokens = "with a low-level and a high-level token of each subject's own";
    let separate = "one for each subject";
    let shared = "one for all subjects, who are not told apart";
    let pooled = |subjects: Pooling| match subjects {
        Pooling::Separate => separate,
        Pooling::Shared => shared,
    };
    let mut text = match &config.model.family {
        Family::Ridge(model) => format!("The decoder is a ridge regression of the labels, {}.", pooled(model.subjects)),
        Family::AlignedRidge(_) => format!("The decoder is a ridge regression of the labels, {shared}."),
        Family::Mlp(model) => format!("The decoder is a network of one hidden layer, {}.", pooled(model.subjects)),
        Family::Prevalence(_) => "The decoder is the frequency of each label among the training samples, whatever the response (a control).".to_owned(),
        Family::BrainFormer(model) => {
            let who = match model.subjects {
                VolumeIdentity::Tokens => tokens,
                VolumeIdentity::Shared => shared,
                VolumeIdentity::Separate => separate,
            };
            format!("The decoder is BrainFormer-{}, 3-D convolutions with attention over the whole volume, {who}.", model.depth)
        }
        Family::Transformer(model) => {
            let who = match model.subjects {
                Identity::Tokens => tokens,
                Identity::Embedding => "with a vector of each subject added to every token",
                Identity::Shared => shared,
                Identity::Separate => separate,
            };
            let inputs = &config.model.inputs;
            let patches = inputs.tokenizer == mused_run::Tokenizer::Patches
                || files.dataset().is_some_and(|d| d.description.kind == Kind::Volume);
            let unit = match patches {
                true => format!("a token for each cube of {} voxels a side", inputs.patch_size),
                false => "a token for each region of interest".to_owned(),
            };
            format!(
                "The decoder is a Transformer (width {}, {} deep, {} heads, MLP ratio {}; dropout {}, of attention {}, of inputs {}) over {unit}, {who} (CLIP-MUSED; Zhou et al., 2024).",
                model.dim, model.depth, model.heads, model.mlp_ratio,
                model.dropout, model.attention_dropout, model.input_dropout,
            )
        }
    };
    if config.model.inputs.zscore {
        text.push_str(" Inputs were z-scored, a subject, with means and standard deviations of its training samples.");
    }
    if config.model.inputs.shuffled_brain {
        text.push_str(" As a control each subject's responses were dealt anew to the stimuli of the same run.");
    }
    let (guidance, loss) = (&config.guidance, &config.loss);
    if let Family::Transformer(_) = config.model.family {
        let levels = [
            ("low", &guidance.low, loss.low),
            ("high", &guidance.high, loss.high),
        ];
        let guided = levels
            .into_iter()
            .filter(|(_, choice, weight)| *choice != "none" && *weight > 0.0);
        let levels: Vec<String> = guided
            .map(|(level, _, weight)| format!("{level}-level token (weight {weight})"))
            .collect();
        text = match levels.as_slice() {
            [] => format!("{text} No token was guided."),
            levels => format!(
                "{text} Representational similarity analysis guided the {} towards the geometry of stimulus features; an orthogonality term (weight {}) kept the tokens apart.",
                levels.join(" and the "),
                loss.orthogonality
            ),
        };
    }
    text
}

fn optimisation(config: &Config) -> String {
    if !config.model.family.by_steps() {
        return String::new();
    }
    let train = &config.train;
    let schedule = match train.schedule {
        Schedule::Cosine => format!(
            "after linear warm-up over {} of the steps, half a cosine to 0",
            train.warmup
        ),
        Schedule::OneCycle => "one cycle".to_owned(),
        Schedule::Step => format!(
            "times {} every {} epochs",
            train.step_factor, train.step_epochs
        ),
        Schedule::Constant => "constant".to_owned(),
    };
    let optimizer = match train.optimizer {
        Optimizer::Adam => "Adam",
        Optimizer::AdamW => "AdamW",
    };
    let mut text = format!(
        "Weights were trained on binary cross-entropy with {optimizer} for {} epochs in batches of {} (subjects mixed), learning rate {} ({schedule}), weight decay {}, seed {}.",
        train.epochs, train.batch_size, train.learning_rate, train.weight_decay, train.seed,
    );
    if train.ema_decay > 0.0 {
        text = format!(
            "{text} Evaluated weights are an exponential moving average (decay {}).",
            train.ema_decay
        );
    }
    if train.gradient_clip > 0.0 {
        text = format!(
            "{text} Gradients were clipped to norm {}.",
            train.gradient_clip
        );
    }
    text
}

fn statistics(input: &Input<'_>) -> String {
    let Ok(results) = &input.first().results else {
        return String::new();
    };
    let undefined = match results.undefined.as_str() {
        "exclude" => "labels that cannot be scored in a subject are left out of its mean",
        "sklearn" => "a label without positives counts as AP 0",
        _ => "undefined scores count as in the published code, which flatters",
    };
    let interval = results.inference.roc_auc.interval.value();
    let interval = match interval {
        Some(interval) => format!(
            " Intervals (95 %) are of the mean over subjects and for other {} (Obuchowski and Rockette's analysis of multireader studies where both vary).",
            interval.generalises_to
        ),
        None => String::new(),
    };
    format!(
        "Scores are average precision and area under the ROC curve, a label and subject over the pooled test samples of all folds, then means over labels and over subjects ({undefined}); definitions are those of scikit-learn.{interval} P values are from {} relabellings of test {} with predictions held fixed (seed {}); over labels the false discovery rate is controlled (Benjamini and Hochberg, 1995). Computed with mused {}.",
        count(results.inference.permutations),
        results.inference.exchanged,
        results.inference.seed,
        input.files.run().record().version,
    )
}
