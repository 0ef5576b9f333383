//! Execution: each step of the plan, as far as the ledger still says what it said.

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use mayfly_core::ids::{JobId, PoolName, SlotIndex};
use mayfly_core::job::Waiting;
use mayfly_core::policy::Pool;
use mayfly_core::slot::{Purpose, Slot, SlotEvent};
use mayfly_core::sweep::{Action, Step};
use tokio::time::Instant;
use tracing::field::display;

use super::Done;
use super::deeds::Vain;
use crate::clock;
use crate::errand::Want;
use crate::github::GitHubError;
use crate::mayfly::Mayfly;
use crate::provision::Provisioned;
use crate::removal::Whose;
use crate::store::{Moved, Stage, StoreError, Take};
use crate::turn::Turn;

/// So many steps are under way at a time: most of a step is waiting for others, and GitHub takes at most a hundred
/// requests at once.
const AT_ONCE: usize = 64;

/// Why a step failed; the next sweep plans it again.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error("its pool is not configured, so GitHub cannot be asked whether the runner is busy")]
    UnknownPool,
}

pub(super) const LOST: &str = "somebody else was quicker";

impl Mayfly {
    /// Carries a plan out, as many steps as there is time for.
    pub(super) async fn execute(&self, steps: Vec<Step>, removed: &[Pool], deadline: Instant) -> Vec<Done> {
        // Boxed: the compiler does not see through a stream of these that they may be sent.
        let work = stream::iter(steps)
            .map(|step| -> BoxFuture<'_, Option<Done>> { Box::pin(self.done(step, removed, deadline)) });
        work.buffer_unordered(AT_ONCE).filter_map(|done| async { done }).collect().await
    }

    /// A step, carried out; `None` when there is no time left for it.
    async fn done(&self, step: Step, removed: &[Pool], deadline: Instant) -> Option<Done> {
        if Instant::now() >= deadline {
            return None;
        }
        let (action, what) = named(&step.action);
        let pool = step.pool.as_ref().map(PoolName::as_str);
        let (job, runner) = concerned(&step.action);
        let job = job.map(display);
        let outcome = match self.step(&step, removed, Turn::of_sweep(deadline)).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(pool, job, runner, action, what, %error, "a step failed: it is left for the next sweep");
                format!("failed: {error}")
            }
        };
        tracing::info!(pool, job, runner, action, what, why = step.why, outcome, "sweep");
        Some(Done { pool: step.pool, action, what, why: step.why, outcome })
    }

    async fn step(&self, step: &Step, removed: &[Pool], turn: Turn) -> Result<String, StepError> {
        let named = |pool: &&Pool| Some(&pool.name) == step.pool.as_ref();
        let Some(pool) = self.policy.pools.iter().chain(removed).find(named) else {
            return self.step_without_pool(&step.action, turn).await;
        };
        match &step.action {
            Action::Release { slot, next } => Box::pin(self.release(pool, slot, next, turn)).await,
            Action::Delete { slot } => self.end(pool, slot, step.why, turn.deadline).await,
            Action::Retire { slot, failed_boot } => {
                let vain = Vain { why: step.why, failed_boot: failed_boot.as_deref() };
                self.retire(pool, slot, vain, turn.deadline).await
            }
            Action::Adopt { slot, vm } => Box::pin(self.adopt(pool, slot, vm, turn)).await,
            Action::Advance { slot } => Box::pin(self.advance(pool, slot, turn)).await,
            Action::Online { slot } => self.online(slot).await,
            Action::Taken { slot } => self.found_busy(slot).await,
            Action::Spare { slot } => {
                let moved = self.ledger.repurpose(slot, Purpose::Spare { since: clock::now() }).await?;
                Ok(moved_or(moved, "it is spare now"))
            }
            Action::Settle { slot, job } => self.settle_displaced(pool, slot, *job).await,
            Action::Assign { slot, waiting } => {
                self.serve_with(pool, waiting, Take::Spare(slot.clone()), turn).await
            }
            Action::Serve { index, waiting } => {
                let slot = self.new_slot(pool, *index, Purpose::Job(waiting.job));
                self.serve_with(pool, waiting, Take::Free(slot), turn).await
            }
            Action::Warm { index } => self.warm(pool, *index, turn).await,
            Action::Sweep { vm } => self.sweep_orphan(pool, vm, turn.deadline).await,
            Action::Unregister { runner, id } => {
                self.unregister_stray(pool, runner, *id, turn.deadline).await
            }
            Action::Tell { event } => Box::pin(self.tell(pool, event, turn)).await,
            Action::Requeue { job } => self.requeue_lost(pool, *job).await,
            Action::Move { event, waiting } => Box::pin(self.move_job(pool, event, waiting, turn)).await,
            Action::Redeliver { .. } => self.step_without_pool(&step.action, turn).await,
            Action::Drop { waiting } => {
                self.ledger.drop_waiting(&pool.name, waiting).await?;
                Ok("it has left the queue".to_owned())
            }
            Action::Announce { waiting, cause, words } => {
                self.announce(pool, waiting, (*cause, words), turn.deadline).await
            }
            Action::Amend { notice, cause, words } => {
                self.amend(pool, notice, (*cause, words), turn.deadline).await
            }
            Action::Conclude { notice, ending } => self.conclude(pool, notice, ending, turn.deadline).await,
            Action::BootFailed { why } => {
                self.failed(pool, Stage::Boot, why).await;
                Ok("counted".to_owned())
            }
            Action::Recover => {
                self.ledger.recovered(&pool.name, Stage::Boot).await?;
                Ok("its failures are forgotten".to_owned())
            }
            Action::Limit { limit } => self.limit(pool, *limit).await,
        }
    }

    async fn online(&self, slot: &Slot) -> Result<String, StepError> {
        let moved = self.ledger.slot_event(&slot.runner, &SlotEvent::Online, clock::now()).await?;
        self.is_there(&moved);
        Ok(moved_or(moved, "it is idle now"))
    }

    async fn found_busy(&self, slot: &Slot) -> Result<String, StepError> {
        let moved = self.ledger.taken(slot, clock::now()).await?;
        self.is_there(&moved);
        Ok(moved_or(moved, "it is busy now"))
    }

    async fn limit(&self, pool: &Pool, limit: u16) -> Result<String, StepError> {
        self.ledger.set_limit(&pool.name, limit).await?;
        Ok(format!("its slots reach up to {limit}"))
    }

    /// A runner was seen; its boot is over, if that was not known.
    fn is_there(&self, moved: &Moved) {
        if let Moved::From(before) = moved {
            self.metrics.booted(before.runner.pool(), before, clock::now());
        }
    }

    async fn serve_with(
        &self,
        pool: &Pool,
        waiting: &Waiting,
        take: Take,
        turn: Turn,
    ) -> Result<String, StepError> {
        Ok(provisioned(Box::pin(self.serve(pool, waiting, &take, turn)).await?))
    }

    async fn warm(&self, pool: &Pool, index: SlotIndex, turn: Turn) -> Result<String, StepError> {
        let slot = self.new_slot(pool, index, Purpose::Spare { since: clock::now() });
        if !self.ledger.reserve(&slot).await? {
            return Ok(LOST.to_owned());
        }
        let made = Box::pin(self.provision(pool, &slot, Want::Warm, turn)).await;
        Ok(provisioned(Some(made)))
    }

    async fn step_without_pool(&self, action: &Action, turn: Turn) -> Result<String, StepError> {
        if let Action::Redeliver { hook, guid, attempt, times } = action {
            return self.redeliver(hook, guid, *attempt, *times, turn.deadline).await;
        }
        // A VM of a pool that nobody knows is planned to go only when it is off, so no runner of it can be busy.
        let Action::Sweep { vm } = action else { return Err(StepError::UnknownPool) };
        let whose = Whose { runner: &vm.name, pool: &vm.pool, job: None };
        self.delete_vm(whose, &vm.place, turn.deadline).await;
        Ok("it is being deleted".to_owned())
    }
}

