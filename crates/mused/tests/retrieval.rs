//! `mused retrieve` and `mused words` on simulated people.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mused::data::Dataset;
use mused::formats::npy;
use mused::formats::table::Table;
use mused::run::{FolderResults as _, MeasureResult, RetrievalResults, WordsResults};
use ndarray::{Array2, Axis, Ix2, concatenate, s};
use program::mused;
use tempfile::TempDir;

const SIMULATE: &str = "simulate --subjects 3 --stimuli 60 --shared 1 --labels 4 --voxels 150 --repeats 2 --seed 2 data";
const TRAIN: &str = "train data --out run --folds 3 --model ridge-stacked";
const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../mused-clip/tests/golden/clip_tiny"
);

/// A folder with a dataset `data` of three people and a run `run` of it.
fn trained() -> TempDir {
    let folder = TempDir::new().unwrap();
    mused(&folder, SIMULATE).success();
    mused(&folder, TRAIN).success();
    folder
}

fn refusal(folder: &TempDir, arguments: &str) -> String {
    let output = mused(folder, arguments).code(1).get_output().stderr.clone();
    String::from_utf8(output).unwrap()
}

fn output(folder: &TempDir, arguments: &str) -> String {
    let output = mused(folder, arguments)
        .success()
        .get_output()
        .stdout
        .clone();
    String::from_utf8(output).unwrap()
}

fn results(folder: &TempDir) -> RetrievalResults {
    let found = RetrievalResults::read(&folder.path().join("run/retrieval"));
    found.unwrap().unwrap()
}

fn matrix(path: PathBuf) -> Array2<f32> {
    npy::read_npy_f32(path)
        .unwrap()
        .into_dimensionality::<Ix2>()
        .unwrap()
}

fn column(path: &Path, name: &str) -> Vec<String> {
    let table = Table::read(path).unwrap();
    let column = table.column(name).unwrap();
    column
        .strings()
        .unwrap()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn measure<'r>(of: &'r [MeasureResult], name: &str) -> &'r MeasureResult {
    of.iter().find(|measure| measure.name == name).unwrap()
}

fn high_level(dataset: &Dataset) -> (String, Array2<f32>) {
    let set = dataset
        .features
        .iter()
        .find(|set| set.level == Some(mused::data::Level::High))
        .unwrap();
    (set.name.clone(), dataset.read_features(set).unwrap())
}

