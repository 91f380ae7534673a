//! Real data, where they are at hand, with the recipes of `examples`.

use std::fs;
use std::path::Path;

use mused_data::import::rdm::{RdmConfig, import};
use mused_data::{Dataset, Imported, Kind, Response};
use mused_formats::npy::read_npy;
use tempfile::TempDir;

use crate::shared::shared;
use crate::tree::*;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn import_example(name: &str) -> (Imported, Dataset, TempDir) {
    import_manifest(name, &format!("data/{name}"))
}

fn import_manifest(name: &str, data: &str) -> (Imported, Dataset, TempDir) {
    let manifest = Path::new(ROOT)
        .join("examples")
        .join(format!("{name}.toml"));
    let temporary = TempDir::new().unwrap();
    let out = temporary.path().join("out");
    let mut calls = Vec::new();
    let progress = &mut |done, total| calls.push((done, total));
    let config = RdmConfig {
        data: Some(shared(data)),
        ..RdmConfig::default()
    };
    let imported = import(&manifest, &out, &config, progress).unwrap();
    let subjects = imported.subjects.len();
    assert_eq!(
        calls,
        (0..=subjects)
            .map(|done| (done, subjects))
            .collect::<Vec<_>>()
    );
    (imported, Dataset::open(&out).unwrap(), temporary)
}

/// Expected values from numpy on the same files; the labels equal `derived_labels.npz` without
/// the five excluded words.
#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn action_geometry() {
    let (imported, dataset, _temporary) = import_example("action-geometry");
    assert_eq!(
        (
            imported.subjects.len(),
            imported.stimuli,
            dataset.roi_names().len(),
            imported.labels.len()
        ),
        (23, 90, 18, 32)
    );
    assert!(imported.notes.is_empty(), "{:?}", imported.notes);
    assert_eq!(
        (dataset.roi_names()[0], dataset.roi_names()[17]),
        ("lh_AIP", "rh_pSTS")
    );
    assert_eq!(dataset.description.kind, Kind::Roi);
    assert_eq!(dataset.description.response, Response::SimilarityProfiles);
    assert_eq!(dataset.subjects[0].id, "sid000005");
    for subject in &dataset.subjects {
        assert_eq!((subject.trials.len(), subject.voxels.len()), (90, 1620));
    }
    assert_eq!(
        &dataset.labels.names[..5],
        ["arms", "hands", "indoors", "dancing", "eat"]
    );
    assert_eq!(labels_of(&dataset, 0), ["hands", "indoors", "crafting"]);
    assert_eq!(labels_of(&dataset, 47), ["eat", "mouth"]);
    let positives: u32 = dataset.labels.matrix.iter().map(|on| u32::from(*on)).sum();
    assert_eq!(positives, 273); // 273 / (90 × 32) = .0948

    let lo = dataset.subjects[0]
        .voxels
        .iter()
        .position(|voxel| voxel.roi == "lh_LO")
        .unwrap();
    assert_near(response(&dataset, "sid000005", 0)[lo], 0.5813012674019263);
    assert_near(
        response(&dataset, "sid000005", 3)[lo + 7],
        0.10622753035800003,
    );
    let high = features(&dataset, "high");
    assert_near(high[[0, 1]], 0.5310529056575862);
    assert_near(high[[89, 88]], 0.4521429174308415);
    assert_near(features(&dataset, "low")[[0, 1]], 1.114198765835205);
    // 414 RDMs, 2 keyword files, 3 model RDMs.
    assert_eq!(dataset.description.sources.len(), 419);
    assert!(
        dataset
            .description
            .sources
            .iter()
            .all(|source| source.sha256.len() == 64)
    );
}

#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn kriegeskorte92() {
    let (imported, dataset, _temporary) = import_example("kriegeskorte92");
    assert_eq!(ids(&imported), ["BE", "KO", "SN", "TI"]);
    assert_eq!((imported.stimuli, imported.labels.len()), (92, 9));
    assert_eq!(dataset.roi_names(), ["hIT"]);
    let positives: Vec<u32> = dataset
        .labels
        .matrix
        .columns()
        .into_iter()
        .map(|column| column.iter().map(|on| u32::from(*on)).sum())
        .collect();
    assert_eq!(positives, [48, 44, 24, 24, 24, 24, 23, 21, 7]);
    assert_eq!(labels_of(&dataset, 0), ["animate", "human", "body"]);
    assert_eq!(labels_of(&dataset, 60), ["inanim", "natObj"]);
    let trials = &dataset.subjects[2].trials;
    assert_eq!(trials.len(), 184);
    let last = trials.last().unwrap();
    assert_eq!((last.stimulus, last.session, last.repeat), (91, 2, 2));
    // SN, session 2, image 5 against image 10; BE, session 1, image 1 against image 2.
    assert_near(response(&dataset, "SN", 92 + 4)[9], 0.23339444);
    assert_near(response(&dataset, "BE", 0)[1], 0.17121696);
    assert_eq!(features(&dataset, "low").dim(), (92, 1568));
    assert_eq!(features(&dataset, "high").dim(), (92, 1280));
    // Sum of all values, and the colour in row 60, column 100, as scipy reads them.
    for (stimulus, sum, colour) in [
        (0, 11_807_435_u64, [246, 163, 140]),
        (91, 17_296_379, [55, 54, 45]),
    ] {
        let path = dataset
            .root()
            .unwrap()
            .join(dataset.stimuli[stimulus].file.as_ref().unwrap());
        let mut reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap()))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; 175 * 175 * 3];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(
            pixels.iter().map(|value| u64::from(*value)).sum::<u64>(),
            sum
        );
        let at = 3 * (60 * 175 + 100);
        assert_eq!(pixels[at..at + 3], colour);
    }
}

/// Numbers of columns and shares of negative variance as numpy has them.
#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn patterns_behind_real_rdms() {
    let (imported, dataset, _temporary) =
        import_manifest("action-geometry-patterns", "data/action-geometry");
    assert_eq!(imported.warnings.len(), 23);
    let said =
        "subject sid000005: negative variance was left out, by share: lh_AIP 0.111, lh_EV 0.099";
    assert!(
        imported.warnings[0].starts_with(said),
        "{}",
        imported.warnings[0]
    );
    assert_eq!(imported.subjects[0].1, [1, 90, 1471]);
    assert_eq!(dataset.features.len(), 3);
    let (imported, dataset, _temporary) =
        import_manifest("kriegeskorte92-patterns", "data/kriegeskorte92");
    assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);
    assert_eq!(imported.subjects[0].1, [2, 92, 91]);
    assert_eq!(dataset.features.len(), 2);
    let (imported, dataset, _temporary) = import_manifest("cichy92-patterns", "data");
    assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);
    let rdm = read_npy(shared("data/cichy92-8/rdm_s03_IT.npy")).unwrap();
    let rdm = rdm.into_dimensionality().unwrap();
    assert_inner_products(&patterns_of(&dataset, 2, "IT"), &kernel(&rdm));
}
