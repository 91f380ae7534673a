//! `cargo run -p mused-notices -- [OPTIONS OF CARGO METADATA] > THIRD_PARTY.md`: the crates that are linked into `mused`
//! by Cargo.lock, with their licences and the texts of these.
//!
//! Options are those of the release, such as `--features mused/cuda` and `--filter-platform x86_64-unknown-linux-gnu`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// The crate that is released.
const ROOT: &str = "mused";
/// Beginnings of the names of files that hold licences and notices.
const NAMES: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    /// `None` of the crates of this workspace.
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `None` of what is linked, beside what builds or tests.
    kind: Option<String>,
}

fn main() -> Result<()> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(std::env::args_os().skip(1))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo metadata: {said}");
    let metadata = serde_json::from_slice(&output.stdout)?;
    print!("{}", page(&metadata)?);
    Ok(())
}

/// The page: every crate, then every text with the crates it stands for.
fn page(metadata: &Metadata) -> Result<String> {
    let mut page =
        "# Third-party notices\n\nThe program is built of these crates besides its own.\n\n"
            .to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in linked(metadata)? {
        let name = format!("{} {}", package.name, package.version);
        let license = package.license.as_deref().unwrap_or("a licence of its own");
        let place = package.repository.as_deref().unwrap_or("");
        writeln!(page, "- {name}: {license}. {place}")?;
        for text in licences(&package.manifest_path)? {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    for (text, crates) in texts {
        // Longer than any fence in a text.
        write!(
            page,
            "\n## {}\n\n``````\n{}\n``````\n",
            crates.join(", "),
            text.trim_end()
        )?;
    }
    Ok(page)
}

/// What is linked into the program, from outside this workspace, by name and version.
fn linked(metadata: &Metadata) -> Result<Vec<&Package>> {
    let nodes: BTreeMap<&str, &Node> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (&*node.id, node))
        .collect();
    let packages = metadata.packages.iter();
    let own = |package: &&Package| package.source.is_none() && package.name == ROOT;
    let root = packages
        .clone()
        .find(own)
        .context("no crate of the program")?;
    let mut seen = BTreeSet::from([&*root.id]);
    let mut left = vec![&*root.id];
    while let Some(node) = left.pop().and_then(|id| nodes.get(id)) {
        let linked =
            |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
        for dependency in node.deps.iter().filter(linked) {
            if seen.insert(&dependency.pkg) {
                left.push(&dependency.pkg);
            }
        }
    }
    let foreign = |package: &&Package| package.source.is_some() && seen.contains(&*package.id);
    let mut linked: Vec<&Package> = packages.filter(foreign).collect();
    linked.sort_by_key(|package| (&package.name, &package.version));
    Ok(linked)
}

/// Texts beside a manifest, in the order of their names.
fn licences(manifest: &Path) -> Result<Vec<String>> {
    let folder = manifest.parent().context("a manifest lies in a folder")?;
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_uppercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            files.push(path);
        }
    }
    files.sort();
    let read = |path: PathBuf| fs::read(&path).with_context(|| path.display().to_string());
    let texts = files.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    Ok(texts
        .iter()
        .map(|text| String::from_utf8_lossy(text).replace("\r\n", "\n"))
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_builds_or_tests_is_not_listed() {
        let metadata = serde_json::from_value(serde_json::json!({
            "packages": [
                {"id": "a", "name": "mused", "version": "1.0.0", "license": "MIT", "repository": null, "source": null,
                    "manifest_path": concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")},
                {"id": "b", "name": "linked", "version": "2.0.0", "license": "ISC", "repository": "https://b.example",
                    "source": "registry", "manifest_path": concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")},
                {"id": "c", "name": "tests", "version": "3.0.0", "license": "GPL-3.0", "repository": null,
                    "source": "registry", "manifest_path": concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")},
            ],
            "resolve": {"nodes": [
                {"id": "a", "deps": [{"pkg": "b", "dep_kinds": [{"kind": null}]},
                    {"pkg": "c", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "b", "deps": []},
                {"id": "c", "deps": []},
            ]},
        }));
        let page = page(&metadata.unwrap()).unwrap();
        assert!(
            page.contains("- linked 2.0.0: ISC. https://b.example\n"),
            "{page}"
        );
        assert!(
            page.contains("## linked 2.0.0\n") && page.contains("Permission is hereby granted")
        );
        assert!(!page.contains("tests 3.0.0"));
    }
}
