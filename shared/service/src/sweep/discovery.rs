//! Discovery: queued jobs that no delivery told of, found by looking through runs, a bounded number of calls in each sweep.
//!
//! A round goes through all repositories; a sweep goes on where the one before stopped.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use mayfly_core::event::JobEvent;
use mayfly_core::ids::Repository;
use tokio::time::Instant;

use super::Source;
use crate::github::{GitHub, GitHubError, NOT_FOUND, RunStatus, RunsPage, UNAUTHORIZED};
use crate::mayfly::Mayfly;

/// Runs that have not begun first; then those that have, whose other jobs (of a matrix, or behind `needs`) may be queued.
const STATUSES: [RunStatus; 2] = [RunStatus::Queued, RunStatus::InProgress];
/// GitHub shows a thousand runs of a status, fifty at a time.
const RUN_PAGES_MOST: usize = 20;
/// A list and the jobs of one run: less would never get on.
const BUDGET_LEAST: u32 = 2;
/// A call that found something earns this many more,
const EARNED: u32 = 2;
/// as long as there are no more than this many in all.
const CALLS_MOST: u32 = 100;
/// A list of jobs has a hundred on each page.
const JOBS_PAGE: usize = 100;

/// Where the next sweep goes on looking. As text: `owner/name status page run`, with `-` for no run; empty for the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor(Option<Place>);

/// After the run `after` of a page of a repository's list; ids fall, so the rest has smaller ones.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    repository: Repository,
    status: RunStatus,
    page: usize,
    after: Option<u64>,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Place { repository, status, page, after }) = &self.0 else { return Ok(()) };
        write!(f, "{repository} {} {page} ", status.as_str())?;
        match after {
            Some(run) => write!(f, "{run}"),
            None => f.write_str("-"),
        }
    }
}

/// The text is no cursor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no place to go on looking for jobs from")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let place = match parts.as_slice() {
            [] => return Ok(Self::default()),
            [repository, status, page, after] => Place {
                repository: Repository::new(*repository).map_err(|_| NoCursor)?,
                status: STATUSES.into_iter().find(|each| each.as_str() == *status).ok_or(NoCursor)?,
                page: page.parse().ok().filter(|page| *page > 0).ok_or(NoCursor)?,
                after: (*after != "-").then(|| after.parse()).transpose().map_err(|_| NoCursor)?,
            },
            _ => return Err(NoCursor),
        };
        Ok(Self(Some(place)))
    }
}

/// What a walk found.
#[derive(Debug)]
pub struct Found {
    /// The jobs that were wanted.
    pub jobs: Vec<JobEvent>,
    /// Where to go on.
    pub next: Cursor,
    /// Whether all repositories have been looked at to the end; `next` is the beginning then.
    pub round_over: bool,
    /// How many calls it took, those that GitHub refused among them.
    pub calls: u32,
    /// What could not be looked at, and is passed over; or what ended the walk early.
    pub failed: Vec<Source>,
}

/// The walk's next call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ask {
    Runs { repository: Repository, status: RunStatus, page: usize },
    Jobs { repository: Repository, run: u64 },
}

/// The way through the repositories' runs. Pure: it says what to ask for, and is told what came of it.
#[derive(Debug)]
struct Walk {
    /// Those still to be looked at, by name; the first is being looked at.
    repositories: VecDeque<Repository>,
    status: RunStatus,
    page: usize,
    after: Option<u64>,
    /// The runs of this page that are still to be looked at, once it was read, and whether another page follows.
    runs: Option<(VecDeque<u64>, bool)>,
    calls: u32,
    budget: u32,
}

impl Walk {
    fn new(repositories: &[Repository], from: &Cursor, budget: u32) -> Self {
        let mut all = repositories.to_vec();
        all.sort();
        all.dedup();
        let mut walk = Self {
            repositories: all.into(),
            status: RunStatus::Queued,
            page: 1,
            after: None,
            runs: None,
            calls: 0,
            budget: budget.max(BUDGET_LEAST),
        };
        if let Cursor(Some(place)) = from {
            walk.repositories.retain(|each| *each >= place.repository);
            if walk.repositories.front() == Some(&place.repository) {
                (walk.status, walk.page, walk.after) = (place.status, place.page, place.after);
            }
        }
        walk
    }

    /// What to ask for next; `None` when the round is over or the budget used up.
    fn next(&mut self) -> Option<Ask> {
        loop {
            let repository = self.repositories.front()?.clone();
            let ask = match &self.runs {
                None => Ask::Runs { repository, status: self.status, page: self.page },
                Some((runs, more)) => match runs.front() {
                    Some(run) => Ask::Jobs { repository, run: *run },
                    None => {
                        self.turn(*more);
                        continue;
                    }
                },
            };
            return (self.calls < self.budget).then_some(ask);
        }
    }

    /// The page is done: another, another list, or another repository follows.
    fn turn(&mut self, more: bool) {
        self.runs = None;
        if more && self.page < RUN_PAGES_MOST {
            self.page += 1;
            return;
        }
        match self.status {
            RunStatus::Queued => (self.status, self.page, self.after) = (RunStatus::InProgress, 1, None),
            RunStatus::InProgress => self.skip_repository(),
        }
    }

