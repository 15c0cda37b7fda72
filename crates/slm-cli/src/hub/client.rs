//! Requests to a hub: with its token, only to itself; with patience; with errors in words.
//!
//! Does not know files on the disk.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::{AUTHORIZATION, HeaderMap, IF_RANGE, LOCATION, RANGE};
use reqwest::redirect::Policy;
use serde_json::Value;

use super::{Listing, Reference};
use crate::failure::Failure;

/// How long a connection may be silent.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Attempts without any progress before a request is given up.
pub const ATTEMPTS: u32 = 5;
/// Redirects that are followed.
const MOST_REDIRECTS: usize = 5;

/// A token that does not show itself.
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<token>")
    }
}

/// A connection to one hub.
#[derive(Debug)]
pub struct Client {
    http: reqwest::blocking::Client,
    endpoint: reqwest::Url,
    token: Option<Secret>,
    first_wait: Duration,
}

/// Why one attempt failed.
#[derive(Debug)]
pub enum Attempt {
    /// Worth another try, after the wait that the hub asked for, if it did.
    Again(String, Option<Duration>),
    /// What is there of the file does not fit what the hub has; worth another from its start.
    Unfit,
    /// Not worth one.
    Final(Failure),
}

/// The part of a file that is asked for.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Bytes that are there already.
    pub from: u64,
    /// The version of the file that they are of.
    pub version: Option<String>,
}

/// A hub's answer with a file, or the rest of one.
pub struct Body {
    /// The bytes.
    pub response: Response,
    /// All that was said on the way to it, the hub's own words before those of others.
    pub headers: Vec<HeaderMap>,
}

impl Client {
    /// The hub that `HF_ENDPOINT` names, with the token of `HF_TOKEN`.
    ///
    /// # Errors
    /// The endpoint is no URL, or the token would go over it unencrypted.
    pub fn from_environment() -> Result<Self> {
        let variable = |name: &str| {
            std::env::var(name)
                .ok()
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let endpoint = variable("HF_ENDPOINT");
        Self::new(
            endpoint.as_deref().unwrap_or(super::DEFAULT_ENDPOINT),
            variable("HF_TOKEN"),
        )
    }

    /// A hub at `endpoint`.
    ///
    /// # Errors
    /// As [`Client::from_environment`].
    pub fn new(endpoint: &str, token: Option<String>) -> Result<Self> {
        let text = format!("{}/", endpoint.trim_end_matches('/'));
        let no_endpoint = |why: &str| {
            Failure::new(format!("`{endpoint}` is no endpoint: {why}"))
                .hint("set `HF_ENDPOINT` to a URL such as `https://huggingface.co`, or unset it")
        };
        let url = reqwest::Url::parse(&text).map_err(|error| no_endpoint(&error.to_string()))?;
        let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        match url.scheme() {
            "https" => {}
            "http" if loopback || token.is_none() => {}
            "http" => {
                return Err(Failure::new(format!(
                    "the token of `HF_TOKEN` would go to `{endpoint}` unencrypted"
                ))
                .hint("use an endpoint with `https`, or unset `HF_TOKEN`")
                .into());
            }
            other => return Err(no_endpoint(&format!("its scheme is `{other}`")).into()),
        }
        let mut builder = reqwest::blocking::Client::builder()
            .timeout(LONGEST_SILENCE)
            .connect_timeout(Duration::from_secs(20))
            .user_agent(concat!("slm/", env!("CARGO_PKG_VERSION")))
            // Redirects are followed here, so that the token goes to the hub alone.
            .redirect(Policy::none());
        if loopback {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| Failure::new(format!("cannot set up HTTP: {error}")))?;
        Ok(Self {
            http,
            endpoint: url,
            token: token.map(Secret),
            first_wait: Duration::from_millis(500),
        })
    }

    /// The same client, quicker to try again.
    #[cfg(test)]
    pub fn with_first_wait(mut self, wait: Duration) -> Self {
        self.first_wait = wait;
        self
    }

    /// The hub's address.
    pub fn endpoint(&self) -> &str {
        self.endpoint.as_str().trim_end_matches('/')
    }

    /// The wait before the attempt after `failed` ones.
    pub fn wait(&self, failed: u32, asked: Option<Duration>) -> Duration {
        let own = self.first_wait * 2_u32.saturating_pow(failed.saturating_sub(1));
        asked.unwrap_or(own).min(LONGEST_WAIT)
    }

    /// The files of a model.
    ///
    /// # Errors
    /// The hub refuses, fails again and again, or answers something else.
    pub fn list(&self, reference: &Reference) -> Result<Listing> {
        let path = format!(
            "api/models/{}/revision/{}",
            reference.name,
            reference.revision.replace('/', "%2F")
        );
        let mut url = self.join(&path)?;
        url.set_query(Some("blobs=true"));
        let text = self.text(&url, &reference.to_string())?;
        let body: Value = serde_json::from_str(&text).map_err(|error| {
            Failure::new(format!("the answer of `{url}` is no JSON: {error}"))
                .hint("check `HF_ENDPOINT`")
        })?;
        Ok(Listing::read(&body)?)
    }

    /// A small answer, asked for again where that may help.
    fn text(&self, url: &reqwest::Url, what: &str) -> Result<String, Failure> {
        let mut failed = 0;
        loop {
            let attempt = self
                .get(url.clone(), &Part::default(), what)
                .and_then(|body| {
                    let text = body.response.text();
                    text.map_err(|error| Attempt::Again(root_cause(&error), None))
                });
            let (why, asked) = match attempt {
                Ok(text) => return Ok(text),
                Err(Attempt::Final(failure)) => return Err(failure),
                Err(Attempt::Again(why, asked)) => (why, asked),
                Err(Attempt::Unfit) => ("it answered 416".to_owned(), None),
            };
            failed += 1;
            if failed == ATTEMPTS {
                return Err(given_up(url.as_str(), failed, &why));
            }
            std::thread::sleep(self.wait(failed, asked));
        }
    }

    /// Begins to fetch a file, or the rest of one.
    ///
    /// # Errors
    /// The hub refuses, or the attempt fails.
    pub fn open(&self, reference: &Reference, path: &str, part: &Part) -> Result<Body, Attempt> {
        let escaped: Vec<String> = path.split('/').map(escaped).collect();
        let path = format!(
            "{}/resolve/{}/{}",
            reference.name,
            reference.revision.replace('/', "%2F"),
            escaped.join("/")
        );
        let url = self.join(&path).map_err(Attempt::Final)?;
        self.get(url, part, &reference.to_string())
    }

    fn join(&self, path: &str) -> Result<reqwest::Url, Failure> {
        self.endpoint
            .join(path)
            .map_err(|error| Failure::new(format!("`{path}` is no address: {error}")))
    }

    /// One request, its redirects followed.
    fn get(&self, url: reqwest::Url, part: &Part, what: &str) -> Result<Body, Attempt> {
        let mut url = url;
        let mut with_token = true;
        let mut headers = Vec::new();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.send(&url, part, with_token)?;
            headers.push(response.headers().clone());
            if !is_redirect(response.status()) {
                check(&response, what, self.token.is_some())?;
                return Ok(Body { response, headers });
            }
            let next = self.next(&url, &response)?;
            // Once away from the hub the token stays behind, wherever the way leads.
            with_token &= next.origin() == self.endpoint.origin();
            url = next;
        }
        Err(Attempt::Final(Failure::new(format!(
            "`{}` redirects without end",
            without_query(&url)
        ))))
    }