/// What a step is called, and what it is done to.
fn named(action: &Action) -> (&'static str, String) {
    match action {
        Action::Release { slot, .. } => ("release", slot.runner.to_string()),
        Action::Delete { slot } => ("delete", slot.runner.to_string()),
        Action::Retire { slot, .. } => ("retire", slot.runner.to_string()),
        Action::Adopt { slot, .. } => ("adopt", slot.runner.to_string()),
        Action::Advance { slot } => ("advance", slot.runner.to_string()),
        Action::Online { slot } => ("online", slot.runner.to_string()),
        Action::Taken { slot } => ("taken", slot.runner.to_string()),
        Action::Spare { slot } => ("spare", slot.runner.to_string()),
        Action::Settle { slot, .. } => ("settle", slot.runner.to_string()),
        Action::Assign { slot, .. } => ("assign", slot.runner.to_string()),
        Action::Serve { waiting, .. } => ("serve", format!("job {}", waiting.job)),
        Action::Warm { index } => ("warm", format!("slot {index}")),
        Action::Sweep { vm } => ("sweep", vm.name.clone()),
        Action::Unregister { runner, .. } => ("unregister", runner.to_string()),
        Action::Tell { event } => ("tell", format!("job {}", event.job)),
        Action::Requeue { job } => ("requeue", format!("job {job}")),
        Action::Move { event, .. } => ("move", format!("job {}", event.job)),
        Action::Redeliver { guid, .. } => ("redeliver", guid.clone()),
        Action::Drop { waiting } => ("drop", format!("job {}", waiting.job)),
        Action::Announce { waiting, .. } => ("announce", format!("job {}", waiting.job)),
        Action::Amend { notice, .. } => ("amend", format!("job {}", notice.job)),
        Action::Conclude { notice, .. } => ("conclude", format!("job {}", notice.job)),
        Action::BootFailed { why } => ("boot failed", why.clone()),
        Action::Recover => ("recover", "its boots".to_owned()),
        Action::Limit { limit } => ("limit", limit.to_string()),
    }
}

