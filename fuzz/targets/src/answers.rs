//! What GitHub, Compute Engine and Proxmox answer: to an event, to a sweep, and to whoever asks for a story.
//!
//! An input's first line says what is asked; each other line changes answers.

use std::time::Duration;

use simulator::{Api, Body, Method, Request, Response};

use crate::choices::Choices;
use crate::json;
use crate::scene::{Act, Playing, Scene};

/// No input has more changes than that.
const RULES_MOST: usize = 24;
/// So many requests can be named by their number.
const PLACES: usize = 64;

/// What becomes of answers on their way.
#[derive(Debug, Default)]
pub struct Meddling {
    rules: Vec<Rule>,
    requests: usize,
}

#[derive(Debug)]
struct Rule {
    of: Of,
    fate: Fate,
}

/// Which answers.
#[derive(Debug)]
enum Of {
    /// That to the request of this number.
    Nth(usize),
    /// That, and those to the same question later on.
    Alike { nth: usize, path: Option<String> },
    /// All of a list that a sweep decides by.
    Source(Source),
}

/// A list that a sweep decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Runners,
    Cloud,
    Lab,
}

const SOURCES: [Source; 3] = [Source::Runners, Source::Cloud, Source::Lab];

/// What becomes of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It comes as it is.
    Well,
    /// There was no connection.
    NotSent,
    /// It is lost.
    Lost,
    /// It never comes.
    Hangs,
    /// It comes so much later.
    Late(Duration),
    /// It is changed.
    Changed(Vec<Change>),
}

/// A change of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Another status.
    Status(u16),
    /// Another phrase after it.
    Reason(String),
    /// One more header.
    Header(&'static str, String),
    /// One node of its JSON, by these choices.
    Node(Vec<u8>),
    /// Another body.
    Body(Vec<u8>),
    /// Only so many bytes of its body.
    Cut(usize),
}

const STATUSES: [u16; 28] = [
    100, 200, 201, 202, 204, 206, 301, 304, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 422, 429, 500,
    501, 502, 503, 504, 595, 599, 999,
];
const HEADERS: [&str; 12] = [
    "retry-after",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-used",
    "x-ratelimit-resource",
    "x-accepted-github-permissions",
    "x-oauth-scopes",
    "link",
    "location",
    "content-type",
    "date",
];

impl Change {
    /// Changes an answer.
    pub fn apply(&self, response: &mut Response) {
        match self {
            Self::Status(status) => response.status = *status,
            Self::Reason(text) => response.reason = Some(text.clone()),
            Self::Header(name, value) => {
                response.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
                response.headers.push(((*name).to_owned(), value.clone()));
            }
            Self::Node(choices) => {
                if let Body::Json(body) = &mut response.body {
                    json::change(body, &mut Choices::new(choices));
                }
            }
            Self::Body(bytes) => {
                response.body = match serde_json::from_slice(bytes) {
                    Ok(value) => Body::Json(value),
                    Err(_) => Body::Garbage(bytes.clone()),
                };
            }
            Self::Cut(length) => {
                let mut bytes = match &response.body {
                    Body::Json(value) => value.to_string().into_bytes(),
                    Body::Garbage(bytes) => bytes.clone(),
                    Body::Empty => Vec::new(),
                };
                bytes.truncate(*length);
                response.body = Body::Garbage(bytes);
            }
        }
    }
}

impl Source {
    fn is_asked_by(self, request: &Request) -> bool {
        let (api, end) = match self {
            Self::Runners => (Api::GitHub, "/actions/runners"),
            Self::Cloud => (Api::Gcp, "/aggregated/instances"),
            Self::Lab => (Api::Proxmox, "/cluster/resources"),
        };
        request.api == api && request.method == Method::Get && request.path.ends_with(end)
    }
}

impl Meddling {
    /// What becomes of the answer to this request, the next one.
    pub fn fate(&mut self, request: &Request) -> Fate {
        let now = self.requests;
        self.requests += 1;
        let mut fate = Fate::Well;
        for rule in &mut self.rules {
            if rule.of.is_meant(now, request) {
                fate = join(fate, &rule.fate);
            }
        }
        fate
    }

    fn read(choices: &mut Choices<'_>) -> Self {
        let mut rules = Vec::new();
        while !choices.is_over() && rules.len() < RULES_MOST {
            rules.push(rule(&mut Choices::new(choices.line())));
        }
        Self { rules, requests: 0 }
    }
}

impl Of {
    fn is_meant(&mut self, now: usize, request: &Request) -> bool {
        match self {
            Self::Nth(nth) => *nth == now,
            Self::Alike { nth, path } if *nth == now => {
                *path = Some(request.path.clone());
                true
            }
            Self::Alike { path, .. } => path.as_ref() == Some(&request.path),
            Self::Source(source) => source.is_asked_by(request),
        }
    }
}

