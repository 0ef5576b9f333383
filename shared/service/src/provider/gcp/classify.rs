//! What an error of Compute Engine means, without I/O.
//!
//! Google tells errors in three shapes: an HTTP status with `error.errors[].reason` (`quotaExceeded`), the same with
//! `error.details[].reason` (`RATE_LIMIT_EXCEEDED`), and an operation with `error.errors[].code`
//! (`QUOTA_EXCEEDED`). All are read into one form here.

use std::error::Error as _;
use std::time::Duration;

use crate::provider::repeat::CallFailed;
use google_cloud_compute_v1::model::Operation;
use google_cloud_gax::error::rpc::StatusDetails;
use google_cloud_gax::error::{CredentialsError, Error};
use mayfly_core::brief::head;
use serde::Deserialize;

/// The longest text of Google's that is handed on, in characters.
const MESSAGE_LENGTH_MAX: usize = 400;
/// How the reason begins where no access token could be had, so that nothing was sent.
pub(super) const NO_TOKEN: &str = "no access token";

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallError {
    /// How far it got.
    pub kind: Kind,
    /// Why, in words.
    pub why: String,
}

/// How far a failed call got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// It cannot be sent until somebody mends something, credentials above all.
    Unsendable,
    /// It was never sent: no connection, or no access token just now.
    NotSent,
    /// It was answered with a refusal.
    Answered(Answer),
    /// It was sent, and what became of it is not known.
    Lost {
        /// No answer came in time, so that the call may still be at work.
        timed_out: bool,
    },
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Google's reasons, in lower case and without underscores: `quotaexceeded`.
    pub reasons: Vec<String>,
    /// The header `retry-after`, in seconds.
    pub retry_after: Option<Duration>,
}

/// What a failed insert, or the failed operation of an accepted one, means for the VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No quota or no machine.
    Full {
        /// Why.
        why: String,
        /// The limit is the project's, so that no other zone will do either.
        everywhere: bool,
        /// It is a quota, and not the machines.
        quota: bool,
    },
    /// The zone does not have what the template asks for, or does not exist.
    NotHere(String),
    /// An instance of that name is there.
    Exists,
    /// Not until somebody mends something.
    Refused(String),
    /// Not made, for a reason that passes.
    Later {
        /// Why.
        why: String,
        /// Not before.
        retry_after: Option<Duration>,
    },
    /// Nobody knows.
    Uncertain {
        /// Why.
        why: String,
        /// No answer came in time, so that the call may still be at work.
        timed_out: bool,
    },
}

impl CallError {
    /// An error of the client library.
    pub fn read(error: &Error) -> Self {
        if error.is_authentication() {
            let transient = error
                .source()
                .and_then(|source| source.downcast_ref::<CredentialsError>())
                .is_some_and(CredentialsError::is_transient);
            let kind = if transient { Kind::NotSent } else { Kind::Unsendable };
            return Self { kind, why: format!("{NO_TOKEN}: {}", chain(error)) };
        }
        if error.is_connect() {
            return Self { kind: Kind::NotSent, why: chain(error) };
        }
        if error.is_binding() || error.is_serialization() {
            return Self { kind: Kind::Unsendable, why: chain(error) };
        }
        match error.http_status_code() {
            Some(status) => Self::answered(status, error),
            None => Self { kind: Kind::Lost { timed_out: error.is_timeout() }, why: chain(error) },
        }
    }

