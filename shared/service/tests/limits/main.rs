//! `docs/limits.md` has a row for each constant that is a bound, with its value, and each row's tests are there.
//!
//! What a deployment runs is read as Rust's own tokens. A constant whose name says that it is a bound must have a row, or be
//! named with a reason among those that are none; a row must name a constant that is there, and say its value.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod page;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use page::{Page, Proof, page};
use source::{Constant, constants, tests};

/// What a stranger, the configuration or another machine can reach.
const FOLDERS: [&str; 6] = [
    "shared/core/src",
    "shared/service/src",
    "functions/webhook/src",
    "functions/sweeper/src",
    "cli/src/host",
    "cli/src/github_app",
];
/// What the names of bounds have in them, as words.
const BOUNDS: [&str; 10] =
    ["MOST", "MAX", "LONGEST", "LIMIT", "LENGTH", "TRIES", "PAGES", "ONCE", "TIMEOUT", "LOOKS"];
/// So many rows are at least to be shown by a test, of ten.
const TESTED_OF_TEN: usize = 9;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All sources below a folder, by their path from the root.
fn sources(folder: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder == "." { name.clone() } else { format!("{folder}/{name}") };
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && !name.starts_with("target") {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.insert(path.clone(), fs::read_to_string(root().join(path)).unwrap());
        }
    }
}

/// The constants of what is run, by file and name; those of one name in one file have one value.
fn written() -> BTreeMap<(String, String), Constant> {
    let mut files = BTreeMap::new();
    FOLDERS.iter().for_each(|folder| sources(folder, &mut files));
    let is_run = |path: &String| !path.ends_with("tests.rs");
    let mut found = BTreeMap::new();
    for (path, text) in files.iter().filter(|(path, _)| is_run(path)) {
        for constant in constants(text) {
            found.insert((path.clone(), constant.name.clone()), constant);
        }
    }
    found
}

fn is_bound(constant: &Constant) -> bool {
    constant.value.is_some() && constant.name.split('_').any(|word| BOUNDS.contains(&word))
}

/// What rows say of constants that is not so, and which bounds no row has.
fn misfits(page: &Page, written: &BTreeMap<(String, String), Constant>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut named = BTreeSet::new();
    for row in &page.rows {
        let Some(place) = &row.place else { continue };
        if !named.insert(place.clone()) {
            wrong.push(format!("{} {} has two rows", place.0, place.1));
        }
        match written.get(place).map(|constant| constant.value) {
            None => wrong.push(format!("{} has no constant {}", place.0, place.1)),
            Some(None) => wrong.push(format!("{} {} has a value that cannot be read", place.0, place.1)),
            Some(Some(value)) if row.value != Some(value) => {
                wrong.push(format!("{} {} is {value}, and `{}` in its row", place.0, place.1, row.limit));
            }
            Some(Some(_)) => {}
        }
    }
    for place in &page.exceptions {
        if !written.get(place).is_some_and(is_bound) {
            wrong.push(format!("{} {} is no bound, and need not be excepted", place.0, place.1));
        }
        if named.contains(place) {
            wrong.push(format!("{} {} has a row, and is excepted", place.0, place.1));
        }
    }
    let bounds = written.iter().filter(|(_, constant)| is_bound(constant)).map(|(place, _)| place);
    let missing = bounds.filter(|place| !named.contains(place) && !page.exceptions.contains(place));
    wrong.extend(missing.map(|(file, name)| format!("no row: `{file}` `{name}`")));
    wrong
}

#[test]
fn each_bound_has_a_row_with_its_value_and_its_test() {
    let (page, written) = (page(&fs::read_to_string(root().join("docs/limits.md")).unwrap()), written());
    assert!(page.rows.len() > 80 && written.len() > 150, "{} {}", page.rows.len(), written.len());
    let mut wrong = page.faults.clone();
    wrong.extend(misfits(&page, &written));
    let mut files = BTreeMap::new();
    sources(".", &mut files);
    let known: BTreeSet<String> = files.values().flat_map(|text| tests(text)).collect();
    for row in &page.rows {
        if let Proof::Tests(names) = &row.proof {
            let gone = names.iter().filter(|name| !known.contains(*name));
            wrong.extend(gone.map(|name| format!("no test is called `{name}`: {}", row.what)));
        }
    }
    let tested = page.rows.iter().filter(|row| matches!(row.proof, Proof::Tests(_))).count();
    if tested * 10 < page.rows.len() * TESTED_OF_TEN {
        wrong.push(format!("only {tested} of {} rows are shown by a test", page.rows.len()));
    }
    assert!(wrong.is_empty(), "docs/limits.md:\n{}", wrong.join("\n"));
}

/// The check itself: what it must find.
#[test]
fn a_page_that_is_behind_the_code_is_found_out() {
    let constant = |name: &str, value: i128| Constant { name: name.to_owned(), value: Some(value) };
    let place = |name: &str| ("a.rs".to_owned(), name.to_owned());
    let written: BTreeMap<_, _> = [("BODY_MOST", 1 << 20), ("TRIES", 3), ("PORT", 80), ("PAGES_MAX", 9)]
        .map(|(name, value)| (place(name), constant(name, value)))
        .into();
    let row = |limit: &str, name: &str| format!("| a | {limit} | b | `a.rs` `{name}` | c | `d` |\n");
    let head = "| what | limit | why | where | beyond it | test |\n| --- | --- | --- | --- | --- | --- |\n";
    let none = "## Not bounds\n- `a.rs` `PAGES_MAX`: it is another's.\n";
    let read =
        |rows: &[String], more: &str| misfits(&page(&format!("{head}{}\n{more}", rows.concat())), &written);
    let right = [row("1 MiB", "BODY_MOST"), row("3 tries", "TRIES")];
    assert_eq!(read(&right, none), Vec::<String>::new());
    assert_eq!(read(&right, ""), ["no row: `a.rs` `PAGES_MAX`"]);
    assert_eq!(read(&right[1..], none), ["no row: `a.rs` `BODY_MOST`"]);
    assert_eq!(read(&[row("2 MiB", "BODY_MOST"), right[1].clone()], none).len(), 1);
    assert_eq!(read(&[right.concat(), row("3", "GONE_MOST")], none), ["a.rs has no constant GONE_MOST"]);
    assert_eq!(read(&right, &format!("{none}- `a.rs` `PORT`: it is no bound.\n")).len(), 1);
}
