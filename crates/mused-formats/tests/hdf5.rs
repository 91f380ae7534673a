//! HDF5 against h5py (`generate_hdf5.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use mused_formats::hdf5::*;
use mused_formats::npy::Dtype;
use mused_formats::npz::NpzFile;
use support::{bytes, damage, file, shared};

const FILES: [&str; 2] = ["old", "new"];

fn open(name: &str) -> File {
    File::open(file(&format!("hdf5/{name}.h5"))).unwrap()
}

#[test]
fn values_are_those_h5py_reads_whole_and_by_rows() {
    let expected = NpzFile::read(file("hdf5/expected.npz")).unwrap();
    let mut count = 0;
    for name in expected.names() {
        let (stem, dataset) = match name.strip_prefix("tiny_") {
            Some(rest) => rest
                .split_once('_')
                .map(|(stem, rest)| (format!("tiny_{stem}"), rest))
                .unwrap(),
            None => name
                .split_once('_')
                .map(|(stem, rest)| (stem.to_owned(), rest))
                .unwrap(),
        };
        let dataset = match dataset.strip_prefix("types_") {
            Some(kind) => format!("types/{kind}"),
            None => dataset.to_owned(),
        };
        let values = expected.array(name).unwrap();
        let dataset = open(&stem).dataset(&dataset).unwrap();
        assert_eq!(dataset.shape(), values.shape(), "{name}");
        assert_eq!(dataset.read().unwrap(), values, "{name}");
        let rounded = values.mapv(|value| value as f32);
        assert_eq!(dataset.read_f32().unwrap(), rounded, "{name}");
        if values.ndim() > 0 {
            let rows = values.shape()[0];
            for range in [
                0..rows,
                0..rows.min(1),
                rows / 3..rows - rows / 3,
                rows..rows,
            ] {
                let slice = rounded.slice_each_axis(|axis| match axis.axis.index() {
                    0 => range.clone().into(),
                    _ => (..).into(),
                });
                assert_eq!(
                    dataset.read_rows(range.clone()).unwrap(),
                    slice,
                    "{name} {range:?}"
                );
            }
            let message = dataset.read_rows(0..rows + 1).unwrap_err().to_string();
            assert!(
                message.contains("rows within") && message.contains(".h5"),
                "{message}"
            );
        }
        count += 1;
    }
    assert_eq!(count, 79);
}

#[test]
fn text_references_groups_and_attributes() {
    for name in FILES {
        let file = open(name);
        let strings = |path: &str| file.dataset(path).unwrap().strings().unwrap();
        assert_eq!(strings("fixed"), ["one", "three", ""]);
        assert_eq!(
            strings("variable"),
            ["short", "", "Gesicht ä", "a longer one"]
        );
        assert_eq!(strings("/word"), ["alone"]);
        let references = file.dataset("references").unwrap().references().unwrap();
        assert_eq!(
            references,
            [Some("/compact".to_owned()), Some("/types".to_owned())]
        );
        assert!(file.is_group("/types") && !file.is_group("/compact"));
        let many: Vec<String> = (0..60).map(|index| format!("group{index:02}")).collect();
        assert_eq!(file.keys("many").unwrap(), many);
        assert!(file.keys("/").unwrap().contains(&"scalar".to_owned()));
        for owner in ["chunked", "/"] {
            let attribute = |name: &str| file.attribute(owner, name).unwrap().unwrap();
            assert_eq!(attribute("number").numbers().unwrap(), [3.]);
            assert_eq!(attribute("numbers").numbers().unwrap(), [1.5, -2.]);
            assert_eq!(attribute("text").strings().unwrap(), ["voxels"]);
            assert_eq!(attribute("bytes").strings().unwrap(), ["mm"]);
            assert!(
                attribute("text")
                    .numbers()
                    .unwrap_err()
                    .to_string()
                    .contains("attribute text")
            );
        }
        assert_eq!(
            file.attribute("chunked", "names")
                .unwrap()
                .unwrap()
                .strings()
                .unwrap(),
            ["x", "yy"]
        );
        assert!(file.attribute("chunked", "absent").unwrap().is_none());
        assert_eq!(
            *file.dataset("flags").unwrap().dtype(),
            DataType::Number(Dtype::Bool)
        );
        assert_eq!(
            file.dataset("flags")
                .unwrap()
                .read_rows_u8(1..3)
                .unwrap()
                .as_slice()
                .unwrap(),
            [0, 1]
        );
        assert_eq!(
            file.dataset("unwritten")
                .unwrap()
                .read()
                .unwrap()
                .as_slice()
                .unwrap(),
            [9.; 3]
        );
        let packed = file.dataset("scale_offset").unwrap().read_f32().unwrap();
        assert!(packed.iter().copied().eq((0..40_u8).map(f32::from)));
        assert_eq!(file.dataset("soft").unwrap().read().unwrap().len(), 8);
    }
    let attribute = open("new")
        .attribute("contiguous", "attribute29")
        .unwrap()
        .unwrap();
    assert_eq!(attribute.numbers().unwrap(), [29.]);
}

