//! Observation: what the sources say, each asked once.
//!
//! The lists of VMs and runners first, all at the same time, then the table: what is in a list and not in the table has
//! no slot any more. Then the jobs that all this raises questions about.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream;
use mayfly_core::event::{Change, JobEvent};
use mayfly_core::ids::{JobId, ProviderName, Repository, RunnerName};
use mayfly_core::job::Waiting;
use mayfly_core::labels::Labels;
use mayfly_core::policy::{Pool, Scope};
use mayfly_core::route::route;
use mayfly_core::slot::later;
use mayfly_core::sweep::{
    Failures, Observed, PoolLedger, Question, SeenRunner, Vm, World, jobs_in_question, jobs_to_ask,
};

use super::Source;
use super::discovery::Cursor;
use crate::clock;
use crate::github::{GitHubError, Hook};
use crate::handover::is_forgotten;
use crate::mayfly::Mayfly;
use crate::store::{Memory, StoreError};

/// What was seen.
pub(super) struct Seen {
    pub world: World,
    /// What earlier sweeps left to know; `None` where it could not be read.
    pub memory: Option<Memory>,
    pub failed: Vec<Source>,
}

/// Failed deliveries are read up to so many pages of a hundred,
const FAILED_PAGES_MOST: usize = 20;
/// and good ones, to see which of them came through after all.
const SUCCEEDED_PAGES_MOST: usize = 10;
/// So many pools that are configured no more are brought to their end at a time.
const REMOVED_MOST: usize = 100;
/// Hooks, each with lists of its own.
const HOOKS_MOST: usize = 20;
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

impl Mayfly {
    /// Asks all sources. One that does not answer is unknown, and said.
    pub(super) async fn observe(&self, deadline: Instant) -> Seen {
        let mut failed = Vec::new();
        let now = clock::now();
        let memory = match self.ledger.memory().await {
            Ok(memory) => Some(memory),
            Err(error) => {
                failed.push(Source::failed("the sweep's memory".to_owned(), &error));
                None
            }
        };
        let removed = self.removed_pools(memory.as_ref());
        let scopes: BTreeSet<&Scope> =
            self.policy.pools.iter().chain(&removed).map(|pool| &pool.scope).collect();
        let ((vms, no_vms), (runners, no_runners), (deliveries, hooked, no_deliveries)) = tokio::join!(
            self.observe_vms(deadline),
            self.observe_runners(&scopes, deadline),
            self.observe_deliveries(memory.as_ref(), deadline),
        );
        failed.extend(no_vms.into_iter().chain(no_runners).chain(no_deliveries));
        let removed = self.with_nameless(removed, &runners);
        let (mut pools, no_pools) = self.observe_pools(&removed).await;
        failed.extend(no_pools);
        pools.retain(|ledger| self.is_where_it_was(ledger, memory.as_ref(), &mut failed));
        let mut world =
            World { now, pools, removed, vms, runners, jobs: BTreeMap::new(), told: Vec::new(), deliveries };
        self.observe_jobs(&mut world, memory.as_ref(), hooked, &mut failed, deadline).await;
        Seen { world, memory, failed }
    }

    fn removed_pools(&self, memory: Option<&Memory>) -> Vec<Pool> {
        let pools = memory.into_iter().flat_map(|memory| &memory.pools);
        let removed = pools.filter(|(name, _)| self.policy.pool(name).is_none());
        removed.map(|(name, scope)| Pool::removed(name.clone(), scope.clone())).collect()
    }

    /// Whether a pool's runners register where those of its slots did. Where its configuration says another place since, GitHub
    /// cannot be asked there whether they are busy: nothing is done to them, and that is said.
    fn is_where_it_was(
        &self,
        ledger: &PoolLedger,
        memory: Option<&Memory>,
        failed: &mut Vec<Source>,
    ) -> bool {
        let before = memory.and_then(|memory| memory.pools.get(&ledger.pool));
        let now = self.policy.pool(&ledger.pool).map(|pool| &pool.scope);
        let Some((before, now)) = before.zip(now).filter(|(before, now)| before != now) else { return true };
        if ledger.slots.is_empty() {
            return true;
        }
        let (before, now) = (shown(before), shown(now));
        let why = format!(
            "its runners register at {now} by now, and {} of them did at {before}: set that back and drain the pool \
             before it moves, or give the new one another name",
            ledger.slots.len()
        );
        tracing::error!(pool = %ledger.pool, why, "this pool is not swept");
        failed.push(Source { source: format!("pool {}", ledger.pool), why });
        false
    }

    /// Pools that are configured no more, and that no sweep had seen before: runners of theirs tell of them, and of where
    /// they are registered.
    fn with_nameless(
        &self,
        mut removed: Vec<Pool>,
        runners: &BTreeMap<Scope, Observed<Vec<SeenRunner>>>,
    ) -> Vec<Pool> {
        for (scope, list) in runners {
            for runner in list.values() {
                let Some(name) = RunnerName::parse(&self.policy.deployment, &runner.name) else { continue };
                let known = removed.iter().any(|pool| &pool.name == name.pool());
                if !known && self.policy.pool(name.pool()).is_none() && removed.len() < REMOVED_MOST {
                    removed.push(Pool::removed(name.pool().clone(), scope.clone()));
                }
            }
        }
        removed
    }

