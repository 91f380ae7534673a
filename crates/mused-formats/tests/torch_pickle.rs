//! Files of `torch.save` (`fixtures/make_torch_fixtures.py` wrote them), damaged ones and attacks.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/shared.rs"]
mod shared;

use std::path::PathBuf;

use mused_formats::torch_pickle::{self, ElementType};
use proptest::prelude::*;
use shared::shared;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

#[test]
fn every_type_and_stride() {
    let state = torch_pickle::open(fixture("state.pth")).unwrap();
    let read = |name: &str| {
        let shape = state.tensor(name).unwrap().shape().to_vec();
        (shape, state.read_f32(name).unwrap())
    };
    let base: Vec<f32> = (0..24).map(|i| i as f32).collect();
    assert_eq!(read("matrix"), (vec![4, 6], base.clone()));
    let transposed = (0..24).map(|i| (i % 4 * 6 + i / 4) as f32).collect();
    assert_eq!(read("transposed"), (vec![6, 4], transposed));
    let part = vec![8.0, 9.0, 10.0, 14.0, 15.0, 16.0];
    assert_eq!(read("part"), (vec![2, 3], part));
    for name in ["half", "bfloat", "double"] {
        assert_eq!(read(name), (vec![6], base[..6].to_vec()), "{name}");
    }
    assert_eq!(read("scalar"), (vec![], vec![2.5]));
    assert_eq!(read("empty"), (vec![0, 3], vec![]));
    assert_eq!(read("parameter"), (vec![2], vec![7.0, 8.0]));
    let numbers = state.read("numbers").unwrap();
    let numbers: Vec<i64> = numbers
        .as_chunks()
        .0
        .iter()
        .map(|w| i64::from_le_bytes(*w))
        .collect();
    assert_eq!(numbers, [1, -2, 3, 1 << 40]);
    assert_eq!(
        state.tensor("flags").unwrap().element_type(),
        ElementType::Bool
    );
    assert_eq!(state.read("flags").unwrap(), [1, 0]);
    let message = state.read_f32("numbers").unwrap_err().to_string();
    assert!(
        message.contains("state.pth") && message.contains("numbers"),
        "{message}"
    );
    let message = state.read("weight").unwrap_err().to_string();
    assert!(
        message.contains("no tensor `weight`") && message.contains("matrix"),
        "{message}"
    );
}

#[test]
fn nested_dictionaries_are_flattened() {
    let state = torch_pickle::from_bytes(bytes("nested.pth")).unwrap();
    let names: Vec<&str> = state.tensors().map(|(name, _)| name).collect();
    assert_eq!(names, ["list.0", "list.1.3", "state_dict.layer.weight"]);
    assert_eq!(state.read_f32("list.1.3").unwrap(), [2.0, 3.0]);
    let module = torch_pickle::open(fixture("module.pth")).unwrap();
    let names: Vec<&str> = module.tensors().map(|(name, _)| name).collect();
    assert_eq!(names, ["bias", "weight"]);
}

