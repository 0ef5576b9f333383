//! The work that follows answers: so much of it at a time, each piece with a deadline.

use std::sync::Arc;
use std::time::Duration;

use mayfly_service::clock::working_deadline;
use mayfly_service::inbound::Work;
use mayfly_service::mayfly::Mayfly;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// So many pieces of work are under way at a time: each waits for a VM, mostly.
const WORKING_MOST: usize = 1_000;
/// So many are known, those that wait for their turn included.
const KNOWN_MOST: u32 = 10_000;
/// The longest that one may take, as in a Lambda function with some patience.
const WORK_LONGEST: Duration = Duration::from_secs(10 * 60);

/// Who does the work.
#[derive(Debug, Clone)]
pub struct Crew {
    known: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

impl Default for Crew {
    fn default() -> Self {
        Self {
            known: Arc::new(Semaphore::new(KNOWN_MOST as usize)),
            working: Arc::new(Semaphore::new(WORKING_MOST)),
        }
    }
}

impl Crew {
    /// Does a piece of work, beside everything else. When there is too much, it is left for the sweep.
    pub fn take_on(&self, mayfly: Arc<Mayfly>, work: Work) {
        let job = work.job;
        let Ok(known) = self.known.clone().try_acquire_owned() else {
            tracing::warn!(pool = %work.pool, %job, most = KNOWN_MOST, "too much work at a time: left for the sweep");
            return;
        };
        let working = self.working.clone();
        tokio::spawn(async move {
            let _known = known;
            let Ok(_working) = working.acquire().await else { return };
            let end = Instant::now() + WORK_LONGEST;
            let following = mayfly.follow(&work.pool, work.follow, working_deadline(end));
            if tokio::time::timeout_at(end, following).await.is_err() {
                tracing::warn!(pool = %work.pool, %job, "out of time: left for the sweep");
            }
        });
    }

    /// Waits until no work is under way.
    pub async fn idle(&self) {
        // Nobody closes the semaphore; if somebody did, there would be nothing to wait for.
        let _ = self.known.acquire_many(KNOWN_MOST).await;
    }
}
