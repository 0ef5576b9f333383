//! Notices: what is said of a job that waits for long where its author looks, on its commit. At GitHub that is a check run.
//!
//! Whoever sees the commit reads it, and that may be everybody. So a notice holds what the configuration and the ledger
//! say (pool, zones, moments), and never a provider's own words, which may name accounts, networks and limits.

use std::time::Duration;

use jiff::Timestamp;

use crate::age::{Age, clock};
use crate::gate::{Closed, PoolState};
use crate::ids::{CheckRunId, Commit, InstallationId, JobId, Repository};
use crate::job::{Job, JobState, Waiting};
use crate::policy::{Placement, PlacementKind, Pool, Timing};
use crate::telling::{NOT_SERVED, Step};

/// A notice as the ledger remembers it, from before GitHub is asked for it until it is concluded. It has an item of its own,
/// so that it outlives the job's place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The job that waits.
    pub job: JobId,
    /// Whose it is.
    pub repository: Repository,
    /// The installation whose token speaks, where a delivery named one.
    pub installation: Option<InstallationId>,
    /// When the job was queued.
    pub queued_at: Timestamp,
    /// The commit it is for.
    pub commit: Commit,
    /// The check run's name: see [`check_name`].
    pub name: String,
    /// Whether GitHub has it.
    pub standing: Standing,
    /// Why the job waits, as it was said.
    pub cause: Cause,
    /// When it was said.
    pub said_at: Timestamp,
}

/// Whether GitHub has a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// GitHub was asked for it, or is about to be, and was not heard to have it: perhaps it has.
    Asked,
    /// It has.
    Made(CheckRunId),
    /// It does not want it; it is not asked again for this job.
    Refused,
}

/// The kinds of reasons why a job waits. A notice is only brought up to date when the kind changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its pool is configured no more.
    Removed,
    /// Its pool is drained.
    Drained,
    /// GitHub asks to be left alone.
    GitHub,
    /// Creates failed in a row.
    CreatesFail,
    /// Boots failed in a row.
    BootsFail,
    /// Every place was full a while ago.
    CoolingDown,
    /// After failures one VM is made at a time.
    OneAtATime,
    /// No placement has room.
    NoRoom,
    /// All runners are taken.
    Full,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Removed,
        Self::Drained,
        Self::GitHub,
        Self::CreatesFail,
        Self::BootsFail,
        Self::CoolingDown,
        Self::OneAtATime,
        Self::NoRoom,
        Self::Full,
    ];

    /// That of a pool that starts no VMs.
    pub fn of(closed: &Closed) -> Self {
        match closed {
            Closed::Removed => Self::Removed,
            Closed::Draining => Self::Drained,
            Closed::GitHub(_) => Self::GitHub,
            Closed::Creates(..) => Self::CreatesFail,
            Closed::Boots(..) => Self::BootsFail,
            Closed::Full(_) => Self::CoolingDown,
        }
    }

    /// The name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Drained => "drained",
            Self::GitHub => "github",
            Self::CreatesFail => "creates",
            Self::BootsFail => "boots",
            Self::CoolingDown => "cooling",
            Self::OneAtATime => "one",
            Self::NoRoom => "room",
            Self::Full => "full",
        }
    }

    /// Reads the name back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }
}

/// What a notice says (`output` of a check run).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// In one line.
    pub title: String,
    /// The rest, in Markdown.
    pub summary: String,
}

/// A job's name may be anything; so much of it is enough to know it by.
const NAME_LONGEST: usize = 100;
const TITLE_LONGEST: usize = 240;

/// What a job's check run is called: the same whenever it is asked for, and like no other job's. Of check runs with the same
/// name GitHub shows the newest (its changelog of 2020-09-14), so one that had to be asked for twice, since the first answer
/// was lost, is seen once.
pub fn check_name(job: JobId, name: &str) -> String {
    let name: String = name.chars().filter(|sign| !sign.is_control()).take(NAME_LONGEST).collect();
    let of = if name.is_empty() { String::new() } else { format!("{name}, ") };
    format!("Mayfly: waiting for a runner ({of}job {job})")
}

