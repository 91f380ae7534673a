//! GIFTI against nibabel (`generate_gifti.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use mused_formats::gifti::*;
use mused_formats::npy::Dtype;
use mused_formats::npz::NpzFile;
use ndarray::{arr1, array};
use support::{bytes, damage, file, shared};

fn read(name: &str) -> Gifti {
    Gifti::read(file("gifti").join(name)).unwrap()
}

#[test]
fn all_encodings_and_orders_read_as_nibabel_reads_them() {
    let expected = NpzFile::read(file("gifti/expected.npz")).unwrap();
    let mut count = 0;
    for name in expected.names() {
        let (stem, index) = name.rsplit_once('_').unwrap();
        let gifti = read(&format!("{stem}.gii"));
        let array = &gifti.arrays[index.parse::<usize>().unwrap()];
        assert_eq!(array.values, expected.array(name).unwrap(), "{name}");
        assert_eq!(array.metadata, [("Name".to_owned(), "a < b".to_owned())]);
        count += 1;
    }
    assert_eq!(count, 38);
}

#[test]
fn labels_and_metadata() {
    let gifti = read("labels.gii");
    assert_eq!(gifti.metadata[0].1, "CortexLeft");
    let second = Label {
        key: 7,
        name: "V1 & V2 <".to_owned(),
        rgba: Some([0.25, 0., 0.5, 1.]),
    };
    assert_eq!((gifti.labels.len(), &gifti.labels[1]), (2, &second));
    assert_eq!(gifti.with_intent(LABEL).count(), 1);
    assert_eq!(gifti.with_intent(SHAPE).count(), 0);
}

#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn shared_files_read_as_nibabel_reads_them() {
    // By nibabel: arrays, the first one's intent and shape, its sum in float64.
    for (name, arrays, intent, shape, sum) in SHARED_FILES {
        let gifti = Gifti::read(shared(&format!("{FOLDER}/{name}"))).unwrap();
        let first = &gifti.arrays[0];
        assert_eq!(
            (
                gifti.arrays.len(),
                first.intent.as_str(),
                first.values.shape()
            ),
            (arrays, intent, shape),
            "{name}"
        );
        assert!(
            (first.values.sum() - sum).abs() <= 1e-6 * sum.abs(),
            "{name}: {}",
            first.values.sum()
        );
    }
    let ascii = Gifti::read(shared(&format!("{FOLDER}/ascii.gii"))).unwrap();
    assert_eq!(ascii.arrays[0].transforms[0].from, "NIFTI_XFORM_TALAIRACH");
    assert_eq!(ascii.arrays[0].transforms[0].matrix[3], [0., 0., 0., 1.]);
    let labels = shared(&format!("{FOLDER}/rh.aparc.annot.gii"));
    let labels = Gifti::read(labels).unwrap().labels;
    assert!(labels.iter().any(|label| label.name == "bankssts"));
}

const FOLDER: &str = "data/format-samples/gifti";
const SHARED_FILES: [(&str, usize, &str, &[usize], f64); 9] = [
    (
        "ascii.gii",
        2,
        "NIFTI_INTENT_POINTSET",
        &[3, 3],
        -184.46449851989746,
    ),
    (
        "ascii_flat_data.gii",
        2,
        "NIFTI_INTENT_POINTSET",
        &[10, 3],
        3590.770088195801,
    ),
    (
        "base64bin.gii",
        2,
        "NIFTI_INTENT_POINTSET",
        &[10, 3],
        3590.770088195801,
    ),
    ("external.gii", 2, "NIFTI_INTENT_POINTSET", &[8, 3], 0.0),
    (
        "gzipbase64.gii",
        1,
        "NIFTI_INTENT_SHAPE",
        &[143479, 1],
        -4798.401461647083,
    ),
    ("label.gii", 1, "NIFTI_INTENT_LABEL", &[71723], 32689.0),
    (
        "rh.aparc.annot.gii",
        1,
        "NIFTI_INTENT_LABEL",
        &[151533],
        1135595694639.0,
    ),
    (
        "rh.shape.curv.gii",
        1,
        "NIFTI_INTENT_SHAPE",
        &[133764, 1],
        -3809.0029474860694,
    ),
    (
        "task.func.gii",
        10,
        "NIFTI_INTENT_TIME_SERIES",
        &[642],
        334971.45460796356,
    ),
];

