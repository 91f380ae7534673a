//! .mat against files that scipy and MATLAB wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/shared.rs"]
mod shared;

use std::path::PathBuf;

use mused_formats::mat::*;
use ndarray::{ArrayD, IxDyn, array};
use proptest::prelude::*;
use shared::shared;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name)
}

/// The same variables in the forms of versions 5, 7 and 7.3.
fn all_forms() -> [(&'static str, PathBuf); 3] {
    let version_73 = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/files/version73.mat"
    ));
    [
        ("plain.mat", fixture("plain.mat")),
        ("compressed.mat", fixture("compressed.mat")),
        ("version73.mat", version_73),
    ]
}

#[test]
fn values_are_those_scipy_wrote() {
    for (name, path) in all_forms() {
        let rdm = array![[210., 211., 212.], [213., 214., 215.]].into_dyn();
        assert_eq!(read_mat(&path, "structures[0,2,1].rdm").unwrap(), rdm);
        assert!(
            read_mat(&path, "structures[0,2,1].rdm")
                .unwrap()
                .is_standard_layout()
        );
        assert_eq!(
            read_mat_strings(&path, "structures[0,1,0].name").unwrap(),
            ["s10"]
        );
        assert_eq!(
            read_mat(&path, "one.inner.value").unwrap(),
            array![[1., 2.]].into_dyn()
        );
        assert_eq!(
            read_mat(&path, "one[0,0].inner[0,0].value").unwrap().len(),
            2
        );
        let cube = ArrayD::from_shape_vec(IxDyn(&[2, 3, 4]), (0..24).map(f64::from).collect());
        assert_eq!(read_mat(&path, "cube").unwrap(), cube.unwrap());
        assert_eq!(
            read_mat(&path, "flag").unwrap(),
            array![[1., 0.]].into_dyn()
        );
        assert_eq!(read_mat(&path, "nothing").unwrap().shape(), [0, 0]);
        for class in "int8 uint8 int16 uint16 int32 uint32 int64 uint64 single double".split(' ') {
            let array = read_mat(&path, &format!("n_{class}")).unwrap();
            assert_eq!(array, array![[1., 2.], [3., 100.]].into_dyn(), "{class}");
        }
        assert_eq!(read_mat_strings(&path, "text").unwrap(), ["hello"]);
        assert_eq!(read_mat_strings(&path, "rows").unwrap(), ["two", "three"]);
        assert_eq!(
            read_mat_strings(&path, "names").unwrap(),
            ["a", "b", "c", "d"]
        );
        assert_eq!(
            read_mat_strings(&path, "cells[0,2]").unwrap(),
            ["Gesicht ä"]
        );
        assert_eq!(
            read_mat(&path, "cells[0, 3]").unwrap(),
            array![[0., 1., 2.]].into_dyn()
        );
        let file = MatFile::read(&path).unwrap();
        let names: Vec<&str> = file.names().collect();
        match name {
            "version73.mat" => assert!(names.is_sorted() && names.contains(&"structures")),
            _ => assert_eq!(names[..3], ["structures", "one", "cells"]),
        }
        assert_eq!(
            file.variable("structures").unwrap().shape("").unwrap(),
            [1, 3, 2]
        );
    }
}

#[test]
fn selectors_that_lead_nowhere_say_what_there_is() {
    for (name, path) in all_forms() {
        refuse_selectors(name, &path);
    }
}

fn refuse_selectors(file: &str, path: &std::path::Path) {
    for (selector, expected) in [
        ("absent", "structures"),
        ("structures[0,2,1].absent", "rdm"),
        ("structures.rdm", "indices before the field rdm"),
        ("structures[0,3,0].rdm", "within [1, 3, 2]"),
        ("structures[0,1].rdm", "one index a dimension"),
        ("structures[0,0,0]", "an element of a structure array"),
        ("structures[0,0,0][0,0,0].rdm", "to index"),
        ("structures[a]", "selector structures[a]"),
        ("structures[0", "selector structures[0"),
        ("structures[0,0,0]rdm", "selector"),
        ("structures[0,0,0].", "selector"),
        ("cube.rdm", "a structure with a field rdm"),
        ("cube[0,0,0]", "to index"),
        ("text", "a numeric array"),
        ("imaginary", "complex"),
        ("", "no variable ``"),
    ] {
        let message = read_mat(path, selector).unwrap_err().to_string();
        assert!(
            message.contains(expected) && message.contains(file),
            "{selector}: {message}"
        );
    }
    for (selector, expected) in [
        ("cube", "a character array"),
        ("cells", "cells, cell 3: expected one row of characters"),
    ] {
        let message = read_mat_strings(path, selector).unwrap_err().to_string();
        assert!(message.contains(expected), "{selector}: {message}");
    }
}

