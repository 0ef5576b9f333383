//! Jobs that are older than what is remembered of ended ones: the delivery that tells of such a job may be one that somebody
//! kept, and sends again.

use mayfly_core::event::{Change, JobEvent};
use mayfly_core::slot::later;

use crate::clock;
use crate::errand::{Errand, Want};
use crate::events::Heard;
use crate::mayfly::Mayfly;
use crate::store::StoreError;
use crate::turn::Turn;

impl Mayfly {
    /// What GitHub says of a job that could have been served, ended and forgotten, where it does not wait. None where it
    /// waits, or where nobody says so: no job is lost for a doubt.
    pub(crate) async fn over_already(&self, errand: Errand<'_>) -> Option<JobEvent> {
        let Want::Job(waiting) = errand.want else { return None };
        if clock::now() < later(waiting.queued_at, self.policy.timing.retention) {
            return None;
        }
        let installation = waiting.installation;
        match self.github.job(&waiting.repository, waiting.job, installation, errand.deadline).await {
            Ok(said) => (said.change != Change::Queued).then_some(said),
            Err(error) => {
                tracing::info!(pool = %errand.pool.name, job = %waiting.job, %error, "whether an old job still waits is not known: it is served");
                None
            }
        }
    }

    /// Records what GitHub said of it, so that it leaves the queue.
    pub(crate) async fn record_over(
        &self,
        errand: Errand<'_>,
        said: &JobEvent,
        turn: Turn,
    ) -> Result<(), StoreError> {
        if let Some(follow) = self.record_in(errand.pool, said, Heard::Asked).await? {
            self.follow_in(errand.pool, follow, turn).await;
        }
        Ok(())
    }
}