fn written() -> [(&'static str, Gifti); 2] {
    let vertices = arr1(&[0.5, -1.25, f32::NAN, 3.]);
    let values = Gifti::of_vertices("CortexLeft", SHAPE, "AUC & <more>", vertices.view());
    let array = |intent: &str, dtype, values| DataArray {
        intent: intent.to_owned(),
        dtype,
        metadata: Vec::new(),
        transforms: Vec::new(),
        values,
    };
    // What `generate_gifti.py` holds in `values`, in Fortran order in memory.
    let points = array![
        [0., 7., 14.],
        [21., 28., 4.],
        [11., 18., 25.],
        [1., 8., 15.]
    ];
    let mut points = array(
        POINTSET,
        Dtype::F32,
        points
            .t()
            .as_standard_layout()
            .into_owned()
            .reversed_axes()
            .into_dyn(),
    );
    let mut matrix = [[0.; 4]; 4];
    for (index, value) in [1., 2., 3., 1.].into_iter().enumerate() {
        matrix[index][index] = value;
    }
    let system = "NIFTI_XFORM_UNKNOWN".to_owned();
    points.transforms.push(Transform {
        from: system.clone(),
        to: system,
        matrix,
    });
    let triangles = array(
        TRIANGLE,
        Dtype::I32,
        array![[0., 1., 2.], [1., 2., 3.]].into_dyn(),
    );
    let labels = vec![Label {
        key: 3,
        name: "V4 > \"V3\"".to_owned(),
        rgba: Some([0., 0.5, 1., 1.]),
    }];
    let surface = Gifti {
        labels,
        arrays: vec![points, triangles],
        ..Gifti::default()
    };
    [("written.func.gii", values), ("written.surf.gii", surface)]
}

#[test]
fn what_is_written_is_what_nibabel_has_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, gifti) in written() {
        let path = folder.path().join(name);
        gifti.write(&path).unwrap();
        if std::env::var_os("MUSED_WRITE_FILES").is_some() {
            std::fs::copy(&path, file("gifti").join(name)).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap() == bytes(&format!("gifti/{name}")),
            "{name}"
        );
        let again = Gifti::read(&path).unwrap();
        // NaN equals nothing, so as text; values in the order of the file.
        let mut gifti = gifti;
        for array in &mut gifti.arrays {
            array.values = array.values.as_standard_layout().into_owned();
        }
        assert_eq!(format!("{again:?}"), format!("{gifti:?}"));
    }
    let mut refused = written()[1].1.clone();
    refused.arrays[1].values[[0, 0]] = 0.5;
    assert!(
        refused
            .write(folder.path().join("a.gii"))
            .unwrap_err()
            .to_string()
            .contains("int32")
    );
}

fn message(text: &str) -> String {
    Gifti::parse(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn broken_files_say_why() {
    let good = String::from_utf8(bytes("gifti/tiny.gii")).unwrap();
    Gifti::parse(good.as_bytes()).unwrap();
    for (from, to, expected) in [
        (
            "Dim0=\"4\"",
            "Dim0=\"5\"",
            "20 bytes, the values of shape [5], found 16",
        ),
        ("Dim0=\"4\"", "Dim0=\"99999999999\"", "found 16"),
        (
            "Dim0=\"4\"",
            "Dim0=\"9999999999999999999\"",
            "whose product fits",
        ),
        ("Dim0=\"4\"", "", "the attribute Dim0"),
        ("Dimensionality=\"1\"", "Dimensionality=\"7\"", "1 to 6"),
        (
            "INT32",
            "COMPLEX64",
            "the DataType NIFTI_TYPE_COMPLEX64 is not supported",
        ),
        (
            "GZipBase64Binary",
            "Morse",
            "the encoding Morse is not supported",
        ),
        ("GZipBase64Binary", "ExternalFileBinary", "beside bytes"),
        ("LittleEndian", "MiddleEndian", "BigEndian or LittleEndian"),
        ("RowMajorOrder", "NoOrder", "ColumnMajorOrder"),
        ("Key=\"7\"", "Key=\"x\"", "a number as Key"),
        ("</GIFTI>", "", "expected </GIFTI>"),
        ("GIFTI", "GIFT", "the element GIFTI"),
        ("&amp;", "&amp", "byte"),
    ] {
        let text = good.replace(from, to);
        assert!(
            message(&text).contains(expected),
            "{to}: {}",
            message(&text)
        );
    }
    let path = file("gifti/external.gii");
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("external.gii");
    for name in ["../secret", "/etc/passwd", "absent.dat"] {
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replace("values.dat", name);
        std::fs::write(&copy, text).unwrap();
        let message = Gifti::read(&copy).unwrap_err().to_string();
        assert_eq!(
            message.contains("within the file's folder"),
            name != "absent.dat",
            "{message}"
        );
    }
}

#[test]
fn an_entity_bomb_is_refused() {
    let mut bomb = "<?xml version=\"1.0\"?>\n<!DOCTYPE lolz [<!ENTITY lol0 \"lol\">\n".to_owned();
    for level in 1..10 {
        let inner = format!("&lol{};", level - 1).repeat(10);
        bomb += &format!("<!ENTITY lol{level} \"{inner}\">\n");
    }
    let in_text = format!("{bomb}]><GIFTI>&lol9;</GIFTI>");
    assert!(
        message(&in_text).contains("the entity &lol9;"),
        "{}",
        message(&in_text)
    );
    let in_attribute = format!("{bomb}]><GIFTI a=\"&lol9;\"/>");
    assert!(
        message(&in_attribute).contains("lol9"),
        "{}",
        message(&in_attribute)
    );
    let deep = "<GIFTI>".repeat(100_000);
    assert!(message(&deep).contains("within each other"));
}

#[test]
fn no_damage_panics_or_allocates_hugely() {
    damage(&bytes("gifti/tiny.gii"), 1 << 22, |bytes| {
        let _ = Gifti::parse(&bytes);
    });
}
