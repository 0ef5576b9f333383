//! Secrets that are recognised wherever they turn up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// A shorter value would be found by chance.
const LENGTH_MIN: usize = 8;
/// A piece of a longer value (a line of a PEM file) that is worth looking for by itself.
const PIECE_MIN: usize = 32;

/// Secret values for one test, and the means to prove that none of them leaked.
#[derive(Debug, Clone, Default)]
pub struct Canaries {
    values: BTreeMap<String, String>,
}

/// A secret that turned up where it must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// The secret's name.
    pub secret: String,
    /// In which form: `plain`, `base64`, `url`, `hex`, …
    pub form: &'static str,
    /// The name of the text it is in.
    pub place: String,
    /// The line there, from 1.
    pub line: usize,
}

impl Canaries {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A secret of that name: the same in every run, unlike any other name's, with a `+`, `/` and `=` in it so that no
    /// encoding leaves it as it is.
    pub fn secret(&mut self, name: &str) -> String {
        let digest = hex(&Sha256::digest(name.as_bytes()));
        let value = format!("canary/{name}+{}=", &digest[..32]);
        self.add(name, &value);
        value
    }

    /// Looks out for a value that was made elsewhere: a key file, a token or JIT config that a simulator gave out.
    ///
    /// # Panics
    /// If the value is shorter than 8 bytes: it would be found by chance.
    pub fn add(&mut self, name: &str, value: &str) {
        assert!(value.len() >= LENGTH_MIN, "the secret {name} is too short to be looked for");
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// Where secrets show up in `texts` (name of the place, its text), plain or encoded: the first time in each form.
    pub fn leaks(&self, texts: &[(&str, &str)]) -> Vec<Leak> {
        let all = self.values.iter();
        let needles: Vec<Needle<'_>> = all
            .flat_map(|(secret, value)| {
                forms(value).into_iter().map(move |(form, text)| Needle { secret, form, text })
            })
            .collect();
        let index = Index::of(&needles);
        let mut found = BTreeMap::new();
        for (place, (_, text)) in texts.iter().enumerate() {
            index.search(text.as_bytes(), |needle, at| _ = found.entry((needle, place)).or_insert(at));
        }
        let leak = |((needle, place), at): ((usize, usize), usize)| {
            let (Needle { secret, form, .. }, (place, text)) = (&needles[needle], texts[place]);
            let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            Leak { secret: (*secret).to_owned(), form, place: place.to_owned(), line }
        };
        found.into_iter().map(leak).collect()
    }

    /// Asserts that no secret shows up in `texts` (name of the place, its text).
    ///
    /// # Panics
    /// If one does; the message names secret, form, place and line, not the value.
    #[track_caller]
    pub fn assert_absent(&self, texts: &[(&str, &str)]) {
        let mut message = String::new();
        for Leak { secret, form, place, line } in self.leaks(texts) {
            let _ = write!(message, "\n  {secret} ({form}) in {place}, line {line}");
        }
        assert!(message.is_empty(), "secrets leaked:{message}");
    }
}

/// One form of one secret.
struct Needle<'a> {
    secret: &'a str,
    form: &'static str,
    text: String,
}

/// Needles by what they begin with, so that a text is read once however many there are.
struct Index<'a> {
    needles: &'a [Needle<'a>],
    /// Whether any begins with these two bytes: most places of a text are passed over by this alone.
    begin: Vec<bool>,
    by_start: BTreeMap<&'a [u8], Vec<usize>>,
}

impl<'a> Index<'a> {
    fn of(needles: &'a [Needle<'a>]) -> Self {
        let mut index = Self { needles, begin: vec![false; 1 << 16], by_start: BTreeMap::new() };
        for (at, needle) in needles.iter().enumerate() {
            let start = &needle.text.as_bytes()[..LENGTH_MIN];
            index.begin[two(start)] = true;
            index.by_start.entry(start).or_default().push(at);
        }
        index
    }

    /// Calls `found` with each needle's number and place in the text.
    fn search(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        for (at, start) in text.windows(LENGTH_MIN).enumerate() {
            if !self.begin[two(start)] {
                continue;
            }
            for number in self.by_start.get(start).into_iter().flatten() {
                if text[at..].starts_with(self.needles[*number].text.as_bytes()) {
                    found(*number, at);
                }
            }
        }
    }
}

