//! Strictness: what a request may hold. Unknown names and wrong types are refused, not shrugged off.

use serde_json::Value;

/// What a JSON value, or a parameter in a query, must look like.
#[derive(Debug)]
pub enum Shape {
    /// Anything: a part of the API that the simulator does not look into.
    Any,
    /// A string.
    Text,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An integer.
    Int,
    /// A 64-bit integer, which Google writes in a string.
    Int64,
    /// true or false.
    Bool,
    /// An array.
    List(&'static Shape),
    /// An object with any names.
    Map(&'static Shape),
    /// An object with these names only; the first list says which are required.
    Object(&'static [&'static str], &'static [(&'static str, Shape)]),
}

/// A parameter that a query may hold.
pub type Parameter = (&'static str, Shape);

/// Where a value does not fit, and why.
pub type Misfit = String;

impl Shape {
    /// Hold a JSON value against the shape. `place` names the value in the message.
    pub fn check(&self, value: &Value, place: &str) -> Result<(), Misfit> {
        match self {
            Self::Any => Ok(()),
            Self::Text => expect(value.is_string(), place, "a string"),
            Self::OneOf(choices) => {
                let fits = value.as_str().is_some_and(|text| choices.contains(&text));
                expect(fits, place, &format!("one of {}", choices.join(", ")))
            }
            Self::Int => expect(value.is_i64() || value.is_u64(), place, "an integer"),
            Self::Int64 => {
                let fits = value.as_str().is_some_and(|text| text.parse::<i64>().is_ok());
                expect(fits, place, "a 64-bit integer in a string")
            }
            Self::Bool => expect(value.is_boolean(), place, "a boolean"),
            Self::List(item) => {
                let items = value.as_array().ok_or_else(|| wanted(place, "an array"))?;
                items.iter().try_for_each(|each| item.check(each, &format!("{place}[]")))
            }
            Self::Map(item) => {
                let entries = value.as_object().ok_or_else(|| wanted(place, "an object"))?;
                entries.iter().try_for_each(|(name, each)| item.check(each, &format!("{place}.{name}")))
            }
            Self::Object(required, fields) => check_object(required, fields, value, place),
        }
    }

    /// Hold a parameter's text against the shape.
    fn check_text(&self, text: &str, place: &str) -> Result<(), Misfit> {
        match self {
            Self::Int | Self::Int64 => expect(text.parse::<i64>().is_ok(), place, "an integer"),
            Self::Bool => expect(text == "true" || text == "false", place, "true or false"),
            Self::OneOf(choices) => {
                expect(choices.contains(&text), place, &format!("one of {}", choices.join(", ")))
            }
            Self::Any | Self::Text | Self::List(_) | Self::Map(_) | Self::Object(..) => Ok(()),
        }
    }
}

/// Hold a query against the parameters that a call has.
pub fn check_query(allowed: &[&[Parameter]], query: &[(String, String)]) -> Result<(), Misfit> {
    for (at, (name, text)) in query.iter().enumerate() {
        let shape = allowed.iter().copied().flatten().find(|(known, _)| known == name);
        let (_, shape) = shape.ok_or_else(|| format!("unknown query parameter {name}"))?;
        if query[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(format!("query parameter {name} is given twice"));
        }
        shape.check_text(text, &format!("query parameter {name}"))?;
    }
    Ok(())
}

fn check_object(
    required: &[&str],
    fields: &[(&str, Shape)],
    value: &Value,
    place: &str,
) -> Result<(), Misfit> {
    let entries = value.as_object().ok_or_else(|| wanted(place, "an object"))?;
    if let Some(missing) = required.iter().find(|name| !entries.contains_key(**name)) {
        return Err(format!("{place}.{missing} is missing"));
    }
    for (name, each) in entries {
        let shape = fields.iter().find(|(known, _)| known == name);
        let (_, shape) = shape.ok_or_else(|| format!("unknown field {place}.{name}"))?;
        shape.check(each, &format!("{place}.{name}"))?;
    }
    Ok(())
}

fn expect(fits: bool, place: &str, what: &str) -> Result<(), Misfit> {
    if fits { Ok(()) } else { Err(wanted(place, what)) }
}

fn wanted(place: &str, what: &str) -> Misfit {
    format!("{place} must be {what}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static PERSON: Shape = Shape::Object(
        &["name"],
        &[("name", Shape::Text), ("age", Shape::Int), ("friends", Shape::List(&Shape::Text))],
    );

    #[test]
    fn a_misfit_says_where_it_is() {
        let check = |value: Value| PERSON.check(&value, "body");
        assert_eq!(check(json!({ "name": "Mona", "age": 8, "friends": ["Hubot"] })), Ok(()));
        assert_eq!(check(json!({ "age": 8 })), Err("body.name is missing".to_owned()));
        assert_eq!(check(json!({ "name": "Mona", "size": 1 })), Err("unknown field body.size".to_owned()));
        let friends = check(json!({ "name": "Mona", "friends": [1] }));
        assert_eq!(friends, Err("body.friends[] must be a string".to_owned()));
    }

    #[test]
    fn a_query_holds_known_parameters_once() {
        const PAGE: &[Parameter] = &[("page", Shape::Int)];
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(check_query(&[PAGE], &[pair("page", "2")]), Ok(()));
        assert!(check_query(&[PAGE], &[pair("page", "two")]).is_err());
        assert!(check_query(&[PAGE], &[pair("size", "2")]).is_err());
        assert!(check_query(&[PAGE], &[pair("page", "2"), pair("page", "3")]).is_err());
    }
}
