//! Requests to a hub.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use crate::weights::file_sha256;
use crate::{Error, Result};

/// Redirections followed.
const REDIRECTIONS: usize = 5;

/// What a hub says of a file before it sends it.
pub(super) struct Remote {
    pub(super) commit: String,
    pub(super) etag: String,
    url: String,
    /// The server the token is for.
    origin: String,
    size: Option<u64>,
}

pub(super) struct Client {
    agent: Agent,
    token: Option<String>,
}

fn failed(url: &str, reason: impl ToString) -> Error {
    Error::Hub {
        url: url.to_owned(),
        reason: reason.to_string(),
    }
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..end]
}

/// An address a server redirects to; those without a host stay on the server.
fn redirected(from: &str, to: &str) -> String {
    if to.starts_with('/') && !to.starts_with("//") {
        format!("{}{to}", origin(from))
    } else {
        to.to_owned()
    }
}

impl Client {
    pub(super) fn new(token: Option<String>) -> Self {
        // Redirections are followed here: the hub's own answer has the headers, and the token is for it alone.
        let config = Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .user_agent(concat!("mused/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.new_agent(),
            token,
        }
    }

    /// What the hub says of the file; nothing where it has none of this name.
    pub(super) fn head(&self, url: &str) -> Result<Option<Remote>> {
        let mut current = url.to_owned();
        for _ in 0..REDIRECTIONS {
            let mut request = self.agent.head(&current);
            if let Some(token) = &self.token {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| failed(url, error))?;
            let text = |name: &str| {
                let value = response.headers().get(name)?.to_str().ok()?;
                Some(value.to_owned())
            };
            let status = response.status();
            if status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let target = text(LOCATION.as_str()).map(|to| redirected(&current, &to));
            // Renamed models redirect within the hub, before it knows a commit.
            if text("x-repo-commit").is_none()
                && let Some(target) = target.clone().filter(|_| status.is_redirection())
                && origin(&target) == origin(url)
            {
                current = target;
                continue;
            }
            if !status.is_success() && !status.is_redirection() {
                let hint = match status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                        " (no such model, or HF_TOKEN does not allow it)"
                    }
                    _ => "",
                };
                return Err(failed(url, format!("{status}{hint}")));
            }
            let etag = text("x-linked-etag").or_else(|| text(ETAG.as_str()));
            let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
            let (Some(commit), Some(etag)) = (text("x-repo-commit"), etag) else {
                return Err(failed(url, "no X-Repo-Commit and ETag: not a model hub"));
            };
            let size = text("x-linked-size")
                .or_else(|| text(CONTENT_LENGTH.as_str()).filter(|_| status.is_success()));
            return Ok(Some(Remote {
                commit,
                etag,
                url: target.unwrap_or(current),
                origin: origin(url).to_owned(),
                size: size.and_then(|size| size.parse().ok()),
            }));
        }
        Err(failed(url, "too many redirections"))
    }

    /// Contents into `blob`, which appears whole. What an interrupted download left is continued.
    pub(super) fn download(&self, remote: &Remote, blob: &Path) -> Result<()> {
        let mut partial = blob.to_owned().into_os_string();
        partial.push(".incomplete");
        let partial = PathBuf::from(partial);
        let url = &remote.url;
        let mut there = fs::metadata(&partial).map_or(0, |metadata| metadata.len());
        if remote.size.is_none_or(|size| there > size) {
            there = 0;
        }
        if there == 0 || remote.size != Some(there) {
            let mut response = self.get(remote, there)?;
            let resumed = response.status() == StatusCode::PARTIAL_CONTENT;
            let range = response.headers().get(CONTENT_RANGE);
            let range = range
                .and_then(|range| range.to_str().ok())
                .unwrap_or_default();
            if resumed && !range.starts_with(&format!("bytes {there}-")) {
                return Err(failed(
                    url,
                    format!("bytes from {there} asked for, `{range}` sent"),
                ));
            }
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .append(resumed)
                .truncate(!resumed)
                .open(&partial)
                .map_err(Error::io(&partial))?;
            io::copy(&mut response.body_mut().as_reader(), &mut file)
                .map_err(|error| failed(url, format!("{error}; the next call continues")))?;
            file.sync_all().map_err(Error::io(&partial))?;
        }
        let length = fs::metadata(&partial).map_err(Error::io(&partial))?.len();
        if let Some(size) = remote.size.filter(|size| *size != length) {
            return Err(failed(
                url,
                format!("{length} bytes arrived of {size}; the next call continues"),
            ));
        }
        // Large files have their SHA-256 as ETag; small ones a hash of git's.
        if remote.etag.len() == 64 && remote.etag.bytes().all(|b| b.is_ascii_hexdigit()) {
            let found = file_sha256(&partial)?;
            if found != remote.etag.to_ascii_lowercase() {
                fs::remove_file(&partial).map_err(Error::io(&partial))?;
                let reason = format!("SHA-256 {found} instead of {}", remote.etag);
                return Err(failed(url, reason));
            }
        }
        fs::rename(&partial, blob).map_err(Error::io(blob))
    }

    fn get(&self, remote: &Remote, from: u64) -> Result<Response<Body>> {
        let mut url = remote.url.clone();
        for _ in 0..REDIRECTIONS {
            let mut request = self.agent.get(&url);
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            if let Some(token) = self
                .token
                .as_ref()
                .filter(|_| origin(&url) == remote.origin)
            {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| failed(&url, error))?;
            let status = response.status();
            let target = response.headers().get(LOCATION);
            match target.and_then(|target| target.to_str().ok()) {
                Some(target) if status.is_redirection() => url = redirected(&url, target),
                _ if status.is_success() => return Ok(response),
                _ => return Err(failed(&url, status)),
            }
        }
        Err(failed(&remote.url, "too many redirections"))
    }
}
