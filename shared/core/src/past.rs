//! What is over, as far as the status page tells of it: the last jobs, and what VMs ran and cost in a month. For people; no
//! decision depends on it, and a loss is a line less on a page.

use std::time::Duration;

use jiff::Timestamp;

use crate::age::Age;
use crate::ids::{JobId, Repository};
use crate::job::Job;
use crate::policy::Pool;
use crate::price::Cost;
use crate::slot::Slot;
use crate::telling::Step;

/// So many jobs that are over are remembered of a pool.
pub const RING: u8 = 48;

/// A job that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverJob {
    /// Which.
    pub job: JobId,
    /// Whose.
    pub repository: Repository,
    /// Who ran it; none where nobody did.
    pub runner: Option<String>,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When the create of its runner's VM was accepted, where that is known.
    pub made_at: Option<Timestamp>,
    /// When its runner took it; none where nobody did, or nobody told.
    pub started_at: Option<Timestamp>,
    /// When its end was heard of.
    pub ended_at: Timestamp,
    /// GitHub's conclusion: `success`, `failure`, `cancelled`, …
    pub conclusion: String,
}

/// How long the parts of a job took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// Until its VM was under way; until a runner took it, where that stood ready before.
    pub wait: Duration,
    /// From there until its runner took it.
    pub boot: Duration,
    /// From there until its end; none where no runner took it.
    pub run: Option<Duration>,
}

impl OverJob {
    /// What a job's timeline says, from its end and from what was recorded before it; none where it is not over.
    pub fn of(job: &Job, before: Option<&Job>) -> Option<Self> {
        let lines = before.into_iter().flat_map(|before| &before.timeline).chain(&job.timeline);
        let told: Vec<(Timestamp, Step)> = lines.map(|line| (line.at, Step::read(&line.what).0)).collect();
        let ended = |(at, step): &(Timestamp, Step)| {
            let Step::Ended { runner, conclusion } = step else { return None };
            Some((*at, runner.clone(), conclusion.clone()))
        };
        let (ended_at, runner, conclusion) = told.iter().rev().find_map(ended)?;
        let started = told.iter().find(|(_, step)| matches!(step, Step::Started { .. }));
        let its_own =
            |step: &Step| matches!(step, Step::Made { runner: made, .. } if Some(made) == runner.as_ref());
        let made = told.iter().rev().find(|(_, step)| its_own(step));
        Some(Self {
            job: job.id,
            repository: job.repository.clone(),
            queued_at: before.map_or(job.queued_at, |before| before.queued_at),
            made_at: made.map(|(at, _)| *at),
            started_at: started.map(|(at, _)| *at),
            ended_at,
            runner,
            conclusion,
        })
    }

    /// Where it stands among the last jobs of its pool. GitHub's numbers grow; so mixed, any run of them fills the places evenly.
    pub fn place(&self) -> u8 {
        // The finalizer of SplitMix64.
        let mut bits = self.job.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits ^= bits >> 31;
        u8::try_from(bits % u64::from(RING)).unwrap_or_default()
    }

    /// How long its parts took. What clocks that differ would make negative is nothing.
    pub fn parts(&self) -> Parts {
        let between = |from, to| Age::between(from, to).0;
        let Some(started) = self.started_at else {
            return Parts { wait: between(self.queued_at, self.ended_at), ..Parts::default() };
        };
        // A runner that stood ready before has not made this job wait for a boot.
        let made = self.made_at.filter(|made| *made > self.queued_at && *made <= started).unwrap_or(started);
        Parts {
            wait: between(self.queued_at, made),
            boot: between(made, started),
            run: Some(between(started, self.ended_at)),
        }
    }
}

/// What VMs ran and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// How many.
    pub vms: u64,
    /// How long all of them ran together, in milliseconds.
    pub ms: u64,
    /// How much of that no price is configured for.
    pub unpriced_ms: u64,
    /// What the rest cost.
    pub cost: Cost,
}

impl Used {
    /// What a slot's VM ran and cost until now: from when the slot was taken, some moments before the create. None where it has
    /// no VM. A pool that is configured no more has no prices.
    pub fn of(pool: Option<&Pool>, slot: &Slot, now: Timestamp) -> Option<Self> {
        let machine = slot.phase.machine()?;
        let long = Age::between(slot.reserved_at, now).0;
        let ms = u64::try_from(long.as_millis()).unwrap_or(u64::MAX);
        Some(match pool.and_then(|pool| pool.price_at(&machine.vm)) {
            Some(price) => Self { vms: 1, ms, unpriced_ms: 0, cost: price.of(long) },
            None => Self { vms: 1, ms, unpriced_ms: ms, cost: Cost::default() },
        })
    }