#[test]
fn other_files_are_refused() {
    let message = |bytes: &[u8]| MatFile::parse(bytes.to_vec()).unwrap_err().to_string();
    assert!(message(b"short").contains("128 bytes"));
    assert!(message(&[0; 200]).contains("IM or MI"));
    assert!(message(&std::fs::read(fixture("version4.mat")).unwrap()).contains("version 5"));
    let mut broken = std::fs::read(&all_forms()[2].1).unwrap();
    broken[512] ^= 1;
    assert!(message(&broken).contains("mark of an HDF5 file"));
    let sparse = read_mat(&all_forms()[2].1, "sparse")
        .unwrap_err()
        .to_string();
    assert!(sparse.contains("a sparse array"), "{sparse}");
}

#[test]
fn files_cut_short_never_give_wrong_values() {
    for name in ["plain.mat", "compressed.mat"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let whole = MatFile::parse(bytes.clone()).unwrap();
        for length in (0..bytes.len()).step_by(7) {
            let Ok(file) = MatFile::parse(bytes[..length].to_vec()) else {
                continue;
            };
            for variable in file.names() {
                let cut = file
                    .variable(variable)
                    .and_then(|variable| variable.array(""));
                if let Ok(array) = cut {
                    assert_eq!(array, whole.variable(variable).unwrap().array("").unwrap());
                }
            }
        }
    }
}

/// A little-endian uncompressed file with one variable `x` of that class, shape and further elements.
fn file_with(class: u32, shape: &[i32], rest: &[u8]) -> Vec<u8> {
    let element = |code: u32, data: &[u8]| {
        let size = u32::try_from(data.len()).unwrap();
        let padding = vec![0; data.len().next_multiple_of(8) - data.len()];
        [&code.to_le_bytes(), &size.to_le_bytes(), data, &padding].concat()
    };
    let flags = [class.to_le_bytes(), [0; 4]].concat();
    let lengths = shape
        .iter()
        .flat_map(|length| length.to_le_bytes())
        .collect::<Vec<u8>>();
    let contents = [
        element(6, &flags),
        element(5, &lengths),
        element(1, b"x"),
        rest.to_vec(),
    ]
    .concat();
    [
        [b' '; 124].as_slice(),
        &[0, 1, b'I', b'M'],
        &element(14, &contents),
    ]
    .concat()
}

#[test]
fn shapes_that_lie_are_refused_before_anything_is_allocated() {
    for shape in [
        [i32::MAX; 3].as_slice(),
        &[0, i32::MAX, i32::MAX, i32::MAX],
        &[-1, 2],
        &[1; 33],
        &[],
    ] {
        let file = MatFile::parse(file_with(6, shape, &[])).unwrap();
        let message = file
            .variable("x")
            .unwrap()
            .array("")
            .unwrap_err()
            .to_string();
        assert!(message.contains("product fits"), "{message}");
    }
    // Two thousand million cells in no bytes.
    let file = MatFile::parse(file_with(1, &[i32::MAX, 1], &[])).unwrap();
    let variable = file.variable("x").unwrap();
    assert!(
        variable
            .strings("")
            .unwrap_err()
            .to_string()
            .contains("8-byte tag")
    );
    assert!(variable.array("[2000000000,0]").is_err());
    // A structure array whose field names have no length.
    let file = MatFile::parse(file_with(2, &[1, 1], &[5, 0, 4, 0, 0, 0, 0, 0])).unwrap();
    let message = file
        .variable("x")
        .unwrap()
        .array(".a")
        .unwrap_err()
        .to_string();
    assert!(message.contains("length of field names"), "{message}");
    let file = MatFile::parse(file_with(5, &[1, 1], &[])).unwrap();
    assert!(
        file.variable("x")
            .unwrap()
            .array("")
            .unwrap_err()
            .to_string()
            .contains("sparse")
    );
}

#[test]
fn the_big_endian_form_reads_alike() {
    let numbers = [2_u32, 3].map(u32::to_be_bytes).concat();
    let element = |code: u32, data: &[u8]| {
        [
            &code.to_be_bytes(),
            &u32::try_from(data.len()).unwrap().to_be_bytes(),
            data,
        ]
        .concat()
    };
    let contents = [
        element(6, &[12_u32.to_be_bytes(), [0; 4]].concat()),
        element(5, &[1_u32, 2].map(u32::to_be_bytes).concat()),
        // Packed: size in the upper half, type in the lower.
        vec![0, 1, 0, 1, b'x', 0, 0, 0],
        element(6, &numbers),
    ]
    .concat();
    let bytes = [
        [b' '; 124].as_slice(),
        &[1, 0, b'M', b'I'],
        &element(14, &contents),
    ]
    .concat();
    let file = MatFile::parse(bytes).unwrap();
    assert_eq!(
        file.variable("x").unwrap().array("").unwrap(),
        array![[2., 3.]].into_dyn()
    );
}

