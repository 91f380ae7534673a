use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mused_data::{
    Dataset, DatasetWriter, Description, FeatureSet, Kind, Labels, Level, Response, Stimulus,
    Trial, Voxel,
};
use mused_formats::npy::{Dtype, read_npy_f32};
use mused_formats::table::Table;
use mused_kernels::{Cpu, CpuTraining};
use mused_run::{Layers, Run};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::{explain, unique_contributions};
use crate::{TrainRequest, train};

const STIMULI: usize = 90;
const LABELS: usize = 3;
/// Voxels of a region.
const VOXELS: usize = 8;
const REGIONS: [&str; 3] = ["noise", "labels", "other noise"];
/// The one that carries the labels.
const PLANTED: usize = 1;

const NETWORK: &[&str] = &[
    "train.epochs=12",
    "model.dim=16",
    "model.input_dropout=0",
    "split.folds=2",
];
const RIDGE: &[&str] = &[
    "model.family=ridge",
    "model.subjects=shared",
    "split.folds=2",
];

/// Two subjects, the second of whom lacks the last region. Regions lie one behind the other along the first axis, each
/// a 2 × 2 × 2 cube.
fn planted(folder: &TempDir, kind: Kind) -> Dataset {
    planted_where(folder, kind, |region, _| region == PLANTED)
}

/// The same, where a region carries a label.
fn planted_where(folder: &TempDir, kind: Kind, carries: impl Fn(usize, usize) -> bool) -> Dataset {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut labels = Array2::from_shape_fn((STIMULI, LABELS), |_| random.random_range(0..2_u8));
    // Ties and empty rows are part of life.
    labels.row_mut(0).fill(0);
    let names = ["animal", "face", "tool"].map(str::to_owned).to_vec();
    let path = folder.path().join("data");
    let stimuli = (0..STIMULI).map(|n| Stimulus::new(format!("s{n:02}")));
    let mut writer = DatasetWriter::create(
        &path,
        Description::new("planted", kind, Response::Voxels),
        stimuli.collect(),
        &Labels {
            names,
            matrix: labels.clone(),
        },
    )
    .unwrap();
    // Labels, and as much of what tells stimuli of the same labels apart, else the audit takes them for duplicates.
    let high = Array2::from_shape_fn((STIMULI, 4 * LABELS), |(stimulus, column)| {
        let own = labels.get((stimulus, column));
        own.map_or_else(|| random.random_range(-0.5..0.5), |&label| f32::from(label))
    });
    let features = FeatureSet {
        name: "labels".to_owned(),
        level: Some(Level::High),
        description: "the labels and noise".to_owned(),
        is_rdm: false,
        shape: [STIMULI, 4 * LABELS],
        details: serde_json::Map::new(),
    };
    writer.features(&features, high.view()).unwrap();
    for (id, regions) in [("sub-1", 3), ("sub-2", 2)] {
        let trial = |stimulus| Trial {
            stimulus,
            session: 1,
            run: 1,
            onset: None,
            repeat: 1,
        };
        let trials: Vec<Trial> = (0..STIMULI).map(trial).collect();
        let voxel = |column: usize| Voxel {
            roi: REGIONS[column / VOXELS].to_owned(),
            coordinate: Some([
                (2 * (column / VOXELS) + column % 2) as i32,
                (column / 2 % 2) as i32,
                (column / 4 % 2) as i32,
            ]),
            reference: None,
        };
        let voxels: Vec<Voxel> = (0..regions * VOXELS).map(voxel).collect();
        let mut subject = writer.subject(id, &trials, &voxels, Dtype::F32).unwrap();
        for stimulus in 0..STIMULI {
            let value = |column: usize| {
                let noise = random.random_range(-0.5..0.5);
                let label = labels[[stimulus, column % LABELS]];
                // Far from 0, so that 0 is no training mean.
                let signal = if carries(column / VOXELS, column % LABELS) {
                    f32::from(label)
                } else {
                    0.0
                };
                5.0 + signal + noise
            };
            let row: Vec<f32> = (0..voxels.len()).map(value).collect();
            subject.write_response(&row).unwrap();
        }
        subject.finish().unwrap();
    }
    writer.finish().unwrap();
    Dataset::open(path).unwrap()
}

