//! Providers: what makes and deletes VMs.
//!
//! The seam is small and its comments are the contract. Errors are typed by what the caller does next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mayfly_core::ids::{Deployment, JobId, PoolName, RunnerName};
use mayfly_core::metrics::Reason;
use mayfly_core::slot::VmPlace;
use mayfly_core::sweep::Vm;
use tokio::time::Instant;

use crate::secret::Secret;

mod any;
pub mod gcp;
pub mod proxmox;
mod repeat;

pub use any::{At, Going, Provider};

/// What a VM is to carry, whoever makes it.
#[derive(Debug)]
pub struct VmOrder<'a> {
    /// Its name, which is its runner's.
    pub name: &'a RunnerName,
    /// Whose it is.
    pub deployment: &'a Deployment,
    /// The pool it is of.
    pub pool: &'a PoolName,
    /// The job it is made for, for the log.
    pub job: Option<JobId>,
    /// What its guest starts the runner with.
    pub jit_config: &'a Secret,
    /// Its own end, carried out by the provider or the guest.
    pub max_lifetime: Duration,
    /// Until when there is time for it.
    pub deadline: Instant,
}

/// A create that the provider accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Where the VM is.
    pub place: VmPlace,
    /// What was tried before, and why it was passed over, for the job's timeline.
    pub passed_over: Vec<PassedOver>,
}

/// A place that could not take the VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// The place: a zone, a region, a node.
    pub place: String,
    /// Why.
    pub why: String,
    /// Whether it is full, so that others need not ask it again for a while.
    pub full: bool,
    /// Of which kind that is, for metrics.
    pub reason: Reason,
}

/// Why no VM was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Every place is full or cooling down; the job can be passed on to the next placement.
    #[error("every place is full: {}", list(.0))]
    Full(Vec<PassedOver>),
    /// There is no room now; there is as soon as another VM goes, so nothing is to be waited for.
    #[error("no room: {}", list(.0))]
    NoRoom(Vec<PassedOver>),
    /// The provider will not have it, here or anywhere, until somebody mends the configuration, the template or the
    /// permissions.
    #[error("refused: {0}")]
    Refused(String),
    /// Nobody knows whether the VM was made: its name must not be used for another.
    #[error("it is not known whether the VM was made in {place}: {why}")]
    Ambiguous {
        /// Where.
        place: String,
        /// Why.
        why: String,
    },
    /// The provider did not take the request, for a reason that passes.
    #[error("not made: {0}")]
    Unavailable(String),
}

fn list(passed_over: &[PassedOver]) -> String {
    let lines: Vec<String> =
        passed_over.iter().map(|place| format!("{}: {}", place.place, place.why)).collect();
    lines.join("; ")
}

/// Why a provider could not be asked or told something else.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It will not, until somebody mends the configuration or the permissions.
    #[error("{doing}: refused: {why}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// Why.
        why: String,
    },
    /// It could not, for a reason that passes.
    #[error("{doing}: {why}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// Why.
        why: String,
    },
}

/// Why something that was only looked at was not seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// It may not be seen.
    #[error("{0}")]
    Forbidden(String),
    /// The credentials are not taken, or cannot be used.
    #[error("{0}")]
    Unauthorized(String),
    /// No connection to it is trusted.
    #[error("{0}")]
    Untrusted(String),
    /// Nobody knows: no answer, or none that says anything of it.
    #[error("{0}")]
    Unknown(String),
}

/// What a provider lists of this deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// All VMs with its marks.
    pub vms: Vec<Vm>,
    /// VMs that may be its, but nobody can look: their host does not answer.
    pub unseen: BTreeSet<VmPlace>,
    /// For how many more VMs there is room, by the place that a placement names; one that is not here is not known to be
    /// short of it.
    pub room: BTreeMap<String, u32>,
}

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// The VM is gone.
    Gone,
    /// The provider is at it.
    UnderWay,
}
