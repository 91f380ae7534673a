use super::Input;
use crate::escape::escaped;
use crate::figure::{Block, Section};
use crate::input::RunFiles;
use crate::number::{count, of};
use crate::table::Table;

const CITATIONS: &str = "@inproceedings{zhou2024clipmused,
  title     = {{CLIP-MUSED}: {CLIP}-Guided Multi-Subject Visual Neural Information Semantic Decoding},
  author    = {Zhou, Qiongyi and Du, Changde and Wang, Shengpei and He, Huiguang},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2024}
}

@software{mused,
  title   = {mused: multi-subject multi-label fMRI decoding},
  version = {VERSION}
}";

/// A methods paragraph with this run's numbers, and what is needed to make it again.
pub(crate) fn methods(input: &Input<'_>) -> Section {
    let files = input.files;
    let mut section = Section::new("methods", "Methods and reproduction");
    section.heading("Methods paragraph");
    for sentences in [
        data(files),
        model(files),
        optimisation(files),
        statistics(input),
    ] {
        if !sentences.is_empty() {
            section.paragraph(escaped(&sentences));
        }
    }
    section.heading("To make it again");
    let run = &files.run;
    let mut table = Table::new(&["what", "value"]);
    let mut row = |what: &str, value: String| table.push([what.into(), value.as_str().into()]);
    row("run", files.path.display().to_string());
    row(
        "dataset",
        format!("{} at {}", run.dataset.name, run.dataset.path.display()),
    );
    row("sha256 of the dataset", run.dataset.sha256.clone());
    row(
        "sha256 of split.tsv",
        files.split_sha256.clone().unwrap_or_else(|| "–".to_owned()),
    );
    row("seed of the split", files.settings.written("split.seed"));
    row("seed of training", files.settings.written("train.seed"));
    if let Ok(results) = &files.results {
        row(
            "seed of the relabellings",
            results.inference.seed.to_string(),
        );
        row("schema of the results", results.schema.clone());
    }
    row("mused", run.version.clone());
    row("this report by mused", env!("CARGO_PKG_VERSION").to_owned());
    let machine: Vec<String> = run
        .machine
        .iter()
        .map(|(name, value)| {
            format!(
                "{name} {}",
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            )
        })
        .collect();
    row("machine", machine.join(", "));
    row("started", run.started.clone());
    row(
        "finished",
        run.finished
            .clone()
            .unwrap_or_else(|| "not finished".to_owned()),
    );
    section.push(Block::Table("What the run was made with".to_owned(), table));
    if let Err(why) = &files.dataset {
        section.missing(format!("The dataset cannot be read now: {why}"));
    }
    section.push(Block::Html(block("Commands", &commands(input))));
    section.push(Block::Html(match files.settings.text.as_str() {
        "" => r#"<p class="missing">The run has no config.toml.</p>"#.to_owned(),
        text => block(
            "Configuration (config.toml, with the origin of every value)",
            text,
        ),
    }));
    section.heading("To cite");
    if let Some(citation) = files
        .dataset()
        .and_then(|dataset| dataset.description.citation.as_ref())
    {
        section.paragraph(format!("Data: {}", escaped(citation)));
    }
    section.push(Block::Html(block(
        "BibTeX",
        &CITATIONS.replace("VERSION", &run.version),
    )));
    section
}

fn block(title: &str, text: &str) -> String {
    format!(
        r#"<h4>{0}</h4><pre tabindex="0" role="group" aria-label="{0}"><code>{1}</code></pre>"#,
        escaped(title),
        escaped(text)
    )
}

/// A path or word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-=+:,@".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn commands(input: &Input<'_>) -> String {
    let files = input.files;
    let run = quoted(&files.path.display().to_string());
    let dataset = quoted(&files.run.dataset.path.display().to_string());
    let config = quoted(&files.path.join("config.toml").display().to_string());
    format!(
        "mused train {dataset} --out NEW-RUN --config {config}\nmused evaluate NEW-RUN\nmused explain {run}\n{}",
        input.command
    )
}

fn data(files: &RunFiles) -> String {
    let run = &files.run;
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
    let unit = if files.grouped {
        "whole groups of stimuli (clips, runs or scenes)"
    } else {
        "stimuli"
    };
    let sizes = |pick: fn(&crate::input::FoldSizes) -> usize| {
        let all: Vec<usize> = files.folds.iter().map(pick).collect();
        match (all.iter().min(), all.iter().max()) {
            (Some(low), Some(high)) if low == high => count(*low),
            (Some(low), Some(high)) => format!("{} to {}", count(*low), count(*high)),
            _ => "–".to_owned(),
        }
    };
    if files.folds.is_empty() {
        return text;
    }
    let validation = match files.folds.iter().any(|fold| fold.validation > 0) {
        true => format!(
            ", {} that selected the weights",
            sizes(|fold| fold.validation)
        ),
        false => "; the last weights were kept".to_owned(),
    };
    let division = match files.folds.len() {
        1 => "One division by".to_owned(),
        folds => format!("{folds}-fold cross-validation over"),
    };
    let holdout = match files.settings.text_at("split.holdout_subject") {
        "" => "No test stimulus was trained on in any subject.".to_owned(),
        subject => format!("Subject {subject} was tested and never trained on."),
    };
    format!(
        "{text} {division} {unit} (seed {}): {} training stimuli and {} test stimuli a fold{validation}. {holdout}",
        files.settings.written("split.seed"),
        sizes(|fold| fold.train),
        sizes(|fold| fold.test),
    )
}

