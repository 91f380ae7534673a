//! Formats that are read from bytes.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use mused_clip::RgbImage;
use mused_formats::{self as formats, Result};
use mused_run::{Config, Layers, PRESETS};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Values are looked at, not kept.
fn done<T, E>(read: std::result::Result<T, E>) -> bool {
    read.is_ok()
}

pub(super) fn nifti(bytes: &[u8]) -> bool {
    let single = volumes(formats::nifti::Nifti::parse(bytes.to_vec()));
    // The halves of a pair.
    let (header, image) = bytes.split_at(bytes.len().min(348));
    let [header, image] = [header, image].map(|half| Cursor::new(half.to_vec()));
    volumes(formats::nifti::Nifti::new_pair(header, image)) || single
}

pub(super) fn mgh(bytes: &[u8]) -> bool {
    volumes(formats::freesurfer::new_mgh(Cursor::new(bytes.to_vec())))
}

fn volumes(file: Result<formats::nifti::Nifti>) -> bool {
    let Ok(mut file) = file else {
        return false;
    };
    let (voxels, count) = (file.header().voxels(), file.header().volumes());
    done(file.read_volume(count.saturating_sub(1)));
    done(file.read_volume(0));
    let whole = done(file.read_all());
    let ends = [0, voxels.saturating_sub(1)];
    // A volume of one byte and 2^40 of them are a file that takes long, and little memory.
    if count < 1000 {
        done(file.for_each_volume(&ends, |_, _| Ok::<_, formats::Error>(())));
    }
    whole
}

pub(super) fn cifti(bytes: &[u8]) -> bool {
    let Ok(mut file) = formats::cifti::Cifti::parse(bytes.to_vec()) else {
        return false;
    };
    let [rows, columns] = file.shape();
    let mut row = vec![0.; columns];
    done(file.read_row(rows.saturating_sub(1), &mut row));
    done(file.read_all())
}

pub(super) fn gifti(bytes: &[u8]) -> bool {
    done(formats::gifti::Gifti::parse(bytes))
}

pub(super) fn surface(bytes: &[u8]) -> bool {
    done(formats::freesurfer::parse_surface(bytes))
}

pub(super) fn morph(bytes: &[u8]) -> bool {
    done(formats::freesurfer::parse_morph(bytes))
}

pub(super) fn annotation(bytes: &[u8]) -> bool {
    done(formats::freesurfer::parse_annotation(bytes))
}

pub(super) fn label(bytes: &[u8]) -> bool {
    done(formats::freesurfer::parse_label(bytes))
}

pub(super) fn npy(bytes: &[u8]) -> bool {
    done(formats::npy::parse_f32(bytes));
    done(formats::npy::parse_u8(bytes));
    done(formats::npy::parse(bytes))
}

pub(super) fn npz(bytes: &[u8]) -> bool {
    let Ok(file) = formats::npz::NpzFile::parse(bytes.to_vec()) else {
        return false;
    };
    let mut read = false;
    for name in file.names() {
        done(file.array_f32(name));
        done(file.array_u8(name));
        read |= done(file.array(name));
    }
    read
}

pub(super) fn mat(bytes: &[u8]) -> bool {
    /// Of variables in the good files.
    const SELECTORS: [&str; 8] = [
        "",
        "[0,2,1].rdm",
        "[0,1,0].name",
        ".inner.value",
        "[0,0].inner[0,0].value",
        "[0,1]",
        "{1}",
        "[18446744073709551615,0]",
    ];
    let Ok(file) = formats::mat::MatFile::parse(bytes.to_vec()) else {
        return false;
    };
    let mut read = false;
    for name in file.names() {
        let Ok(variable) = file.variable(name) else {
            continue;
        };
        for selector in SELECTORS {
            done(variable.shape(selector));
            done(variable.strings(selector));
            read |= done(variable.array(selector));
        }
    }
    read
}

pub(super) fn hdf5(bytes: &[u8]) -> bool {
    /// Groups of the good files are two deep.
    const DEEPEST: usize = 4;
    let Ok(file) = formats::hdf5::File::parse(bytes.to_vec()) else {
        return false;
    };
    let mut read = false;
    let mut paths = vec![(String::from("/"), 0)];
    // A group may hold itself, under two names.
    let mut left = 100;
    while let Some((path, depth)) = paths.pop() {
        left -= 1;
        if left == 0 {
            break;
        }
        for attribute in ["a", "text", "MATLAB_class", "numbers"] {
            if let Ok(Some(attribute)) = file.attribute(&path, attribute) {
                done(attribute.numbers());
                done(attribute.strings());
            }
        }
        if let Ok(dataset) = file.dataset(&path) {
            let rows = dataset.shape().first().copied().unwrap_or(0);
            let columns: usize = dataset.shape().iter().skip(1).product();
            read |= done(dataset.read());
            done(dataset.read_f32());
            done(dataset.read_rows(0..rows.min(2)));
            done(dataset.read_rows_u8(rows.saturating_sub(1)..rows));
            done(dataset.read_columns_i16(&[0, columns.saturating_sub(1)]));
            done(dataset.strings());
            done(dataset.references());
        } else if depth < DEEPEST {
            let names = file.keys(&path).unwrap_or_default();
            let within = |name: String| format!("{}/{name}", path.trim_end_matches('/'));
            paths.extend(names.into_iter().map(|name| (within(name), depth + 1)));
        }
    }
    read
}

