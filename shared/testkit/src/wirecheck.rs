//! The vendors' published API descriptions, held against a simulator's traffic log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Fails when a call in the log is not as the vendors publish it. The checker lies beside the repository; where it is
/// not at hand, this says that it was skipped.
///
/// # Panics
/// When the log holds a violation, or the checker cannot be run.
#[expect(clippy::panic, reason = "it is an assertion of tests")]
pub fn wirecheck(log: &Path) {
    // A story in which nobody called anybody has nothing to check.
    if std::fs::metadata(log).is_ok_and(|log| log.len() == 0) {
        return;
    }
    let repository: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect();
    let tool: PathBuf = repository.join("../shared/tools/wirecheck");
    if !tool.exists() {
        println!("skipped: no wirecheck beside the repository");
        return;
    }
    match Command::new(&tool).arg(log).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "the traffic is not as published:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("{}: {error}", tool.display()),
    }
}

/// The same for many small logs of one process. The checker takes a while, so it gets only such calls as no log had before.
/// The log is left with those.
///
/// # Panics
/// When the log holds a violation or cannot be read or written, or the checker cannot be run.
#[expect(clippy::panic, reason = "it is an assertion of tests")]
pub fn wirecheck_new(log: &Path) {
    static CHECKED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let text = std::fs::read_to_string(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    let new: Vec<&str> = {
        let mut checked = CHECKED.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |line: &&str| match serde_json::from_str(line) {
            Ok(call) => checked.insert(shape(&call)),
            Err(error) => panic!("{}: {error}: {line}", log.display()),
        };
        text.lines().filter(is_new).collect()
    };
    if let Err(error) = std::fs::write(log, new.join("\n")) {
        panic!("{}: {error}", log.display());
    }
    wirecheck(log);
}

/// A call without its values, except for those that a description restricts.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| match name.as_str() {
                "api" | "method" | "status" => format!("{name}={value}"),
                "path" => {
                    format!("{name}={}", value.to_string().replace(|sign: char| sign.is_ascii_digit(), ""))
                }
                _ => format!("{name}:{}", shape(value)),
            };
            fields.iter().map(field).collect::<Vec<_>>().join(" ")
        }
        Value::Array(values) => {
            values.iter().map(shape).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
        }
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "text".to_owned(),
    }
}
