//! The rows of the page, and the bounds that it says are none.

use std::collections::BTreeSet;

/// A file from the root of the repository, and a constant's name in it.
pub type Place = (String, String);

/// How a row is known to be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    Tests(Vec<String>),
    /// By reading only, for a reason.
    Read,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub what: String,
    pub limit: String,
    /// In bytes, milliseconds or as many as there are.
    pub value: Option<i128>,
    /// None where the limit is somebody else's: a library's, or a service's.
    pub place: Option<Place>,
    pub proof: Proof,
}

#[derive(Debug, Default)]
pub struct Page {
    pub rows: Vec<Row>,
    pub exceptions: BTreeSet<Place>,
    pub faults: Vec<String>,
}

const HEAD: [&str; 6] = ["what", "limit", "why", "where", "beyond it", "test"];

pub fn page(markdown: &str) -> Page {
    let mut page = Page::default();
    for line in markdown.lines() {
        if let Some(cells) = cells(line) {
            if cells != HEAD && !cells.iter().all(|cell| cell.starts_with("---")) {
                row(&cells, &mut page);
            }
        } else if let Some(entry) = line.strip_prefix("- `") {
            let quoted = quoted(&format!("`{entry}"));
            match (&quoted[..], entry.split_once("`: ")) {
                ([file, name, ..], Some((_, reason))) if reason.split_whitespace().count() > 2 => {
                    page.exceptions.insert((file.clone(), name.clone()));
                }
                _ => page.faults.push(format!("no exception with its reason: {line}")),
            }
        }
    }
    page
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

fn row(cells: &[&str], page: &mut Page) {
    let [what, limit, why, place, beyond, test] = cells else {
        page.faults.push(format!("a row has {} cells: {}", cells.len(), cells.join(" | ")));
        return;
    };
    if [what, why, beyond].iter().any(|cell| cell.is_empty()) {
        page.faults.push(format!("a cell is empty: {}", cells.join(" | ")));
    }
    let names = quoted(test);
    let proof = match test.strip_prefix("by reading: ") {
        Some(reason) if !reason.is_empty() => Proof::Read,
        _ if names.is_empty() => {
            page.faults.push(format!("no test and no reason: {what}"));
            Proof::Read
        }
        _ => Proof::Tests(names),
    };
    let place = match &quoted(place)[..] {
        [file, name] if file.ends_with(".rs") => Some((file.clone(), name.clone())),
        _ if place.contains(".rs") => {
            page.faults.push(format!("no file and constant: {place}"));
            None
        }
        _ => None,
    };
    let (what, limit) = ((*what).to_owned(), (*limit).to_owned());
    page.rows.push(Row { what, value: value(&limit), limit, place, proof });
}

/// What stands in backquotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A number with its unit, at the beginning: `4 MiB`, `1,000 labels`, `90 s`.
pub fn value(limit: &str) -> Option<i128> {
    let mut words = limit.split_whitespace();
    let number: i128 = words.next()?.replace(',', "").parse().ok()?;
    let unit = match words.next().map(|unit| unit.trim_end_matches(',')) {
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        Some("s") => 1_000,
        Some("min") => 60_000,
        Some("h") => 3_600_000,
        Some("days") => 24 * 3_600_000,
        Some(_) | None => 1,
    };
    Some(number * unit)
}

#[test]
fn a_limit_is_a_number_with_its_unit() {
    for (text, expected) in [
        ("4 MiB", Some(4 << 20)),
        ("1,000 labels", Some(1_000)),
        ("90 s", Some(90_000)),
        ("35 days", Some(35 * 24 * 3_600_000)),
        ("250 ms", Some(250)),
        ("3 s, and half more", Some(3_000)),
        ("24", Some(24)),
        ("some", None),
        ("", None),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn a_row_without_its_parts_is_a_fault() {
    let faults = |row: &str| page(row).faults.len();
    assert_eq!(faults("| a | 1 | b | `a.rs` `A` | c | `d` |"), 0);
    assert_eq!(faults("| a | 1 | b | hyper's own | c | by reading: it is not ours |"), 0);
    for wrong in [
        "| a | 1 | b | `a.rs` `A` | c |",
        "| a | 1 |  | `a.rs` `A` | c | `d` |",
        "| a | 1 | b | `a.rs` | c | `d` |",
        "| a | 1 | b | `a.rs` `A` | c | |",
        "| a | 1 | b | `a.rs` `A` | c | by reading: |",
        "- `a.rs` `A`: no",
    ] {
        assert_eq!(faults(wrong), 1, "{wrong}");
    }
}
