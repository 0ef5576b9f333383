//! `docs/runbook.md` has an entry for each message at warn and error, and for nothing else.
//!
//! What the functions and `mayfly` are built from is read as Rust's own tokens, so that a message is found however it is
//! laid out, and inside other macros too. What could hide one from this is refused: a message that is no plain text in the
//! call, and any use of `tracing` but by its five macros' full names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod guide;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use guide::{dangling, guide};
use source::{Level, Message, messages};

/// What no deployment runs: tests, and what only they use.
const NOT_RUN: [&str; 6] = ["benches", "examples", "infra", "simulator", "testkit", "tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All sources of what a deployment runs.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            let is_built = name.starts_with('.') || name.starts_with("target");
            if !is_built && !NOT_RUN.contains(&name) {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") && !name.ends_with("_tests.rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// Each message at warn and error, with its level and where it is written.
fn written() -> BTreeMap<String, (Level, Vec<String>)> {
    let root = root();
    let (mut paths, mut written, mut faults) = (Vec::new(), BTreeMap::new(), Vec::new());
    sources(&root, &mut paths);
    for path in paths {
        let file = path.strip_prefix(&root).unwrap().display().to_string();
        let (found, refused) = messages(&fs::read_to_string(&path).unwrap());
        faults.extend(refused.into_iter().map(|fault| format!("{file}: {fault}")));
        for Message { level, text } in found {
            let (known, places) = written.entry(text.clone()).or_insert_with(|| (level, Vec::new()));
            if *known != level {
                faults.push(format!("{file}: `{text}` is a warning in one place and an error in another"));
            }
            places.push(file.clone());
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    written
}

#[test]
fn the_guide_has_an_entry_for_each_message_and_none_for_what_is_not_written() {
    let (written, mut wrong) = (written(), Vec::new());
    assert!(written.len() > 40, "the sources were found: {written:#?}");
    let text = fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let entries = guide(&text);
    for (text, (level, places)) in &written {
        match entries.iter().filter(|entry| &entry.text == text).collect::<Vec<_>>()[..] {
            [] => wrong.push(format!("no entry: ### `{text}` ({level}), of {}", places.join(", "))),
            [entry] if entry.level != level.to_string() => {
                wrong.push(format!("`{text}` is {level} in the code, {} in the guide", entry.level));
            }
            [_] => {}
            [..] => wrong.push(format!("several entries: `{text}`")),
        }
    }
    for entry in &entries {
        if !written.contains_key(&entry.text) {
            wrong.push(format!("nothing writes `{}`", entry.text));
        }
        if entry.body.split_whitespace().count() < 15 {
            wrong.push(format!("`{}` says neither what it means nor what to do", entry.text));
        }
    }
    wrong.extend(dangling(&text).into_iter().map(|link| format!("no heading: #{link}")));
    assert!(wrong.is_empty(), "docs/runbook.md:\n{}", wrong.join("\n"));
}
