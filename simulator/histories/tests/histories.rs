//! Histories from seeds keep every promise, and are the same each time.

#![recursion_limit = "256"]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use histories::generate::{plan, small};
use histories::{Plan, play};

/// So many histories, on two threads; `HISTORIES` and `FROM` try others.
const HISTORIES: u64 = 2_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The stack that a thread's first poll of everything within everything takes in a build without optimization.
const STACK_BYTES: usize = 64 << 20;

fn on_large_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap();
    thread.join().unwrap()
}

#[test]
fn every_promise_is_kept_in_histories_from_seeds() {
    let (from, count) = (number("FROM", 1), number("HISTORIES", HISTORIES));
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let work = move || {
        let mut failed = Vec::new();
        loop {
            let nth = NEXT.fetch_add(1, Ordering::Relaxed);
            if nth >= count {
                return failed;
            }
            let seed = from + nth;
            if let Some(broken) = play(&small(seed), false).broken {
                failed.push(format!("seed {seed}: {broken}"));
            }
        }
    };
    let threads: Vec<_> =
        (0..2).map(|_| std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap()).collect();
    let failed: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_seed_tells_the_same_history_each_time() {
    let twice = on_large_stack(|| [7, 42].map(|seed| [play(&plan(seed), true), play(&plan(seed), true)]));
    for [first, second] in twice {
        assert_eq!(first.digest, second.digest);
        assert_eq!(first.coverage, second.coverage);
        let texts = |outcome: &histories::Outcome| -> Vec<String> {
            outcome.notes.iter().map(|note| format!("{} {}", note.time, note.text)).collect()
        };
        assert!(first.notes.len() > 100);
        assert_eq!(texts(&first), texts(&second));
    }
}

/// Plans that once broke a promise, made as small as they could be: what they found stays mended.
#[test]
fn what_was_found_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("found");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_plan = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let mut files: Vec<_> = entries.filter(is_plan).collect();
    files.sort();
    assert!(!files.is_empty());
    let failed = on_large_stack(move || {
        let mut failed = Vec::new();
        for file in files {
            let plan: Plan = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            if let Some(broken) = play(&plan, false).broken {
                failed.push(format!("{}: {broken}", file.display()));
            }
        }
        failed
    });
    assert!(failed.is_empty(), "{failed:#?}");
}