/// A waiting job, and how its pool stands.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Its pool.
    pub pool: &'a Pool,
    /// What is known of that.
    pub state: &'a PoolState,
    /// The waits.
    pub timing: &'a Timing,
    /// The job.
    pub waiting: &'a Waiting,
    /// Why it waits.
    pub cause: Cause,
    /// When the next VM is tried, where that is known.
    pub until: Option<Timestamp>,
    /// Its place among those that wait, from 1,
    pub place: usize,
    /// which are so many.
    pub queue: usize,
    /// Now.
    pub now: Timestamp,
}

impl Situation<'_> {
    /// What is said of it. Nothing in the title becomes wrong while the cause stays: there is no other word until then.
    pub fn words(&self) -> Words {
        let title =
            format!("{}{}", self.what(), self.next_try().map(|it| format!(", {it}")).unwrap_or_default());
        Words { title: title.chars().take(TITLE_LONGEST).collect(), summary: self.summary() }
    }

    fn what(&self) -> String {
        let Pool { name, max_runners, .. } = self.pool;
        match self.cause {
            Cause::Removed => format!("waiting: the pool {name} is configured no more"),
            Cause::Drained => format!("waiting: the pool {name} takes no jobs, somebody is working on it"),
            Cause::GitHub => {
                "waiting: GitHub's rate limit keeps new runners from being registered".to_owned()
            }
            Cause::CreatesFail => "waiting for capacity: no VM could be made".to_owned(),
            Cause::BootsFail => "waiting for capacity: VMs are made, and do not come up".to_owned(),
            Cause::CoolingDown => {
                let full: Vec<String> = self.pool.placements.iter().map(full).collect();
                format!("waiting for capacity: {}", full.join(", "))
            }
            Cause::OneAtATime => {
                "waiting for capacity: after failures VMs are made one at a time until one succeeds"
                    .to_owned()
            }
            Cause::NoRoom => "waiting for capacity: no host has room for another VM".to_owned(),
            Cause::Full => {
                format!(
                    "waiting for capacity: all runners of the pool {name} are taken (at most {max_runners})"
                )
            }
        }
    }

    fn next_try(&self) -> Option<String> {
        let at = clock(self.until?);
        let every = Age(self.timing.cooldown);
        Some(match self.cause {
            Cause::CoolingDown => format!("next try at {at}, then every {every}"),
            Cause::CreatesFail => format!("next try at {at}, then at most {every} apart"),
            Cause::BootsFail => format!("next try at {at}, then with growing pauses"),
            Cause::GitHub => format!("until {at}"),
            Cause::Removed | Cause::Drained | Cause::OneAtATime | Cause::NoRoom | Cause::Full => return None,
        })
    }

    fn summary(&self) -> String {
        let moment = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        let mut rows = vec![
            ("waits since", moment(self.waiting.queued_at)),
            ("why", self.what()),
            ("next try", self.next_try().unwrap_or_else(|| "as soon as that changes".to_owned())),
            ("place in the queue", format!("{} of {}", self.place, self.queue)),
        ];
        rows.extend(self.pool.placements.iter().map(|placement| ("placement", self.placement(placement))));
        let rows: String = rows.iter().map(|(what, says)| format!("| {what} | {says} |\n")).collect();
        format!(
            "This job waits for a self-hosted runner of the pool `{}`.\n\n| | |\n| --- | --- |\n{rows}\n\
             So it was at {}. This is brought up to date when the reason changes, and concluded when the job starts.",
            self.pool.name,
            moment(self.now)
        )
    }

    /// What a placement said when it was last asked.
    fn placement(&self, placement: &Placement) -> String {
        let key = |place: &String| format!("{}/{place}", placement.provider);
        let cooling = |place: &String| {
            let until = self.state.cooling.get(&key(place)).filter(|until| **until > self.now)?;
            Some(format!("{place} was full, and is asked again after {}", clock(*until)))
        };
        let places = placement.places();
        let said: Vec<String> = places.iter().filter_map(cooling).collect();
        let said = if said.is_empty() { "has not said that it is full".to_owned() } else { said.join("; ") };
        format!("`{}`: {said}", placement.provider)
    }
}

/// A placement that is full.
fn full(placement: &Placement) -> String {
    match &placement.kind {
        PlacementKind::Gcp(gcp) => {
            let what = gcp.gpu_type.as_deref().unwrap_or(&gcp.instance_template);
            let zones = gcp.zones.len();
            format!("{what} out of stock or quota in {zones} zone{}", if zones == 1 { "" } else { "s" })
        }
        PlacementKind::Proxmox(_) => format!("no room at {}", placement.provider),
    }
}

