//! What an error of Proxmox VE means, without I/O.
//!
//! Proxmox has few codes: nearly all is 500, and what it means is in the text. The text is the HTTP reason phrase's
//! (its first line), since 8.x also the body's `message`; the body's `errors` names wrong parameters. What fails later
//! is told by the task's `exitstatus`, with the same texts behind words like `clone failed: `.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::provider::repeat::CallFailed;
use mayfly_core::brief::head;
use mayfly_core::ids::ProviderName;
use serde::Deserialize;

/// The longest text of Proxmox's that is handed on, in characters.
const TEXT_LENGTH_MAX: usize = 400;

/// The privilege to change a VM's tags.
const OPTIONS: &str = "VM.Config.Options";

/// A call or a task that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(super) struct Error {
    /// What it means.
    pub kind: Kind,
    /// Why, for people.
    pub why: String,
    /// The header `retry-after`.
    pub after: Option<Duration>,
}

/// What an error means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// The token is not taken, or there is none.
    Unauthorized,
    /// The token, or its user, may not do this.
    Forbidden {
        /// Where: `/vms/8000`. Proxmox does not always say.
        path: Option<String>,
        /// What is missing: `VM.Clone`, or some of which one is enough: `A|B`.
        privilege: Option<String>,
    },
    /// There is no such VM (on this node), or no such task.
    Missing,
    /// The VM id is in use.
    Taken,
    /// A task is at the VM, or died over it.
    Locked {
        /// `clone`, `backup`, …
        lock: String,
    },
    /// A start of what runs.
    AlreadyRunning,
    /// It would have to run for this.
    NotRunning,
    /// A delete of what runs.
    StillRunning,
    /// The guest agent does not answer (yet).
    AgentAbsent,
    /// The VM's configuration does not enable the guest agent.
    AgentUnconfigured,
    /// Others held a storage, or a VM's configuration, for longer than Proxmox waits, or the storage was too slow.
    StorageLocked,
    /// No space is left.
    StorageFull,
    /// The node has not the memory.
    NoMemory,
    /// The node cannot be reached from the one that was asked, is no part of the cluster, or has no quorum. Nothing
    /// was done.
    NodeDown,
    /// It will not, until somebody mends something: any other 4xx.
    Refused,
    /// What was to be sent is longer than Proxmox takes; it was not sent.
    TooLong,
    /// It was never sent: no connection, no secret just now, or no time.
    NotSent,
    /// The server's certificate is not trusted. Nothing was sent.
    Certificate,
    /// It was sent, and what became of it is not known.
    Lost {
        /// No answer came in time, so that the call may still be at work.
        timed_out: bool,
    },
    /// Too much at once.
    Busy,
    /// Anything else: the HTTP status, 0 for a task.
    Other(u16),
}

impl Error {
    /// Without more to it.
    pub fn new(kind: Kind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into(), after: None }
    }

    /// There was no time left to send it.
    pub fn no_time() -> Self {
        Self::new(Kind::NotSent, "no time left")
    }

    /// Whether the same call may well succeed a moment later. Only for calls that may be repeated freely.
    pub fn passes(&self) -> bool {
        match &self.kind {
            Kind::NotSent | Kind::Lost { .. } | Kind::Busy | Kind::StorageLocked => true,
            Kind::Other(status) => *status >= 500,
            Kind::Unauthorized
            | Kind::Forbidden { .. }
            | Kind::Missing
            | Kind::Taken
            | Kind::Locked { .. }
            | Kind::AlreadyRunning
            | Kind::NotRunning
            | Kind::StillRunning
            | Kind::AgentAbsent
            | Kind::AgentUnconfigured
            | Kind::StorageFull
            | Kind::NoMemory
            | Kind::NodeDown
            | Kind::Refused
            | Kind::TooLong
            | Kind::Certificate => false,
        }
    }

    /// How long Proxmox, or what stands before it, asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.after
    }

    /// With what a person can do about it, where that is known from the kind alone.
    pub fn advised(mut self, provider: &ProviderName) -> Self {
        let advice = match &self.kind {
            Kind::Unauthorized => Some(format!(
                "are `providers.{provider}.token_id` and `providers.{provider}.token_secret` those of a token that \
                 exists and has not expired?"
            )),
            Kind::Forbidden { path: Some(path), privilege: Some(privilege) } => {
                // Any of them opens a configuration, but each is for some options only: ours are tags.
                let opens = privilege.split('|').any(|each| each == OPTIONS);
                let privilege = if opens { OPTIONS.to_owned() } else { privilege.replace('|', " or ") };
                Some(format!(
                    "give the token's role the privilege {privilege} on {path} (a token has it only if its user has \
                     it too)"
                ))
            }
            Kind::AgentUnconfigured => {
                Some("enable the QEMU guest agent in the template's options (`agent`)".to_owned())
            }
            Kind::Locked { lock } => Some(format!(
                "a task is at it, or died and left the lock `{lock}`: see the VM's task history, and `qm unlock`"
            )),
            Kind::Forbidden { .. }
            | Kind::Missing
            | Kind::Taken
            | Kind::AlreadyRunning
            | Kind::NotRunning
            | Kind::StillRunning
            | Kind::AgentAbsent
            | Kind::StorageLocked
            | Kind::StorageFull
            | Kind::NoMemory
            | Kind::NodeDown
            | Kind::Refused
            | Kind::TooLong
            | Kind::NotSent
            | Kind::Certificate
            | Kind::Lost { .. }
            | Kind::Busy
            | Kind::Other(_) => None,
        };
        if let Some(advice) = advice {
            self.why = format!("{}; {advice}", self.why);
        }
        self
    }

    /// Without this secret, should Proxmox have repeated it, whole or its beginning. What is very short is none, and
    /// would cut innocent words.
    pub fn without(mut self, secret: &str) -> Self {
        /// So much of the beginning is enough to know it again where it was cut short.
        const HEAD_LENGTH: usize = 12;
        const HEAD_LEAST: usize = 6;
        let head = head(secret, HEAD_LENGTH);
        if head.len() >= HEAD_LEAST
            && let Some(at) = self.why.find(head)
        {
            self.why.truncate(at);
            self.why.push_str("[redacted]");
        }
        self
    }
}

