//! What is done to slots, VMs and registrations.

use mayfly_core::ids::{JobId, RunnerId, RunnerName};
use mayfly_core::making::Making;
use mayfly_core::policy::Pool;
use mayfly_core::slot::{Phase, Slot, SlotEvent};
use mayfly_core::sweep::{Next, Vm};
use mayfly_core::telling::{Step, vm_of};
use tokio::time::Instant;

use super::execute::{LOST, StepError, moved_or, provisioned};
use crate::clock;
use crate::github::{GitHubError, Removal};
use crate::mayfly::Mayfly;
use crate::provider::Provider;
use crate::removal::Whose;
use crate::store::{Moved, Stage};
use crate::turn::Turn;

/// Why a runner is retired that was made in vain, or is done.
pub(super) struct Vain<'a> {
    /// Why.
    pub why: &'a str,
    /// Why it counts as a boot that failed, where it does.
    pub failed_boot: Option<&'a str>,
}

const GOING: &str = "its VM is being deleted";

impl Mayfly {
    pub(super) async fn release(
        &self,
        pool: &Pool,
        slot: &Slot,
        next: &Next,
        turn: Turn,
    ) -> Result<String, StepError> {
        // A runner that is deleted took its registration along, or had it taken; any other may have left one behind.
        if !matches!(slot.phase, Phase::Deleting { .. }) {
            self.unregister_slot(pool, slot, turn.deadline).await?;
        }
        match next {
            Next::Nobody => {
                self.free(pool, slot).await?;
                Ok("the slot is free".to_owned())
            }
            Next::Requeue(job) => {
                self.requeue(pool, *job, slot.runner.slot(), "its pool starts no VM now").await?;
                self.free(pool, slot).await?;
                Ok(format!("the slot is free, job {job} waits"))
            }
            Next::Waiting(waiting) => Ok(provisioned(self.hand_over(pool, slot, waiting, turn).await?)),
            Next::Own(job) => Ok(provisioned(self.renew(pool, slot, *job, turn).await?)),
        }
    }

    /// Nothing may run on the slot's VM any more: it goes, and with it a registration that no job has used up. A sweep
    /// does not wait for the end of a deletion: the next one finds it.
    pub(super) async fn end(
        &self,
        pool: &Pool,
        slot: &Slot,
        why: &str,
        deadline: Instant,
    ) -> Result<String, StepError> {
        if matches!(
            slot.phase,
            Phase::Reserved | Phase::Creating { .. } | Phase::Booting { .. } | Phase::Idle { .. }
        ) {
            // Before the slot forgets that there may be one.
            self.unregister_slot(pool, slot, deadline).await?;
        }
        if !matches!(slot.phase, Phase::Deleting { .. })
            && self.ledger.slot_event(&slot.runner, &goes(slot, SlotEvent::Ended), clock::now()).await?
                == Moved::No
        {
            return Ok(LOST.to_owned());
        }
        self.note_given_up(slot, why).await;
        self.delete_vm_of(slot, deadline).await;
        Ok(GOING.to_owned())
    }

    /// A job whose runner is given up is told why: its slot will be the next runner's.
    async fn note_given_up(&self, slot: &Slot, why: &str) {
        let on_its_way = matches!(
            slot.phase,
            Phase::Reserved | Phase::Creating { .. } | Phase::Booting { .. } | Phase::Idle { .. }
        );
        if let (true, Some(job)) = (on_its_way, slot.purpose.job()) {
            let vm = vm_of(slot).map(|(place, since)| (place.to_string(), since));
            let step = Step::GivenUp { runner: slot.runner.to_string(), vm, why: why.to_owned() };
            if let Err(error) = self.ledger.note(job, step.at(clock::now())).await {
                tracing::warn!(%job, %error, "the job's timeline lacks a line");
            }
        }
    }

    pub(super) async fn retire(
        &self,
        pool: &Pool,
        slot: &Slot,
        Vain { why, failed_boot }: Vain<'_>,
        deadline: Instant,
    ) -> Result<String, StepError> {
        // A webhook may have given the runner to a job since the plan was made.
        let now = self.ledger.slot_of(&slot.runner).await?;
        let same = |now: &Slot| now.purpose == slot.purpose && now.phase.kind() == slot.phase.kind();
        if !now.is_some_and(|now| same(&now)) {
            return Ok(LOST.to_owned());
        }
        if self.unregister_slot(pool, slot, deadline).await? == Removal::Busy {
            return Ok("left alone: GitHub says that the runner is busy".to_owned());
        }
        // Of a busy slot too: GitHub has just said that it is not.
        let event = match slot.phase {
            Phase::Busy { .. } => SlotEvent::Ended,
            Phase::Reserved
            | Phase::Creating { .. }
            | Phase::Booting { .. }
            | Phase::Idle { .. }
            | Phase::Deleting { .. } => SlotEvent::Retired,
        };
        if self.ledger.slot_event(&slot.runner, &goes(slot, event), clock::now()).await? == Moved::No {
            return Ok(LOST.to_owned());
        }
        if let Some(why) = failed_boot {
            self.failed(pool, Stage::Boot, why).await;
        }
        self.note_given_up(slot, why).await;
        self.delete_vm_of(slot, deadline).await;
        Ok(GOING.to_owned())
    }

