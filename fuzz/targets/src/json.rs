//! Changes of a JSON document: of one node, by choices.

use serde_json::{Number, Value, json};

use crate::choices::Choices;

/// No document grows beyond so many nodes by being changed.
const NODES_MOST: usize = 20_000;
/// Nor is a text made longer than this.
const TEXT_MOST: usize = 1 << 16;

/// Changes one node.
pub fn change(document: &mut Value, choices: &mut Choices<'_>) {
    let count = count(document);
    let chosen = usize::from(choices.short()) % count;
    let how = choices.byte() % 12;
    if how == 0 {
        remove(document, chosen);
        return;
    }
    let other = (how == 1).then(|| {
        let mut place = usize::from(choices.short()) % count;
        nth(document, &mut place).cloned().unwrap_or_default()
    });
    let mut place = chosen;
    let Some(node) = nth(document, &mut place) else { return };
    match how {
        1 => *node = other.unwrap_or_default(),
        2 => *node = edge(choices),
        3 => *node = Value::String(choices.text()),
        4 => repeat(node, usize::from(choices.short()), count),
        5 => *node = Value::String("x".repeat(usize::from(choices.short()).min(TEXT_MOST))),
        6 => nudge(node, choices),
        7 => *node = deep(usize::from(choices.short()) % 4096),
        8 => rename(node, choices),
        9 => cut(node, usize::from(choices.byte())),
        10 => *node = json!([node.take()]),
        _ => *node = serde_json::from_slice(choices.line()).unwrap_or_default(),
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(all) => all.iter().map(count).sum(),
        Value::Object(all) => all.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// The node of that number, the document itself being the first.
fn nth<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(all) => all.iter_mut().find_map(|each| nth(each, place)),
        Value::Object(all) => all.values_mut().find_map(|each| nth(each, place)),
        _ => None,
    }
}

/// Takes the node of that number out; the document itself becomes null.
fn remove(value: &mut Value, mut place: usize) {
    if place == 0 {
        *value = Value::Null;
    } else {
        remove_below(value, &mut place);
    }
}

fn remove_below(value: &mut Value, place: &mut usize) -> bool {
    match value {
        Value::Array(all) => {
            for at in 0..all.len() {
                *place -= 1;
                if *place == 0 {
                    all.remove(at);
                    return true;
                }
                if remove_below(&mut all[at], place) {
                    return true;
                }
            }
            false
        }
        Value::Object(all) => {
            let names: Vec<String> = all.keys().cloned().collect();
            for name in names {
                *place -= 1;
                if *place == 0 {
                    all.remove(&name);
                    return true;
                }
                if all.get_mut(&name).is_some_and(|each| remove_below(each, place)) {
                    return true;
                }
            }
            false
        }
        _ => false,
    }
}

/// A value at some edge.
fn edge(choices: &mut Choices<'_>) -> Value {
    let all = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u32::MAX),
        json!(1e308),
        json!(-1e308),
        json!(0.5),
        json!(""),
        json!("0"),
        json!("-1"),
        json!("18446744073709551615"),
        json!("99999999999999999999999999999999999999"),
        json!([]),
        json!({}),
        json!([null]),
        json!("1969-12-31T23:59:59Z"),
        json!("9999-12-30T22:00:00Z"),
        json!("-009999-01-02T01:59:59Z"),
        json!("\u{0}\n\r\u{202e}"),
        json!("<html>"),
        json!("../../.."),
        json!("%2f?#&="),
    ];
    all[choices.below(all.len())].clone()
}

/// The elements of a list, or a text, again and again.
fn repeat(node: &mut Value, times: usize, count: usize) {
    let times = times.clamp(1, (NODES_MOST / count.max(1)).max(1));
    match node {
        Value::Array(all) if !all.is_empty() => {
            *all = all.iter().cycle().take(all.len() * times).cloned().collect();
        }
        Value::String(text) => *text = text.repeat(times.min(TEXT_MOST / text.len().max(1))),
        other => {
            let one = other.take();
            *other = Value::Array(vec![one; times.min(NODES_MOST / count.max(1))]);
        }
    }
}

fn nudge(node: &mut Value, choices: &mut Choices<'_>) {
    let by = i64::from(choices.byte()) - 128;
    let by = by.saturating_mul([1, 1, 1_000, 1_000_000, 1 << 40][choices.below(5)]);
    if let Some(number) = node.as_i64() {
        *node = Value::Number(number.saturating_add(by).into());
    } else if let Some(number) = node.as_f64() {
        *node = Number::from_f64(number + by as f64).map_or(Value::Null, Value::Number);
    } else if let Value::Bool(flag) = node {
        *flag = !*flag;
    } else if let Value::String(text) = node {
        *text = match by % 3 {
            0 => text.to_uppercase(),
            1 => format!("{text}{by}"),
            _ => format!(" {text}"),
        };
    }
}

/// So many lists within each other.
fn deep(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
}

/// Gives a field of an object another name.
fn rename(node: &mut Value, choices: &mut Choices<'_>) {
    let Value::Object(all) = node else { return };
    let names: Vec<String> = all.keys().cloned().collect();
    if names.is_empty() {
        return;
    }
    let name = &names[choices.below(names.len())];
    if let Some(value) = all.remove(name) {
        all.insert(choices.text(), value);
    }
}

/// Leaves only the beginning.
fn cut(node: &mut Value, length: usize) {
    match node {
        Value::Array(all) => all.truncate(length),
        Value::String(text) => *text = text.chars().take(length).collect(),
        Value::Object(all) => {
            let names: Vec<String> = all.keys().skip(length).cloned().collect();
            for name in names {
                all.remove(&name);
            }
        }
        _ => {}
    }
}
