//! The GitHub client against the simulator, over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod app;
mod checks;
mod deliveries;
mod faults;
mod jobs;
mod limits;
mod list;
mod login;
mod long;
mod register;
mod remove;
mod secrecy;
mod story;
