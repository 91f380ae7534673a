//! Pages of runs that are complete, broken or strange.
#![allow(clippy::unwrap_used)]

mod brain;
mod example;
mod methods;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use example::{Example, NAMES};
use mused_data::simulate::{SimulateConfig, simulate};
use mused_data::{Dataset, Kind, Stimulus};
use mused_formats::npy;
use mused_report::{Cell, Images, NoImages, Pixels, Report, Request, RunFiles, ScoredRun};
use mused_results::compare;
use mused_run::{RESULTS_SCHEMA, Results, Run, run_directories};
use tempfile::TempDir;

fn report(run: &Path, others: &[ScoredRun]) -> Report {
    let files = RunFiles::read(run).unwrap();
    Report::new(Request {
        run: &files,
        others,
        images: &mut NoImages,
        quality: None,
        surfaces: &[],
        tsne: false,
        command: "mused report RUN",
        out: &run.join("report.html"),
    })
    .unwrap()
}

fn page(run: &Path) -> String {
    report(run, &[]).html()
}

/// Pictures inside are compressed, which is no matter of ours.
fn without_pixels(svg: &str) -> String {
    let mut parts = svg.split("base64,");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        text.push_str("base64,…");
        text.push_str(&part[part.find('"').unwrap()..]);
    }
    text.replace("><", ">\n<")
}

