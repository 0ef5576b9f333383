//! Whether a job is served at all: what its delivery does not say is asked for beside its runner's registration.

use std::fmt;
use std::time::Duration;

use mayfly_core::audience::{Run, Unwanted};
use mayfly_core::event::{Change, JobEvent};
use mayfly_core::ids::RunId;
use mayfly_core::job::Waiting;
use mayfly_core::policy::Pool;
use mayfly_core::route::route;
use tokio::time::Instant;

use crate::clock;
use crate::errand::{Errand, Want};
use crate::events::Heard;
use crate::github::GitHubError;
use crate::mayfly::Mayfly;
use crate::store::StoreError;
use crate::turn::Turn;

/// Another process that asks GitHub has its answer soon: it is looked for so often, after pauses that double from here.
const NOTED_TRIES: u32 = 4;
const NOTED_PAUSE: Duration = Duration::from_millis(150);

/// Why no VM is made for a job that has a slot.
pub(crate) enum Away {
    /// It waits no more; what GitHub said of it.
    Over(Box<JobEvent>),
    /// Its pool does not serve it.
    Unwanted(Unwanted),
    /// GitHub does not show us its run, and its pool serves nothing unseen.
    Unseen,
    /// Whether its pool may serve it is not known now.
    Unknown(GitHubError),
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over(_) => f.write_str("GitHub says that the job waits no more"),
            Self::Unwanted(unwanted) => unwanted.fmt(f),
            Self::Unseen => f.write_str(
                "GitHub does not show us the job's run, so whose code it runs is not known, which the pool's \
                 `visibility` or `allow_forks` asks for: is the App installed on the repository, or may the token read its actions?",
            ),
            Self::Unknown(error) => write!(f, "whose code the job runs is not known: {error}"),
        }
    }
}

impl Mayfly {
    /// Why no VM may be made for the errand's job; none where one may.
    pub(crate) async fn away(&self, errand: Errand<'_>) -> Option<Away> {
        let Want::Job(waiting) = errand.want else { return None };
        let unwanted = self.unwanted(errand.pool, waiting, errand.deadline);
        let (over, unwanted) = tokio::join!(self.over_already(errand), unwanted);
        over.map(|said| Away::Over(Box::new(said))).or(unwanted)
    }

    /// Looks at the job's run, where its pool has to know more than the delivery said.
    async fn unwanted(&self, pool: &Pool, waiting: &Waiting, deadline: Instant) -> Option<Away> {
        // By what is configured now: it may have been queued under other rules.
        let audience = pool.audience;
        let run = waiting.unseen_run.filter(|_| audience.has_questions(None))?;
        match self.seen(run, waiting, deadline).await {
            Ok(Some(run)) => audience.admits(&run).err().map(Away::Unwanted),
            Ok(None) if audience.admits_unseen() => {
                tracing::info!(pool = %pool.name, job = %waiting.job, %run, "the job's run is not to be seen: it is served");
                None
            }
            Ok(None) => Some(Away::Unseen),
            Err(error) => Some(Away::Unknown(error)),
        }
    }

    /// What GitHub says of a run, or said to another process: that is in the table, so that the jobs of a run ask for it once, those
    /// of a matrix too, which come all at the same time.
    async fn seen(
        &self,
        id: RunId,
        waiting: &Waiting,
        deadline: Instant,
    ) -> Result<Option<Run>, GitHubError> {
        if let Some(known) = self.github.known_run(id) {
            return Ok(Some(known));
        }
        match self.noted(id, deadline).await {
            Ok(Some(noted)) => {
                self.github.learn_run(id, noted.clone());
                return Ok(Some(noted));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(job = %waiting.job, run = %id, %error, "what is known of a run could not be read: GitHub is asked");
            }
        }
        let seen = self.github.run(&waiting.repository, id, waiting.installation, deadline).await?;
        if let Some(seen) = &seen
            && let Err(error) = self.ledger.run_seen(id, seen, clock::now()).await
        {
            tracing::debug!(job = %waiting.job, run = %id, %error, "what GitHub said of a run is not written down: others ask again");
        }
        Ok(seen)
    }