fn trained(folder: &TempDir, dataset: &Dataset, name: &str, settings: &[&str]) -> PathBuf {
    let mut layers = Layers::preset("default").unwrap();
    for setting in settings {
        layers.set(setting).unwrap();
    }
    let run = folder.path().join(name);
    let request = TrainRequest {
        dataset,
        layers: &layers,
        run: &run,
        threads: 1,
    };
    train::<CpuTraining>(&request, &()).unwrap();
    run
}

fn explained(run: &Path) -> super::Explanation {
    let run = Run::open(run).unwrap();
    explain::<Cpu>(&run, &run.dataset(None).unwrap(), 0, &mut |_, _| ()).unwrap()
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn matrix(path: &Path) -> Array2<f64> {
    let array = read_npy_f32(path).unwrap().mapv(f64::from);
    array.into_dimensionality().unwrap()
}

/// Spearman's ρ by counting, without ranks of the crate.
fn spearman(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    let pairs = |rdm: &Array2<f64>| -> Vec<f64> {
        let above = rdm.indexed_iter().filter(|((row, column), _)| row < column);
        above.map(|(_, value)| *value).collect()
    };
    let ranks = |values: Vec<f64>| -> Vec<f64> {
        let rank = |own: &f64| {
            let below = values.iter().filter(|value| *value < own).count() as f64;
            let equal = values.iter().filter(|value| *value == own).count() as f64;
            below + (equal + 1.0) / 2.0
        };
        values.iter().map(rank).collect()
    };
    let (a, b) = (ranks(pairs(a)), ranks(pairs(b)));
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let sum = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum()
    };
    sum(&a, &b) / (sum(&a, &a) * sum(&b, &b)).sqrt()
}

/// Every region carries one label: without it that label loses, and it alone.
#[test]
fn the_region_that_carries_a_label_is_found() {
    let folder = TempDir::new().unwrap();
    let dataset = planted_where(&folder, Kind::Roi, |region, label| region == label);
    let run = trained(&folder, &dataset, "ridge", RIDGE);
    let found = explained(&run);
    for (part, drop) in found.drops.iter().enumerate() {
        for (label, lost) in drop.labels.iter().enumerate() {
            let carries = part == label;
            match lost {
                Some([low, mean, high]) => {
                    assert!(low < mean && mean < high);
                    assert_eq!(carries, *mean > 0.1, "{part} {label}: {lost:?}");
                    // Of two subjects one lacks the last region.
                    let sure = !carries || part == 2 || *low > 0.0;
                    assert!(sure, "{part} {label}: {lost:?}");
                }
                None => assert!(!carries, "{part} {label}"),
            }
        }
    }
    let table = Table::read(found.folder.join("occlusion_labels.tsv")).unwrap();
    assert_eq!(table.rows(), LABELS * 3);
}

/// Two regions say the same of labels: without either the model loses, fitted again it does not. Of one alone it does.
#[test]
fn what_another_region_says_too_is_not_unique() {
    let folder = TempDir::new().unwrap();
    let dataset = planted_where(&folder, Kind::Roi, |region, label| match label {
        0 => region == 0,
        _ => region < 2,
    });
    for (name, own) in [
        ("together", "together"),
        ("banded", "banded"),
        ("stacked", "stacked"),
    ] {
        let regions = format!("model.regions={own}");
        let run = trained(&folder, &dataset, name, &[RIDGE, &[&regions]].concat());
        let explained = explained(&run);
        let run = Run::open(&run).unwrap();
        let found = unique_contributions::<CpuTraining>(&run, &dataset, &mut |_, _| ()).unwrap();
        let mean = |drops: &[super::PartDrop], part: usize, label: usize| {
            drops[part].labels[label].map_or(0.0, |[_, mean, _]| mean)
        };
        assert!(mean(&found, 0, 0) > 0.2, "{name}: {found:?}");
        assert!(mean(&found, 1, 0).abs() < 0.05, "{name}: {found:?}");
        for label in [1, 2] {
            for part in [0, 1] {
                assert!(mean(&found, part, label).abs() < 0.06, "{name}: {found:?}");
            }
        }
        if name == "together" {
            let taken = [1, 2].map(|label| mean(&explained.drops, 0, label));
            assert!(
                taken[0].max(taken[1]) > mean(&found, 0, 1).max(mean(&found, 0, 2)),
                "{taken:?}"
            );
        }
        let table = Table::read(explained.folder.join("unique_labels.tsv")).unwrap();
        assert_eq!(table.rows(), LABELS * 3);
    }
    let one = trained(
        &folder,
        &dataset,
        "prevalence",
        &["model.family=prevalence", "model.subjects=shared"],
    );
    let one = Run::open(one).unwrap();
    let refused = unique_contributions::<CpuTraining>(&one, &dataset, &mut |_, _| ());
    let message = refused.unwrap_err().to_string();
    assert!(
        message.contains("no ridge regression lies beside it"),
        "{message}"
    );
}

