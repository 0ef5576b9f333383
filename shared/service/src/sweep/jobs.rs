//! Jobs: their records, how far they are at GitHub, and queued ones that nobody told of.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use mayfly_core::event::{Change, JobEvent};
use mayfly_core::ids::{JobId, Repository};
use mayfly_core::route::route;
use mayfly_core::slot::{PhaseKind, later};
use mayfly_core::sweep::{News, Question, World, jobs_in_question, jobs_to_ask};
use tokio::time::Instant;

use super::Source;
use super::discovery::Cursor;
use crate::clock;
use crate::events::unseen_end;
use crate::github::{GitHubError, NOT_FOUND};
use crate::handover::is_forgotten;
use crate::mayfly::Mayfly;
use crate::store::{Memory, StoreError};

/// GitHub is asked for so many jobs at a time.
const QUESTIONS_AT_ONCE: usize = 16;
/// A sweep looks for lost jobs in about so many calls; in more where it finds some,
const DISCOVERY_CALLS: u32 = 4;
/// or where it is the only way, since no hook's deliveries may be read.
const DISCOVERY_CALLS_ALONE: u32 = 16;
/// More where there are many repositories, each of which takes two calls, so that a round through all takes about so many
/// sweeps;
const DISCOVERY_SWEEPS: u32 = 10;
/// but never more than this.
const DISCOVERY_CALLS_MOST: u32 = 40;

/// How a sweep learns of jobs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ways {
    pub news: News,
    /// Whether there is a hook whose deliveries may be read.
    pub hooked: bool,
}

