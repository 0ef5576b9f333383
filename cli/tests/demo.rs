//! The demo, as a person runs it without a terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use mayfly_testkit::secrets::Canaries;
use mayfly_testkit::wirecheck;
use serde_json::Value;

use common::mayfly;

#[test]
fn a_demo_serves_its_jobs_leaves_nothing_and_tells_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let (wire, log) = (folder.path().join("wire.jsonl"), folder.path().join("log"));
    let output = mayfly(folder.path())
        .args(["demo", "--seed", "7", "--jobs", "30", "--log"])
        .arg(&log)
        .env("MAYFLY_WIRE_LOG", &wire)
        .env("RUST_LOG", "debug")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    for told in [
        "seed 7, 30 jobs",
        "job #1 of shader-slang/",
        "is asked for in us-east1-c",
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "is online",
        "was announced again",
        "was cancelled",
        "is being deleted",
        "all served, nothing left",
        "27 served, 3 cancelled before they started, of 30",
        "0 broken",
        "left        nothing",
    ] {
        assert!(out.contains(told), "{told} is missing in\n{out}");
    }
    assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'), "escape codes");

    wirecheck(&wire);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("job gets a slot"), "{log}");
    secrets_given_out(&wire).assert_absent(&[("stdout", &out), ("stderr", &err), ("log", &log)]);
}

/// The tokens and JIT configurations that the simulated GitHub gave out.
fn secrets_given_out(wire: &Path) -> Canaries {
    let mut canaries = Canaries::new();
    let mut found = 0;
    for line in fs::read_to_string(wire).unwrap().lines() {
        let call: Value = serde_json::from_str(line).unwrap();
        for field in ["token", "encoded_jit_config"] {
            if let Some(secret) = call["response"][field].as_str() {
                found += 1;
                canaries.add(&format!("{field} {found}"), secret);
            }
        }
    }
    assert!(found > 27, "{found}");
    canaries
}

#[test]
fn a_wrong_argument_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["demo", "--jobs", "0"][..], &["demo", "--speed"], &["serve", "--sweep-every", "60"], &[]]
    {
        let output = mayfly(folder.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("--help"), "{arguments:?}");
    }
    let output = mayfly(folder.path()).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("mayfly {}\n", env!("CARGO_PKG_VERSION")));
}