/// Changes add up; whatever else happens to an answer, it happens once.
fn join(one: Fate, other: &Fate) -> Fate {
    match (one, other) {
        (Fate::Changed(mut changes), Fate::Changed(more)) => {
            changes.extend(more.iter().cloned());
            Fate::Changed(changes)
        }
        (Fate::Well | Fate::Changed(_), other) => other.clone(),
        (one, _) => one,
    }
}

fn rule(line: &mut Choices<'_>) -> Rule {
    let which = line.byte();
    let nth = usize::from(which & 0x7f) % PLACES;
    let of = if which & 0x80 == 0 { Of::Nth(nth) } else { Of::Alike { nth, path: None } };
    let fate = match line.byte() % 12 {
        0..=4 => change(Change::Node(line.line().to_vec())),
        5 => change(Change::Status(line.pick(&STATUSES))),
        6 => change(Change::Header(line.pick(&HEADERS), line.text())),
        7 => change(Change::Body(line.line().to_vec())),
        8 => change(Change::Cut(usize::from(line.short()))),
        9 => change(Change::Reason(line.text())),
        10 => Fate::Late(Duration::from_secs(u64::from(line.byte()))),
        _ => [Fate::NotSent, Fate::Lost, Fate::Hangs][line.below(3)].clone(),
    };
    Rule { of, fate }
}

fn change(change: Change) -> Fate {
    Fate::Changed(vec![change])
}

/// What is no list of what was asked for.
const NO_LISTS: [&str; 16] = [
    "{}",
    "{\"data\":{}}",
    "{\"message\":\"Server Error\"}",
    "{\"kind\":\"compute#operation\",\"status\":\"DONE\"}",
    "{\"kind\":\"compute#instanceAggregatedList\",\"items\":{\"zones/us-east1-c\":{\"instances\":[{}]}}}",
    "{\"data\":[],\"items\":[]}",
    "<html><title>502 Bad Gateway</title></html>",
    "",
    "null",
    "[]",
    "\"ok\"",
    "{\"total_count\":1,\"runners\":[{}],\"items\":[]}",
    "{\"data\":[{\"type\":\"qemu\"}],\"items\":[]}",
    "{\"data\":null,\"runners\":null,\"items\":\"\"}",
    "{\"total_count\":9,\"runners\":[{\"id\":1,\"name\":",
    "{\"message\":\"Server Error\",\"items\":7}",
];

/// A source that fails to answer, in whatever way.
fn failing(line: &mut Choices<'_>) -> Rule {
    let source = line.pick(&SOURCES);
    let fate = match line.byte() % 7 {
        0 => Fate::NotSent,
        1 => Fate::Lost,
        2 => Fate::Hangs,
        3 => change(Change::Status(line.pick(&[400, 401, 403, 404, 408, 410, 429, 500, 502, 503, 504, 595]))),
        // Shorter than any of the lists here.
        4 => change(Change::Cut(usize::from(line.byte()) % 64)),
        5 => Fate::Late(Duration::from_secs(3_600)),
        _ => change(Change::Body(line.pick(&NO_LISTS).as_bytes().to_vec())),
    };
    Rule { of: Of::Source(source), fate }
}

/// Plays an input.
///
/// - Nothing panics, every invocation ends before its deadline, and sends no more requests than an honest one could need.
/// - What is logged and told is bounded, and holds no secret.
/// - A sweep in good order deletes nothing because its sources fail (I9).
pub fn answers(data: &[u8]) {
    let mut input = Choices::new(data);
    let mut first = Choices::new(input.line());
    match first.byte() % 8 {
        0 => sources(&mut input),
        1 => play(&[Act::Queued(0)], &mut input),
        2 => play(&[Act::Queued(1)], &mut input),
        3 => play(&[Act::Completed(usize::from(first.byte()))], &mut input),
        4 => play(&[Act::Sweep, Act::Wait(120), Act::Sweep], &mut input),
        5 => play(&[Act::Job(usize::from(first.byte())), Act::Inspect], &mut input),
        6 => play(&[Act::Started(usize::from(first.byte())), Act::Queued(0)], &mut input),
        _ => play(&[Act::Wait(u16::from(first.byte()) * 8), Act::Sweep], &mut input),
    }
}

fn play(acts: &[Act], input: &mut Choices<'_>) {
    let meddling = Meddling::read(input);
    Scene::busy(|scene| {
        let playing = Playing::begin(scene);
        playing.stage.lock().meddling = meddling;
        playing.play(acts);
    });
}

/// I9, where nothing else is wrong.
fn sources(input: &mut Choices<'_>) {
    let mut rules = Vec::new();
    while !input.is_over() && rules.len() < SOURCES.len() {
        rules.push(failing(&mut Choices::new(input.line())));
    }
    Scene::settled(|scene| {
        let playing = Playing::begin(scene);
        let told = format!("{rules:?}");
        playing.stage.lock().meddling = Meddling { rules, requests: 0 };
        playing.play(&[Act::Sweep]);
        let inner = playing.stage.lock();
        assert!(inner.ends.is_empty(), "{told} makes a sweep end what is in good order: {:?}", inner.ends);
    });
}