#[test]
fn programs_are_refused() {
    let message = torch_pickle::open(fixture("attack.pth"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("system"), "{message}");
    assert!(message.contains("attack.pth"), "{message}");
    let message = torch_pickle::open(fixture("old.pth"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("before 1.6"), "{message}");
}

#[test]
#[ignore = "reads ../shared/golden: run with --ignored where that folder is"]
fn a_published_kind_of_checkpoint() {
    let state = torch_pickle::open(shared("golden/brainformer_narrow.pth")).unwrap();
    let names: Vec<String> = state.tensors().map(|(name, _)| name.to_owned()).collect();
    assert!(names.len() > 100, "{}", names.len());
    for name in names {
        let elements = state
            .tensor(&name)
            .unwrap()
            .shape()
            .iter()
            .product::<usize>();
        let size = state.tensor(&name).unwrap().element_type().size();
        assert_eq!(state.read(&name).unwrap().len(), elements * size, "{name}");
    }
}

/// A zip archive with one stored entry `a/data.pkl`.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let name = b"a/data.pkl";
    let size = (pickle.len() as u32).to_le_bytes();
    let mut fields = vec![];
    fields.extend([20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    fields.extend(size);
    fields.extend(size);
    fields.extend((name.len() as u16).to_le_bytes());
    fields.extend([0, 0]);
    let mut file = b"PK\x03\x04".to_vec();
    file.extend(&fields);
    file.extend(name);
    file.extend(pickle);
    let start = file.len() as u32;
    file.extend(b"PK\x01\x02\x14\x00");
    file.extend(&fields);
    file.extend([0; 14]);
    file.extend(name);
    let length = file.len() as u32 - start;
    file.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    file.extend(length.to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

#[test]
fn hostile_pickles_are_errors() {
    let long = |body: &[u8], count: usize, end: &[u8]| {
        let mut pickle = b"\x80\x02".to_vec();
        pickle.extend(body.repeat(count));
        pickle.extend(end);
        pickle
    };
    // A storage of 10 elements and a tensor of it: offset, shape, strides.
    let tensor = |offset: u8, shape: u8, stride: u8| {
        let mut pickle = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n".to_vec();
        pickle.extend(b"X\x01\0\0\x000X\x03\0\0\0cpuK\x0atQ");
        pickle.extend([
            b'K', offset, b'K', shape, 0x85, b'K', stride, 0x85, 0x89, b'N', b't', b'R', b'.',
        ]);
        pickle
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "expected"),
        ("no stop", b"\x80\x02}".to_vec(), "STOP"),
        (
            "pop of nothing",
            b"\x80\x020.".to_vec(),
            "a value on the stack",
        ),
        ("unknown opcode", b"\x80\x02i.".to_vec(), "opcode 0x69"),
        ("unknown memo", b"\x80\x02h\x07.".to_vec(), "no number 7"),
        (
            "length past the end",
            b"\x80\x02X\xff\xff\xff\xff.".to_vec(),
            "expected 4294967295 bytes",
        ),
        (
            "eval",
            b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.".to_vec(),
            "builtins.eval",
        ),
        (
            "eval, protocol 4",
            b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.".to_vec(),
            "builtins.eval",
        ),
        (
            "odd items",
            b"\x80\x02}(K\x01u.".to_vec(),
            "a value for each key",
        ),
        (
            "deep nesting",
            long(b"\x85", 0, b"N")
                .into_iter()
                .chain(vec![0x85; 3_000_000])
                .chain(*b".")
                .collect(),
            "deep",
        ),
        ("a list in itself", b"\x80\x02]q\0h\0a.".to_vec(), "deep"),
        (
            "a tensor past its storage",
            tensor(5, 6, 1),
            "inside its storage",
        ),
        (
            "a tensor larger than its storage",
            tensor(0, 200, 0),
            "inside its storage",
        ),
    ];
    for (what, pickle, part) in cases {
        let message = torch_pickle::from_bytes(archive(&pickle))
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{what}: {message}");
    }
    // A laugh: thirty lists, each twice in the next.
    let mut pickle = b"\x80\x02]".to_vec();
    for number in 0..30 {
        pickle.extend([
            b'q', number, b'0', b']', b'h', number, b'a', b'h', number, b'a',
        ]);
    }
    pickle.push(b'.');
    assert!(torch_pickle::from_bytes(archive(&pickle)).is_err());
    // A tensor inside its storage, but the storage is not in the archive.
    let state = torch_pickle::from_bytes(archive(&tensor(5, 5, 1))).unwrap();
    assert!(state.tensors().all(|(name, _)| name.is_empty()));
    assert!(
        state
            .read("")
            .unwrap_err()
            .to_string()
            .contains("storage 0")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(position in 0_usize..4096, value: u8, length in 0_usize..6000) {
        for name in ["state.pth", "nested.pth"] {
            let mut bytes = bytes(name);
            let position = position % bytes.len();
            bytes[position] = value;
            let damaged = bytes.clone();
            bytes.truncate(length);
            for bytes in [damaged, bytes] {
                if let Ok(state) = torch_pickle::from_bytes(bytes) {
                    let names: Vec<String> = state.tensors().map(|(name, _)| name.to_owned()).collect();
                    for name in names {
                        drop(state.read(&name));
                    }
                }
            }
        }
    }
}
