//! What each event writes down before the answer, and the work that follows it.

use std::borrow::Cow;

use mayfly_core::audience::Unwanted;
use mayfly_core::event::{Change, JobEvent};
use mayfly_core::ids::{JobId, PoolName, RunnerName};
use mayfly_core::job::{Job, JobState, Moment, Waiting};
use mayfly_core::labels::Labels;
use mayfly_core::policy::{Pool, Scope};
use mayfly_core::route::route;
use mayfly_core::slot::{Phase, Purpose, Slot, SlotEvent};
use mayfly_core::telling::{Meant, Step, asked, meant, not_served, way_of};
use tokio::time::Instant;

use crate::clock;
use crate::errand::Want;
use crate::mayfly::Mayfly;
use crate::store::{Claim, Enqueued, JobWritten, Moved, StoreError, Take, to_milliseconds};
use crate::turn::Turn;

mod follow;

/// How something was heard of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A delivery told.
    Delivered,
    /// A sweep asked GitHub.
    Asked,
}

/// What became of an event.
#[derive(Debug)]
pub enum Receipt {
    /// It asks for nothing.
    Ignored {
        /// Why.
        reason: String,
    },
    /// It is recorded.
    Accepted {
        /// The pool that serves the job.
        pool: PoolName,
        /// The job.
        job: JobId,
        /// What is to be done now.
        follow: Option<Follow>,
    },
}

/// Work that follows an event, after its answer. If it is never done, a sweep does it.
#[derive(Debug)]
pub enum Follow {
    /// A slot was claimed for a job: its VM is to be made.
    Provision(Box<(Slot, Waiting)>),
    /// The job waits: perhaps something became free meanwhile.
    Queue(JobId),
    /// A spare runner serves the job, whose run is still to be looked at.
    Look(Box<Waiting>),
    /// The job was taken by a runner, ended, or is held.
    Settle(Box<Settle>),
}

/// A job that was taken by a runner, ended, or is held.
#[derive(Debug)]
pub struct Settle {
    /// The job as it is to be recorded.
    job: Job,
    /// What was recorded of it already, with how it was before.
    written: Option<JobWritten>,
    /// The runner of ours that took it, and its slot as it was before, where that is still the runner's.
    ran_on: Option<(RunnerName, Option<Slot>)>,
}

/// A claim whose slot was lost to somebody else is tried again so often before the job queues.
const CLAIM_TRIES: usize = 4;

impl Mayfly {
    /// Records an event durably. An error means that it was not, and is to be delivered again.
    pub async fn record(&self, event: &JobEvent) -> Result<Receipt, StoreError> {
        let runner = self.own_runner(event);
        // Which pool a runner is of is in its name; the labels decide where there is none of ours.
        let pool = match &runner {
            Some(runner) => self.pool_or_removed(runner.pool(), event),
            None => match route(&self.policy, event) {
                Ok(pool) => Cow::Borrowed(pool),
                Err(reason) => return Ok(Receipt::Ignored { reason: reason.to_string() }),
            },
        };
        let follow = self.record_in(&pool, event, Heard::Delivered).await?;
        Ok(Receipt::Accepted { pool: pool.name.clone(), job: event.job, follow })
    }

    /// Records an event of a job that this pool serves, or whose runner was one of this pool.
    pub(crate) async fn record_in(
        &self,
        pool: &Pool,
        event: &JobEvent,
        heard: Heard,
    ) -> Result<Option<Follow>, StoreError> {
        let runner = self.own_runner(event);
        let left = match &event.change {
            Change::Queued => return self.queued(pool, event, heard).await,
            Change::Held => {
                let step = Step::Said("waits for approval".to_owned());
                Left { state: JobState::Held, step, runner: None, heard }
            }
            Change::Started { runner: name } => {
                let slot = runner.as_ref().map(RunnerName::slot);
                let step = Step::Started { runner: name.clone(), meant: Meant::Own };
                Left { state: JobState::Running { slot }, step, runner: runner.as_ref(), heard }
            }
            Change::Ended { runner: name, conclusion } => {
                let conclusion = conclusion.as_deref().unwrap_or("no conclusion").to_owned();
                let step = Step::Ended { runner: name.clone(), conclusion };
                Left { state: JobState::Done, step, runner: runner.as_ref(), heard }
            }
        };
        self.left(pool, event, left).await
    }

    /// The runner that the event names, where it is one of this deployment.
    fn own_runner(&self, event: &JobEvent) -> Option<RunnerName> {
        match &event.change {
            Change::Started { runner: Some(name) } | Change::Ended { runner: Some(name), .. } => {
                RunnerName::parse(&self.policy.deployment, name)
            }
            Change::Queued
            | Change::Held
            | Change::Started { runner: None }
            | Change::Ended { runner: None, .. } => None,
        }
    }

