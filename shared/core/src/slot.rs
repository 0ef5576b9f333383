//! A slot: the right of a pool to one runner, and what became of it.
//!
//! A pool has exactly `max_runners` slots, and a VM is only made for a slot, so the limit cannot be passed and no
//! counter can drift. A free slot has no record.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::ids::{JobId, ProviderName, RunnerId, RunnerName};
use crate::making::{Making, MakingStep};

/// The record of a taken slot. Its place in the pool is in the runner's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The runner, and VM, that the slot stands for.
    pub runner: RunnerName,
    /// What its runner is for.
    pub purpose: Purpose,
    /// The job that counted on this runner when GitHub gave it another one, until that job is seen to: written with
    /// the event itself, so that nobody needs to live to remember it.
    pub displaced: Option<JobId>,
    /// When the slot was taken.
    pub reserved_at: Timestamp,
    /// When its runner came how far, for whoever asks later.
    pub way: Way,
    /// How far its runner is.
    pub phase: Phase,
}

/// When a runner came how far, as far as its phase does not say so itself: for people, and the basis of no decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    /// When GitHub had registered it, and given its JIT config.
    pub registered_at: Option<Timestamp>,
    /// When the provider had accepted the create of its VM, or the guest had all that it needs, where the runner was
    /// seen to stand idle since.
    pub made_at: Option<Timestamp>,
}

/// What a runner is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// This job is to run on it, or does.
    Job(JobId),
    /// Nobody waits for it: it is kept warm for the next job, or goes after a while.
    Spare {
        /// Since when.
        since: Timestamp,
    },
}

impl Purpose {
    /// The job, if there is one.
    pub fn job(self) -> Option<JobId> {
        match self {
            Self::Job(job) => Some(job),
            Self::Spare { .. } => None,
        }
    }
}

/// How far a runner is. Each phase carries what is known in it; its deadline is a matter of policy, counted from
/// its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Taken; the registration and the VM are being asked for, since [`Slot::reserved_at`].
    Reserved,
    /// The provider makes the VM in several steps, and somebody has to see to each of them; it was asked for at
    /// [`Slot::reserved_at`]. Its runner is registered with the last step.
    Creating {
        /// The machine.
        machine: Machine,
        /// How far it is.
        step: MakingStep,
        /// Until then an invocation is at it, so that no second one needs to be.
        leased_until: Timestamp,
    },
    /// The provider accepted the create; GitHub has not seen the runner yet.
    Booting {
        /// The machine.
        machine: Machine,
        /// Since when.
        since: Timestamp,
    },
    /// The runner is online and waits for a job.
    Idle {
        /// The machine.
        machine: Machine,
        /// Since when it waits.
        since: Timestamp,
    },
    /// The runner runs a job.
    Busy {
        /// The machine, where it is known: an event can overtake the record of the create.
        machine: Option<Machine>,
        /// Since when it runs.
        since: Timestamp,
    },
    /// The VM is to go; the slot is free for another runner when it is gone.
    Deleting {
        /// The machine, where it is known.
        machine: Option<Machine>,
        /// Since when.
        since: Timestamp,
        /// Until then an invocation waits for the end of it, so that no second one needs to.
        watched_until: Option<Timestamp>,
    },
}

/// A VM and its registration, as far as they are needed to find both again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Where the VM is.
    pub vm: VmPlace,
    /// The registration at GitHub; `None` where the VM gets it with the last step of its making, or an event overtook the
    /// record of that.
    pub runner_id: Option<RunnerId>,
}

/// Where a VM is; with its name that identifies it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VmPlace {
    /// Which provider made it.
    pub provider: ProviderName,
    /// The provider's own address: GCP's zone, Proxmox's `node/vmid`.
    pub at: String,
}

impl VmPlace {
    /// Whether both mean the same VM, wherever it stands by now: Proxmox's ids are those of the whole cluster, and a clone
    /// stands on its template's node until it is done.
    pub fn is_same_vm(&self, other: &Self) -> bool {
        let id = |place: &Self| place.at.rsplit('/').next().map(str::to_owned);
        self.provider == other.provider && id(self) == id(other)
    }
}

impl fmt::Display for VmPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.at)
    }
}