/// Ranks and nearest items from the points and the features on disk, cosine by cosine: those of the tables.
#[test]
fn what_is_written_is_what_the_points_say() {
    let folder = trained();
    let table = output(&folder, "retrieve run --k 3");
    assert!(table.starts_with("180 responses"), "{table}");
    let (run, found) = (folder.path().join("run/retrieval"), results(&folder));
    let dataset = Dataset::open(folder.path().join("data")).unwrap();
    let (_, features) = high_level(&dataset);
    let points = matrix(run.join("points.npy")).mapv(f64::from);
    let responses = run.join("responses.tsv");
    let (folds, stimuli) = (
        column(&responses, "fold"),
        column(&responses, "stimulus_id"),
    );
    let split = Table::read(folder.path().join("run/split.tsv")).unwrap();
    let text = |name: &str| split.column(name).unwrap().strings().unwrap();
    let (of_fold, ids, parts) = (text("fold"), text("stimulus_id"), text("part"));
    let place: BTreeMap<&str, usize> = (dataset.stimuli.iter())
        .map(|stimulus| stimulus.id.as_str())
        .zip(0..)
        .collect();
    let mut ranks = Vec::new();
    for (row, (fold, stimulus)) in folds.iter().zip(&stimuli).enumerate() {
        let of = |part: &str| -> Vec<usize> {
            (0..ids.len())
                .filter(|&row| of_fold[row] == fold && parts[row] == part)
                .map(|row| place[ids[row]])
                .collect()
        };
        // The components of the training stimuli, as numpy would find them: their span is what counts.
        let train = features.select(Axis(0), &of("train")).mapv(f64::from);
        let centre = train.mean_axis(Axis(0)).unwrap();
        let unit = |rows: Array2<f64>| {
            let mut rows = rows - &centre;
            for mut row in rows.rows_mut() {
                let norm = row.dot(&row).sqrt();
                row /= norm.max(1e-300);
            }
            rows
        };
        let train = unit(train);
        let mean = train.mean_axis(Axis(0)).unwrap();
        let train = train - &mean;
        let basis = orthonormal(&train);
        // Directions of much variance count less: lengths and angles are those of the inverse of 1 + covariance / its mean.
        let spread = train.dot(&basis.t());
        let covariance = spread.t().dot(&spread);
        let variance = covariance.diag().mean().unwrap();
        let level = inverse(&(Array2::eye(basis.nrows()) + covariance / variance));
        let tested = of("test");
        let items = unit(features.select(Axis(0), &tested).mapv(f64::from)) - &mean;
        let items = items.dot(&basis.t());
        let point = points.row(row).dot(&basis.t());
        let cosine = |item: usize| {
            let own = items.row(item);
            let levelled = level.dot(&own);
            levelled.dot(&point) / (levelled.dot(&own) * level.dot(&point).dot(&point)).sqrt()
        };
        let own = tested
            .iter()
            .position(|&one| one == place[stimulus.as_str()])
            .unwrap();
        let nearer = (0..tested.len())
            .filter(|&item| cosine(item) > cosine(own) + 1e-6)
            .count();
        ranks.push((1 + nearer) as f64);
    }
    let written: Vec<f64> = column(&responses, "rank")
        .iter()
        .map(|rank| rank.parse().unwrap())
        .collect();
    let apart = ranks.iter().zip(&written).filter(|(a, b)| a != b).count();
    assert_eq!(apart, 0, "{ranks:?}\n{written:?}");
    assert_eq!(found.items, [19, 21]);
    let pairwise = measure(&found.all, "pairwise");
    let items = column(&responses, "items");
    let items: Vec<f64> = items.iter().map(|items| items.parse().unwrap()).collect();
    let told = written.iter().zip(&items);
    let told = told.map(|(rank, items)| 1.0 - (rank - 1.0) / (items - 1.0));
    let mean = told.sum::<f64>() / 180.0;
    assert!((pairwise.mean - mean).abs() < 1e-9);
    assert!(pairwise.mean > 0.7, "{}", pairwise.mean);
    assert_eq!(pairwise.permutation.value().unwrap().p, 1.0 / 10_001.0);
    let chance = items.iter().map(|items| items.recip()).sum::<f64>() / 180.0;
    assert!((measure(&found.all, "top-1").chance - chance).abs() < 1e-12);
    assert!(found.unseen.is_none());
    assert_eq!(column(&run.join("nearest.tsv"), "name").len(), 3 * 180);
    // The same bits, and nothing half written.
    let bytes = |name: &str| fs::read(run.join(name)).unwrap();
    let before = (
        bytes("points.npy"),
        bytes("results.json"),
        bytes("nearest.tsv"),
    );
    mused(&folder, "retrieve run --k 3 --threads 1").success();
    assert_eq!(
        (
            bytes("points.npy"),
            bytes("results.json"),
            bytes("nearest.tsv")
        ),
        before
    );
    assert!(!folder.path().join("run/.retrieval.partial").exists());
}

/// Rows that span what those of a matrix do, by Gram and Schmidt.
fn orthonormal(rows: &Array2<f64>) -> Array2<f64> {
    let mut basis = Array2::zeros((0, rows.ncols()));
    for row in rows.rows() {
        let mut rest = row.to_owned();
        for _ in 0..2 {
            rest = &rest - &basis.dot(&rest).dot(&basis);
        }
        let norm = rest.dot(&rest).sqrt();
        if norm > 1e-6 {
            basis.push_row((rest / norm).view()).unwrap();
        }
    }
    basis
}

