//! Small files that unpack to large ones: refused before memory is taken for what they claim or hold.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use mused_formats::{Result, gifti, hdf5, mat, nifti, npz, table, torch_pickle};

const MB: usize = 1 << 20;

/// `repeated` as often as it takes to fill so many megabytes, between `head` and nothing.
fn fill(mut packer: impl Write, head: &[u8], repeated: &[u8], megabytes: usize) {
    packer.write_all(head).unwrap();
    let block = repeated.repeat(MB / repeated.len());
    for _ in 0..megabytes {
        packer.write_all(&block).unwrap();
    }
}

fn zlib(head: &[u8], repeated: &[u8], megabytes: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut packer = ZlibEncoder::new(&mut packed, Compression::best());
    fill(&mut packer, head, repeated, megabytes);
    packer.finish().unwrap();
    packed
}

fn gzip(head: &[u8], repeated: &[u8], megabytes: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut packer = GzEncoder::new(&mut packed, Compression::fast());
    fill(&mut packer, head, repeated, megabytes);
    packer.finish().unwrap();
    packed
}

/// A zip file of one deflated entry.
fn zip(name: &str, head: &[u8], repeated: &[u8], megabytes: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut packer = DeflateEncoder::new(&mut packed, Compression::fast());
    fill(&mut packer, head, repeated, megabytes);
    packer.finish().unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(head);
    let block = repeated.repeat(MB / repeated.len());
    (0..megabytes).for_each(|_| crc.update(&block));
    let unpacked = (head.len() + block.len() * megabytes) as u32;
    let fields = |bytes: &mut Vec<u8>| {
        bytes.extend(0_u32.to_le_bytes());
        for value in [crc.sum(), packed.len() as u32, unpacked] {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend(0_u16.to_le_bytes());
    };
    let mut bytes = b"PK\x03\x04\x14\0\0\0\x08\0".to_vec();
    fields(&mut bytes);
    bytes.extend(name.as_bytes());
    bytes.extend(&packed);
    let directory = bytes.len() as u32;
    bytes.extend(b"PK\x01\x02\x14\0\x14\0\0\0\x08\0");
    fields(&mut bytes);
    bytes.extend([0; 14]);
    bytes.extend(name.as_bytes());
    let size = bytes.len() as u32 - directory;
    bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    bytes.extend(size.to_le_bytes());
    bytes.extend(directory.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}

fn refused<T>(read: Result<T>) {
    let message = match read {
        Ok(_) => panic!("read"),
        Err(error) => error.to_string(),
    };
    assert!(message.contains("of memory"), "{message}");
}

/// A version 5 file of one compressed matrix of bytes.
fn mat(megabytes: usize) -> Vec<u8> {
    let values = (megabytes * MB) as u32;
    let mut matrix = Vec::new();
    for word in [
        6,
        8,
        6,
        0,
        5,
        8,
        1,
        values,
        1 | 1 << 16,
        u32::from(b'x'),
        2,
        values,
    ] {
        matrix.extend(word.to_le_bytes());
    }
    let mut head = 14_u32.to_le_bytes().to_vec();
    head.extend((matrix.len() as u32 + values).to_le_bytes());
    head.extend(matrix);
    let packed = zlib(&head, &[0], megabytes);
    let mut bytes = [b"MATLAB 5.0".as_slice(), &[b' '; 114], b"\0\x01IM"].concat();
    bytes.extend(15_u32.to_le_bytes());
    bytes.extend((packed.len() as u32).to_le_bytes());
    bytes.extend(packed);
    bytes
}

#[test]
fn a_small_matlab_file_does_not_become_a_large_variable() {
    let file = mat::MatFile::parse(mat(1)).unwrap();
    let values = file.variable("x").unwrap().array("").unwrap();
    assert_eq!(values.len(), MB);
    // The variable itself, and the numbers of one that would fit.
    refused(mat::MatFile::parse(mat(300)).unwrap().variable("x"));
    let file = mat::MatFile::parse(mat(40)).unwrap();
    refused(file.variable("x").unwrap().array(""));
}

#[test]
fn a_small_checkpoint_does_not_become_a_large_program() {
    // Empty lists, each of which is a container of the machine.
    refused(torch_pickle::from_bytes(zip(
        "a/data.pkl",
        b"\x80\x02",
        b"]",
        60,
    )));
    // Remembered values.
    refused(torch_pickle::from_bytes(zip(
        "a/data.pkl",
        b"\x80\x02N",
        b"\x94",
        60,
    )));
    // One list in another many times: every way to it is a name.
    let mut lists = b"\x80\x02]\x94".to_vec();
    for depth in 0..8 {
        lists.extend(b"](");
        (0..8).for_each(|_| lists.extend([b'h', depth]));
        lists.extend(b"e\x94");
    }
    lists.extend(b".");
    let name = "n".repeat(1000);
    let mut named = b"\x80\x02}\x8d".to_vec();
    named.extend((name.len() as u64).to_le_bytes());
    named.extend(name.as_bytes());
    named.extend(&lists[2..lists.len() - 1]);
    named.extend(b"s.");
    drop(torch_pickle::from_bytes(zip("a/data.pkl", &named, b".", 0)));
}

#[test]
fn a_small_npz_does_not_become_a_large_array() {
    let head = |bytes: usize| {
        let mut head = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({bytes},), }}");
        while (10 + head.len() + 1) % 64 != 0 {
            head.push(' ');
        }
        head.push('\n');
        let length = (head.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\0".as_slice(), &length, head.as_bytes()].concat()
    };
    let file = npz::NpzFile::parse(zip("x.npy", &head(MB), &[1], 1)).unwrap();
    assert_eq!(file.array("x").unwrap().len(), MB);
    let file = npz::NpzFile::parse(zip("x.npy", &head(300 * MB), &[1], 300)).unwrap();
    refused(file.array("x"));
    let file = npz::NpzFile::parse(zip("x.npy", &head(40 * MB), &[1], 40)).unwrap();
    refused(file.array("x"));
    assert_eq!(file.array_u8("x").unwrap().len(), 40 * MB);
}

fn nifti_header(shape: [i16; 4], offset: f32) -> Vec<u8> {
    let mut bytes = vec![0; 348];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &348_i32.to_le_bytes());
    let lengths = [4, shape[0], shape[1], shape[2], shape[3], 1, 1, 1];
    put(40, &lengths.map(i16::to_le_bytes).concat());
    put(70, &[2_i16, 8].map(i16::to_le_bytes).concat());
    put(76, &[1_f32; 8].map(f32::to_le_bytes).concat());
    put(108, &offset.to_le_bytes());
    put(112, &1_f32.to_le_bytes());
    put(344, b"n+1\0");
    bytes
}

