//! Webhook deliveries as GitHub sends them.
//!
//! Headers and signature: GitHub Docs, "Webhook events and payloads" (delivery headers) and "Validating webhook
//! deliveries". Payloads: the `workflow_job` events of GitHub's published webhook schema.

mod repository;
mod workflow_job;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::function_url::UrlRequest;
use crate::secrets::hex;
pub use workflow_job::WorkflowJob;

/// The value of `X-Hub-Signature-256`: `sha256=` and the HMAC-SHA256 of the raw body, in hex.
pub fn sign(body: &[u8], secret: &[u8]) -> String {
    // HMAC takes keys of any length, so there is always a MAC.
    let mac = Hmac::<Sha256>::new_from_slice(secret).map(|mac| mac.chain_update(body).finalize());
    mac.map_or_else(|error| error.to_string(), |mac| format!("sha256={}", hex(&mac.into_bytes())))
}

/// One delivery: a signed body and its headers.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The raw body.
    pub body: Vec<u8>,
    /// Header names, as GitHub writes them, and values.
    pub headers: Vec<(String, String)>,
}

impl Delivery {
    /// A delivery of `event` (`workflow_job`, `ping`, …) with that `X-GitHub-Delivery`, signed with `secret`.
    pub fn new(event: &str, id: &str, payload: &Value, secret: &str) -> Self {
        Self::raw(event, id, payload.to_string(), secret)
    }

    /// The same with any body at all.
    pub fn raw(event: &str, id: &str, body: impl Into<Vec<u8>>, secret: &str) -> Self {
        let body = body.into();
        let signature = sign(&body, secret.as_bytes());
        let headers = [
            ("Accept", "*/*"),
            ("Content-Type", "application/json"),
            ("User-Agent", "GitHub-Hookshot/f05835d"),
            ("X-GitHub-Delivery", id),
            ("X-GitHub-Event", event),
            ("X-GitHub-Hook-ID", "292430182"),
            ("X-GitHub-Hook-Installation-Target-ID", "79929171"),
            ("X-GitHub-Hook-Installation-Target-Type", "integration"),
            ("X-Hub-Signature-256", &signature),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { body, headers }
    }

    /// A `workflow_job` delivery.
    pub fn workflow_job(id: &str, payload: &Value, secret: &str) -> Self {
        Self::new("workflow_job", id, payload, secret)
    }

    /// Sets a header, or takes it away.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: Option<&str>) -> Self {
        self.headers.retain(|(existing, _)| !existing.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self
    }

    /// The delivery as a POST to `/webhook`, for a direct invocation.
    pub fn request(&self) -> UrlRequest {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        UrlRequest::post("/webhook", self.body.clone()).headers(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_in_githubs_documentation() {
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(sign(b"Hello, World!", b"It's a Secret to Everybody"), expected);
    }

    #[test]
    fn a_header_can_be_replaced_and_taken_away() {
        let delivery = Delivery::raw("ping", "d-1", "{}", "secret");
        let count = delivery.headers.len();
        let delivery = delivery.with_header("x-github-event", Some("push")).with_header("User-Agent", None);
        assert_eq!(delivery.headers.len(), count - 1);
        let event = delivery.request().event();
        assert_eq!(event["headers"]["x-github-event"], "push");
        assert_eq!(event["body"], "{}");
    }
}
