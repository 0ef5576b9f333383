//! What the grammars of all expressions share: the words one after the other, and document paths.

use super::lexer::{Token, tokens};
use super::reserved::is_reserved;
use super::{Name, Path, Step};
use crate::error::{Refusal, invalid};

/// The developer guide's "Quotas": how long an expression may be.
const LONGEST: usize = 4096;
/// The service counts operators and functions, at most 300; as deep as this none can be nested.
const DEEPEST: usize = 150;

/// The words that end an attribute's name even where it stands for itself.
const KEYWORDS: [&str; 9] = ["AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"];

/// The `#names` and `:values` that a request's expressions use, each once.
#[derive(Debug, Default)]
pub(super) struct References {
    pub(super) aliases: Vec<String>,
    pub(super) values: Vec<String>,
}

impl References {
    fn place(known: &mut Vec<String>, reference: &str) -> usize {
        known.iter().position(|one| one == reference).unwrap_or_else(|| {
            known.push(reference.to_owned());
            known.len() - 1
        })
    }
}

/// Goes through one expression's words.
pub(super) struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    place: usize,
    depth: usize,
    references: &'a mut References,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, references: &'a mut References) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Err(invalid("The expression can not be empty;"));
        }
        if text.len() > LONGEST {
            return Err(invalid("Expression size has exceeded the maximum allowed size"));
        }
        Ok(Self { tokens: tokens(text)?, place: 0, depth: 0, references })
    }

    /// Where the next word stands.
    pub(super) fn place(&self) -> usize {
        self.place
    }

    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.place).copied()
    }

    /// Whether the next word is a function's name: one with a parenthesis behind it. Its case matters.
    pub(super) fn function(&self) -> Option<&'a str> {
        match (self.peek()?, self.tokens.get(self.place + 1)?) {
            (Token::Word(name), Token::Sign("(")) if !is_keyword(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn skip(&mut self, tokens: usize) {
        self.place += tokens;
    }

    /// Takes the sign if it is next.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Sign(next)) if next == sign);
        self.place += usize::from(is_next);
        is_next
    }

    /// Takes the keyword if it is next, in whatever case.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Word(next)) if next.eq_ignore_ascii_case(keyword));
        self.place += usize::from(is_next);
        is_next
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<(), Refusal> {
        if self.sign(sign) { Ok(()) } else { Err(self.syntax()) }
    }

    pub(super) fn expect_keyword(&mut self, keyword: &str) -> Result<(), Refusal> {
        if self.keyword(keyword) { Ok(()) } else { Err(self.syntax()) }
    }

    pub(super) fn end(&self) -> Result<(), Refusal> {
        if self.place == self.tokens.len() { Ok(()) } else { Err(self.syntax()) }
    }

    /// A part begins that may hold itself.
    pub(super) fn enter(&mut self) -> Result<(), Refusal> {
        if self.depth == DEEPEST {
            return Err(invalid("The expression contains too many operators and functions"));
        }
        self.depth += 1;
        Ok(())
    }

    /// A part that was begun is over.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// A `:value`, as its place among the request's.
    pub(super) fn value(&mut self) -> Option<usize> {
        let Some(Token::Value(reference)) = self.peek() else { return None };
        self.place += 1;
        Some(References::place(&mut self.references.values, reference))
    }

    pub(super) fn path(&mut self) -> Result<Path, Refusal> {
        let root = self.name()?;
        let mut rest = Vec::new();
        loop {
            if let Some(Token::Index(index)) = self.peek() {
                self.place += 1;
                rest.push(Step::Index(index));
            } else if self.sign(".") {
                rest.push(Step::Key(self.name()?));
            } else {
                return Ok(Path { root, rest });
            }
        }
    }

    fn name(&mut self) -> Result<Name, Refusal> {
        let name = match self.peek() {
            Some(Token::Alias(alias)) => Name::Alias(References::place(&mut self.references.aliases, alias)),
            Some(Token::Word(word)) if is_keyword(word) => return Err(self.syntax()),
            Some(Token::Word(word)) if is_reserved(word) => {
                let why = format!("Attribute name is a reserved keyword; reserved keyword: {word}");
                return Err(invalid(why));
            }
            Some(Token::Word(word)) => Name::Plain(word.to_owned()),
            Some(Token::Value(_) | Token::Index(_) | Token::Sign(_)) | None => return Err(self.syntax()),
        };
        self.place += 1;
        Ok(name)
    }

    /// That the next word makes no sense where it stands.
    pub(super) fn syntax(&self) -> Refusal {
        let token = match self.peek() {
            None => "<EOF>".to_owned(),
            Some(Token::Word(text) | Token::Alias(text) | Token::Value(text)) => text.to_owned(),
            Some(Token::Index(index)) => format!("[{index}]"),
            Some(Token::Sign(sign)) => sign.to_owned(),
        };
        invalid(format!("Syntax error; token: \"{token}\", word {}", self.place + 1))
    }
}

fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}
