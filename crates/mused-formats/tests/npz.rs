//! .npz against files that numpy wrote: those that hold the other tests' expected values, and two of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use mused_formats::npz::NpzFile;
use ndarray::array;
use support::{bytes, damage, file};

#[test]
fn stored_and_deflated_files_read_alike() {
    for name in ["npz/stored.npz", "npz/deflated.npz"] {
        let npz = NpzFile::read(file(name)).unwrap();
        assert!(npz.names().eq(["counting", "flags", "half"]), "{name}");
        let counting = array![[0., 1., 2.], [3., 4., 5.]].into_dyn();
        assert_eq!(npz.array("counting").unwrap(), counting);
        assert_eq!(
            npz.array_f32("half").unwrap().as_slice().unwrap(),
            [0.5, -2.]
        );
        assert_eq!(
            npz.array_u8("flags").unwrap().as_slice().unwrap(),
            [1, 0, 1]
        );
        let message = npz.array("absent").unwrap_err().to_string();
        assert!(
            message.contains(name) && message.contains("counting, flags, half"),
            "{message}"
        );
        let message = npz.array_u8("counting").unwrap_err().to_string();
        assert!(message.contains("uint8 or bool"), "{message}");
    }
}

#[test]
fn broken_files_say_why() {
    let message = |bytes: Vec<u8>| NpzFile::parse(bytes).unwrap_err().to_string();
    assert!(message(vec![0; 100]).contains("directory of a zip file"));
    let whole = bytes("npz/stored.npz");
    assert!(message(whole[..whole.len() - 1].to_vec()).contains("2 bytes, found the end after 1"));
    // A changed value, which the checksum shows.
    let mut changed = whole.clone();
    let at = changed
        .windows(4)
        .position(|window| window == 3_i32.to_le_bytes())
        .unwrap();
    let npz = |bytes: Vec<u8>| NpzFile::parse(bytes).unwrap().array("counting");
    npz(whole).unwrap();
    changed[at] = 7;
    let result = npz(changed).unwrap_err().to_string();
    assert!(result.contains("checksum"), "{result}");
}

#[test]
fn no_damage_panics_or_allocates_hugely() {
    for name in ["npz/stored.npz", "npz/deflated.npz"] {
        damage(&bytes(name), 1 << 22, |bytes| {
            if let Ok(npz) = NpzFile::parse(bytes) {
                for name in npz.names() {
                    let _ = (npz.array(name), npz.array_u8(name));
                }
            }
        });
    }
}
