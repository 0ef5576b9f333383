//! Execution: each step of the plan, as far as the ledger still says what it said.

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream;
use mayfly_core::ids::RunnerName;
use mayfly_core::policy::Pool;
use mayfly_core::slot::{Machine, Phase, Purpose, Slot, SlotEvent};
use mayfly_core::sweep::{Action, Next, Step, Vm};

use super::Done;
use crate::clock;
use crate::github::{GitHubError, Removal};
use crate::mayfly::Mayfly;
use crate::provision::Provisioned;
use crate::store::{Moved, StoreError, Take};

/// So many steps are under way at a time: most of a step is waiting for others, and GitHub takes at most a hundred
/// requests at once.
const AT_ONCE: usize = 64;

/// Why a step failed; the next sweep plans it again.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error("pool `{0}` is not configured, so GitHub cannot be asked whether the runner is busy")]
    UnknownPool(String),
}

const LOST: &str = "somebody else was quicker";

impl Mayfly {
    /// Carries a plan out, as many steps as there is time for.
    pub(super) async fn execute(&self, steps: Vec<Step>, deadline: Instant) -> Vec<Done> {
        let work = stream::iter(steps).map(|step| async move {
            if Instant::now() >= deadline {
                return None;
            }
            let (action, what) = named(&step.action);
            let outcome = match self.step(&step, deadline).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    tracing::warn!(pool = %step.pool, action, what, %error, "left for the next sweep");
                    format!("failed: {error}")
                }
            };
            tracing::info!(pool = %step.pool, action, what, why = step.why, outcome, "sweep");
            Some(Done { pool: step.pool, action, what, why: step.why, outcome })
        });
        work.buffer_unordered(AT_ONCE).filter_map(|done| async { done }).collect().await
    }

    async fn step(&self, step: &Step, deadline: Instant) -> Result<String, StepError> {
        let pool =
            self.policy.pool(&step.pool).ok_or_else(|| StepError::UnknownPool(step.pool.to_string()))?;
        match &step.action {
            Action::Release { slot, next } => self.release(pool, slot, next, deadline).await,
            Action::Delete { slot } => self.end(pool, slot, deadline).await,
            Action::Retire { slot } => self.retire(pool, slot, deadline).await,
            Action::Adopt { slot, vm } => self.adopt(pool, slot, vm, deadline).await,
            Action::Spare { slot } => {
                let moved = self.ledger.repurpose(slot, Purpose::Spare { since: clock::now() }).await?;
                Ok(moved_or(moved, "it is spare now"))
            }
            Action::Settle { slot, job } => {
                let waits =
                    self.requeue(pool, *job, slot.runner.slot(), "its runner took another job").await?;
                self.ledger.settled(&slot.runner, *job).await?;
                Ok(if waits { format!("job {job} waits") } else { format!("job {job} was seen to already") })
            }
            Action::Assign { slot, waiting } => {
                let served = self.serve(pool, waiting, &Take::Spare(slot.clone()), deadline).await?;
                Ok(provisioned(served))
            }
            Action::Serve { index, waiting } => {
                let slot = self.new_slot(pool, *index, Purpose::Job(waiting.job));
                Ok(provisioned(self.serve(pool, waiting, &Take::Free(slot), deadline).await?))
            }
            Action::Sweep { vm } => self.sweep_orphan(pool, vm, deadline).await,
        }
    }

    async fn release(
        &self,
        pool: &Pool,
        slot: &Slot,
        next: &Next,
        deadline: Instant,
    ) -> Result<String, StepError> {
        // A runner that is deleted took its registration along, or had it taken; any other may have left one behind.
        if !matches!(slot.phase, Phase::Deleting { .. }) {
            self.unregister_slot(pool, slot, deadline).await?;
        }
        match next {
            Next::Nobody => {
                self.ledger.free(slot).await?;
                Ok("the slot is free".to_owned())
            }
            Next::Requeue(job) => {
                self.requeue(pool, *job, slot.runner.slot(), "its slot is beyond max_runners").await?;
                self.ledger.free(slot).await?;
                Ok(format!("the slot is free, job {job} waits"))
            }
            Next::Waiting(waiting) => Ok(provisioned(self.hand_over(pool, slot, waiting, deadline).await?)),
            Next::Own(job) => Ok(provisioned(self.renew(pool, slot, *job, deadline).await?)),
        }
    }

    /// Nothing runs on the slot's VM: it goes, and with it a registration that no job has used up. A sweep does not wait for
    /// the end of a deletion: the next one finds it.
    async fn end(&self, pool: &Pool, slot: &Slot, deadline: Instant) -> Result<String, StepError> {
        match slot.phase {
            Phase::Deleting { .. } => {}
            Phase::Busy { .. } => {
                if self.ledger.slot_event(&slot.runner, &SlotEvent::Ended, clock::now()).await? == Moved::No {
                    return Ok(LOST.to_owned());
                }
            }
            Phase::Reserved | Phase::Booting { .. } | Phase::Idle { .. } => {
                // Before the slot forgets that there may be one.
                self.unregister_slot(pool, slot, deadline).await?;
                if self.ledger.slot_event(&slot.runner, &SlotEvent::Ended, clock::now()).await? == Moved::No {
                    return Ok(LOST.to_owned());
                }
            }
        }
        self.delete_vm_of(slot, deadline).await;
        Ok("its VM is being deleted".to_owned())
    }

    async fn retire(&self, pool: &Pool, slot: &Slot, deadline: Instant) -> Result<String, StepError> {
        if self.unregister_slot(pool, slot, deadline).await? == Removal::Busy {
            return Ok("left alone: GitHub says that the runner is busy".to_owned());
        }
        let moved = self.ledger.slot_event(&slot.runner, &SlotEvent::Retired, clock::now()).await?;
        if moved == Moved::No {
            return Ok(LOST.to_owned());
        }
        self.delete_vm_of(slot, deadline).await;
        Ok("its VM is being deleted".to_owned())
    }

    async fn adopt(&self, pool: &Pool, slot: &Slot, vm: &Vm, deadline: Instant) -> Result<String, StepError> {
        match self.github.find(pool, &slot.runner, None, deadline).await? {
            Some(runner_id) => {
                let machine = Machine { vm: vm.place.clone(), runner_id };
                let event = SlotEvent::Placed { machine };
                let moved = self.ledger.slot_event(&slot.runner, &event, clock::now()).await?;
                Ok(moved_or(moved, "recorded"))
            }
            // Without a registration it can never take a job.
            None => self.end(pool, slot, deadline).await,
        }
    }

    async fn sweep_orphan(&self, pool: &Pool, vm: &Vm, deadline: Instant) -> Result<String, StepError> {
        let Some(runner) = RunnerName::parse(&self.policy.deployment, &vm.name) else {
            return Ok("left alone: it has no name that Mayfly gives".to_owned());
        };
        // A second witness, since a slot may have been taken after the table was read.
        if self.ledger.slot_of(&runner).await?.is_some() {
            return Ok("left alone: a slot knows it by now".to_owned());
        }
        if self.github.remove_by_name(pool, &runner, None, deadline).await? == Removal::Busy {
            return Ok("left alone: GitHub says that its runner is busy".to_owned());
        }
        self.delete_vm(&vm.name, &vm.place, deadline).await;
        Ok("it is being deleted".to_owned())
    }

    async fn unregister_slot(
        &self,
        pool: &Pool,
        slot: &Slot,
        deadline: Instant,
    ) -> Result<Removal, GitHubError> {
        match slot.phase.machine() {
            Some(machine) => self.github.remove(&pool.scope, machine.runner_id, None, deadline).await,
            None => self.github.remove_by_name(pool, &slot.runner, None, deadline).await,
        }
    }
}

