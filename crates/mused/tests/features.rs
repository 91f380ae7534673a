//! `mused features` and `mused rdm` on a miniature of NSD's stimulus file and the golden CLIP model.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use mused::formats::npy;
use mused_clip::{Images, RgbImage, Texts, Tokens, unit_rows};
use mused_kernels::Cpu;
use ndarray::{Array2, Ix2};
use serde_json::Value;
use tempfile::TempDir;

const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../mused-clip/tests/golden/clip_tiny"
);
const STIMULI: usize = 4;
const CAPTIONS: [&[&str]; STIMULI] = [
    &["a dog"],
    &["a cat", "two cats"],
    &["grass"],
    &["a red car"],
];

/// A simulated dataset `data` whose stimuli are images, and a model folder `model`.
struct Bench {
    folder: TempDir,
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: TempDir::new().unwrap(),
        };
        fs::create_dir(bench.path("model")).unwrap();
        for name in [
            "config.json",
            "model.safetensors",
            "vocab.json",
            "merges.txt",
        ] {
            let bytes = fs::read(Path::new(MODEL).join(name)).unwrap();
            fs::write(bench.path("model").join(name), bytes).unwrap();
        }
        bench.dataset();
        bench
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One subject, random responses, stimuli in the PNG files.
    fn dataset(&self) {
        let folder = self.path("data/subjects/sub-01");
        fs::create_dir_all(&folder).unwrap();
        let description =
            r#"{"format": "mused-dataset/1", "name": "four", "kind": "roi", "response": "voxels"}"#;
        fs::write(self.path("data/dataset.json"), description).unwrap();
        self.stimuli(|row| (fixture(&format!("stimulus_{row}.png")), "n/a".to_owned()));
        let mut captions = "stimulus_id\tcaption\n".to_owned();
        for (row, texts) in CAPTIONS.iter().enumerate() {
            for text in *texts {
                captions.push_str(&format!("s{row}\t{text}\n"));
            }
        }
        fs::write(self.path("data/captions.tsv"), captions).unwrap();
        fs::write(self.path("data/labels.tsv"), "label\nanimal\n").unwrap();
        let labels = ndarray::arr2(&[[1_u8], [1], [0], [0]]);
        npy::write_npy_u8(self.path("data/labels.npy"), labels.view()).unwrap();
        fs::write(folder.join("trials.tsv"), "stimulus_id\ns0\ns1\ns2\ns3\n").unwrap();
        fs::write(folder.join("voxels.tsv"), "roi\nV1\nV1\nV1\n").unwrap();
        let responses = ndarray::arr2(&[
            [1.0_f32, 2.0, 5.0],
            [2.0, 1.0, 7.0],
            [9.0, 3.0, 1.0],
            [4.0, 4.5, 8.0],
        ]);
        npy::write_npy_f32(folder.join("responses.npy"), responses.view()).unwrap();
    }

    /// Writes stimuli.tsv with these files and frames.
    fn stimuli(&self, source: impl Fn(usize) -> (String, String)) {
        let mut table = "stimulus_id\tfile\tframe\n".to_owned();
        for row in 0..STIMULI {
            let (file, frame) = source(row);
            table.push_str(&format!("s{row}\t{file}\t{frame}\n"));
        }
        fs::write(self.path("data/stimuli.tsv"), table).unwrap();
    }

    fn features(&self, more: &[&str]) -> Assert {
        Command::new(env!("CARGO_BIN_EXE_mused"))
            .current_dir(self.folder.path())
            .args(["features", "data", "--model", "model", "--batch", "3"])
            .args(["--allow", &fixture(""), "--allow", "."])
            .args(more)
            .assert()
    }

    fn array(&self, name: &str) -> Array2<f32> {
        let path = self.path(format!("data/features/{name}/features.npy"));
        npy::read_npy_f32(path)
            .unwrap()
            .into_dimensionality::<Ix2>()
            .unwrap()
    }

    fn description(&self, name: &str) -> Value {
        let path = self.path(format!("data/features/{name}/feature.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

fn says(assert: Assert, words: &[&str]) {
    let message = String::from_utf8(assert.code(1).get_output().stderr.clone()).unwrap();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

fn close(found: &Array2<f32>, expected: &Array2<f32>) {
    assert_eq!(found.dim(), expected.dim());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn both_levels_are_those_of_the_library() {
    let bench = Bench::new();
    bench.features(&[]).success();
    let images = Images::<Cpu>::open(bench.path("model"), &Default::default()).unwrap();
    let opened: Vec<RgbImage> = (0..STIMULI)
        .map(|row| RgbImage::open(fixture(&format!("stimulus_{row}.png"))).unwrap())
        .collect();
    let expected = images
        .features(&opened, Some((1, Tokens::Mean)), true)
        .unwrap();
    close(&bench.array("clip-low"), &expected.layer.unwrap());

    let joint = unit_rows(expected.projected.unwrap());
    let texts = Texts::<Cpu>::open(bench.path("model"), &Default::default()).unwrap();
    let mut means = Array2::zeros(joint.dim());
    for (mut mean, captions) in means.rows_mut().into_iter().zip(CAPTIONS) {
        let rows = unit_rows(texts.projected(captions).unwrap());
        mean.assign(&rows.mean_axis(ndarray::Axis(0)).unwrap());
    }
    close(
        &bench.array("clip-high"),
        &((joint + unit_rows(means)) * 0.5),
    );
    let description = bench.description("clip-high");
    assert_eq!(description["level"], "high");
    assert_eq!(description["guidance"], "both");

    // Training finds both levels by themselves.
    Command::new(env!("CARGO_BIN_EXE_mused"))
        .current_dir(bench.folder.path())
        .args(["rdm", "data", "--features", "clip-high", "--json"])
        .assert()
        .success();
    assert!(bench.path("clip-high-rdm.npy").is_file());
    let picture = fs::read_to_string(bench.path("clip-high-rdm.svg")).unwrap();
    assert!(picture.contains("four: clip-high"));
}

#[test]
fn rows_of_an_hdf5_file_are_their_images() {
    let bench = Bench::new();
    bench.features(&["--low"]).success();
    let from_png = bench.array("clip-low");
    bench.stimuli(|row| (fixture("stimuli.hdf5"), row.to_string()));
    bench.features(&["--low", "--name", "brick"]).success();
    assert_eq!(bench.array("brick-low"), from_png);
    bench.stimuli(|row| (fixture("stimuli.hdf5"), (row + 1).to_string()));
    says(
        bench.features(&["--low", "--name", "far"]),
        &["stimuli.hdf5", "below 4, found 4"],
    );
    bench.stimuli(|_| (fixture("stimuli.hdf5"), "n/a".to_owned()));
    says(bench.features(&["--low", "--name", "none"]), &["frame"]);
}

#[test]
fn what_is_there_is_left_and_what_changed_is_made_again() {
    let bench = Bench::new();
    bench.features(&["--high", "--guidance", "image"]).success();
    let features = bench.path("data/features/clip-high/features.npy");
    let made = fs::metadata(&features).unwrap().modified().unwrap();
    let again = bench.features(&["--high", "--guidance", "image"]).success();
    let said = String::from_utf8(again.get_output().stdout.clone()).unwrap();
    assert!(said.contains("unchanged"), "{said}");
    assert_eq!(fs::metadata(&features).unwrap().modified().unwrap(), made);

    bench
        .features(&[
            "--high",
            "--guidance",
            "text",
            "--clip",
            "0.1",
            "--normalise",
        ])
        .success();
    let rows = bench.array("clip-high");
    assert!(
        rows.rows()
            .into_iter()
            .all(|row| (row.dot(&row) - 1.0).abs() < 1e-5)
    );
    assert_eq!(bench.description("clip-high")["l2_normalised"], true);
}

#[test]
fn a_bad_image_names_itself_and_the_rest_goes_on_later() {
    let bench = Bench::new();
    bench.features(&["--low"]).success();
    let whole = bench.array("clip-low");
    let broken = bench.path("broken.png");
    fs::write(&broken, b"no image").unwrap();
    let file = broken.display().to_string();
    let source = |row: usize| match row {
        3 => (file.clone(), "n/a".to_owned()),
        _ => (fixture(&format!("stimulus_{row}.png")), "n/a".to_owned()),
    };
    bench.stimuli(source);
    says(
        bench.features(&["--low", "--name", "late"]),
        &["broken.png"],
    );
    let rows = bench.path("data/features/.late-low.partial/rows.f32");
    assert_eq!(
        fs::metadata(&rows).unwrap().len() as usize,
        3 * whole.ncols() * 4
    );
    // The bytes of the image are part of the job: repaired, it starts over.
    fs::write(&broken, fs::read(fixture("stimulus_3.png")).unwrap()).unwrap();
    bench.features(&["--low", "--name", "late"]).success();
    assert_eq!(bench.array("late-low"), whole);
    assert!(!rows.exists());
}

/// What was printed for a feature set.
fn line<'a>(said: &'a str, name: &str) -> &'a str {
    let mut lines = said.lines();
    lines.find(|line| line.contains(name)).unwrap_or_default()
}

#[test]
fn a_changed_model_folder_makes_what_depends_on_it_again_and_says_why() {
    let bench = Bench::new();
    let out = |more: &[&str]| {
        let done = bench.features(more).success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    };
    let unchanged =
        |said: &str, name: &str| assert!(line(said, name).contains("unchanged"), "{said}");
    let again = |said: &str, name: &str, why: &str| {
        let line = line(said, name);
        assert!(line.contains("made again") && line.contains(why), "{said}");
    };
    let write = |name: &str, text: &str| fs::write(bench.path("model").join(name), text).unwrap();
    assert!(!out(&[]).contains("again"));

    write(
        "preprocessor_config.json",
        r#"{"image_mean": [0.5, 0.5, 0.5]}"#,
    );
    let before = bench.array("clip-low");
    let said = out(&[]);
    again(&said, "clip-low", "preprocessor_config.json");
    again(&said, "clip-high", "preprocessor_config.json");
    assert_ne!(bench.array("clip-low"), before);
    write(
        "processor_config.json",
        r#"{"image_processor": {"do_normalize": false}}"#,
    );
    again(&out(&[]), "clip-low", "processor_config.json");

    let config = fs::read_to_string(bench.path("model/config.json")).unwrap();
    write("config.json", &config.replace("quick_gelu", "gelu"));
    let before = bench.array("clip-high");
    let said = out(&[]);
    again(&said, "clip-low", "config.json");
    again(&said, "clip-high", "config.json");
    assert_ne!(bench.array("clip-high"), before);

    // Texts are in the high-level features alone.
    let merges = fs::read_to_string(bench.path("model/merges.txt")).unwrap();
    let fewer: Vec<&str> = merges.lines().take(8).collect();
    write("merges.txt", &fewer.join("\n"));
    let said = out(&[]);
    unchanged(&said, "clip-low");
    again(&said, "clip-high", "merges.txt");

    // Neither another name of the folder nor a file that nothing is read from changes what a model makes.
    write("README.md", "a model");
    let said = out(&[]);
    unchanged(&said, "clip-low");
    unchanged(&said, "clip-high");
    fs::rename(bench.path("model"), bench.path("elsewhere")).unwrap();
    let moved = Command::new(env!("CARGO_BIN_EXE_mused"))
        .current_dir(bench.folder.path())
        .args([
            "features",
            "data",
            "--model",
            "elsewhere",
            "--allow",
            &fixture(""),
        ])
        .assert()
        .success();
    let said = String::from_utf8(moved.get_output().stdout.clone()).unwrap();
    unchanged(&said, "clip-low");
    unchanged(&said, "clip-high");
}

/// Multiplies tensors of the model's weights.
fn scale_weights(path: &Path, names: &[&str], factor: f32) {
    let mut bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    for name in names {
        let place = |at: usize| json[name]["data_offsets"][at].as_u64().unwrap() as usize;
        let data = &mut bytes[8 + header..][place(0)..place(1)];
        for word in data.as_chunks_mut::<4>().0 {
            *word = (f32::from_le_bytes(*word) * factor).to_le_bytes();
        }
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn features_that_are_no_numbers_are_not_made() {
    for (part, words) in [
        (
            "vision_model",
            ["s0", "stimulus_0.png", "layer 1", "finite"],
        ),
        ("text_model", ["s0", "stimulus_0.png", "captions", "finite"]),
    ] {
        let bench = Bench::new();
        let names =
            ["fc1", "fc2"].map(|layer| format!("{part}.encoder.layers.0.mlp.{layer}.weight"));
        let names = names.each_ref().map(String::as_str);
        scale_weights(&bench.path("model/model.safetensors"), &names, 1e30);
        // A bound does not make numbers of them.
        for more in [&[][..], &["--clip", "0.5"], &["--normalise"]] {
            says(bench.features(more), &words);
        }
        assert!(!bench.path("data/features/clip-high").exists());
        assert!(!bench.path("data/features/clip-low").exists());
    }
}

#[test]
fn half_a_picture_is_not_encoded() {
    let bench = Bench::new();
    let whole = fs::read(fixture("stimulus_2.png")).unwrap();
    fs::write(bench.path("half.png"), &whole[..whole.len() - 6]).unwrap();
    let photo = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../mused-clip/tests/fixtures/photo.jpg"
    );
    let whole = fs::read(photo).unwrap();
    fs::write(bench.path("half.jpg"), &whole[..whole.len() / 2]).unwrap();
    for name in ["half.png", "half.jpg"] {
        let file = bench.path(name).display().to_string();
        bench.stimuli(|row| match row {
            2 => (file.clone(), "n/a".to_owned()),
            _ => (fixture(&format!("stimulus_{row}.png")), "n/a".to_owned()),
        });
        says(bench.features(&[]), &[name, "damaged"]);
    }
}

#[test]
fn a_model_that_memory_does_not_hold_is_refused() {
    let bench = Bench::new();
    let refused = bench.features(&["--low", "--memory", "1MB"]);
    says(refused, &["of memory", "not even one fits"]);
    bench.features(&["--low", "--memory", "2GB"]).success();
}

#[test]
fn an_interrupted_extraction_goes_on() {
    let bench = Bench::new();
    bench.features(&["--low"]).success();
    let whole = bench.array("clip-low");
    // As a power cut leaves it: two rows that were on disk, and zeros for what was written since.
    let job = bench.description("clip-low")["job_sha256"].clone();
    fs::remove_dir_all(bench.path("data/features/clip-low")).unwrap();
    let partial = bench.path("data/features/.clip-low.partial");
    fs::create_dir(&partial).unwrap();
    let left = serde_json::json!({"job_sha256": job, "width": whole.ncols(), "rows": 2});
    fs::write(partial.join("job.json"), left.to_string()).unwrap();
    let mut rows: Vec<u8> = whole.iter().flat_map(|value| value.to_le_bytes()).collect();
    rows[2 * whole.ncols() * 4..].fill(0);
    // A value no model gives shows that the rows were kept.
    rows[..4].copy_from_slice(&1234.5_f32.to_le_bytes());
    fs::write(partial.join("rows.f32"), rows).unwrap();
    bench.features(&["--low"]).success();
    let mut expected = whole;
    expected[[0, 0]] = 1234.5;
    assert_eq!(bench.array("clip-low"), expected);
}

/// As a process leaves it that was killed at any step of putting what it had made in its place.
#[test]
fn a_killed_extraction_is_in_nobodys_way() {
    let bench = Bench::new();
    let features = |name: &str| bench.path("data/features").join(name);
    bench.features(&["--low"]).success();
    let whole = bench.array("clip-low");
    let job = bench.description("clip-low")["job_sha256"].clone();
    let left = serde_json::json!({"job_sha256": job, "width": whole.ncols()});
    let (set, partial, before) = (
        features("clip-low"),
        features(".clip-low.partial"),
        features(".clip-low.before"),
    );
    // A job without rows.
    fs::remove_dir_all(&set).unwrap();
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("job.json"), left.to_string()).unwrap();
    bench.features(&["--low"]).success();
    assert_eq!(bench.array("clip-low"), whole);
    // A complete set, with and without what it was made of; the one before is where it was, or put aside.
    let mut marked = whole.clone();
    marked[[0, 0]] = 1234.5;
    for (scaffold, aside) in [(true, false), (false, false), (false, true)] {
        fs::create_dir(&partial).unwrap();
        fs::copy(set.join("feature.json"), partial.join("feature.json")).unwrap();
        npy::write_npy_f32(partial.join("features.npy"), marked.view()).unwrap();
        if scaffold {
            fs::write(partial.join("job.json"), left.to_string()).unwrap();
            fs::write(partial.join("rows.f32"), "").unwrap();
        }
        // Of another job.
        let mut other = bench.description("clip-low");
        other["job_sha256"] = "other".into();
        fs::write(set.join("feature.json"), other.to_string()).unwrap();
        if aside {
            fs::rename(&set, &before).unwrap();
        }
        let info = Command::new(env!("CARGO_BIN_EXE_mused"))
            .current_dir(bench.folder.path())
            .args(["info", "data"])
            .assert();
        info.success();
        bench.features(&["--low"]).success();
        assert_eq!(bench.array("clip-low"), marked);
        let names = fs::read_dir(features("")).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["clip-low"]);
        assert_eq!(fs::read_dir(&set).unwrap().count(), 2);
    }
    // Killed when all was in its place.
    fs::write(features(".clip-low.lock"), "process 1").unwrap();
    bench.features(&["--low"]).success();
    assert!(!features(".clip-low.lock").exists());
}

/// A dataset of a stranger names files of this machine.
#[test]
fn files_outside_of_the_dataset_are_read_where_that_is_allowed() {
    let bench = Bench::new();
    let run = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_mused"))
            .current_dir(bench.folder.path())
            .args(["features", "data", "--model", "model", "--low"])
            .args(more)
            .assert()
    };
    says(run(&[]), &["lies outside of the dataset", "--allow", "s0"]);
    says(run(&["--allow", "model"]), &["lies outside of the dataset"]);
    assert!(!bench.path("data/features").exists());
    run(&["--allow", &fixture("")]).success();
}

/// Two processes at once wrote into the same rows.
#[test]
fn there_is_one_writer_at_a_time() {
    let bench = Bench::new();
    fs::create_dir(bench.path("data/features")).unwrap();
    let path = bench.path("data/features/.clip-low.lock");
    let mut held = fs::File::create(&path).unwrap();
    held.lock().unwrap();
    held.write_all(b"process 4711 on node7").unwrap();
    says(
        bench.features(&["--low"]),
        &["process 4711", "--name", "wait"],
    );
    assert!(!bench.path("data/features/clip-low").exists());
    // Other features are nobody's matter, and a lock dies with its process.
    bench.features(&["--low", "--name", "other"]).success();
    drop(held);
    bench.features(&["--low"]).success();
    assert_eq!(bench.array("clip-low"), bench.array("other-low"));
}

#[test]
fn wrong_requests_say_what_to_do() {
    let bench = Bench::new();
    fs::write(
        bench.path("data/captions.tsv"),
        "stimulus_id\tcaption\ns0\ta dog\n",
    )
    .unwrap();
    says(
        bench.features(&[]),
        &["3 of 4 stimuli", "s1", "--guidance image"],
    );
    fs::write(
        bench.path("data/captions.tsv"),
        "stimulus_id\tcaption\ns9\ta dog\n",
    )
    .unwrap();
    says(bench.features(&[]), &["captions.tsv", "s9"]);
    let blank = "stimulus_id\tcaption\ns0\ta\ns1\tb\ns2\t&nbsp;\ns3\tc\n";
    fs::write(bench.path("data/captions.tsv"), blank).unwrap();
    says(bench.features(&[]), &["s2", "empty caption"]);
    fs::remove_file(bench.path("data/captions.tsv")).unwrap();
    bench.stimuli(|_| ("n/a".to_owned(), "n/a".to_owned()));
    says(bench.features(&["--low"]), &["s0", "file"]);
    bench.stimuli(|_| ("nowhere.png".to_owned(), "n/a".to_owned()));
    says(bench.features(&["--low"]), &["nowhere.png"]);
    says(bench.features(&["--low", "--name", "a/b"]), &["--name"]);
    fs::remove_file(bench.path("model/model.safetensors")).unwrap();
    says(bench.features(&["--low"]), &["model"]);
    assert!(!bench.path("data/features").exists());
}

/// In the place of `ffmpeg`: two seconds of a film, and then what is wrong with the rest.
#[cfg(unix)]
#[test]
fn a_film_that_ffmpeg_cannot_read_to_its_end_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    fs::write(bench.path("film.mp4"), "half a film").unwrap();
    let decoder = bench.path("ffmpeg");
    let script = "#!/bin/sh\nprintf 'P6 1 1 255\\nabcP6 1 1 255\\nabc'\nexit 69\n";
    fs::write(&decoder, script).unwrap();
    fs::set_permissions(&decoder, PermissionsExt::from_mode(0o755)).unwrap();
    let file = bench.path("film.mp4").display().to_string();
    for frame in [None, Some(2)] {
        let frame = frame.map_or("n/a".to_owned(), |second: u32| second.to_string());
        bench.stimuli(|_| (file.clone(), frame.clone()));
        let features = Command::new(env!("CARGO_BIN_EXE_mused"))
            .current_dir(bench.folder.path())
            .args([
                "features", "data", "--model", "model", "--low", "--allow", ".",
            ])
            .env("PATH", bench.folder.path())
            .assert();
        says(features, &["film.mp4", "2 seconds", "69", "whole"]);
    }
}

