//! Keys: the developer guide's "Quotas" and "Primary key" say what they may be.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::error::{Refusal, invalid};
use crate::value::{Item, type_name};
use crate::{PARTITION_KEY, SORT_KEY};

const LONGEST_PARTITION_KEY: usize = 2048;
const LONGEST_SORT_KEY: usize = 1024;
const MISMATCH: &str = "The provided key element does not match the schema";

/// The partition key and the sort key of a key, which has no other attributes.
pub(crate) fn of_key(key: &Item) -> Result<(&str, &str), Refusal> {
    let texts = || Some((text(key, PARTITION_KEY)?, text(key, SORT_KEY)?));
    match texts() {
        Some(key_texts) if key.len() == 2 => of_length(key_texts),
        _ => Err(invalid(MISMATCH)),
    }
}

/// The partition key and the sort key of a whole item.
pub(crate) fn of_item(item: &Item) -> Result<(&str, &str), Refusal> {
    let text = |name: &str| match item.get(name) {
        Some(AttributeValue::S(value)) => Ok(value.as_str()),
        Some(other) => Err(invalid(format!(
            "One or more parameter values were invalid: Type mismatch for key {name} expected: S actual: {}",
            type_name(other)
        ))),
        None => Err(invalid(format!(
            "One or more parameter values were invalid: Missing the key {name} in the item"
        ))),
    };
    of_length((text(PARTITION_KEY)?, text(SORT_KEY)?))
}

/// That neither key is an empty text.
pub(crate) fn not_empty(item: &Item) -> Result<(), Refusal> {
    for name in [PARTITION_KEY, SORT_KEY] {
        if text(item, name) == Some("") {
            return Err(invalid(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot \
                 contain an empty string value. Key: {name}"
            )));
        }
    }
    Ok(())
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn of_length<'a>((pk, sk): (&'a str, &'a str)) -> Result<(&'a str, &'a str), Refusal> {
    for (key, longest, which) in [(pk, LONGEST_PARTITION_KEY, "hashkey"), (sk, LONGEST_SORT_KEY, "rangekey")]
    {
        if key.len() > longest {
            return Err(invalid(format!(
                "One or more parameter values were invalid: Size of {which} has exceeded the maximum size \
                 limit of {longest} bytes"
            )));
        }
    }
    Ok((pk, sk))
}
