//! What the sources said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Failures, Voice};
use crate::event::{Change, JobEvent};
use crate::gate::PoolState;
use crate::ids::{JobId, PoolName, ProviderName, RunnerId, SlotIndex};
use crate::job::{Job, Waiting};
use crate::notice::Notice;
use crate::policy::{Policy, Pool, Scope};
use crate::slot::{Slot, VmPlace, later};

/// What the sources said.
#[derive(Debug, Clone)]
pub struct World {
    /// When the sweep began to look.
    pub now: Timestamp,
    /// The table's part of each pool, read after the lists of VMs and runners: what is in those and not in this has
    /// no slot any more.
    pub pools: Vec<PoolLedger>,
    /// Pools that are configured no more, but may have something left.
    pub removed: Vec<Pool>,
    /// This deployment's VMs, by provider.
    pub vms: BTreeMap<ProviderName, Observed<Vec<Vm>>>,
    /// VMs that a provider lists without their names, since their host does not answer: nobody can say which they are, or
    /// whether they run.
    pub unseen: BTreeSet<VmPlace>,
    /// For how many more VMs a provider has room just now, by the place that its placements name
    /// ([`crate::policy::Placement::places`]). One that is not here is not known to be short of it.
    pub room: BTreeMap<(ProviderName, String), u32>,
    /// GitHub's runners, by where they are registered.
    pub runners: BTreeMap<Scope, Observed<Vec<SeenRunner>>>,
    /// The table's records of the jobs of [`super::jobs_in_question`], and of those in `told`; `None` where it has none.
    /// A job that is not here could not be asked for.
    pub jobs: BTreeMap<JobId, Option<Job>>,
    /// How far jobs are at GitHub: those of [`super::jobs_to_ask`], and queued ones that were found.
    pub told: Vec<JobEvent>,
    /// Failed deliveries, by hook.
    pub deliveries: BTreeMap<String, Failures>,
    /// How much may be said on commits now.
    pub voice: Voice,
}

/// One pool as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLedger {
    /// Which pool.
    pub pool: PoolName,
    /// Its taken slots.
    pub slots: Vec<Slot>,
    /// Taken slots whose items cannot be read: nothing is known of them but that they are not free.
    pub unreadable: BTreeSet<SlotIndex>,
    /// Its waiting jobs, oldest first.
    pub waiting: Vec<Waiting>,
    /// When GitHub was last asked whether a waiting job still waits, where it was.
    pub asked: BTreeMap<JobId, Timestamp>,
    /// What was said on commits of its jobs, and is not concluded.
    pub notices: Vec<Notice>,
    /// What else is known of it.
    pub state: PoolState,
}

impl PoolLedger {
    /// A pool of which the table holds nothing.
    pub fn empty(pool: PoolName) -> Self {
        let state = PoolState::default();
        let (slots, waiting, notices) = (Vec::new(), Vec::new(), Vec::new());
        Self { pool, slots, unreadable: BTreeSet::new(), waiting, asked: BTreeMap::new(), notices, state }
    }

    /// Its slots by their place, in whichever order they were read.
    pub(super) fn slots_in_order(&self) -> Vec<&Slot> {
        let mut slots: Vec<&Slot> = self.slots.iter().collect();
        slots.sort_by_key(|slot| (slot.runner.slot(), &slot.runner));
        slots
    }

    /// Its waiting jobs, oldest first, in whichever order they were read.
    pub(super) fn waiting_in_order(&self) -> Vec<&Waiting> {
        let mut waiting: Vec<&Waiting> = self.waiting.iter().collect();
        waiting.sort();
        waiting
    }
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
    /// The pool that its marks name.
    pub pool: PoolName,
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
pub(super) enum Sighting<'a> {
    /// It is there.
    There(&'a Vm),
    /// All lists that could hold it were read, and it is in none; the earliest was asked for at this moment.
    Gone(Timestamp),
    /// A list that could hold it was not read.
    Unknown,
}

/// How GitHub's list bears on one runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is registered, and not connected.
    Offline,
    /// It waits for a job.
    Idle,
    /// It runs a job.
    Busy,
    /// It is not registered; the list was asked for at this moment.
    Absent(Timestamp),
    /// The list was not read.
    Unknown,
}

/// Finds what the sources said of one thing, and goes through all of a kind in an order that is not the sources'.
#[derive(Debug)]
pub(super) struct Index<'a> {
    pub world: &'a World,
    pub policy: &'a Policy,
    ledgers: BTreeMap<&'a PoolName, &'a PoolLedger>,
    vms: BTreeMap<&'a str, Vec<&'a Vm>>,
    runners: BTreeMap<(&'a Scope, &'a str), &'a SeenRunner>,
    told: BTreeMap<JobId, &'a JobEvent>,
    slots: BTreeSet<&'a str>,
}

impl<'a> Index<'a> {
    pub fn of(policy: &'a Policy, world: &'a World) -> Self {
        let mut vms: BTreeMap<&str, Vec<&Vm>> = BTreeMap::new();
        for vm in world.vms.values().flat_map(Observed::values) {
            vms.entry(&vm.name).or_default().push(vm);
        }
        vms.values_mut().for_each(|named| named.sort_by_key(|vm| &vm.place));
        let slots = world.pools.iter().flat_map(|ledger| &ledger.slots);
        Self {
            world,
            policy,
            ledgers: world.pools.iter().map(|ledger| (&ledger.pool, ledger)).collect(),
            vms,
            runners: by_name(world),
            told: by_job(world),
            slots: slots.map(|slot| slot.runner.as_str()).collect(),
        }
    }

