//! What is said on commits: carried out, and how much may be said now.

use std::time::Duration;

use mayfly_core::ids::CheckRunId;
use mayfly_core::job::Waiting;
use mayfly_core::notice::{Cause, Ending, Notice, Standing, Words, check_name};
use mayfly_core::policy::Pool;
use mayfly_core::sweep::Voice;
use tokio::time::Instant;

use super::execute::{LOST, StepError};
use crate::clock;
use crate::github::{FORBIDDEN, GitHubError};
use crate::mayfly::Mayfly;

/// Nothing is said while less than this part of GitHub's hourly limit is left: runners come first.
const LEFT_AT_LEAST: u64 = 5;
/// An owner that has forbidden it is not asked again for so long by this process.
const MUTED_FOR: Duration = Duration::from_secs(3600);

impl Mayfly {
    /// How much may be said now.
    pub(super) fn voice(&self) -> Voice {
        let low = self.github.allowance().is_some_and(|it| it.remaining < it.limit / LEFT_AT_LEAST);
        if low || self.github.limited_for().is_some() {
            return Voice::silent();
        }
        let muted = match self.muted.lock() {
            Ok(mut muted) => {
                muted.retain(|_, since| since.elapsed() < MUTED_FOR);
                muted.keys().cloned().collect()
            }
            Err(_) => Default::default(),
        };
        Voice { muted, ..Voice::default() }
    }

    /// Says for the first time that a job waits. That it is about to be said is written down before: whoever dies in between,
    /// or hears no answer, leaves that to a later sweep, which says it by the same name.
    pub(super) async fn announce(
        &self,
        pool: &Pool,
        waiting: &Waiting,
        (cause, words): (Cause, &Words),
        deadline: Instant,
    ) -> Result<String, StepError> {
        let Waiting { job, repository, installation, queued_at, .. } = waiting;
        let seen = match self.github.jobs_commit(repository, *job, *installation, deadline).await {
            Ok(seen) => seen,
            Err(error @ GitHubError::Refused { .. }) => return Ok(format!("not said: {error}")),
            Err(error) => return Err(error.into()),
        };
        if !seen.waits {
            return Ok("not said: GitHub has it waiting no more".to_owned());
        }
        let notice = Notice {
            job: *job,
            repository: repository.clone(),
            installation: *installation,
            queued_at: *queued_at,
            commit: seen.commit,
            name: check_name(*job, &seen.name),
            standing: Standing::Asked,
            cause,
            said_at: clock::now(),
        };
        if !self.ledger.notice_begins(&pool.name, &notice).await? {
            return Ok(LOST.to_owned());
        }
        self.say(pool, &notice, words, seen.page.as_deref(), deadline).await
    }

    /// Says another reason why a job waits, or says it once more where it may not have been heard.
    pub(super) async fn amend(
        &self,
        pool: &Pool,
        notice: &Notice,
        (cause, words): (Cause, &Words),
        deadline: Instant,
    ) -> Result<String, StepError> {
        let now = Notice { cause, said_at: clock::now(), ..notice.clone() };
        if !self.ledger.notice_changes(&pool.name, notice, cause, now.said_at).await? {
            return Ok(LOST.to_owned());
        }
        match notice.standing {
            Standing::Asked => self.say(pool, &now, words, None, deadline).await,
            Standing::Made(id) => match self.github.change_check_run(&now, id, words, deadline).await {
                Ok(()) => Ok(format!("check run {id} says so")),
                Err(error) => self.not_said(pool, &now, error).await,
            },
            Standing::Refused => Ok("not said: GitHub refused it before".to_owned()),
        }
    }

    async fn say(
        &self,
        pool: &Pool,
        notice: &Notice,
        words: &Words,
        page: Option<&str>,
        deadline: Instant,
    ) -> Result<String, StepError> {
        let id = match self.github.create_check_run(notice, words, page, deadline).await {
            Ok(id) => id,
            Err(error) => return self.not_said(pool, notice, error).await,
        };
        if !self.ledger.notice_stands(&pool.name, notice, Standing::Made(id)).await? {
            // Nobody knows of this one: it must not stay open.
            self.github.conclude_check_run(notice, id, &Ending::Forgotten, clock::now(), deadline).await?;
            return Ok(LOST.to_owned());
        }
        Ok(format!("check run {id} says so"))
    }

    /// What GitHub refuses for good is not asked for again for this job; anything else is.
    async fn not_said(&self, pool: &Pool, notice: &Notice, error: GitHubError) -> Result<String, StepError> {
        let GitHubError::Refused { .. } = &error else { return Err(error.into()) };
        self.tell_of_refusal(notice, &error);
        self.ledger.notice_stands(&pool.name, notice, Standing::Refused).await?;
        Ok(format!("not said: {error}"))
    }

    /// Concludes what was said. It is forgotten when GitHub has heard so, or wants to hear nothing of it.
    pub(super) async fn conclude(
        &self,
        pool: &Pool,
        notice: &Notice,
        ending: &Ending,
        deadline: Instant,
    ) -> Result<String, StepError> {
        let outcome = match self.concluded(notice, ending, deadline).await {
            Ok(None) => "forgotten: GitHub refused it before".to_owned(),
            Ok(Some(id)) => format!("check run {id} is concluded"),
            Err(error @ GitHubError::Refused { .. }) => {
                self.tell_of_refusal(notice, &error);
                format!("forgotten: {error}")
            }
            Err(error) => return Err(error.into()),
        };
        self.ledger.notice_over(&pool.name, notice.job).await?;
        Ok(outcome)
    }

    async fn concluded(
        &self,
        notice: &Notice,
        ending: &Ending,
        deadline: Instant,
    ) -> Result<Option<CheckRunId>, GitHubError> {
        let now = clock::now();
        match notice.standing {
            Standing::Made(id) => {
                self.github.conclude_check_run(notice, id, ending, now, deadline).await.map(|()| Some(id))
            }
            // It may be there: one of its name that is over takes its place.
            Standing::Asked => self.github.create_concluded(notice, ending, now, deadline).await.map(Some),
            Standing::Refused => Ok(None),
        }
    }

    /// Says once in the log what GitHub refuses: what an owner forbids not for every job.
    fn tell_of_refusal(&self, notice: &Notice, error: &GitHubError) {
        let owner = notice.repository.owner().to_lowercase();
        if let GitHubError::Refused { status: FORBIDDEN, .. } = error
            && let Ok(mut muted) = self.muted.lock()
            && muted.insert(owner, Instant::now()).is_some()
        {
            return;
        }
        let (job, repository) = (notice.job, &notice.repository);
        tracing::warn!(%job, %repository, %error, "GitHub refuses a check run: the job's commit does not say that it waits");
    }
}