    /// A pool, or what is left of it when it is configured no more.
    fn pool_or_removed(&self, name: &PoolName, event: &JobEvent) -> Cow<'_, Pool> {
        match self.policy.pool(name) {
            Some(pool) => Cow::Borrowed(pool),
            None => Cow::Owned(Pool::removed(name.clone(), Scope::Repository(event.repository.clone()))),
        }
    }

    async fn queued(
        &self,
        pool: &Pool,
        event: &JobEvent,
        heard: Heard,
    ) -> Result<Option<Follow>, StoreError> {
        let mut seen = None;
        if !self.is_known(pool) {
            // The first job of a new process: it has to look anyway, and both at once take one reply's time.
            let (known, look) = tokio::join!(self.make_known(pool), self.look(pool));
            known?;
            seen = Some(look?);
        }
        if let Some(why) = self.known_closed(pool) {
            return self.wait(pool, event, heard, &why).await.map(|_| None);
        }
        // A warm function knows free slots from its last look, and claims without looking.
        let mut take =
            self.hint(pool).map(|index| Take::Free(self.new_slot(pool, index, Purpose::Job(event.job))));
        for _ in 0..CLAIM_TRIES {
            if take.is_none() {
                let look = match seen.take() {
                    Some(look) => look,
                    None => self.look(pool).await?,
                };
                self.remember(pool, &look.free);
                take = self.best(pool, &look, event.job);
            }
            let Some(chosen) = take.take() else { break };
            if matches!(chosen, Take::Spare(_))
                && let Some(why) = self.drained(pool).await
            {
                return self.wait(pool, event, heard, &why).await.map(|_| None);
            }
            let slot = chosen.slot();
            let spare = matches!(chosen, Take::Spare(_));
            let step = Step::Claimed { runner: slot.runner.to_string(), spare };
            let job =
                job(pool, event, JobState::Assigned { slot: slot.runner.slot() }, vec![heard.line(step)]);
            match self.ledger.claim(&job, &chosen).await? {
                Claim::Taken => return Ok(self.claimed(pool, &job, &chosen)),
                // Perhaps its entry in the queue could not be written when it was delivered before: that is made good.
                Claim::Known(Job { state: JobState::Waiting, .. }) => break,
                Claim::Known(known) => {
                    known_already(pool, &known);
                    return Ok(None);
                }
                Claim::SlotLost => self.remember(pool, &[]),
            }
        }
        let waits = self.wait(pool, event, heard, "the pool is full").await?;
        Ok(waits.then_some(Follow::Queue(event.job)))
    }

    /// Puts a job into the queue; `false` where it is known already, and further.
    async fn wait(&self, pool: &Pool, event: &JobEvent, heard: Heard, why: &str) -> Result<bool, StoreError> {
        let line = heard.line(Step::Queued { why: why.to_owned() });
        let job = job(pool, event, JobState::Waiting, vec![line]);
        match self.ledger.enqueue(&job).await? {
            Enqueued::Waiting => {
                tracing::info!(pool = %pool.name, job = %job.id, why, "job waits");
                Ok(true)
            }
            Enqueued::Known(known) if known.state == JobState::Waiting => Ok(true),
            Enqueued::Known(known) => {
                known_already(pool, &known);
                Ok(false)
            }
        }
    }

    fn claimed(&self, pool: &Pool, job: &Job, take: &Take) -> Option<Follow> {
        match take {
            Take::Free(slot) => {
                tracing::info!(pool = %pool.name, job = %job.id, runner = %slot.runner, "job gets a slot");
                Some(Follow::Provision(Box::new((slot.clone(), job.waiting()))))
            }
            Take::Spare(slot) => {
                tracing::info!(pool = %pool.name, job = %job.id, runner = %slot.runner, "job gets a spare runner");
                job.unseen_run.map(|_| Follow::Look(Box::new(job.waiting())))
            }
        }
    }

    /// The job needs no runner any more: it has one, is over, or is held.
    ///
    /// Where one of our runners is named, its slot is the durable record, written before the answer, and the job's
    /// own record follows; otherwise the job's is.
    async fn left(
        &self,
        pool: &Pool,
        event: &JobEvent,
        Left { state, step, runner, heard }: Left<'_>,
    ) -> Result<Option<Follow>, StoreError> {
        let slot_event = match state {
            JobState::Done => SlotEvent::Ended,
            JobState::Held | JobState::Waiting | JobState::Assigned { .. } | JobState::Running { .. } => {
                SlotEvent::Started { job: event.job }
            }
        };
        let moved = match runner {
            Some(runner) => self.ledger.slot_event(runner, &slot_event, clock::now()).await?,
            None => Moved::No,
        };
        tracing::info!(pool = %pool.name, job = %event.job, runner = runner.map(RunnerName::as_str), "job {step}");
        let (slot, written, job) = match moved {
            Moved::From(slot) => {
                self.metrics.taken(&pool.name, event, &slot);
                let job = job(pool, event, state, told_by(&slot, event.job, step, heard));
                (Some(slot), None, job)
            }
            Moved::No => {
                let job = job(pool, event, state, vec![heard.line(step)]);
                (None, Some(self.ledger.job_left(&job).await?), job)
            }
        };
        let ran_on = runner.map(|runner| (runner.clone(), slot));
        Ok(Some(Follow::Settle(Box::new(Settle { job, written, ran_on }))))
    }

    /// Records that a job is not served, for good: it leaves the queue, and later events of it start nothing. `false` where it wants no
    /// runner any more, as when it has one by now.
    pub(crate) async fn turn_away(
        &self,
        pool: &Pool,
        waiting: &Waiting,
        unwanted: &Unwanted,
        turn: Turn,
    ) -> Result<bool, StoreError> {
        let known = self.ledger.job(waiting.job).await?;
        if known.is_some_and(|job| !job.state.wants_a_runner()) {
            return Ok(false);
        }
        tracing::warn!(pool = %pool.name, job = %waiting.job, repository = %waiting.repository, why = %unwanted, "a job is not served: it gets no VM, and waits at GitHub until it is cancelled there");
        let step = Step::Said(not_served(unwanted));
        let left = Left { state: JobState::Done, step, runner: None, heard: Heard::Delivered };
        if let Some(follow) = self.left(pool, &unseen_end(waiting), left).await? {
            self.follow_in(pool, follow, turn).await;
        }
        Ok(true)
    }

    /// Does the work that follows an event.
    pub async fn follow(&self, pool: &PoolName, follow: Follow, deadline: Instant) {
        let turn = Turn::of_event(deadline);
        match (self.policy.pool(pool), &follow) {
            (Some(pool), _) => self.follow_in(pool, follow, turn).await,
            (None, Follow::Settle(settle)) => {
                let scope = Scope::Repository(settle.job.repository.clone());
                self.follow_in(&Pool::removed(pool.clone(), scope), follow, turn).await;
            }
            // Only a runner's name leads to a pool that is configured no more, and no queued job has one.
            (None, Follow::Provision(_) | Follow::Queue(_) | Follow::Look(_)) => {}
        }
    }

    /// The same for a pool at hand.
    pub(crate) async fn follow_in(&self, pool: &Pool, follow: Follow, turn: Turn) {
        match follow {
            Follow::Provision(claimed) => {
                let (slot, waiting) = *claimed;
                Box::pin(self.provision(pool, &slot, Want::Job(&waiting), turn)).await;
            }
            Follow::Queue(job) => Box::pin(self.serve_first(pool, job, turn)).await,
            Follow::Look(waiting) => {
                let looked = Box::pin(self.turned_away_from_spare(pool, &waiting, turn)).await;
                if let Err(error) = looked {
                    tracing::warn!(pool = %pool.name, job = %waiting.job, %error, "that a job is not served is not recorded");
                }
            }
            Follow::Settle(settle) => Box::pin(self.settle(pool, *settle, turn)).await,
        }
    }
}