/// Of a matrix that is positive definite, by Gauss and Jordan.
fn inverse(matrix: &Array2<f64>) -> Array2<f64> {
    let size = matrix.nrows();
    let mut rows = concatenate(Axis(1), &[matrix.view(), Array2::eye(size).view()]).unwrap();
    for pivot in 0..size {
        let scale = rows[[pivot, pivot]];
        rows.row_mut(pivot).mapv_inplace(|value| value / scale);
        let own = rows.row(pivot).to_owned();
        for other in (0..size).filter(|other| *other != pivot) {
            let factor = rows[[other, pivot]];
            rows.row_mut(other).scaled_add(-factor, &own);
        }
    }
    rows.slice(s![.., size..]).to_owned()
}

/// Who was trained on a picture knows it: told apart.
#[test]
fn what_was_trained_on_is_counted_apart() {
    let folder = trained();
    let alone = {
        mused(&folder, "retrieve run").success();
        results(&folder)
    };
    let table = output(&folder, "retrieve run --gallery dataset");
    assert!(table.contains("of these 41 were trained on"), "{table}");
    let found = results(&folder);
    assert_eq!((found.items, found.seen), ([60, 60], 41));
    assert_eq!(found.unseen.unwrap(), alone.all);
    let trained = column(&folder.path().join("run/retrieval/nearest.tsv"), "trained");
    assert!(trained.iter().any(|one| one == "1") && trained.iter().any(|one| one == "0"));
    // Copies of all stimuli: those of a test stimulus do not compete with it, those of the others were trained on.
    let (_, features) = high_level(&Dataset::open(folder.path().join("data")).unwrap());
    let npy = folder.path().join("copies.npy");
    mused::formats::npy::write_npy_f32(&npy, features.view()).unwrap();
    mused(&folder, "retrieve run --gallery copies.npy").success();
    let copied = results(&folder);
    assert_eq!(
        (copied.duplicated, copied.seen, copied.items),
        (180, 41, [79, 81])
    );
    // Other items have one rival more, their copies, at the same place.
    let (own, copies) = (measure(&alone.all, "pairwise"), copied.unseen.unwrap());
    assert!((measure(&copies, "pairwise").mean - own.mean).abs() < 1e-9);
}

#[test]
fn responses_are_averaged_as_asked() {
    let folder = trained();
    let trials = output(&folder, "retrieve run --average none");
    assert!(
        trials.starts_with("360 responses (a single trial)"),
        "{trials}"
    );
    let single = results(&folder);
    assert!(
        column(&folder.path().join("run/retrieval/responses.tsv"), "trial")
            .iter()
            .all(|t| t != "n/a")
    );
    mused(&folder, "retrieve run").success();
    let repeats = results(&folder);
    mused(&folder, "retrieve run --average subjects").success();
    let subjects = results(&folder);
    assert_eq!(
        (subjects.responses, subjects.all[0].per_subject.len()),
        (60, 1)
    );
    let pairwise = |of: &RetrievalResults| measure(&of.all, "pairwise").mean;
    assert!(pairwise(&single) < pairwise(&repeats) && pairwise(&repeats) < pairwise(&subjects));
    // Responses dealt anew say nothing.
    mused(
        &folder,
        &format!("{TRAIN} --set model.shuffled_brain=true").replace("--out run", "--out dealt"),
    )
    .success();
    mused(&folder, "retrieve dealt").success();
    let dealt = RetrievalResults::read(&folder.path().join("dealt/retrieval"))
        .unwrap()
        .unwrap();
    assert!(
        (pairwise(&dealt) - 0.5).abs() < 0.08,
        "{}",
        pairwise(&dealt)
    );
}