#[test]
fn figures_are_as_they_were() {
    let folder = TempDir::new().unwrap();
    let run = Example::default().write(folder.path());
    let report = report(&run, &[]);
    let snapshots = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let mut ids = Vec::new();
    for figure in report.figures() {
        let drawn = without_pixels(&figure.svg);
        let path = snapshots.join(format!("{}.svg", figure.id));
        // MUSED_WRITE_SNAPSHOTS=1 writes them anew: look at what changed before a commit.
        if std::env::var_os("MUSED_WRITE_SNAPSHOTS").is_some() {
            fs::write(&path, &drawn).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(drawn, stored, "{}", figure.id);
        assert!(
            !figure.alt.is_empty() && !figure.table.rows.is_empty(),
            "{}",
            figure.id
        );
        ids.push(figure.id.clone());
    }
    for id in [
        "score-ap",
        "score-auc",
        "by-label",
        "by-subject",
        "label-subject",
        "roc",
        "precision-recall",
        "calibration",
        "confusion",
        "rdm-stimuli",
        "rdm-regions",
        "label-region",
        "rdm-correlations",
        "tokens-high-subject",
        "attention",
        "occlusion",
        "best-1",
        "worst-1",
        "learning-total-loss",
        "learning-learning-rate",
    ] {
        assert!(ids.contains(&id.to_owned()), "{id} is not among {ids:?}");
    }
    let mut unique = ids.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
}

#[test]
fn numbers_on_the_page_are_those_of_the_results() {
    let folder = TempDir::new().unwrap();
    let run = Example::default().write(folder.path());
    let page = page(&run);
    let text = fs::read_to_string(run.join("results.json")).unwrap();
    let results: Results = serde_json::from_str(&text).unwrap();
    for metric in [
        &results.macro_scores.average_precision,
        &results.macro_scores.roc_auc,
    ] {
        let mean = metric.mean.unwrap();
        assert!(page.contains(&format!(r#"<dd class="big">{mean:.3}</dd>"#)));
        assert!(page.contains(&format!(r#"data-v="{mean}""#)));
    }
    let inference = [
        &results.inference.average_precision,
        &results.inference.roc_auc,
    ];
    for interval in inference
        .into_iter()
        .filter_map(|metric| metric.interval.value())
    {
        assert!(page.contains(&format!(
            "95 % interval {:.3} to {:.3}",
            interval.low, interval.high
        )));
    }
    for label in &results.labels {
        for value in [
            label.average_precision,
            label.roc_auc,
            Some(label.prevalence),
        ]
        .into_iter()
        .flatten()
        {
            assert!(
                page.contains(&format!(r#"data-v="{value}""#)),
                "{}",
                label.name
            );
        }
    }
    for subject in results.subjects.values() {
        assert!(page.contains(&format!(r#"data-v="{}""#, subject.roc_auc.unwrap())));
    }
    assert!(page.contains("Brier score"));
}

#[test]
fn markup_in_names_is_shown() {
    let folder = TempDir::new().unwrap();
    let attack = "</script><script>alert(1)</script><img src=x onerror=alert(1)>";
    let mut example = Example::default();
    example.labels[0] = attack.to_owned();
    example.dataset = "<b>bold</b> & \"quoted\"".to_owned();
    let run = example.write(folder.path());
    let page = page(&run);
    assert!(!page.contains("<script>alert") && !page.contains("<img") && !page.contains("<b>bold"));
    assert!(page.contains("&lt;script&gt;alert(1)"));
    // Two scripts end, both of which the page wrote, and those of long tables.
    assert_eq!(
        page.matches("<script").count(),
        page.matches("</script").count()
    );
    assert_eq!(page.matches("<script>").count(), 1);
}

#[test]
fn a_page_needs_nothing_else() {
    let folder = TempDir::new().unwrap();
    let page = page(&Example::default().write(folder.path()));
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http://", "https://", "src=", "url(", "@import", "<link"] {
        assert!(!outside.contains(word), "{word}");
    }
    for opened in page.split(r#"href=""#).skip(1) {
        assert!(
            opened.starts_with('#') || opened.starts_with("data:"),
            "{}",
            &opened[..20]
        );
    }
}

#[test]
fn what_is_missing_is_said_in_its_place() {
    let folder = TempDir::new().unwrap();
    let plain = Example {
        explained: false,
        ..Example::default()
    };
    let text = page(&plain.write(&folder.path().join("plain")));
    assert!(text.contains("mused explain") && text.contains("has not been run"));
    assert!(text.contains("There are no pictures"));

    let stopped = Example {
        complete: false,
        ..Example::default()
    };
    let text = page(&stopped.write(&folder.path().join("stopped")));
    assert!(text.contains("not complete") && text.contains("--resume"));
    assert!(text.contains("learning-total-loss"));

    let lonely = Example {
        labels: vec!["only".to_owned()],
        subjects: 1,
        ..Example::default()
    };
    let text = page(&lonely.write(&folder.path().join("lonely")));
    assert!(text.contains("1 label decoded") && text.contains("1 subject to"));
    let shown = text.split("<script").next().unwrap();
    assert!(!shown.contains("NaN") && !shown.contains("inf\""));
}

/// There are predictions, and no names of labels and subjects that scores would bring.
#[test]
fn the_page_begins_with_the_result_and_pickers_with_the_mean() {
    let folder = TempDir::new().unwrap();
    let run = Example::default().write(folder.path());
    let page = page(&run);
    let results = Run::open(&run).unwrap().results().unwrap().unwrap();
    let title = results.in_a_title();
    assert!(title.ends_with("better than chance (0.50)"), "{title}");
    assert!(page.contains(&format!("<h1>{title}</h1>")));
    for means in ["labels", "subjects"] {
        let first = format!(r#"<option value="0" selected>mean over {means}</option>"#);
        assert!(page.contains(&first), "{means}");
    }
    assert_eq!(page.matches(" selected>").count(), 2);
    // One floor everywhere: what a random ranking is expected to reach.
    let random = results.floors.random_average_precision.unwrap();
    assert!(page.contains(&format!("chance {random:.3}")));
    assert!(!page.contains(">floor<"));
}

#[test]
fn matrices_of_few_stimuli_are_not_shown() {
    let folder = TempDir::new().unwrap();
    let few = Example {
        rdm_stimuli: 19,
        ..Example::default()
    };
    let report = report(&few.write(folder.path()), &[]);
    assert!(
        report
            .figures()
            .all(|figure| !figure.id.starts_with("rdm-"))
    );
    let said = "19 test stimuli that every subject saw are too few to be read (at least 20)";
    assert!(report.html().contains(said));
}

#[test]
fn predictions_that_cannot_be_scored_are_said_to_be() {
    let folder = TempDir::new().unwrap();
    let run = Example::default().write(folder.path());
    fs::create_dir_all(run.join("permutations")).unwrap();
    let broken = "index\tmacro_ap\tmacro_auc\n1\tx\t0.5\n";
    fs::write(run.join("permutations/scores.tsv"), broken).unwrap();
    fs::remove_file(run.join("results.json")).ok();
    let text = page(&run);
    assert!(text.contains("scores.tsv") && text.contains("macro_ap"));
    let figures = folder.path().join("figures");
    report(&run, &[]).write_figures(&figures).unwrap();
}

#[test]
fn results_of_another_version_are_made_anew() {
    let folder = TempDir::new().unwrap();
    let run = Example::default().write(folder.path());
    fs::write(run.join("results.json"), r#"{"schema": "mused-results/1"}"#).unwrap();
    let text = page(&run);
    assert!(text.contains("results.json was of another version (mused-results/1"));
    let written = fs::read_to_string(run.join("results.json")).unwrap();
    assert!(written.contains(RESULTS_SCHEMA));
    fs::remove_file(run.join("results.json")).unwrap();
    page(&run);
    assert!(run.join("results.json").is_file());
}

#[test]
fn results_of_other_predictions_are_made_anew() {
    let folder = TempDir::new().unwrap();
    let many = Example::default().write(&folder.path().join("many"));
    let few = Example {
        labels: NAMES[..2].iter().map(|name| (*name).to_owned()).collect(),
        ..Example::default()
    };
    let few = few.write(&folder.path().join("few"));
    page(&many);
    let put_wrong = || fs::copy(many.join("results.json"), few.join("results.json")).unwrap();
    let labels = || Run::open(&few).unwrap().results().unwrap().unwrap().labels;
    put_wrong();
    let said = "results.json was not of these predictions";
    assert!(page(&few).contains(said));
    assert_eq!(labels().len(), 2);
    put_wrong();
    report(&many, &[ScoredRun::read(&few).unwrap()]);
    assert_eq!(labels().len(), 2);
}

#[test]
fn runs_are_compared() {
    let folder = TempDir::new().unwrap();
    let first = Example::default().write(&folder.path().join("a"));
    let other = Example {
        noise: 0.9,
        seed: 1,
        config: "[train]\nseed = 0\nepochs = 9\n".to_owned(),
        ..Example::default()
    };
    let other = other.write(&folder.path().join("b"));
    let report = report(&first, &[ScoredRun::read(&other).unwrap()]);
    let league = report
        .figures()
        .find(|figure| figure.id == "league")
        .unwrap();
    assert_eq!(league.table.rows.len(), 2);
    let difference = report
        .figures()
        .find(|figure| figure.id == "differences")
        .unwrap();
    assert_eq!(difference.table.rows.len(), 2);

    let benchmark = folder.path().join("benchmark.tsv");
    fs::write(benchmark, "model\tseed\trun\na\t0\ta\nb\t1\tb\n").unwrap();
    let found = run_directories(&[folder.path().to_owned()]).unwrap();
    assert_eq!(found, [folder.path().join("a"), folder.path().join("b")]);
    assert!(RunFiles::read(folder.path()).is_err());
}

/// A run of a model with a seed.
fn seeded(folder: &Path, model: &str, seed: usize) -> PathBuf {
    let example = Example {
        noise: if model == "a" { 0.6 } else { 0.9 },
        seed,
        config: format!("[model]\nname = \"{model}\"\n[train]\nseed = {seed}\n"),
        explained: false,
        ..Example::default()
    };
    example.write(&folder.join(format!("{model}/seed-{seed}")))
}

#[test]
fn seeds_are_paired_by_their_value() {
    let folder = TempDir::new().unwrap();
    let run = |model: &str, seed: usize| seeded(folder.path(), model, seed);
    let others = [run("a", 1), run("b", 1), run("b", 2)];
    let read = others.each_ref().map(|path| ScoredRun::read(path).unwrap());
    let report = report(&run("a", 0), &read);
    let differences = report
        .figures()
        .find(|figure| figure.id == "differences")
        .unwrap();
    let [a, b, _] = &others;
    let expected = compare(&[Run::open(a).unwrap()], &[Run::open(b).unwrap()]).unwrap();
    let expected = expected
        .average_precision
        .interval
        .value()
        .unwrap()
        .estimate;
    assert_eq!(differences.table.rows[0][2], Cell::Number(expected));
    let page = report.html();
    let said = "b is compared over what both models have, seed 1: 2 runs are left out.";
    assert!(page.contains(said));
}

#[test]
fn models_without_a_seed_in_common_are_not_compared() {
    let folder = TempDir::new().unwrap();
    let run = |model: &str, seed: usize| seeded(folder.path(), model, seed);
    let others = [run("a", 1), run("b", 2)].map(|path| ScoredRun::read(&path).unwrap());
    let report = report(&run("a", 0), &others);
    assert!(report.figures().all(|figure| figure.id != "differences"));
    let page = report.html();
    let said =
        "b/seed-2 is not compared: runs are paired by seed, and a has seeds 0, 1, b/seed-2 seed 2.";
    assert!(page.contains(said));
}

#[test]
fn models_without_a_subject_have_curves_of_their_own() {
    let folder = TempDir::new().unwrap();
    let example = Example {
        config: "[split]\nholdout_subject = \"each\"\n".to_owned(),
        ..Example::default()
    };
    let run = example.write(folder.path());
    let journal = run.join("metrics.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let of = |subject: &str| {
        text.replace(
            r#","epoch":"#,
            &format!(r#","holdout":"{subject}","epoch":"#),
        )
    };
    fs::write(&journal, of("sub-01") + "\n" + &of("sub-02")).unwrap();
    let report = report(&run, &[]);
    let mut figures = report.figures();
    let curves = figures.find(|figure| figure.id == "learning-total-loss");
    let mut lines: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for row in &curves.unwrap().table.rows {
        let [_, Cell::Text(model), Cell::Count(epoch), _] = row.as_slice() else {
            panic!("{row:?}");
        };
        lines.entry(model.clone()).or_default().push(*epoch);
    }
    let models: Vec<&str> = lines.keys().map(String::as_str).collect();
    let expected = [
        "fold 0, without sub-01",
        "fold 0, without sub-02",
        "fold 1, without sub-01",
        "fold 1, without sub-02",
    ];
    assert_eq!(models, expected);
    assert!(lines.values().all(|epochs| *epochs == [1, 2, 3, 4, 5]));
    let page = report.html();
    assert!(page.contains("a line for each fold and subject left out of training;"));
    assert!(page.contains("Each subject was decoded by models that never saw that subject."));
    assert!(!page.contains("Subject each was never trained on"));
}

#[test]
fn figures_are_written_as_files() {
    let folder = TempDir::new().unwrap();
    let run = Example::default().write(folder.path());
    let out = folder.path().join("figures");
    let count = report(&run, &[]).write_figures(&out).unwrap();
    assert_eq!(fs::read_dir(&out).unwrap().count(), 3 * count);
    let bytes = fs::read(out.join("score-ap.png")).unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(bytes))
        .read_info()
        .unwrap();
    let info = reader.info();
    assert_eq!(info.pixel_dims.unwrap().xppu, 11811);
    assert_eq!(info.width, 1219);
    let tsv = fs::read_to_string(out.join("by-label.tsv")).unwrap();
    assert!(tsv.starts_with("label\tprevalence\tpositives\t") && tsv.contains(NAMES[0]));
}

/// Half of a picture of one colour, whatever the stimulus.
struct Blue;

impl Images for Blue {
    fn read(&mut self, stimulus: &Stimulus) -> Result<Pixels, String> {
        assert_eq!(stimulus.file.as_deref(), Some("film.mp4"));
        Ok(Pixels {
            width: 320,
            height: 240,
            rgb: [0, 0, 200].repeat(320 * 240),
        })
    }
}

#[test]
fn pictures_and_brains_are_shown_where_there_are_any() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let config = SimulateConfig {
        kind: Kind::Volume,
        subjects: 3,
        stimuli: 40,
        ..SimulateConfig::common_space()
    };
    simulate(&config, &data, &mut |_, _| {}).unwrap();
    let stimuli = fs::read_to_string(data.join("stimuli.tsv")).unwrap();
    let mut lines = stimuli
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let file = head.iter().position(|name| *name == "file").unwrap();
    let mut edited = head.join("\t");
    for mut line in lines {
        line[file] = "film.mp4";
        edited.push('\n');
        edited.push_str(&line.join("\t"));
    }
    fs::write(data.join("stimuli.tsv"), edited).unwrap();
    let dataset = Dataset::open(&data).unwrap();
    let example = Example {
        dataset: dataset.description.name.clone(),
        path: data.display().to_string(),
        ..Example::default()
    };
    let run = example.write(&folder.path().join("run"));
    fs::create_dir(run.join("explain/importance")).unwrap();
    for subject in &dataset.subjects {
        let values: ndarray::Array1<f32> = (0..subject.voxels.len())
            .map(|voxel| (voxel % 7) as f32 / 100.0 - 0.01)
            .collect();
        npy::write_npy_f32(
            run.join(format!("explain/importance/{}.npy", subject.id)),
            values.view(),
        )
        .unwrap();
    }
    let files = RunFiles::read(&run).unwrap();
    let report = Report::new(Request {
        run: &files,
        others: &[],
        images: &mut Blue,
        quality: None,
        surfaces: &[],
        tsne: false,
        command: "mused report RUN",
        out: &run.join("report.html"),
    })
    .unwrap();
    let find = |id: &str| report.figures().find(|figure| figure.id == id).unwrap();
    assert!(find("best-1").svg.contains("data:image/jpeg;base64,"));
    let brain = find("brain");
    assert!(brain.svg.contains("mean over subjects: most at "));
    let regions: usize = (dataset.subjects.iter())
        .map(|subject| {
            let rois: std::collections::BTreeSet<&String> =
                subject.voxels.iter().map(|voxel| &voxel.roi).collect();
            rois.len()
        })
        .sum();
    assert_eq!(brain.table.rows.len(), regions);
    assert!(find("tokens-high-label").svg.contains("h.1"));
    let page = report.html();
    assert!(!page.contains("There are no pictures"));
    // Pictures come first.
    let at = |id: &str| page.find(&format!(r#"<section id="{id}""#)).unwrap();
    assert!(at("stimuli") < at("labels") && at("labels") < at("brain"));
    // A simulated brain has no place in a scanner.
    assert!(page.contains("mask.nii.gz") || run.join("report-importance-sub-01.nii.gz").is_file());
    report
        .write_figures(&folder.path().join("figures"))
        .unwrap();
}