pub(super) fn torch(bytes: &[u8]) -> bool {
    let Ok(file) = formats::torch_pickle::from_bytes(bytes.to_vec()) else {
        return false;
    };
    let mut read = false;
    for (name, _) in file.tensors() {
        done(file.read_f32(name));
        read |= done(file.read(name));
    }
    read
}

pub(super) fn safetensors(bytes: &[u8]) -> bool {
    let Ok(file) = formats::safetensors::SafetensorsFile::from_bytes(bytes.to_vec()) else {
        return false;
    };
    let shapes = file.shapes();
    let read = shapes.iter().map(|(name, _)| done(file.read_f32(name)));
    read.fold(false, |any, read| any | read)
}

pub(super) fn safetensors_seeds() -> Vec<Vec<u8>> {
    let data = [0_u8; 24];
    let views = |types: &[(&'static str, Dtype, usize)]| {
        let view = |&(name, dtype, count)| {
            let size = dtype_bytes(dtype);
            let data = data.get(..count * size).unwrap_or_default();
            Some((name, TensorView::new(dtype, vec![count], data).ok()?))
        };
        let views: HashMap<_, _> = types.iter().filter_map(view).collect();
        let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize(views, Some(about)).unwrap_or_default()
    };
    vec![
        views(&[
            ("a", Dtype::F32, 6),
            ("b", Dtype::F16, 2),
            ("c", Dtype::I64, 1),
        ]),
        views(&[("weight", Dtype::F64, 3), ("bias", Dtype::BF16, 12)]),
    ]
}

fn dtype_bytes(dtype: Dtype) -> usize {
    match dtype {
        Dtype::F64 | Dtype::I64 => 8,
        Dtype::F32 => 4,
        _ => 2,
    }
}

pub(super) fn table(bytes: &[u8]) -> bool {
    let tables = [
        formats::table::Table::parse(bytes),
        formats::table::Table::parse_csv(bytes),
    ];
    let read = tables.iter().any(Result::is_ok);
    for table in tables.into_iter().flatten() {
        for name in table.columns() {
            if let Ok(column) = table.column(name) {
                done(column.strings());
                done(column.parse::<f64>());
                done(column.parse_optional::<usize>());
            }
        }
        for row in 0..table.rows() {
            let cells = table.row(row).map(Iterator::count);
            debug_assert_eq!(cells, Some(table.columns().len()));
        }
    }
    read
}

pub(super) fn table_seeds() -> Vec<Vec<u8>> {
    let tables = [
        "onset\tduration\ttrial_type\n0.0\t2.5\tface\n10\tn/a\t\"a \"\"red\"\" car\"\n",
        "\u{feff}stimulus_id,group,file\r\nface-1,0,a.png\r\n,,\r\n",
        "a\tb\tc\n\n1\t2\t3\n1e300\t-4\t18446744073709551615\n",
    ];
    tables.map(|table| table.as_bytes().to_vec()).to_vec()
}

pub(super) fn image(bytes: &[u8]) -> bool {
    let read = done(RgbImage::parse(bytes, Path::new("image")));
    // Behind the checksums of a PNG, which stop most damage.
    if let Some(mended) = with_right_checksums(bytes) {
        done(RgbImage::parse(&mended, Path::new("image")));
    }
    read
}

/// A PNG whose chunks have the checksums that they should have.
fn with_right_checksums(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut mended = bytes.to_vec();
    let mut at = 8;
    if !bytes.starts_with(b"\x89PNG") {
        return None;
    }
    while let Some(length) = mended.get(at..)?.first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let chunk = mended.get(at + 4..(at + 8).checked_add(length)?)?;
        let mut crc = flate2::Crc::new();
        crc.update(chunk);
        let end = at + 8 + length;
        let Some(place) = mended.get_mut(end..end + 4) else {
            break;
        };
        place.copy_from_slice(&crc.sum().to_be_bytes());
        at = end + 4;
    }
    Some(mended)
}

pub(super) fn tokenizer(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    super::folders::with_tokenizer(|tokenizer| {
        tokenizer.encode(&text);
    });
    true
}

pub(super) fn text_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "a photo of a cat &amp;amp; a dog &#x1F600; it's <|endoftext|>",
        "ﬁne — “quoted” \u{1b}[31mred\u{345} ＡＢＣ ſ's 12½ e\u{301}\u{300}",
        "&notin; &#0; &#1114112; &CounterClockwiseContourIntegral;<|startoftext|>'ll",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

pub(super) fn config(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    done(Config::read(&text).map(|config| config.check()));
    let Ok(mut layers) = Layers::preset("default") else {
        return false;
    };
    let read = done(layers.text(&text, Path::new("config.toml")));
    for line in text.lines().take(4) {
        done(layers.set(line));
    }
    if let Ok(config) = layers.config() {
        done(config.check());
        layers.annotated();
    }
    read
}

pub(super) fn config_seeds() -> Vec<Vec<u8>> {
    let presets = PRESETS.iter().filter_map(|(name, _)| {
        let layers = Layers::preset(name).ok()?;
        Some(layers.annotated().into_bytes())
    });
    let old = include_bytes!("../../../mused-run/tests/config-0.1.0.toml").to_vec();
    let lines = "model.dim=64\ntrain.epochs=3\nmodel.grid=[[0,3],[1,4],[-2,7]]\nmodel.family=mlp\nsplit.trials=20\n\
                 train.rate_factors={attention=0.1}\n";
    presets.chain([old, lines.as_bytes().to_vec()]).collect()
}
