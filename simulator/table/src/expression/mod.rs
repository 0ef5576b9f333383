//! Expressions: the developer guide's "Condition and filter expressions", "Update expressions" and "Key condition
//! expressions", read once for each text.

mod cache;
mod condition;
mod key_condition;
mod lexer;
mod parser;
mod reserved;
mod update;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::error::{Refusal, invalid};
use crate::value::Item;
pub(crate) use cache::statement;
pub(crate) use condition::Condition;
pub(crate) use key_condition::{KeyRange, key_range};
pub(crate) use update::Update;

/// An attribute's name as an expression has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Plain(String),
    /// The place of a `#name` among the statement's.
    Alias(usize),
}

/// A step into a map or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(Name),
    Index(usize),
}

/// A document path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    root: Name,
    rest: Vec<Step>,
}

/// All that one request says in expressions.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) update: Option<Update>,
    /// The condition, or the key condition of a query.
    pub(crate) condition: Option<Condition>,
    /// The `#names` and `:values` it uses, each once.
    aliases: Vec<String>,
    values: Vec<String>,
}

/// What a request means by the `#names` and `:values` of its statement.
#[derive(Debug)]
pub(crate) struct Meaning<'a> {
    names: Vec<&'a str>,
    values: Vec<&'a AttributeValue>,
}

impl Statement {
    /// Looks up all that the expressions use: the service refuses what is not defined, and what is defined for nothing.
    pub(crate) fn meaning<'a>(
        &self,
        names: Option<&'a HashMap<String, String>>,
        values: Option<&'a Item>,
    ) -> Result<Meaning<'a>, Refusal> {
        let has_expression = self.update.is_some() || self.condition.is_some();
        let lookup = Lookup { what: "Names", one: "name", has_expression };
        let names = lookup.all(&self.aliases, names)?.into_iter().map(String::as_str).collect::<Vec<_>>();
        let lookup = Lookup { what: "Values", one: "value", has_expression };
        let values = lookup.all(&self.values, values)?;
        if names.iter().any(|name| name.is_empty()) {
            return Err(invalid("ExpressionAttributeNames contains invalid value: Empty attribute name"));
        }
        Ok(Meaning { names, values })
    }
}

struct Lookup {
    what: &'static str,
    one: &'static str,
    has_expression: bool,
}

impl Lookup {
    fn all<'a, T>(
        &self,
        used: &[String],
        defined: Option<&'a HashMap<String, T>>,
    ) -> Result<Vec<&'a T>, Refusal> {
        let (what, one) = (self.what, self.one);
        let find = |reference: &String| {
            defined.and_then(|defined| defined.get(reference)).ok_or_else(|| {
                let why = "used in expression is not defined; attribute";
                invalid(format!("An expression attribute {one} {why} {one}: {reference}"))
            })
        };
        match defined {
            Some(_) if !self.has_expression => {
                let why = "can only be specified when using expressions";
                return Err(invalid(format!("ExpressionAttribute{what} {why}")));
            }
            Some(defined) if defined.is_empty() => {
                return Err(invalid(format!("ExpressionAttribute{what} must not be empty")));
            }
            Some(_) | None => {}
        }
        let found = used.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        // Each was found, and each is used once: any more are used by nothing.
        if defined.is_some_and(|defined| defined.len() > used.len()) {
            return Err(invalid(format!(
                "Value provided in ExpressionAttribute{what} unused in expressions"
            )));
        }
        Ok(found)
    }
}

impl<'a> Meaning<'a> {
    fn name<'n>(&self, name: &'n Name) -> &'n str
    where
        'a: 'n,
    {
        match name {
            Name::Plain(name) => name,
            Name::Alias(place) => self.names[*place],
        }
    }

    fn value(&self, place: usize) -> &'a AttributeValue {
        self.values[place]
    }

    fn same_path(&self, one: &Path, other: &Path) -> bool {
        self.name(&one.root) == self.name(&other.root)
            && one.rest.len() == other.rest.len()
            && self.shared_steps(one, other) == one.rest.len()
    }

    /// How many steps two paths that begin with the same attribute go together.
    fn shared_steps(&self, one: &Path, other: &Path) -> usize {
        let together = one.rest.iter().zip(&other.rest);
        together.take_while(|(one, other)| self.order_of_steps(one, other).is_eq()).count()
    }

    fn order_of_steps(&self, one: &Step, other: &Step) -> std::cmp::Ordering {
        match (one, other) {
            (Step::Key(one), Step::Key(other)) => self.name(one).cmp(self.name(other)),
            (Step::Index(one), Step::Index(other)) => one.cmp(other),
            (Step::Key(_), Step::Index(_)) => std::cmp::Ordering::Less,
            (Step::Index(_), Step::Key(_)) => std::cmp::Ordering::Greater,
        }
    }

    /// The value at the path, if there is one.
    fn find<'i>(&self, item: &'i Item, path: &Path) -> Option<&'i AttributeValue> {
        self.find_within(item.get(self.name(&path.root))?, &path.rest)
    }

    fn find_within<'i>(&self, value: &'i AttributeValue, steps: &[Step]) -> Option<&'i AttributeValue> {
        steps.iter().try_fold(value, |value, step| match step {
            Step::Key(name) => value.as_m().ok()?.get(self.name(name)),
            Step::Index(index) => value.as_l().ok()?.get(*index),
        })
    }
}
