//! The Proxmox provider against the simulated cluster, over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crowd;
mod faults;
mod input;
mod life;
mod list;
mod logs;
mod long;
mod place;
mod remove;
mod steps;
mod story;
