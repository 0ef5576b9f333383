//! The decisions of Mayfly, and nothing else.
//!
//! Everything here is a pure function over data: time and randomness are arguments, and no crate that does
//! I/O is among the dependencies, so purity is a fact of `Cargo.toml`. The shell (`mayfly-service`) observes
//! the world, asks this crate what follows, and carries it out.
//!
//! Where to look:
//! - [`ids`], [`labels`]: names and numbers that cannot be mixed up
//! - [`policy`]: what the user configured, as types that cannot hold nonsense
//! - [`price`]: what VMs cost, as far as the user says
//! - [`event`]: GitHub's `workflow_job`, reduced to what is used
//! - [`route`]: which pool serves a job; [`audience`]: whether it serves public repositories' jobs, and forks' code
//! - [`notice`]: what is said on the commit of a job that waits for long
//! - [`age`]: how long something took, in words; [`brief`]: what others wrote, on one short line
//! - [`telling`]: the words of a job's timeline; [`overview`], [`explain`]: how a deployment stands, and a job's story
//! - [`past`], [`page`]: what is over, and the status page that shows it and how everything stands
//! - [`slot`], [`job`]: the ledger's records and the one function that moves a slot from phase to phase
//! - [`making`]: VMs that are made in steps, and who is at them
//! - [`candidates`]: which slots are worth a claim
//! - [`crossing`]: what follows when GitHub gave a runner another job than the one it was made for
//! - [`gate`]: whether a pool may start VMs now
//! - [`pace`]: how far apart polls are, so that GitHub's limit is far from used up
//! - [`metrics`]: what is measured, and how it is written for CloudWatch and Prometheus
//! - [`zones`]: in which order zones are tried
//! - [`room`]: where a cluster of hosts has room for one more VM
//! - [`sweep`]: the world as observed, and the plan that repairs it

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
pub mod age;
pub mod audience;
pub mod brief;
pub mod candidates;
pub mod crossing;
pub mod event;
pub mod explain;
pub mod gate;
pub mod ids;
pub mod job;
pub mod labels;
pub mod making;
pub mod metrics;
pub mod notice;
pub mod overview;
pub mod pace;
pub mod page;
pub mod past;
pub mod policy;
pub mod price;
pub mod room;
pub mod route;
pub mod slot;
pub mod sweep;
pub mod telling;
pub mod zones;
