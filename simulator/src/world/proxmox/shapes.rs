//! What a call's parameters must look like: they come in the query, or in a form (or JSON object) as the body.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::world::request::{Request, Response, parse_pairs};

/// What a parameter's text must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything.
    Text,
    /// Text of at most so many characters.
    AtMost(usize),
    /// 1 or 0.
    Bool,
    /// An integer from 0 on.
    Count,
    /// An integer.
    Int,
    /// A number.
    Number,
    /// The id of a VM: 100 to 999999999.
    VmId,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A node's name.
    Node,
    /// A name as in DNS.
    DnsName,
    /// The id of a storage, a pool, a snapshot.
    Id,
    /// Tags between commas, semicolons or spaces.
    Tags,
}

impl Kind {
    /// What is wrong with a text, as Proxmox VE says it.
    fn misfit(self, text: &str) -> Option<String> {
        let mistyped = |name: &str| format!("type check ('{name}') failed - got '{text}'");
        let ill_formed = || Some("invalid format - value does not look like a valid one".to_owned());
        match self {
            Self::Text => None,
            Self::AtMost(most) => {
                (text.chars().count() > most).then(|| format!("value may only be {most} characters long"))
            }
            Self::Bool => (text != "0" && text != "1").then(|| mistyped("boolean")),
            Self::Count | Self::Int => match text.parse::<i64>() {
                Err(_) => Some(mistyped("integer")),
                Ok(number) if number < 0 && self == Self::Count => {
                    Some("value must have a minimum value of 0".to_owned())
                }
                Ok(_) => None,
            },
            Self::Number => text.parse::<f64>().is_err().then(|| mistyped("number")),
            Self::VmId => match text.parse::<i64>() {
                Err(_) => Some(mistyped("integer")),
                Ok(number) if number < 100 => Some("value must have a minimum value of 100".to_owned()),
                Ok(number) if number > 999_999_999 => {
                    Some("value must have a maximum value of 999999999".to_owned())
                }
                Ok(_) => None,
            },
            Self::OneOf(choices) => (!choices.contains(&text)).then(|| {
                format!("value '{text}' does not have a value in the enumeration '{}'", choices.join(", "))
            }),
            Self::Node => {
                if is_dns_label(text) {
                    None
                } else {
                    ill_formed()
                }
            }
            Self::DnsName => {
                if text.split('.').all(is_dns_label) {
                    None
                } else {
                    ill_formed()
                }
            }
            Self::Id => {
                let fits = |each: char| each.is_ascii_alphanumeric() || "._-".contains(each);
                if !text.is_empty() && text.chars().all(fits) { None } else { ill_formed() }
            }
            Self::Tags => {
                if tags_in(text).all(is_tag) {
                    None
                } else {
                    ill_formed()
                }
            }
        }
    }
}

/// `[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?`
fn is_dns_label(text: &str) -> bool {
    let inside = text.bytes().all(|each| each.is_ascii_alphanumeric() || each == b'-');
    (1..=63).contains(&text.len()) && inside && !text.starts_with('-') && !text.ends_with('-')
}

/// The tags in a list.
pub(crate) fn tags_in(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', ' ']).filter(|tag| !tag.is_empty())
}

/// `[a-z0-9_][a-z0-9_+.-]*`, in any case
fn is_tag(text: &str) -> bool {
    let fits = |each: char| each.is_ascii_alphanumeric() || "_+.-".contains(each);
    text.chars().all(fits) && !text.starts_with(['+', '.', '-'])
}

/// The parameters that a call has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    required: &'static [&'static str],
    known: &'static [(&'static str, Kind)],
}

impl Fields {
    pub const fn of(required: &'static [&'static str], known: &'static [(&'static str, Kind)]) -> Self {
        Self { required, known }
    }

    /// `net[n]` in the list stands for `net0`, `net1`, …
    fn kind_of(&self, name: &str) -> Option<Kind> {
        let stem = name.trim_end_matches(|each: char| each.is_ascii_digit());
        let numbered = |known: &str| stem != name && known.strip_suffix("[n]") == Some(stem);
        self.known.iter().find(|(known, _)| *known == name || numbered(known)).map(|(_, kind)| *kind)
    }

    /// Hold a request's parameters against the list.
    pub fn check(&self, request: &Request) -> Result<(), Wrong> {
        let mut wrong = Wrong::default();
        let Some(pairs) = pairs_of(request) else {
            return Err(Wrong::one("body", "neither a form nor a JSON object"));
        };
        for (at, (name, text)) in pairs.iter().enumerate() {
            let misfit = match self.kind_of(name) {
                None => Some(UNKNOWN.to_owned()),
                Some(_) if pairs[..at].iter().any(|(earlier, _)| earlier == name) => {
                    Some("given more than once".to_owned())
                }
                Some(kind) => kind.misfit(text),
            };
            if let Some(misfit) = misfit {
                wrong.0.insert(name.clone(), misfit);
            }
        }
        for name in self.required {
            if !pairs.iter().any(|(given, _)| given == name) {
                wrong.0.insert((*name).to_owned(), "property is missing and it is not optional".to_owned());
            }
        }
        if wrong.0.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

const UNKNOWN: &str = "property is not defined in schema and the schema does not allow additional properties";

/// What is wrong with which parameter.
#[derive(Debug, Default)]
pub(crate) struct Wrong(BTreeMap<String, String>);

impl Wrong {
    pub fn one(name: &str, why: &str) -> Self {
        Self(BTreeMap::from([(name.to_owned(), why.to_owned())]))
    }

    /// 400, with what is wrong in `errors`.
    pub fn refusal(&self) -> Response {
        const MESSAGE: &str = "Parameter verification failed.";
        let body = json!({ "data": null, "errors": self.0, "message": format!("{MESSAGE}\n") });
        Response::json(400, body).reason(MESSAGE)
    }

    pub fn text(&self) -> String {
        let each = self.0.iter().map(|(name, why)| format!("{name}: {why}"));
        each.collect::<Vec<_>>().join("; ")
    }
}

/// A call's parameters.
#[derive(Debug, Default)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|text| text == "1")
    }

    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.text(name)?.parse().ok()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The parameters of a request, whatever they are.
pub(crate) fn form_of(request: &Request) -> Form {
    Form(pairs_of(request).unwrap_or_default().into_iter().collect())
}

/// None for a body that is neither a form nor a JSON object.
fn pairs_of(request: &Request) -> Option<Vec<(String, String)>> {
    let mut pairs = request.query.clone();
    if request.body.is_empty() {
        return Some(pairs);
    }
    let kind = request.header("content-type").unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        pairs.extend(parse_pairs(std::str::from_utf8(&request.body).ok()?));
        return Some(pairs);
    }
    let Value::Object(fields) = serde_json::from_slice(&request.body).ok()? else { return None };
    pairs.extend(fields.into_iter().map(|(name, value)| {
        let text = match value {
            Value::String(text) => text,
            Value::Bool(flag) => u8::from(flag).to_string(),
            other @ (Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        };
        (name, text)
    }));
    Some(pairs)
}
