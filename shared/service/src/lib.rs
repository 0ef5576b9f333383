//! The shell of Mayfly: it observes, asks the core what follows, and carries it out.
//!
//! Where to look:
//! - [`config`], [`secret`]: what the user configured
//! - [`inbound`]: a webhook request in, an answer and the work that follows out
//! - [`events`]: what each event writes down before the answer, and what is done after it
//! - [`provision`], `removal`, `handover`: a reserved slot becomes a VM, a VM goes, its slot serves the next job
//! - `gate`: whether a pool may start VMs now, as far as an event's invocation knows
//! - [`sweep`]: observe, plan, execute, report
//! - [`store`]: the ledger, one DynamoDB table
//! - [`github`], [`provider`]: the clients
//! - [`look`]: how a deployment stands, and the story of one job, for people
//! - `page`, `past`: the status page, and what is written down for it alone
//! - [`metrics`]: what is measured, as log lines or for Prometheus
//! - [`telemetry`], [`clock`]: logs, and the time
//! - `simulation`: what stands for all that is outside, in a deterministic simulation

// What others wrote cannot end the process by an index, or become another number without a word.
#![warn(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::mem_forget,
    clippy::unused_async
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap
    )
)]
mod admission;
pub mod clock;
pub mod config;
mod errand;
mod errors;
pub mod events;
mod gate;
pub mod github;
mod handover;
pub mod inbound;
pub mod look;
mod making;
pub mod mayfly;
pub mod metrics;
mod page;
mod past;
pub mod provider;
pub mod provision;
mod quiet;
mod random;
mod removal;
pub mod secret;
mod setback;
#[cfg(feature = "simulation")]
pub mod simulation;
mod stale;
pub mod store;
pub mod sweep;
mod tally;
pub mod telemetry;
mod turn;