fn named(action: &Action) -> (&'static str, String) {
    match action {
        Action::Release { slot, .. } => ("release", slot.runner.to_string()),
        Action::Delete { slot } => ("delete", slot.runner.to_string()),
        Action::Retire { slot } => ("retire", slot.runner.to_string()),
        Action::Adopt { slot, .. } => ("adopt", slot.runner.to_string()),
        Action::Spare { slot } => ("spare", slot.runner.to_string()),
        Action::Settle { slot, .. } => ("settle", slot.runner.to_string()),
        Action::Assign { slot, .. } => ("assign", slot.runner.to_string()),
        Action::Serve { waiting, .. } => ("serve", format!("job {}", waiting.job)),
        Action::Sweep { vm } => ("sweep", vm.name.clone()),
    }
}

fn moved_or(moved: Moved, done: &str) -> String {
    match moved {
        Moved::From(_) => done.to_owned(),
        Moved::No => LOST.to_owned(),
    }
}

fn provisioned(made: Option<Provisioned>) -> String {
    match made {
        None => "nothing: somebody else was quicker, or the job needs no runner any more".to_owned(),
        Some(Provisioned::Made(place)) => format!("a VM is being made in {place}"),
        Some(Provisioned::Spare) => "it gets a spare runner".to_owned(),
        Some(Provisioned::GivenBack(why)) => format!("no VM made, the job waits: {why}"),
        Some(Provisioned::Unclear(why)) => format!("left for the next sweep: {why}"),
    }
}
