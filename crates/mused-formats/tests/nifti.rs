//! NIfTI against nibabel (`generate_nifti.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use mused_formats::nifti::*;
use mused_formats::npy::Dtype;
use mused_formats::npz::NpzFile;
use mused_formats::{Error, ErrorKind};
use ndarray::Array;
use support::{bytes, damage, file, shared};

const MEGABYTE: usize = 1 << 20;

fn expected() -> NpzFile {
    NpzFile::read(file("nifti/expected.npz")).unwrap()
}

fn check(name: &str, expected: &NpzFile) {
    let path = file("nifti").join(name);
    let (header, values) = read_nifti(&path).unwrap();
    let key = name.replace('.', "_");
    let array = |suffix: &str| expected.array(&format!("{key}{suffix}")).unwrap();
    assert_eq!(values.mapv(f64::from), array(""), "{name}");
    let zooms = array("_zooms");
    assert!(
        header.zooms.iter().zip(&zooms).all(|(a, b)| a == b),
        "{name}: {:?} {zooms}",
        header.zooms
    );
    let affine = Array::from_shape_fn((4, 4), |(i, j)| header.affine[i][j]).into_dyn();
    let difference = (&affine - &array("_affine")).mapv(f64::abs);
    assert!(
        difference.iter().all(|&difference| difference < 1e-12),
        "{name}: {affine}"
    );

    // Volume by volume and through a mask out of order, the same.
    let mut image = Nifti::open(&path).unwrap();
    let voxels = header.voxels();
    let mask: Vec<usize> = (0..voxels).rev().step_by(2).collect();
    let mut seen = 0;
    let streamed = image.for_each_volume(&mask, |volume, masked| {
        assert_eq!(volume, seen);
        seen += 1;
        let whole = Nifti::open(&path)?.read_volume(volume)?;
        assert!(
            mask.iter()
                .zip(masked)
                .all(|(&voxel, value)| whole[voxel] == *value)
        );
        Ok::<_, Error>(())
    });
    streamed.unwrap();
    assert_eq!(seen, header.volumes());
    let last = image.read_volume(header.volumes() - 1).unwrap();
    let first = image.read_volume(0).unwrap();
    let all: Vec<f32> = values.t().iter().copied().collect();
    assert_eq!(first, all[..voxels]);
    assert_eq!(last, all[all.len() - voxels..]);
}

#[test]
fn files_read_as_nibabel_reads_them() {
    let expected = expected();
    for kind in "u1 i1 i2 u2 i4 u4 i8 u8 f4 f8".split(' ') {
        for form in ["1le", "1be", "2le", "2be"] {
            check(&format!("{kind}_{form}.nii"), &expected);
        }
    }
    for name in
        "scaled.nii.gz sform.nii qform.nii neither.nii sform_invalid.nii mirrored.nii repaired.nii \
                 two_dimensions.nii pair.img pair.hdr zipped.img.gz zipped.hdr.gz members.nii.gz"
            .split_whitespace()
    {
        let name = name.to_owned();
        match name.contains(".hdr") {
            // Either half names the pair.
            true => assert!(
                read_nifti(file("nifti").join(&name)).unwrap().1
                    == read_nifti(file("nifti").join(name.replace("hdr", "img")))
                        .unwrap()
                        .1
            ),
            false => check(&name, &expected),
        }
    }
}

#[test]
fn header_fields() {
    let image = Nifti::open(file("nifti/scaled.nii.gz")).unwrap();
    let header = image.header();
    assert_eq!(header.description, "a description");
    assert_eq!((header.version, header.dtype), (1, Dtype::I16));
    assert!((header.tr.unwrap() - 1.35).abs() < 1e-9);
    assert!(header.scaling.is_some());
    assert_eq!(
        Nifti::open(file("nifti/sform.nii")).unwrap().header().tr,
        None
    );
}