/// What became of a job that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A runner took it.
    Started {
        /// When, where that is known.
        at: Option<Timestamp>,
        /// Which, where that is known.
        runner: Option<String>,
    },
    /// It is over, and no runner had it.
    Ended {
        /// GitHub's conclusion.
        conclusion: String,
    },
    /// Its pool turned it away: it waits on, and gets no runner from here.
    NotServed,
    /// It waits for a person's approval, and for no runner.
    Held,
    /// Nobody knows it any more.
    Forgotten,
    /// Nothing is to be said of waiting jobs any more.
    Off,
}

impl Ending {
    /// What the job's record says; `None` for one that still wants a runner.
    pub fn of(job: &Job) -> Option<Self> {
        let steps = job.timeline.iter().rev().map(|moment| (moment.at, Step::read(&moment.what).0));
        let mut steps = steps.filter(|(_, step)| match step {
            Step::Started { .. } | Step::Ended { .. } => true,
            Step::Said(said) => said.starts_with(NOT_SERVED),
            Step::Queued { .. }
            | Step::Claimed { .. }
            | Step::Assigned { .. }
            | Step::Waits { .. }
            | Step::PassedOver { .. }
            | Step::Registered { .. }
            | Step::Made { .. }
            | Step::Online { .. }
            | Step::GivenUp { .. } => false,
        });
        match job.state {
            JobState::Waiting | JobState::Assigned { .. } => None,
            JobState::Held => Some(Self::Held),
            JobState::Running { .. } | JobState::Done => Some(match steps.next() {
                Some((at, Step::Started { runner, .. })) => Self::Started { at: Some(at), runner },
                Some((_, Step::Ended { runner: Some(runner), .. })) => {
                    let at = steps.find(|(_, step)| matches!(step, Step::Started { .. })).map(|(at, _)| at);
                    Self::Started { at, runner: Some(runner) }
                }
                Some((_, Step::Ended { runner: None, conclusion })) => Self::Ended { conclusion },
                Some((_, Step::Said(_))) => Self::NotServed,
                Some(_) | None if job.state == JobState::Done => {
                    Self::Ended { conclusion: "over".to_owned() }
                }
                Some(_) | None => Self::Started { at: None, runner: None },
            }),
        }
    }

    /// `conclusion` of the check run. None of them marks the commit as failed: the job says for itself how it went, and one
    /// that is run again is another job, whose success could not take a failure of this one back.
    pub fn conclusion(&self) -> &'static str {
        match self {
            Self::Started { .. } => "neutral",
            Self::Ended { .. } | Self::NotServed | Self::Held | Self::Forgotten | Self::Off => "skipped",
        }
    }

    /// What is said at the end.
    pub fn words(&self, queued_at: Timestamp) -> Words {
        let title = match self {
            Self::Started { at, runner } => {
                let after = at.map(|at| format!(" after {}", rounded(queued_at, at))).unwrap_or_default();
                let on = runner.as_ref().map(|runner| format!(" on {runner}")).unwrap_or_default();
                format!("started{after}{on}")
            }
            Self::Ended { conclusion } => format!("ended without a runner: {conclusion}"),
            Self::NotServed => {
                "gets no runner here: its pool does not serve it (`allow_forks`, `visibility`)".to_owned()
            }
            Self::Held => "waits for approval, and for no runner".to_owned(),
            Self::Forgotten => "not known any more".to_owned(),
            Self::Off => "Mayfly says no more of jobs that wait".to_owned(),
        };
        let summary =
            format!("The job waited since {}; {title}.", queued_at.strftime("%Y-%m-%d %H:%M:%S UTC"));
        Words { title: title.chars().take(TITLE_LONGEST).collect(), summary }
    }
}

/// How long it was between two moments, in whole seconds, or minutes where it was an hour or more.
fn rounded(from: Timestamp, to: Timestamp) -> Age {
    let Age(time) = Age::between(from, to);
    Age(Duration::from_secs(time.as_secs()))
}

#[cfg(test)]
#[path = "notice_tests.rs"]
mod tests;