#[test]
fn the_region_that_carries_the_labels_is_found() {
    let folder = TempDir::new().unwrap();
    let dataset = planted(&folder, Kind::Roi);
    let raw = ["model.zscore=false"];
    let components = ["model.roi_components=4"];
    for (name, settings) in [
        ("network", NETWORK.to_vec()),
        ("ridge", RIDGE.to_vec()),
        ("ridge-raw", [RIDGE, &raw].concat()),
        (
            "aligned",
            ["model.family=aligned-ridge", "split.folds=2"].to_vec(),
        ),
        ("components", [RIDGE, &components].concat()),
        ("separate", [NETWORK, &["model.subjects=separate"]].concat()),
    ] {
        let run = trained(&folder, &dataset, name, &settings);
        let found = explained(&run);
        let drops: Vec<f64> = found
            .drops
            .iter()
            .map(|drop| drop.average_precision.mean.unwrap())
            .collect();
        assert_eq!(drops.len(), 3, "{name}");
        for (part, drop) in drops.iter().enumerate() {
            if part == PLANTED {
                assert!(*drop > 0.15, "{name}: {drops:?}");
            } else {
                assert!(drop.abs() < 0.3 * drops[PLANTED], "{name}: {drops:?}");
            }
        }
        let lost = &found.drops[PLANTED].average_precision;
        let [low, high] = lost.interval.unwrap();
        assert!(low < drops[PLANTED] && drops[PLANTED] < high);
        if name != "aligned" {
            // The second subject has no such voxels.
            let other = &found.drops[2].average_precision;
            assert_eq!(other.per_subject[1], Some(0.0), "{name}");
        }

        let patterns = found.folder.join("patterns/sub-1.npy");
        // A ridge regression beside a network is trained by the command.
        let linear = !["network", "separate"].contains(&name);
        assert_eq!(patterns.is_file(), linear, "{name}");
        if linear {
            let pattern = matrix(&patterns);
            assert_eq!(pattern.dim(), (LABELS, 3 * VOXELS), "{name}");
            let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
            for ((label, voxel), value) in pattern.indexed_iter() {
                match (voxel / VOXELS == PLANTED, voxel % LABELS == label) {
                    (true, true) => least = least.min(*value),
                    // Few components decode labels together.
                    (true, false) => {}
                    (false, _) => most = most.max(value.abs()),
                }
            }
            assert!(least > 1.2 * most, "{name}: {least} {most}");
        }

        // Importance repeats each voxel's drop.
        let values = read_npy_f32(found.folder.join("importance/sub-2.npy")).unwrap();
        let own = lost.per_subject[1].unwrap() as f32;
        assert_eq!(values.len(), 2 * VOXELS);
        assert!(values.iter().skip(VOXELS).all(|value| *value == own));
    }
}