/// The job and the runner that an action concerns, as far as it names them, for the log.
fn concerned(action: &Action) -> (Option<JobId>, Option<&str>) {
    match action {
        Action::Release { slot, .. }
        | Action::Delete { slot }
        | Action::Retire { slot, .. }
        | Action::Adopt { slot, .. }
        | Action::Advance { slot }
        | Action::Online { slot }
        | Action::Taken { slot }
        | Action::Spare { slot } => (slot.purpose.job(), Some(slot.runner.as_str())),
        Action::Settle { slot, job } => (Some(*job), Some(slot.runner.as_str())),
        Action::Assign { slot, waiting } => (Some(waiting.job), Some(slot.runner.as_str())),
        Action::Serve { waiting, .. } | Action::Drop { waiting } | Action::Announce { waiting, .. } => {
            (Some(waiting.job), None)
        }
        Action::Amend { notice, .. } | Action::Conclude { notice, .. } => (Some(notice.job), None),
        Action::Tell { event } | Action::Move { event, .. } => (Some(event.job), None),
        Action::Requeue { job } => (Some(*job), None),
        Action::Sweep { vm } => (None, Some(vm.name.as_str())),
        Action::Unregister { runner, .. } => (None, Some(runner.as_str())),
        // What failed begins with the runner that did.
        Action::BootFailed { why } => (None, why.split_once(": ").map(|(runner, _)| runner)),
        Action::Warm { .. } | Action::Redeliver { .. } | Action::Recover | Action::Limit { .. } => {
            (None, None)
        }
    }
}

pub(super) fn moved_or(moved: Moved, done: &str) -> String {
    match moved {
        Moved::From(_) => done.to_owned(),
        Moved::No => LOST.to_owned(),
    }
}

pub(super) fn provisioned(made: Option<Provisioned>) -> String {
    match made {
        None => "nothing: somebody else was quicker, or the job needs no runner any more".to_owned(),
        Some(Provisioned::Made(place)) => format!("a VM is being made in {place}"),
        Some(Provisioned::Spare) => "it gets a spare runner".to_owned(),
        Some(Provisioned::GivenBack(why)) => format!("no VM made: {why}"),
        Some(Provisioned::Unclear(why)) => format!("left for the next sweep: {why}"),
    }
}