/// The error of an answer that is no success.
pub(super) fn of_answer(status: u16, phrase: &str, body: &[u8]) -> Error {
    let (main, text) = said(status, phrase, body);
    let known = || by_text(&text);
    let kind = match status {
        401 => Kind::Unauthorized,
        403 => forbidden(&main),
        429 | 503 => Kind::Busy,
        // AnyEvent::HTTP's own codes, passed on by the node that was asked: no connection to the node that was meant …
        595 => Kind::NodeDown,
        // … a connection, but no answer over it: this includes the 30 seconds after which it gives up …
        596 => unanswered(&text),
        // … or half of one.
        502 | 597..=599 => Kind::Lost { timed_out: false },
        504 => Kind::Lost { timed_out: true },
        // 501 is what is said of a path, method or body that cannot be: "for data too large".
        300..=499 | 501 => known().unwrap_or(Kind::Refused),
        other => known().unwrap_or(Kind::Other(other)),
    };
    Error::new(kind, text)
}

/// The error of a task that ended with this `exitstatus`.
pub(super) fn of_task(exit_status: &str) -> Error {
    let text = shortened(&clean(exit_status));
    // The log has no last line that says how it ended: the worker died, or was killed.
    const UNKNOWN: [&str; 4] =
        ["unexpected status", "interrupted by signal", "unable to read tail", "unable to open file"];
    let unknown = text.is_empty() || UNKNOWN.iter().any(|known| text.contains(known));
    match by_text(&text) {
        Some(kind) => Error::new(kind, text),
        None if unknown => {
            Error::new(Kind::Lost { timed_out: false }, format!("the task ended without a result: {text}"))
        }
        None => Error::new(Kind::Other(0), text),
    }
}

/// What was said, alone and with what is wrong with each parameter.
fn said(status: u16, phrase: &str, body: &[u8]) -> (String, String) {
    #[derive(Deserialize, Default)]
    struct Body {
        #[serde(default)]
        message: Option<serde_json::Value>,
        #[serde(default)]
        errors: Option<BTreeMap<String, serde_json::Value>>,
    }
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let message = body.message.as_ref().and_then(serde_json::Value::as_str).map(clean).unwrap_or_default();
    let phrase = clean(phrase);
    // The message has all lines, the phrase only the first.
    let main = match (message.is_empty(), phrase.is_empty()) {
        (true, true) => format!("HTTP {status}"),
        (true, false) => phrase,
        (false, _) => message,
    };
    let wrong: Vec<String> = body
        .errors
        .unwrap_or_default()
        .iter()
        .filter_map(|(name, why)| Some(format!("{name}: {}", clean(why.as_str()?))))
        .filter(|wrong| !main.contains(wrong.as_str()))
        .collect();
    let text = if wrong.is_empty() { main.clone() } else { format!("{main} ({})", wrong.join("; ")) };
    (main, shortened(&text))
}

