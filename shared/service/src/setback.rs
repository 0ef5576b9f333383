//! What follows when no VM was made: the job waits again, the slot is free, and what failed is remembered.

use mayfly_core::ids::RunnerId;
use mayfly_core::policy::{Placement, Pool};
use mayfly_core::slot::later;
use mayfly_core::telling::Step;
use tokio::time::Instant;

use crate::clock;
use crate::errand::{Errand, Want};
use crate::github::{GitHubError, Removal};
use crate::mayfly::Mayfly;
use crate::provider::PassedOver;
use crate::provision::Provisioned;
use crate::store::{Stage, StoreError};

impl Mayfly {
    pub(crate) async fn not_registered(&self, errand: Errand<'_>, error: &GitHubError) -> Provisioned {
        if self.register_failed(errand.pool, error).await {
            self.give_back(errand, error.to_string()).await
        } else {
            Self::unclear(errand, error.to_string())
        }
    }

    /// Remembers that GitHub registered no runner; `false` where it may have done so all the same: the slot remembers the
    /// name until a sweep has looked.
    pub(crate) async fn register_failed(&self, pool: &Pool, error: &GitHubError) -> bool {
        match error {
            GitHubError::RateLimited { retry_after, .. } => {
                let until = later(clock::now(), *retry_after);
                if let Err(error) = self.ledger.hold_github(&pool.name, until).await {
                    tracing::warn!(pool = %pool.name, %error, "GitHub's retry-after is not remembered: it may be asked again too soon");
                }
                true
            }
            GitHubError::Refused { .. } => {
                self.failed(pool, Stage::Create, &error.to_string()).await;
                true
            }
            GitHubError::Unavailable { .. } => false,
        }
    }

    /// The job queues again and its slot is free, in this order: a job is never without a place.
    pub(crate) async fn give_back(&self, errand: Errand<'_>, why: String) -> Provisioned {
        let Errand { pool, slot, .. } = errand;
        tracing::warn!(pool = %pool.name, job = errand.shown_job(), runner = %slot.runner, why, "no VM made: its job waits again, and the slot is given back");
        self.given_back(errand, why).await
    }

    pub(crate) async fn given_back(&self, errand: Errand<'_>, why: String) -> Provisioned {
        let Errand { pool, slot, want, .. } = errand;
        let given: Result<(), StoreError> = async {
            // A sweep may have taken the slot over: then the job is its business.
            if self.ledger.slot_of(&slot.runner).await?.is_none() {
                return Ok(());
            }
            if let Want::Job(job) = want {
                let line = Step::Waits { why: why.clone() }.at(clock::now());
                self.ledger.requeue(&pool.name, job, slot.runner.slot(), line).await?;
            }
            self.free(pool, slot).await.map(|_| ())
        }
        .await;
        match given {
            Ok(()) => Provisioned::GivenBack(why),
            Err(error) => Self::unclear(errand, format!("{why}; {error}")),
        }
    }

    /// Counts a failure, so that the pool is tried with care.
    pub(crate) async fn failed(&self, pool: &Pool, stage: Stage, why: &str) {
        if let Err(error) = self.ledger.failed(&pool.name, stage, why, clock::now()).await {
            tracing::warn!(pool = %pool.name, %error, "a failure is not remembered: the pool is tried again without a pause");
        }
    }

    pub(crate) async fn recovered(&self, pool: &Pool, stage: Stage) {
        if let Err(error) = self.ledger.recovered(&pool.name, stage).await {
            tracing::warn!(pool = %pool.name, %error, "that it went well is not remembered: the pool is still tried with care");
        }
    }

    pub(crate) async fn cool(&self, pool: &Pool, placement: &Placement, places: &[PassedOver]) {
        let full = places.iter().filter(|place| place.full);
        let keys: Vec<String> = full.map(|over| format!("{}/{}", placement.provider, over.place)).collect();
        let until = later(clock::now(), self.policy.timing.cooldown);
        if let Err(error) = self.ledger.cool_down(&pool.name, &keys, until).await {
            tracing::warn!(pool = %pool.name, %error, "full places are not remembered: they are asked again");
        }
    }

    /// Deletes a registration; whether it is gone.
    pub(crate) async fn unregister(&self, errand: Errand<'_>, runner: RunnerId, deadline: Instant) -> bool {
        let Errand { pool, slot, want, .. } = errand;
        match self.github.remove(&pool.scope, runner, want.installation(), deadline).await {
            Ok(removal) => removal == Removal::Gone,
            Err(error) => {
                tracing::warn!(pool = %pool.name, job = errand.shown_job(), runner = %slot.runner, %error, "a registration could not be deleted: it is left for the sweep");
                false
            }
        }
    }
}