    fn answered(status: u16, error: &Error) -> Self {
        let retry_after = error
            .http_headers()
            .and_then(|headers| headers.get("retry-after")?.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let (reasons, message) = match (error.status(), error.http_payload()) {
            (Some(said), _) => (said.details.iter().filter_map(reason).collect(), said.message.clone()),
            (None, Some(payload)) => read_payload(payload),
            (None, None) => (Vec::new(), String::new()),
        };
        let why = match message.trim() {
            "" => format!("HTTP {status}"),
            message => format!("HTTP {status}: {}", shortened(message)),
        };
        Self { kind: Kind::Answered(Answer { status, reasons, retry_after }), why }
    }

    /// No answer within the time given.
    pub fn timed_out(limit: Duration) -> Self {
        Self {
            kind: Kind::Lost { timed_out: true },
            why: format!("no answer within {:.1} s", limit.as_secs_f64()),
        }
    }

    /// There was no time left to send it.
    pub fn no_time() -> Self {
        Self { kind: Kind::NotSent, why: "no time left".to_owned() }
    }

    /// The HTTP status, if it was answered.
    pub fn status(&self) -> Option<u16> {
        match &self.kind {
            Kind::Answered(answer) => Some(answer.status),
            Kind::Unsendable | Kind::NotSent | Kind::Lost { .. } => None,
        }
    }

    /// Whether it names this reason (in lower case and without underscores).
    pub fn has_reason(&self, reason: &str) -> bool {
        match &self.kind {
            Kind::Answered(answer) => answer.reasons.iter().any(|each| each == reason),
            Kind::Unsendable | Kind::NotSent | Kind::Lost { .. } => false,
        }
    }

    /// Whether the same call may well succeed a moment later. Only for calls that may be repeated freely.
    pub fn passes(&self) -> bool {
        match &self.kind {
            Kind::Unsendable => false,
            Kind::NotSent | Kind::Lost { .. } => true,
            Kind::Answered(answer) => answer.passes(),
        }
    }

    /// How long Google asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Answered(answer) => answer.retry_after,
            Kind::Unsendable | Kind::NotSent | Kind::Lost { .. } => None,
        }
    }
}

impl Answer {
    fn is_rate_limit(&self) -> bool {
        const RATE: [&str; 5] = [
            "ratelimitexceeded",
            "userratelimitexceeded",
            "operationrateexceeded",
            "resourceoperationrateexceeded",
            "toomanyrequests",
        ];
        self.status == 429 || self.reasons.iter().any(|reason| RATE.contains(&reason.as_str()))
    }

    fn passes(&self) -> bool {
        self.status >= 500
            || self.status == 408
            || self.is_rate_limit()
            || self.reasons.iter().any(|reason| reason == "resourcenotready")
    }

    fn is_quota(&self, message: &str) -> bool {
        let named = |reason: &String| reason == "quotaexceeded" || reason == "limitexceeded";
        self.reasons.iter().any(named) || message.contains("Quota '")
    }

    fn is_full(&self, message: &str) -> bool {
        const FULL: [&str; 9] = [
            "quotaexceeded",
            "limitexceeded",
            "stockout",
            "resourcepoolexhausted",
            "zoneresourcepoolexhausted",
            "zoneresourcepoolexhaustedwithdetails",
            "insufficientcapacity",
            "ipspaceexhausted",
            "ipspaceexhaustedwithdetails",
        ];
        self.reasons.iter().any(|reason| FULL.contains(&reason.as_str()))
            || message.contains("does not have enough resources available")
            || (message.contains("Quota '") && message.contains("exceeded"))
    }
}

/// What a failed `instances.insert` in `zone` means.
pub(super) fn of_insert(error: &CallError, zone: &str) -> Verdict {
    match &error.kind {
        Kind::Unsendable => Verdict::Refused(error.why.clone()),
        Kind::NotSent => Verdict::Later { why: error.why.clone(), retry_after: None },
        Kind::Lost { timed_out } => Verdict::Uncertain { why: error.why.clone(), timed_out: *timed_out },
        Kind::Answered(answer) => {
            let verdict = judge(answer, &error.why, zone);
            match verdict {
                // 5xx and 408: the request may have been taken before something behind it broke.
                Verdict::Later { why, .. }
                    if !answer.is_rate_limit() && (answer.status >= 500 || answer.status == 408) =>
                {
                    Verdict::Uncertain { why, timed_out: false }
                }
                Verdict::Later { .. }
                | Verdict::Full { .. }
                | Verdict::NotHere(_)
                | Verdict::Exists
                | Verdict::Refused(_)
                | Verdict::Uncertain { .. } => verdict,
            }
        }
    }
}

