//! Models from the Hugging Face hub, kept in its cache as its own client keeps them.
//!
//! A cache holds `models--ORG--NAME/refs/REVISION` (a commit), `blobs/HASH` (contents) and
//! `snapshots/COMMIT/FILE` (links to contents). What another client downloaded is used, and the other way round.
//!
//! Behind the cargo feature `hub`: https needs `ring`, which is C and assembly. The one provider of cryptography for
//! `rustls` that is Rust alone is an unaudited alpha; a default build without C matters more than downloads in it.

mod cache;
mod client;

use std::path::PathBuf;

use crate::{Error, Result};
use cache::Cache;
use client::{Client, Remote};

/// Where the hub is, unless `HF_ENDPOINT` says otherwise.
const ENDPOINT: &str = "https://huggingface.co";

/// Files a model may have; the first found of each group is wanted. A name of an index stands for its parts, too.
const CONFIG: &str = "config.json";
const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];
const TOKENIZERS: [&[&str]; 2] = [&["vocab.json", "merges.txt"], &["tokenizer.json"]];
const OPTIONAL: [&str; 2] = crate::preprocess::FILES;

/// Access to a hub and to the cache of what came from it.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Base address.
    pub endpoint: String,
    /// The folder with `models--…`.
    pub cache: PathBuf,
    /// Sent with every request to the endpoint itself.
    pub token: Option<String>,
    /// Use the cache alone.
    pub offline: bool,
}

impl Hub {
    /// What the environment says, as the official client reads it: `HF_ENDPOINT`; `HF_HUB_CACHE`, or `hub` in `HF_HOME`,
    /// or `huggingface/hub` in `XDG_CACHE_HOME` or `~/.cache`; `HF_TOKEN`; `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// No folder for the cache: none of these variables and no `HOME`.
    pub fn from_environment() -> Result<Self> {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let folder = |name| variable(name).map(PathBuf::from);
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| Some(folder("HF_HOME")?.join("hub")))
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("huggingface").join("hub")))
            .or_else(|| {
                Some(
                    folder("HOME")?
                        .join(".cache")
                        .join("huggingface")
                        .join("hub"),
                )
            })
            .ok_or_else(|| Error::Hub {
                url: "cache".into(),
                reason: "none of HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME and HOME is set".into(),
            })?;
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let offline = variable("HF_HUB_OFFLINE").map(|value| value.to_ascii_uppercase());
        let offline = offline.is_some_and(|v| ["1", "ON", "YES", "TRUE"].contains(&v.as_str()));
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache,
            token: variable("HF_TOKEN"),
            offline,
        })
    }

    /// The directory of a model, downloaded as far as it is not in the cache: `config.json`, weights (safetensors where
    /// there are any), tokenizer, and the settings of its image processor if it has any. `revision` is a branch, tag or commit,
    /// such as `main`.
    ///
    /// A partial download is continued. Files whose ETag is a SHA-256, as that of all large ones, are checked.
    ///
    /// # Errors
    /// A name that is none; a model without these files; a server that refuses; contents that do not match their
    /// SHA-256; a file not in the cache when offline.
    pub fn model(&self, id: &str, revision: &str) -> Result<PathBuf> {
        let cache = Cache::open(&self.cache, id, revision)?;
        let fetch = Fetch {
            hub: self,
            cache: &cache,
            client: Client::new(self.token.clone()),
            id,
            revision,
        };
        let config = fetch.file(CONFIG)?;
        let Some(folder) = config.as_deref().and_then(|path| path.parent()) else {
            return Err(fetch.missing(CONFIG));
        };
        fetch.weights()?;
        fetch.tokenizer()?;
        for name in OPTIONAL {
            fetch.file(name)?;
        }
        Ok(folder.to_owned())
    }
}

struct Fetch<'a> {
    hub: &'a Hub,
    cache: &'a Cache,
    client: Client,
    id: &'a str,
    revision: &'a str,
}

impl Fetch<'_> {
    fn missing(&self, what: &str) -> Error {
        let place = if self.hub.offline {
            format!("not in the cache {}, and offline", self.hub.cache.display())
        } else {
            "the model has none".to_owned()
        };
        Error::Hub {
            url: format!("{}/{}", self.hub.endpoint, self.id),
            reason: format!("{what}: {place}"),
        }
    }

    /// The file in the snapshot, or nothing where the model lacks it.
    fn file(&self, name: &str) -> Result<Option<PathBuf>> {
        if self.hub.offline {
            return Ok(self.cache.find(name));
        }
        let (endpoint, id, revision) = (&self.hub.endpoint, self.id, self.revision);
        let url = format!("{endpoint}/{id}/resolve/{revision}/{name}");
        let Some(remote) = self.client.head(&url)? else {
            return Ok(None);
        };
        let Remote { commit, etag, .. } = &remote;
        if let Some(path) = self.cache.place(commit, name, etag)? {
            return Ok(Some(path));
        }
        self.client.download(&remote, &self.cache.blob(etag)?)?;
        match self.cache.place(commit, name, etag)? {
            Some(path) => Ok(Some(path)),
            None => Err(self.missing(name)),
        }
    }

    fn weights(&self) -> Result<()> {
        for name in WEIGHTS {
            let Some(path) = self.file(name)? else {
                continue;
            };
            if name.ends_with(".json") {
                for part in crate::weights::parts(&path)? {
                    if self.file(&part)?.is_none() {
                        return Err(self.missing(&part));
                    }
                }
            }
            return Ok(());
        }
        Err(self.missing(&WEIGHTS.join(" or ")))
    }

    fn tokenizer(&self) -> Result<()> {
        for names in TOKENIZERS {
            let mut all = true;
            for name in names {
                all = all && self.file(name)?.is_some();
            }
            if all {
                return Ok(());
            }
        }
        Err(self.missing("vocab.json and merges.txt, or tokenizer.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_as_by_the_official_client() {
        let hub = |variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(n, _)| *n == name);
            Hub::from_variables(|name| find(name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(hub(&[]).is_err());
        let home = hub(&[("HOME", "/h")]).unwrap();
        assert_eq!(home.cache, PathBuf::from("/h/.cache/huggingface/hub"));
        assert_eq!((home.endpoint.as_str(), home.offline), (ENDPOINT, false));
        let all = hub(&[
            ("HOME", "/h"),
            ("HF_HOME", "/hf"),
            ("HF_HUB_OFFLINE", "1"),
            ("HF_ENDPOINT", "http://mirror/"),
            ("HF_TOKEN", "secret"),
        ]);
        let all = all.unwrap();
        assert_eq!(all.cache, PathBuf::from("/hf/hub"));
        assert_eq!(
            (all.endpoint.as_str(), all.offline),
            ("http://mirror", true)
        );
        assert_eq!(all.token.as_deref(), Some("secret"));
        let cache = hub(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/hf")]).unwrap();
        assert_eq!(cache.cache, PathBuf::from("/c"));
    }
}