    /// How long all of them ran together.
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

impl std::ops::Add for Used {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            vms: self.vms.saturating_add(more.vms),
            ms: self.ms.saturating_add(more.ms),
            unpriced_ms: self.unpriced_ms.saturating_add(more.unpriced_ms),
            cost: [self.cost, more.cost].into_iter().sum(),
        }
    }
}

impl std::iter::Sum for Used {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| sum + part)
    }
}

/// The month that a moment is in, UTC: `2026-11`.
pub fn month(at: Timestamp) -> String {
    at.strftime("%Y-%m").to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::job::JobState;
    use crate::policy::Placement;
    use crate::price::PricePerHour;
    use crate::slot::Phase;
    use crate::sweep::fixtures::{at, booting, busy, job, pool, slot};
    use crate::telling::Meant;

    fn over(made: Option<i64>, started: Option<i64>, ended: i64) -> OverJob {
        let runner = Some("test-linux-0000-a".to_owned());
        let mut before = job(7, JobState::Running { slot: None });
        let made = made.map(|made| {
            let made_step = Step::Made { runner: "test-linux-0000-a".into(), place: "gcp/us-east1-c".into() };
            made_step.at(at(made))
        });
        let started =
            started.map(|at_| Step::Started { runner: runner.clone(), meant: Meant::Own }.at(at(at_)));
        before.timeline = made.into_iter().chain(started).collect();
        let mut now = job(7, JobState::Done);
        now.queued_at = at(ended);
        now.timeline = vec![Step::Ended { runner, conclusion: "success".into() }.at(at(ended))];
        OverJob::of(&now, Some(&before)).unwrap()
    }

    fn seconds(over: &OverJob) -> (u64, u64, Option<u64>) {
        let Parts { wait, boot, run } = over.parts();
        (wait.as_secs(), boot.as_secs(), run.map(|run| run.as_secs()))
    }

    #[test]
    fn a_job_that_is_over_says_how_long_it_waited_booted_and_ran() {
        assert_eq!(seconds(&over(Some(3), Some(50), 650)), (3, 47, Some(600)));
        assert_eq!(
            seconds(&over(Some(-90), Some(5), 65)),
            (5, 0, Some(60)),
            "a warm runner had booted before"
        );
        assert_eq!(seconds(&over(None, Some(5), 65)), (5, 0, Some(60)));
        assert_eq!(seconds(&over(None, None, 65)), (65, 0, None), "nobody took it");
        assert_eq!(seconds(&over(Some(9), Some(5), 4)), (5, 0, Some(0)), "clocks differ");
        assert_eq!(over(None, None, 65).conclusion, "success");
    }

    #[test]
    fn a_job_that_is_not_over_has_nothing_to_say() {
        assert_eq!(OverJob::of(&job(7, JobState::Running { slot: None }), None), None);
    }

    #[test]
    fn jobs_one_after_the_other_fill_the_ring() {
        let places: BTreeSet<u8> = (0..200)
            .map(|id| OverJob { job: JobId(41_234_567_890 + id), ..over(None, None, 1) }.place())
            .collect();
        assert!(places.iter().all(|place| *place < RING));
        assert!(places.len() > 44, "{}", places.len());
    }

    #[test]
    fn a_vm_costs_what_its_placement_says_for_as_long_as_its_slot_is_taken() {
        let free = pool("linux", &["Linux"]);
        let price = PricePerHour::new(0.36);
        let placements =
            free.placements.iter().cloned().map(|placement| Placement { price, ..placement }).collect();
        let priced = Pool { placements, ..free.clone() };
        let hour = at(3600);
        let cost = Cost(360_000);
        let used = Used { vms: 1, ms: 3_600_000, unpriced_ms: 0, cost };
        assert_eq!(Used::of(Some(&priced), &slot(0, 1, busy()), hour), Some(used));
        let unpriced = Used { unpriced_ms: 3_600_000, cost: Cost(0), ..used };
        assert_eq!(Used::of(Some(&free), &slot(0, 1, booting()), hour), Some(unpriced));
        assert_eq!(Used::of(Some(&priced), &slot(0, 1, Phase::Reserved), hour), None, "it has no VM");
        let both = Used { vms: 2, ms: 7_200_000, unpriced_ms: 3_600_000, cost };
        assert_eq!([used, unpriced].into_iter().sum::<Used>(), both);
    }

    #[test]
    fn a_month_is_named_by_year_and_number() {
        assert_eq!(month("2026-11-30T23:59:59Z".parse().unwrap()), "2026-11");
        assert_eq!(month("2026-12-01T00:00:00Z".parse().unwrap()), "2026-12");
    }
}
