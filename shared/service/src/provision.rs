//! A reserved slot becomes a VM: the runner is registered just in time, and the first placement that has room
//! makes the VM.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mayfly_core::gate::PoolState;
use mayfly_core::ids::{InstallationId, JobId, RunnerId};
use mayfly_core::job::{Moment, Waiting};
use mayfly_core::policy::{Placement, Pool};
use mayfly_core::slot::{Machine, Slot, SlotEvent, VmPlace, later};

use crate::clock;
use crate::github::{GitHubError, Registration, Removal};
use crate::mayfly::Mayfly;
use crate::provider::{CreateError, Created, PassedOver, Provider, VmOrder};
use crate::store::{Moved, Stage, StoreError};
use crate::turn::Turn;

/// Whom a VM is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Want<'a> {
    /// This job.
    Job(&'a Waiting),
    /// Nobody yet: it is kept warm.
    Warm,
}

impl Want<'_> {
    fn job(self) -> Option<JobId> {
        match self {
            Self::Job(job) => Some(job.job),
            Self::Warm => None,
        }
    }

    fn installation(self) -> Option<InstallationId> {
        match self {
            Self::Job(job) => job.installation,
            Self::Warm => None,
        }
    }
}

/// What became of a slot that was to become a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provisioned {
    /// The VM is being made there.
    Made(VmPlace),
    /// A spare runner's VM serves: none was made.
    Spare,
    /// It was not made; the job is in the queue again, the slot is free.
    GivenBack(String),
    /// It is not known whether it was made; the slot stays taken until a sweep has looked.
    Unclear(String),
}

/// What one placement answered.
enum Tried {
    Made(Created),
    PassedOver(String),
    Unclear(String),
}

