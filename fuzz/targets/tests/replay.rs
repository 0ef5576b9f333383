//! The kept corpus, and mutations of it, break no promise. libFuzzer looks further: see `docs/fuzzing.md`.

#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fuzz_targets::mutate::mutated;
use fuzz_targets::{TARGETS, Target};

/// So many mutations of each target's corpus; `FUZZ_RUNS` and `FUZZ_SEED` try others.
const RUNS: u64 = 200;
const LARGEST: usize = 16 << 10;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

/// The stack that the first poll of everything within everything takes in a build without optimization.
const STACK_BYTES: usize = 64 << 20;

fn on_large_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap().join().unwrap()
}

fn breaks(run: Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(input))).is_err()
}

fn replay(name: &'static str) {
    let (_, run) = TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
    let (seed, runs) = (number("FUZZ_SEED", 1), number("FUZZ_RUNS", RUNS));
    println!("FUZZ_SEED={seed} FUZZ_RUNS={runs}");
    on_large_stack(move || {
        let files = corpus(name);
        assert!(files.len() > 3, "there is a corpus");
        for (file, input) in &files {
            assert!(!breaks(run, input), "{} breaks a promise", file.display());
        }
        for nth in 0..runs {
            let (_, input) = &files[usize::try_from(nth).unwrap() % files.len()];
            let input = mutated(name, input, LARGEST, (seed << 32) + nth);
            if breaks(run, &input) {
                let kept = std::env::temp_dir().join(format!("{name}-{seed}-{nth}"));
                std::fs::write(&kept, &input).unwrap();
                panic!("run {nth} of seed {seed} breaks a promise: its input is in {}", kept.display());
            }
        }
    });
}

#[test]
fn events_from_the_corpus_break_no_promise() {
    replay("event");
}

#[test]
fn configurations_from_the_corpus_break_no_promise() {
    replay("configuration");
}

#[test]
fn labels_from_the_corpus_break_no_promise() {
    replay("labels");
}

#[test]
fn answers_from_the_corpus_break_no_promise() {
    replay("answers");
}

#[test]
fn items_from_the_corpus_break_no_promise() {
    replay("items");
}

/// Not a test: writes what the corpora began with.
#[test]
#[ignore = "writes fuzz/corpus"]
fn seeds() {
    on_large_stack(|| {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
        for (target, name, seed) in fuzz_targets::seeds::all() {
            let folder = corpus.join(target);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("seed-{name}")), seed).unwrap();
        }
    });
}

/// Nor is this: prints what the scenes hold, for whoever wants to see what inputs are about.
#[test]
#[ignore = "prints"]
fn scenes() {
    println!("{}", on_large_stack(fuzz_targets::seeds::shown));
}
