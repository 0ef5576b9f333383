//! Update expressions. How they are carried out, in which order and against what, is as the service was seen to do it:
//! every value is worked out from the item as it was, writes go in the order of their paths, and removals go last, from
//! the highest index down, so that every index means the element that it meant before.

mod reader;

use std::cmp::Ordering;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Meaning, Path, Step};
use crate::error::{Refusal, invalid};
use crate::number::Number;
use crate::value::{Item, kept, type_name};
use crate::{PARTITION_KEY, SORT_KEY};

/// An update, as it was written.
#[derive(Debug, Default)]
pub(crate) struct Update {
    set: Vec<(Path, Value)>,
    remove: Vec<Path>,
    /// The path and the place of the `:value`.
    add: Vec<(Path, usize)>,
}

/// What an attribute is set to.
#[derive(Debug)]
enum Value {
    Path(Path),
    /// The place of a `:value` among the statement's.
    Given(usize),
    IfNotExists(Path, Box<Value>),
    ListAppend(Box<Value>, Box<Value>),
    Sum(Box<Value>, Box<Value>),
    Difference(Box<Value>, Box<Value>),
}

const WRONG_TYPE: &str = "An operand in the update expression has an incorrect data type";
const WRONG_PATH: &str = "The document path provided in the update expression is invalid for update";
const NO_ATTRIBUTE: &str = "The provided expression refers to an attribute that does not exist in the item";

impl Update {
    fn targets(&self) -> impl Iterator<Item = &Path> {
        let set = self.set.iter().map(|(path, _)| path);
        set.chain(&self.remove).chain(self.add.iter().map(|(path, _)| path))
    }

    /// What the service refuses of the update and its values before it looks at any item.
    pub(crate) fn check(&self, meaning: &Meaning<'_>) -> Result<(), Refusal> {
        self.set.iter().try_for_each(|(_, value)| meaning.check_value(value))?;
        for (_, place) in &self.add {
            let kind = type_name(meaning.value(*place));
            if kind != "N" {
                // Sets could be added too; the ledger has none.
                let why = "Invalid UpdateExpression: Incorrect operand type for operator or function;";
                return Err(invalid(format!("{why} operator: ADD, operand type: {kind}")));
            }
        }
        for (place, one) in self.targets().enumerate() {
            for other in self.targets().skip(place + 1) {
                let shortest = one.rest.len().min(other.rest.len());
                if meaning.name(&one.root) == meaning.name(&other.root)
                    && meaning.shared_steps(one, other) == shortest
                {
                    return Err(invalid(
                        "Invalid UpdateExpression: Two document paths overlap with each other; must remove or \
                         rewrite one of these paths",
                    ));
                }
            }
        }
        Ok(())
    }

    /// The item as it is afterwards. `before` has its key even where it is new.
    pub(crate) fn apply(&self, before: &Item, meaning: &Meaning<'_>) -> Result<Item, Refusal> {
        for path in self.targets() {
            let name = meaning.name(&path.root);
            if name == PARTITION_KEY || name == SORT_KEY {
                return Err(invalid(format!(
                    "One or more parameter values were invalid: Cannot update attribute {name}. This attribute \
                     is part of the key"
                )));
            }
        }
        let mut writes = Vec::with_capacity(self.set.len() + self.add.len());
        // A sum that cannot be made is refused before anything of a SET is.
        for (path, place) in &self.add {
            writes.push((path, meaning.added(before, path, *place)?));
        }
        for (path, value) in &self.set {
            writes.push((path, meaning.evaluate(before, value)?));
        }
        if writes.iter().any(|(path, _)| !path.rest.is_empty()) {
            writes.sort_by(|(one, _), (other, _)| meaning.order_of_paths(one, other));
        }
        let mut after = before.clone();
        for (path, value) in writes {
            meaning.write(&mut after, path, value)?;
        }
        self.remove_from(&mut after, before, meaning)?;
        Ok(after)
    }

    fn remove_from(&self, after: &mut Item, before: &Item, meaning: &Meaning<'_>) -> Result<(), Refusal> {
        let mut removals = Vec::new();
        for path in &self.remove {
            match path.rest.split_last() {
                None => _ = after.remove(meaning.name(&path.root)),
                // What the item did not have stays, even where a write has put something there since.
                Some(_) if meaning.find(before, path).is_some() => removals.push(path),
                Some((last, parents)) => {
                    let parent = before.get(meaning.name(&path.root));
                    let parent = parent.and_then(|root| meaning.find_within(root, parents));
                    if !parent.is_some_and(|parent| can_hold(parent, last)) {
                        return Err(invalid(WRONG_PATH));
                    }
                }
            }
        }
        removals.sort_by(|one, other| meaning.order_of_paths(other, one));
        removals.into_iter().for_each(|path| meaning.remove(after, path));
        Ok(())
    }
}

fn can_hold(parent: &AttributeValue, step: &Step) -> bool {
    match step {
        Step::Key(_) => parent.is_m(),
        Step::Index(_) => parent.is_l(),
    }
}