    fn send(&self, url: &reqwest::Url, part: &Part, with_token: bool) -> Result<Response, Attempt> {
        let mut call = self.http.get(url.clone());
        if let (Some(Secret(token)), true) = (&self.token, with_token) {
            call = call.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if part.from > 0 {
            call = call.header(RANGE, format!("bytes={}-", part.from));
            if let Some(version) = part.version.as_ref().filter(|text| !text.is_empty()) {
                call = call.header(IF_RANGE, version);
            }
        }
        call.send().map_err(|error| {
            let why = match error.is_timeout() {
                true => "no answer in time".to_owned(),
                false => root_cause(&error),
            };
            Attempt::Again(why, None)
        })
    }

    fn next(&self, url: &reqwest::Url, response: &Response) -> Result<reqwest::Url, Attempt> {
        let location = response.headers().get(LOCATION);
        let next = location
            .and_then(|location| location.to_str().ok())
            .and_then(|location| url.join(location).ok());
        let fault = |why: &str| {
            let from = without_query(url);
            Attempt::Final(Failure::new(format!("`{from}` redirects {why}")))
        };
        let next = next.ok_or_else(|| fault("to nowhere"))?;
        match (url.scheme(), next.scheme()) {
            (_, "https") | ("http", "http") => Ok(next),
            (_, scheme) => Err(fault(&format!("from encryption to `{scheme}`"))),
        }
    }
}

/// A part of a path, with what a URL would read otherwise written out.
fn escaped(part: &str) -> String {
    part.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                (byte as char).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// An address as it may be shown: what a CDN signs is in the query.
fn without_query(url: &reqwest::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// What a status means to the one who asked.
fn check(response: &Response, what: &str, has_token: bool) -> Result<(), Attempt> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let header = |name: &str| response.headers().get(name)?.to_str().ok();
    let code = header("x-error-code").unwrap_or_default();
    let page = format!(
        "{}://{}",
        response.url().scheme(),
        response.url().host_str().unwrap_or_default()
    );
    let name = what.split('@').next().unwrap_or(what);
    let failure = |message: String, hint: String| Attempt::Final(Failure::new(message).hint(hint));
    let token_hint = match has_token {
        true => "check that the token of `HF_TOKEN` is valid and may read it",
        false => "set `HF_TOKEN` to a token that may read it",
    };
    Err(match status.as_u16() {
        401 | 403 if code == "GatedRepo" || status == StatusCode::FORBIDDEN => failure(
            format!("the hub does not give out `{what}` ({status}): it is gated or private"),
            format!("accept its terms at {page}/{name}, then {token_hint}"),
        ),
        401 => failure(
            format!("the hub knows no `{what}`, or it is private ({status})"),
            format!("check the name; {token_hint}"),
        ),
        404 if code == "RevisionNotFound" => failure(
            format!("the hub has `{name}`, but not this revision of it: `{what}`"),
            "leave the revision out for the newest, or give a branch, a tag or a commit".to_owned(),
        ),
        404 => failure(
            format!("the hub has no `{what}` ({status})"),
            "check the name, as in `owner/model`; `HF_ENDPOINT` says which hub is asked".to_owned(),
        ),
        408 | 409 | 425 | 429 | 500..=599 => {
            let asked = header("retry-after").and_then(|text| text.trim().parse().ok());
            Attempt::Again(
                format!("it answered {status}"),
                asked.map(|seconds: u64| Duration::from_secs(seconds)),
            )
        }
        416 => Attempt::Unfit,
        _ => failure(
            format!("the hub answered {status} for `{what}`"),
            "check `HF_ENDPOINT`, and try again later".to_owned(),
        ),
    })
}

/// The end of patience.
pub fn given_up(what: &str, attempts: u32, why: &str) -> Failure {
    Failure::new(format!("`{what}` failed {attempts} times: {why}"))
        .hint("run the command again; it goes on where it was")
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
