//! A reserved slot becomes a VM: the runner is registered just in time, and the first placement that has room
//! makes the VM.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mayfly_core::ids::RunnerId;
use mayfly_core::job::{Moment, Waiting};
use mayfly_core::policy::{Placement, Pool};
use mayfly_core::slot::{Machine, Slot, SlotEvent, VmPlace, later};

use crate::clock;
use crate::github::{GitHubError, Registration, Removal};
use crate::mayfly::Mayfly;
use crate::provider::{CreateError, Created, PassedOver, Provider, VmOrder};
use crate::store::{Moved, PoolState, StoreError};

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
    /// Makes the VM of a slot that was taken for a job. Whatever happens, the job is not lost: it is on its way, in
    /// the queue, or its slot is taken up by a sweep.
    pub async fn provision(&self, pool: &Pool, slot: &Slot, job: &Waiting, deadline: Instant) -> Provisioned {
        // A sweep takes the slot up after `step_timeout`: whoever is at it has stopped well before.
        let making = deadline.min(Instant::now() + self.policy.timing.step_timeout.mul_f64(0.75));
        let registering = self.github.register(pool, &slot.runner, job.installation, making);
        let preparing = async {
            for (placement, provider) in self.placements(pool) {
                provider.prepare(placement).await;
            }
        };
        // All that a create needs, in the time of the slowest.
        let (registration, state, ()) =
            tokio::join!(registering, self.ledger.pool_state(&pool.name), preparing);
        let registration = match registration {
            Ok(registration) => registration,
            Err(error) => return self.not_registered(pool, slot, job, &error).await,
        };
        let state = state.unwrap_or_else(|error| {
            tracing::warn!(pool = %pool.name, %error, "cool-downs are not known");
            PoolState::default()
        });
        let mut passed_over = Vec::new();
        for (placement, provider) in self.placements(pool) {
            let tried =
                self.try_placement(pool, slot, job, (placement, provider), &registration, &state, making);
            match tried.await {
                Tried::Made(created) => return self.made(pool, slot, job, created, passed_over).await,
                Tried::PassedOver(why) => passed_over.push(format!("{}: {why}", placement.provider)),
                Tried::Unclear(why) => return Self::unclear(pool, slot, job, why),
            }
        }
        let why = passed_over.join("; ");
        if self.unregister(pool, registration.runner_id, job, deadline).await {
            self.give_back(pool, slot, job, why).await
        } else {
            // The slot remembers the name, so that a sweep finds the registration.
            Self::unclear(pool, slot, job, why)
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is what one try needs, and nothing else uses it"
    )]
    async fn try_placement(
        &self,
        pool: &Pool,
        slot: &Slot,
        job: &Waiting,
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
                if self.unregister(pool, registration.runner_id, job, deadline).await {
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
                tracing::info!(pool = %pool.name, job = %job.job, runner = %slot.runner, placement = %placement.provider, why, "placement passed over");
                Tried::PassedOver(why)
            }
            Err(CreateError::Ambiguous { place, why }) => Tried::Unclear(format!("{place}: {why}")),
            Err(error @ (CreateError::Refused(_) | CreateError::Unavailable(_))) => {
                tracing::error!(pool = %pool.name, job = %job.job, runner = %slot.runner, placement = %placement.provider, %error, "placement passed over");
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
        job: &Waiting,
        created: Created,
        mut passed_over: Vec<String>,
    ) -> Provisioned {
        let place = created.place;
        tracing::info!(pool = %pool.name, job = %job.job, runner = %slot.runner, placement = %place, "VM made");
        passed_over
            .extend(created.passed_over.into_iter().map(|over| format!("{}: {}", over.place, over.why)));
        // A plain create is told by the slot; only a story worth telling costs a write.
        if !passed_over.is_empty() {
            let line = format!("VM {} in {place}; passed over {}", slot.runner, passed_over.join("; "));
            self.note(job, line).await;
        }
        Provisioned::Made(place)
    }

    fn unclear(pool: &Pool, slot: &Slot, job: &Waiting, why: String) -> Provisioned {
        tracing::warn!(pool = %pool.name, job = %job.job, runner = %slot.runner, why, "left for the sweep");
        Provisioned::Unclear(why)
    }

    async fn not_registered(
        &self,
        pool: &Pool,
        slot: &Slot,
        job: &Waiting,
        error: &GitHubError,
    ) -> Provisioned {
        match error {
            GitHubError::RateLimited { retry_after, .. } => {
                let until = later(clock::now(), *retry_after);
                if let Err(error) = self.ledger.hold_github(&pool.name, until).await {
                    tracing::warn!(pool = %pool.name, %error, "GitHub's retry-after is not remembered");
                }
            }
            GitHubError::Refused { .. } => {}
            // It may have registered the runner all the same: the slot remembers the name until a sweep has looked.
            GitHubError::Unavailable { .. } => return Self::unclear(pool, slot, job, error.to_string()),
        }
        self.give_back(pool, slot, job, error.to_string()).await
    }

    /// The job queues again and its slot is free, in this order: a job is never without a place.
    async fn give_back(&self, pool: &Pool, slot: &Slot, job: &Waiting, why: String) -> Provisioned {
        tracing::error!(pool = %pool.name, job = %job.job, runner = %slot.runner, why, "no VM made, the job waits");
        let line = Moment::new(clock::now(), format!("waits again: {why}"));
        let given: Result<(), StoreError> = async {
            // A sweep may have taken the slot over: then the job is its business.
            if self.ledger.slot_of(&slot.runner).await?.is_none() {
                return Ok(());
            }
            self.ledger.requeue(&pool.name, job, slot.runner.slot(), line).await?;
            self.ledger.free(slot).await
        }
        .await;
        match given {
            Ok(()) => Provisioned::GivenBack(why),
            Err(error) => Self::unclear(pool, slot, job, format!("{why}; {error}")),
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
    async fn unregister(&self, pool: &Pool, runner: RunnerId, job: &Waiting, deadline: Instant) -> bool {
        match self.github.remove(&pool.scope, runner, job.installation, deadline).await {
            Ok(removal) => removal == Removal::Gone,
            Err(error) => {
                tracing::warn!(pool = %pool.name, %error, "a registration without a VM stays until GitHub drops it");
                false
            }
        }
    }

    async fn note(&self, job: &Waiting, line: String) {
        if let Err(error) = self.ledger.note(job.job, Moment::new(clock::now(), line)).await {
            tracing::warn!(job = %job.job, %error, "the job's timeline lacks a line");
        }
    }
}
