//! What happens in a demo: which jobs arrive when, and what becomes of them. All of it follows from the seed.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use simulator::{Chance, JobId, JobSpec, JobState, World};

/// A kind of job, and the pool that serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The pool's name.
    pub pool: &'static str,
    /// The job's `runs-on`.
    pub labels: &'static [&'static str],
    /// Whose it is.
    pub repository: &'static str,
}

/// Jobs for Linux machines with a GPU.
pub const LINUX: Kind =
    Kind { pool: "linux-gpu", labels: &["self-hosted", "Linux", "GPU"], repository: "shader-slang/slang" };
/// Jobs for Windows machines with a GPU.
pub const WINDOWS: Kind = Kind {
    pool: "windows-gpu",
    labels: &["self-hosted", "Windows", "GPU"],
    repository: "shader-slang/slang-rhi",
};
/// Jobs for Linux machines in the lab, and where that is full, in the cloud.
pub const LAB: Kind =
    Kind { pool: "linux-lab", labels: &["self-hosted", "Linux", "Lab"], repository: "shader-slang/slangpy" };
/// All kinds, in the order of their pools.
pub const KINDS: [Kind; 3] = [LINUX, WINDOWS, LAB];

/// These jobs come at once and are all for the lab, which is too small for them …
const LAB_BURST: std::ops::Range<usize> = 3..8;
/// … in a demo that has so many jobs, so that there are others beside them.
const LAB_BURST_FROM: usize = 15;

/// A job that could not be cancelled in time is replaced by another; so often it is looked for one.
const CANCEL_TRIES: u32 = 20;
const CANCEL_AGAIN: Duration = Duration::from_millis(300);

/// What is to happen.
#[derive(Debug, Clone, PartialEq)]
enum Deed {
    /// A job is queued.
    Queue { kind: Kind, lasts: Duration, announced_twice: bool },
    /// The job of this number is cancelled before it starts.
    Cancel { job: usize, tries: u32 },
}

/// A demo's script, and how far it is.
#[derive(Debug)]
pub struct Scenario {
    deeds: VecDeque<(Duration, Deed)>,
    jobs: Vec<JobId>,
    cancelled: BTreeSet<JobId>,
    announced_twice: usize,
}

impl Scenario {
    /// The script for that many jobs: bursts, with pauses between them.
    pub fn plan(seed: u64, jobs: usize) -> Self {
        let mut dice = Dice(seed);
        let mut deeds = Vec::new();
        let (mut at, mut burst) = (200, 0);
        // Every eighth is cancelled, every fifth announced twice; which ones, the dice say.
        let cancelled: BTreeSet<usize> =
            (0..jobs / 8).map(|group| group * 8 + dice.below(8) as usize).collect();
        let twice: BTreeSet<usize> = (0..jobs / 5).map(|group| group * 5 + dice.below(5) as usize).collect();
        for job in 0..jobs {
            if burst == 0 {
                burst = dice.between(3, 7);
                at += if job == 0 { 0 } else { dice.between(500, 2_200) };
            }
            burst -= 1;
            at += dice.between(0, 120);
            let kind = match dice.below(8) {
                // The burst, and the last: by then there is room in the lab again.
                _ if jobs >= LAB_BURST_FROM && (LAB_BURST.contains(&job) || job + 1 == jobs) => LAB,
                0..=3 => LINUX,
                4..=6 => WINDOWS,
                _ => LAB,
            };
            let lasts = Duration::from_millis(dice.between(600, 2_400));
            let queue = Deed::Queue { kind, lasts, announced_twice: twice.contains(&job) };
            deeds.push((Duration::from_millis(at), queue));
            if cancelled.contains(&job) {
                let soon = Duration::from_millis(at + dice.between(300, 900));
                deeds.push((soon, Deed::Cancel { job, tries: CANCEL_TRIES }));
            }
        }
        // Stable: what is due at the same time keeps its order.
        deeds.sort_by_key(|(at, _)| *at);
        Self { deeds: deeds.into(), jobs: Vec::new(), cancelled: BTreeSet::new(), announced_twice: 0 }
    }

    /// Lets everything happen that is due.
    pub fn play(&mut self, world: &mut World, now: Timestamp, elapsed: Duration) {
        while self.deeds.front().is_some_and(|(at, _)| *at <= elapsed) {
            let Some((_, deed)) = self.deeds.pop_front() else { return };
            match deed {
                Deed::Queue { kind, lasts, announced_twice } => {
                    if announced_twice {
                        world.faults.deliveries.duplicated = Chance::next(1);
                        self.announced_twice += 1;
                    }
                    let spec = JobSpec::new(kind.repository, kind.labels).lasting(lasts);
                    self.jobs.push(world.queue_job(now, spec));
                }
                Deed::Cancel { job, tries } => self.cancel(world, now, elapsed, job, tries),
            }
        }
    }

    fn cancel(&mut self, world: &mut World, now: Timestamp, elapsed: Duration, job: usize, tries: u32) {
        let queued = |id: &JobId| matches!(world.job_state(*id), Some(JobState::Queued));
        let planned = self.jobs.get(job).filter(|id| queued(id));
        match planned.or_else(|| self.jobs.iter().rev().find(|id| queued(id))).copied() {
            Some(id) => {
                world.cancel_job(now, id);
                self.cancelled.insert(id);
            }
            None if tries > 0 => {
                let again = (elapsed + CANCEL_AGAIN, Deed::Cancel { job, tries: tries - 1 });
                let place = self.deeds.partition_point(|(at, _)| *at <= again.0);
                self.deeds.insert(place, again);
            }
            None => {}
        }
    }

    /// Whether everything has happened.
    pub fn is_over(&self) -> bool {
        self.deeds.is_empty()
    }

    /// The jobs so far, in the order in which they were queued.
    pub fn jobs(&self) -> &[JobId] {
        &self.jobs
    }

    /// Those that were cancelled before they started.
    pub fn cancelled(&self) -> &BTreeSet<JobId> {
        &self.cancelled
    }

    /// How many were announced twice.
    pub fn announced_twice(&self) -> usize {
        self.announced_twice
    }
}

/// Steele, Lea and Flood's SplitMix64: the same numbers from the same seed, everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// 0 … `end` − 1
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// `least` … `most`
    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_tells_one_story_and_another_seed_another() {
        let plan = |seed| Scenario::plan(seed, 30).deeds;
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn every_story_has_what_a_demo_shows() {
        for seed in 0..200 {
            let plan = Scenario::plan(seed, 30).deeds;
            let queued = |wanted: Kind| {
                plan.iter()
                    .filter(|(_, deed)| matches!(deed, Deed::Queue { kind, .. } if *kind == wanted))
                    .count()
            };
            assert_eq!(queued(LINUX) + queued(WINDOWS) + queued(LAB), 30);
            assert!(queued(LINUX) > 4 && queued(WINDOWS) > 2 && queued(LAB) > 5, "seed {seed}");
            let twice = plan
                .iter()
                .filter(|(_, deed)| matches!(deed, Deed::Queue { announced_twice: true, .. }))
                .count();
            let cancelled = plan.iter().filter(|(_, deed)| matches!(deed, Deed::Cancel { .. })).count();
            assert_eq!((twice, cancelled), (6, 3), "seed {seed}");
            let (last, _) = plan.back().unwrap();
            assert!(*last < Duration::from_secs(20), "seed {seed} ends at {last:?}");
        }
    }
}