#[test]
fn cubes_of_a_volume_are_found_alike() {
    let folder = TempDir::new().unwrap();
    let dataset = planted(&folder, Kind::Volume);
    let own = [
        "model.tokenizer=patches",
        "model.patch_size=2",
        "train.epochs=20",
    ];
    let patches = [NETWORK, &own].concat();
    let run = trained(&folder, &dataset, "patches", &patches);
    let found = explained(&run);
    let names: Vec<&str> = found.drops.iter().map(|drop| drop.part.as_str()).collect();
    assert_eq!(names, ["0-0-0", "2-0-0", "4-0-0"]);
    let mean = |part: usize| found.drops[part].average_precision.mean.unwrap();
    assert!(mean(1) > 0.15 && mean(0).abs() < 0.3 * mean(1));
    assert!(found.folder.join("attention.tsv").is_file());
    let text = fs::read_to_string(found.folder.join("explain.json")).unwrap();
    assert!(text.contains("\"part_kind\": \"cube\""), "{text}");
    assert!(text.contains("the dataset has no regions"), "{text}");
}

#[test]
fn attention_and_geometry_are_as_described_and_the_same_every_time() {
    let folder = TempDir::new().unwrap();
    let dataset = planted(&folder, Kind::Roi);
    let run = trained(&folder, &dataset, "run", NETWORK);
    let found = explained(&run);
    let first = files(&found.folder);
    explained(&run);
    assert_eq!(first, files(&found.folder));
    assert!(!run.join(".explain.partial").exists());

    let table = Table::read(found.folder.join("attention.tsv")).unwrap();
    let strings = |table: &Table, name: &str| -> Vec<String> {
        let cells = table.column(name).unwrap().cells();
        cells.map(|c| c.unwrap_or_default().to_owned()).collect()
    };
    let weights: Vec<f64> = table.column("weight").unwrap().parse().unwrap();
    let keys = strings(&table, "subject")
        .into_iter()
        .zip(strings(&table, "level"));
    let mut sums: BTreeMap<(String, String), f64> = BTreeMap::new();
    for (key, weight) in keys.zip(&weights) {
        *sums.entry(key).or_default() += weight;
    }
    assert_eq!(sums.len(), 4);
    assert!(sums.values().all(|sum| *sum > 0.0 && *sum <= 1.0 + 1e-5));
    // sub-2 lacks the last region: its rows are the last of each level's three.
    let lacking = strings(&table, "subject")
        .into_iter()
        .zip(strings(&table, "part"))
        .zip(&weights)
        .filter(|((subject, part), _)| subject == "sub-2" && part == REGIONS[2]);
    assert!(lacking.clone().count() == 2 && lacking.clone().all(|(_, weight)| *weight == 0.0));

    let rdms = Table::read(found.folder.join("rdms.tsv")).unwrap();
    let (names, kinds) = (strings(&rdms, "file"), strings(&rdms, "kind"));
    let recorded: Vec<Option<f64>> = rdms
        .column("guidance_high")
        .unwrap()
        .parse_optional()
        .unwrap();
    let read = |name: &str| matrix(&found.folder.join("rdms").join(format!("{name}.npy")));
    // Correlations are those of all folds, each in a space of its own: explained with the other, the table is the same.
    let guide = read("guidance-high");
    let shown: BTreeMap<String, Array2<f64>> = names.iter().map(|n| (n.clone(), read(n))).collect();
    let opened = Run::open(&run).unwrap();
    let second = explain::<Cpu>(&opened, &dataset, 1, &mut |_, _| ()).unwrap();
    let text = |name: &str| fs::read_to_string(second.folder.join(name)).unwrap();
    assert_eq!(
        first[&second.folder.join("rdms.tsv")],
        text("rdms.tsv").into_bytes()
    );
    let guide_second = read("guidance-high");
    assert_ne!(guide, guide_second);
    let shown_second: BTreeMap<String, Array2<f64>> =
        names.iter().map(|n| (n.clone(), read(n))).collect();
    let of_both = |name: &str| {
        (spearman(&shown[name], &guide) + spearman(&shown_second[name], &guide_second)) / 2.0
    };
    explained(&run);
    let (levels, subjects) = (strings(&rdms, "level"), strings(&rdms, "subject"));
    for (row, (name, recorded)) in names.iter().zip(&recorded).enumerate() {
        let rdm = read(name);
        assert!(rdm.diag().iter().all(|value| *value == 0.0), "{name}");
        assert_eq!(rdm, rdm.t(), "{name}");
        // Stored values are rounded to f32.
        let own = match (kinds[row].as_str(), subjects[row].as_str()) {
            ("region", _) => continue,
            // The mean over subjects.
            ("token", "") => {
                let of_level = (0..names.len()).filter(|&other| {
                    levels[other] == levels[row]
                        && kinds[other] == "token"
                        && !subjects[other].is_empty()
                });
                let each: Vec<f64> = of_level.map(|other| of_both(&names[other])).collect();
                each.iter().sum::<f64>() / each.len() as f64
            }
            _ => of_both(name),
        };
        assert!(
            (own - recorded.unwrap()).abs() < 2e-3,
            "{name}: {own} {recorded:?}"
        );
    }
    let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
    assert_eq!([count("guidance"), count("token")], [1, 6]);
    assert_eq!([count("region"), count("label")], [3, 1]);
    let of = |name: &str| recorded[names.iter().position(|found| found == name).unwrap()].unwrap();
    assert!(of("region-2-labels") > of("region-1-noise") + 0.3);
    assert!(found.notes.iter().any(|note| note.contains("low level")));

    // Jaccard by sets.
    let stimuli = strings(
        &Table::read(found.folder.join("rdm_stimuli.tsv")).unwrap(),
        "stimulus_id",
    );
    let labels = |id: &String| -> Vec<usize> {
        let stimulus = dataset.stimuli.iter().position(|s| s.id == *id).unwrap();
        (0..LABELS)
            .filter(|&label| dataset.labels.matrix[[stimulus, label]] == 1)
            .collect()
    };
    let rdm = read("label");
    for (row, a) in stimuli.iter().enumerate() {
        for (column, b) in stimuli.iter().enumerate() {
            let (a, b) = (labels(a), labels(b));
            let both = a.iter().filter(|label| b.contains(label)).count();
            let either = a.len() + b.len() - both;
            let expected = if either == 0 {
                0.0
            } else {
                1.0 - both as f64 / either as f64
            };
            assert!((rdm[[row, column]] - expected).abs() < 1e-6);
        }
    }

    let tokens = Table::read(found.folder.join("tokens.tsv")).unwrap();
    let high = matrix(&found.folder.join("tokens_high.npy"));
    assert_eq!(high.dim(), (tokens.rows(), 16));
}