fn model(files: &RunFiles) -> String {
    let settings = &files.settings;
    if settings.text.is_empty() {
        return String::new();
    }
    let n = |key: &str| settings.written(key);
    let who = match settings.text_at("model.subjects") {
        "tokens" => "with a low-level and a high-level token of each subject's own",
        "embedding" => "with a vector of each subject added to every token",
        "separate" => "one for each subject",
        _ => "one for all subjects, who are not told apart",
    };
    let mut text = match settings.text_at("model.family") {
        "ridge" => format!("The decoder is a ridge regression of the labels, {who}."),
        "mlp" => format!("The decoder is a network of one hidden layer, {who}."),
        "prevalence" => "The decoder is the frequency of each label among the training samples, whatever the response (a control).".to_owned(),
        _ if settings.text_at("model.tokenizer") == "convolutions" => {
            format!("The decoder is BrainFormer-{}, 3-D convolutions with attention over the whole volume, {who}.", settings.text_at("brainformer.depth"))
        }
        _ => {
            let patches = settings.text_at("model.tokenizer") == "patches"
                || files.dataset().is_some_and(|d| d.description.kind == mused_data::Kind::Volume);
            let unit = match patches {
                true => format!("a token for each cube of {} voxels a side", n("model.patch_size")),
                false => "a token for each region of interest".to_owned(),
            };
            format!(
                "The decoder is a Transformer (width {}, {} deep, {} heads, MLP ratio {}; dropout {}, of attention {}, of inputs {}) over {unit}, {who} (CLIP-MUSED; Zhou et al., 2024).",
                n("model.dim"), n("model.depth"), n("model.heads"), n("model.mlp_ratio"),
                n("model.dropout"), n("model.attention_dropout"), n("model.input_dropout"),
            )
        }
    };
    if settings.is_true("model.zscore") {
        text.push_str(" Inputs were z-scored, a subject, with means and standard deviations of its training samples.");
    }
    if settings.is_true("model.shuffled_brain") {
        text.push_str(" As a control each subject's responses were dealt anew to the stimuli of the same run.");
    }
    let guided = |level: &str| {
        settings.text_at(&format!("guidance.{level}")) != "none"
            && settings
                .number(&format!("loss.{level}"))
                .is_some_and(|weight| weight > 0.0)
    };
    if settings.text_at("model.family") == "transformer" {
        let levels: Vec<String> = ["low", "high"]
            .into_iter()
            .filter(|level| guided(level))
            .map(|level| {
                format!(
                    "{level}-level token (weight {})",
                    n(&format!("loss.{level}"))
                )
            })
            .collect();
        text = match levels.as_slice() {
            [] => format!("{text} No token was guided."),
            levels => format!(
                "{text} Representational similarity analysis guided the {} towards the geometry of stimulus features; an orthogonality term (weight {}) kept the tokens apart.",
                levels.join(" and the "),
                n("loss.orthogonality")
            ),
        };
    }
    text
}

fn optimisation(files: &RunFiles) -> String {
    let settings = &files.settings;
    if settings.text.is_empty()
        || matches!(settings.text_at("model.family"), "ridge" | "prevalence")
    {
        return String::new();
    }
    let n = |key: &str| settings.written(key);
    let schedule = match settings.text_at("train.schedule") {
        "cosine" => format!(
            "after linear warm-up over {} of the steps, half a cosine to 0",
            n("train.warmup")
        ),
        "one-cycle" => "one cycle".to_owned(),
        "step" => format!(
            "times {} every {} epochs",
            n("train.step_factor"),
            n("train.step_epochs")
        ),
        _ => "constant".to_owned(),
    };
    let optimizer = match settings.text_at("train.optimizer") {
        "adam" => "Adam",
        _ => "AdamW",
    };
    let mut text = format!(
        "Weights were trained on binary cross-entropy with {optimizer} for {} epochs in batches of {} (subjects mixed), learning rate {} ({schedule}), weight decay {}, seed {}.",
        n("train.epochs"),
        n("train.batch_size"),
        n("train.learning_rate"),
        n("train.weight_decay"),
        n("train.seed"),
    );
    if settings
        .number("train.ema_decay")
        .is_some_and(|decay| decay > 0.0)
    {
        text = format!(
            "{text} Evaluated weights are an exponential moving average (decay {}).",
            n("train.ema_decay")
        );
    }
    if settings
        .number("train.gradient_clip")
        .is_some_and(|clip| clip > 0.0)
    {
        text = format!(
            "{text} Gradients were clipped to norm {}.",
            n("train.gradient_clip")
        );
    }
    text
}

fn statistics(input: &Input<'_>) -> String {
    let Ok(results) = &input.files.results else {
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
        input.files.run.version,
    )
}
