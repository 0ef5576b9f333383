//! What a sweep saw and did.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mayfly_core::ids::PoolName;
use mayfly_core::slot::PhaseKind;
use mayfly_core::sweep::LeftAlone;
use serde::Serialize;

/// What a sweep saw and did; the sweeper's answer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// When it began to look.
    pub now: Option<Timestamp>,
    /// Each pool, as the table had it.
    pub pools: Vec<PoolReport>,
    /// How many VMs of this deployment the providers had.
    pub vms: usize,
    /// What was done, or tried.
    pub done: Vec<Done>,
    /// What was left alone, and why.
    pub left_alone: Vec<LeftAlone>,
    /// How many steps were left for the next sweep, for want of time.
    pub postponed: usize,
    /// The sources that could not be read; nothing was deleted on their account.
    pub failed_sources: Vec<Source>,
    /// How many requests this process has sent to GitHub so far.
    pub github_calls: u64,
    /// How long the sweep took, in milliseconds.
    pub took_ms: u64,
}

/// A pool as the table had it.
#[derive(Debug, Clone, Serialize)]
pub struct PoolReport {
    /// Which.
    pub pool: PoolName,
    /// How many jobs wait.
    pub waiting: usize,
    /// How many slots are taken, by phase.
    pub slots: BTreeMap<PhaseKind, usize>,
}

/// Something that was done, or tried.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    /// For which pool.
    pub pool: PoolName,
    /// What: the plan's action.
    pub action: &'static str,
    /// To what: a runner's or VM's name, or a job.
    pub what: String,
    /// Why it was planned.
    pub why: &'static str,
    /// How it went.
    pub outcome: String,
}

/// A source that could not be read.
#[derive(Debug, Clone, Serialize)]
pub struct Source {
    /// Which.
    pub source: String,
    /// Why.
    pub why: String,
}