    async fn observe_vms(
        &self,
        deadline: Instant,
    ) -> (BTreeMap<ProviderName, Observed<Vec<Vm>>>, Vec<Source>) {
        let lists = self.providers().map(|(name, provider)| async move {
            let at = clock::now();
            (name.clone(), at, provider.list(&self.policy.deployment, deadline).await)
        });
        known(join_all(lists).await, |name| format!("provider {name}"))
    }

    async fn observe_runners(
        &self,
        scopes: &BTreeSet<&Scope>,
        deadline: Instant,
    ) -> (BTreeMap<Scope, Observed<Vec<SeenRunner>>>, Vec<Source>) {
        let lists = scopes.iter().map(|scope| async move {
            let at = clock::now();
            ((*scope).clone(), at, self.github.runners(scope, deadline).await)
        });
        known(join_all(lists).await, |scope| format!("runners {}", shown(scope)))
    }

    async fn observe_pools(&self, removed: &[Pool]) -> (Vec<PoolLedger>, Vec<Source>) {
        let pools = self.policy.pools.iter().chain(removed);
        let read = pools.map(|pool| async { (&pool.name, self.ledger.pool_ledger(&pool.name).await) });
        let (mut ledgers, mut failed) = (Vec::new(), Vec::new());
        for (pool, read) in join_all(read).await {
            let source = || format!("pool {pool}");
            match read {
                Ok((ledger, corrupt)) => {
                    ledgers.push(ledger);
                    failed.extend(corrupt.iter().map(|error| Source::failed(source(), error)));
                }
                Err(error) => failed.push(Source::failed(source(), &error)),
            }
        }
        (ledgers, failed)
    }

    /// The failed deliveries of each hook, and whether there is a hook whose deliveries may be read.
    async fn observe_deliveries(
        &self,
        memory: Option<&Memory>,
        deadline: Instant,
    ) -> (BTreeMap<String, Failures>, bool, Vec<Source>) {
        // Without the memory it is not known how often each was asked for.
        let Some(memory) = memory else { return (BTreeMap::new(), true, Vec::new()) };
        let scopes: BTreeSet<Scope> = self.policy.pools.iter().map(|pool| pool.scope.clone()).collect();
        let scopes: Vec<Scope> = scopes.into_iter().collect();
        let hooks = match self.hooks(&scopes, deadline).await {
            Ok(hooks) => hooks,
            Err(error) => {
                return (BTreeMap::new(), false, vec![Source::failed("deliveries".to_owned(), &error)]);
            }
        };
        let mut found = BTreeMap::new();
        let mut failed = Vec::new();
        for hook in hooks.iter().take(HOOKS_MOST) {
            match self.failures(hook, memory, deadline).await {
                Ok(failures) => _ = found.insert(hook.to_string(), failures),
                Err(error) => failed.push(Source::failed(format!("deliveries {hook}"), error.as_ref())),
            }
        }
        let hooked = !found.is_empty();
        (found, hooked, failed)
    }

    /// The hooks that bring the events: those of the pools' own scopes, else those of their repositories.
    pub(super) async fn hooks(&self, scopes: &[Scope], deadline: Instant) -> Result<Vec<Hook>, GitHubError> {
        let of_scopes = self.github.hooks(scopes, deadline).await;
        if matches!(&of_scopes, Ok(hooks) if !hooks.is_empty()) || !self.github.has_webhook_url() {
            return of_scopes;
        }
        let rests =
            |sought: Option<Instant>| sought.is_some_and(|at| at.elapsed() < self.policy.timing.check_after);
        if self.hooks_sought.lock().is_ok_and(|sought| rests(*sought)) {
            return of_scopes;
        }
        let repositories = self.repositories(deadline).await?.into_iter().take(HOOKS_MOST);
        let repositories: Vec<Scope> = repositories.map(Scope::Repository).collect();
        match self.github.hooks(&repositories, deadline).await {
            Ok(hooks) if !hooks.is_empty() => Ok(hooks),
            Ok(_) | Err(_) => {
                if let Ok(mut sought) = self.hooks_sought.lock() {
                    *sought = Some(Instant::now());
                }
                of_scopes
            }
        }
    }

    async fn failures(
        &self,
        hook: &Hook,
        memory: &Memory,
        deadline: Instant,
    ) -> Result<Failures, Box<dyn std::error::Error + Send + Sync>> {
        let settled = memory.settled.get(&hook.to_string()).copied();
        let since = World::deliveries_since(clock::now(), settled);
        let failed = self.github.deliveries(hook, true, since, FAILED_PAGES_MOST, deadline).await?;
        let Some(oldest) = failed.attempts.iter().map(|attempt| attempt.at).min() else {
            return Ok(Failures { whole: failed.whole, ..Failures::default() });
        };
        let guids: BTreeSet<String> = failed.attempts.iter().map(|attempt| attempt.guid.clone()).collect();
        let (succeeded, asked) = tokio::join!(
            self.github.deliveries(hook, false, oldest, SUCCEEDED_PAGES_MOST, deadline),
            self.ledger.redeliveries(&guids),
        );
        let succeeded = succeeded?.attempts.into_iter().map(|attempt| attempt.guid).collect();
        Ok(Failures { failed: failed.attempts, whole: failed.whole, succeeded, asked: asked? })
    }

