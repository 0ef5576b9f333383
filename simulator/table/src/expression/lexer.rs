//! The words of an expression.

use crate::error::{Refusal, invalid};

/// One word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A bare word: an attribute, a function or a keyword.
    Word(&'a str),
    /// `#name`, with its sign.
    Alias(&'a str),
    /// `:value`, with its sign.
    Value(&'a str),
    /// `[3]`.
    Index(usize),
    /// Anything else.
    Sign(&'static str),
}

const SIGNS: [&str; 12] = ["<>", "<=", ">=", "<", ">", "=", "(", ")", ",", ".", "+", "-"];

/// Splits an expression into its words. What separates them is ASCII white space alone.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Refusal> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let Some(first) = rest.bytes().next() else { return Ok(tokens) };
        let (token, length) = match first {
            b'#' | b':' => reference(rest, first)?,
            b'[' => index(rest)?,
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let length = word_length(rest);
                (Token::Word(&rest[..length]), length)
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = sign.ok_or_else(|| syntax(rest))?;
                (Token::Sign(sign), sign.len())
            }
        };
        tokens.push(token);
        rest = &rest[length..];
    }
}

fn reference(rest: &str, sign: u8) -> Result<(Token<'_>, usize), Refusal> {
    let length = 1 + word_length(&rest[1..]);
    let reference = &rest[..length];
    match (length, sign) {
        (1, _) => Err(syntax(rest)),
        (_, b'#') => Ok((Token::Alias(reference), length)),
        _ => Ok((Token::Value(reference), length)),
    }
}

/// An index has no needless zero and no space in it.
fn index(rest: &str) -> Result<(Token<'_>, usize), Refusal> {
    let digits = rest.find(']').map(|end| &rest[1..end]).ok_or_else(|| syntax(rest))?;
    let is_index = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'))
        && !digits.is_empty();
    let index = is_index.then(|| digits.parse().ok()).flatten().ok_or_else(|| syntax(rest))?;
    Ok((Token::Index(index), digits.len() + 2))
}

fn word_length(rest: &str) -> usize {
    rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

fn syntax(rest: &str) -> Refusal {
    let near: String = rest.chars().take(12).collect();
    invalid(format!("Syntax error; token: \"{}\", near: \"{near}\"", near.chars().next().unwrap_or(' ')))
}
