//! The contract of the stubs: the official clients over real HTTP against the served world, and the same clients over
//! a wire into a copy of that world, are told the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod both;
mod calls;
mod canned;
mod facts;
mod faults;
mod refusals;
mod requests;
mod successes;
