//! Downloads against a small server on loopback that behaves as the hub does.
#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use mused_clip::hub::Hub;
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files by path; what was asked for, as `METHOD path range authorization`.
struct Server {
    address: String,
    log: Arc<Mutex<Vec<String>>>,
}

struct Behaviour {
    files: HashMap<&'static str, Vec<u8>>,
    /// Bytes sent of a large file before the connection breaks, the first time.
    breaks_at: Mutex<Option<usize>>,
    /// Sends other bytes than the ETag says.
    lies: bool,
}

impl Server {
    fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(vec![]));
        let kept = log.clone();
        let base = address.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &behaviour, &kept, &base);
            }
        });
        Self { address, log }
    }

    fn hub(&self, cache: &Path) -> Hub {
        Hub {
            endpoint: self.address.clone(),
            cache: cache.to_owned(),
            token: Some("secret".into()),
            offline: false,
        }
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

fn answer(mut stream: TcpStream, behaviour: &Behaviour, log: &Mutex<Vec<String>>, base: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    let mut headers = HashMap::new();
    for line in lines {
        let line = line.unwrap();
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let header = |name| headers.get(name).cloned().unwrap_or_default();
    let entry = format!(
        "{method} {path} {} {}",
        header("range"),
        header("authorization")
    );
    log.lock().unwrap().push(entry);
    let name = path.rsplit('/').next().unwrap();
    let Some(content) = behaviour.files.get(name) else {
        let reply = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(reply).unwrap();
        return;
    };
    let large = name.ends_with(".safetensors");
    let mut head = format!("x-repo-commit: {COMMIT}\r\nconnection: close\r\n");
    if large && path.contains("/resolve/") {
        // As the hub sends large files: from another address, of which the file's hash is known.
        let (hash, size) = (sha256(content), content.len());
        head += &format!(
            "x-linked-etag: \"{hash}\"\r\nx-linked-size: {size}\r\nlocation: {base}/cdn/{name}\r\ncontent-length: 0\r\n"
        );
        write!(stream, "HTTP/1.1 302 Found\r\n{head}\r\n").unwrap();
        return;
    }
    let range = header("range");
    let from: usize = range
        .trim_start_matches("bytes=")
        .trim_end_matches('-')
        .parse()
        .unwrap_or(0);
    let status = if from > 0 {
        "206 Partial Content"
    } else {
        "200 OK"
    };
    if from > 0 {
        let (last, all) = (content.len() - 1, content.len());
        head += &format!("content-range: bytes {from}-{last}/{all}\r\n");
    }
    let mut body = content[from..].to_vec();
    head += &format!(
        "etag: \"{}\"\r\ncontent-length: {}\r\n",
        &sha256(content)[..40],
        body.len()
    );
    write!(stream, "HTTP/1.1 {status}\r\n{head}\r\n").unwrap();
    if method == "HEAD" {
        return;
    }
    if large {
        if let Some(at) = behaviour.breaks_at.lock().unwrap().take() {
            body.truncate(at);
        }
        if behaviour.lies {
            body[0] ^= 1;
        }
    }
    stream.write_all(&body).unwrap();
}

fn behaviour() -> Behaviour {
    let weights: Vec<u8> = (0..100_000_u32).map(|i| (i * 7 / 3) as u8).collect();
    Behaviour {
        files: HashMap::from([
            ("config.json", b"{}".to_vec()),
            ("model.safetensors", weights),
            ("vocab.json", b"{\"a\": 0}".to_vec()),
            ("merges.txt", b"#version: 0.2\n".to_vec()),
        ]),
        breaks_at: Mutex::new(None),
        lies: false,
    }
}

#[test]
fn a_model_is_downloaded_once_into_the_usual_layout() {
    let folder = tempfile::tempdir().unwrap();
    let files = behaviour().files;
    let server = Server::start(behaviour());
    let hub = server.hub(folder.path());
    let model = hub.model("someone/tiny-clip", "main").unwrap();
    let root = folder.path().join("models--someone--tiny-clip");
    assert_eq!(model, root.join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    for (name, content) in &files {
        assert_eq!(&fs::read(model.join(name)).unwrap(), content, "{name}");
    }
    let blob = root.join("blobs").join(sha256(&files["model.safetensors"]));
    assert!(blob.is_file());
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(model.join("model.safetensors")).unwrap(),
        Path::new("../../blobs").join(blob.file_name().unwrap())
    );
    let log = server.log();
    let asked = |part: &str| log.iter().filter(|entry| entry.starts_with(part)).count();
    assert_eq!(asked("GET /cdn/model.safetensors"), 1, "{log:?}");
    assert_eq!(asked("GET"), 4);
    assert!(log[0].ends_with("Bearer secret"), "{log:?}");

    // Again: the hub is asked what is new, nothing is sent.
    assert_eq!(hub.model("someone/tiny-clip", "main").unwrap(), model);
    assert!(server.log().iter().all(|entry| entry.starts_with("HEAD")));
    let offline = Hub {
        offline: true,
        ..hub
    };
    assert_eq!(offline.model("someone/tiny-clip", "main").unwrap(), model);
    assert_eq!(offline.model("someone/tiny-clip", COMMIT).unwrap(), model);
    let message = offline
        .model("someone/other", "main")
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("offline") && message.contains("someone/other"),
        "{message}"
    );
    assert!(server.log().is_empty());
}

#[test]
fn an_interrupted_download_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour {
        breaks_at: Mutex::new(Some(40_000)),
        ..behaviour()
    });
    let hub = server.hub(folder.path());
    assert!(hub.model("tiny", "main").is_err());
    assert!(
        !folder
            .path()
            .join("models--tiny/snapshots")
            .join(COMMIT)
            .join("model.safetensors")
            .exists()
    );
    server.log();
    let model = hub.model("tiny", "main").unwrap();
    let expected = &behaviour().files["model.safetensors"];
    assert_eq!(
        &fs::read(model.join("model.safetensors")).unwrap(),
        expected
    );
    let log = server.log();
    assert!(
        log.iter()
            .any(|entry| entry.starts_with("GET /cdn/model.safetensors bytes=40000-")),
        "{log:?}"
    );
}