impl Meaning<'_> {
    fn order_of_paths(&self, one: &Path, other: &Path) -> Ordering {
        let by_root = self.name(&one.root).cmp(self.name(&other.root));
        by_root.then_with(|| {
            let steps = one.rest.iter().zip(&other.rest);
            let mut differences = steps.map(|(one, other)| self.order_of_steps(one, other));
            let first = differences.find(|order| order.is_ne());
            first.unwrap_or_else(|| one.rest.len().cmp(&other.rest.len()))
        })
    }

    fn check_value(&self, value: &Value) -> Result<(), Refusal> {
        match value {
            Value::Path(_) | Value::Given(_) => Ok(()),
            Value::IfNotExists(_, otherwise) => self.check_value(otherwise),
            Value::ListAppend(one, other) => self.check_operands("list_append", "L", [one, other]),
            Value::Sum(one, other) => self.check_operands("+", "N", [one, other]),
            Value::Difference(one, other) => self.check_operands("-", "N", [one, other]),
        }
    }

    fn check_operands(&self, operator: &str, wanted: &str, operands: [&Value; 2]) -> Result<(), Refusal> {
        for operand in operands {
            self.check_value(operand)?;
            if let Value::Given(place) = operand
                && type_name(self.value(*place)) != wanted
            {
                let kind = type_name(self.value(*place));
                let why = "Invalid UpdateExpression: Incorrect operand type for operator or function;";
                return Err(invalid(format!("{why} operator or function: {operator}, operand type: {kind}")));
            }
        }
        Ok(())
    }

    fn evaluate(&self, before: &Item, value: &Value) -> Result<AttributeValue, Refusal> {
        match value {
            Value::Path(path) => self.find(before, path).cloned().ok_or_else(|| invalid(NO_ATTRIBUTE)),
            Value::Given(place) => Ok(kept(self.value(*place))),
            Value::IfNotExists(path, otherwise) => match self.find(before, path) {
                Some(value) => Ok(value.clone()),
                None => self.evaluate(before, otherwise),
            },
            Value::ListAppend(one, other) => {
                match (self.evaluate(before, one)?, self.evaluate(before, other)?) {
                    (AttributeValue::L(mut list), AttributeValue::L(more)) => {
                        list.extend(more);
                        Ok(AttributeValue::L(list))
                    }
                    _ => Err(invalid(WRONG_TYPE)),
                }
            }
            Value::Sum(one, other) => {
                calculate(&self.evaluate(before, one)?, &self.evaluate(before, other)?, Number::plus)
            }
            Value::Difference(one, other) => {
                calculate(&self.evaluate(before, one)?, &self.evaluate(before, other)?, Number::minus)
            }
        }
    }

    fn added(&self, before: &Item, path: &Path, place: usize) -> Result<AttributeValue, Refusal> {
        let given = self.value(place);
        match self.find(before, path) {
            None => Ok(kept(given)),
            Some(value) => calculate(value, given, Number::plus),
        }
    }

    fn write(&self, item: &mut Item, path: &Path, value: AttributeValue) -> Result<(), Refusal> {
        let root = self.name(&path.root);
        let Some((last, parents)) = path.rest.split_last() else {
            match item.get_mut(root) {
                Some(known) => *known = value,
                None => _ = item.insert(root.to_owned(), value),
            }
            return Ok(());
        };
        let parent = item.get_mut(root).and_then(|root| self.find_within_mut(root, parents));
        match (parent, last) {
            (Some(AttributeValue::M(map)), Step::Key(name)) => {
                map.insert(self.name(name).to_owned(), value);
            }
            // Past its end a list grows by one, however far.
            (Some(AttributeValue::L(list)), Step::Index(index)) => match list.get_mut(*index) {
                Some(known) => *known = value,
                None => list.push(value),
            },
            _ => return Err(invalid(WRONG_PATH)),
        }
        Ok(())
    }

    fn remove(&self, item: &mut Item, path: &Path) {
        let Some((last, parents)) = path.rest.split_last() else { return };
        let root = item.get_mut(self.name(&path.root));
        match (root.and_then(|root| self.find_within_mut(root, parents)), last) {
            (Some(AttributeValue::M(map)), Step::Key(name)) => _ = map.remove(self.name(name)),
            (Some(AttributeValue::L(list)), Step::Index(index)) if *index < list.len() => {
                list.remove(*index);
            }
            _ => {}
        }
    }

    fn find_within_mut<'i>(
        &self,
        value: &'i mut AttributeValue,
        steps: &[Step],
    ) -> Option<&'i mut AttributeValue> {
        steps.iter().try_fold(value, |value, step| match (step, value) {
            (Step::Key(name), AttributeValue::M(map)) => map.get_mut(self.name(name)),
            (Step::Index(index), AttributeValue::L(list)) => list.get_mut(*index),
            _ => None,
        })
    }
}

fn calculate(
    one: &AttributeValue,
    other: &AttributeValue,
    by: impl Fn(Number, Number) -> Option<Number>,
) -> Result<AttributeValue, Refusal> {
    let (AttributeValue::N(one), AttributeValue::N(other)) = (one, other) else {
        return Err(invalid(WRONG_TYPE));
    };
    let result = Number::parse(one).zip(Number::parse(other)).and_then(|(one, other)| by(one, other));
    let result = result.ok_or_else(|| invalid("Number overflow, or more than 38 significant digits"))?;
    Ok(AttributeValue::N(result.text()))
}
