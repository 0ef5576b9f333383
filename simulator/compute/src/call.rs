//! A call, put together as the library's transport does it.

use std::collections::BTreeMap;

use google_cloud_gax::error::Error;
use google_cloud_gax::error::binding::{BindingError, PathMismatch, SubstitutionFail, SubstitutionMismatch};
use jiff::Timestamp;
use serde::Serialize;
use simulator::{Api, Method, Request};

/// Longer than the paths of all calls with names of usual length.
const USUAL_PATH_BYTES: usize = 128;
/// The version of the API's description that the library was generated from.
const API_VERSION: &str = "2026-09-01";

/// A call that is being put together.
pub(crate) struct Call {
    request: Request,
    /// What is wrong with the names in its path.
    misfits: Vec<SubstitutionMismatch>,
}

impl Call {
    /// A call on a project.
    pub fn new(method: Method, project: &str) -> Self {
        let mut path = String::with_capacity(USUAL_PATH_BYTES);
        path.push_str("/compute/v1");
        let request = Request {
            api: Api::Gcp,
            method,
            path,
            query: Vec::new(),
            headers: BTreeMap::new(),
            body: Vec::new(),
            wall: Timestamp::UNIX_EPOCH,
        };
        Self { request, misfits: Vec::new() }.at("projects", "project", project)
    }

    /// With a collection and a name in it at the end of the path. `field` is what the request's model calls the name.
    pub fn at(self, collection: &str, field: &'static str, name: &str) -> Self {
        let mut call = self.then(collection);
        let problem = match name {
            "" => Some(SubstitutionFail::UnsetExpecting("*")),
            name if name.contains('/') => Some(SubstitutionFail::MismatchExpecting(name.to_owned(), "*")),
            _ => None,
        };
        if let Some(problem) = problem {
            call.misfits.push(SubstitutionMismatch { field_name: field, problem });
        }
        call.request.path.push('/');
        push_encoded(&mut call.request.path, name);
        call
    }

    /// With one more fixed part at the end of the path.
    pub fn then(mut self, part: &str) -> Self {
        self.request.path.push('/');
        self.request.path.push_str(part);
        self
    }

    /// With a parameter in the query, if it is set.
    pub fn query(mut self, name: &str, value: Option<String>) -> Self {
        if let Some(value) = value {
            self.request.query.push((name.to_owned(), value));
        }
        self
    }

    /// With a JSON body.
    pub fn body(mut self, body: &impl Serialize) -> Result<Self, Error> {
        // Not `Error::ser`: what the HTTP client cannot turn into JSON, the library takes for an I/O error.
        self.request.body = serde_json::to_vec(body).map_err(Error::io)?;
        self.request.headers.insert("content-type".to_owned(), "application/json".to_owned());
        Ok(self)
    }

    /// Ready to be sent by whom this header names, or the library's error for names that fit in no path.
    pub fn finish(mut self, authorization: &str) -> Result<Request, Error> {
        if !self.misfits.is_empty() {
            return Err(Error::binding(BindingError { paths: vec![PathMismatch { subs: self.misfits }] }));
        }
        self.request.headers.insert("authorization".to_owned(), authorization.to_owned());
        let call = self.query("$alt", Some("json".to_owned()));
        Ok(call.query("$apiVersion", Some(API_VERSION.to_owned())).request)
    }
}

/// Percent-encodes what may not stand in a URL's path.
fn push_encoded(path: &mut String, name: &str) {
    let is_plain = |byte: u8| (b'!'..=b'~').contains(&byte) && !b"\"#<>?`{}".contains(&byte);
    if name.bytes().all(is_plain) {
        path.push_str(name);
        return;
    }
    for byte in name.bytes() {
        if is_plain(byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
}