/// `Permission check failed (/vms/8000, VM.Clone)`; the brackets are missing where one of several would do. A pool that
/// does not exist is told in them too.
fn forbidden(text: &str) -> Kind {
    let inner = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map(|(inner, _)| inner);
    match inner.map(|inner| inner.split_once(", ")) {
        Some(Some((path, privilege))) if path.starts_with('/') => {
            Kind::Forbidden { path: Some(path.to_owned()), privilege: Some(privilege.to_owned()) }
        }
        Some(None) if text.contains("does not exist") => Kind::Refused,
        Some(_) | None => Kind::Forbidden { path: None, privilege: None },
    }
}

/// 596: a TLS handshake between nodes that failed sent nothing; all else may have.
fn unanswered(text: &str) -> Kind {
    const UNSENT: [&str; 4] = ["certificate", "tls", "ssl", "lookup"];
    let text = text.to_lowercase();
    if UNSENT.iter().any(|known| text.contains(known)) {
        return Kind::NodeDown;
    }
    Kind::Lost { timed_out: text.contains("timed out") || text.contains("timeout") }
}

/// What the text says, if it is one of those known, by all parts of one rule. The first rule that fits holds: some texts
/// carry another in them.
fn by_text(text: &str) -> Option<Kind> {
    const RULES: &[(&[&str], Kind)] = &[
        (&["guest agent configured"], Kind::AgentUnconfigured),
        (&["guest agent is not running"], Kind::AgentAbsent),
        (&["command 'guest-", "failed"], Kind::AgentAbsent),
        (&["qga socket"], Kind::AgentAbsent),
        (&["already running"], Kind::AlreadyRunning),
        (&["is running - destroy failed"], Kind::StillRunning),
        (&["not running"], Kind::NotRunning),
        (&["config file already exists"], Kind::Taken),
        (&["already exists on node"], Kind::Taken),
        // The cluster's file system has each VM id once: a clone that lost the race for one.
        (&[".conf' failed", "file exists"], Kind::Taken),
        (&["configuration file '", "does not exist"], Kind::Missing),
        (&["unable to find configuration file for vm"], Kind::Missing),
        (&["no such vm"], Kind::Missing),
        (&["no such task"], Kind::Missing),
        (&["no such cluster node"], Kind::NodeDown),
        (&["no such node"], Kind::NodeDown),
        (&["hostname lookup '", "failed"], Kind::NodeDown),
        (&["no route to host"], Kind::NodeDown),
        (&["no quorum"], Kind::NodeDown),
        (&["cluster filesystem not online"], Kind::NodeDown),
        (&["no space left on device"], Kind::StorageFull),
        (&["insufficient free space"], Kind::StorageFull),
        (&["not enough free space"], Kind::StorageFull),
        (&["out of space"], Kind::StorageFull),
        (&["disk quota exceeded"], Kind::StorageFull),
        (&["free space in thin pool", "threshold"], Kind::StorageFull),
        (&["cannot allocate memory"], Kind::NoMemory),
        (&["not enough memory"], Kind::NoMemory),
        (&["hugepage allocation failed"], Kind::NoMemory),
        (&["got lock request timeout"], Kind::StorageLocked),
        (&["can't lock file '", "got timeout"], Kind::StorageLocked),
        (&["cfs-lock '", "error"], Kind::StorageLocked),
        (&["-locked command timed out"], Kind::StorageLocked),
        (&["can't aquire lock"], Kind::StorageLocked),
        (&["can't acquire lock"], Kind::StorageLocked),
        (&["failed: got timeout"], Kind::StorageLocked),
    ];
    if let Some(lock) = lock(text) {
        return Some(Kind::Locked { lock });
    }
    if text.contains("Permission check failed") {
        return Some(forbidden(text));
    }
    let text = text.to_lowercase();
    RULES.iter().find(|(parts, _)| parts.iter().all(|part| text.contains(part))).map(|(_, kind)| kind.clone())
}

/// `VM is locked (clone)`
fn lock(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(" is locked (")?;
    let (lock, _) = rest.split_once(')')?;
    Some(lock.to_owned())
}

/// On one line.
fn clean(text: &str) -> String {
    let words: Vec<&str> = text.split(|sign: char| sign.is_whitespace() || sign.is_control()).collect();
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_LENGTH_MAX).collect()
}

impl CallFailed for Error {
    fn passes(&self) -> bool {
        self.passes()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