#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn shared_files_read_as_nibabel_reads_them() {
    // By nibabel: shapes, sums of the values in float64, two numbers of the affine.
    for (name, shape, sum, affine) in [
        ("anatomical.nii", &[33, 41, 25][..], 284_166_082., [32., 2.]),
        (
            "functional.nii",
            &[17, 21, 3, 20],
            77_913_290.397_033_69,
            [32., 4.],
        ),
        (
            "example4d.nii.gz",
            &[128, 96, 24, 2],
            101_985_356.,
            [117.855_102_539_062_5, 1.973_711_490_631_103_5],
        ),
        (
            "example_nifti2.nii.gz",
            &[32, 20, 12, 2],
            6_926_802.,
            [117.855_102_539_062_5, 1.973_711_490_631_103_5],
        ),
        ("standard.nii.gz", &[4, 5, 7], 7650., [0., 3.]),
        (
            "reoriented_anat_moved.nii",
            &[21, 26, 22],
            32_739_769.449_157_715,
            [-35.297_897_338_867_19, 4.],
        ),
    ] {
        let path = shared(&format!("data/format-samples/nibabel-tests/{name}"));
        let (header, values) = read_nifti(path).unwrap();
        assert_eq!(header.shape, shape, "{name}");
        let total: f64 = values.iter().map(|&value| f64::from(value)).sum();
        assert!((total - sum).abs() <= 1e-9 * sum, "{name}: {total}");
        assert_eq!([header.affine[0][3], header.affine[1][1]], affine, "{name}");
    }
}

fn new(affine: Affine) -> NewNifti {
    let (dtype, shape) = (Dtype::F32, vec![4, 3, 2, 3]);
    let tr = Some(1.5);
    NewNifti {
        dtype,
        shape,
        affine,
        tr,
    }
}

const OBLIQUE: Affine = [
    [1.9, -0.3, 0.2, -90.5],
    [0.3, 1.95, -0.1, -120.0],
    [-0.15, 0.14, 2.4, 60.25],
    [0., 0., 0., 1.],
];

/// The affine of the files that are written: orthogonal columns, which a qform can hold.
fn rotated() -> Affine {
    let read = Nifti::open(file("nifti/qform.nii")).unwrap();
    read.header().affine
}

fn write(path: &std::path::Path, new: &NewNifti) {
    // In the order of the file, what numpy's arange(72).reshape(4, 3, 2, 3) holds.
    let values = Array::from_shape_vec((4, 3, 2, 3), (0..72_u8).map(f32::from).collect()).unwrap();
    let mut writer = NiftiWriter::create(path, new).unwrap();
    for volume in values.axis_iter(ndarray::Axis(3)) {
        let volume: Vec<f32> = volume.t().iter().copied().collect();
        writer.write_volume(&volume).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn what_is_written_is_what_nibabel_has_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut sheared = OBLIQUE;
    sheared[0][1] += 0.4;
    let mirrored = [
        [-2., 0., 0., 0.],
        [0., 2., 0., 0.],
        [0., 0., 2.5, 0.],
        [0., 0., 0., 1.],
    ];
    for (name, affine) in [
        ("written.nii", rotated()),
        ("written_mirrored.nii", mirrored),
        ("written_sheared.nii", sheared),
    ] {
        let path = folder.path().join(name);
        write(&path, &new(affine));
        if std::env::var_os("MUSED_WRITE_FILES").is_some() {
            std::fs::copy(&path, file("nifti").join(name)).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap() == bytes(&format!("nifti/{name}")),
            "{name}"
        );
        let zipped = folder.path().join(format!("{name}.gz"));
        write(&zipped, &new(affine));
        let (plain, unzipped) = (read_nifti(&path).unwrap(), read_nifti(&zipped).unwrap());
        assert_eq!(plain, unzipped);
        assert_eq!(plain.0.tr, Some(1.5));
        let close = |a: &Affine| {
            a.iter()
                .flatten()
                .zip(affine.iter().flatten())
                .all(|(a, b)| (a - b).abs() < 1e-4)
        };
        assert!(close(&plain.0.affine), "{:?}", plain.0.affine);
    }
}

#[test]
fn all_integer_types_write_and_what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii.gz");
    for dtype in [
        Dtype::U8,
        Dtype::I8,
        Dtype::I16,
        Dtype::U16,
        Dtype::I32,
        Dtype::U32,
        Dtype::I64,
        Dtype::U64,
        Dtype::F64,
    ] {
        write(
            &path,
            &NewNifti {
                dtype,
                ..new(rotated())
            },
        );
        let (header, values) = read_nifti(&path).unwrap();
        assert_eq!(
            (header.dtype, values[[3, 2, 1, 2]], values[[1, 0, 0, 1]]),
            (dtype, 71., 19.)
        );
    }
    let message = |new: &NewNifti| NiftiWriter::create(&path, new).unwrap_err().to_string();
    assert!(
        message(&NewNifti {
            dtype: Dtype::F16,
            ..new(OBLIQUE)
        })
        .contains("float16")
    );
    assert!(
        message(&NewNifti {
            shape: vec![40_000, 2],
            ..new(OBLIQUE)
        })
        .contains("32767")
    );
    assert!(message(&new([[0.; 4]; 4])).contains("affine"));
    let mut writer = NiftiWriter::create(
        &path,
        &NewNifti {
            dtype: Dtype::I16,
            shape: vec![2],
            ..new(OBLIQUE)
        },
    )
    .unwrap();
    for bad in [0.5, 40_000., f32::NAN] {
        assert!(
            writer
                .write_volume(&[1., bad])
                .unwrap_err()
                .to_string()
                .contains("int16")
        );
    }
    assert!(writer.write_volume(&[1.]).is_err());
    writer.write_volume(&[1., -32768.]).unwrap();
    assert!(writer.write_volume(&[1., 2.]).is_err());
    writer.finish().unwrap();
    assert_eq!(
        read_nifti(&path).unwrap().1.as_slice().unwrap(),
        [1., -32768.]
    );
}

