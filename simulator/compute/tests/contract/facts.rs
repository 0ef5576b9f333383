//! What can be compared of an outcome.

use google_cloud_gax::error::Error;
use jiff::Timestamp;
use serde_json::Value;

/// Headers that belong to HTTP's own workings.
const OF_HTTP: [&str; 3] = ["connection", "content-length", "date"];

/// The model in JSON, or the error's properties; times are masked.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Model(Value),
    Failed(Facts),
}

/// All that Mayfly (and anybody else) can ask an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The predicates that hold.
    pub is: Vec<&'static str>,
    pub status: Option<u16>,
    pub headers: Option<Vec<(String, String)>>,
    /// `Error::status`: code, message and details.
    pub said: Option<String>,
    pub payload: Option<String>,
    /// In words, where they come from the service or the library and not from a socket.
    pub text: Option<String>,
}

impl Outcome {
    pub fn of(answered: &Result<Value, Error>) -> Self {
        match answered {
            Ok(model) => Self::Model(masked(model.clone())),
            Err(error) => Self::Failed(Facts::of(error)),
        }
    }

    /// The model; panics for an error.
    pub fn model(&self) -> &Value {
        match self {
            Self::Model(model) => model,
            Self::Failed(facts) => panic!("{facts:?}"),
        }
    }

    /// The error; panics for a model.
    pub fn facts(&self) -> &Facts {
        match self {
            Self::Model(model) => panic!("{model}"),
            Self::Failed(facts) => facts,
        }
    }

    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        self.facts().status
    }
}

impl Facts {
    fn of(error: &Error) -> Self {
        let predicates = [
            ("authentication", error.is_authentication()),
            ("binding", error.is_binding()),
            ("connect", error.is_connect()),
            ("deserialization", error.is_deserialization()),
            ("exhausted", error.is_exhausted()),
            ("io", error.is_io()),
            ("serialization", error.is_serialization()),
            ("timeout", error.is_timeout()),
            ("transient and before RPC", error.is_transient_and_before_rpc()),
            ("transport", error.is_transport()),
        ];
        let headers = error.http_headers().map(|headers| {
            let kept = headers.iter().filter(|(name, _)| !OF_HTTP.contains(&name.as_str()));
            let pairs = kept.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            let mut pairs: Vec<(String, String)> = pairs.collect();
            pairs.sort();
            pairs
        });
        let of_socket = error.is_connect() || error.is_io();
        Self {
            is: predicates.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name).collect(),
            status: error.http_status_code(),
            headers,
            said: error.status().map(|status| mask(&format!("{status:?}"))),
            payload: error.http_payload().map(|payload| mask(&String::from_utf8_lossy(payload))),
            text: (!of_socket).then(|| mask(&error.to_string())),
        }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.headers.as_ref()?;
        headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }
}

/// The same JSON without its times.
pub fn masked(mut value: Value) -> Value {
    match &mut value {
        Value::String(text) if text.parse::<Timestamp>().is_ok() => *text = "<time>".to_owned(),
        Value::String(text) => *text = mask(text),
        Value::Array(items) => items.iter_mut().for_each(|item| *item = masked(item.take())),
        Value::Object(fields) => fields.values_mut().for_each(|field| *field = masked(field.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    value
}

/// The name of an operation begins with the time of its beginning.
pub fn mask(text: &str) -> String {
    const MARK: &str = "operation-";
    let mut parts = text.split(MARK);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str(MARK);
        masked.push_str(part.trim_start_matches(|each: char| each.is_ascii_digit()));
    }
    masked
}
