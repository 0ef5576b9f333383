//! Changes of the table's items: of one attribute, by choices.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue as Value;

use crate::choices::Choices;

/// An item's attributes.
pub type Item = HashMap<String, Value>;

const KEY: [&str; 2] = ["pk", "sk"];
/// An item is at most so large.
const TEXT_MOST: usize = 300 << 10;

const NUMBERS: [&str; 18] = [
    "0",
    "-1",
    "1",
    "3",
    "4",
    "9999",
    "65535",
    "65536",
    "4294967295",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "0.5",
    "1e125",
    "253402207200999",
    "-377705023201000",
    "99999999999999999999999999999999999999",
];

/// What earlier versions did not write.
const NEWER: [&str; 14] = [
    "jit_at",
    "made_at",
    "runner_id",
    "asked_at",
    "installation",
    "displaced",
    "watched_until",
    "leased_until",
    "task",
    "step",
    "reserved_at",
    "timeline",
    "expires_at",
    "swept_at",
];

/// Changes one item of these. What the table would not take is left out later.
pub fn change(items: &mut Vec<Item>, line: &mut Choices<'_>) {
    let nth = usize::from(line.short());
    let Some(at) = nth.checked_rem(items.len()) else { return };
    let other = items[usize::from(line.byte()) % items.len()].clone();
    match line.byte() % 16 {
        0 => {
            items.remove(at);
        }
        1 => {
            // Half written: only the first few attributes.
            let kept: BTreeSet<String> = names(&items[at]).into_iter().take(line.below(8)).collect();
            items[at].retain(|name, _| KEY.contains(&name.as_str()) || kept.contains(name));
        }
        2 => {
            let name = NEWER[line.below(NEWER.len())];
            items[at].remove(name);
        }
        3 => {
            // The same under another key.
            let mut copy = items[at].clone();
            let key = if line.byte().is_multiple_of(4) { "pk" } else { "sk" };
            copy.insert(key.to_owned(), Value::S(line.text()));
            items.push(copy);
        }
        4 => {
            let (name, value) = (line.text(), Value::N(NUMBERS[nth % NUMBERS.len()].to_owned()));
            items[at].insert(name, value);
        }
        5 => {
            // What another item says.
            let key: Item =
                items[at].iter().filter(|(name, _)| KEY.contains(&name.as_str())).map(owned).collect();
            items[at] = other;
            items[at].extend(key);
        }
        _ => attribute(&mut items[at], &other, line),
    }
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// An item's attributes beside its key, in order.
fn names(item: &Item) -> Vec<String> {
    let names: BTreeSet<&String> = item.keys().filter(|name| !KEY.contains(&name.as_str())).collect();
    names.into_iter().cloned().collect()
}

fn attribute(item: &mut Item, other: &Item, line: &mut Choices<'_>) {
    let names = names(item);
    if names.is_empty() {
        return;
    }
    let name = names[line.below(names.len())].clone();
    let Some(value) = item.get_mut(&name) else { return };
    match line.byte() % 10 {
        0 => {
            item.remove(&name);
        }
        1 => *value = retyped(value, line),
        2 => *value = Value::N(line.pick(&NUMBERS).to_owned()),
        3 => *value = Value::S(line.text()),
        4 => *value = Value::S("z".repeat((usize::from(line.short()) * 8).min(TEXT_MOST))),
        5 => {
            if let Some(theirs) = other.get(&name) {
                *value = theirs.clone();
            }
        }
        6 => {
            if let Some(value) = item.remove(&name) {
                item.insert(line.text(), value);
            }
        }
        7 => nudge(value, line),
        8 => {
            let all: Vec<&Value> = names.iter().filter_map(|name| item.get(name)).collect();
            let value = all[line.below(all.len())].clone();
            item.insert(name, value);
        }
        _ => lengthen(value, line),
    }
}

/// The same as another type has it.
fn retyped(value: &Value, line: &mut Choices<'_>) -> Value {
    let text = match value {
        Value::S(text) | Value::N(text) => text.clone(),
        _ => "7".to_owned(),
    };
    match line.byte() % 9 {
        0 => Value::S(text),
        1 if text.bytes().all(|byte| byte.is_ascii_digit()) && (1..38).contains(&text.len()) => {
            Value::N(text)
        }
        1 => Value::N("7".to_owned()),
        2 => Value::Bool(true),
        3 => Value::Null(true),
        4 => Value::L(vec![value.clone()]),
        5 => Value::M(HashMap::from([("S".to_owned(), value.clone())])),
        6 => Value::Ss(vec![text]),
        7 => Value::B(Blob::new(text)),
        _ => Value::L(Vec::new()),
    }
}

/// A little more or less, a day, or a hundred years.
fn nudge(value: &mut Value, line: &mut Choices<'_>) {
    let Value::N(text) = value else { return };
    let Ok(number) = text.parse::<i128>() else { return };
    let by = i128::from(line.byte()) - 128;
    let by = by * [1, 1_000, 86_400_000, 3_155_760_000_000][line.below(4)];
    *text = (number + by).to_string();
}

/// A list with more in it, or a longer text.
fn lengthen(value: &mut Value, line: &mut Choices<'_>) {
    match value {
        Value::L(all) => {
            let more = match line.byte() % 4 {
                0 => Value::S(line.text()),
                1 => Value::N("7".to_owned()),
                2 => Value::S("2026-03-01T12:00:00Z something".to_owned()),
                _ => all.first().cloned().unwrap_or(Value::Null(true)),
            };
            let times = usize::from(line.short()) % 2_000;
            all.extend(std::iter::repeat_n(more, times));
        }
        Value::S(text) => text.push_str(&line.text()),
        _ => {}
    }
}
