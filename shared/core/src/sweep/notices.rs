//! What is said on the commits of jobs that wait for long: first said, brought up to date, and concluded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::plan::{Action, Plan, Step, Wait};
use super::world::{Index, PoolLedger};
use crate::ids::{JobId, PoolName, Repository};
use crate::job::Waiting;
use crate::notice::{Ending, Notice, Situation, Standing, Words};
use crate::slot::earlier;

/// A sweep speaks at most so often.
const MOST: usize = 20;
/// A notice is not said anew before this, or before `waiting_after` where that is less.
const SAID_FOR: Duration = Duration::from_secs(5 * 60);

/// How much may be said on commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// In so many calls: none while little is left of what GitHub grants.
    pub calls: usize,
    /// The owners of repositories that have lately refused.
    pub muted: BTreeSet<String>,
}

impl Default for Voice {
    fn default() -> Self {
        Self { calls: MOST, muted: BTreeSet::new() }
    }
}

impl Voice {
    /// Nothing is said now.
    pub fn silent() -> Self {
        Self { calls: 0, muted: BTreeSet::new() }
    }

    fn reaches(&self, repository: &Repository) -> bool {
        !self.muted.contains(&repository.owner().to_lowercase())
    }
}

/// The jobs of which it was said that they wait, and that no queue has: what became of them is in their records.
pub(super) fn jobs_not_waiting(index: &Index<'_>) -> Vec<JobId> {
    let said: BTreeSet<JobId> = notices(index).map(|(_, notice)| notice.job).collect();
    if said.is_empty() {
        return Vec::new();
    }
    let queued = queued(index);
    said.into_iter().filter(|job| !queued.contains(job)).collect()
}

fn notices<'a>(index: &Index<'a>) -> impl Iterator<Item = (&'a PoolLedger, &'a Notice)> {
    let ledgers = index.ledgers();
    ledgers.flat_map(|ledger| ledger.notices.iter().map(move |notice| (ledger, notice)))
}

fn queued(index: &Index<'_>) -> BTreeSet<JobId> {
    index.ledgers().flat_map(|ledger| &ledger.waiting).map(|waiting| waiting.job).collect()
}

/// Says what is to be said, after everything else: what is over first, then the oldest jobs.
///
/// A job is only spoken of where it goes on waiting after this very plan. One that is tried again with each sweep, since
/// `cooldown` is shorter than the time between two sweeps, is not.
pub(super) fn keep(index: &Index<'_>, plan: &mut Plan) {
    let mut steps = concluded(index);
    if let Some(after) = index.policy.waiting_after {
        steps.extend(spoken_of(index, plan, after));
    }
    let steps = steps.into_iter().take(index.world.voice.calls);
    // Last of all: nobody's runner waits for it.
    let since = plan.steps.last().map_or(index.world.now, |last| last.since.max(index.world.now));
    plan.steps.extend(steps.map(|(pool, action, why)| Step { pool: Some(pool), action, why, since }));
}

type Said = (PoolName, Action, &'static str);

fn concluded(index: &Index<'_>) -> Vec<Said> {
    let mut all: Vec<(&PoolLedger, &Notice)> = notices(index).collect();
    if all.is_empty() {
        return Vec::new();
    }
    all.sort_by_key(|(ledger, notice)| (notice.queued_at, notice.job, &ledger.pool));
    let queued = queued(index);
    let ending = |notice: &Notice| {
        if notice.standing == Standing::Asked && may_be_on_its_way(index, notice) {
            return None;
        }
        if index.policy.waiting_after.is_none() {
            return Some(Ending::Off);
        }
        // One that could not be read is not known to be over.
        let record = index.world.jobs.get(&notice.job).filter(|_| !queued.contains(&notice.job))?;
        record.as_ref().map_or(Some(Ending::Forgotten), Ending::of)
    };
    let over = all.into_iter().filter_map(|(ledger, notice)| Some((ledger, notice, ending(notice)?)));
    over.map(|(ledger, notice, ending)| {
        let action = Action::Conclude { notice: notice.clone(), ending };
        (ledger.pool.clone(), action, "it waits no more")
    })
    .collect()
}

/// A request whose answer was lost may take effect after its caller has gone: nothing of the same name is asked for before, or
/// that one would be the newest.
fn may_be_on_its_way(index: &Index<'_>, notice: &Notice) -> bool {
    notice.said_at > earlier(index.world.now, index.policy.timing.orphan_grace)
}

fn spoken_of(index: &Index<'_>, plan: &Plan, after: Duration) -> Vec<Said> {
    let long_ago = earlier(index.world.now, after);
    let mut long: Vec<&Wait> = plan.waits.iter().filter(|wait| wait.since <= long_ago).collect();
    if long.is_empty() {
        return Vec::new();
    }
    long.sort_by_key(|wait| (wait.since, wait.job, &wait.pool));
    let known: BTreeMap<JobId, (&PoolLedger, &Notice)> =
        notices(index).map(|(ledger, notice)| (notice.job, (ledger, notice))).collect();
    let mut queues: BTreeMap<&PoolName, usize> = BTreeMap::new();
    plan.waits.iter().for_each(|wait| *queues.entry(&wait.pool).or_default() += 1);
    let queue = index.ledgers().flat_map(|ledger| &ledger.waiting);
    let entries: BTreeMap<(JobId, Timestamp), &Waiting> =
        queue.map(|waiting| ((waiting.job, waiting.queued_at), waiting)).collect();
    let ripe = earlier(index.world.now, after.min(SAID_FOR));
    let said = |wait: &Wait| {
        let ledger = index.ledger(&wait.pool)?;
        let waiting = *entries.get(&(wait.job, wait.since))?;
        let words = || words(index, ledger, wait, waiting, queues.get(&wait.pool).copied().unwrap_or(1));
        let Some((ledger, notice)) = known.get(&wait.job) else {
            let (waiting, cause) = (waiting.clone(), wait.cause);
            index.world.voice.reaches(&waiting.repository).then_some(())?;
            let action = Action::Announce { waiting, cause, words: words()? };
            return Some((wait.pool.clone(), action, "it has waited for longer than waiting_after"));
        };
        let why = match notice.standing {
            Standing::Refused => return None,
            Standing::Asked if may_be_on_its_way(index, notice) => return None,
            Standing::Asked if !index.world.voice.reaches(&notice.repository) => return None,
            Standing::Asked => "GitHub was not heard to have said so",
            Standing::Made(_) if notice.cause == wait.cause || notice.said_at > ripe => return None,
            Standing::Made(_) => "it waits for another reason than was said",
        };
        let action = Action::Amend { notice: (*notice).clone(), cause: wait.cause, words: words()? };
        Some((ledger.pool.clone(), action, why))
    };
    long.into_iter().filter_map(said).take(index.world.voice.calls).collect()
}

fn words(
    index: &Index<'_>,
    ledger: &PoolLedger,
    wait: &Wait,
    waiting: &Waiting,
    queue: usize,
) -> Option<Words> {
    let situation = Situation {
        pool: index.pool(&ledger.pool)?,
        state: &ledger.state,
        timing: &index.policy.timing,
        waiting,
        cause: wait.cause,
        until: wait.until,
        place: wait.place,
        queue,
        now: index.world.now,
    };
    Some(situation.words())
}

#[cfg(test)]
#[path = "notices_tests.rs"]
mod tests;
