//! A call on one of the world's APIs, and what comes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// Which vendor's API a call is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// api.github.com
    GitHub,
    /// compute.googleapis.com and oauth2.googleapis.com
    Gcp,
    /// A Proxmox VE cluster: `/api2/json` on port 8006.
    Proxmox,
}

impl Api {
    /// The name in the traffic log and in front of an endpoint's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Gcp => "gcp",
            Self::Proxmox => "proxmox",
        }
    }
}

/// An HTTP method that one of the APIs uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As it is written in HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// From what is written in HTTP; none for a method that no API here knows.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete]
            .into_iter()
            .find(|each| each.name() == name)
    }
}

/// One API call, as it came over the wire.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whom it asks.
    pub api: Api,
    /// Its method.
    pub method: Method,
    /// The path on the wire, without the query; still percent-encoded.
    pub path: String,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// The caller's clock, against which credentials are judged. It differs from the world's time only
    /// when that runs faster than real time.
    pub wall: Timestamp,
}

impl Request {
    /// A call without a body, sent at `now`.
    pub fn new(api: Api, method: Method, path: impl Into<String>, now: Timestamp) -> Self {
        let headers = BTreeMap::from([("user-agent".to_owned(), "simulator".to_owned())]);
        Self { api, method, path: path.into(), query: Vec::new(), headers, body: Vec::new(), wall: now }
    }

    /// With a bearer token.
    pub fn bearer(mut self, token: &str) -> Self {
        self.headers.insert("authorization".to_owned(), format!("Bearer {token}"));
        self
    }

    /// With one more parameter in the query.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// With a JSON body.
    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self
    }

    /// With a form as its body, as Proxmox VE takes parameters.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.body = pairs.join("&").into_bytes();
        self.headers.insert("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        self
    }

    /// With an API token of Proxmox VE.
    pub fn proxmox_token(mut self, id: &str, secret: &str) -> Self {
        self.headers.insert("authorization".to_owned(), format!("PVEAPIToken={id}={secret}"));
        self
    }

    /// The first value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The path's parts, decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path.split('/').filter(|part| !part.is_empty()).map(|part| percent_decode(part, false)).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn bearer_token(&self) -> Option<&str> {
        let value = self.header("authorization")?;
        let (scheme, token) = value.split_once(' ')?;
        let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
        known.then(|| token.trim())
    }
}

/// An answer to a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// What HTTP/1 says after the status, when it is not the usual phrase: Proxmox VE puts its errors there.
    pub reason: Option<String>,
    /// Headers beside the content type and length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// What an answer carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// JSON.
    Json(Value),
    /// Bytes that pretend to be JSON and are not: a fault.
    Garbage(Vec<u8>),
}

/// `body` with these fields too. Unlike `json!` it takes them as they are: most of the simulator's time went into copies.
pub(crate) fn with<const N: usize>(mut body: Value, fields: [(&str, Value); N]) -> Value {
    if let Some(object) = body.as_object_mut() {
        object.extend(fields.map(|(name, value)| (name.to_owned(), value)));
    }
    body
}

impl Response {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, reason: None, headers: Vec::new(), body: Body::Json(body) }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, reason: None, headers: Vec::new(), body: Body::Empty }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// With this phrase after the status. What HTTP cannot carry there is left out.
    pub fn reason(mut self, phrase: &str) -> Self {
        let fits = |each: &char| *each == '\t' || (' '..='~').contains(each);
        self.reason = Some(phrase.chars().filter(fits).collect());
        self
    }

    /// The JSON body; null when there is none.
    pub fn value(&self) -> &Value {
        match &self.body {
            Body::Json(value) => value,
            Body::Empty | Body::Garbage(_) => &Value::Null,
        }
    }

    /// Whether the status is a success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What comes of a call.
#[derive(Debug, Clone)]
pub enum Reply {
    /// This answer, after a delay (none without a fault).
    Answer {
        /// What to send back.
        response: Response,
        /// How long to sit on it.
        delay: Duration,
    },
    /// The call waits for something in the world (`zoneOperations.wait`): bring the ticket back to
    /// [`World::resume`](crate::World::resume) at `until`, or whenever the world changed.
    Blocked {
        /// When the wait ends at the latest, for now.
        until: Timestamp,
        /// The call.
        ticket: Ticket,
    },
    /// The connection is closed without a byte.
    Closed,
    /// Nothing ever comes.
    Hangs,
}

impl Reply {
    /// The answer, when there is one at once.
    pub fn answer(self) -> Option<Response> {
        match self {
            Self::Answer { response, .. } => Some(response),
            Self::Blocked { .. } | Self::Closed | Self::Hangs => None,
        }
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Answer { response, delay: Duration::ZERO }
    }
}

/// A call that is waiting for an operation.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub(crate) zone: String,
    pub(crate) operation: String,
    pub(crate) deadline: Timestamp,
}

/// Decode `%41`, and `+` as a space where that is meant (in forms and queries).
pub fn percent_decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[at], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', _) if plus_is_space => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Percent-encoded, for a form.
fn encode(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The pairs of a query or a form.
pub fn parse_pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (percent_decode(name, true), percent_decode(value, true)))
        .collect()
}
