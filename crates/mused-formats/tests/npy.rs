//! .npy against files that numpy wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::PathBuf;

use mused_formats::npy::*;
use ndarray::{ArrayD, IxDyn, array};
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name)
}

fn counting() -> ArrayD<f64> {
    array![[0., 1., 2.], [3., 4., 5.]].into_dyn()
}

/// A version 1 file with that header text and those values.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [
        b"\x93NUMPY\x01\x00",
        length.as_slice(),
        header.as_bytes(),
        data,
    ]
    .concat()
}

#[test]
fn every_type_and_order_reads_as_numpy_wrote_it() {
    let types = "u1 i1 le_i2 be_i2 le_u2 be_u2 le_i4 be_i4 le_u4 be_u4 le_i8 be_i8 le_u8 be_u8 \
                 le_f2 be_f2 le_f4 be_f4 le_f8 be_f8 fortran version2 version3";
    for name in types.split_whitespace() {
        let path = fixture(&format!("{name}.npy"));
        let array = read_npy(&path).unwrap();
        assert_eq!(array, counting(), "{name}");
        assert!(array.is_standard_layout(), "{name}");
        assert_eq!(
            read_npy_f32(&path).unwrap(),
            counting().mapv(|value| value as f32),
            "{name}"
        );
    }
    assert_eq!(
        read_npy_u8(fixture("u1.npy")).unwrap(),
        counting().mapv(|value| value as u8)
    );
    assert_eq!(
        read_npy_u8(fixture("bool.npy")).unwrap(),
        array![[0, 1, 0], [1, 0, 1]].into_dyn()
    );
}

#[test]
fn other_dimensions() {
    assert_eq!(
        read_npy(fixture("scalar.npy")).unwrap(),
        ndarray::arr0(2.5).into_dyn()
    );
    assert_eq!(
        read_npy(fixture("vector.npy")).unwrap(),
        array![1.5, -2., f64::INFINITY].into_dyn()
    );
    assert_eq!(read_npy(fixture("empty.npy")).unwrap().shape(), [0, 3]);
    let cube = ArrayD::from_shape_vec(IxDyn(&[2, 3, 4]), (0..24).map(f64::from).collect()).unwrap();
    assert_eq!(read_npy(fixture("cube.npy")).unwrap(), cube);
}

#[test]
fn what_is_not_read_is_refused_with_a_reason() {
    for (name, reason) in [("complex.npy", "<c16"), ("structured.npy", "structured")] {
        let message = read_npy(fixture(name)).unwrap_err().to_string();
        assert!(
            message.contains(reason) && message.contains(name),
            "{message}"
        );
    }
    let message = read_npy_u8(fixture("le_f4.npy")).unwrap_err().to_string();
    assert!(
        message.contains("expected uint8 or bool, found float32"),
        "{message}"
    );
    let message = read_npy(fixture("absent.npy")).unwrap_err().to_string();
    assert!(message.contains("absent.npy"), "{message}");
}

