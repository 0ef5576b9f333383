//! VMs that a provider makes in several steps, and who is at them.
//!
//! Whoever takes a step holds a lease on the slot. One that was frozen for so long that its lease is over, and somebody
//! else's begun, is not believed any more.

use std::fmt;

use jiff::Timestamp;

use crate::ids::RunnerId;
use crate::slot::{Machine, Phase, PhaseKind, Refused, Slot, VmPlace};

/// The steps in which a provider makes a VM that does not come in one piece: on Proxmox a template is cloned, the clone is
/// started, and what its runner needs is handed over through the guest agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MakingStep {
    /// The template is being cloned.
    Cloning {
        /// By which of the provider's tasks; `None` where the record of it was lost.
        task: Option<String>,
    },
    /// The clone is whole, and is being started.
    Starting,
    /// The VM runs; its guest agent does not answer yet.
    WaitingForAgent,
}

impl fmt::Display for MakingStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cloning { .. } => "cloning",
            Self::Starting => "starting",
            Self::WaitingForAgent => "waiting for the guest agent",
        })
    }
}

/// What happens to a VM that is made in steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Making {
    /// This is how far it is; told again when it had to be made in another place.
    Step {
        /// Where the VM is.
        vm: VmPlace,
        /// How far it is.
        step: MakingStep,
        /// The lease that whoever says so holds; `None` for the first one, of a slot that has just been taken.
        held: Option<Timestamp>,
        /// Until when an invocation is at it.
        leased_until: Timestamp,
    },
    /// An invocation takes up the making of a VM that nobody is at any more.
    TakenUp {
        /// Until when it is at it.
        leased_until: Timestamp,
    },
    /// The VM comes to nothing: it is to be deleted.
    GivenUp {
        /// The lease of whoever says so.
        held: Timestamp,
    },
    /// The guest has all that its runner needs.
    HandedOver {
        /// The registration at GitHub.
        runner_id: RunnerId,
        /// When that was made, where it is known.
        registered_at: Option<Timestamp>,
        /// The lease of whoever handed it over.
        held: Timestamp,
    },
}

impl Making {
    pub(crate) fn allowed_in(&self) -> &'static [PhaseKind] {
        match self {
            Self::Step { held: None, .. } => &[PhaseKind::Reserved],
            Self::Step { held: Some(_), .. }
            | Self::TakenUp { .. }
            | Self::GivenUp { .. }
            | Self::HandedOver { .. } => &[PhaseKind::Creating],
        }
    }

    /// The phase of the slot afterwards.
    pub(crate) fn phase_after(&self, slot: &Slot, now: Timestamp) -> Result<Phase, Refused> {
        let refused = Refused { phase: slot.phase.kind() };
        let is_held = |held: Timestamp| slot.lease() == Some(held);
        match self {
            Self::Step { vm, step, held, leased_until } if *held == slot.lease() => {
                let machine = Machine { vm: vm.clone(), runner_id: None };
                Ok(Phase::Creating { machine, step: step.clone(), leased_until: *leased_until })
            }
            Self::TakenUp { leased_until } => match &slot.phase {
                Phase::Creating { machine, step, leased_until: before } if *before < now => {
                    let (machine, step) = (machine.clone(), step.clone());
                    Ok(Phase::Creating { machine, step, leased_until: *leased_until })
                }
                Phase::Reserved
                | Phase::Creating { .. }
                | Phase::Booting { .. }
                | Phase::Idle { .. }
                | Phase::Busy { .. }
                | Phase::Deleting { .. } => Err(refused),
            },
            Self::GivenUp { held } if is_held(*held) => {
                let machine = slot.phase.machine().cloned();
                Ok(Phase::Deleting { machine, since: now, watched_until: None })
            }
            Self::HandedOver { runner_id, held, .. } if is_held(*held) => {
                let Some(Machine { vm, .. }) = slot.phase.machine().cloned() else { return Err(refused) };
                let machine = Machine { vm, runner_id: Some(*runner_id) };
                Ok(Phase::Booting { machine, since: now })
            }
            Self::Step { .. } | Self::GivenUp { .. } | Self::HandedOver { .. } => Err(refused),
        }
    }
}

impl Slot {
    /// Until when somebody is at a VM that is made in steps.
    pub fn lease(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Creating { leased_until, .. } => Some(leased_until),
            Phase::Reserved
            | Phase::Booting { .. }
            | Phase::Idle { .. }
            | Phase::Busy { .. }
            | Phase::Deleting { .. } => None,
        }
    }
}