fn two(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// Every form in which a value is looked for.
fn forms(value: &str) -> BTreeSet<(&'static str, String)> {
    let mut forms = BTreeSet::from([
        ("plain", value.to_owned()),
        ("escaped", value.escape_debug().to_string()),
        ("hex", hex(value.as_bytes())),
        ("hex", hex(value.as_bytes()).to_uppercase()),
        ("url", percent_encoded(value)),
        ("url", lower_case_escapes(&percent_encoded(value))),
    ]);
    forms.extend(base64_forms(value.as_bytes()).into_iter().map(|form| ("base64", form)));
    let is_secret = |line: &&str| line.len() >= PIECE_MIN && !line.starts_with("-----");
    forms.extend(value.lines().filter(is_secret).map(|line| ("plain, in part", line.to_owned())));
    // A value without anything to encode is the same in several forms.
    let mut distinct = BTreeSet::new();
    forms
        .into_iter()
        .filter(|(form, text)| *form == "plain" || text != value && distinct.insert(text.clone()))
        .collect()
}

/// What a value looks like within longer base64: by the place it begins at there are three ways. The characters that
/// its neighbours have a share in are left out.
fn base64_forms(value: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value);
        let whole = bytes.len() * 8 / 6;
        forms.push(STANDARD_NO_PAD.encode(&bytes)[skipped..whole].to_owned());
        forms.push(URL_SAFE_NO_PAD.encode(&bytes)[skipped..whole].to_owned());
    }
    forms
}

fn percent_encoded(value: &str) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn lower_case_escapes(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let mut lowered = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (escape, rest) = piece.split_at(2);
        let _ = write!(lowered, "%{}{rest}", escape.to_lowercase());
    }
    lowered
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    fn found(text: &str) -> Vec<&'static str> {
        let mut canaries = Canaries::new();
        canaries.secret("webhook-secret");
        canaries.leaks(&[("log", text)]).iter().map(|leak| leak.form).collect()
    }

    #[test]
    fn a_secret_is_found_in_every_form_and_at_every_place() {
        let secret = Canaries::new().secret("webhook-secret");
        assert_eq!(found(&format!("a\nkey={secret}!")), ["plain"]);
        for before in ["", "a", "ab", "abc"] {
            assert_eq!(
                found(&STANDARD.encode(format!("{before}{secret}tail"))),
                ["base64"],
                "after {before:?}"
            );
        }
        assert_eq!(found(&hex(secret.as_bytes())), ["hex"]);
        assert_eq!(found(&hex(secret.as_bytes()).to_uppercase()), ["hex"]);
        assert_eq!(found(&percent_encoded(&secret)), ["url"]);
        assert_eq!(
            found(
                &percent_encoded(&secret).replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d")
            ),
            ["url"]
        );
        assert_eq!(found("nothing to see"), [""; 0]);
    }

    #[test]
    fn a_key_file_is_found_escaped_and_in_part() {
        let mut canaries = Canaries::new();
        let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ";
        let key = format!("-----BEGIN PRIVATE KEY-----\n{line}\nshort\n-----END PRIVATE KEY-----\n");
        canaries.add("app key", &key);
        let leaks =
            canaries.leaks(&[("a", "fine\n-----BEGIN PRIVATE KEY-----"), ("b", &format!("x\ny {line} z"))]);
        let leak =
            Leak { secret: "app key".to_owned(), form: "plain, in part", place: "b".to_owned(), line: 2 };
        assert_eq!(leaks, [leak]);
        let escaped = format!("{key:?}");
        assert!(canaries.leaks(&[("debug", &escaped)]).iter().any(|leak| leak.form == "escaped"));
    }

    #[test]
    #[should_panic(expected = "token (plain) in log, line 2")]
    fn a_leak_is_named() {
        let mut canaries = Canaries::new();
        let token = canaries.secret("token");
        canaries.assert_absent(&[("other", "clean"), ("log", &format!("one\ntwo {token}"))]);
    }
}
