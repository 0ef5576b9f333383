//! What GitHub says in an answer that is no success: its message, and for how long it asks to be left alone. Pure.

use std::time::Duration;

use mayfly_core::brief::brief;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::allowance::number;

/// GitHub's longest window is an hour. One who asks for more is asked again after that: a word of a broken GitHub's must not
/// keep a pool closed for a year.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(3600);
/// What GitHub's documentation asks for when a secondary limit comes without `retry-after`.
const SECONDARY_LIMIT_PAUSE: Duration = Duration::from_secs(60);
/// What is repeated of GitHub's `message`, in characters.
const MESSAGE_LONGEST: usize = 300;

/// For how long GitHub asks to be left alone, if that is what it says.
pub(super) fn limit(status: StatusCode, headers: &HeaderMap, message: &str) -> Option<Duration> {
    asked_for(status, headers, message).map(|wait| wait.min(RETRY_AFTER_MOST))
}

fn asked_for(status: StatusCode, headers: &HeaderMap, message: &str) -> Option<Duration> {
    let number = |name: &str| number(headers, name);
    if let Some(seconds) = number(RETRY_AFTER.as_str()) {
        return Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    }
    if number("x-ratelimit-remaining") == Some(0) {
        let reset = number("x-ratelimit-reset").unwrap_or(0);
        let seconds = reset.saturating_sub(crate::clock::wall().as_second());
        return Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    }
    let secondary = status == StatusCode::TOO_MANY_REQUESTS || message.to_lowercase().contains("rate limit");
    secondary.then_some(SECONDARY_LIMIT_PAUSE)
}

/// GitHub's `message`, on one line.
pub(super) fn message(body: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let text = parsed.as_ref().and_then(|value| value.get("message")).and_then(Value::as_str);
    text.map_or_else(|| "no message".to_owned(), |text| brief(text, MESSAGE_LONGEST))
}
