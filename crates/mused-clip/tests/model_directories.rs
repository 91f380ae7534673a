//! Every form a model directory may have gives the same model; what is none is one error that names the file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use mused_clip::{Clip, Images, Pixels, Tokenizer, weights_sha256};
use mused_kernels::Cpu;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use support::{Golden, TinyClip};

fn embeds(folder: &Path) -> Vec<f32> {
    let clip = Clip::<Cpu>::open(folder, &Default::default()).unwrap();
    let pixels: Vec<f32> = (0..3 * 32 * 32)
        .map(|i| (i % 17) as f32 / 8.0 - 1.0)
        .collect();
    let encoded = clip
        .images()
        .encoder()
        .encode(&Pixels::new(32, pixels).unwrap());
    let mut all = encoded
        .unwrap()
        .projected
        .into_data()
        .to_vec::<f32>()
        .unwrap();
    let text = clip.texts().encode(&["two dogs"]).unwrap().projected;
    all.extend(text.into_data().to_vec::<f32>().unwrap());
    all
}

fn error(folder: &Path) -> String {
    Clip::<Cpu>::open(folder, &Default::default())
        .unwrap_err()
        .to_string()
}

/// The weights again, in one or two files, in another type if `dtype` says so.
fn rewrite(folder: &Path, dtype: Dtype, parts: usize) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = vec![];
    for (name, view) in file.tensors() {
        let values = view
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|w| f32::from_le_bytes(*w));
        let data = match dtype {
            Dtype::F16 => values
                .flat_map(|v| half::f16::from_f32(v).to_le_bytes())
                .collect(),
            Dtype::BF16 => values
                .flat_map(|v| half::bf16::from_f32(v).to_le_bytes())
                .collect(),
            _ => view.data().to_vec(),
        };
        tensors.push((name, view.shape().to_vec(), data));
    }
    fs::remove_file(&path).unwrap();
    let mut map = HashMap::new();
    for part in 0..parts {
        let name = format!("model-{part}.safetensors");
        let own = tensors.iter().skip(part).step_by(parts);
        let views = own.map(|(tensor, shape, data)| {
            map.insert(tensor.clone(), name.clone());
            (tensor, TensorView::new(dtype, shape.clone(), data).unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        let name = if parts == 1 {
            "model.safetensors"
        } else {
            &name
        };
        fs::write(folder.join(name), bytes).unwrap();
    }
    if parts > 1 {
        let index = serde_json::json!({"metadata": {}, "weight_map": map});
        fs::write(
            folder.join("model.safetensors.index.json"),
            index.to_string(),
        )
        .unwrap();
    }
}

#[test]
fn parts_and_16_bit_weights_are_read() {
    let folder = TinyClip::copy();
    let expected = embeds(folder.path());
    let digest = weights_sha256(folder.path()).unwrap();
    assert_eq!(digest.len(), 64);
    rewrite(folder.path(), Dtype::F32, 3);
    assert_eq!(embeds(folder.path()), expected);
    assert_ne!(weights_sha256(folder.path()).unwrap(), digest);
    for (dtype, tolerance) in [(Dtype::F16, 2e-3), (Dtype::BF16, 2e-2)] {
        let folder = TinyClip::copy();
        rewrite(folder.path(), dtype, 1);
        let found = embeds(folder.path());
        let pairs = found.iter().zip(&expected);
        let worst = pairs.fold(0.0_f32, |max, (f, e)| max.max((f - e).abs()));
        assert!(worst > 0.0 && worst < tolerance, "{dtype:?}: {worst}");
    }
}

/// Two files of weights and their index: the first has everything, the second one tensor again, ten times as large.
fn overlapping(folder: &Path) -> (String, std::path::PathBuf) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let moved = "visual_projection.weight".to_owned();
    let view = file.tensor(&moved).unwrap();
    let words = view.data().as_chunks::<4>().0.iter();
    let larger: Vec<u8> = words
        .flat_map(|word| (10.0 * f32::from_le_bytes(*word)).to_le_bytes())
        .collect();
    let larger = TensorView::new(Dtype::F32, view.shape().to_vec(), &larger).unwrap();
    let second = safetensors::serialize([(moved.as_str(), larger)], None).unwrap();
    fs::write(folder.join("z.safetensors"), second).unwrap();
    let map: HashMap<String, &str> = file
        .names()
        .into_iter()
        .map(|n| (n.to_owned(), "a.safetensors"))
        .collect();
    let index = folder.join("model.safetensors.index.json");
    fs::write(&index, serde_json::json!({"weight_map": map}).to_string()).unwrap();
    fs::rename(&path, folder.join("a.safetensors")).unwrap();
    (moved, index)
}

/// Moves a tensor to a file in an index, and adds the names of files that hold nothing else.
fn remap(index: &Path, tensor: &str, file: &str) {
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(index).unwrap()).unwrap();
    json["weight_map"][tensor] = file.into();
    fs::write(index, json.to_string()).unwrap();
}

