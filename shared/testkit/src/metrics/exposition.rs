//! Prometheus' text format 0.0.4, read as strictly as its description ("Exposition formats") and its naming rules allow.

use std::collections::{BTreeMap, BTreeSet};

/// A metric's labels.
pub type Labels = BTreeMap<String, String>;

/// A metric with all its series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Each series' name (of a histogram `_bucket`, `_sum` and `_count` are its own), labels and value.
    pub series: Vec<(String, Labels, f64)>,
}

impl Family {
    /// The value of the series with that name and these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: Labels =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = self.series.iter().find(|(known, labels, _)| known == name && *labels == wanted);
        found.map(|(_, _, value)| *value)
    }
}

/// All metrics of a text; what in it is not as it must be.
pub fn read(text: &str) -> Result<BTreeMap<String, Family>, String> {
    held(text.is_empty() || text.ends_with('\n'), "the last line has no end")?;
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut helped: Option<&str> = None;
    let mut current: Option<String> = None;
    for line in text.lines() {
        let told = |why: String| format!("{why}: {line}");
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, says) = help.split_once(' ').ok_or(told("no help".to_owned()))?;
            held(!families.contains_key(name) && !says.is_empty(), &told("twice, or empty".to_owned()))?;
            helped = Some(name);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').ok_or(told("no type".to_owned()))?;
            held(helped == Some(name), &told("not after its help".to_owned()))?;
            held(is_name(name, ":"), &told("no name".to_owned()))?;
            held(["counter", "gauge", "histogram"].contains(&kind), &told("unknown type".to_owned()))?;
            held(
                (kind == "counter") == name.ends_with("_total"),
                &told("`_total` is a counter's".to_owned()),
            )?;
            families.insert(name.to_owned(), Family { kind: kind.to_owned(), series: Vec::new() });
            current = Some(name.to_owned());
        } else {
            let (name, labels, value) = series(line).map_err(told)?;
            let family = current.as_ref().and_then(|current| Some((current, families.get_mut(current)?)));
            let (of, family) = family.ok_or(told("no type before it".to_owned()))?;
            let suffix = name.strip_prefix(of.as_str()).ok_or(told(format!("stands among {of}")))?;
            let fits = match family.kind.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                _ => suffix.is_empty(),
            };
            held(fits && value.is_finite() && value >= 0.0, &told("no series of it".to_owned()))?;
            let twice = family.series.iter().any(|(known, at, _)| *known == name && *at == labels);
            held(!twice, &told("twice".to_owned()))?;
            family.series.push((name, labels, value));
        }
    }
    for (name, family) in &families {
        held(!family.series.is_empty(), &format!("{name} has no series"))?;
        if family.kind == "histogram" {
            histogram(name, family)?;
        }
    }
    Ok(families)
}

/// A histogram's buckets go up to `+Inf`, count more and more, and in the end all.
fn histogram(name: &str, family: &Family) -> Result<(), String> {
    let without_bound = |labels: &Labels| {
        let mut labels = labels.clone();
        labels.remove("le");
        labels
    };
    let groups: BTreeSet<Labels> = family.series.iter().map(|(_, labels, _)| without_bound(labels)).collect();
    for group in groups {
        let of_group = family.series.iter().filter(|(_, labels, _)| without_bound(labels) == group);
        let mut buckets = Vec::new();
        let mut single = BTreeMap::new();
        for (series, labels, value) in of_group {
            match (series.strip_prefix(name), labels.get("le")) {
                (Some("_bucket"), Some(bound)) => {
                    let bound = if bound == "+Inf" { Ok(f64::INFINITY) } else { bound.parse::<f64>() };
                    buckets.push((bound.map_err(|error| format!("{name}: {error}"))?, *value));
                }
                (Some(suffix), None) => {
                    single.insert(suffix, *value);
                }
                (Some(_) | None, _) => return Err(format!("{name}: `le` is a bucket's")),
            }
        }
        let rises = buckets.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1);
        held(rises, &format!("{name}: the buckets do not rise: {buckets:?}"))?;
        let all = single.get("_count").copied();
        let ends = buckets.last().is_some_and(|(bound, count)| bound.is_infinite() && Some(*count) == all);
        held(ends && single.contains_key("_sum"), &format!("{name}: {buckets:?} and {single:?}"))?;
    }
    Ok(())
}

/// `name{label="value",…} value`
fn series(line: &str) -> Result<(String, Labels, f64), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    held(is_name(name, ":"), "no name")?;
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("no label")?;
            held(is_name(label, "") && !label.starts_with("__"), "no label's name")?;
            let (value, after) = unescaped(after)?;
            held(labels.insert(label.to_owned(), value).is_none(), "a label twice")?;
            if let Some(after) = after.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = after.strip_prefix(',').ok_or("no comma")?;
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let value = value.parse().map_err(|_| format!("`{value}` is no number"))?;
    Ok((name.to_owned(), labels, value))
}

/// A label's value, and what comes after the quotation mark that ends it.
fn unescaped(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match signs.next() {
                Some((_, 'n')) => '\n',
                Some((_, sign @ ('\\' | '"'))) => sign,
                _ => return Err("an unknown escape".to_owned()),
            }),
            sign => value.push(sign),
        }
    }
    Err("a label's value does not end".to_owned())
}

fn is_name(name: &str, more: &str) -> bool {
    let fine = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || more.contains(sign);
    !name.is_empty() && name.chars().all(fine) && !name.starts_with(|sign: char| sign.is_ascii_digit())
}

fn held(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a_total As.\n# TYPE a_total counter\na_total{p=\"x\\\"\\n\"} 2\na_total 1\n\
        # HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 7.5\nh_count 3\n";

    #[test]
    fn a_good_text_is_read() {
        let families = read(GOOD).unwrap();
        assert_eq!(families["a_total"].value("a_total", &[("p", "x\"\n")]), Some(2.0));
        assert_eq!(families["h"].value("h_sum", &[]), Some(7.5));
        assert_eq!(read("").unwrap(), BTreeMap::new());
    }

    #[test]
    fn whatever_is_not_as_it_must_be_is_found() {
        for (from, to) in [
            ("a_total 1\n", "a_total 1"),
            ("# HELP h H.\n", ""),
            ("a_total 1\n", "a_total 1\na_total 1\n"),
            ("a_total 1\n", "b_total 1\n"),
            ("TYPE a_total counter", "TYPE a_total gauge"),
            ("{p=\"x", "{p=x\""),
            ("\\n", "\\t"),
            ("a_total 1\n", "a_total one\n"),
            ("a_total 1\n", "a_total NaN\n"),
            ("\"+Inf\"} 3", "\"+Inf\"} 2"),
            ("h_bucket{le=\"+Inf\"} 3\n", ""),
            ("h_bucket{le=\"1\"} 1", "h_bucket{le=\"1\"} 4"),
            ("h_sum 7.5\n", ""),
            ("le=\"1\"", "q=\"1\""),
        ] {
            let at = if from.ends_with("1\n") && !to.ends_with('\n') { GOOD.find("# HELP h") } else { None };
            let text = at.map_or(GOOD, |at| &GOOD[..at]);
            let broken = text.replacen(from, to, 1);
            assert_ne!(broken, text, "{from}");
            assert!(read(&broken).is_err(), "{broken}");
        }
    }
}
