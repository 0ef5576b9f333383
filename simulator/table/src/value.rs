//! Attribute values: which are valid, how they are kept, how large they are, and how they compare.

use std::cmp::Ordering;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::error::{Refusal, invalid};
use crate::number::{Number, is_plain_integer};

/// An item's attributes, as the AWS SDK has them.
pub type Item = HashMap<String, AttributeValue>;

/// The developer guide's "Quotas": nesting of lists and maps, and an item's size.
const DEEPEST: usize = 32;
pub(crate) const LARGEST_ITEM: usize = 400 * 1024;

/// The types of values, by the names that the service's API has for them.
pub(crate) const TYPES: [&str; 10] = ["B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"];

pub(crate) fn type_name(value: &AttributeValue) -> &'static str {
    use AttributeValue as V;
    match value {
        V::S(_) => "S",
        V::N(_) => "N",
        V::B(_) => "B",
        V::Bool(_) => "BOOL",
        V::Null(_) => "NULL",
        V::L(_) => "L",
        V::M(_) => "M",
        V::Ss(_) => "SS",
        V::Ns(_) => "NS",
        V::Bs(_) => "BS",
        V::Unknown { .. } | _ => "?",
    }
}

/// Whether a request may carry these attributes at all.
pub(crate) fn check_all(values: &Item) -> Result<(), Refusal> {
    // In whatever order: the refusals differ in nothing but their words.
    #[expect(clippy::iter_over_hash_type, reason = "every refusal has the same code")]
    for (name, value) in values {
        if name.is_empty() {
            return Err(invalid("Empty attribute name"));
        }
        check(value, 0)?;
    }
    Ok(())
}

fn check(value: &AttributeValue, depth: usize) -> Result<(), Refusal> {
    use AttributeValue as V;
    if depth > DEEPEST {
        return Err(invalid("Nesting Levels have exceeded supported limits"));
    }
    match value {
        V::S(_) | V::B(_) | V::Bool(_) => Ok(()),
        V::Null(is_null) => is_null
            .then_some(())
            .ok_or_else(|| invalid("Null attribute value types must have the value of true")),
        V::N(number) => check_number(number),
        V::L(list) => list.iter().try_for_each(|value| check(value, depth + 1)),
        V::M(map) => map.iter().try_for_each(|(name, value)| {
            if name.is_empty() { Err(invalid("Empty attribute name")) } else { check(value, depth + 1) }
        }),
        V::Ss(set) => check_set(set.iter()),
        V::Ns(set) => {
            set.iter().try_for_each(|number| check_number(number))?;
            check_set(set.iter().filter_map(|number| Number::parse(number).map(Number::text)))
        }
        V::Bs(set) => check_set(set.iter().map(AsRef::as_ref)),
        V::Unknown { .. } | _ => Err(invalid(
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        )),
    }
}

fn check_number(text: &str) -> Result<(), Refusal> {
    if is_plain_integer(text) || Number::parse(text).is_some() {
        return Ok(());
    }
    Err(invalid(format!("The parameter cannot be converted to a numeric value: {text}")))
}

fn check_set<T: Ord>(members: impl Iterator<Item = T>) -> Result<(), Refusal> {
    let mut members: Vec<T> = members.collect();
    if members.is_empty() {
        return Err(invalid("One or more parameter values were invalid: a set may not be empty"));
    }
    members.sort_unstable();
    if members.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(invalid(
            "One or more parameter values were invalid: Input collection contains duplicates",
        ));
    }
    Ok(())
}

/// The value as it is kept: its numbers written in the one way that the service writes them.
pub(crate) fn kept(value: &AttributeValue) -> AttributeValue {
    let mut value = value.clone();
    normalise(&mut value);
    value
}

pub(crate) fn kept_item(item: &Item) -> Item {
    let mut item = item.clone();
    item.values_mut().for_each(normalise);
    item
}

fn normalise(value: &mut AttributeValue) {
    use AttributeValue as V;
    match value {
        V::N(number) => normalise_number(number),
        V::Ns(set) => set.iter_mut().for_each(normalise_number),
        V::L(list) => list.iter_mut().for_each(normalise),
        V::M(map) => map.values_mut().for_each(normalise),
        V::S(_) | V::B(_) | V::Bool(_) | V::Null(_) | V::Ss(_) | V::Bs(_) => {}
        V::Unknown { .. } | _ => {}
    }
}

fn normalise_number(text: &mut String) {
    if !is_plain_integer(text)
        && let Some(number) = Number::parse(text)
    {
        *text = number.text();
    }
}

/// What the item counts for against an item's limit and a page's: the developer guide's "DynamoDB item sizes and
/// formats".
pub(crate) fn item_size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size(value)).sum()
}

