//! Whether a job is served at all: what its delivery does not say is asked for beside its runner's registration.

use std::fmt;

use mayfly_core::audience::Unwanted;
use mayfly_core::event::JobEvent;

use crate::errand::{Errand, Want};
use crate::github::{GitHubError, NOT_FOUND};
use crate::mayfly::Mayfly;
use crate::turn::Turn;

/// Why no VM is made for a job that has a slot.
pub(crate) enum Away {
    /// It waits no more; what GitHub said of it.
    Over(Box<JobEvent>),
    /// Its pool does not serve it.
    Unwanted(Unwanted),
    /// Whether its pool may serve it is not known now.
    Unknown(GitHubError),
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over(_) => f.write_str("GitHub says that the job waits no more"),
            Self::Unwanted(unwanted) => unwanted.fmt(f),
            Self::Unknown(error) => write!(f, "whose code the job runs is not known: {error}"),
        }
    }
}

impl Mayfly {
    /// Why no VM may be made for the errand's job; none where one may.
    pub(crate) async fn away(&self, errand: Errand<'_>) -> Option<Away> {
        let (over, unwanted) = tokio::join!(self.over_already(errand), self.unwanted(errand));
        over.map(|said| Away::Over(Box::new(said))).or(unwanted)
    }

    /// Looks at the job's run, where its pool has to know more than the delivery said.
    async fn unwanted(&self, errand: Errand<'_>) -> Option<Away> {
        let Want::Job(waiting) = errand.want else { return None };
        // By what is configured now: it may have been queued under other rules.
        let audience = errand.pool.audience;
        let run = waiting.unseen_run.filter(|_| audience.has_questions(None))?;
        match self.github.run(&waiting.repository, run, waiting.installation, errand.deadline).await {
            Ok(run) => audience.admits(&run).err().map(Away::Unwanted),
            // A public repository's runs are seen by everybody, so this one is gone, or was never public.
            Err(GitHubError::Refused { status: NOT_FOUND, .. }) => {
                tracing::info!(pool = %errand.pool.name, job = %waiting.job, %run, "the job's run is not to be seen: it is served");
                None
            }
            Err(error) => Some(Away::Unknown(error)),
        }
    }

    /// Records why the errand's job got no VM, once it is back in the queue.
    pub(crate) async fn record_away(&self, errand: Errand<'_>, away: &Away, turn: Turn) {
        let Want::Job(waiting) = errand.want else { return };
        let recorded = match away {
            Away::Over(said) => self.record_over(errand, said, turn).await,
            Away::Unwanted(_) => self.turn_away(errand.pool, waiting, away.to_string(), turn).await,
            // It stays in the queue: a sweep asks again.
            Away::Unknown(_) => Ok(()),
        };
        if let Err(error) = recorded {
            tracing::warn!(pool = %errand.pool.name, job = %waiting.job, %error, "that a job is not served is not recorded: a sweep asks again");
        }
    }
}