impl Mayfly {
    /// The records of the jobs in question, how far they are at GitHub, and queued jobs that nobody told of.
    pub(super) async fn observe_jobs(
        &self,
        world: &mut World,
        memory: Option<&Memory>,
        ways: Ways,
        failed: &mut Vec<Source>,
        deadline: Instant,
    ) {
        self.read_jobs(world, jobs_in_question(&self.policy, world, ways.news), failed).await;
        let mut questions = jobs_to_ask(&self.policy, world, ways.news);
        let memory = memory.filter(|_| self.github.limited_for().is_none());
        if let (News::Polled { .. }, Some(memory)) = (ways.news, memory) {
            // First, since what the runs' lists say need not be asked for.
            let heard = self.look_for_jobs(memory, world, ways, failed, deadline).await;
            world.told.extend(heard);
            questions.retain(|question| world.told.iter().all(|event| event.job != question.job));
        }
        if self.is_limited(failed) {
            questions.clear();
        }
        let asking = stream::iter(questions)
            .map(|question| -> BoxFuture<'_, _> { Box::pin(self.ask(question, deadline)) });
        let answers: Vec<Result<JobEvent, Source>> = asking.buffered(QUESTIONS_AT_ONCE).collect().await;
        for answer in answers {
            match answer {
                Ok(event) => world.told.push(event),
                Err(source) => failed.push(source),
            }
        }
        let memory = memory.filter(|_| self.github.limited_for().is_none());
        if let (News::Delivered, Some(memory)) = (ways.news, memory) {
            let found = self.look_for_jobs(memory, world, ways, failed, deadline).await;
            world.told.extend(found);
        }
        let unread = world.told.iter().map(|event| event.job).filter(|job| !world.jobs.contains_key(job));
        let unread = unread.collect();
        self.read_jobs(world, unread, failed).await;
    }

    /// Whether GitHub asked to be left alone: what can wait is not asked for.
    fn is_limited(&self, failed: &mut Vec<Source>) -> bool {
        let Some(left) = self.github.limited_for() else { return false };
        let why = format!("GitHub asks to be left alone for {} s more", left.as_secs());
        failed.push(Source { source: "jobs at GitHub".to_owned(), why });
        true
    }

    async fn read_jobs(&self, world: &mut World, jobs: Vec<JobId>, failed: &mut Vec<Source>) {
        match self.ledger.jobs(&jobs).await {
            Ok(jobs) => world.jobs.extend(jobs),
            Err(error) => failed.push(Source::failed("jobs".to_owned(), &error)),
        }
    }

    /// How far a job is at GitHub; of a waiting one it is noted that GitHub was asked, whatever it said.
    async fn ask(&self, question: Question, deadline: Instant) -> Result<JobEvent, Source> {
        let Question { job, repository, installation, waiting } = question;
        let failed = |error: &dyn std::error::Error| Source::job_failed(job, error);
        let told = self.github.job(&repository, job, installation, deadline).await;
        let answered = matches!(told, Ok(_) | Err(GitHubError::Refused { .. }));
        if let Some((pool, waiting)) = waiting.as_ref().filter(|_| answered) {
            let noted: Result<(), StoreError> = self.ledger.asked(pool, waiting, clock::now()).await;
            noted.map_err(|error| failed(&error))?;
        }
        match (told, waiting) {
            (Err(GitHubError::Refused { status: NOT_FOUND, .. }), Some((_, waiting)))
                if is_forgotten(&waiting, clock::now()) =>
            {
                Ok(unseen_end(&waiting))
            }
            (told, _) => told.map_err(|error| failed(&error)),
        }
    }

    /// Queued jobs that some pool serves, by looking through runs; a round of it begins every `check_after`, or as soon as
    /// the last is over where there is no other way. Without webhooks also what became of jobs that are known.
    async fn look_for_jobs(
        &self,
        memory: &Memory,
        world: &World,
        ways: Ways,
        failed: &mut Vec<Source>,
        deadline: Instant,
    ) -> Vec<JobEvent> {
        let now = clock::now();
        let (cursor, round) = match &memory.discovery {
            Some((cursor, round)) => (cursor.parse::<Cursor>().unwrap_or_default(), Some(*round)),
            None => (Cursor::default(), None),
        };
        let begins = cursor == Cursor::default();
        let rested = round.is_none_or(|round| later(round, self.policy.timing.check_after) <= now);
        if begins && ways.hooked && !rested {
            return Vec::new();
        }
        let looked = async {
            let repositories = self.repositories(deadline).await?;
            let least = if ways.hooked { DISCOVERY_CALLS } else { DISCOVERY_CALLS_ALONE };
            let share = u32::try_from(repositories.len()).unwrap_or(u32::MAX) / DISCOVERY_SWEEPS * 2;
            let budget = share.clamp(least, DISCOVERY_CALLS_MOST);
            let known = known_jobs(world);
            let unheard = unheard_jobs(world, ways.news);
            let wanted = |event: &JobEvent| match &event.change {
                Change::Queued => !known.contains(&event.job) && route(&self.policy, event).is_ok(),
                Change::Held | Change::Started { .. } => unheard.get(&event.job) == Some(&false),
                Change::Ended { .. } => unheard.contains_key(&event.job),
            };
            self.discover(&repositories, &cursor, budget, &wanted, deadline).await
        };
        let found = match looked.await {
            Ok(found) => found,
            Err(error) => {
                failed.push(Source::failed("queued jobs".to_owned(), &error));
                return Vec::new();
            }
        };
        let (calls, over, jobs) = (found.calls, found.round_over, found.jobs.len());
        tracing::debug!(calls, over, jobs, "looked for queued jobs that no delivery told of");
        failed.extend(found.failed);
        let round = if begins { now } else { round.unwrap_or(now) };
        if let Err(error) = self.ledger.remember_discovery(&found.next.to_string(), round, now).await {
            failed.push(Source::failed("the sweep's memory".to_owned(), &error));
        }
        found.jobs
    }

    /// The repositories that the pools serve.
    pub(super) async fn repositories(&self, deadline: Instant) -> Result<Vec<Repository>, GitHubError> {
        let mut all = BTreeSet::new();
        for pool in &self.policy.pools {
            let reachable = self.github.repositories(&pool.scope, deadline).await?;
            all.extend(reachable.into_iter().filter(|repository| pool.allows(repository)));
        }
        Ok(all.into_iter().collect())
    }
}

/// The jobs that need no looking for: those of the queues and slots, and those that GitHub has just told of.
fn known_jobs(world: &World) -> BTreeSet<JobId> {
    let pools = || world.pools.iter();
    let waiting = pools().flat_map(|ledger| &ledger.waiting).map(|waiting| waiting.job);
    let slots = pools().flat_map(|ledger| &ledger.slots);
    let served = slots.flat_map(|slot| [slot.purpose.job(), slot.displaced]).flatten();
    waiting.chain(served).chain(world.told.iter().map(|event| event.job)).collect()
}

/// Without webhooks, the jobs of whose start or end the lists that discovery reads may tell, and whether they are known to
/// have started.
fn unheard_jobs(world: &World, news: News) -> BTreeMap<JobId, bool> {
    if news == News::Delivered {
        return BTreeMap::new();
    }
    let mut unheard = BTreeMap::new();
    for ledger in &world.pools {
        unheard.extend(ledger.waiting.iter().map(|waiting| (waiting.job, false)));
        for slot in &ledger.slots {
            let started = matches!(slot.phase.kind(), PhaseKind::Busy);
            unheard.extend(slot.purpose.job().map(|job| (job, started)));
            unheard.extend(slot.displaced.map(|job| (job, false)));
        }
    }
    unheard
}