/// What can happen to a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotEvent {
    /// The provider accepted the create of its VM, or a VM of its name was found; told again when the VM had to be
    /// made in another place.
    Placed {
        /// Where it is.
        vm: VmPlace,
        /// Its runner, which was registered before.
        runner_id: RunnerId,
        /// When that was, where it is known.
        registered_at: Option<Timestamp>,
    },
    /// The place took the create, and then came to no VM: it is to be tried again, or elsewhere.
    Unplaced {
        /// Where it was to be; an event for any other place is refused.
        vm: VmPlace,
        /// The lease of whoever says so, on a VM that is made in steps.
        held: Option<Timestamp>,
    },
    /// What happens to a VM that is made in steps.
    Making(Making),
    /// GitHub sees the runner, without a job.
    Online,
    /// The runner took a job; told late when GitHub's list of runners told already that it is busy ([`Slot::taken`]).
    Started {
        /// Which.
        job: JobId,
    },
    /// The job is over, or the VM is dead: nothing runs on it any more.
    Ended,
    /// Nobody needs the runner, and GitHub agreed that it is not busy by deleting its registration.
    Retired,
    /// An invocation waits for the VM to be gone.
    Watched {
        /// Until when it will.
        until: Timestamp,
    },
}

/// The kinds of phases, as they are named in the table, in reports and in conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseKind {
    /// [`Phase::Reserved`]
    Reserved,
    /// [`Phase::Creating`]
    Creating,
    /// [`Phase::Booting`]
    Booting,
    /// [`Phase::Idle`]
    Idle,
    /// [`Phase::Busy`]
    Busy,
    /// [`Phase::Deleting`]
    Deleting,
}

impl PhaseKind {
    /// All of them, in the order of a runner's life.
    pub const ALL: [Self; 6] =
        [Self::Reserved, Self::Creating, Self::Booting, Self::Idle, Self::Busy, Self::Deleting];

    /// The name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Creating => "creating",
            Self::Booting => "booting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Deleting => "deleting",
        }
    }

    /// Reads the name back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for PhaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event that makes no sense in the phase it met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {phase} slot cannot take this event")]
pub struct Refused {
    /// The phase.
    pub phase: PhaseKind,
}

impl SlotEvent {
    /// In which phases it can make sense. The store's conditional writes are made from this, so that the table
    /// refuses exactly what [`Slot::apply`] refuses. Three events ask for more than the phase: a job starts on a busy
    /// runner only where that runner's job is not known, a deletion is watched by one at a time, and a VM is only taken
    /// out of the place where it was put, by whoever has its lease.
    pub fn allowed_in(&self) -> &'static [PhaseKind] {
        use PhaseKind::{Booting, Busy, Creating, Deleting, Idle, Reserved};
        match self {
            Self::Placed { .. } => &[Reserved, Creating, Booting],
            Self::Making(making) => making.allowed_in(),
            Self::Unplaced { held: None, .. } | Self::Online => &[Booting],
            Self::Unplaced { held: Some(_), .. } => &[Creating],
            Self::Started { .. } => &[Reserved, Creating, Booting, Idle, Busy],
            Self::Ended => &[Reserved, Creating, Booting, Idle, Busy],
            Self::Retired => &[Reserved, Creating, Booting, Idle],
            Self::Watched { .. } => &[Deleting],
        }
    }
}

impl Phase {
    /// Its kind.
    pub fn kind(&self) -> PhaseKind {
        match self {
            Self::Reserved => PhaseKind::Reserved,
            Self::Creating { .. } => PhaseKind::Creating,
            Self::Booting { .. } => PhaseKind::Booting,
            Self::Idle { .. } => PhaseKind::Idle,
            Self::Busy { .. } => PhaseKind::Busy,
            Self::Deleting { .. } => PhaseKind::Deleting,
        }
    }

    /// The machine, where it is known, to be changed.
    pub(crate) fn machine_mut(&mut self) -> Option<&mut Machine> {
        match self {
            Self::Reserved => None,
            Self::Creating { machine, .. } | Self::Booting { machine, .. } | Self::Idle { machine, .. } => {
                Some(machine)
            }
            Self::Busy { machine, .. } | Self::Deleting { machine, .. } => machine.as_mut(),
        }
    }

    /// The machine, where it is known.
    pub fn machine(&self) -> Option<&Machine> {
        match self {
            Self::Reserved => None,
            Self::Creating { machine, .. } | Self::Booting { machine, .. } | Self::Idle { machine, .. } => {
                Some(machine)
            }
            Self::Busy { machine, .. } | Self::Deleting { machine, .. } => machine.as_ref(),
        }
    }
}

impl Slot {
    /// A slot just taken.
    pub fn reserved(runner: RunnerName, purpose: Purpose, now: Timestamp) -> Self {
        Self {
            runner,
            purpose,
            displaced: None,
            reserved_at: now,
            way: Way::default(),
            phase: Phase::Reserved,
        }
    }