#[test]
fn galleries_that_are_none_are_refused() {
    let folder = trained();
    let says = |gallery: &str, words: &str| {
        let message = refusal(&folder, &format!("retrieve run --gallery {gallery}"));
        assert!(
            message.contains(words) && message.lines().count() == 1,
            "{gallery}: {message}"
        );
    };
    says(
        "nowhere",
        "expected test, dataset, a dataset directory, a folder of pictures or a .npy file",
    );
    let write = |name: &str, rows: Array2<f32>| {
        mused::formats::npy::write_npy_f32(folder.path().join(name), rows.view()).unwrap();
    };
    write("narrow.npy", Array2::zeros((3, 2)));
    says("narrow.npy", "they are of another model");
    let (_, features) = high_level(&Dataset::open(folder.path().join("data")).unwrap());
    let mut broken = features.slice(s![..2, ..]).to_owned();
    broken[[1, 0]] = f32::NAN;
    write("broken.npy", broken);
    says(
        "broken.npy",
        "expected finite features, found NaN in row 1, column 0",
    );
    let pictures = folder.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    says(
        "pictures",
        "name the CLIP model that made the run's features with --model",
    );
    says(
        &format!("pictures --model {MODEL}"),
        "expected pictures (.png, .jpg), found none",
    );
    fs::write(pictures.join("a.png"), b"no picture").unwrap();
    says(
        &format!("pictures --model {MODEL}"),
        "was not made by `mused features`",
    );
    fs::write(pictures.join("b.png"), b"no picture").unwrap();
    says(
        &format!("pictures --model {MODEL}"),
        "are the same picture: leave one out",
    );
    // A test part of one stimulus.
    mused(
        &folder,
        "train data --out one --model prevalence --set split.test_fraction=0.016",
    )
    .success();
    let message = refusal(&folder, "retrieve one");
    assert!(
        message.contains("a gallery of one picture says nothing"),
        "{message}"
    );
    let message = refusal(&folder, "retrieve run --features none");
    assert!(
        message.contains("no feature set of the high level"),
        "{message}"
    );
}

/// Under the limit of a shell, as clusters set it: no more memory is to be had, whatever the machine has.
#[cfg(target_os = "linux")]
#[test]
fn a_gallery_that_there_is_no_memory_for_is_refused() {
    let folder = trained();
    // Eight gigabytes that take no place on the disk.
    let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let shape = "{'descr': '<f4', 'fortran_order': False, 'shape': (4000000, 512), }";
    header.extend(format!("{shape:117}\n").bytes());
    let path = folder.path().join("large.npy");
    fs::write(&path, header).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(128 + 4 * 512 * 4_000_000).unwrap();
    let limited = format!(
        "ulimit -v 4000000; exec {} retrieve run --gallery large.npy",
        env!("CARGO_BIN_EXE_mused")
    );
    let mut shell = assert_cmd::Command::new("sh");
    let ended = shell
        .args(["-c", &limited])
        .current_dir(folder.path())
        .assert();
    let message = String::from_utf8(ended.code(1).get_output().stderr.clone()).unwrap();
    assert!(
        message.contains("large.npy: looking rows up in it needs about 28.7 GB of memory"),
        "{message}"
    );
    assert!(message.contains("choose a smaller gallery"), "{message}");
}

/// A feature set of the tiny CLIP model: only that model makes a gallery for it.
#[test]
fn pictures_are_encoded_by_the_model_of_the_run() {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --subjects 2 --stimuli 12 --shared 1 --labels 2 --voxels 60 --seed 1 data",
    )
    .success();
    let data = folder.path().join("data");
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../mused-clip/tests/fixtures");
    let (photo, gray) = ("photo.jpg", "gray.png");
    let pictures = folder.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    for name in [photo, gray] {
        fs::copy(Path::new(fixtures).join(name), pictures.join(name)).unwrap();
    }
    let ids: Vec<String> = column(&data.join("stimuli.tsv"), "stimulus_id");
    let mut table = String::from("stimulus_id\tgroup\tfile\n");
    let names = [
        "photo.jpg",
        "gray.png",
        "palette.png",
        "black_white.png",
        "gray.jpg",
        "square.png",
        "tall.png",
        "portrait.png",
        "progressive.jpg",
        "restart.jpg",
        "wide.png",
        "strip.png",
    ];
    for (id, name) in ids.iter().zip(names) {
        fs::copy(Path::new(fixtures).join(name), data.join(name)).unwrap();
        table.push_str(&format!("{id}\t{id}\t{name}\n"));
    }
    fs::write(data.join("stimuli.tsv"), table).unwrap();
    mused(
        &folder,
        &format!("features data --model {MODEL} --guidance image --high --name tiny"),
    )
    .success();
    mused(&folder, "train data --out run --folds 2 --model prevalence --set guidance.high=tiny-high --allow near-duplicates").success();
    let text = output(
        &folder,
        &format!("retrieve run --gallery pictures --model {MODEL} --k 2"),
    );
    assert!(text.contains("pictures of pictures"), "{text}");
    let found = results(&folder);
    assert_eq!(found.items, [8, 8]);
    // Both pictures are stimuli of the dataset: of the test part a copy that does not compete, else trained on.
    assert!(found.duplicated > 0 && found.seen > 0);
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    for name in [
        "config.json",
        "model.safetensors",
        "vocab.json",
        "merges.txt",
    ] {
        fs::copy(Path::new(MODEL).join(name), other.join(name)).unwrap();
    }
    let weights = other.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let message = refusal(&folder, "retrieve run --gallery pictures --model other");
    assert!(
        message.contains("is another model than the one that made tiny-high (the weights differ)"),
        "{message}"
    );
    fs::write(pictures.join("torn.png"), b"no picture").unwrap();
    let message = refusal(
        &folder,
        &format!("retrieve run --gallery pictures --model {MODEL}"),
    );
    assert!(message.contains("torn.png"), "{message}");
    fs::write(folder.path().join("words.txt"), "dog\ncat\ncar\n").unwrap();
    let said = output(
        &folder,
        &format!("words run --words words.txt --model {MODEL}"),
    );
    assert!(said.starts_with("24 responses, 3 words"), "{said}");
    let message = refusal(
        &folder,
        &format!("words run --words words.txt --model {MODEL} --prompt dog"),
    );
    assert!(
        message.contains("expected {} where the word goes"),
        "{message}"
    );
}

