//! Whether a pool may start VMs now, as far as an event's invocation knows.
//!
//! The pool's item is read beside the registration of a runner, so that it costs no time of its own; what it said is
//! remembered for a moment, so that a closed pool's next jobs queue without a try.

use jiff::Timestamp;
use mayfly_core::gate::{Closed, PoolState, closed, is_in_trouble};
use mayfly_core::ids::{PoolName, SlotIndex};
use mayfly_core::policy::Pool;
use mayfly_core::slot::Slot;
use tokio::time::Instant;

use crate::clock;
use crate::mayfly::Mayfly;
use crate::store::{KnownPool, Stage, StoreError};
use crate::turn::{By, Turn};

/// What a pool's item said, and when.
#[derive(Debug)]
pub(crate) struct Remembered {
    at: Instant,
    state: PoolState,
}

impl Mayfly {
    /// Whether this process has seen that the sweep's memory knows a pool.
    pub(crate) fn is_known(&self, pool: &Pool) -> bool {
        self.known.lock().is_ok_and(|known| known.contains(&pool.name))
    }

    /// Has the sweep's memory know a pool, where no sweep has seen it yet: nothing is taken in a pool before, since nobody
    /// would look after it, should the pool be removed from the configuration.
    pub(crate) async fn make_known(&self, pool: &Pool) -> Result<(), StoreError> {
        let wanted = KnownPool::in_use(&pool.scope);
        // Read before it is written: a burst of jobs for a new pool comes to many processes at once, and it is one item.
        if self.state_of(pool).await?.limit.is_none()
            && !self.ledger.memory().await.is_ok_and(|memory| memory.pools.get(&pool.name) == Some(&wanted))
        {
            self.ledger.remember_pools(&[(pool.name.clone(), wanted)].into(), &[]).await?;
        }
        if let Ok(mut known) = self.known.lock() {
            known.insert(pool.name.clone());
        }
        Ok(())
    }

    /// What is known of a pool.
    pub(crate) async fn state_of(&self, pool: &Pool) -> Result<PoolState, StoreError> {
        let state = self.ledger.pool_state(&pool.name).await?;
        if let Ok(mut states) = self.states.lock() {
            let remembered = Remembered { at: Instant::now(), state: state.clone() };
            states.insert(pool.name.clone(), remembered);
        }
        Ok(state)
    }

    /// Why not even a runner that stands ready takes a new job, if the pool is drained. One that cannot be looked at is
    /// treated alike: the job queues, and nothing is lost.
    pub(crate) async fn drained(&self, pool: &Pool) -> Option<String> {
        let draining = |state: &PoolState| state.draining.map(|_| Closed::Draining.to_string());
        if let Some(remembered) = self.remembered(pool, draining) {
            return remembered;
        }
        match self.state_of(pool).await {
            Ok(state) => draining(&state),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Why a job that is queued just now had better wait, by what the pool's item said a moment ago.
    pub(crate) fn known_closed(&self, pool: &Pool) -> Option<String> {
        self.remembered(pool, |state| self.shut(pool, state, clock::now()))?
    }

    /// What follows from what the pool's item said a moment ago; `None` where that is too long ago, or was never read.
    fn remembered<T>(&self, pool: &Pool, says: impl Fn(&PoolState) -> T) -> Option<T> {
        let states = self.states.lock().ok()?;
        let Remembered { at, state } = states.get(&pool.name)?;
        let fresh = at.elapsed() < self.policy.timing.step_timeout / REMEMBERED_PART;
        fresh.then(|| says(state))
    }

    /// A runner took a job: where boots were known to fail, they succeed again.
    pub(crate) async fn has_booted(&self, pool: &Pool, slot: &Slot) {
        let forgotten = self.states.lock().is_ok_and(|mut states| {
            let boots = states.get(&pool.name).and_then(|remembered| remembered.state.boots.as_ref());
            let mended = boots.is_some_and(|trouble| trouble.at <= slot.reserved_at);
            mended && states.remove(&pool.name).is_some()
        });
        if forgotten {
            self.recovered(pool, Stage::Boot).await;
        }
    }

    /// Why a slot that was taken must be given back. A sweep has looked before it took it, at all of the pool; only a drain
    /// may have begun since.
    pub(crate) async fn shut_for(
        &self,
        pool: &Pool,
        state: &PoolState,
        turn: Turn,
    ) -> Result<Option<String>, StoreError> {
        if turn.by == By::Sweep {
            return Ok(state.draining.is_some().then(|| Closed::Draining.to_string()));
        }
        if let Some(why) = self.shut(pool, state, clock::now()) {
            return Ok(Some(why));
        }
        let smaller = state.limit.is_some_and(|limit| limit > pool.max_runners.get());
        if smaller && self.is_taken_beyond(&pool.name, pool.max_runners.get()).await? {
            return Ok(Some("its pool has become smaller, and has more runners than it may".to_owned()));
        }
        Ok(None)
    }

    fn shut(&self, pool: &Pool, state: &PoolState, now: Timestamp) -> Option<String> {
        let closed = closed(pool, state, &self.policy.timing, now).map(|closed| closed.to_string());
        let careful = || "VMs are made one at a time until one succeeds, by the sweep".to_owned();
        closed.or_else(|| is_in_trouble(state).then(careful))
    }

    async fn is_taken_beyond(&self, pool: &PoolName, limit: u16) -> Result<bool, StoreError> {
        Ok(!self.ledger.sample(pool, SlotIndex(limit), 1).await?.is_empty())
    }
}

/// What a pool's item said is remembered for this part of `step_timeout`.
const REMEMBERED_PART: u32 = 8;
