//! Requests as text, for the webhook's door.
//!
//! ```text
//! POST /webhook
//! x-github-event: workflow_job
//! x-hub-signature-256: right
//!
//! {"action":"queued", …
//! %%
//! GET /healthz
//! ```
//!
//! A signature `right` stands for the one that the body has, an authorization `right` for the page's token. In the body, `"@deep"`, `"@many"` and `"@long"` stand for so deep a
//! nesting, so many labels, and so long a text, as the header `fuzz-size` says; `fuzz-pad` adds so many spaces.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::scene::PAGE_TOKEN;

/// Nothing is made larger than this, a little more than the largest body that is taken.
const LARGEST: usize = (1 << 20) + 16;

/// A step of an input.
#[derive(Debug)]
pub enum Step {
    /// A request.
    Request(Box<Text>),
    /// A sweep.
    Sweep,
    /// So many seconds go by.
    Wait(u16),
}

/// A request.
#[derive(Debug)]
pub struct Text {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// `X-Hub-Signature-256`
    pub signature: Option<String>,
    /// `X-GitHub-Event`
    pub event: Option<String>,
    /// `X-GitHub-Delivery`
    pub delivery: Option<String>,
    /// `Authorization`
    pub authorization: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// The steps of an input, the first few.
pub fn steps(data: &[u8], secret: &str, most: usize) -> Vec<Step> {
    parts(data).take(most).map(|part| step(part, secret)).collect()
}

fn parts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    const BETWEEN: &[u8] = b"\n%%\n";
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let left = rest?;
        let at = left.windows(BETWEEN.len()).position(|window| window == BETWEEN);
        rest = at.map(|at| &left[at + BETWEEN.len()..]);
        Some(at.map_or(left, |at| &left[..at]))
    })
}

fn step(part: &[u8], secret: &str) -> Step {
    let (head, body) = match part.windows(2).position(|window| window == b"\n\n") {
        Some(at) => (&part[..at], &part[at + 2..]),
        None => (part, [].as_slice()),
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split('\n');
    let (method, path) = lines.next().unwrap_or_default().split_once(' ').unwrap_or(("POST", "/webhook"));
    match method {
        "SWEEP" => return Step::Sweep,
        "WAIT" => return Step::Wait(path.parse().unwrap_or(60)),
        _ => {}
    }
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let number = |name: &str| header(name).and_then(|text| text.parse().ok()).unwrap_or(0).min(LARGEST);
    let mut body = filled(body, number("fuzz-size"));
    body.resize(body.len() + number("fuzz-pad").min(LARGEST.saturating_sub(body.len())), b' ');
    let signature = match header("x-hub-signature-256") {
        Some("right") => Some(sign(secret, &body)),
        other => other.map(str::to_owned),
    };
    Step::Request(Box::new(Text {
        method: method.to_owned(),
        path: path.to_owned(),
        signature,
        event: header("x-github-event").map(str::to_owned),
        delivery: header("x-github-delivery").map(str::to_owned),
        authorization: match header("authorization") {
            Some("right") => Some(format!("Bearer {PAGE_TOKEN}")),
            other => other.map(str::to_owned),
        },
        body,
    }))
}

/// The body with what stands for something large in it.
fn filled(body: &[u8], size: usize) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(body) else { return body.to_vec() };
    if size == 0 || !text.contains("\"@") {
        return body.to_vec();
    }
    let many = || (0..size / 10).map(|number| format!("\"l{number}\"")).collect::<Vec<_>>().join(",");
    let mut text = text.to_owned();
    if text.contains("\"@deep\"") {
        let half = size / 2;
        text = text.replacen("\"@deep\"", &format!("{}{}", "[".repeat(half), "]".repeat(half)), 1);
    }
    if text.contains("\"@many\"") {
        text = text.replacen("\"@many\"", &many(), 1);
    }
    if text.contains("\"@long\"") {
        text = text.replacen("\"@long\"", &format!("\"{}\"", "y".repeat(size)), 1);
    }
    text.into_bytes()
}

/// The signature that a body has.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}