#[test]
fn wrong_contents_and_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Behaviour {
        lies: true,
        ..behaviour()
    });
    let hub = server.hub(folder.path());
    let message = hub.model("tiny", "main").unwrap_err().to_string();
    assert!(
        message.contains("SHA-256") && message.contains("model.safetensors"),
        "{message}"
    );
    let left: Vec<_> = fs::read_dir(folder.path().join("models--tiny/blobs"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "the configuration alone");
    server.log();
    for (id, revision) in [
        ("../x", "main"),
        ("a/b/c", "main"),
        ("", "main"),
        ("a", "../../x"),
        ("a", ""),
    ] {
        assert!(hub.model(id, revision).is_err(), "{id} {revision}");
    }
    assert!(server.log().is_empty());
    let mut files = behaviour();
    files.files.remove("model.safetensors");
    let message = Server::start(files)
        .hub(folder.path())
        .model("bare", "main")
        .unwrap_err()
        .to_string();
    assert!(message.contains("pytorch_model.bin"), "{message}");
}

#[test]
fn a_model_that_is_not_there_and_a_hub_out_of_reach_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = behaviour();
    files.files.clear();
    let server = Server::start(files);
    let message = server
        .hub(folder.path())
        .model("org/absent", "main")
        .unwrap_err()
        .to_string();
    assert!(message.contains("org/absent"), "{message}");
    let mut hub = server.hub(folder.path());
    // A port nothing listens on: bound once to learn a free number, then let go.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    hub.endpoint = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let message = hub.model("org/absent", "main").unwrap_err().to_string();
    assert!(message.contains(&hub.endpoint), "{message}");
}