    /// The records of the jobs in question, how far they are at GitHub, and queued jobs that nobody told of.
    async fn observe_jobs(
        &self,
        world: &mut World,
        memory: Option<&Memory>,
        hooked: bool,
        failed: &mut Vec<Source>,
        deadline: Instant,
    ) {
        self.read_jobs(world, jobs_in_question(&self.policy, world), failed).await;
        let mut questions = jobs_to_ask(&self.policy, world);
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
        if let Some(memory) = memory.filter(|_| self.github.limited_for().is_none()) {
            let found = self.look_for_jobs(memory, &known_jobs(world), hooked, failed, deadline).await;
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
        let failed = |error: &dyn std::error::Error| Source::failed(format!("job {job}"), error);
        let told = self.github.job(&repository, job, installation, deadline).await;
        let answered = matches!(told, Ok(_) | Err(GitHubError::Refused { .. }));
        if let Some((pool, waiting)) = waiting.as_ref().filter(|_| answered) {
            let noted: Result<(), StoreError> = self.ledger.asked(pool, waiting, clock::now()).await;
            noted.map_err(|error| failed(&error))?;
        }
        match (told, waiting) {
            (Err(GitHubError::Refused { status: 404, .. }), Some((_, waiting)))
                if is_forgotten(&waiting, clock::now()) =>
            {
                Ok(over(&waiting))
            }
            (told, _) => told.map_err(|error| failed(&error)),
        }
    }

    /// Queued jobs that some pool serves, by looking through runs; a round of it begins every `check_after`, or as soon as
    /// the last is over where there is no other way.
    async fn look_for_jobs(
        &self,
        memory: &Memory,
        known: &BTreeSet<JobId>,
        hooked: bool,
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
        if begins && hooked && !rested {
            return Vec::new();
        }
        let looked = async {
            let repositories = self.repositories(deadline).await?;
            let least = if hooked { DISCOVERY_CALLS } else { DISCOVERY_CALLS_ALONE };
            let share = u32::try_from(repositories.len()).unwrap_or(u32::MAX) / DISCOVERY_SWEEPS * 2;
            let budget = share.clamp(least, DISCOVERY_CALLS_MOST);
            let wanted = |event: &JobEvent| !known.contains(&event.job) && route(&self.policy, event).is_ok();
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
        if let Err(error) = self.ledger.remember_discovery(&found.next.to_string(), round).await {
            failed.push(Source::failed("the sweep's memory".to_owned(), &error));
        }
        found.jobs
    }

    /// The repositories that the pools serve.
    async fn repositories(&self, deadline: Instant) -> Result<Vec<Repository>, GitHubError> {
        let mut all = BTreeSet::new();
        for pool in &self.policy.pools {
            let reachable = self.github.repositories(&pool.scope, deadline).await?;
            let allowed = |repository: &Repository| {
                pool.repositories.is_empty()
                    || pool.repositories.iter().any(|pattern| pattern.matches(repository))
            };
            all.extend(reachable.into_iter().filter(allowed));
        }
        Ok(all.into_iter().collect())
    }
}

/// The event of a job that GitHub does not know any more.
fn over(waiting: &Waiting) -> JobEvent {
    JobEvent {
        change: Change::Ended { runner: None, conclusion: None },
        job: waiting.job,
        name: String::new(),
        repository: waiting.repository.clone(),
        labels: Labels::default(),
        created_at: Some(waiting.queued_at),
        installation: waiting.installation,
        enterprise: None,
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

/// What each source said, or that it said nothing.
fn known<K: Ord, V, E: std::error::Error>(
    lists: Vec<(K, jiff::Timestamp, Result<Vec<V>, E>)>,
    named: impl Fn(&K) -> String,
) -> (BTreeMap<K, Observed<Vec<V>>>, Vec<Source>) {
    let (mut observed, mut failed) = (BTreeMap::new(), Vec::new());
    for (key, at, listed) in lists {
        let seen = match listed {
            Ok(value) => Observed::Known { at, value },
            Err(error) => {
                failed.push(Source::failed(named(&key), &error));
                Observed::Unknown { why: error.to_string() }
            }
        };
        observed.insert(key, seen);
    }
    (observed, failed)
}

fn shown(scope: &Scope) -> String {
    match scope {
        Scope::Organization(login) => format!("orgs/{login}"),
        Scope::Repository(repository) => format!("repos/{repository}"),
        Scope::Enterprise(slug) => format!("enterprises/{slug}"),
    }
}