#[test]
fn films_are_read_a_second_at_a_time() {
    let bench = Bench::new();
    bench.stimuli(|row| {
        (
            fixture("stimulus_0.png").replace(".png", ".mp4"),
            row.to_string(),
        )
    });
    says(bench.features(&["--low"]), &["stimulus_0.mp4"]);
    let there = std::process::Command::new("ffmpeg")
        .arg("-version")
        .output();
    if there.is_err() {
        eprintln!("skipped: ffmpeg is not on the PATH");
        return;
    }
    let film = bench.path("film.mkv");
    let status = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-framerate", "1", "-i"])
        .arg(fixture("stimulus_%d.png"))
        .args(["-c:v", "ffv1", "-pix_fmt", "bgr0"])
        .arg(&film)
        .status();
    assert!(status.unwrap().success());
    bench.stimuli(|row| (fixture(&format!("stimulus_{row}.png")), "n/a".to_owned()));
    bench.features(&["--low"]).success();
    let images = bench.array("clip-low");
    let file = film.display().to_string();
    bench.stimuli(|row| (file.clone(), row.to_string()));
    let without = Command::new(env!("CARGO_BIN_EXE_mused"))
        .current_dir(bench.folder.path())
        .args([
            "features", "data", "--model", "model", "--low", "--name", "without",
        ])
        .env("PATH", "")
        .assert();
    says(without, &["film.mkv", "ffmpeg on the PATH"]);
    bench.features(&["--low", "--name", "seconds"]).success();
    close(&bench.array("seconds-low"), &images);
    // A stimulus that is the whole film is the mean over its seconds.
    bench.stimuli(|_| (file.clone(), "n/a".to_owned()));
    bench.features(&["--low", "--name", "film"]).success();
    let mean = images.mean_axis(ndarray::Axis(0)).unwrap();
    let mean = mean.broadcast(images.dim()).unwrap().to_owned();
    close(&bench.array("film-low"), &mean);
    bench.stimuli(|row| (file.clone(), (row + 1).to_string()));
    says(
        bench.features(&["--low", "--name", "long"]),
        &["film.mkv", "found 4 seconds"],
    );
}
