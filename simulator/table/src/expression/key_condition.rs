//! Key conditions: one partition, and a range of its sort keys.

use std::borrow::Cow;
use std::ops::Bound;

use super::condition::{Comparison, Condition, Operand};
use super::{Meaning, Path};
use crate::error::{Refusal, invalid};
use crate::{PARTITION_KEY, SORT_KEY};

/// What a query reads.
#[derive(Debug)]
pub(crate) struct KeyRange<'a> {
    pub(crate) partition: &'a str,
    sort: Sort<'a>,
}

#[derive(Debug)]
enum Sort<'a> {
    Any,
    Compare(Comparison, &'a str),
    Between(&'a str, &'a str),
    BeginsWith(&'a str),
}

/// One clause of a key condition: the attribute that it is about, and what it asks of it.
type Clause<'c, 'a> = (&'c str, Sort<'a>);

/// Reads a condition as a query's; `check`ed it is already.
pub(crate) fn key_range<'a>(condition: &Condition, meaning: &Meaning<'a>) -> Result<KeyRange<'a>, Refusal> {
    let (mut partition, mut sort) = (None, None);
    let clauses = if let Condition::And(one, other) = condition {
        [Some(&**one), Some(&**other)]
    } else {
        [Some(condition), None]
    };
    for clause in clauses.into_iter().flatten() {
        let (name, asked) = meaning.clause(clause)?;
        let known = match name {
            PARTITION_KEY => &mut partition,
            SORT_KEY => &mut sort,
            _ => return Err(invalid(format!("Query condition missed key schema element: {PARTITION_KEY}"))),
        };
        if known.replace(asked).is_some() {
            return Err(invalid("KeyConditionExpressions must only contain one condition per key"));
        }
    }
    let partition = match partition {
        Some(Sort::Compare(Comparison::Equal, partition)) => partition,
        Some(_) => return Err(invalid("Query key condition not supported")),
        None => return Err(invalid(format!("Query condition missed key schema element: {PARTITION_KEY}"))),
    };
    Ok(KeyRange { partition, sort: sort.unwrap_or(Sort::Any) })
}

impl<'a> Meaning<'a> {
    fn clause<'c>(&'c self, condition: &'c Condition) -> Result<Clause<'c, 'a>, Refusal> {
        if let Condition::Compare(one, comparison, other) = condition {
            let (path, place, comparison) = match (one, other) {
                (Operand::Path(path), Operand::Value(place)) => (path, place, *comparison),
                (Operand::Value(place), Operand::Path(path)) => (path, place, comparison.reversed()),
                _ => return Err(unsupported()),
            };
            if comparison == Comparison::NotEqual {
                return Err(unsupported());
            }
            return Ok((self.key(path)?, Sort::Compare(comparison, self.text(*place)?)));
        }
        if let Condition::Between(Operand::Path(path), Operand::Value(from), Operand::Value(to)) = condition {
            return Ok((self.key(path)?, Sort::Between(self.text(*from)?, self.text(*to)?)));
        }
        if let Condition::BeginsWith(Operand::Path(path), Operand::Value(prefix)) = condition {
            return Ok((self.key(path)?, Sort::BeginsWith(self.text(*prefix)?)));
        }
        Err(unsupported())
    }

    fn key<'c>(&'c self, path: &'c Path) -> Result<&'c str, Refusal> {
        if path.rest.is_empty() {
            return Ok(self.name(&path.root));
        }
        Err(invalid("KeyConditionExpressions cannot have conditions on nested attributes"))
    }

    fn text(&self, place: usize) -> Result<&'a str, Refusal> {
        let Ok(text) = self.value(place).as_s() else {
            return Err(invalid(
                "One or more parameter values were invalid: Condition parameter type does not match schema type",
            ));
        };
        if text.is_empty() {
            return Err(invalid(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot \
                 contain an empty string value.",
            ));
        }
        Ok(text)
    }
}

impl KeyRange<'_> {
    /// From where to where it goes; both ends hold what [`KeyRange::holds`] of a sort key.
    pub(crate) fn ends(&self) -> (Bound<&str>, Bound<Cow<'_, str>>) {
        let at = |key| Bound::Included(Cow::Borrowed(key));
        let open = Bound::Unbounded;
        match self.sort {
            Sort::Any => (Bound::Unbounded, open),
            Sort::Compare(Comparison::Equal, key) => (Bound::Included(key), at(key)),
            Sort::Compare(Comparison::Less, key) => (Bound::Unbounded, Bound::Excluded(Cow::Borrowed(key))),
            Sort::Compare(Comparison::LessOrEqual, key) => (Bound::Unbounded, at(key)),
            Sort::Compare(Comparison::Greater, key) => (Bound::Excluded(key), open),
            Sort::Compare(Comparison::GreaterOrEqual | Comparison::NotEqual, key) => {
                (Bound::Included(key), open)
            }
            Sort::Between(from, to) => (Bound::Included(from), at(to)),
            Sort::BeginsWith(prefix) => {
                let end = behind(prefix).map_or(open, |end| Bound::Excluded(Cow::Owned(end)));
                (Bound::Included(prefix), end)
            }
        }
    }

    /// Whether a sort key is in it.
    pub(crate) fn holds(&self, key: &str) -> bool {
        match self.sort {
            Sort::Any => true,
            Sort::Compare(comparison, with) => match comparison {
                Comparison::Equal => key == with,
                Comparison::NotEqual => key != with,
                Comparison::Less => key < with,
                Comparison::LessOrEqual => key <= with,
                Comparison::Greater => key > with,
                Comparison::GreaterOrEqual => key >= with,
            },
            Sort::Between(from, to) => (from..=to).contains(&key),
            Sort::BeginsWith(prefix) => key.starts_with(prefix),
        }
    }
}

fn unsupported() -> Refusal {
    invalid("Invalid operator used in KeyConditionExpression")
}

/// The least text behind all that begin with this; `None` where there is none.
fn behind(prefix: &str) -> Option<String> {
    let mut rest = prefix.to_owned();
    while let Some(last) = rest.pop() {
        // Surrogates are no characters.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            rest.push(next);
            return Some(rest);
        }
    }
    None
}
