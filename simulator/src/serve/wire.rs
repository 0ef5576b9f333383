//! The traffic log: one JSON line for each request that was answered.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::world::request::{Body, Request, Response, parse_pairs};

/// A file that lines are appended to, each in one write: several processes may share it.
#[derive(Debug)]
pub(crate) struct WireLog(Mutex<File>);

impl WireLog {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Mutex::new(file)))
    }

    /// Write down an answer. One that is no JSON answers nothing in the API's terms, and is left out.
    pub fn append(&self, request: &Request, response: &Response) {
        let answer = match &response.body {
            Body::Empty => Value::Null,
            Body::Json(value) => value.clone(),
            Body::Garbage(_) => return,
        };
        let query: Map<String, Value> =
            request.query.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let line = json!({
            "api": request.api.name(),
            "method": request.method.name(),
            "path": request.path,
            "query": query,
            "request": body_of(request),
            "status": response.status,
            "response": answer,
        });
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            tracing::warn!(%error, "the traffic log could not be written");
        }
    }
}

fn body_of(request: &Request) -> Value {
    if request.body.is_empty() {
        return Value::Null;
    }
    let is_form = request.header("content-type").is_some_and(|kind| kind.contains("x-www-form-urlencoded"));
    if is_form {
        let pairs = parse_pairs(&String::from_utf8_lossy(&request.body));
        return Value::Object(pairs.into_iter().map(|(name, value)| (name, json!(value))).collect());
    }
    serde_json::from_slice(&request.body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&request.body)))
}
