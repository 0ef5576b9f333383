//! The sweep: the world as observed, and the plan that repairs it.
//!
//! A webhook is a hint; the sweep is the truth. It takes what the sources say and decides, without asking
//! anybody, what is to be done. A source that could not be read is *unknown*, never *empty*: nothing is
//! deleted on its account.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::ids::{JobId, PoolName, ProviderName, RunnerId};
use crate::job::{JobState, Waiting};
use crate::slot::{Slot, VmPlace};

mod deliveries;
#[cfg(test)]
pub(crate) mod fixtures;
mod plan;

pub use deliveries::Attempt;
pub use plan::{Action, LeftAlone, Next, Plan, Step, jobs_in_question, plan};

/// What the sources said.
#[derive(Debug, Clone)]
pub struct World {
    /// When the sweep began to look.
    pub now: Timestamp,
    /// The table's part of each pool.
    pub pools: Vec<PoolLedger>,
    /// This deployment's VMs, by provider.
    pub vms: BTreeMap<ProviderName, Observed<Vec<Vm>>>,
    /// The jobs of [`jobs_in_question`]: the state, or that the table has no such job. One that is not here could
    /// not be asked for.
    pub jobs: BTreeMap<JobId, Option<JobState>>,
}

/// One pool as the table has it.
#[derive(Debug, Clone)]
pub struct PoolLedger {
    /// Which pool.
    pub pool: PoolName,
    /// Its taken slots.
    pub slots: Vec<Slot>,
    /// Its waiting jobs, oldest first.
    pub waiting: Vec<Waiting>,
    /// Until when GitHub asked to be left alone: no runner can be registered before.
    pub github_until: Option<Timestamp>,
}

/// What a source said, or that it said nothing.
#[derive(Debug, Clone)]
pub enum Observed<T> {
    /// It answered in full.
    Known {
        /// When it was asked.
        at: Timestamp,
        /// What it said.
        value: T,
    },
    /// It did not.
    Unknown {
        /// Why.
        why: String,
    },
}

/// A VM with this deployment's marks, as its provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// Its name, which is its runner's.
    pub name: String,
    /// Where it is.
    pub place: VmPlace,
    /// Since when; `None` where the provider does not say.
    pub created_at: Option<Timestamp>,
    /// Whether it runs.
    pub state: VmState,
}

/// Whether a VM runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VmState {
    /// It is being made, boots or runs.
    Running,
    /// It is off, and will not come back by itself.
    Stopped,
    /// It is being deleted.
    Going,
}

/// A runner as GitHub lists it (`GET …/actions/runners`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRunner {
    /// `id`
    pub id: RunnerId,
    /// `name`; it may be anybody's.
    pub name: String,
    /// `status` is `online`.
    pub online: bool,
    /// `busy`
    pub busy: bool,
}

/// How a provider's list bears on one VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting<'a> {
    /// It is there.
    There(&'a Vm),
    /// All lists that could hold it were read, and it is in none; the earliest was asked for at this moment.
    Gone(Timestamp),
    /// A list that could hold it was not read.
    Unknown,
}

impl World {
    /// Where the VM of that name is. `place` narrows the lists down to its provider's; without it all count.
    pub fn sight(&self, name: &str, place: Option<&VmPlace>) -> Sighting<'_> {
        let mut earliest = None;
        let mut unknown = false;
        for (provider, observed) in &self.vms {
            if place.is_some_and(|place| &place.provider != provider) {
                continue;
            }
            match observed {
                Observed::Known { at, value } => {
                    if let Some(vm) = value.iter().find(|vm| vm.name == name) {
                        return Sighting::There(vm);
                    }
                    earliest = Some(earliest.map_or(*at, |before: Timestamp| before.min(*at)));
                }
                Observed::Unknown { .. } => unknown = true,
            }
        }
        match earliest {
            Some(at) if !unknown => Sighting::Gone(at),
            Some(_) | None => Sighting::Unknown,
        }
    }
}