#[test]
fn each_tensor_is_read_from_the_file_the_index_names() {
    let folder = TinyClip::copy();
    let expected = embeds(folder.path());
    let (moved, index) = overlapping(folder.path());
    assert_eq!(embeds(folder.path()), expected);
    let digest = weights_sha256(folder.path()).unwrap();
    // A file of the index that is not the tensor's has the tensor, too.
    remap(&index, "unused", "z.safetensors");
    let message = error(folder.path());
    assert!(
        message.contains("unused") && message.contains("z.safetensors"),
        "{message}"
    );
    remap(&index, &moved, "z.safetensors");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    json["weight_map"].as_object_mut().unwrap().remove("unused");
    fs::write(&index, json.to_string()).unwrap();
    let found = embeds(folder.path());
    assert_ne!(weights_sha256(folder.path()).unwrap(), digest);
    let (image, text) = found.split_at(24);
    assert_eq!(text, &expected[24..]);
    for (found, expected) in image.iter().zip(&expected) {
        assert!((found - 10.0 * expected).abs() <= 1e-4 * expected.abs().max(1.0));
    }
}

#[test]
fn an_index_that_names_what_is_not_there_is_refused() {
    let folder = TinyClip::copy();
    let (moved, index) = overlapping(folder.path());
    remap(&index, "visual_projection.bias", "z.safetensors");
    remap(&index, "text_projection.weight", "z.safetensors");
    let message = error(folder.path());
    for part in [
        "index.json",
        "text_projection.weight",
        "visual_projection.bias",
        "z.safetensors",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    remap(&index, &moved, "model-3-of-4.safetensors");
    remap(&index, "text_projection.weight", "model-4-of-4.safetensors");
    let message = error(folder.path());
    for part in [
        "index.json",
        "model-3-of-4.safetensors",
        "model-4-of-4.safetensors",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let folder = TinyClip::copy();
        let path = folder.path().join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let json: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
        let name = "text_model.encoder.layers.1.mlp.fc1.weight";
        let start = json[name]["data_offsets"][0].as_u64().unwrap() as usize;
        bytes[8 + header + start + 4..][..4].copy_from_slice(&value.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let message = error(folder.path());
        assert!(
            message.contains(name) && message.contains("model.safetensors"),
            "{message}"
        );
        // The other half does not read it.
        Images::<Cpu>::open(folder.path(), &Default::default()).unwrap();
    }
}

/// Where no end token is found, transformers reads the first token, the same in every text.
#[test]
fn an_end_token_that_no_text_has_is_refused() {
    let (folder, golden) = (TinyClip::copy(), Golden::open());
    let path = folder.path().join("config.json");
    let config = fs::read_to_string(&path).unwrap();
    for end in ["7", "0", "49407"] {
        let other = config.replace("\"eos_token_id\": 553", &format!("\"eos_token_id\": {end}"));
        fs::write(&path, other).unwrap();
        let message = error(folder.path());
        for part in ["config.json", "eos_token_id", end, "553"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    fs::write(&path, &config).unwrap();
    // Tokens made elsewhere.
    let clip = Clip::<Cpu>::open(folder.path(), &Default::default()).unwrap();
    let mut ids = golden.ids("input_ids");
    let last = ids.len() - 1;
    ids[last].iter_mut().for_each(|id| *id = (*id).min(552));
    let message = clip
        .texts()
        .encoder()
        .encode_ids(&ids)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("553") && message.contains(&format!("text {last}")),
        "{message}"
    );
}

#[test]
fn an_early_configuration_reads_the_highest_token() {
    let (folder, golden) = (TinyClip::copy(), Golden::open());
    let path = folder.path().join("config.json");
    let config = fs::read_to_string(&path).unwrap();
    let legacy = config.replace("\"eos_token_id\": 553", "\"eos_token_id\": 2");
    assert_ne!(config, legacy);
    fs::write(&path, legacy).unwrap();
    let clip = Clip::<Cpu>::open(folder.path(), &Default::default()).unwrap();
    let encoded = clip
        .texts()
        .encoder()
        .encode_ids(&golden.ids("input_ids"))
        .unwrap();
    golden.check("text_embeds", encoded.projected);
}

#[test]
fn damaged_directories_are_one_clear_error() {
    let folder = TinyClip::copy();
    let folder = folder.path();
    let (weights, config) = (folder.join("model.safetensors"), folder.join("config.json"));
    let (bytes, text) = (
        fs::read(&weights).unwrap(),
        fs::read_to_string(&config).unwrap(),
    );
    let says = |parts: &[&str]| {
        let message = error(folder);
        assert!(
            parts.iter().all(|part| message.contains(part)),
            "{parts:?}: {message}"
        );
    };
    for length in [0, 5, 8, 100, 20_000, bytes.len() - 1] {
        fs::write(&weights, &bytes[..length]).unwrap();
        says(&["model.safetensors", "expected a safetensors file"]);
    }
    fs::write(&weights, [b"\xff".repeat(8), bytes[8..].to_vec()].concat()).unwrap();
    says(&["model.safetensors", "a header of"]);
    let other = safetensors::serialize(
        [("x", TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap())],
        None,
    );
    fs::write(&weights, other.unwrap()).unwrap();
    says(&[
        "model.safetensors",
        "class_embedding: expected [48], missing",
    ]);
    fs::write(&weights, &bytes).unwrap();

    fs::write(
        &config,
        text.replace("\"hidden_size\": 48", "\"hidden_size\": 60"),
    )
    .unwrap();
    says(&[
        "model.safetensors",
        "class_embedding: expected [60], found [48]",
        "visual_projection.weight: expected [24, 60], found [24, 48]",
    ]);
    fs::write(
        &config,
        text.replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4"),
    )
    .unwrap();
    says(&["text_model.encoder.layers.3.mlp.fc1.weight: expected [64, 32], missing"]);
    fs::write(&config, "{").unwrap();
    says(&["config.json"]);
    fs::write(&config, &text).unwrap();

    fs::rename(&weights, folder.join("elsewhere")).unwrap();
    says(&["no weights there", "pytorch_model.bin"]);
    fs::write(folder.join("pytorch_model.bin"), b"neither").unwrap();
    says(&["pytorch_model.bin", "zip archive"]);
    let index = folder.join("model.safetensors.index.json");
    fs::write(
        &index,
        r#"{"weight_map": {"x": "../../secret.safetensors"}}"#,
    )
    .unwrap();
    says(&["model.safetensors.index.json", "../../secret.safetensors"]);
    fs::remove_file(&index).unwrap();

    fs::remove_file(folder.join("merges.txt")).unwrap();
    says(&["no tokenizer there", "vocab.json"]);
    assert!(Images::<Cpu>::open(folder, &Default::default()).is_err());
}

/// The 512 symbols of single bytes, three merges and the special tokens, as OpenAI numbers them.
fn small_vocabulary() -> (Vec<String>, [&'static str; 3]) {
    let printable = (0x21..=0x7e).chain(0xa1..=0xac).chain(0xae..=0xff);
    let codes: Vec<u32> = printable.chain(256..256 + 68).collect();
    let symbols: Vec<String> = codes
        .iter()
        .map(|c| char::from_u32(*c).unwrap().into())
        .collect();
    let mut tokens = symbols.clone();
    tokens.extend(symbols.iter().map(|symbol| format!("{symbol}</w>")));
    let merges = ["c a", "ca t</w>", "a t</w>"];
    tokens.extend(merges.map(|merge| merge.replace(' ', "")));
    tokens.extend(["<|startoftext|>".into(), "<|endoftext|>".into()]);
    (tokens, merges)
}

#[test]
fn every_form_of_vocabulary_gives_the_same_tokens() {
    let (tokens, merges) = small_vocabulary();
    assert_eq!(tokens.len(), 512 + 3 + 2);
    let numbers: HashMap<&str, usize> = tokens.iter().map(String::as_str).zip(0..).collect();
    let vocab = serde_json::to_string(&numbers).unwrap();
    let lines = format!("#version: 0.2\n{}\n", merges.join("\n"));
    let pairs: Vec<Vec<&str>> = merges
        .iter()
        .map(|merge| merge.split(' ').collect())
        .collect();
    let pair_file = serde_json::json!({"model": {"vocab": numbers, "merges": pairs}}).to_string();
    let line_file = serde_json::json!({"model": {"vocab": numbers, "merges": merges}}).to_string();
    let mut packed = flate2::write::GzEncoder::new(vec![], Default::default());
    std::io::Write::write_all(&mut packed, lines.as_bytes()).unwrap();
    let forms: [&[(&str, Vec<u8>)]; 4] = [
        &[
            ("vocab.json", vocab.into_bytes()),
            ("merges.txt", lines.into_bytes()),
        ],
        &[("tokenizer.json", pair_file.into_bytes())],
        &[("tokenizer.json", line_file.into_bytes())],
        &[("bpe_simple_vocab_16e6.txt.gz", packed.finish().unwrap())],
    ];
    for form in forms {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in form {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let tokenizer = Tokenizer::open(folder.path(), 6).unwrap();
        // start, cat, c, at, end: "cat" is merged to one token, "at" at a word's end to another.
        let at = numbers["at</w>"] as u32;
        let (start, end, cat) = (515, 516, numbers["cat</w>"] as u32);
        assert_eq!(tokenizer.encode("Cat  AT"), [start, cat, at, end, 0, 0]);
        assert_eq!(
            tokenizer.encode("cat cat cat cat cat"),
            [start, cat, cat, cat, cat, end]
        );
        assert_eq!(tokenizer.encode(""), [start, end, 0, 0, 0, 0]);
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vocab.json"), "{\"a\": 0}").unwrap();
    fs::write(folder.path().join("merges.txt"), "a b c\n").unwrap();
    let message = Tokenizer::open(folder.path(), 6).unwrap_err().to_string();
    assert!(
        message.contains("merges.txt") && message.contains("a b c"),
        "{message}"
    );
    fs::write(folder.path().join("merges.txt"), "a b\n").unwrap();
    let message = Tokenizer::open(folder.path(), 6).unwrap_err().to_string();
    assert!(
        message.contains("vocab.json") && message.contains("a token"),
        "{message}"
    );
}