#[test]
fn what_cannot_be_explained_is_told() {
    let folder = TempDir::new().unwrap();
    let dataset = planted(&folder, Kind::Roi);
    let run = trained(&folder, &dataset, "run", RIDGE);
    let refused = |data: Option<&Path>, fold: usize| {
        let run = Run::open(&run).unwrap();
        match run.dataset(data) {
            Ok(data) => {
                let refused = explain::<Cpu>(&run, &data, fold, &mut |_, _| ());
                refused.unwrap_err().to_string()
            }
            Err(refused) => refused.to_string(),
        }
    };
    let message = refused(None, 2);
    assert!(
        message.contains("expected --fold below 2, found 2"),
        "{message}"
    );
    let moved = folder.path().join("moved");
    fs::rename(dataset.root().unwrap(), &moved).unwrap();
    let message = refused(None, 0);
    assert!(
        message.contains("say where it is now with --dataset"),
        "{message}"
    );
    let opened = Run::open(&run).unwrap();
    let data = opened.dataset(Some(&moved)).unwrap();
    explain::<Cpu>(&opened, &data, 1, &mut |_, _| ()).unwrap();
    fs::write(moved.join("labels.tsv"), "label\na\nb\nc\n").unwrap();
    let message = refused(Some(&moved), 0);
    assert!(
        message.contains("is another dataset") && message.contains("what differs: the labels"),
        "{message}"
    );
    assert!(run.join("explain").is_dir());
}

#[test]
fn a_model_that_reads_nothing_has_no_parts() {
    let folder = TempDir::new().unwrap();
    let dataset = planted(&folder, Kind::Roi);
    let run = trained(
        &folder,
        &dataset,
        "run",
        &["model.family=prevalence", "model.subjects=shared"],
    );
    let found = explained(&run);
    assert!(found.drops.is_empty());
    assert!(found.notes[0].contains("reads no responses"));
    assert!(found.folder.join("rdms/label.npy").is_file());
    assert!(!found.folder.join("occlusion.tsv").exists());
}
