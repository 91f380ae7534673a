//! CIFTI-2 against nibabel (`generate_cifti.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use mused_formats::Error;
use mused_formats::cifti::*;
use mused_formats::gifti::Label;
use mused_formats::npz::NpzFile;
use support::{bytes, damage, file, shared};

fn open(kind: &str) -> Cifti {
    Cifti::open(file(&format!("cifti/a.{kind}.nii"))).unwrap()
}

#[test]
fn values_are_those_nibabel_reads() {
    let expected = NpzFile::read(file("cifti/expected.npz")).unwrap();
    for (kind, columns) in [("dtseries", 5), ("dscalar", 2), ("dlabel", 1)] {
        let mut cifti = open(kind);
        assert_eq!(cifti.shape(), [9, columns]);
        let values = expected.array_f32(kind).unwrap();
        assert_eq!(cifti.read_all().unwrap().into_dyn(), values.t());
        let mut row = vec![0.; columns];
        cifti.read_row(7, &mut row).unwrap();
        assert!(row.iter().eq(values.t().index_axis(ndarray::Axis(0), 7)));
        let mut rows = 0;
        let each = cifti.for_each_row(|row, _| {
            assert_eq!(row, rows);
            rows += 1;
            Ok::<_, Error>(())
        });
        each.unwrap();
        assert_eq!(rows, 9);
        assert!(
            cifti
                .read_row(9, &mut row)
                .unwrap_err()
                .to_string()
                .contains("one of 9 rows")
        );
        assert!(
            cifti
                .read_row(0, &mut [])
                .unwrap_err()
                .to_string()
                .contains("length of the output")
        );
    }
}

#[test]
fn axes_are_those_that_were_written() {
    let expected = NpzFile::read(file("cifti/expected.npz")).unwrap();
    let series = open("dtseries");
    let Axis::Series(time) = series.columns() else {
        panic!()
    };
    assert_eq!(
        (time.start, time.step, time.unit.as_str(), time.length),
        (0.36, 0.72, "SECOND", 5)
    );
    let Axis::BrainModels(brain) = series.rows() else {
        panic!()
    };
    let volume = brain.volume.as_ref().unwrap();
    assert_eq!(volume.shape, [3, 4, 5]);
    assert_eq!(
        volume.affine,
        [
            [-2., 0., 0., 90.],
            [0., 2., 0., -126.],
            [0., 0., 2., -72.],
            [0., 0., 0., 1.]
        ]
    );
    let voxels = expected.array("voxels").unwrap();
    let voxels = voxels
        .rows()
        .into_iter()
        .map(|row| [row[0] as usize, row[1] as usize, row[2] as usize]);
    let surface = |indices: &[usize]| Location::Surface {
        vertices: 10,
        indices: indices.to_vec(),
    };
    let model = |structure: &str, start, locations| BrainModel {
        structure: format!("CIFTI_STRUCTURE_{structure}"),
        start,
        locations,
    };
    let models = [
        model("CORTEX_LEFT", 0, surface(&[0, 2, 3, 7])),
        model("CORTEX_RIGHT", 4, surface(&[1, 9])),
        model("THALAMUS_LEFT", 6, Location::Voxels(voxels.collect())),
    ];
    assert_eq!(brain.models, models);
    let scalars = open("dscalar");
    let Axis::Scalars(maps) = scalars.columns() else {
        panic!()
    };
    assert!(
        maps.iter()
            .map(|map| map.name.as_str())
            .eq(["beta", "auc & <more>"])
    );
    let labels = open("dlabel");
    let Axis::Labels(maps) = labels.columns() else {
        panic!()
    };
    let v1 = Label {
        key: 3,
        name: "V1".to_owned(),
        rgba: Some([1., 0.5, 0., 1.]),
    };
    assert_eq!(
        (maps.len(), maps[0].name.as_str(), &maps[0].labels[1]),
        (1, "areas", &v1)
    );
}