/// Words whose vectors are the labels' own directions are found by decoders that were told no label.
#[test]
fn words_that_were_never_told_are_found() {
    let folder = trained();
    let dataset = Dataset::open(folder.path().join("data")).unwrap();
    let (_, features) = high_level(&dataset);
    let with = |label: usize| -> Array2<f32> {
        let rows: Vec<usize> = (0..60)
            .filter(|&row| dataset.labels.matrix[[row, label]] == 1)
            .collect();
        let mean = features.select(Axis(0), &rows).mean_axis(Axis(0)).unwrap();
        mean.insert_axis(Axis(0))
    };
    let mut names = dataset.labels.names.clone();
    let mut vectors: Vec<Array2<f32>> = (0..4).map(with).collect();
    // Two words that are no labels, one of them in the middle of everything.
    names.extend(["Everything".to_owned(), "Picture One".to_owned()]);
    vectors.push(features.mean_axis(Axis(0)).unwrap().insert_axis(Axis(0)));
    vectors.push(features.slice(s![..1, ..]).to_owned());
    let views: Vec<_> = vectors.iter().map(|rows| rows.view()).collect();
    npy::write_npy_f32(
        folder.path().join("words.npy"),
        concatenate(Axis(0), &views).unwrap().view(),
    )
    .unwrap();
    fs::write(
        folder.path().join("words.txt"),
        names.join("\n").to_uppercase(),
    )
    .unwrap();
    let text = output(&folder, "words run --words words.txt --vectors words.npy");
    assert!(
        text.contains("AUC of 4 words that are labels, none of them told to the decoder"),
        "{text}"
    );
    let read = || {
        WordsResults::read(&folder.path().join("run/words"))
            .unwrap()
            .unwrap()
    };
    let found = read();
    let truth = found.truth.clone().unwrap();
    let auc = truth.roc_auc.value().unwrap();
    assert!(auc.low > 0.5, "{auc:?}");
    assert!(truth.top_five.mean >= truth.top_five.chance);
    // A word's scores have mean 0 in training, and about that in the test: none wins everything.
    let scores = matrix(folder.path().join("run/words/scores.npy"));
    assert_eq!(scores.dim(), (180, 6));
    for word in scores.columns() {
        assert!(word.mean().unwrap().abs() < 0.5);
    }
    // No label was told: with others of the same folds every bit is the same.
    let bits = fs::read(folder.path().join("run/words/scores.npy")).unwrap();
    let labels = dataset.labels.matrix.slice(s![..;-1, ..]).to_owned();
    npy_u8(&folder.path().join("data/labels.npy"), &labels);
    let run = folder.path().join("run/run.json");
    let record = fs::read_to_string(&run).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
    record["dataset"]["identity"] = serde_json::Value::Null;
    fs::write(&run, record.to_string()).unwrap();
    mused(&folder, "words run --words words.txt --vectors words.npy").success();
    assert_eq!(
        fs::read(folder.path().join("run/words/scores.npy")).unwrap(),
        bits
    );
}

