//! The sweep: the world as observed, and the plan that repairs it.
//!
//! A webhook is a hint; the sweep is the truth. It takes what the sources say and decides, without asking
//! anybody, what is to be done. A source that could not be read is *unknown*, never *empty*: nothing is
//! deleted on its account.
//!
//! - `world`: what the sources said, and finding one's way in it
//! - `questions`: which jobs are worth asking for, at the table and at GitHub
//! - `plan`: the plan, and the order of its parts
//! - `pool`, `slots`: one pool: its slots, its queue, its warm runners
//! - `told`: what GitHub says of jobs, and no event did
//! - `strays`: VMs and registrations that no slot knows
//! - `notices`: what is said on the commits of jobs that wait for long
//! - `deliveries`: failed deliveries to be asked for again

#[cfg(test)]
mod any;
#[cfg(test)]
mod carry_out;
mod deliveries;
#[cfg(test)]
pub(crate) mod fixtures;
mod notices;
#[cfg(test)]
mod order_tests;
mod plan;
mod pool;
#[cfg(test)]
mod properties;
mod questions;
#[cfg(test)]
mod replanning;
mod slots;
mod strays;
mod told;
mod world;

pub use deliveries::{Asked, Attempt, Failures, Tells, deliveries_since};
pub use notices::Voice;
pub use plan::{Action, LeftAlone, Next, Plan, Step, Wait, plan};
pub use questions::{News, Question, jobs_in_question, jobs_to_ask};
pub use world::{Observed, PoolLedger, SeenRunner, Vm, VmState, World};
