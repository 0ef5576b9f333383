//! The boundary: a request in, an answer and the work that follows out. Nothing behind it knows HTTP.
//!
//! Nothing is read from a body whose signature was not found right, and the signature is compared in constant time.

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use mayfly_core::brief::brief;
use mayfly_core::event::{Parsed, parse};
use mayfly_core::ids::{JobId, PoolName};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::events::{Follow, Receipt};
use crate::mayfly::Mayfly;
use crate::quiet::Quiet;
use crate::secret::{Again, Secret, SecretError, SecretSource, Secrets};

/// The largest body that is taken; `workflow_job` bodies are some 10–30 KB.
pub const BODY_MOST: usize = 1 << 20;

/// What is repeated of a header: a delivery's id has 36 characters, the longest event some thirty.
const HEADER_LONGEST: usize = 100;

/// A request, however it came.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `POST`, `GET`, …
    pub method: &'a str,
    /// The path, without a query.
    pub path: &'a str,
    /// `X-Hub-Signature-256`
    pub signature: Option<&'a str>,
    /// `X-GitHub-Event`
    pub event: Option<&'a str>,
    /// `X-GitHub-Delivery`
    pub delivery: Option<&'a str>,
    /// `Authorization`; only the status page asks for it.
    pub authorization: Option<&'a str>,
    /// The raw bytes.
    pub body: &'a [u8],
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, their names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// Work that follows an answer.
#[derive(Debug)]
pub struct Work {
    /// Whose.
    pub pool: PoolName,
    /// For which job.
    pub job: JobId,
    /// What.
    pub follow: Follow,
}

/// What knows the webhook's secrets.
#[derive(Debug)]
pub struct Gate {
    sources: Vec<SecretSource>,
    fetcher: Secrets,
    known: RwLock<Arc<[Secret]>>,
    again: Mutex<Again>,
    refusals: Quiet,
}

/// An answer waits no longer for the secrets to be read again.
const READ_AGAIN_LONGEST: Duration = Duration::from_secs(3);

impl Gate {
    /// Fetches the secrets; any of them may have signed.
    pub async fn open(config: &crate::config::GitHubConfig) -> Result<Self, SecretError> {
        let (sources, fetcher) = (config.webhook_secrets.clone(), Secrets::default());
        let known = RwLock::new(fetch(&fetcher, &sources).await?);
        Ok(Self { sources, fetcher, known, again: Mutex::default(), refusals: Quiet::default() })
    }

    /// Whether one of the secrets signed the body. Where none did they are read again, once in a while: one may have been
    /// replaced since this process started.
    async fn admits(&self, signature: Option<&str>, body: &[u8]) -> bool {
        let Some(claimed) = signature.and_then(|text| text.strip_prefix("sha256=")).and_then(unhex) else {
            return false;
        };
        self.signed(&claimed, body) || (self.read_again().await && self.signed(&claimed, body))
    }

    /// Whether there may be others by now than a moment ago.
    async fn read_again(&self) -> bool {
        if !self.sources.iter().any(SecretSource::can_change)
            || !self.again.lock().is_ok_and(|mut again| again.may())
        {
            return false;
        }
        let fetched = tokio::time::timeout(READ_AGAIN_LONGEST, fetch(&self.fetcher, &self.sources)).await;
        match (fetched, self.known.write()) {
            (Ok(Ok(secrets)), Ok(mut known)) => {
                *known = secrets;
                true
            }
            (Ok(Err(error)), _) => {
                tracing::warn!(%error, "a signature fits no secret, and the secrets could not be read again");
                false
            }
            (Err(_) | Ok(Ok(_)), _) => false,
        }
    }

    fn signed(&self, claimed: &[u8], body: &[u8]) -> bool {
        let Some(secrets) = self.known.read().ok().map(|known| Arc::clone(&known)) else { return false };
        // Every secret is tried, found or not: the time taken tells nothing of which one fits.
        let mut admitted = false;
        for secret in secrets.iter() {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { continue };
            mac.update(body);
            admitted |= mac.verify_slice(claimed).is_ok();
        }
        admitted
    }
}

async fn fetch(fetcher: &Secrets, sources: &[SecretSource]) -> Result<Arc<[Secret]>, SecretError> {
    let mut secrets = Vec::new();
    for source in sources {
        secrets.push(fetcher.fetch(source).await?);
    }
    Ok(secrets.into())
}

/// 64 hexadecimal digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |sign: &u8| char::from(*sign).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = (digit(high)? << 4) | digit(low)?;
    }
    Some(bytes)
}

impl Answer {
    fn new(status: u16, body: Value) -> Self {
        Self::text(status, body.to_string()).header("content-type", "application/json")
    }

    /// One without headers yet.
    pub(crate) fn text(status: u16, body: String) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// A JSON body that says what is wrong.
    pub fn error(status: u16, message: impl std::fmt::Display) -> Self {
        Self::new(status, json!({"error": message.to_string()}))
    }

    fn ignored(reason: impl Into<String>) -> Self {
        Self::new(200, json!({"outcome": "ignored", "reason": reason.into()}))
    }
}