fn size(value: &AttributeValue) -> usize {
    use AttributeValue as V;
    match value {
        V::S(text) => text.len(),
        V::N(number) => number_size(number),
        V::B(bytes) => bytes.as_ref().len(),
        V::Ss(set) => set.iter().map(String::len).sum(),
        V::Ns(set) => set.iter().map(|number| number_size(number)).sum(),
        V::Bs(set) => set.iter().map(|bytes| bytes.as_ref().len()).sum(),
        V::L(list) => 3 + list.iter().map(|value| 1 + size(value)).sum::<usize>(),
        V::M(map) => 3 + map.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>(),
        V::Bool(_) | V::Null(_) | V::Unknown { .. } | _ => 1,
    }
}

/// A byte for two significant digits, and one more; the guide gives no closer rule.
fn number_size(text: &str) -> usize {
    text.len().div_ceil(2) + 1
}

/// Whether two values are equal: numbers by what they are worth, sets in any order.
pub(crate) fn equal(one: &AttributeValue, other: &AttributeValue) -> bool {
    use AttributeValue as V;
    match (one, other) {
        (V::N(one), V::N(other)) => one == other || order_of_numbers(one, other) == Some(Ordering::Equal),
        (V::L(one), V::L(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (V::M(one), V::M(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| equal(one, other)))
        }
        (V::Ss(one), V::Ss(other)) => same_members(one, other, |one, other| one == other),
        (V::Bs(one), V::Bs(other)) => same_members(one, other, |one, other| one == other),
        (V::Ns(one), V::Ns(other)) => {
            same_members(one, other, |one, other| order_of_numbers(one, other) == Some(Ordering::Equal))
        }
        _ => one == other,
    }
}

/// Sets hold no member twice, so as many that are all found are the same.
fn same_members<T>(one: &[T], other: &[T], equal: impl Fn(&T, &T) -> bool) -> bool {
    one.len() == other.len() && one.iter().all(|one| other.iter().any(|other| equal(one, other)))
}

/// How two values of a type that has an order compare; `None` for others, and for two of different types.
pub(crate) fn order(one: &AttributeValue, other: &AttributeValue) -> Option<Ordering> {
    use AttributeValue as V;
    match (one, other) {
        (V::S(one), V::S(other)) => Some(one.as_bytes().cmp(other.as_bytes())),
        (V::N(one), V::N(other)) => order_of_numbers(one, other),
        (V::B(one), V::B(other)) => Some(one.as_ref().cmp(other.as_ref())),
        _ => None,
    }
}

fn order_of_numbers(one: &str, other: &str) -> Option<Ordering> {
    Some(Number::parse(one)?.cmp(&Number::parse(other)?))
}

/// Whether a text or a binary contains a part, or a set or a list a member.
pub(crate) fn contains(whole: &AttributeValue, part: &AttributeValue) -> bool {
    use AttributeValue as V;
    match (whole, part) {
        (V::S(whole), V::S(part)) => whole.contains(part.as_str()),
        (V::B(whole), V::B(part)) => {
            let (whole, part) = (whole.as_ref(), part.as_ref());
            part.is_empty() || whole.windows(part.len()).any(|window| window == part)
        }
        (V::Ss(set), V::S(member)) => set.contains(member),
        (V::Ns(set), V::N(member)) => {
            set.iter().any(|one| order_of_numbers(one, member) == Some(Ordering::Equal))
        }
        (V::Bs(set), V::B(member)) => set.contains(member),
        (V::L(list), member) => list.iter().any(|one| equal(one, member)),
        _ => false,
    }
}

pub(crate) fn begins_with(whole: &AttributeValue, prefix: &AttributeValue) -> bool {
    use AttributeValue as V;
    match (whole, prefix) {
        (V::S(whole), V::S(prefix)) => whole.starts_with(prefix.as_str()),
        (V::B(whole), V::B(prefix)) => whole.as_ref().starts_with(prefix.as_ref()),
        _ => false,
    }
}

/// What the function `size` says of a value; nothing of one that has none.
pub(crate) fn count(value: &AttributeValue) -> Option<usize> {
    use AttributeValue as V;
    match value {
        V::S(text) => Some(text.encode_utf16().count()),
        V::B(bytes) => Some(bytes.as_ref().len()),
        V::Ss(set) | V::Ns(set) => Some(set.len()),
        V::Bs(set) => Some(set.len()),
        V::L(list) => Some(list.len()),
        V::M(map) => Some(map.len()),
        V::N(_) | V::Bool(_) | V::Null(_) | V::Unknown { .. } | _ => None,
    }
}
