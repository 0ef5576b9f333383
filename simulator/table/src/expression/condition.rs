//! Condition expressions.

use std::borrow::Cow;
use std::cmp::Ordering;

use aws_sdk_dynamodb::types::AttributeValue;

use super::lexer::Token;
use super::parser::{Parser, References};
use super::{Meaning, Path};
use crate::error::{Refusal, invalid};
use crate::value::{self, Item, TYPES, type_name};

/// At most so many operands behind `IN`.
const MOST_IN: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Path(Path),
    /// The place of a `:value` among the statement's.
    Value(usize),
    /// `size(path)`.
    Size(Path),
}

/// A condition, as it was written.
#[derive(Debug)]
pub(crate) enum Condition {
    Compare(Operand, Comparison, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    NotExists(Path),
    Type(Path, Operand),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
}

impl Comparison {
    fn of(sign: &str) -> Option<Self> {
        Some(match sign {
            "=" => Self::Equal,
            "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// What it is with its operands the other way round.
    pub(super) fn reversed(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    /// Values of different types are not equal, and neither is the smaller.
    fn holds(self, one: &AttributeValue, other: &AttributeValue) -> bool {
        let order = || value::order(one, other);
        match self {
            Self::Equal => value::equal(one, other),
            Self::NotEqual => !value::equal(one, other),
            Self::Less => order().is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order().is_some_and(Ordering::is_le),
            Self::Greater => order().is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order().is_some_and(Ordering::is_ge),
        }
    }
}

impl Condition {
    pub(super) fn read(text: &str, references: &mut References) -> Result<Self, Refusal> {
        let mut reader = Reader { parser: Parser::new(text, references)?, group: None };
        let condition = reader.any()?;
        reader.parser.end()?;
        Ok(condition)
    }

    /// Whether it holds for an item; one that is not there has no attributes.
    pub(crate) fn holds(&self, item: &Item, meaning: &Meaning<'_>) -> bool {
        let of = |operand| meaning.operand(item, operand);
        match self {
            Self::Compare(one, comparison, other) => match (of(one), of(other)) {
                (Some(one), Some(other)) => comparison.holds(&one, &other),
                _ => *comparison == Comparison::NotEqual,
            },
            Self::Between(operand, from, to) => match (of(operand), of(from), of(to)) {
                (Some(operand), Some(from), Some(to)) => {
                    Comparison::GreaterOrEqual.holds(&operand, &from)
                        && Comparison::LessOrEqual.holds(&operand, &to)
                }
                _ => false,
            },
            Self::In(operand, list) => of(operand).is_some_and(|operand| {
                list.iter().any(|one| of(one).is_some_and(|one| value::equal(&operand, &one)))
            }),
            Self::Exists(path) => meaning.find(item, path).is_some(),
            Self::NotExists(path) => meaning.find(item, path).is_none(),
            Self::Type(path, kind) => match (meaning.find(item, path), of(kind)) {
                (Some(value), Some(kind)) => kind.as_s().is_ok_and(|kind| kind == type_name(value)),
                _ => false,
            },
            Self::BeginsWith(whole, prefix) => match (of(whole), of(prefix)) {
                (Some(whole), Some(prefix)) => value::begins_with(&whole, &prefix),
                _ => false,
            },
            Self::Contains(whole, part) => match (of(whole), of(part)) {
                (Some(whole), Some(part)) => value::contains(&whole, &part),
                _ => false,
            },
            Self::And(one, other) => one.holds(item, meaning) && other.holds(item, meaning),
            Self::Or(one, other) => one.holds(item, meaning) || other.holds(item, meaning),
            Self::Not(condition) => !condition.holds(item, meaning),
        }
    }

    /// What the service refuses of the condition and its values before it looks at any item.
    pub(crate) fn check(&self, meaning: &Meaning<'_>) -> Result<(), Refusal> {
        match self {
            Self::Compare(one, comparison, other) => {
                distinct(comparison.sign(), one, other, meaning)?;
                if comparison.is_order() {
                    for operand in [one, other] {
                        meaning.typed(comparison.sign(), operand, &["S", "N", "B"])?;
                    }
                }
                Ok(())
            }
            Self::Between(operand, from, to) => {
                for operand in [operand, from, to] {
                    meaning.typed("BETWEEN", operand, &["S", "N", "B"])?;
                }
                meaning.bounds(from, to)
            }
            Self::Type(_, kind) => {
                meaning.typed("attribute_type", kind, &["S"])?;
                let Operand::Value(place) = kind else { return Ok(()) };
                let is_known = meaning.value(*place).as_s().is_ok_and(|kind| TYPES.contains(&kind.as_str()));
                if is_known { Ok(()) } else { Err(invalid("Invalid attribute type name found")) }
            }
            Self::BeginsWith(whole, prefix) => {
                distinct("begins_with", whole, prefix, meaning)?;
                meaning.typed("begins_with", prefix, &["S", "B"])
            }
            Self::Contains(whole, part) => distinct("contains", whole, part, meaning),
            Self::In(..) | Self::Exists(_) | Self::NotExists(_) => Ok(()),
            Self::And(one, other) | Self::Or(one, other) => {
                one.check(meaning)?;
                other.check(meaning)
            }
            Self::Not(condition) => condition.check(meaning),
        }
    }
}

/// The service refuses to compare an operand with itself.
fn distinct(operator: &str, one: &Operand, other: &Operand, meaning: &Meaning<'_>) -> Result<(), Refusal> {
    let same = match (one, other) {
        (Operand::Path(one), Operand::Path(other)) | (Operand::Size(one), Operand::Size(other)) => {
            meaning.same_path(one, other)
        }
        _ => one == other,
    };
    if !same {
        return Ok(());
    }
    let why = "The first operand must be distinct from the remaining operands for this operator or function";
    Err(invalid(format!("{why}; operator: {operator}")))
}

impl Meaning<'_> {
    fn operand<'i>(&'i self, item: &'i Item, operand: &Operand) -> Option<Cow<'i, AttributeValue>> {
        match operand {
            Operand::Path(path) => self.find(item, path).map(Cow::Borrowed),
            Operand::Value(place) => Some(Cow::Borrowed(self.value(*place))),
            Operand::Size(path) => {
                let size = value::count(self.find(item, path)?)?;
                Some(Cow::Owned(AttributeValue::N(size.to_string())))
            }
        }
    }

    /// That a `:value` is of one of these types; what stands in an item is another matter.
    fn typed(&self, operator: &str, operand: &Operand, types: &[&str]) -> Result<(), Refusal> {
        let Operand::Value(place) = operand else { return Ok(()) };
        let kind = type_name(self.value(*place));
        if types.contains(&kind) {
            return Ok(());
        }
        let why = "Incorrect operand type for operator or function; operator or function:";
        Err(invalid(format!("{why} {operator}, operand type: {kind}")))
    }

    fn bounds(&self, from: &Operand, to: &Operand) -> Result<(), Refusal> {
        let (Operand::Value(from), Operand::Value(to)) = (from, to) else { return Ok(()) };
        match value::order(self.value(*from), self.value(*to)) {
            None => Err(invalid("The BETWEEN operator requires same data type for lower and upper bounds")),
            Some(Ordering::Greater) => Err(invalid(
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound",
            )),
            Some(Ordering::Less | Ordering::Equal) => Ok(()),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a>,
    /// Between which words the last pair of parentheses stood.
    group: Option<(usize, usize)>,
}

impl Reader<'_> {
    fn any(&mut self) -> Result<Condition, Refusal> {
        let mut one = self.all()?;
        while self.parser.keyword("OR") {
            one = Condition::Or(Box::new(one), Box::new(self.all()?));
        }
        Ok(one)
    }

    fn all(&mut self) -> Result<Condition, Refusal> {
        let mut one = self.negated()?;
        while self.parser.keyword("AND") {
            one = Condition::And(Box::new(one), Box::new(self.negated()?));
        }
        Ok(one)
    }

    fn negated(&mut self) -> Result<Condition, Refusal> {
        if !self.parser.keyword("NOT") {
            return self.single();
        }
        self.deeper(Self::negated).map(|condition| Condition::Not(Box::new(condition)))
    }

    fn deeper<T>(&mut self, part: impl FnOnce(&mut Self) -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.parser.enter()?;
        let parsed = part(self);
        self.parser.leave();
        parsed
    }

    fn single(&mut self) -> Result<Condition, Refusal> {
        let open = self.parser.place();
        if self.parser.sign("(") {
            let inner = self.deeper(Self::any)?;
            let close = self.parser.place();
            self.parser.expect(")")?;
            if self.group == Some((open + 1, close.saturating_sub(1))) {
                return Err(invalid("The expression has redundant parentheses;"));
            }
            self.group = Some((open, close));
            return Ok(inner);
        }
        match self.parser.function() {
            Some("size") | None => self.comparison(),
            Some(function) => self.function(function),
        }
    }

    fn function(&mut self, function: &str) -> Result<Condition, Refusal> {
        self.parser.skip(2);
        let condition = match function {
            "attribute_exists" => Condition::Exists(self.parser.path()?),
            "attribute_not_exists" => Condition::NotExists(self.parser.path()?),
            "attribute_type" => {
                let path = self.parser.path()?;
                Condition::Type(path, self.second()?)
            }
            "begins_with" => {
                let whole = self.operand()?;
                Condition::BeginsWith(whole, self.second()?)
            }
            "contains" => {
                let whole = self.operand()?;
                Condition::Contains(whole, self.second()?)
            }
            _ => return Err(invalid(format!("Invalid function name; function: {function}"))),
        };
        self.parser.expect(")")?;
        Ok(condition)
    }

    fn second(&mut self) -> Result<Operand, Refusal> {
        self.parser.expect(",")?;
        self.operand()
    }

    fn comparison(&mut self) -> Result<Condition, Refusal> {
        let one = self.operand()?;
        if self.parser.keyword("BETWEEN") {
            let from = self.operand()?;
            self.parser.expect_keyword("AND")?;
            return Ok(Condition::Between(one, from, self.operand()?));
        }
        if self.parser.keyword("IN") {
            return self.list().map(|list| Condition::In(one, list));
        }
        let sign = match self.parser.peek() {
            Some(Token::Sign(sign)) => Comparison::of(sign),
            Some(Token::Word(_) | Token::Alias(_) | Token::Value(_) | Token::Index(_)) | None => None,
        };
        let comparison = sign.ok_or_else(|| self.parser.syntax())?;
        self.parser.skip(1);
        Ok(Condition::Compare(one, comparison, self.operand()?))
    }

    fn list(&mut self) -> Result<Vec<Operand>, Refusal> {
        self.parser.expect("(")?;
        let mut list = vec![self.operand()?];
        while self.parser.sign(",") {
            list.push(self.operand()?);
        }
        self.parser.expect(")")?;
        if list.len() > MOST_IN {
            return Err(invalid("The IN operator is provided with too many operands"));
        }
        Ok(list)
    }

    fn operand(&mut self) -> Result<Operand, Refusal> {
        if let Some(place) = self.parser.value() {
            return Ok(Operand::Value(place));
        }
        match self.parser.function() {
            Some("size") => {
                self.parser.skip(2);
                let path = self.parser.path()?;
                self.parser.expect(")")?;
                Ok(Operand::Size(path))
            }
            Some(_) => Err(self.parser.syntax()),
            None => self.parser.path().map(Operand::Path),
        }
    }
}