    /// The pools' parts of the table.
    pub fn ledgers(&self) -> impl Iterator<Item = &'a PoolLedger> {
        self.ledgers.values().copied()
    }

    /// All VMs.
    pub fn vms(&self) -> impl Iterator<Item = &'a Vm> {
        self.vms.values().flatten().copied()
    }

    /// All runners, and where they are registered.
    pub fn runners(&self) -> impl Iterator<Item = (&'a Scope, &'a SeenRunner)> {
        self.runners.iter().map(|((scope, _), runner)| (*scope, *runner))
    }

    /// All that GitHub said of jobs.
    pub fn all_told(&self) -> impl Iterator<Item = &'a JobEvent> {
        self.told.values().copied()
    }

    /// A pool, also one that is configured no more.
    pub fn pool(&self, name: &PoolName) -> Option<&'a Pool> {
        self.policy.pool(name).or_else(|| self.world.removed.iter().find(|pool| &pool.name == name))
    }

    /// A pool's part of the table; `None` where it was not read.
    pub fn ledger(&self, name: &PoolName) -> Option<&'a PoolLedger> {
        self.ledgers.get(name).copied()
    }

    /// Whether a slot knows a runner, or VM, of that name.
    pub fn has_slot(&self, name: &str) -> bool {
        self.slots.contains(name)
    }

    /// Where the VM of that name is. `place` narrows the lists down to its provider's; without it all count. Should there
    /// be two of the name, the one in that very place is meant.
    ///
    /// A list with VMs that nobody can name proves of none that it is gone, except of one that was elsewhere.
    pub fn vm(&self, name: &str, place: Option<&VmPlace>) -> Sighting<'a> {
        let named = || self.vms.get(name).into_iter().flatten();
        let here = named().find(|vm| Some(&vm.place) == place);
        let there = || named().find(|vm| place.is_none_or(|place| place.provider == vm.place.provider));
        if let Some(vm) = here.or_else(there) {
            return Sighting::There(vm);
        }
        let may_be = |unseen: &VmPlace| place.is_none_or(|place| place.is_same_vm(unseen));
        if self.world.unseen.iter().any(may_be) {
            return Sighting::Unknown;
        }
        let mut earliest = None;
        for (provider, observed) in &self.world.vms {
            if place.is_some_and(|place| &place.provider != provider) {
                continue;
            }
            match observed {
                Observed::Known { at, .. } => {
                    earliest = Some(earliest.map_or(*at, |before: Timestamp| before.min(*at)));
                }
                Observed::Unknown { .. } => return Sighting::Unknown,
            }
        }
        earliest.map_or(Sighting::Unknown, Sighting::Gone)
    }

    /// When that provider's list was asked for.
    pub fn asked(&self, provider: &ProviderName) -> Option<Timestamp> {
        match self.world.vms.get(provider)? {
            Observed::Known { at, .. } => Some(*at),
            Observed::Unknown { .. } => None,
        }
    }

    /// Where the VM of a slot is.
    pub fn vm_of(&self, slot: &Slot) -> Sighting<'a> {
        let place = slot.phase.machine().map(|machine| &machine.vm);
        if place.is_none_or(|place| self.world.vms.contains_key(&place.provider)) {
            return self.vm(slot.runner.as_str(), place);
        }
        // Its provider is configured no more, or by another name.
        let lifetime = self.pool(slot.runner.pool()).map_or(Duration::MAX, |pool| pool.max_lifetime);
        let end = later(later(slot.reserved_at, lifetime), self.policy.timing.step_timeout);
        let sighting = self.vm(slot.runner.as_str(), None);
        // Nobody can look, until its own end has come.
        let may_live = matches!(sighting, Sighting::Gone(_)) && end > self.world.now;
        if may_live { Sighting::Unknown } else { sighting }
    }

    /// How GitHub sees the runner of that name.
    pub fn runner(&self, scope: &Scope, name: &str) -> Presence {
        match (self.runners.get(&(scope, name)), self.world.runners.get(scope)) {
            (Some(runner), _) if runner.busy => Presence::Busy,
            (Some(runner), _) if runner.online => Presence::Idle,
            (Some(_), _) => Presence::Offline,
            (None, Some(Observed::Known { at, .. })) => Presence::Absent(*at),
            (None, Some(Observed::Unknown { .. }) | None) => Presence::Unknown,
        }
    }

    /// How far a job is, as GitHub said just now.
    pub fn told(&self, job: JobId) -> Option<&'a Change> {
        self.told.get(&job).map(|event| &event.change)
    }
}

/// Should a runner be listed twice, as while the list changes, it counts as busy when it is so in one place.
fn by_name(world: &World) -> BTreeMap<(&Scope, &str), &SeenRunner> {
    let listed = world.runners.iter().flat_map(|(scope, list)| {
        list.values().iter().map(move |runner| ((scope, runner.name.as_str()), runner))
    });
    let mut listed: Vec<_> = listed.collect();
    listed.sort_by_key(|(_, runner)| (runner.busy, runner.online, runner.id));
    listed.into_iter().collect()
}

/// Should a job be told of twice, what is further counts: one of the two answers was behind.
fn by_job(world: &World) -> BTreeMap<JobId, &JobEvent> {
    let mut told: Vec<&JobEvent> = world.told.iter().collect();
    told.sort_by_key(|event| match event.change {
        Change::Held => 0,
        Change::Queued => 1,
        Change::Started { .. } => 2,
        Change::Ended { .. } => 3,
    });
    told.into_iter().map(|event| (event.job, event)).collect()
}

impl<T> Observed<Vec<T>> {
    /// What the source said; nothing where it said nothing, which proves nothing.
    pub fn values(&self) -> &[T] {
        match self {
            Self::Known { value, .. } => value,
            Self::Unknown { .. } => &[],
        }
    }
}

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