#[test]
fn malformed_files_are_refused_with_what_was_expected() {
    let whole = std::fs::read(fixture("le_f4.npy")).unwrap();
    for length in 0..whole.len() {
        assert!(parse(&whole[..length]).is_err(), "cut to {length} bytes");
    }
    let shape = |shape: &str| {
        file(
            &format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"),
            &[0; 16],
        )
    };
    let many = format!("({})", "1, ".repeat(65));
    let long_header = [b"\x93NUMPY\x02\x00".as_slice(), &u32::MAX.to_le_bytes()].concat();
    for (bytes, expected) in [
        (b"\x89HDF\r\n\x1a\n".to_vec(), "found an HDF5 file"),
        (b"abcdefgh, abcd".to_vec(), "magic"),
        (b"\x93NUMPY\x04\x00\x00\x00".to_vec(), "1, 2 or 3"),
        (long_header, "at most 65536 bytes"),
        (shape("(5,)"), "20 bytes"),
        (
            shape("(4294967296, 4294967296, 4294967296)"),
            "fits in memory",
        ),
        (
            shape("(0, 4294967296, 4294967296, 4294967296)"),
            "fits in memory",
        ),
        (shape("(-1,)"), "a length"),
        (shape("(99999999999999999999,)"), "a length"),
        (shape("(2 3)"), "`)`"),
        (shape("(2"), "a length"),
        (shape(&many), "at most 64 dimensions"),
        (shape("(4,), 'shape': (4,)"), "each key once"),
        (shape("(4,), 'other': 1"), "as a key"),
        (shape("(4,)} {"), "nothing after"),
        (
            file("{'descr': '<f4', 'shape': (4,)}", &[0; 16]),
            "fortran_order",
        ),
        (
            file("{'descr': '<f4', 'fortran_order': Maybe}", &[]),
            "True or False",
        ),
        (file("{'descr': '<f4", &[]), "closing quote"),
        (file("", &[]), "`{`"),
    ] {
        let message = parse(&bytes).unwrap_err().to_string();
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let mut not_text = whole;
    not_text[20] = 0xFF;
    assert!(parse(&not_text).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn a_mapped_matrix_gives_its_rows() {
    for name in ["le_f2", "be_f2", "le_f4", "be_f4"] {
        let matrix = NpyMatrix::open(fixture(&format!("{name}.npy"))).unwrap();
        assert_eq!((matrix.rows(), matrix.columns()), (2, 3));
        let mut row = [0.; 3];
        matrix.read_row(1, &mut row).unwrap();
        assert_eq!(row, [3., 4., 5.], "{name}");
        let little =
            NpyMatrix::open(fixture(&format!("{}.npy", name.replace("be", "le")))).unwrap();
        assert_eq!(
            matrix.row_bytes(1).unwrap(),
            little.row_bytes(1).unwrap(),
            "{name}"
        );
        assert!(matrix.row_bytes(2).is_err());
        assert!(
            matrix
                .read_row(2, &mut row)
                .unwrap_err()
                .to_string()
                .contains("one of 2 rows")
        );
        assert!(
            matrix
                .read_row(0, &mut row[..2])
                .unwrap_err()
                .to_string()
                .contains("expected 3")
        );
    }
    for (name, reason) in [
        ("fortran", "C order"),
        ("le_f8", "float16 or float32"),
        ("vector", "two dimensions"),
        ("absent", "absent.npy"),
    ] {
        let message = NpyMatrix::open(fixture(&format!("{name}.npy")))
            .unwrap_err()
            .to_string();
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn whole_arrays_are_written_as_numpy_writes_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npy");
    let same_as = |name: &str| {
        assert_eq!(
            std::fs::read(&path).unwrap(),
            std::fs::read(fixture(name)).unwrap(),
            "{name}"
        );
    };
    let values = counting();
    write_npy_f64(&path, values.view()).unwrap();
    same_as("le_f8.npy");
    write_npy_f32(
        &path,
        values
            .mapv(|value| value as f32)
            .t()
            .as_standard_layout()
            .t(),
    )
    .unwrap();
    same_as("le_f4.npy");
    write_npy_u8(&path, values.mapv(|value| value as u8).view()).unwrap();
    same_as("u1.npy");
    write_npy_f64(&path, ndarray::arr0(2.5).view()).unwrap();
    same_as("scalar.npy");
    write_npy_f64(&path, array![1.5, -2., f64::INFINITY].view()).unwrap();
    same_as("vector.npy");
}

#[test]
fn rows_are_written_as_numpy_writes_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npy");
    for (dtype, name) in [
        (Dtype::F16, "le_f2"),
        (Dtype::F32, "le_f4"),
        (Dtype::F64, "le_f8"),
        (Dtype::U8, "u1"),
    ] {
        let mut writer = NpyWriter::create(&path, dtype, 2, 3).unwrap();
        writer.write_row(&[0., 1., 2.]).unwrap();
        writer.write_row(&[3., 4., 5.]).unwrap();
        assert!(writer.write_row(&[3., 4., 5.]).is_err());
        writer.finish().unwrap();
        let expected = std::fs::read(fixture(&format!("{name}.npy"))).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), expected, "{name}");
    }
}

#[test]
fn rows_that_would_be_lost_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npy");
    assert!(
        NpyWriter::create(&path, Dtype::I32, 1, 1)
            .unwrap_err()
            .to_string()
            .contains("int32")
    );
    let mut writer = NpyWriter::create(&path, Dtype::F16, 2, 1).unwrap();
    assert!(
        writer
            .write_row(&[1e5])
            .unwrap_err()
            .to_string()
            .contains("row 0, column 0")
    );
    writer.write_row(&[f32::NEG_INFINITY]).unwrap();
    assert!(
        writer
            .write_row(&[1., 2.])
            .unwrap_err()
            .to_string()
            .contains("length of the row")
    );
    assert!(
        writer
            .finish()
            .unwrap_err()
            .to_string()
            .contains("expected 2, given 1")
    );
    assert!(read_npy(&path).is_err());
    let mut writer = NpyWriter::create(&path, Dtype::U8, 1, 1).unwrap();
    for value in [-1., 256., 0.5, f32::NAN] {
        assert!(writer.write_row(&[value]).is_err(), "{value}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_header_makes_the_parser_panic(text in "[{}'a-z_:,<>|()0-9LTF \"]{0,80}") {
        let _ = parse(&file(&text, &[0; 64]));
    }

    #[test]
    fn no_change_of_a_good_file_makes_the_parsers_panic(at in 0_usize..152, byte: u8) {
        let mut bytes = std::fs::read(fixture("le_f4.npy")).unwrap();
        bytes[at] = byte;
        let _ = (parse(&bytes), parse_f32(&bytes), parse_u8(&bytes));
    }
}

/// A map of memory would end the process here.
#[test]
fn a_file_that_is_shortened_or_replaced_meanwhile_is_noticed() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    let rows = ndarray::Array2::<f32>::from_shape_fn((100, 200), |(row, column)| {
        (row * 200 + column) as f32
    });
    write_npy_f32(&path, rows.view()).unwrap();
    let (matrix, mut row) = (NpyMatrix::open(&path).unwrap(), vec![0.0; 200]);
    let before = matrix.state().unwrap();
    std::fs::rename(&path, folder.path().join("b.npy")).unwrap();
    std::fs::write(&path, "other").unwrap();
    assert!(before.in_place && !matrix.state().unwrap().in_place);
    matrix.read_row(99, &mut row).unwrap();
    assert_eq!(row, rows.row(99).to_vec());

    let file = std::fs::File::options()
        .write(true)
        .open(folder.path().join("b.npy"));
    let file = file.unwrap();
    file.set_len(20_000).unwrap();
    assert_ne!(matrix.state().unwrap().length, before.length);
    matrix.read_row(3, &mut row).unwrap();
    for message in [
        matrix.read_row(99, &mut row).unwrap_err().to_string(),
        matrix.row_bytes(99).unwrap_err().to_string(),
    ] {
        assert!(message.contains("shortened"), "{message}");
        assert!(message.contains("a.npy"), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("pipe.npy");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let said = [
        NpyMatrix::open(&path).unwrap_err(),
        mused_formats::table::Table::read(&path).unwrap_err(),
        mused_formats::safetensors::SafetensorsFile::open(&path).unwrap_err(),
        mused_formats::read("/dev/zero".as_ref()).unwrap_err(),
    ];
    for error in said.map(|error| error.to_string()) {
        assert!(
            error.contains("expected a file, found a pipe or a device"),
            "{error}"
        );
    }
    let error = mused_formats::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("found a folder"), "{error}");
}
