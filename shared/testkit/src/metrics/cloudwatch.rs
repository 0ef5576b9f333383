//! CloudWatch's embedded metric format, held against its specification ("Embedded metric format specification", and the limits
//! of `MetricDatum` in CloudWatch's API reference).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The units that CloudWatch knows (`MetricDatum`, `Unit`).
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];
/// The largest log event that CloudWatch Logs has always taken.
const LINE_MOST: usize = 256 << 10;
const METRICS_MOST: usize = 100;
const DIMENSIONS_MOST: usize = 30;
const VALUES_MOST: usize = 100;
const NAME_MOST: usize = 255;
const DIMENSION_VALUE_MOST: usize = 1_024;

/// A metric in a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// Its values.
    pub values: Vec<f64>,
}

/// The metrics of all lines of a log that are in the format; what of one is not as it must be.
pub fn read(log: &str) -> Result<Vec<Datum>, String> {
    let lines = log.lines().filter(|line| line.contains("\"_aws\""));
    let read = lines.map(|line| read_line(line).map_err(|why| format!("{why}: {line}")));
    Ok(read.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn read_line(line: &str) -> Result<Vec<Datum>, String> {
    held(line.len() <= LINE_MOST, "too long")?;
    let root: Map<String, Value> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let about = object(root.get("_aws"), "_aws", &["Timestamp", "CloudWatchMetrics"])?;
    let milliseconds = about["Timestamp"].as_i64().ok_or("no whole timestamp")?;
    // Thirteen digits: milliseconds of this age.
    held((1_000_000_000_000..10_000_000_000_000).contains(&milliseconds), "no milliseconds")?;
    let mut data = Vec::new();
    for directive in array(&about["CloudWatchMetrics"], "CloudWatchMetrics", usize::MAX)? {
        read_directive(directive, &root, &mut data)?;
    }
    let mut names: Vec<&str> = data.iter().map(|datum| datum.name.as_str()).collect();
    names.sort_unstable();
    held(names.windows(2).all(|two| two[0] != two[1]), "a metric stands there twice")?;
    // Not a rule of the format, but nothing else is meant to be there.
    let is_used = |name: &String| {
        name == "_aws" || data.iter().any(|datum| datum.name == *name || datum.dimensions.contains_key(name))
    };
    held(root.keys().all(is_used), "a member that is neither metric nor dimension")?;
    Ok(data)
}

fn read_directive(directive: &Value, root: &Map<String, Value>, data: &mut Vec<Datum>) -> Result<(), String> {
    let directive = object(Some(directive), "directive", &["Namespace", "Dimensions", "Metrics"])?;
    let namespace = text(&directive["Namespace"], "namespace", NAME_MOST)?;
    held(!namespace.starts_with("AWS/") && !namespace.starts_with(':'), "a namespace of AWS's")?;
    let sets = array(&directive["Dimensions"], "dimensions", usize::MAX)?;
    held(sets.len() == 1, "one set of dimensions is meant to be there")?;
    let mut dimensions = BTreeMap::new();
    for name in array(&sets[0], "set of dimensions", DIMENSIONS_MOST)? {
        let name = text(name, "dimension", NAME_MOST)?;
        let value = text(root.get(&name).unwrap_or(&Value::Null), &name, DIMENSION_VALUE_MOST)?;
        held(value.is_ascii() && !value.trim().is_empty(), "a dimension's value is no text in ASCII")?;
        held(dimensions.insert(name, value).is_none(), "a dimension stands there twice")?;
    }
    for metric in array(&directive["Metrics"], "metrics", METRICS_MOST)? {
        let metric = object(Some(metric), "metric", &["Name", "Unit"])?;
        let name = text(&metric["Name"], "metric's name", NAME_MOST)?;
        let unit = text(&metric["Unit"], "unit", NAME_MOST)?;
        held(UNITS.contains(&unit.as_str()), "an unknown unit")?;
        let values = match root.get(&name) {
            Some(Value::Array(values)) => {
                held((1..=VALUES_MOST).contains(&values.len()), "too many values, or none")?;
                values.iter().map(Value::as_f64).collect()
            }
            Some(value) => value.as_f64().map(|value| vec![value]),
            None => None,
        };
        let values: Vec<f64> = values.ok_or(format!("{name} is no number"))?;
        let dimensions = dimensions.clone();
        data.push(Datum { namespace: namespace.clone(), name, unit, dimensions, values });
    }
    Ok(())
}

fn held(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// An object with these members, and no others.
fn object<'a>(
    value: Option<&'a Value>,
    what: &str,
    members: &[&str],
) -> Result<&'a Map<String, Value>, String> {
    let object = value.and_then(Value::as_object).ok_or(format!("{what} is no object"))?;
    let right = object.len() == members.len() && members.iter().all(|name| object.contains_key(*name));
    held(right, &format!("{what} has other members than {members:?}"))?;
    Ok(object)
}

fn array<'a>(value: &'a Value, what: &str, most: usize) -> Result<&'a [Value], String> {
    let array = value.as_array().ok_or(format!("{what}: no array"))?;
    held((1..=most).contains(&array.len()), &format!("{what}: too many, or none"))?;
    Ok(array)
}

fn text(value: &Value, what: &str, most: usize) -> Result<String, String> {
    let text = value.as_str().ok_or(format!("{what} is no text"))?;
    held((1..=most).contains(&text.len()), &format!("{what} is empty or too long"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"_aws":{"Timestamp":1700000000123,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["D"]],"Metrics":[{"Name":"M","Unit":"Count"}]}]},"D":"d","M":[1,2.5]}"#;

    #[test]
    fn a_good_line_is_read() {
        let log = format!("something else\n{GOOD}\n");
        let datum = read(&log).unwrap().remove(0);
        assert_eq!((datum.name.as_str(), datum.values), ("M", vec![1.0, 2.5]));
        assert_eq!(datum.dimensions, [("D".to_owned(), "d".to_owned())].into());
    }

    #[test]
    fn whatever_is_not_as_it_must_be_is_found() {
        let many = format!("[{}1]", "1,".repeat(100));
        for (from, to) in [
            ("1700000000123", "1700000000"),
            ("\"N\"", "\"AWS/Lambda\""),
            ("\"Count\"", "\"Counts\""),
            ("\"D\":\"d\"", "\"D\":7"),
            ("\"D\":\"d\"", "\"E\":\"d\""),
            ("[1,2.5]", "[]"),
            ("[1,2.5]", "\"1\""),
            ("[1,2.5]", many.as_str()),
            ("[1,2.5]}", "[1,2.5],\"job\":7}"),
            ("[1,2.5]}", "[1,2.5]} "),
            ("\"Unit\":\"Count\"", "\"Unit\":\"Count\",\"Other\":1"),
        ] {
            let broken = GOOD.replace(from, to);
            assert_ne!(broken, GOOD, "{from}");
            // Blanks at the end are none of JSON's business.
            assert_eq!(read(&broken).is_err(), !broken.ends_with(' '), "{broken}");
        }
        assert!(read(&format!("INFO {GOOD}")).is_err(), "something stands before it");
    }
}
