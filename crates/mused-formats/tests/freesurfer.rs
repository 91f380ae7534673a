//! FreeSurfer's files against nibabel (`generate_freesurfer.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::io::Cursor;

use mused_formats::freesurfer::*;
use mused_formats::npz::NpzFile;
use ndarray::{Array, array};
use support::{bytes, damage, file, shared};

fn expected() -> NpzFile {
    NpzFile::read(file("freesurfer/expected.npz")).unwrap()
}

fn fixture(name: &str) -> std::path::PathBuf {
    file("freesurfer").join(name)
}

#[test]
fn surfaces_and_what_lies_on_them() {
    let expected = expected();
    let surface = read_surface(fixture("lh.white")).unwrap();
    assert_eq!(
        surface.vertices.into_dyn(),
        expected.array_f32("points").unwrap()
    );
    assert_eq!(
        surface.triangles.mapv(f64::from).into_dyn(),
        expected.array("faces").unwrap()
    );
    for name in ["curv", "old_curv"] {
        let values = read_morph(fixture(&format!("lh.{name}"))).unwrap();
        assert!(
            values.iter().eq(&expected.array_f32(name).unwrap()),
            "{name}: {values:?}"
        );
    }
    let label = read_label(fixture("lh.V1.label")).unwrap();
    assert_eq!(
        (label.vertices, label.values),
        (vec![3, 12], vec![0.5, -0.25])
    );
    assert_eq!(label.coordinates, array![[-1.5, 2.25, 3.], [4., 5., 6.]]);
}

#[test]
fn annotations_of_both_forms() {
    let regions = [
        ("unknown", [25, 5, 25, 0]),
        ("bankssts", [25, 100, 40, 0]),
        ("V1", [125, 100, 160, 0]),
    ];
    let regions = regions.map(|(name, rgbt)| Region {
        name: name.to_owned(),
        rgbt,
    });
    let expected = expected().array("annotation").unwrap();
    for name in ["lh.annot", "lh.old.annot"] {
        let annotation = read_annotation(fixture(name)).unwrap();
        assert_eq!(annotation.regions, regions);
        let ids = annotation
            .vertices
            .iter()
            .map(|id| id.map_or(-1., |id| id as f64));
        assert!(ids.eq(expected.iter().copied()), "{name}");
    }
}

#[test]
fn volumes() {
    let expected = expected();
    for name in "u1.mgz i2.mgz i4.mgz f4.mgz u2.mgz plain.mgh nowhere.mgh".split(' ') {
        let mut volume = open_mgh(fixture(name)).unwrap();
        let key = &name[..name.len() - 4];
        assert_eq!(
            volume.read_all().unwrap(),
            expected.array_f32(key).unwrap(),
            "{name}"
        );
        let affine = volume.header().affine;
        let affine = Array::from_shape_fn((4, 4), |(i, j)| affine[i][j]).into_dyn();
        let difference =
            (affine - expected.array(&format!("{key}_affine")).unwrap()).mapv(f64::abs);
        assert!(
            difference.iter().all(|&difference| difference < 1e-5),
            "{name}: {difference}"
        );
    }
}

#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn a_volume_reads_as_nibabel_reads_it() {
    let path = shared("data/format-samples/nibabel-tests/test.mgz");
    let mut volume = open_mgh(path).unwrap();
    let values = volume.read_all().unwrap();
    assert_eq!(values.shape(), [3, 4, 5, 2]);
    assert!((values.sum() - -15.556_572).abs() < 1e-5);
    assert_eq!(volume.header().affine[0][3], -13.0);
}

#[test]
fn broken_files_say_why() {
    let surface = bytes("freesurfer/lh.white");
    let changed = |at: usize, new: &[u8]| {
        let mut bytes = surface.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        parse_surface(&bytes).unwrap_err().to_string()
    };
    let vertices = surface
        .windows(2)
        .position(|window| window == b"\n\n")
        .unwrap()
        + 2;
    assert!(changed(0, &[0]).contains("mark of a surface"));
    assert!(changed(2, &[0xFF]).contains("quadrangles"));
    assert!(changed(vertices, &[0x7F]).contains("bytes, found the end after"));
    assert!(changed(vertices, &[0xFF]).contains("a number of vertices"));
    assert!(changed(surface.len() - 4, &[0, 0, 0, 9]).contains("of vertices 0 to 5"));
    assert!(
        parse_label(b"#\n2\n1 2 3 4 5\n")
            .unwrap_err()
            .to_string()
            .contains("2 vertices, found 1")
    );
    assert!(
        parse_label(b"#\n1\n1 2 3 4\n")
            .unwrap_err()
            .to_string()
            .contains("line 3")
    );
    assert!(
        parse_label(b"#\n")
            .unwrap_err()
            .to_string()
            .contains("line 2")
    );
    assert!(
        parse_annotation(&[0; 8])
            .unwrap_err()
            .to_string()
            .contains("without a colour table")
    );
    let message = new_mgh(Cursor::new(vec![0; 300])).unwrap_err().to_string();
    assert!(message.contains("field version"), "{message}");
}

#[test]
fn no_damage_panics_or_allocates_hugely() {
    let most = 1 << 22;
    for name in [
        "lh.white",
        "lh.curv",
        "lh.old_curv",
        "lh.V1.label",
        "lh.annot",
        "lh.old.annot",
    ] {
        damage(&bytes(&format!("freesurfer/{name}")), most, |bytes| {
            let _ = parse_surface(&bytes);
            let _ = parse_morph(&bytes);
            let _ = parse_label(&bytes);
            let _ = parse_annotation(&bytes);
        });
    }
    for name in ["plain.mgh", "i2.mgz"] {
        damage(&bytes(&format!("freesurfer/{name}")), most, |bytes| {
            let _ = new_mgh(Cursor::new(bytes)).and_then(|mut volume| volume.read_all());
        });
    }
}
