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
        "status page while it runs: http://127.0.0.1:",
        "job #1 of shader-slang/",
        "is asked for in us-east1-c",
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "is online",
        "was announced again",
        "was cancelled",
        "is being deleted",
        // The lab: made in steps, a stranger's id left to it, and the cloud where it is full.
        "was made by hand on pve1",
        "not cloned  linux-lab-",
        "is cloned as 9",
        "the guest agent answers",
        "for linux-lab-",
        "no room: pve1: ",
        " → GCP",
        "all served, nothing left",
        "since the lab was full",
        "still there",
        "27 served, 3 cancelled before they started, of 30",
        "0 broken",
        "left        nothing",
        "what `mayfly explain` says of the job to which most happened",
        "it is recorded",
        "how long",
    ] {
        assert!(out.contains(told), "{told} is missing in\n{out}");
    }
    assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'), "escape codes");

    wirecheck(&wire);
    overflows_and_comes_back(&out);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("job gets a slot"), "{log}");
    secrets_given_out(&wire).assert_absent(&[("stdout", &out), ("stderr", &err), ("log", &log)]);
}

/// Some jobs overflow to the cloud, and later ones are in the lab again.
fn overflows_and_comes_back(out: &str) {
    let overflowed = out.find(" → GCP").unwrap();
    let cloned_again = out.rfind("is cloned as 9").unwrap();
    assert!(overflowed < cloned_again, "{out}");
    let ran = out.lines().find(|line| line.starts_with("  ran  ")).unwrap();
    let counts: Vec<u32> = ran.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [in_lab, in_cloud, overflowed] = counts[..] else { panic!("{ran}") };
    assert_eq!(in_lab + in_cloud, 27, "{ran}");
    assert!(in_lab > 0 && overflowed > 0, "{ran}");
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