    /// A page of runs was read.
    fn runs(&mut self, page: RunsPage) {
        self.calls += 1;
        let left = page.ids.into_iter().filter(|run| self.after.is_none_or(|after| *run < after));
        self.runs = Some((left.collect(), page.more));
    }

    /// A run's jobs were read, in so many calls.
    fn jobs(&mut self, calls: u32, has_found: bool) {
        self.calls += calls;
        self.skip_run();
        if has_found && self.budget < CALLS_MOST {
            self.budget = (self.budget + EARNED).min(CALLS_MOST);
        }
    }

    fn skip_run(&mut self) {
        if let Some((runs, _)) = &mut self.runs {
            self.after = runs.pop_front().or(self.after);
        }
    }

    fn skip_repository(&mut self) {
        self.repositories.pop_front();
        (self.status, self.page, self.after, self.runs) = (RunStatus::Queued, 1, None, None);
    }

    /// Where the next walk goes on.
    fn cursor(&self) -> Cursor {
        let (status, page, after) = (self.status, self.page, self.after);
        let place = |repository: &Repository| Place { repository: repository.clone(), status, page, after };
        Cursor(self.repositories.front().map(place))
    }
}

impl Mayfly {
    /// Looks through the runs of these repositories, from a place on, for jobs that are `wanted`. It takes about
    /// `budget` calls (at least 2; the further pages of the last run's jobs are not counted beforehand), and two more
    /// for each that found such a job, up to a hundred. A repository or run that GitHub refuses is passed over, and so is
    /// what fails where the walk began, or nobody would ever get past it. Any other failure ends the walk: an
    /// error if nothing was read, else the answer is how far it came.
    pub(super) async fn discover(
        &self,
        repositories: &[Repository],
        from: &Cursor,
        budget: u32,
        wanted: &(dyn Fn(&JobEvent) -> bool + Sync),
        deadline: Instant,
    ) -> Result<Found, GitHubError> {
        discover(&self.github, Walk::new(repositories, from, budget), wanted, deadline).await
    }
}

async fn discover(
    github: &GitHub,
    mut walk: Walk,
    wanted: &(dyn Fn(&JobEvent) -> bool + Sync),
    deadline: Instant,
) -> Result<Found, GitHubError> {
    let mut jobs = Vec::new();
    let mut failed = Vec::new();
    let began = walk.cursor();
    let mut has_read = false;
    let mut outage = None;
    while let Some(ask) = walk.next() {
        let asked = match &ask {
            Ask::Runs { repository, status, page } => {
                github.runs(repository, *status, *page, deadline).await.map(|page| walk.runs(page))
            }
            Ask::Jobs { repository, run } => github.run_jobs(repository, *run, deadline).await.map(|all| {
                let calls = all.len().div_ceil(JOBS_PAGE).max(1);
                let before = jobs.len();
                jobs.extend(all.into_iter().filter(|job| wanted(job)));
                walk.jobs(u32::try_from(calls).unwrap_or(u32::MAX), jobs.len() > before);
            }),
        };
        let Err(error) = asked else {
            has_read = true;
            continue;
        };
        walk.calls += 1;
        let is_stuck = walk.cursor() == began && Instant::now() < deadline;
        if !is_its_own(&error, is_stuck) {
            if !has_read {
                return Err(error);
            }
            failed.push(noted(ask.to_string(), &error));
            break;
        }
        failed.push(noted(ask.to_string(), &error));
        match (&ask, &error) {
            // A run may be deleted at any time.
            (Ask::Jobs { .. }, GitHubError::Refused { status: NOT_FOUND, .. })
            | (Ask::Jobs { .. }, GitHubError::Unavailable { .. }) => walk.skip_run(),
            (Ask::Jobs { .. } | Ask::Runs { .. }, _) => walk.skip_repository(),
        }
        if matches!(error, GitHubError::Unavailable { .. }) {
            outage = Some(error);
        }
    }
    if let Some(error) = outage.filter(|_| !has_read) {
        return Err(error);
    }
    let round_over = walk.repositories.is_empty();
    Ok(Found { jobs, next: walk.cursor(), round_over, calls: walk.calls, failed })
}

/// Whether an error is about what was asked for, and not about everything.
fn is_its_own(error: &GitHubError, is_stuck: bool) -> bool {
    match error {
        // 0 is for what was refused before GitHub was asked.
        GitHubError::Refused { status, .. } => !matches!(*status, 0 | UNAUTHORIZED),
        GitHubError::RateLimited { .. } => false,
        GitHubError::Unavailable { .. } => is_stuck,
    }
}

fn noted(source: String, error: &GitHubError) -> Source {
    tracing::warn!(source, %error, "jobs that no delivery told of are not looked for here");
    Source { source, why: error.to_string() }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs { repository, .. } => write!(f, "runs of {repository}"),
            Self::Jobs { repository, run } => write!(f, "jobs of {repository}'s run {run}"),
        }
    }
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