fn npy_u8(path: &Path, matrix: &Array2<u8>) {
    let mut bytes = fs::read(path).unwrap();
    let start = bytes.len() - matrix.len();
    for (to, from) in bytes[start..].iter_mut().zip(matrix) {
        *to = *from;
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn words_that_are_none_are_refused() {
    let folder = trained();
    let says = |text: &str, words: &str| {
        fs::write(folder.path().join("words.txt"), text).unwrap();
        let message = refusal(&folder, "words run --words words.txt --vectors words.npy");
        assert!(
            message.contains(words) && message.lines().count() == 1,
            "{text:?}: {message}"
        );
    };
    says("dog\n\ncat\n", "expected a word, found none in line 2");
    says(
        "ice cream\ndog\nIce_Cream\n",
        "the word \"Ice_Cream\" stands in line 1 and in line 3",
    );
    says("dog\n", "expected 2 words or more, found 1");
    npy::write_npy_f32(
        folder.path().join("words.npy"),
        Array2::zeros((2, 3)).view(),
    )
    .unwrap();
    says("dog\ncat\n", "found 2 of 3");
    for words in ["words.txt", "lvis"] {
        let message = refusal(&folder, &format!("words run --words {words}"));
        assert!(message.contains("words need vectors"), "{message}");
    }
    let message = refusal(&folder, "words run --words lvis --vectors words.npy");
    assert!(message.contains("1203"), "{message}");
    fs::write(folder.path().join("words.json"), "{\"a\": 1}").unwrap();
    let message = refusal(&folder, "words run --words words.json --vectors words.npy");
    assert!(
        message.contains("expected categories with `id` and `name`"),
        "{message}"
    );
}

/// Of somebody left out, points are decoded by maps of its own trials; of an adapted run they are not.
#[test]
fn people_who_were_not_trained_on_are_looked_up_or_it_is_said_why() {
    let folder = TempDir::new().unwrap();
    mused(&folder, SIMULATE).success();
    let train =
        "train data --folds 2 --set train.epochs=2 --set model.dim=16 --holdout-subject sub-03";
    mused(
        &folder,
        &format!("{train} --set split.calibration=20 --out run"),
    )
    .success();
    mused(&folder, "retrieve run").success();
    let subjects = column(
        &folder.path().join("run/retrieval/responses.tsv"),
        "subject",
    );
    assert!(!subjects.is_empty() && subjects.iter().all(|subject| subject == "sub-03"));
    let found = results(&folder);
    let pairwise = measure(&found.all, "pairwise");
    assert!(pairwise.mean > 0.6, "{}", pairwise.mean);

    mused(
        &folder,
        "adapt run data --subject sub-03 --trials 20 --out own",
    )
    .success();
    for command in ["retrieve own", "words own --words coco --vectors words.npy"] {
        let message = refusal(&folder, command);
        assert!(message.contains("adapted to one person"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

/// The page has what was found, with its files.
#[test]
fn the_page_shows_what_was_looked_up() {
    let folder = trained();
    mused(&folder, "evaluate run").success();
    let figures = |page: &str| {
        mused(&folder, "report run --out page.html --figures figures").success();
        let html = fs::read_to_string(folder.path().join("page.html")).unwrap();
        assert_eq!(html.contains("Which picture, which word"), !page.is_empty());
        let found = |name: &str| folder.path().join("figures").join(name).is_file();
        (
            found("rank-curve.tsv"),
            found("wall-best.png"),
            found("wall-worst.svg"),
        )
    };
    assert_eq!(figures(""), (false, false, false));
    mused(&folder, "retrieve run --gallery dataset").success();
    assert_eq!(figures("there"), (true, true, true));
}