#[test]
fn a_small_image_does_not_become_a_large_volume() {
    let header = |shape| [nifti_header(shape, 352.), vec![0; 4]].concat();
    let file = gzip(&header([1024, 1024, 100, 1]), &[0], 100);
    refused(nifti::Nifti::parse(file).unwrap().read_volume(0));
    let file = gzip(&header([1024, 1024, 1, 100]), &[0], 100);
    let mut file = nifti::Nifti::parse(file).unwrap();
    refused(file.read_all());
    // One volume after the other is what such a file is for.
    assert_eq!(file.read_volume(99).unwrap().len(), MB);
    let mut count = 0;
    let voxels = [0, MB - 1];
    file.for_each_volume(&voxels, |_, _| {
        count += 1;
        Ok::<_, mused_formats::Error>(())
    })
    .unwrap();
    assert_eq!(count, 100);
}

#[test]
fn the_extensions_of_a_small_image_stay_small() {
    let header = [nifti_header([1; 4], 220e6), vec![1, 0, 0, 0]].concat();
    let file = gzip(&header, &[0], 250);
    let message = nifti::Nifti::parse(file).unwrap_err().to_string();
    assert!(message.contains("bytes of extensions"), "{message}");
}

#[test]
fn the_arrays_of_a_small_gifti_file_stay_small() {
    use base64::Engine;
    let values = base64::engine::general_purpose::STANDARD.encode(zlib(&[], &[0], 8));
    let array = format!(
        "<DataArray Intent=\"NIFTI_INTENT_NONE\" DataType=\"NIFTI_TYPE_UINT8\" Dimensionality=\"1\" \
         Dim0=\"{}\" Encoding=\"GZipBase64Binary\" Endian=\"LittleEndian\"><Data>{values}</Data></DataArray>",
        8 * MB
    );
    let file = |count| format!("<GIFTI>{}</GIFTI>", array.repeat(count));
    assert!(gifti::Gifti::parse(file(1).as_bytes()).is_ok());
    refused(gifti::Gifti::parse(file(20).as_bytes()));
}

#[test]
fn columns_of_a_damaged_shape_are_refused() {
    // The first dimension of a dataset of int16, in its dataspace message, is 2^40.
    let mut bytes = support::bytes("hdf5/old.h5");
    let file = hdf5::File::parse(bytes.clone()).unwrap();
    let names = file.keys("/").unwrap();
    let found = names.iter().find_map(|name| {
        let dataset = file.dataset(name).ok()?;
        let int16 = dataset.dtype().to_string() == "int16" && dataset.shape().len() > 1;
        int16.then(|| (name.clone(), dataset.shape().to_vec()))
    });
    let (name, shape) = found.unwrap();
    let lengths: Vec<u8> = shape
        .iter()
        .flat_map(|n| (*n as u64).to_le_bytes())
        .collect();
    let places: Vec<usize> = (0..bytes.len() - lengths.len())
        .filter(|&at| bytes[at..].starts_with(&lengths))
        .collect();
    let mut tried = 0;
    for at in places {
        bytes[at + 5] = 1;
        let dataset = hdf5::File::parse(bytes.clone()).and_then(|file| file.dataset(&name));
        bytes[at + 5] = 0;
        if let Ok(dataset) = dataset
            && dataset.shape()[0] > 1 << 40
        {
            tried += 1;
            refused(dataset.read_columns_i16(&[0, 1]));
            refused(dataset.read());
        }
    }
    assert!(tried > 0, "{name}: {shape:?}");
}

#[test]
fn a_table_takes_little_more_than_its_text() {
    let rows = MB;
    let text = format!("a\tb\n{}", "1\t\n".repeat(rows));
    let peak = support::peak_of(|| {
        let table = table::Table::parse(Cursor::new(text.as_bytes())).unwrap();
        assert_eq!(table.rows(), rows);
    });
    assert!(peak < 20 * text.len(), "{peak} for {} bytes", text.len());
}
