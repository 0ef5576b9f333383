//! Failed deliveries: GitHub never delivers again by itself, so the sweep asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::plan::{Action, LeftAlone, Plan, Step};
use super::world::World;
use crate::policy::Timing;
use crate::slot::{earlier, later};

/// GitHub keeps deliveries for three days, and delivers none again that is older.
const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);
/// A delivery is asked for again at most so often, after waits that double.
const TIMES_MOST: u32 = 5;
/// So many are asked for in one sweep: GitHub bears some eighty such requests a minute.
const AT_ONCE_MOST: usize = 80;

/// One try of GitHub to deliver an event of ours (`GET /app/hook/deliveries` and its like).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// `id`, of this try alone.
    pub id: u64,
    /// `guid`, the same for all tries of one event (`X-GitHub-Delivery`).
    pub guid: String,
    /// `delivered_at`
    pub at: Timestamp,
    /// Whether the answer was no success (`status_code` outside 200 … 299).
    pub failed: bool,
    /// `action`
    pub tells: Tells,
}

/// What an event tells, in the order in which it is missed: an end keeps a VM that is paid for and a slot that others wait for; a
/// queued job is found by the search for lost jobs, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tells {
    /// `completed`
    Ended,
    /// `in_progress`
    Started,
    /// `queued`, or `waiting`.
    Queued,
}

impl Tells {
    /// From a delivery's `action`.
    pub fn of(action: Option<&str>) -> Self {
        match action {
            Some("completed") => Self::Ended,
            Some("in_progress") => Self::Started,
            Some(_) | None => Self::Queued,
        }
    }
}

/// How often, and when last, a delivery was asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// How often.
    pub times: u32,
    /// When last.
    pub at: Timestamp,
}

/// What is known of a hook's failed deliveries.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    /// The tries that failed, since those that are settled.
    pub failed: Vec<Attempt>,
    /// Whether all of them were listed, or only the newest.
    pub whole: bool,
    /// The events that were delivered since the oldest of the failed tries, by GUID.
    pub succeeded: BTreeSet<String>,
    /// Since when these were listed, where that is later: the bound on pages ended the list.
    pub succeeded_since: Option<Timestamp>,
    /// Which were asked for again, by GUID.
    pub asked: BTreeMap<String, Asked>,
}

/// The tries of one event.
struct Event<'a> {
    first: Timestamp,
    last: &'a Attempt,
}

/// Since when failed deliveries are of interest, where those before `settled` are none of it.
pub fn deliveries_since(now: Timestamp, settled: Option<Timestamp>) -> Timestamp {
    let oldest = earlier(now, KEPT);
    settled.map_or(oldest, |settled| settled.max(oldest))
}

/// Asks again for each event that was delivered in vain, what is missed most first, and says up to when all are settled.
pub(super) fn redeliver(world: &World, timing: &Timing, plan: &mut Plan) {
    let mut due = Vec::new();
    for (hook, failures) in &world.deliveries {
        let mut unsettled: Option<Timestamp> = None;
        for (guid, event) in events(&failures.failed) {
            if failures.succeeded.contains(guid) {
                continue;
            }
            let asked = failures.asked.get(guid);
            // A try that was asked for and failed would be listed; where it came through, so long ago that this is not listed
            // any more, nothing is.
            let unlisted = |asked: &Asked| {
                event.last.at <= asked.at && failures.succeeded_since.is_some_and(|since| asked.at < since)
            };
            if asked.is_some_and(unlisted) {
                continue;
            }
            let times = asked.map_or(0, |asked| asked.times);
            if times >= TIMES_MOST {
                let why = "asked for again as often as is worth while: given up";
                plan.left_alone.push(LeftAlone { what: format!("delivery {guid}"), why });
                continue;
            }
            unsettled = Some(unsettled.map_or(event.first, |before| before.min(event.first)));
            let latest = asked.map_or(event.last.at, |asked| asked.at.max(event.last.at));
            if later(latest, timing.redelivery_after * (1 << times)) > world.now {
                let why = "the delivery failed a moment ago, or is on its way again";
                plan.left_alone.push(LeftAlone { what: format!("delivery {guid}"), why });
                continue;
            }
            let action = Action::Redeliver {
                hook: hook.clone(),
                guid: guid.to_owned(),
                attempt: event.last.id,
                times,
            };
            let step = Step { pool: None, action, why: "its delivery failed", since: event.first };
            due.push((event.last.tells, step));
        }
        let newest = failures.failed.iter().map(|attempt| attempt.at).max();
        if !failures.whole {
            // Those that are older are never listed while these are: newer ones come before them.
            let why = "more deliveries failed than are listed: the search for lost jobs finds what they told";
            plan.left_alone.push(LeftAlone { what: format!("older deliveries of {hook}"), why });
        }
        if let Some(newest) = newest {
            let settled = unsettled.unwrap_or_else(|| later(newest, STEP));
            // A try is listed when its answer failed to come, under the moment it was sent: later ones may be listed before.
            plan.settled.insert(hook.clone(), settled.min(earlier(world.now, timing.redelivery_after)));
        }
    }
    due.sort_by_key(|(tells, step)| (*tells, step.since));
    plan.steps.extend(due.into_iter().take(AT_ONCE_MOST).map(|(_, step)| step));
}

/// The smallest step of time that the table keeps.
const STEP: Duration = Duration::from_millis(1);

fn events(failed: &[Attempt]) -> BTreeMap<&str, Event<'_>> {
    let mut tries: Vec<&Attempt> = failed.iter().collect();
    tries.sort_by_key(|attempt| (attempt.at, attempt.id));
    let mut events: BTreeMap<&str, Event<'_>> = BTreeMap::new();
    for attempt in tries {
        let event = events.entry(&attempt.guid).or_insert(Event { first: attempt.at, last: attempt });
        event.last = attempt;
    }
    events
}

#[cfg(test)]
#[path = "deliveries_tests.rs"]
mod tests;