#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn kriegeskorte92_reads() {
    let path = shared("data/kriegeskorte92/92_brainRDMs.mat");
    let rdms = MatFile::read(path).unwrap().variable("RDMs").unwrap();
    assert_eq!(rdms.shape("").unwrap(), [1, 4, 2]);
    let (mut sum, mut names) = (0., Vec::new());
    for subject in 0..4 {
        for session in 0..2 {
            let rdm = rdms.array(&format!("[0,{subject},{session}].RDM")).unwrap();
            assert_eq!(rdm.shape(), [92, 92]);
            assert_eq!(rdm, rdm.t());
            sum += rdm.sum();
            names.extend(
                rdms.strings(&format!("[0,{subject},{session}].name"))
                    .unwrap(),
            );
        }
    }
    assert!((sum - BRAIN_RDM_SUM).abs() < 1e-6, "{sum}");
    assert_eq!(names[0], "hIT | BE | Session: 1");

    let path = shared("data/kriegeskorte92/Kriegeskorte_Neuron2008_supplementalData.mat");
    let file = MatFile::read(path).unwrap();
    let vectors = file.variable("categoryVectors").unwrap().array("").unwrap();
    assert_eq!(
        (vectors.shape(), vectors.sum()),
        ([92, 12].as_slice(), CATEGORY_SUM)
    );
    let labels = file
        .variable("categoryLabels")
        .unwrap()
        .strings("")
        .unwrap();
    let expected =
        "animate inanim human nonhumani body face natObj artiObj rand24 rand48 other48 monkeyape";
    assert!(
        labels
            .iter()
            .map(|label| label.trim())
            .eq(expected.split(' ')),
        "{labels:?}"
    );
    let image = file
        .variable("stimuli_92objs")
        .unwrap()
        .array("[0,91].image")
        .unwrap();
    assert_eq!(
        (image.shape(), image.sum(), image[[80, 90, 1]]),
        ([175, 175, 3].as_slice(), IMAGE_SUM, IMAGE_PIXEL)
    );
}

#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn files_that_matlab_wrote_as_7_3_read() {
    let path = shared("data/format-samples/pymvpa/v73.mat");
    assert_eq!(
        read_mat(&path, "x").unwrap(),
        array![[0., 1., 2., 3., 4., 5.]].into_dyn()
    );
    assert_eq!(
        read_mat(&path, "y").unwrap(),
        array![[1., 0., 1.]].into_dyn()
    );

    // By h5py, its dimensions reversed.
    let file = MatFile::read(shared("data/mat73-sample/experiment2.mat")).unwrap();
    let variable = |name: &str| file.variable(name).unwrap();
    assert_eq!(variable("roilabels").strings("").unwrap(), ["VWFA", "FFA"]);
    let labels = variable("stimlabels").strings("").unwrap();
    assert_eq!(
        (labels.len(), &labels[..3]),
        (
            115,
            ["BLANK", "FACECON4", "FACECON6"]
                .map(str::to_owned)
                .as_slice()
        )
    );
    assert_eq!(
        variable("stimlabels").strings("[0,2]").unwrap(),
        ["FACECON6"]
    );
    let stimuli = variable("stimuli").array("").unwrap();
    assert_eq!(
        (stimuli.shape(), stimuli.sum()),
        ([750, 750, 1, 115].as_slice(), 8_091_212_904.)
    );
    let beta = variable("subjectbeta").array("").unwrap();
    assert_eq!(beta.shape(), [1, 2, 115]);
    assert!((beta.sum() - 144.329_967_469_908_3).abs() < 1e-9);
    assert!((beta[[0, 1, 0]] - 0.359_741_24).abs() < 1e-7);
    assert_eq!(
        variable("subjectbetaboot").shape("").unwrap(),
        [1, 2, 115, 100]
    );
}

// By scipy.io.loadmat; the RDMs, stored as float32, summed in float64.
const BRAIN_RDM_SUM: f64 = 56791.43322515488;
const CATEGORY_SUM: f64 = 353.0;
const IMAGE_SUM: f64 = 17296379.0;
const IMAGE_PIXEL: f64 = 218.0;

/// Tries everything that can be asked of a file.
fn explore(bytes: Vec<u8>) {
    let Ok(file) = MatFile::parse(bytes) else {
        return;
    };
    for name in file.names() {
        let Ok(variable) = file.variable(name) else {
            continue;
        };
        for selector in [
            "",
            "[0,2,1].rdm",
            "[0,1,0].name",
            ".inner.value",
            "[0,3]",
            "[0,0]",
        ] {
            let _ = variable.array(selector);
            let _ = variable.strings(selector);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let header = [[b' '; 124].as_slice(), &[0, 1, b'I', b'M']].concat();
        explore([header, bytes.clone()].concat());
        explore(bytes);
    }

    #[test]
    fn no_change_of_a_good_file_makes_the_parser_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        form in 0..3_usize,
    ) {
        let mut bytes = std::fs::read(&all_forms()[form].1).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        explore(bytes);
    }

    #[test]
    fn no_selector_makes_the_parser_panic(selector in "(one|cells|structures)?[\\[\\].,a-z0-9é]{0,12}") {
        let _ = read_mat(fixture("plain.mat"), &selector);
    }
}
