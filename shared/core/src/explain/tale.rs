//! What a job's steps come to: how long they took, how it stands now, and what is not known.

use jiff::Timestamp;

use super::words::stands;
use super::{Evidence, GitHubSaid, SlotSeen, Span, between};
use crate::age::{Age, clock};
use crate::event::Change;
use crate::ids::RunnerName;
use crate::job::JobState;
use crate::slot::Purpose;
use crate::telling::Step;

/// What is made of the evidence.
pub(super) struct Tale<'a> {
    pub evidence: &'a Evidence<'a>,
    /// Its steps, in order of time; whether no delivery told of each.
    pub told: &'a [(Timestamp, Step, bool)],
    /// Who ran it, or is to.
    pub runner: Option<&'a str>,
}

impl Tale<'_> {
    fn first(&self, is: impl Fn(&Step) -> bool) -> Option<Timestamp> {
        self.told.iter().find(|(_, step, _)| is(step)).map(|(at, _, _)| *at)
    }

    fn last(&self, is: impl Fn(&Step) -> bool) -> Option<Timestamp> {
        self.told.iter().rev().find(|(_, step, _)| is(step)).map(|(at, _, _)| *at)
    }

    /// When this job's runner came how far: registered, made, online.
    fn way(&self) -> [Option<Timestamp>; 3] {
        let of = |name: &str| Some(name) == self.runner;
        [
            self.last(|step| matches!(step, Step::Registered { runner } if of(runner))),
            self.last(|step| matches!(step, Step::Made { runner, .. } if of(runner))),
            self.last(|step| matches!(step, Step::Online { runner } if of(runner))),
        ]
    }

    fn started(&self) -> Option<Timestamp> {
        self.first(|step| matches!(step, Step::Started { .. }))
    }

    fn ended(&self) -> Option<Timestamp> {
        self.first(|step| matches!(step, Step::Ended { .. }))
    }

    pub fn durations(&self) -> Vec<Span> {
        let queued = self.evidence.job.queued_at;
        let heard = self.told.first().map(|(at, _, _)| *at);
        let [registered, made, online] = self.way();
        let (started, ended) = (self.started(), self.ended());
        let assigned = self.last(|step| step.assigned().is_some() && step.assigned() == self.runner);
        let in_steps = self.told.iter().any(|(_, step, _)| {
            matches!(step, Step::Made { runner, place } if Some(runner.as_str()) == self.runner && place.matches('/').count() > 1)
        });
        let (to_register, to_make) = if in_steps {
            (
                "until its VM was cloned, started, and its runner registered",
                "until its guest had the JIT config",
            )
        } else {
            ("until its runner was registered", "until the create of its VM was accepted")
        };
        let span = |what, from: Option<Timestamp>, to: Option<Timestamp>| {
            let ms = between(from?, to?);
            (ms >= 0).then_some(Span { what, ms })
        };
        let waited = self.waited();
        // A runner that stood ready before has not made this job wait.
        let ready = online.or(made).map(|ready| ready.max(assigned.unwrap_or(queued)));
        [
            span("until it was heard of", Some(queued), heard),
            (waited > 0).then_some(Span { what: "in the queue", ms: waited }),
            span(to_register, assigned, registered),
            span(to_make, registered, made),
            span("until its runner was seen online", made, online),
            span("until its runner took it", ready, started),
            span("in all, until it started", Some(queued), started),
            span("until its end was heard of", started, ended),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// How long it stood in the queue.
    fn waited(&self) -> i64 {
        let (mut since, mut sum) = (None, 0);
        for (at, step, _) in self.told {
            if matches!(step, Step::Queued { .. } | Step::Waits { .. }) {
                since = since.or(Some(*at));
            } else if step.assigned().is_some() || matches!(step, Step::Started { .. } | Step::Ended { .. }) {
                sum += since.take().map_or(0, |since| between(since, *at));
            }
        }
        let waits = self.evidence.job.state == JobState::Waiting;
        sum + since.filter(|_| waits).map_or(0, |since| between(since, self.evidence.now))
    }

    pub fn now(&self) -> Vec<String> {
        let Evidence { job, slot, queue, now, .. } = self.evidence;
        let mut says = Vec::new();
        match &job.state {
            JobState::Held => says.push("it needs no runner now: it waits for an approval".to_owned()),
            JobState::Waiting => match queue {
                Some((place, waiting)) => {
                    let age = Age::between(job.queued_at, *now);
                    says.push(format!("it waits for {age}, as number {place} in its pool's queue: {}", waiting.why));
                    if let Some(asked) = waiting.asked_at {
                        let ago = Age::between(asked, *now);
                        says.push(format!("a sweep asked GitHub {ago} ago whether it still waits"));
                    }
                }
                None => says.push(
                    "it waits, and has no entry in its pool's queue: it is being given a slot, or a sweep puts it back"
                        .to_owned(),
                ),
            },
            JobState::Assigned { .. } => says.push(self.assigned(slot)),
            JobState::Running { .. } | JobState::Done => says.extend(self.after_start(slot)),
        }
        says
    }

    /// A job that counts on a runner which has not taken it yet.
    fn assigned(&self, slot: &SlotSeen) -> String {
        match slot {
            SlotSeen::Taken(slot) if slot.purpose == Purpose::Job(self.evidence.job.id) => {
                stands(slot, self.evidence.now)
            }
            SlotSeen::Taken(slot) if slot.displaced == Some(self.evidence.job.id) => {
                format!("{} took another job: this one gets another runner, or waits again", slot.runner)
            }
            SlotSeen::Taken(_) | SlotSeen::Free | SlotSeen::None => {
                "its record names a slot that is not for it any more: a sweep puts it back into the queue"
                    .to_owned()
            }
            SlotSeen::Unknown(why) => format!("how its runner stands could not be read: {why}"),
        }
    }

    /// What became of the runner that took it.
    fn after_start(&self, slot: &SlotSeen) -> Option<String> {
        let is_over = self.evidence.job.state == JobState::Done;
        let name = self.runner?;
        if RunnerName::parse(self.evidence.deployment, name).is_none() {
            return Some(format!("{name} is no runner of this deployment: nothing is known of it"));
        }
        Some(match slot {
            SlotSeen::Taken(slot) if slot.runner.as_str() == name => stands(slot, self.evidence.now),
            SlotSeen::Taken(slot) => format!(
                "the VM of {name} is gone: its slot was given to {} at {}",
                slot.runner,
                clock(slot.reserved_at)
            ),
            SlotSeen::Free if is_over => format!("the VM of {name} is gone: its slot is free"),
            SlotSeen::Free | SlotSeen::None => {
                format!("{name} has no slot any more; the end of the job was not told yet")
            }
            SlotSeen::Unknown(why) => format!("whether the VM of {name} is gone could not be read: {why}"),
        })
    }

    pub fn github(&self) -> String {
        let said = match &self.evidence.github {
            GitHubSaid::Said(said) => said,
            GitHubSaid::Nothing(why) => return format!("not asked, or without an answer: {why}"),
        };
        let at = |at: Option<Timestamp>| at.map(|at| format!(" at {}", clock(at))).unwrap_or_default();
        let on =
            |runner: &Option<String>| runner.as_ref().map(|name| format!(" on {name}")).unwrap_or_default();
        let (text, behind) = match &said.change {
            Change::Queued => (
                "it is queued".to_owned(),
                matches!(self.evidence.job.state, JobState::Done | JobState::Running { .. }),
            ),
            Change::Held => ("it waits for an approval, or behind another".to_owned(), false),
            Change::Started { runner } => (
                format!("it runs{}, since{}", on(runner), at(said.started_at).trim_start_matches(" at")),
                !matches!(self.evidence.job.state, JobState::Running { .. }),
            ),
            Change::Ended { runner, conclusion } => {
                let conclusion = conclusion.as_deref().unwrap_or("no conclusion");
                let began =
                    runner.as_ref().map(|_| format!(", begun{}", at(said.started_at))).unwrap_or_default();
                (
                    format!("it is over{}: {conclusion}{began}, ended{}", on(runner), at(said.completed_at)),
                    self.evidence.job.state != JobState::Done,
                )
            }
        };
        let behind = if behind {
            ". The table has it otherwise: the event that tells is late or lost, and a sweep makes that good"
        } else {
            ""
        };
        format!("{text}{behind}")
    }

    pub fn unknown(&self) -> Vec<String> {
        let mut unknown = Vec::new();
        let [registered, made, _] = self.way();
        let ran = self.told.iter().any(|(_, step, _)| step.ran().is_some() && step.ran() == self.runner);
        let ours =
            self.runner.is_some_and(|name| RunnerName::parse(self.evidence.deployment, name).is_some());
        let name = self.runner.unwrap_or_default();
        if ran && ours && registered.is_none() {
            unknown.push(format!("when {name} was registered at GitHub"));
        }
        if ran && ours && made.is_none() {
            unknown.push(format!("where the VM of {name} was, and when it was made"));
        }
        if ran && ours && self.started().is_none() {
            unknown.push("when it started: its start was never told".to_owned());
        }
        if ran && self.evidence.job.state == JobState::Done && ours && !self.is_still_there(name) {
            unknown.push(format!("when exactly the VM of {name} was gone"));
        }
        if self.told.is_empty() {
            unknown.push("what happened to it: its timeline is empty".to_owned());
        }
        unknown
    }

    fn is_still_there(&self, name: &str) -> bool {
        matches!(&self.evidence.slot, SlotSeen::Taken(slot) if slot.runner.as_str() == name)
    }
}