/// The end of a job of which no more is known than that it waited.
pub(crate) fn unseen_end(waiting: &Waiting) -> JobEvent {
    JobEvent {
        change: Change::Ended { runner: None, conclusion: None },
        job: waiting.job,
        name: String::new(),
        repository: waiting.repository.clone(),
        visibility: None,
        run: None,
        labels: Labels::default(),
        created_at: Some(waiting.queued_at),
        started_at: None,
        installation: waiting.installation,
        enterprise: None,
    }
}

fn known_already(pool: &Pool, known: &Job) {
    tracing::info!(pool = %pool.name, job = %known.id, state = known.state.as_str(), "job is known already");
}

/// A job that needs no runner any more.
struct Left<'a> {
    state: JobState,
    step: Step,
    /// The runner of ours that has it, or had.
    runner: Option<&'a RunnerName>,
    heard: Heard,
}

impl Heard {
    /// A line of a job's timeline, now.
    fn line(self, step: Step) -> Moment {
        let line = step.at(clock::now());
        match self {
            Self::Delivered => line,
            Self::Asked => asked(line),
        }
    }
}

/// What a job's timeline says of a runner that took it, or ran it, by the runner's slot as it was before: the slot will forget
/// it, and nobody else knows.
fn told_by(slot: &Slot, job: JobId, step: Step, heard: Heard) -> Vec<Moment> {
    // Told with the start already, unless that was never told, or GitHub's list said that it is busy.
    let is_told = matches!(slot.phase, Phase::Busy { .. }) && slot.purpose.job().is_some();
    let mut lines = if is_told { Vec::new() } else { way_of(slot) };
    let step = if let Step::Started { runner, .. } = step {
        Step::Started { runner, meant: meant(slot, job) }
    } else {
        step
    };
    lines.push(heard.line(step));
    lines
}

fn job(pool: &Pool, event: &JobEvent, state: JobState, timeline: Vec<Moment>) -> Job {
    let now = clock::now();
    Job {
        id: event.job,
        pool: pool.name.clone(),
        repository: event.repository.clone(),
        queued_at: event.created_at.map_or(now, to_milliseconds),
        installation: event.installation,
        unseen_run: event.run.filter(|_| pool.audience.has_questions(event.visibility)),
        state,
        timeline,
    }
}
