//! The status page of the real `mayfly serve`, over HTTP and against a real table. What a browser makes of it, `docs/pictures` tries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

mod door;
mod life;
mod scenes;
mod shown;
mod stage;
