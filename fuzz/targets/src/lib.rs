//! What the fuzzer runs: each target takes any bytes, and panics when a promise is broken.
//!
//! They are ordinary functions, so that `tests/replay.rs` plays the kept corpus, and mutations of it, with every other test;
//! libFuzzer's side is in the folder above, and [docs/fuzzing.md](../../../docs/fuzzing.md) says how to run it.
//!
//! - [`event`]: requests at the webhook's door, and all that follows them
//! - [`configuration`]: a configuration file's text
//! - [`labels`]: which pool serves a job
//! - [`answers`]: what GitHub, Compute Engine and Proxmox answer
//! - [`items`]: what the table holds
//!
//! Beside them: [`mutate`] makes an input another one, `choices` reads one, `stage` is the world, the table and the time,
//! `scene` what there is at the beginning.

// Layouts of futures within futures within futures.
#![recursion_limit = "256"]
// A broken promise is a panic: that is what a fuzzer looks for.
#![allow(clippy::panic, clippy::expect_used)]
// Changes are for the kinds of values that they fit.
#![allow(clippy::wildcard_enum_match_arm)]

mod answers;
mod attributes;
mod choices;
mod configuration;
mod event;
mod items;
mod json;
mod labels;
mod ledger;
mod line;
mod logs;
pub mod mutate;
mod request;
mod scene;
pub mod seeds;
mod stage;

pub use answers::answers;
pub use configuration::configuration;
pub use event::event;
pub use items::items;
pub use labels::labels;

/// A target: any bytes.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 5] = [
    ("event", event),
    ("configuration", configuration),
    ("labels", labels),
    ("answers", answers),
    ("items", items),
];