#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn a_connectivity_matrix_reads() {
    let path = shared("data/format-samples/nibabel-tests/row_major.dconn.nii");
    let mut cifti = Cifti::open(path).unwrap();
    let values = cifti.read_all().unwrap();
    // By nibabel, which has the columns first.
    assert_eq!(values.shape(), [10, 10]);
    assert_eq!((values[[1, 0]], values[[0, 1]]), (0.450_541_6, 0.794_284_5));
}

/// The dense series with a text of its XML replaced by one of the same length.
fn changed(from: &str, to: &str) -> String {
    let mut bytes = bytes("cifti/a.dtseries.nii");
    assert_eq!(from.len(), to.len());
    let at = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    Cifti::parse(bytes).unwrap_err().to_string()
}

#[test]
fn broken_files_say_why() {
    for (from, to, expected) in [
        (
            "NumberOfSeriesPoints=\"5\"",
            "NumberOfSeriesPoints=\"6\"",
            "5 indices, as the header has, found 6",
        ),
        ("SeriesStep=", "SeriesSlip=", "the attribute SeriesStep"),
        (
            "IndexCount=\"2\"",
            "IndexCount=\"3\"",
            "IndexOffset 4 and IndexCount 2, found 4 and 3",
        ),
        (
            "VolumeDimensions=\"3,4,5\"",
            "VolumeDimensions=\"1,4,5\"",
            "within the volume [1, 4, 5]",
        ),
        (
            "SurfaceNumberOfVertices=\"10\"",
            "SurfaceNumberOfVertices=\"07\"",
            "vertices below 7",
        ),
        (
            "AppliesToMatrixDimension=\"1\"",
            "AppliesToMatrixDimension=\"2\"",
            "for dimension 1",
        ),
        (
            "<CIFTI Version=\"2.0\"",
            "<CIFTI Version=\"1.0\"",
            "CIFTI version 1",
        ),
        ("<Matrix>", "<Matrix ", "byte"),
    ] {
        let message = changed(from, to);
        assert!(message.contains(expected), "{to}: {message}");
    }
    let message = Cifti::parse(bytes("nifti/i2_2le.nii"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("extension of code 32"), "{message}");
}

#[test]
fn no_damage_panics_or_allocates_hugely() {
    damage(&bytes("cifti/a.dtseries.nii"), 1 << 22, |bytes| {
        let _ = Cifti::parse(bytes).and_then(|mut cifti| cifti.read_all());
    });
}

#[test]
fn scalars_written_are_read_back() {
    let mut original = open("dscalar");
    let Axis::BrainModels(brain) = original.rows().clone() else {
        panic!()
    };
    let values = original.read_all().unwrap();
    let columns: Vec<Vec<f32>> = values.columns().into_iter().map(|c| c.to_vec()).collect();
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("b.dscalar.nii");
    let maps = [
        ("beta", columns[0].as_slice()),
        ("auc & <more>", &columns[1]),
    ];
    write_scalars(&path, &brain, &maps).unwrap();
    let mut written = Cifti::open(&path).unwrap();
    assert_eq!(written.read_all().unwrap(), values);
    assert_eq!(written.rows(), original.rows());
    let names = |cifti: &Cifti| {
        let Axis::Scalars(maps) = cifti.columns() else {
            panic!()
        };
        maps.iter().map(|map| map.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&written), names(&original));
    let (own, other) = (written.header(), original.header());
    assert_eq!((own.version, &own.shape), (other.version, &other.shape));
    // ConnDenseScalar in the list of CIFTI-2, which nibabel leaves to the caller.
    assert_eq!(own.intent_code, 3006);
    for (maps, expected) in [
        (vec![], "maps: expected a value and a map at least"),
        (vec![("beta", &columns[0][..8])], "expected 9, given 8"),
    ] {
        let error = write_scalars(&path, &brain, &maps).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