    pub(super) async fn adopt(
        &self,
        pool: &Pool,
        slot: &Slot,
        vm: &Vm,
        turn: Turn,
    ) -> Result<String, StepError> {
        if matches!(self.provider(&vm.place.provider), Some(Provider::Proxmox(_))) {
            let taken_up = self.take_up(pool, slot, &vm.place, turn).await?;
            return Ok(taken_up.unwrap_or_else(|| LOST.to_owned()));
        }
        match self.github.find(&pool.scope, slot.runner.as_str(), None, turn.deadline).await? {
            Some(runner) => {
                let event =
                    SlotEvent::Placed { vm: vm.place.clone(), runner_id: runner.id, registered_at: None };
                Ok(moved_or(self.ledger.slot_event(&slot.runner, &event, clock::now()).await?, "recorded"))
            }
            // Without a registration it can never take a job.
            None => self.end(pool, slot, "its runner has no registration", turn.deadline).await,
        }
    }

    pub(super) async fn advance(&self, pool: &Pool, slot: &Slot, turn: Turn) -> Result<String, StepError> {
        Ok(self.take_further(pool, slot, turn).await?.unwrap_or_else(|| LOST.to_owned()))
    }

    pub(super) async fn settle_displaced(
        &self,
        pool: &Pool,
        slot: &Slot,
        job: JobId,
    ) -> Result<String, StepError> {
        let waits = self.requeue(pool, job, slot.runner.slot(), "its runner took another job").await?;
        self.ledger.settled(&slot.runner, job).await?;
        Ok(if waits { format!("job {job} waits") } else { format!("job {job} was seen to already") })
    }

    pub(super) async fn sweep_orphan(
        &self,
        pool: &Pool,
        vm: &Vm,
        deadline: Instant,
    ) -> Result<String, StepError> {
        // A second witness, since a slot may have been taken after the table was read.
        if let Some(runner) = RunnerName::parse(&self.policy.deployment, &vm.name)
            && self.ledger.slot_of(&runner).await?.is_some()
        {
            return Ok("left alone: a slot knows it by now".to_owned());
        }
        if self.github.remove_by_name(&pool.scope, &vm.name, None, deadline).await? == Removal::Busy {
            return Ok("left alone: GitHub says that its runner is busy".to_owned());
        }
        let whose = Whose { runner: &vm.name, pool: &pool.name, job: None };
        self.delete_vm(whose, &vm.place, deadline).await;
        Ok("it is being deleted".to_owned())
    }

    pub(super) async fn unregister_stray(
        &self,
        pool: &Pool,
        runner: &RunnerName,
        id: RunnerId,
        deadline: Instant,
    ) -> Result<String, StepError> {
        if self.ledger.slot_of(runner).await?.is_some() {
            return Ok("left alone: a slot knows it by now".to_owned());
        }
        Ok(match self.github.remove(&pool.scope, id, None, deadline).await? {
            Removal::Gone => "it is deleted".to_owned(),
            Removal::Busy => "left alone: GitHub says that the runner is busy".to_owned(),
        })
    }

    async fn unregister_slot(
        &self,
        pool: &Pool,
        slot: &Slot,
        deadline: Instant,
    ) -> Result<Removal, GitHubError> {
        match slot.phase.machine().and_then(|machine| machine.runner_id) {
            Some(runner_id) => self.github.remove(&pool.scope, runner_id, None, deadline).await,
            None => self.github.remove_by_name(&pool.scope, slot.runner.as_str(), None, deadline).await,
        }
    }
}

/// The event by which a slot's VM is to go. One that is made in steps goes only as it was seen: somebody may have taken it
/// up, and its runner a job, since.
fn goes(slot: &Slot, otherwise: SlotEvent) -> SlotEvent {
    slot.lease().map_or(otherwise, |held| SlotEvent::Making(Making::GivenUp { held }))
}