    /// Since when it is in its phase.
    pub fn since(&self) -> Timestamp {
        match self.phase {
            Phase::Reserved | Phase::Creating { .. } => self.reserved_at,
            Phase::Booting { since, .. }
            | Phase::Idle { since, .. }
            | Phase::Busy { since, .. }
            | Phase::Deleting { since, .. } => since,
        }
    }

    /// The slot after an event; refused when the event makes no sense in its phase.
    pub fn apply(&self, event: &SlotEvent, now: Timestamp) -> Result<Slot, Refused> {
        let kind = self.phase.kind();
        if !event.allowed_in().contains(&kind) {
            return Err(Refused { phase: kind });
        }
        let machine = self.phase.machine().cloned();
        let (purpose, phase) = match event {
            SlotEvent::Placed { vm, runner_id, .. } => {
                let machine = Machine { vm: vm.clone(), runner_id: Some(*runner_id) };
                (self.purpose, Phase::Booting { machine, since: now })
            }
            SlotEvent::Unplaced { vm, held } => {
                if machine.is_none_or(|machine| machine.vm != *vm) || self.lease() != *held {
                    return Err(Refused { phase: kind });
                }
                (self.purpose, Phase::Reserved)
            }
            SlotEvent::Making(making) => (self.purpose, making.phase_after(self, now)?),
            SlotEvent::Online => match machine {
                Some(machine) => (self.purpose, Phase::Idle { machine, since: now }),
                None => return Err(Refused { phase: kind }),
            },
            SlotEvent::Started { job } => {
                if kind == PhaseKind::Busy && self.purpose.job().is_some() {
                    return Err(Refused { phase: kind });
                }
                (Purpose::Job(*job), Phase::Busy { machine, since: now })
            }
            SlotEvent::Ended | SlotEvent::Retired => {
                (self.purpose, Phase::Deleting { machine, since: now, watched_until: None })
            }
            SlotEvent::Watched { until } => {
                let Phase::Deleting { since, watched_until, .. } = self.phase else {
                    return Err(Refused { phase: kind });
                };
                if watched_until.is_some_and(|watched_until| watched_until >= now) {
                    return Err(Refused { phase: kind });
                }
                (self.purpose, Phase::Deleting { machine, since, watched_until: Some(*until) })
            }
        };
        let displaced = match event {
            SlotEvent::Started { job } => self.left_over().filter(|left| left != job),
            SlotEvent::Placed { .. }
            | SlotEvent::Unplaced { .. }
            | SlotEvent::Making(_)
            | SlotEvent::Online
            | SlotEvent::Ended
            | SlotEvent::Retired
            | SlotEvent::Watched { .. } => self.displaced,
        };
        Ok(Slot { purpose, displaced, way: self.way_after(event), phase, ..self.clone() })
    }

    /// When its runner came how far, after an event.
    fn way_after(&self, event: &SlotEvent) -> Way {
        match event {
            SlotEvent::Placed { registered_at, .. } => Way { registered_at: *registered_at, made_at: None },
            SlotEvent::Making(Making::HandedOver { registered_at, .. }) => {
                Way { registered_at: *registered_at, made_at: None }
            }
            SlotEvent::Unplaced { .. } => Way::default(),
            SlotEvent::Online => Way { made_at: Some(self.since()), ..self.way },
            SlotEvent::Making(_)
            | SlotEvent::Started { .. }
            | SlotEvent::Ended
            | SlotEvent::Retired
            | SlotEvent::Watched { .. } => self.way,
        }
    }

    /// In which phases GitHub's list of runners can tell something new by saying that a runner is busy. A slot before
    /// that is left to the record of its create, or to the event.
    pub const TAKEN_IN: [PhaseKind; 2] = [PhaseKind::Booting, PhaseKind::Idle];

    /// The slot after GitHub said that its runner is busy, with a job that is not known: the event that tells of it is
    /// missing, or is yet to come. The job that the runner was meant for has to be seen to, unless it is the very one.
    pub fn taken(&self, now: Timestamp) -> Result<Slot, Refused> {
        let kind = self.phase.kind();
        if !Self::TAKEN_IN.contains(&kind) {
            return Err(Refused { phase: kind });
        }
        Ok(Slot {
            purpose: Purpose::Spare { since: now },
            displaced: self.left_over(),
            phase: Phase::Busy { machine: self.phase.machine().cloned(), since: now },
            ..self.clone()
        })
    }

    /// The job that counts on the runner, or did, when another one takes it.
    fn left_over(&self) -> Option<JobId> {
        self.purpose.job().or(self.displaced)
    }
}

/// `now + wait`, or the end of time where that is nearer.
pub fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// `now - wait`, or the beginning of time.
pub fn earlier(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_sub(wait).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