#[test]
fn what_is_not_read_says_why() {
    for name in FILES {
        let file = open(name);
        let message = |path: &str| match file.dataset(path) {
            Ok(dataset) => dataset.read().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(
            message("lzf").contains(
                "filter id 32000 (lzf; `h5repack -f GZIP=4` makes gzip of it) is not supported"
            ),
            "{}",
            message("lzf")
        );
        assert!(
            message("compound").contains("a compound of 2 fields"),
            "{}",
            message("compound")
        );
        assert!(message("bfloat16").contains("floats of 2 bytes in a form of their own"));
        assert!(message("fixed").contains("expected numbers, found text"));
        assert!(message("types").contains(name), "{}", message("types"));
        assert!(
            message("external").contains(name),
            "{}",
            message("external")
        );
        assert!(
            message("types/absent").contains("le_i2"),
            "{}",
            message("types/absent")
        );
        assert!(
            file.keys("absent")
                .unwrap_err()
                .to_string()
                .contains("compact")
        );
        assert!(file.dataset("compact").unwrap().read_rows_u8(0..1).is_err());
        assert!(file.dataset("scalar").unwrap().read_rows(0..1).is_err());
    }
    let message = File::parse(vec![7; 3000]).unwrap_err().to_string();
    assert!(message.contains("mark of an HDF5 file"), "{message}");
}

#[test]
fn no_damage_panics_or_allocates_hugely() {
    for name in ["tiny_old", "tiny_new"] {
        damage(&bytes(&format!("hdf5/{name}.h5")), 1 << 28, |bytes| {
            let Ok(file) = File::parse(bytes) else {
                return;
            };
            for name in file.keys("/").unwrap_or_default() {
                if let Ok(dataset) = file.dataset(&name) {
                    let _ = (dataset.read(), dataset.strings(), dataset.read_rows(0..1));
                }
                let attribute = file.attribute(&name, "text");
                let _ = attribute.map(|attribute| attribute.map(|attribute| attribute.strings()));
                let _ = file.keys(&name);
            }
        });
    }
}

#[test]
fn rows_read_no_chunk_but_theirs() {
    let mut damaged = bytes("hdf5/new.h5");
    let row = damaged
        .windows(9)
        .position(|window| window == b"row 03 of")
        .unwrap();
    damaged[row] ^= 1;
    let dataset = File::parse(damaged)
        .unwrap()
        .dataset("checked_rows")
        .unwrap();
    assert_eq!(
        dataset.read_rows_u8(0..3).unwrap().as_slice().unwrap()[16..22],
        *b"row 01"
    );
    let message = dataset.read_rows_u8(3..4).unwrap_err().to_string();
    assert!(
        message.contains("checked_rows") && message.contains("checksum"),
        "{message}"
    );
}

#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn matlab_wrote_it() {
    let file = File::open(shared("data/mat73-sample/experiment2.mat")).unwrap();
    let labels = file.dataset("stimlabels").unwrap().references().unwrap();
    assert!(labels.iter().all(|label| {
        label
            .as_ref()
            .is_some_and(|path| path.starts_with("/#refs#/"))
    }));
}

#[test]
fn columns_are_those_of_the_whole_array_in_every_storage() {
    for stem in FILES {
        for name in ["compact", "chunked", "whole_rows"] {
            let dataset = open(stem).dataset(name).unwrap();
            let whole = dataset.read().unwrap();
            let rows = whole.shape()[0];
            let count = whole.len() / rows;
            let flat = whole.to_shape((rows, count)).unwrap();
            // In any order, one of them twice.
            let all: Vec<usize> = (0..count).rev().chain([1]).collect();
            let some: Vec<usize> = all.iter().copied().step_by(5).collect();
            for columns in [all, some, Vec::new()] {
                let found = dataset.read_columns_i16(&columns).unwrap();
                let expected = flat.select(ndarray::Axis(1), &columns);
                assert_eq!(found.mapv(f64::from), expected, "{stem} {name} {columns:?}");
            }
            let error = dataset.read_columns_i16(&[0, count]).unwrap_err();
            assert!(error.to_string().contains("column"), "{error}");
        }
        for (name, expected) in [("contiguous", "int16"), ("types/le_i2", "rows and columns")] {
            let dataset = open(stem).dataset(name).unwrap();
            let error = dataset.read_columns_i16(&[0]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(expected), "{error}");
        }
    }
    let tree = open("old").dataset("deep_tree").unwrap();
    let found = tree.read_columns_i16(&[29, 0, 3]).unwrap();
    assert_eq!(found.row(39).to_vec(), [40 * 30 - 1, 39 * 30, 39 * 30 + 3]);
}
