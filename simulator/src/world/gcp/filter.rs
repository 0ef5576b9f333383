//! Google's list filters (AIP-160, as far as Compute Engine's lists are asked here).
//!
//! `labels.key=value`, `labels.key:value`, `labels.key:*`, `name=value`, `status!=value`; values may be
//! quoted; joined by `AND`, `OR` and parentheses, where terms side by side mean `AND`.

use serde_json::Value;

use super::invalid;
use crate::world::request::{Request, Response};

/// A filter, understood.
#[derive(Debug, PartialEq)]
pub(crate) enum Filter {
    Everything,
    Term { field: String, operator: Operator, value: String },
    All(Vec<Filter>),
    Any(Vec<Filter>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Has,
}

impl Filter {
    /// The request's `filter`; 400 for one that is not understood.
    pub fn of(request: &Request) -> Result<Self, Response> {
        let Some(text) = request.parameter("filter").filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::Everything);
        };
        let tokens = tokenize(text);
        let mut parser = Parser { tokens: &tokens, depth: 0 };
        let filter = parser.any();
        match filter {
            Some(filter) if parser.tokens.is_empty() => Ok(filter),
            Some(_) | None => Err(invalid("filter", &format!("'{text}'. Invalid list filter expression."))),
        }
    }

    /// Whether a resource, in JSON, fits.
    pub fn fits(&self, resource: &Value) -> bool {
        match self {
            Self::Everything => true,
            Self::All(parts) => parts.iter().all(|part| part.fits(resource)),
            Self::Any(parts) => parts.iter().any(|part| part.fits(resource)),
            Self::Term { field, operator, value } => {
                let found = field.split('.').try_fold(resource, |value, name| value.get(name));
                let text = found.map(|found| found.as_str().map_or_else(|| found.to_string(), str::to_owned));
                match operator {
                    Operator::Equal => text.as_deref() == Some(value),
                    Operator::NotEqual => text.as_deref() != Some(value),
                    Operator::Has if value == "*" => text.is_some(),
                    Operator::Has => text.is_some_and(|text| has(&text, value)),
                }
            }
        }
    }
}

/// `:` asks whether a text has the value in it; a value that ends in `*` must be its beginning.
fn has(text: &str, value: &str) -> bool {
    let (text, value) = (text.to_lowercase(), value.to_lowercase());
    match value.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => text.contains(&value),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Operator(Operator),
    Word(String),
    Quoted(String),
}

fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Some(Token::Open), 1),
            ')' => (Some(Token::Close), 1),
            '=' => (Some(Token::Operator(Operator::Equal)), 1),
            ':' => (Some(Token::Operator(Operator::Has)), 1),
            '!' if rest.starts_with("!=") => (Some(Token::Operator(Operator::NotEqual)), 2),
            '"' => {
                let inner = rest[1..].split('"').next().unwrap_or_default();
                (Some(Token::Quoted(inner.to_owned())), (inner.len() + 2).min(rest.len()))
            }
            each if each.is_whitespace() => (None, each.len_utf8()),
            _ => {
                let ends = |each: char| each.is_whitespace() || "()=:!\"".contains(each);
                let length =
                    rest[first.len_utf8()..].find(ends).map_or(rest.len(), |at| at + first.len_utf8());
                (Some(Token::Word(rest[..length].to_owned())), length)
            }
        };
        tokens.extend(token);
        rest = &rest[length..];
    }
    tokens
}

/// No filter is nested deeper than this.
const DEEPEST: usize = 16;

struct Parser<'a> {
    tokens: &'a [Token],
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn skip_word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.tokens.first(), Some(Token::Word(next)) if next == word);
        if is_next {
            self.take();
        }
        is_next
    }

    fn any(&mut self) -> Option<Filter> {
        let mut parts = vec![self.all()?];
        while self.skip_word("OR") {
            parts.push(self.all()?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Filter::Any(parts)) }
    }

    fn all(&mut self) -> Option<Filter> {
        let mut parts = vec![self.one()?];
        while self.skip_word("AND") || self.begins_another() {
            parts.push(self.one()?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Filter::All(parts)) }
    }

    fn begins_another(&self) -> bool {
        match self.tokens.first() {
            Some(Token::Open) => true,
            Some(Token::Word(word)) => word != "OR",
            Some(Token::Close | Token::Operator(_) | Token::Quoted(_)) | None => false,
        }
    }

    fn one(&mut self) -> Option<Filter> {
        match self.take()? {
            Token::Open if self.depth < DEEPEST => {
                self.depth += 1;
                let inner = self.any()?;
                self.depth -= 1;
                (self.take()? == Token::Close).then_some(inner)
            }
            Token::Word(field) => {
                let Token::Operator(operator) = self.take()? else { return None };
                let (Token::Word(value) | Token::Quoted(value)) = self.take()? else { return None };
                Some(Filter::Term { field, operator, value })
            }
            Token::Open | Token::Close | Token::Operator(_) | Token::Quoted(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::world::request::{Api, Method};

    fn fits(filter: &str) -> Option<bool> {
        let request = Request::new(Api::Gcp, Method::Get, "/", Timestamp::UNIX_EPOCH).query("filter", filter);
        let vm = json!({ "name": "a-1", "status": "RUNNING", "labels": { "team": "graphics", "mayfly-pool": "gpu" } });
        Filter::of(&request).ok().map(|filter| filter.fits(&vm))
    }

    #[test]
    fn terms_are_joined_by_and_or_and_parentheses() {
        assert_eq!(fits("labels.team=graphics"), Some(true));
        assert_eq!(fits("labels.team:graphics AND labels.mayfly-pool=gpu"), Some(true));
        assert_eq!(fits("(labels.team = \"graphics\") (status=RUNNING)"), Some(true));
        assert_eq!(fits("(labels.team=other) OR (name=a-1)"), Some(true));
        assert_eq!(fits("labels.team=graphics AND status!=RUNNING"), Some(false));
        assert_eq!(fits("labels.mayfly-pool:*"), Some(true));
        assert_eq!(fits("labels.nothing:*"), Some(false));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in ["labels.team", "labels.team=", "(status=RUNNING", "status=RUNNING)", "=x", "a=b AND"] {
            assert_eq!(fits(bad), None, "{bad}");
        }
    }
}
