//! The GCP provider against the simulator, over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod create;
mod faults;
mod long;
mod remove;
mod story;
