//! Preprocessing against Pillow: `make_pillow_reference.py` beside this file made the fixtures.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../mused-formats/tests/support/shared.rs"]
mod shared;

use std::path::Path;

use mused_clip::{Preprocess, RgbImage};
use sha2::{Digest, Sha256};
use shared::shared;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

fn fixture(name: &str) -> mused_clip::Result<RgbImage> {
    RgbImage::open(Path::new(FIXTURES).join(name))
}

#[test]
fn crops_are_pillows_value_for_value() {
    let table = include_str!("fixtures/crops.tsv");
    let preprocess = Preprocess::new(24);
    assert_eq!(table.lines().count(), 14);
    for line in table.lines() {
        let (name, expected) = line.split_once('\t').unwrap();
        let digest = Sha256::digest(preprocess.crop(&fixture(name).unwrap()).unwrap());
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn what_pillow_would_garble_is_refused_by_name() {
    for (name, part) in [("cmyk.jpg", "JPEG in"), ("gray16.png", "16-bit grayscale")] {
        let message = fixture(name).unwrap_err().to_string();
        assert!(
            message.contains(name) && message.contains(part),
            "{message}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(Path::new(FIXTURES).join("tall.png")).unwrap();
    let jpeg = std::fs::read(Path::new(FIXTURES).join("photo.jpg")).unwrap();
    let cases: [(&str, &[u8], &str); 6] = [
        ("empty.png", b"", "an empty file"),
        ("text.png", b"not an image", "neither"),
        ("some.gif", b"GIF89a", "a GIF"),
        ("short.png", &whole[..60], "damaged PNG"),
        ("half.png", &whole[..whole.len() / 2], "damaged PNG"),
        ("short.jpg", &jpeg[..30], "damaged JPEG"),
    ];
    for (name, bytes, part) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let message = RgbImage::open(&path).unwrap_err().to_string();
        assert!(
            message.contains(name) && message.contains(part),
            "{message}"
        );
    }
    assert!(RgbImage::open(folder.path().join("none.png")).is_err());
}

/// Half a picture is grey below the cut: no picture that anybody saw.
#[test]
fn a_picture_whose_end_is_missing_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "photo.jpg",
        "gray.jpg",
        "progressive.jpg",
        "restart.jpg",
        "tall.png",
        "palette.png",
        "rgb16.png",
    ] {
        let whole = std::fs::read(Path::new(FIXTURES).join(name)).unwrap();
        let expected = fixture(name).unwrap();
        let path = folder.path().join(name);
        // A file goes on behind the picture where two pictures are in one.
        let longer = [&whole[..], b"anything"].concat();
        std::fs::write(&path, longer).unwrap();
        assert_eq!(RgbImage::open(&path).unwrap(), expected, "{name}");
        let lengths = (0..whole.len()).step_by(29);
        for length in lengths.chain(whole.len() - 20..whole.len()) {
            std::fs::write(&path, &whole[..length]).unwrap();
            let message = match RgbImage::open(&path) {
                Ok(_) => panic!("{name}: {length} of {} bytes are taken", whole.len()),
                Err(error) => error.to_string(),
            };
            assert!(message.contains(name), "{message}");
        }
        // As a disk or a download leaves it: the length is right, the rest is zeros.
        for length in [whole.len() / 4, whole.len() / 2, whole.len() - 2] {
            let mut zeros = whole.clone();
            zeros[length..].fill(0);
            std::fs::write(&path, &zeros).unwrap();
            assert!(
                RgbImage::open(&path).is_err(),
                "{name}: zeros from {length}"
            );
        }
        // As a tool leaves it that repairs what it cannot: the end stands behind half of the data.
        let end = match name.ends_with("jpg") {
            true => &[0xff, 0xd9][..],
            false => &whole[whole.len() - 12..],
        };
        for length in [whole.len() * 5 / 8, whole.len() * 9 / 10] {
            let repaired = [&whole[..length], end].concat();
            std::fs::write(&path, &repaired).unwrap();
            assert!(
                RgbImage::open(&path).is_err(),
                "{name}: an end at {length} of {}",
                whole.len()
            );
        }
    }
}

#[test]
fn a_palette_of_broken_colours_is_refused() {
    let bytes = std::fs::read(Path::new(FIXTURES).join("palette.png")).unwrap();
    let at = bytes.windows(4).position(|name| name == b"PLTE").unwrap();
    let length = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.png");
    for shorter in [4, length - 2] {
        let chunk = &bytes[at..at + shorter + 4];
        let mut check = flate2::Crc::new();
        check.update(chunk);
        let parts = [
            &bytes[..at - 4],
            &(shorter as u32).to_be_bytes(),
            chunk,
            &check.sum().to_be_bytes(),
            &bytes[at + 4 + length + 4..],
        ];
        std::fs::write(&path, parts.concat()).unwrap();
        let message = RgbImage::open(&path).unwrap_err().to_string();
        assert!(
            message.contains("broken.png") && message.contains("palette"),
            "{message}"
        );
    }
}

#[test]
fn damaged_images_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    for name in [
        "palette.png",
        "rgb16.png",
        "photo.jpg",
        "gray.jpg",
        "cmyk.jpg",
    ] {
        let bytes = std::fs::read(Path::new(FIXTURES).join(name)).unwrap();
        for position in 0..bytes.len().min(700) {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x5a;
            std::fs::write(&path, &damaged).unwrap();
            drop(RgbImage::open(&path));
        }
    }
}

#[test]
fn jpeg_is_nearly_pillows() {
    assert_eq!(fixture("stray.jpg").unwrap(), fixture("photo.jpg").unwrap());
    let image = fixture("gray.jpg").unwrap();
    assert_eq!((image.width(), image.height()), (33, 20));
    assert!(
        image
            .values()
            .as_chunks::<3>()
            .0
            .iter()
            .all(|[r, g, b]| r == g && g == b)
    );
}

/// The published tensor is that of the JPEG: Pillow gives exactly its values.
#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn published_sample_within_one_level() {
    let folder = shared("data/clip-preprocess-sample");
    let preprocess = Preprocess::new(224);
    let image = RgbImage::open(folder.join("franz-kafka.jpg")).unwrap();
    let found = preprocess.pixels(&[image]).unwrap();
    let npy = std::fs::read(folder.join("expected_preprocessed_image.npy")).unwrap();
    let data = &npy[npy.len() - 3 * 224 * 224 * 4..];
    let expected = data
        .as_chunks::<4>()
        .0
        .iter()
        .map(|w| f32::from_le_bytes(*w));
    let plane = 224 * 224;
    for (index, (found, expected)) in found.values().iter().zip(expected).enumerate() {
        let level = 1.0 / 255.0 / preprocess.sd[index / plane];
        assert!(
            (found - expected).abs() <= level * 1.001,
            "{index}: {found} against {expected}"
        );
    }
}

/// A picture of one colour shrinks a thousand times: nobody's stimulus, and gigabytes of memory.
#[test]
fn a_small_file_does_not_become_a_large_picture() {
    let picture = |side: usize| {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, side as u32, side as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&vec![0; side * side]).unwrap();
        writer.finish().unwrap();
        bytes
    };
    let read = |side| RgbImage::parse(&picture(side), Path::new("black.png"));
    assert_eq!(read(4000).unwrap().width(), 4000);
    let message = read(9000).unwrap_err().to_string();
    assert!(
        message.contains("black.png") && message.contains("of memory"),
        "{message}"
    );
}
