//! The messages that a source writes, from its tokens.

use std::fmt;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// How grave a message is that the guide is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Warn,
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// A message at warn or error, as it stands in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub level: Level,
    pub text: String,
}

/// The macros that write lines.
const LINES: [&str; 5] = ["trace", "debug", "info", "warn", "error"];
/// What else of `tracing` may be named: none of it writes a line.
const HARMLESS: [&str; 6] = ["field", "level_filters", "Event", "Level", "Subscriber", "Value"];

/// The messages of a source, and what could hide one.
pub fn messages(source: &str) -> (Vec<Message>, Vec<String>) {
    let mut read = Read::default();
    match source.parse::<TokenStream>() {
        Ok(tokens) => read.tokens(tokens),
        Err(error) => read.faults.push(format!("cannot be read as Rust: {error}")),
    }
    (read.messages, read.faults)
}

#[derive(Default)]
struct Read {
    messages: Vec<Message>,
    faults: Vec<String>,
}

impl Read {
    fn tokens(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        for (place, tree) in trees.iter().enumerate() {
            match tree {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(name) => self.name(&name.to_string(), &trees[place + 1..]),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    fn name(&mut self, name: &str, rest: &[TokenTree]) {
        if let Some(arguments) = call(rest) {
            match name {
                "warn" => self.message(Level::Warn, arguments),
                "error" => self.message(Level::Error, arguments),
                "event" => self.faults.push("`event!` writes at a level that cannot be seen here".to_owned()),
                _ => {}
            }
        }
        match (name, path(rest)) {
            ("log", Some(_)) => self.faults.push("lines are written by `tracing`, not by `log`".to_owned()),
            ("tracing", Some(next)) if !is_plain(next) => {
                let next: String = next.iter().take(3).map(ToString::to_string).collect();
                self.faults
                    .push(format!("`tracing::{next}`: lines are written by `tracing::warn!` and the like"));
            }
            // `use tracing as …`
            ("tracing", None) if matches!(rest.first(), Some(TokenTree::Ident(word)) if word == "as") => {
                self.faults.push("`tracing` goes by its own name".to_owned());
            }
            _ => {}
        }
    }

    /// The first argument that is nothing but a text.
    fn message(&mut self, level: Level, arguments: TokenStream) {
        let trees: Vec<TokenTree> = arguments.into_iter().collect();
        let is_comma = |tree: &TokenTree| matches!(tree, TokenTree::Punct(sign) if sign.as_char() == ',');
        for argument in trees.split(is_comma) {
            let [TokenTree::Literal(literal)] = argument else { continue };
            match text(&literal.to_string()) {
                Some(text) => self.messages.push(Message { level, text }),
                None => self.faults.push(format!("a message that cannot be read: {literal}")),
            }
            return;
        }
        let call: String = trees.iter().map(|tree| format!("{tree} ")).collect();
        self.faults.push(format!("`{level}!({call})` has no message that is a plain text"));
    }
}

/// What a macro is called with, after its name.
fn call(rest: &[TokenTree]) -> Option<TokenStream> {
    match rest {
        [TokenTree::Punct(mark), TokenTree::Group(group), ..]
            if mark.as_char() == '!' && group.delimiter() != Delimiter::None =>
        {
            Some(group.stream())
        }
        _ => None,
    }
}

/// What comes after `::`.
fn path(rest: &[TokenTree]) -> Option<&[TokenTree]> {
    match rest {
        [TokenTree::Punct(one), TokenTree::Punct(two), next @ ..]
            if one.as_char() == ':' && two.as_char() == ':' =>
        {
            Some(next)
        }
        _ => None,
    }
}

/// Whether a name of `tracing` is called in full where it writes a line, or writes none.
fn is_plain(next: &[TokenTree]) -> bool {
    match next.first() {
        Some(TokenTree::Ident(name)) => {
            let name = name.to_string();
            HARMLESS.contains(&name.as_str())
                || (LINES.contains(&name.as_str()) && call(&next[1..]).is_some())
        }
        Some(TokenTree::Group(names)) => names.stream().into_iter().all(|tree| match tree {
            TokenTree::Ident(name) => HARMLESS.contains(&name.to_string().as_str()),
            TokenTree::Punct(sign) => sign.as_char() == ',',
            TokenTree::Group(_) | TokenTree::Literal(_) => false,
        }),
        Some(TokenTree::Punct(_) | TokenTree::Literal(_)) | None => false,
    }
}

/// What a literal stands for; `None` where it is no text, or has more than plain signs, quotes and ends of lines in it.
fn text(literal: &str) -> Option<String> {
    let raw = literal.strip_prefix('r').map(|raw| raw.trim_matches('#'));
    let inner = raw.unwrap_or(literal).strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut signs = inner.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign != '\\' || raw.is_some() {
            text.push(sign);
            continue;
        }
        match signs.next()? {
            quoted @ ('"' | '\\') => text.push(quoted),
            // The text goes on at the next line's first sign.
            '\n' => while signs.next_if(|sign| sign.is_whitespace()).is_some() {},
            _ => return None,
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<String> {
        let (messages, faults) = messages(source);
        assert!(faults.is_empty(), "{source}: {faults:?}");
        messages.into_iter().map(|message| format!("{}: {}", message.level, message.text)).collect()
    }

    #[test]
    fn a_message_is_found_however_it_is_laid_out() {
        for (source, expected) in [
            (r#"fn f() { tracing::warn!("plain") }"#, "warn: plain"),
            (
                "fn f() { tracing::error!(\n    %error,\n    a = f(1, \"not this\"),\n    \"of\n lines\"\n); }",
                "error: of\n lines",
            ),
            ("fn f() { tracing::warn!(\"one \\\n      line\") }", "warn: one line"),
            (r#"fn f() { tracing::warn!(why = "no answer", "a {} and {b}", c) }"#, "warn: a {} and {b}"),
            (
                r#"fn f() { tokio::select! { () = a => { tracing::error!(target: "t", "inside") } } }"#,
                "error: inside",
            ),
            (r##"fn f() { tracing::error!(r#"a "raw" one"#) }"##, r#"error: a "raw" one"#),
            (r#"fn f() { tracing::warn!("a \"quoted\" one") }"#, r#"warn: a "quoted" one"#),
            (r#"mod m { macro_rules! it { () => { tracing::warn!("by a macro") } } }"#, "warn: by a macro"),
            (r#"fn f() { x.map_err(|error| tracing :: error ! { "spaced" }) }"#, "error: spaced"),
        ] {
            assert_eq!(found(source), [expected]);
        }
    }

    #[test]
    fn what_is_no_message_is_none() {
        for source in [
            r#"fn f() { tracing::info!("of no concern"); tracing::debug!(error = %e, "nor this") }"#,
            r#"/// tracing::warn!("in a comment")
            fn f() -> &'static str { "tracing::error!(\"in a text\")" }"#,
            r#"use tracing::{Event, Level}; #[error("of thiserror")] struct E; fn f() { if error != 1 {} }"#,
        ] {
            assert_eq!(found(source), Vec::<String>::new(), "{source}");
        }
    }

    #[test]
    fn what_could_hide_a_message_is_refused() {
        for source in [
            "fn f() { tracing::warn!(MESSAGE) }",
            r#"fn f() { tracing::error!(concat!("a", "b")) }"#,
            "fn f() { tracing::warn!(a = 1) }",
            "fn f() { tracing::warn!(\"tab\\t\") }",
            r#"fn f() { tracing::event!(Level::WARN, "x") }"#,
            r#"use tracing::warn; fn f() { warn!("x") }"#,
            r#"use tracing::{Level, error as e}; fn f() { e!("x") }"#,
            "use tracing as t;",
            "use tracing::*;",
            "#[tracing::instrument(err)] fn f() {}",
            r#"fn f() { log::warn!("x") }"#,
            "fn f( {",
        ] {
            assert!(!messages(source).1.is_empty(), "{source}");
        }
    }
}