#[test]
fn unsupported_and_broken_files_say_why() {
    let message = |name: &str| {
        read_nifti(file("nifti").join(name))
            .unwrap_err()
            .to_string()
    };
    assert!(message("complex.nii").contains("code 32 (complex)"));
    assert!(message("rgb.nii").contains("code 128 (RGB)"));
    let good = bytes("nifti/i2_1le.nii");
    let changed = |at: usize, new: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        Nifti::parse(bytes).unwrap_err().to_string()
    };
    assert!(changed(344, &[0; 4]).contains("Analyze"));
    assert!(changed(344, b"n1").contains("field magic"));
    assert!(changed(40, &[9]).contains("dim[0]"));
    assert!(changed(42, &[0, 0]).contains("at least 1"));
    assert!(changed(42, &[0xff; 2]).contains("at least 1"));
    assert!(
        changed(42, &[0xff, 0x7f]).contains("a file of 496"),
        "{}",
        changed(42, &[0xff, 0x7f])
    );
    assert!(changed(108, &1f32.to_le_bytes()).contains("vox_offset"));
    assert!(
        changed(112, &[2f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat()).contains("scl_inter")
    );
    assert!(changed(0, &[1]).contains("348 or 540"));
    let cut = Nifti::parse(good[..400].to_vec()).unwrap_err();
    assert!(matches!(cut.kind(), ErrorKind::Malformed { .. }));
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_files_cut_short_or_damaged_are_errors() {
    let plain = bytes("nifti/i2_1le.nii");
    let whole = zipped(&plain);
    let stream = |bytes: Vec<u8>| {
        Nifti::parse(bytes).and_then(|mut image| image.for_each_volume(&[3], |_, _| Ok(())))
    };
    stream(whole.clone()).unwrap();
    for length in 0..whole.len() {
        assert!(stream(whole[..length].to_vec()).is_err(), "{length}");
    }
    let mut damaged = whole.clone();
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 1;
    let message = stream(damaged).unwrap_err().to_string();
    assert!(message.contains("undamaged gzip"), "{message}");
    // Promises 2 GB in some hundred bytes.
    let mut promising = plain.clone();
    promising[42..50].copy_from_slice(&[0, 4, 0, 4, 0, 4, 1, 0]);
    let message = stream(zipped(&promising)).unwrap_err().to_string();
    assert!(message.contains("fields dim"), "{message}");
}

/// Each way to read all values.
fn read_in_all_ways(bytes: &[u8]) -> [Result<(), mused_formats::Error>; 3] {
    let open = || Nifti::parse(bytes.to_vec());
    [
        open().and_then(|mut image| image.for_each_volume(&[3], |_, _| Ok(()))),
        open().and_then(|mut image| image.read_all().map(drop)),
        open().and_then(|mut image| {
            let last = image.header().volumes() - 1;
            image.read_volume(last).map(drop)
        }),
    ]
}

#[test]
fn a_compressed_file_is_checked_to_its_end_however_much_of_it_is_read() {
    let mut longer = bytes("nifti/i2_1le.nii");
    let end = longer.len();
    longer.resize(end + 300_000, 0);
    let whole = zipped(&longer);
    let with = |tail: &[u8]| [&whole, tail].concat();
    let member = zipped(b"more");
    for good in [
        with(&[]),
        with(&[0; 1000]),
        with(&member),
        with(&[&[0; 9], &member[..]].concat()),
    ] {
        read_in_all_ways(&good).into_iter().for_each(Result::unwrap);
    }
    // Another value, and a byte behind the last, under the old checksum.
    let flipped = |at: usize| {
        let mut changed = longer.clone();
        changed[at] ^= 0x40;
        let mut changed = zipped(&changed);
        let trailer = changed.len() - 8;
        changed[trailer..].copy_from_slice(&whole[whole.len() - 8..]);
        changed
    };
    let mut broken = member.clone();
    broken[member.len() - 6] ^= 1;
    let cut = |tail: &[u8], by: usize| with(tail)[..whole.len() + tail.len() - by].to_vec();
    for (bad, expected) in [
        (flipped(end - 1), "undamaged gzip"),
        (flipped(end + 200_000), "undamaged gzip"),
        (cut(&[], 4), "undamaged gzip"),
        (cut(&member, 3), "undamaged gzip"),
        (with(&broken), "undamaged gzip"),
        (with(b"<html>"), "a further gzip stream, found other bytes"),
        (with(&[0x1f, 0, 0]), "undamaged gzip"),
    ] {
        for read in read_in_all_ways(&bad) {
            let message = read.unwrap_err().to_string();
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
}

#[test]
fn a_compressed_file_can_be_read_again_from_its_end() {
    let mut image = Nifti::parse(zipped(&bytes("nifti/i2_1le.nii"))).unwrap();
    let last = image.header().volumes() - 1;
    let first = image.read_volume(last).unwrap();
    assert_eq!(image.read_volume(last).unwrap(), first);
    image
        .for_each_volume(&[3], |_, _| Ok::<_, mused_formats::Error>(()))
        .unwrap();
    assert_eq!(image.read_volume(last).unwrap(), first);
}

#[test]
fn arguments_that_do_not_fit() {
    let mut image = Nifti::open(file("nifti/i2_1le.nii")).unwrap();
    assert!(
        image
            .read_volume(3)
            .unwrap_err()
            .to_string()
            .contains("one of 3 volumes")
    );
    let masked = image.for_each_volume(&[24], |_, _| Ok::<_, Error>(()));
    assert!(masked.unwrap_err().to_string().contains("below 24"));
    // An error of the caller ends the stream.
    let mut calls = 0;
    let stopped = image.for_each_volume(&[0], |_, _| {
        calls += 1;
        Err::<(), Error>(std::io::Error::other("enough").into())
    });
    assert!(stopped.unwrap_err().to_string().contains("enough"));
    assert_eq!(calls, 1);
}

#[test]
fn no_damage_panics_or_allocates_hugely() {
    let read = |bytes: Vec<u8>| {
        if let Ok(mut image) = Nifti::parse(bytes) {
            let _ = image.read_volume(1);
            let _ = image.for_each_volume(&[0, 5], |_, _| Ok::<_, Error>(()));
        }
    };
    for name in ["i2_1le.nii", "f4_2be.nii", "scaled.nii.gz"] {
        damage(&bytes(&format!("nifti/{name}")), 4 * MEGABYTE, read);
    }
    let image = bytes("nifti/pair.img");
    damage(&bytes("nifti/pair.hdr"), 4 * MEGABYTE, |header| {
        if let Ok(mut pair) = Nifti::new_pair(Cursor::new(header), Cursor::new(image.clone())) {
            let _ = pair.read_all();
        }
    });
}

#[test]
fn another_kind_of_file_is_named() {
    let mut level_4: Vec<u8> = [0_i32, 2, 3, 0, 2]
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    level_4.extend(b"x\0");
    level_4.extend([0; 48]);
    for (start, expected) in [
        (&b""[..], "an empty file"),
        (b"\0\0\0\x01\0\0\0\x40", "a FreeSurfer volume"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "a Git LFS pointer",
        ),
        (
            b"/annex/objects/MD5E-s1234--abc.nii.gz\n",
            "a git-annex pointer",
        ),
        (b"\n<!DOCTYPE HTML PUBLIC", "a web page"),
        (
            b"MATLAB 5.0 MAT-file, Platform",
            "a MATLAB file of version 5",
        ),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (&level_4, "a MATLAB file of version 4"),
    ] {
        let found = Nifti::parse(start.to_vec()).unwrap_err().to_string();
        assert!(
            found.contains(&format!("expected a NIfTI header, found {expected}")),
            "{found}"
        );
        if !start.is_empty() {
            let found = Nifti::parse(zipped(start)).unwrap_err().to_string();
            assert!(found.contains(expected), "{found}");
        }
    }
    // Neither is a header with another size.
    let mut other = bytes("nifti/i2_1le.nii");
    other[0] = 1;
    let found = Nifti::parse(other).unwrap_err().to_string();
    assert!(found.contains("348 or 540"), "{found}");
}
