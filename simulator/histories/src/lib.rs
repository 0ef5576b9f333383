//! Mayfly in histories generated from seeds.
//!
//! The real code of both functions runs on one thread, in virtual time, against the same simulated world that serves the
//! demo and the end-to-end tests. A seed decides everything: the same seed tells the same history, byte for byte.
//!
//! - [`generate`]: from a seed to a [`plan`], which is plain data
//! - [`director`]: plays a plan: first with faults, then without, when everything has to come to its good end
//! - `stage`, `outside`, `line`, `ledger`: the world, the table and the ways to them, with what goes wrong there
//! - `crew`, `invocation`: the functions' environments and invocations, which may be killed or frozen at any await
//! - `deeds`, `finish`: what befalls them, and the phase in which all has to end well
//! - [`check`]: the invariants, over what the world saw
//! - [`shrink`]: a smaller plan that fails in the same way

// Layouts of futures within futures within futures.
#![recursion_limit = "256"]

pub mod chance;
pub mod check;
pub mod configure;
pub mod coverage;
mod crew;
mod deeds;
pub mod director;
mod finish;
pub mod generate;
mod invocation;
mod ledger;
mod line;
pub mod outcome;
mod outside;
pub mod plan;
pub mod shrink;
mod stage;
mod troubles;

pub use director::{play, play_in};
pub use outcome::Outcome;
pub use plan::Plan;