impl Mayfly {
    /// Makes the VM of a slot that was taken. Whatever happens, the job is not lost: it is on its way, in
    /// the queue, or its slot is taken up by a sweep.
    pub(crate) async fn provision(
        &self,
        pool: &Pool,
        slot: &Slot,
        want: Want<'_>,
        turn: Turn,
    ) -> Provisioned {
        // A sweep takes the slot up after `step_timeout`: whoever is at it has stopped well before.
        let making = turn.deadline.min(Instant::now() + self.policy.timing.step_timeout.mul_f64(0.75));
        let registering = self.github.register(pool, &slot.runner, want.installation(), making);
        let preparing = async {
            for (placement, provider) in self.placements(pool) {
                provider.prepare(placement).await;
            }
        };
        // All that a create needs, in the time of the slowest.
        let (registration, state, ()) = tokio::join!(registering, self.state_of(pool), preparing);
        // Where the pool could not be looked at no VM is started on a guess.
        let open = match state {
            Ok(state) => match self.shut_for(pool, &state, turn).await {
                Ok(None) => Ok(state),
                Ok(Some(why)) => Err(why),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        let registration = match registration {
            Ok(registration) => registration,
            Err(error) => return self.not_registered(pool, slot, want, &error).await,
        };
        let why = match open {
            Ok(state) => match self.try_placements(pool, slot, want, &registration, &state, making).await {
                Ok(made) => return made,
                Err(why) => {
                    self.failed(pool, Stage::Create, &why).await;
                    why
                }
            },
            Err(why) => why,
        };
        if self.unregister(pool, registration.runner_id, want, turn.deadline).await {
            self.give_back(pool, slot, want, why).await
        } else {
            // The slot remembers the name, so that a sweep finds the registration.
            Self::unclear(pool, slot, want, why)
        }
    }

    /// Tries one placement after the other; why none has made it.
    async fn try_placements(
        &self,
        pool: &Pool,
        slot: &Slot,
        want: Want<'_>,
        registration: &Registration,
        state: &PoolState,
        deadline: Instant,
    ) -> Result<Provisioned, String> {
        let mut passed_over = Vec::new();
        for (placement, provider) in self.placements(pool) {
            let place = (placement, provider);
            match self.try_placement(pool, slot, want, place, registration, state, deadline).await {
                Tried::Made(created) => {
                    if state.creates.is_some() {
                        self.recovered(pool, Stage::Create).await;
                    }
                    return Ok(self.made(pool, slot, want, created, passed_over).await);
                }
                Tried::PassedOver(why) => passed_over.push(format!("{}: {why}", placement.provider)),
                Tried::Unclear(why) => return Ok(Self::unclear(pool, slot, want, why)),
            }
        }
        Err(passed_over.join("; "))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is what one try needs, and nothing else uses it"
    )]
    async fn try_placement(
        &self,
        pool: &Pool,
        slot: &Slot,
        want: Want<'_>,
        (placement, provider): (&Placement, &Provider),
        registration: &Registration,
        state: &PoolState,
        deadline: Instant,
    ) -> Tried {
        let order = VmOrder {
            name: &slot.runner,
            deployment: &self.policy.deployment,
            pool: &pool.name,
            jit_config: &registration.jit_config,
            max_lifetime: pool.max_lifetime,
            deadline,
        };
        let cooling = state.cooling_at(placement.provider.as_str(), clock::now());
        let lost = AtomicBool::new(false);
        let placed = |place: VmPlace| {
            self.placed(slot, Machine { vm: place, runner_id: registration.runner_id }, &lost)
        };
        let created = provider.create(placement, &order, &cooling, placed).await;
        match created {
            Ok(created) if lost.load(Ordering::Relaxed) => {
                tracing::warn!(runner = %slot.runner, place = %created.place, "the slot was taken over; its VM goes");
                // First the registration, since GitHub refuses when the runner is busy; then an orphan is left alone.
                if self.unregister(pool, registration.runner_id, want, deadline).await {
                    self.delete_vm(slot.runner.as_str(), &created.place, deadline).await;
                }
                Tried::Unclear("the slot was taken over by a sweep".to_owned())
            }
            Ok(created) => {
                self.cool(pool, placement, &created.passed_over).await;
                Tried::Made(created)
            }
            Err(CreateError::Full(places)) => {
                self.cool(pool, placement, &places).await;
                let why = CreateError::Full(places).to_string();
                tracing::info!(pool = %pool.name, job = shown(want), runner = %slot.runner, placement = %placement.provider, why, "placement passed over");
                Tried::PassedOver(why)
            }
            Err(CreateError::Ambiguous { place, why }) => Tried::Unclear(format!("{place}: {why}")),
            Err(error @ (CreateError::Refused(_) | CreateError::Unavailable(_))) => {
                tracing::error!(pool = %pool.name, job = shown(want), runner = %slot.runner, placement = %placement.provider, %error, "placement passed over");
                Tried::PassedOver(error.to_string())
            }
        }
    }

    /// Records a create as soon as the provider has accepted it, while its operation is still under way. `lost` is set
    /// when the slot is somebody else's by now.
    async fn placed(&self, slot: &Slot, machine: Machine, lost: &AtomicBool) {
        match self.ledger.slot_event(&slot.runner, &SlotEvent::Placed { machine }, clock::now()).await {
            Ok(Moved::From(_)) => {}
            // The event of its job may have overtaken this record: then the slot is busy, and still this runner's.
            Ok(Moved::No) => {
                let taken = matches!(self.ledger.slot_of(&slot.runner).await, Ok(None));
                lost.store(taken, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(runner = %slot.runner, %error, "an accepted create is not recorded"),
        }
    }

    async fn made(
        &self,
        pool: &Pool,
        slot: &Slot,
        want: Want<'_>,
        created: Created,
        mut passed_over: Vec<String>,
    ) -> Provisioned {
        let place = created.place;
        tracing::info!(pool = %pool.name, job = shown(want), runner = %slot.runner, placement = %place, "VM made");
        passed_over
            .extend(created.passed_over.into_iter().map(|over| format!("{}: {}", over.place, over.why)));
        // A plain create is told by the slot; only a story worth telling costs a write.
        if !passed_over.is_empty() {
            let line = format!("VM {} in {place}; passed over {}", slot.runner, passed_over.join("; "));
            self.note(want, line).await;
        }
        Provisioned::Made(place)
    }

    fn unclear(pool: &Pool, slot: &Slot, want: Want<'_>, why: String) -> Provisioned {
        tracing::warn!(pool = %pool.name, job = shown(want), runner = %slot.runner, why, "left for the sweep");
        Provisioned::Unclear(why)
    }

    async fn not_registered(
        &self,
        pool: &Pool,
        slot: &Slot,
        want: Want<'_>,
        error: &GitHubError,
    ) -> Provisioned {
        match error {
            GitHubError::RateLimited { retry_after, .. } => {
                let until = later(clock::now(), *retry_after);
                if let Err(error) = self.ledger.hold_github(&pool.name, until).await {
                    tracing::warn!(pool = %pool.name, %error, "GitHub's retry-after is not remembered");
                }
            }
            GitHubError::Refused { .. } => self.failed(pool, Stage::Create, &error.to_string()).await,
            // It may have registered the runner all the same: the slot remembers the name until a sweep has looked.
            GitHubError::Unavailable { .. } => return Self::unclear(pool, slot, want, error.to_string()),
        }
        self.give_back(pool, slot, want, error.to_string()).await
    }

    /// The job queues again and its slot is free, in this order: a job is never without a place.
    async fn give_back(&self, pool: &Pool, slot: &Slot, want: Want<'_>, why: String) -> Provisioned {
        tracing::error!(pool = %pool.name, job = shown(want), runner = %slot.runner, why, "no VM made");
        let given: Result<(), StoreError> = async {
            // A sweep may have taken the slot over: then the job is its business.
            if self.ledger.slot_of(&slot.runner).await?.is_none() {
                return Ok(());
            }
            if let Want::Job(job) = want {
                let line = Moment::new(clock::now(), format!("waits again: {why}"));
                self.ledger.requeue(&pool.name, job, slot.runner.slot(), line).await?;
            }
            self.ledger.free(slot).await.map(|_| ())
        }
        .await;
        match given {
            Ok(()) => Provisioned::GivenBack(why),
            Err(error) => Self::unclear(pool, slot, want, format!("{why}; {error}")),
        }
    }

    /// Counts a failure, so that the pool is tried with care.
    pub(crate) async fn failed(&self, pool: &Pool, stage: Stage, why: &str) {
        if let Err(error) = self.ledger.failed(&pool.name, stage, why, clock::now()).await {
            tracing::warn!(pool = %pool.name, %error, "a failure is not remembered");
        }
    }

    pub(crate) async fn recovered(&self, pool: &Pool, stage: Stage) {
        if let Err(error) = self.ledger.recovered(&pool.name, stage).await {
            tracing::warn!(pool = %pool.name, %error, "that it went well is not remembered");
        }
    }

    async fn cool(&self, pool: &Pool, placement: &Placement, places: &[PassedOver]) {
        let full = places.iter().filter(|place| place.full);
        let keys: Vec<String> = full.map(|over| format!("{}/{}", placement.provider, over.place)).collect();
        let until = later(clock::now(), self.policy.timing.cooldown);
        if let Err(error) = self.ledger.cool_down(&pool.name, &keys, until).await {
            tracing::warn!(pool = %pool.name, %error, "full places are not remembered");
        }
    }

    /// Deletes a registration; whether it is gone.
    async fn unregister(&self, pool: &Pool, runner: RunnerId, want: Want<'_>, deadline: Instant) -> bool {
        match self.github.remove(&pool.scope, runner, want.installation(), deadline).await {
            Ok(removal) => removal == Removal::Gone,
            Err(error) => {
                tracing::warn!(pool = %pool.name, %error, "a registration without a VM stays until GitHub drops it");
                false
            }
        }
    }

    async fn note(&self, want: Want<'_>, line: String) {
        let Some(job) = want.job() else { return };
        if let Err(error) = self.ledger.note(job, Moment::new(clock::now(), line)).await {
            tracing::warn!(%job, %error, "the job's timeline lacks a line");
        }
    }
}

/// The job as logs show it; none for a VM that is kept warm.
fn shown(want: Want<'_>) -> Option<u64> {
    want.job().map(|job| job.0)
}
