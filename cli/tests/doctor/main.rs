//! `mayfly doctor`: the real program, on a deployment that is right, and on many that are each broken in one place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

mod gcp;
mod github;
mod here;
mod lab;
mod right;
mod stage;
mod table;
mod webhook;