impl Mayfly {
    /// Answers a request; what is to be done next comes with it.
    pub async fn receive(&self, gate: &Gate, request: Request<'_>) -> (Answer, Option<Work>) {
        if let (Some(door), "/" | "") = (&self.page, request.path) {
            return (self.show_page(door, request).await, None);
        }
        match (request.path, request.method) {
            ("/webhook", "POST") => self.webhook(gate, request).await,
            ("/healthz", "GET") => {
                (Answer::new(200, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})), None)
            }
            ("/webhook" | "/healthz", _) => (Answer::error(405, "method not allowed"), None),
            _ => (Answer::error(404, "not found"), None),
        }
    }

    async fn webhook(&self, gate: &Gate, request: Request<'_>) -> (Answer, Option<Work>) {
        let delivery = brief(request.delivery.unwrap_or("unknown"), HEADER_LONGEST);
        let delivery = delivery.as_str();
        // Before the signature: a body that large is not even worth hashing.
        if request.body.len() > BODY_MOST {
            return (Answer::error(413, format_args!("the body has more than {BODY_MOST} bytes")), None);
        }
        if !gate.admits(request.signature, request.body).await {
            if let Some(hidden) = gate.refusals.next() {
                let untold = (hidden > 0).then_some(hidden);
                tracing::warn!(delivery, untold, "signature missing or wrong");
            }
            return (Answer::error(401, "X-Hub-Signature-256 is missing or wrong"), None);
        }
        match request.event {
            Some("workflow_job") => {}
            Some(other) => {
                // What is no JSON is told so whatever it is: it shows a hook that was set to send forms.
                return match serde_json::from_slice::<serde::de::IgnoredAny>(request.body) {
                    Ok(_) => (Answer::ignored(format!("event {}", brief(other, HEADER_LONGEST))), None),
                    Err(_) => (
                        Answer::error(
                            400,
                            "the body is no JSON; set the webhook's content type to application/json",
                        ),
                        None,
                    ),
                };
            }
            None => return (Answer::error(400, "X-GitHub-Event is missing"), None),
        }
        let event = match parse(request.body) {
            Ok(Parsed::Job(event)) => event,
            Ok(Parsed::OtherAction(action)) => return (Answer::ignored(format!("action {action}")), None),
            Err(malformed) => {
                tracing::warn!(delivery, error = %malformed, "body not understood: nothing is recorded");
                return (Answer::error(400, malformed), None);
            }
        };
        match self.record(&event).await {
            Ok(Receipt::Ignored { reason }) => {
                tracing::info!(delivery, job = %event.job, repository = %event.repository, why = reason, "event ignored");
                (Answer::ignored(reason), None)
            }
            Ok(Receipt::Accepted { pool, job, follow }) => {
                let body = json!({"outcome": "accepted", "pool": pool.as_str(), "job": job.0});
                (Answer::new(202, body), follow.map(|follow| Work { pool, job, follow }))
            }
            Err(error) => {
                tracing::error!(delivery, job = %event.job, %error, "event not recorded: GitHub is to send it again");
                (Answer::error(503, "the event could not be recorded; deliver it again"), None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(secrets: &[&str]) -> Gate {
        let known: Arc<[Secret]> = secrets.iter().copied().map(Secret::new).collect();
        let sources = vec![SecretSource::Env("MAYFLY_TEST_NOT_SET".to_owned())];
        Gate {
            sources,
            fetcher: Secrets::default(),
            known: RwLock::new(known),
            again: Mutex::default(),
            refusals: Quiet::default(),
        }
    }

    /// GitHub's own example, from its documentation "Validating webhook deliveries".
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[tokio::test]
    async fn githubs_own_example_is_admitted_by_any_of_the_secrets() {
        let old_and_new = gate(&["another", "It's a Secret to Everybody"]);
        assert!(old_and_new.admits(Some(SIGNATURE), b"Hello, World!").await);
        let upper = SIGNATURE.to_uppercase().replace("SHA256", "sha256");
        assert!(old_and_new.admits(Some(&upper), b"Hello, World!").await);
    }

    #[tokio::test]
    async fn nothing_else_is_admitted() {
        let gate = gate(&["It's a Secret to Everybody"]);
        assert!(!gate.admits(Some(SIGNATURE), b"Hello, World?").await);
        for wrong in
            [None, Some(""), Some("sha256="), Some(&SIGNATURE[7..]), Some(&SIGNATURE[..70]), Some("sha1=aa")]
        {
            assert!(!gate.admits(wrong, b"Hello, World!").await, "{wrong:?}");
        }
        assert!(!self::gate(&[]).admits(Some(SIGNATURE), b"Hello, World!").await);
    }

    #[tokio::test]
    async fn a_secret_that_was_replaced_is_read_again_but_not_for_each_wrong_signature() {
        let file = std::env::temp_dir().join(format!("mayfly-gate-{}", std::process::id()));
        let put = |text: &str| std::fs::write(&file, text).unwrap();
        let gate = Gate { sources: vec![SecretSource::File(file.clone())], ..gate(&["old"]) };
        put("It's a Secret to Everybody");
        assert!(gate.admits(Some(SIGNATURE), b"Hello, World!").await);
        put("newer");
        assert!(gate.admits(Some(SIGNATURE), b"Hello, World!").await, "nothing says that it is out of use");
        assert!(!gate.admits(Some(SIGNATURE), b"Hello, World?").await);
        assert!(gate.admits(Some(SIGNATURE), b"Hello, World!").await, "it was read again a moment ago");
        std::fs::remove_file(file).unwrap();
    }
}