    /// What the table says of a run. Where somebody else is about to ask GitHub, that is waited for, for a moment.
    async fn noted(&self, id: RunId, deadline: Instant) -> Result<Option<Run>, StoreError> {
        if let Some(noted) = self.ledger.run(id, clock::now()).await? {
            return Ok(Some(noted));
        }
        if self.ledger.run_asked(id, clock::now()).await? {
            return Ok(None);
        }
        let mut pause = NOTED_PAUSE;
        for _ in 0..NOTED_TRIES {
            let wait = crate::random::jitter(pause);
            if wait >= deadline.saturating_duration_since(Instant::now()) {
                break;
            }
            tokio::time::sleep(wait).await;
            if let Some(noted) = self.ledger.run(id, clock::now()).await? {
                return Ok(Some(noted));
            }
            pause *= 2;
        }
        Ok(None)
    }

    /// Turns a waiting job away that runs a fork's code, by what is remembered of its run; whether that was done.
    pub(crate) async fn turned_away(
        &self,
        pool: &Pool,
        waiting: &Waiting,
        turn: Turn,
    ) -> Result<bool, StoreError> {
        let run = waiting.unseen_run.filter(|_| pool.audience.has_questions(None));
        let run = run.and_then(|run| self.github.known_run(run));
        match run.map(|run| pool.audience.admits(&run)) {
            Some(Err(unwanted @ Unwanted::Fork(_))) => {
                // One that wants no runner any more is taken out of the queue as any other is.
                self.turn_away(pool, waiting, &unwanted, turn).await
            }
            // One that may be another pool's gets a slot, and goes from there.
            Some(Ok(()) | Err(Unwanted::Repository(_))) | None => Ok(false),
        }
    }

    /// The same for a job that a spare runner is to serve, or was given: nothing else would look at its run.
    pub(crate) async fn turned_away_from_spare(
        &self,
        pool: &Pool,
        waiting: &Waiting,
        turn: Turn,
    ) -> Result<bool, StoreError> {
        match self.unwanted(pool, waiting, turn.deadline).await {
            Some(Away::Unwanted(_)) => self.turned_away(pool, waiting, turn).await,
            // GitHub has the runner already, and gives it to whom it likes.
            Some(Away::Over(_) | Away::Unseen | Away::Unknown(_)) | None => Ok(false),
        }
    }

    /// Records why the errand's job got no VM, once it is back in the queue; whether it is there no more.
    pub(crate) async fn record_away(&self, errand: Errand<'_>, away: &Away, turn: Turn) -> bool {
        let Want::Job(waiting) = errand.want else { return false };
        let recorded = match away {
            Away::Over(said) => self.record_over(errand, said, turn).await.map(|()| true),
            Away::Unwanted(unwanted) => self.turn_elsewhere(errand.pool, waiting, unwanted, turn).await,
            // It stays in the queue.
            Away::Unseen | Away::Unknown(_) => Ok(false),
        };
        recorded.unwrap_or_else(|error| {
            tracing::warn!(pool = %errand.pool.name, job = %waiting.job, %error, "that a job is not served is not recorded: a sweep asks again");
            false
        })
    }

    /// A job that its pool does not serve goes to one that does, where its delivery had not said who sees its repository: else for
    /// good. Whether it is in the queue no more.
    async fn turn_elsewhere(
        &self,
        pool: &Pool,
        waiting: &Waiting,
        unwanted: &Unwanted,
        turn: Turn,
    ) -> Result<bool, StoreError> {
        if matches!(unwanted, Unwanted::Repository(_)) {
            let Waiting { repository, job, installation, .. } = waiting;
            // Its labels; and its run is remembered, and says who sees the repository.
            let event = match self.github.job(repository, *job, *installation, turn.deadline).await {
                Ok(event) => event,
                Err(error) => {
                    tracing::warn!(pool = %pool.name, %job, %error, "which pool serves the job instead is not known: it waits");
                    return Ok(false);
                }
            };
            let other = route(&self.policy, &event).ok().filter(|other| other.name != pool.name);
            if let (Change::Queued, Some(other)) = (&event.change, other) {
                if self.leaves_for(&pool.name, other, waiting, &unwanted.to_string()).await?
                    && let Some(follow) = self.record_in(other, &event, Heard::Asked).await?
                {
                    self.follow_in(other, follow, turn).await;
                }
                return Ok(true);
            }
        }
        self.turn_away(pool, waiting, unwanted, turn).await.map(|_| true)
    }
}
