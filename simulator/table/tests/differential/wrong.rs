//! Requests that DynamoDB refuses, each made of one that it takes.

use aws_sdk_dynamodb::types::AttributeValue;

use super::calls::Parts;
use super::random::{Random, text};

/// What is wrong with a request, alone or in a transaction.
const ANYWHERE: [Wrong; 17] = [
    Wrong::OtherTable,
    Wrong::UnusedValue,
    Wrong::UnusedName,
    Wrong::Condition("attribute_exists(pk) AND"),
    Wrong::Condition("state = job"),
    Wrong::Condition(""),
    Wrong::Condition("((attribute_exists(pk)))"),
    Wrong::Condition("exists(pk)"),
    Wrong::Condition("job = #undefined"),
    Wrong::Condition("job = :undefined"),
    Wrong::Condition("job = [0]"),
    Wrong::Condition("phase IN ()"),
    Wrong::Key("sk", None),
    Wrong::Key("pk", Some("")),
    Wrong::Update("SET job = phase SET runner = phase"),
    Wrong::Update("SET timeline[0] = phase REMOVE timeline"),
    Wrong::Update("SET since = job, REMOVE phase"),
];

/// What the engine checks in single writes alone.
const SINGLE: [Wrong; 8] = [
    Wrong::Number("1.2.3"),
    Wrong::Number("1e200"),
    Wrong::Bounds,
    Wrong::Update("SET sk = job"),
    Wrong::Update("ADD phase :undefined"),
    Wrong::TypeOf("begins_with(phase, ", ")"),
    Wrong::UpdateWith("SET phase = list_append(timeline, ", ")"),
    Wrong::UpdateWith("SET phase = job + ", ""),
];

#[derive(Debug, Clone, Copy)]
enum Wrong {
    OtherTable,
    UnusedValue,
    UnusedName,
    /// This condition, without anything that it names.
    Condition(&'static str),
    /// A key's attribute is not there, or this.
    Key(&'static str, Option<&'static str>),
    /// This update, without anything that it names.
    Update(&'static str),
    /// An update with a value of a wrong type at this place.
    UpdateWith(&'static str, &'static str),
    /// A condition with a value of a wrong type at this place.
    TypeOf(&'static str, &'static str),
    /// A value that is no number.
    Number(&'static str),
    Bounds,
}

/// Makes something wrong.
pub fn spoil(parts: &mut Parts, random: &mut Random, single: bool) {
    let place = random.below(ANYWHERE.len() + if single { SINGLE.len() } else { 0 });
    let wrong = ANYWHERE.get(place).copied().unwrap_or_else(|| SINGLE[place - ANYWHERE.len()]);
    let words = &mut parts.words;
    match wrong {
        Wrong::OtherTable => parts.table = "no-such-table".to_owned(),
        Wrong::UnusedValue => {
            parts.condition.get_or_insert_with(|| "attribute_exists(pk)".to_owned());
            words.values.insert(":unused".to_owned(), text("x"));
        }
        Wrong::UnusedName => {
            parts.condition.get_or_insert_with(|| "attribute_exists(pk)".to_owned());
            words.names.insert("#unused".to_owned(), "x".to_owned());
        }
        Wrong::Condition(condition) => parts.condition = Some(condition.to_owned()),
        Wrong::Key(name, None) => _ = parts.key.remove(name),
        Wrong::Key(name, Some(key)) => _ = parts.key.insert(name.to_owned(), text(key)),
        Wrong::Update(update) => parts.update = update.to_owned(),
        Wrong::UpdateWith(begin, end) => {
            parts.update = format!("{begin}{}{end}", words.value(text("x")));
        }
        Wrong::TypeOf(begin, end) => {
            let value = words.value(AttributeValue::N("1".to_owned()));
            parts.condition = Some(format!("{begin}{value}{end}"));
        }
        Wrong::Number(number) => {
            let value = words.value(AttributeValue::N(number.to_owned()));
            parts.condition = Some(format!("job = {value}"));
        }
        Wrong::Bounds => {
            let (from, to) = (words.value(text("b")), words.value(text("a")));
            parts.condition = Some(format!("phase BETWEEN {from} AND {to}"));
        }
    }
}