/// What the end of an insert's operation means: `None` when it made the VM. `operation.error` and
/// `operation.httpErrorStatusCode` say otherwise.
pub(super) fn of_operation(operation: &Operation, zone: &str) -> Option<Verdict> {
    let status = operation.http_error_status_code.unwrap_or_default();
    let errors = operation.error.as_ref().map(|error| error.errors.as_slice()).unwrap_or_default();
    if errors.is_empty() && status < 400 {
        return None;
    }
    let reasons = errors.iter().filter_map(|error| error.code.as_deref()).map(normal).collect();
    let messages: Vec<String> = errors
        .iter()
        .map(|error| {
            let code = error.code.as_deref().unwrap_or("error");
            format!("{code}: {}", error.message.as_deref().unwrap_or("no message"))
        })
        .collect();
    let why = match messages.is_empty() {
        true => operation.http_error_message.clone().unwrap_or_else(|| format!("HTTP {status}")),
        false => messages.join("; "),
    };
    let answer = Answer { status: u16::try_from(status).unwrap_or(0), reasons, retry_after: None };
    Some(judge(&answer, shortened(&why), zone))
}

fn judge(answer: &Answer, why: &str, zone: &str) -> Verdict {
    let why_owned = || why.to_owned();
    if answer.is_rate_limit() {
        return Verdict::Later { why: why_owned(), retry_after: answer.retry_after };
    }
    if answer.is_full(why) {
        // "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally."
        let everywhere = why.contains(" globally");
        return Verdict::Full { why: why_owned(), everywhere, quota: answer.is_quota(why) };
    }
    let exists = |reason: &String| reason == "alreadyexists" || reason == "resourcealreadyexists";
    if answer.status == 409 || answer.reasons.iter().any(exists) {
        return Verdict::Exists;
    }
    if is_missing_in(why, zone) {
        return Verdict::NotHere(why_owned());
    }
    // An operation that failed without a status of its own: nothing says that it would fail for ever.
    if answer.passes() || answer.status < 400 {
        return Verdict::Later { why: why_owned(), retry_after: answer.retry_after };
    }
    Verdict::Refused(why_owned())
}

/// Google has no code of its own for "this zone has no such machine"; it says 400 or 404 and names the zone.
fn is_missing_in(message: &str, zone: &str) -> bool {
    const MISSING: [&str; 6] = [
        "was not found",
        "does not exist",
        "not available in",
        "not supported in",
        "Unknown zone",
        "is currently unavailable",
    ];
    message.contains(zone)
        && !message.contains("/instances/")
        && MISSING.iter().any(|missing| message.contains(missing))
}

fn reason(detail: &StatusDetails) -> Option<String> {
    // A foreign enum that may grow.
    if let StatusDetails::ErrorInfo(info) = detail {
        return Some(normal(&info.reason));
    }
    if let StatusDetails::QuotaFailure(_) = detail {
        return Some("quotaexceeded".to_owned());
    }
    None
}

fn normal(reason: &str) -> String {
    reason.chars().filter(|sign| *sign != '_').map(|sign| sign.to_ascii_lowercase()).collect()
}

/// The body of an error that the client library could not read: `error.errors[].reason` and `error.message`, or text.
fn read_payload(payload: &[u8]) -> (Vec<String>, String) {
    #[derive(Deserialize)]
    struct Body {
        error: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(default)]
        message: String,
        #[serde(default)]
        errors: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        #[serde(default)]
        reason: String,
    }
    match serde_json::from_slice::<Body>(payload) {
        Ok(Body { error }) => (error.errors.iter().map(|item| normal(&item.reason)).collect(), error.message),
        Err(_) => {
            let text = String::from_utf8_lossy(payload);
            (Vec::new(), text.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    }
}

/// The error and what caused it, since the library's own texts often only say "cannot connect".
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    // Bounded: a chain is short, and a ring of causes would be a bug in the library.
    for _ in 0..6 {
        let Some(source) = next else { break };
        let source_text = source.to_string();
        if !text.contains(&source_text) {
            text = format!("{text}: {source_text}");
        }
        next = source.source();
    }
    shortened(&text).to_owned()
}

fn shortened(text: &str) -> &str {
    head(text, MESSAGE_LENGTH_MAX)
}

/// The text without the secret: Google quotes a field's value when it is invalid, whole or cut short.
pub(super) fn without(text: &str, secret: &str) -> String {
    /// So much of the beginning of a secret is enough to know it again where it was cut short.
    const HEAD_LENGTH: usize = 12;
    let head = head(secret, HEAD_LENGTH);
    match text.split_once(head) {
        Some((before, _)) if !head.is_empty() => format!("{before}[redacted]"),
        Some(_) | None => text.to_owned(),
    }
}

impl CallFailed for CallError {
    fn passes(&self) -> bool {
        self.passes()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
