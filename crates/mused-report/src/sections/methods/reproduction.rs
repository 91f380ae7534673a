use mused_formats::quoted;
use mused_run::{Config, Machine, RunRecord};

use crate::escape::escaped;
use crate::figure::{Block, Section};
use crate::sections::Input;
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

/// What the run was made with, the commands and the configuration, and whom to cite.
pub(super) fn add(section: &mut Section, input: &Input<'_>) {
    let mut made = Section::inside();
    let mut table = Table::new(&["what", "value"]);
    for (what, value) in made_with(input) {
        table.push([(&what).into(), (&value).into()]);
    }
    made.push(Block::Table("What the run was made with".to_owned(), table));
    made.push(Block::Html(block("Commands", &commands(input))));
    match input.files.run().config_text() {
        Ok(text) => made.push(Block::Html(block(
            "Configuration (config.toml, with the origin of every value)",
            &text,
        ))),
        Err(_) => made.missing("The run has no config.toml."),
    };
    section.fold("To make it again: versions, commands, configuration", made);
    if let Err(why) = &input.files.dataset {
        section.missing(format!("The dataset cannot be read now: {why}"));
    }
    if let Some(audit) = input.facts.audit.filter(|audit| !audit.skipped.is_empty()) {
        let mut searched = Section::inside();
        for skipped in &audit.skipped {
            searched.paragraph(format!("Not searched: {}", escaped(&skipped.to_string())));
        }
        section.fold("What the audit could not search for", searched);
    }
    let mut cite = Section::inside();
    let dataset = input.files.dataset();
    if let Some(citation) = dataset.and_then(|dataset| dataset.description.citation.as_ref()) {
        cite.paragraph(format!("Data: {}", escaped(citation)));
    }
    let version = &input.files.run().record().version;
    let citations = CITATIONS.replace("VERSION", version);
    cite.push(Block::Html(block("BibTeX", &citations)));
    section.fold("To cite", cite);
}

fn made_with(input: &Input<'_>) -> Vec<(String, String)> {
    let record = input.files.run().record();
    let place = record.dataset.path.as_ref();
    let place = place.map_or("in memory".to_owned(), |path| {
        format!("at {}", path.display())
    });
    let finished = record.finished.as_deref().unwrap_or("not finished");
    let row = |what: &str, value: &str| (what.to_owned(), value.to_owned());
    let run = input.files.run().path().display().to_string();
    let mut rows = vec![
        row("run", &run),
        row("dataset", &format!("{} {place}", record.dataset.name)),
    ];
    rows.extend(identity(record));
    rows.extend(chance(input));
    rows.extend([
        row("mused", &record.version),
        row("this report by mused", env!("CARGO_PKG_VERSION")),
        row("machine", &machine(&record.machine)),
        row("started", &record.started),
        row("finished", finished),
    ]);
    rows
}

/// The division and the seeds; a dash where they are not known.
fn chance(input: &Input<'_>) -> [(String, String); 5] {
    let config = input.first().config.as_ref().ok();
    let results = input.first().results.as_ref().ok();
    let seed = |of: fn(&Config) -> u64| config.map(|config| of(config).to_string());
    let relabelled = results.map(|results| results.inference.seed.to_string());
    [
        ("sha256 of split.tsv", input.files.split_sha256.clone()),
        ("seed of the split", seed(|config| config.split.seed)),
        ("seed of training", seed(|config| config.train.seed)),
        ("seed of the relabellings", relabelled),
        (
            "schema of the results",
            results.map(|results| results.schema.clone()),
        ),
    ]
    .map(|(what, value)| (what.to_owned(), value.unwrap_or_else(|| "–".to_owned())))
}

fn block(title: &str, text: &str) -> String {
    format!(
        r#"<h3>{0}</h3><pre tabindex="0" role="group" aria-label="{0}"><code>{1}</code></pre>"#,
        escaped(title),
        escaped(text)
    )
}

fn commands(input: &Input<'_>) -> String {
    let run = input.files.run();
    let path = quoted(run.path());
    let dataset = quoted(input.facts.dataset_word());
    let config = quoted(run.config_path());
    format!(
        "mused train {dataset} --out NEW-RUN --config {config}\nmused evaluate NEW-RUN\nmused explain {path}\n{}",
        input.command
    )
}

/// What the run read of the dataset; of a run of version 0.1.0 the whole folder.
fn identity(record: &RunRecord) -> Vec<(String, String)> {
    let row = |what: &str, hash: &String| (format!("sha256 of {what}"), hash.clone());
    let mut rows = Vec::new();
    rows.extend(
        record
            .dataset
            .sha256
            .iter()
            .map(|hash| row("the dataset", hash)),
    );
    if let Some(identity) = &record.dataset.identity {
        rows.extend([
            row("the stimuli", &identity.stimuli),
            row("the labels", &identity.labels),
        ]);
        let subjects = identity.subjects.iter();
        rows.extend(subjects.map(|(id, hash)| row(&format!("subject {id}"), hash)));
        let features = identity.features.iter();
        rows.extend(features.map(|(name, hash)| row(&format!("features {name}"), hash)));
    }
    rows
}

/// What is known of the machine.
fn machine(machine: &Machine) -> String {
    let many = |name: &str, many: usize| match many {
        0 => String::new(),
        many => format!("{name} {many}"),
    };
    let known = [
        machine.os.clone(),
        machine.architecture.clone(),
        many("cpus", machine.cpus),
        many("threads", machine.threads),
    ];
    let known: Vec<String> = known.into_iter().filter(|fact| !fact.is_empty()).collect();
    known.join(", ")
}
