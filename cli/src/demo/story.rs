//! What happens, in words: the world's own history and Mayfly's decisions, one line each, in order of time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{Deployment, RunnerName};
use simulator::{Happening, HappeningKind, JobId};
use tracing::Level;

use super::decisions::Decision;
use super::stage::LAB_PROVIDER;

/// So many lines are kept for the live view.
const KEPT: usize = 200;

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// It happened.
    Fact,
    /// It is what everybody waited for.
    Good,
    /// It is unusual, and provided for.
    Odd,
    /// Mayfly decided it.
    Decision,
    /// It should not happen.
    Bad,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Since the beginning.
    pub at: Duration,
    /// How it is meant.
    pub tone: Tone,
    /// What kind of thing, in a word.
    pub label: &'static str,
    /// What.
    pub text: String,
}

/// What happened so far.
#[derive(Debug)]
pub struct Story {
    began: Timestamp,
    deployment: Deployment,
    numbers: BTreeMap<JobId, usize>,
    /// Whom each runner is meant for; nobody, where it is spare.
    meant_for: BTreeMap<String, Option<String>>,
    tail: VecDeque<Line>,
    seen: usize,
    /// Jobs that ran on a runner that was meant for another.
    pub crossed: usize,
    /// Repeated deliveries that were recognised.
    pub repeated: usize,
    /// Zones and placements that were passed over, and how often.
    pub passed_over: BTreeMap<String, usize>,
    /// Whether a stranger has made a VM.
    pub has_stranger: bool,
    /// VMs in the lab that are left half made, for a sweep to take them further.
    left: BTreeSet<String>,
}

impl Story {
    /// Nothing has happened yet.
    pub fn begin(began: Timestamp, deployment: Deployment) -> Self {
        Self {
            began,
            deployment,
            numbers: BTreeMap::new(),
            meant_for: BTreeMap::new(),
            tail: VecDeque::new(),
            seen: 0,
            crossed: 0,
            repeated: 0,
            passed_over: BTreeMap::new(),
            has_stranger: false,
            left: BTreeSet::new(),
        }
    }

    /// How much of the world's history is known already.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The last lines, oldest first.
    pub fn tail(&self) -> &VecDeque<Line> {
        &self.tail
    }

    /// A job's number in the demo: `#1` was queued first.
    pub fn number(&self, job: JobId) -> String {
        self.numbers.get(&job).map_or_else(|| job.to_string(), |number| format!("#{number}"))
    }

    /// Takes what is new: the jobs so far, the part of the history not [`seen`](Self::seen), the decisions since. The
    /// new lines.
    pub fn hear(&mut self, jobs: &[JobId], history: &[Happening], decisions: &[Decision]) -> Vec<Line> {
        self.seen += history.len();
        for (place, job) in jobs.iter().enumerate().skip(self.numbers.len()) {
            self.numbers.insert(*job, place + 1);
        }
        enum New<'a> {
            Happened(&'a Happening),
            Decided(&'a Decision),
        }
        let happened = history.iter().map(|happening| (happening.time, New::Happened(happening)));
        let decided = decisions.iter().map(|decision| (decision.at, New::Decided(decision)));
        let mut new: Vec<_> = happened.chain(decided).collect();
        new.sort_by_key(|(at, _)| *at);
        let mut lines = Vec::new();
        for (at, new) in new {
            let told = match new {
                New::Happened(happening) => self.happened(happening),
                New::Decided(decision) => self.decided(decision),
            };
            if let Some((tone, label, text)) = told {
                let at = Duration::try_from(at.duration_since(self.began)).unwrap_or_default();
                lines.push(Line { at, tone, label, text: self.plainly(&text) });
            }
        }
        self.tail.extend(lines.iter().cloned());
        self.tail.drain(..self.tail.len().saturating_sub(KEPT));
        lines
    }

    fn happened(&mut self, happening: &Happening) -> Option<(Tone, &'static str, String)> {
        let text = happening.text.clone();
        let told = |tone, label| Some((tone, label, text.clone()));
        match happening.kind {
            HappeningKind::JobQueued => told(Tone::Fact, "queued"),
            HappeningKind::JobWaiting => told(Tone::Fact, "waiting"),
            HappeningKind::JobApproved => told(Tone::Fact, "approved"),
            HappeningKind::JobStarted => Some(self.started(&text)),
            HappeningKind::JobEnded => told(Tone::Good, "ended"),
            HappeningKind::JobCancelled => told(Tone::Odd, "cancelled"),
            HappeningKind::RunnerOnline => told(Tone::Good, "online"),
            HappeningKind::RunnerOffline => told(Tone::Odd, "offline"),
            HappeningKind::VmAsked => told(Tone::Fact, "vm asked"),
            HappeningKind::VmRefused => told(Tone::Odd, "vm refused"),
            HappeningKind::VmRunning if text.contains("made by hand") => {
                self.has_stranger = true;
                told(Tone::Odd, "stranger")
            }
            HappeningKind::VmRunning => told(Tone::Fact, "vm boots"),
            HappeningKind::VmStopped => told(Tone::Fact, "vm off"),
            HappeningKind::VmDeleting => told(Tone::Fact, "vm goes"),
            HappeningKind::VmGone => told(Tone::Fact, "vm gone"),
            HappeningKind::DeliveryLost => told(Tone::Odd, "lost"),
            HappeningKind::FaultStruck => told(Tone::Odd, "fault"),
            HappeningKind::Violated => told(Tone::Bad, "VIOLATED"),
            // Each comes with another line that says more.
            HappeningKind::RunnerRegistered | HappeningKind::RunnerGone | HappeningKind::DeliverySent => None,
        }
    }

    /// `job 1 runs on NAME`
    fn started(&mut self, text: &str) -> (Tone, &'static str, String) {
        let words: Vec<&str> = text.split(' ').collect();
        let (Some(job), Some(runner)) = (words.get(1), words.last()) else {
            return (Tone::Good, "running", text.to_owned());
        };
        match self.meant_for.insert((*runner).to_owned(), Some((*job).to_owned())) {
            Some(Some(meant)) if meant != **job => {
                self.crossed += 1;
                let text =
                    format!("{text}, which was meant for job {meant}: GitHub takes any runner that fits");
                (Tone::Odd, "crossed", text)
            }
            Some(None) => (Tone::Good, "running", format!("{text}, which was spare")),
            Some(Some(_)) | None => (Tone::Good, "running", text.to_owned()),
        }
    }

    fn decided(&mut self, decision: &Decision) -> Option<(Tone, &'static str, String)> {
        let [job, runner, why, zone] = ["job", "runner", "why", "zone"].map(|name| decision.field(name));
        if !job.is_empty() && !runner.is_empty() && decision.message.contains("gets") {
            self.meant_for.insert(runner.to_owned(), Some(job.to_owned()));
        }
        let text = match decision.message.as_str() {
            "job gets a slot" => format!("job {job} gets {runner}: a slot is free"),
            "job gets a spare runner" => format!("job {job} gets {runner}: it was spare"),
            "waiting job gets a slot" => format!("job {job} has waited and gets {runner}"),
            "waiting job gets a spare runner" => {
                format!("job {job} has waited and gets {runner}: it was spare")
            }
            "job waits" => format!("job {job} of {} waits: {why}", decision.field("pool")),
            "job is known already" => {
                self.repeated += 1;
                format!(
                    "job {job} was announced again: it is {} already, nothing to do",
                    decision.field("state")
                )
            }
            "crossed jobs: gets the other's runner" => {
                format!("job {job} gets {runner} instead: its own runner took another job")
            }
            "job waits again" => format!("job {job} waits again: {why}"),
            "runner is spare: its job needs it no more" => {
                self.meant_for.insert(runner.to_owned(), None);
                format!("{runner} is spare: job {job} needs it no more")
            }
            "zone passed over" | "zone passed over: no free quota" => {
                *self.passed_over.entry(zone.to_owned()).or_default() += 1;
                return Some((Tone::Odd, "passed over", format!("{zone} for {runner}: {why}")));
            }
            "placement passed over" => return Some(self.overflowed(decision)),
            "not cloned here" => {
                let [vmid, node, error] = ["vmid", "node", "error"].map(|name| decision.field(name));
                return Some((Tone::Odd, "not cloned", format!("{runner} as {vmid} on {node}: {error}")));
            }
            "VM made" => return self.made(decision),
            "sweep" => {
                let [action, what, outcome] = ["action", "what", "outcome"].map(|name| decision.field(name));
                return Some((Tone::Decision, "sweep", format!("{action} {what}, since {why}: {outcome}")));
            }
            // The world's history tells these.
            "VM is being deleted" | "VM is gone already" | "swept" => return None,
            other if other.starts_with("job started on") || other.starts_with("job ended on") => return None,
            other => {
                if other == "left for the sweep" {
                    self.left.insert(runner.to_owned());
                }
                return Some(other_line(decision, other));
            }
        };
        Some((Tone::Decision, "decided", text))
    }

    /// A placement had no room: the next one is asked.
    fn overflowed(&mut self, decision: &Decision) -> (Tone, &'static str, String) {
        let [placement, runner, why] = ["placement", "runner", "why"].map(|name| decision.field(name));
        *self.passed_over.entry(placement.to_owned()).or_default() += 1;
        // The only pool with two placements has the lab first.
        let next = if placement == LAB_PROVIDER { " → GCP" } else { "" };
        (Tone::Odd, "passed over", format!("{placement} for {runner}: {why}{next}"))
    }

    /// The world's history tells of VMs; only in the lab there is more to making one.
    fn made(&self, decision: &Decision) -> Option<(Tone, &'static str, String)> {
        let [place, runner] = ["place", "runner"].map(|name| decision.field(name));
        let node = place.strip_prefix(LAB_PROVIDER)?.strip_prefix('/')?;
        let is_whole = !self.left.contains(runner);
        let text = format!("{runner} on {node}: the guest agent answers, and has the runner's JIT config");
        is_whole.then_some((Tone::Decision, "handed over", text))
    }

    /// Long names made short: jobs by their number, runners without deployment and most of their nonce.
    pub fn plainly(&self, text: &str) -> String {
        let is_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '-';
        let mut plain = String::new();
        let mut rest = text;
        while let Some(start) = rest.find(is_name) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|sign| !is_name(sign)).unwrap_or(from.len());
            let (name, after) = from.split_at(end);
            plain += before;
            plain += &self.short(name);
            rest = after;
        }
        plain + rest
    }

    fn short(&self, name: &str) -> String {
        if let Some(number) = name.parse().ok().and_then(|id| self.numbers.get(&JobId(id))) {
            return format!("#{number}");
        }
        let Some(runner) = RunnerName::parse(&self.deployment, name) else { return name.to_owned() };
        let nonce = name.rsplit('-').next().unwrap_or_default();
        let nonce: String = nonce.chars().take(3).collect();
        format!("{}-{:02}-{nonce}", runner.pool(), runner.slot().0)
    }
}

/// A log line that has no words of its own here.
fn other_line(decision: &Decision, message: &str) -> (Tone, &'static str, String) {
    let (tone, label) = match decision.level {
        Level::ERROR => (Tone::Bad, "error"),
        Level::WARN => (Tone::Odd, "warning"),
        _ => (Tone::Decision, "decided"),
    };
    let told: BTreeSet<&str> = ["job", "runner", "zone", "placement", "place", "step", "why", "error"].into();
    let fields = decision.fields.iter().filter(|(name, _)| told.contains(*name));
    let fields: Vec<String> = fields.map(|(name, value)| format!("{name} {value}")).collect();
    (
        tone,
        label,
        if fields.is_empty() { message.to_owned() } else { format!("{message} ({})", fields.join(", ")) },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNER: &str = "demo-linux-gpu-0003-abcdefghijkm";

    fn story() -> Story {
        Story::begin(Timestamp::UNIX_EPOCH, Deployment::new("demo").unwrap())
    }

    fn at(kind: HappeningKind, text: &str) -> Happening {
        Happening { time: Timestamp::UNIX_EPOCH, kind, text: text.to_owned() }
    }

    fn decision(message: &str, fields: &[(&'static str, &str)]) -> Decision {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Decision { at: Timestamp::UNIX_EPOCH, level: Level::INFO, message: message.to_owned(), fields }
    }

    fn told(lines: &[Line]) -> Vec<(&'static str, &str)> {
        lines.iter().map(|line| (line.label, line.text.as_str())).collect()
    }

    #[test]
    fn names_are_short_and_jobs_have_numbers() {
        let mut story = story();
        story.hear(&[JobId(30_000_000_001)], &[], &[]);
        assert_eq!(
            story.plainly(&format!("job 30000000001 runs on {RUNNER} in us-east1-c.")),
            "job #1 runs on linux-gpu-03-abc in us-east1-c."
        );
    }

    #[test]
    fn a_job_on_anothers_runner_is_crossed() {
        let jobs = [JobId(11), JobId(12)];
        let mut story = story();
        let gets = decision("job gets a slot", &[("job", "11"), ("runner", RUNNER)]);
        story.hear(&jobs, &[], &[gets]);
        let started = at(HappeningKind::JobStarted, &format!("job 12 runs on {RUNNER}"));
        let lines = story.hear(&jobs, &[started], &[]);
        let text =
            "job #2 runs on linux-gpu-03-abc, which was meant for job #1: GitHub takes any runner that fits";
        assert_eq!(told(&lines), [("crossed", text)]);
        assert_eq!(story.crossed, 1);
    }

    #[test]
    fn a_full_lab_passes_the_job_on() {
        let mut story = story();
        let over = decision(
            "placement passed over",
            &[("placement", "lab"), ("runner", "demo-linux-lab-0003-abcdefghijkm"), ("why", "no room: pve1")],
        );
        let lines = story.hear(&[], &[], &[over]);
        assert_eq!(told(&lines), [("passed over", "lab for linux-lab-03-abc: no room: pve1 → GCP")]);
        assert_eq!(story.passed_over, [("lab".to_owned(), 1)].into());
    }

    #[test]
    fn a_vm_in_the_lab_is_handed_over_unless_it_is_left_for_a_sweep() {
        let runner = "demo-linux-lab-0003-abcdefghijkm";
        let made = decision("VM made", &[("place", "lab/pve1/9007"), ("runner", runner)]);
        let left = decision("left for the sweep", &[("step", "cloning"), ("runner", runner)]);
        let text = "linux-lab-03-abc on pve1/9007: the guest agent answers, and has the runner's JIT config";
        assert_eq!(told(&story().hear(&[], &[], std::slice::from_ref(&made))), [("handed over", text)]);
        let lines = story().hear(&[], &[], &[left, made]);
        assert_eq!(told(&lines), [("decided", "left for the sweep (runner linux-lab-03-abc, step cloning)")]);
        let elsewhere = decision("VM made", &[("place", "gcp/us-east1-c"), ("runner", RUNNER)]);
        assert_eq!(told(&story().hear(&[], &[], &[elsewhere])), []);
    }

    #[test]
    fn a_log_line_without_words_of_its_own_is_told_all_the_same() {
        let lines =
            story().hear(&[], &[], &[decision("something new", &[("why", "because"), ("took_ms", "3")])]);
        assert_eq!(told(&lines), [("decided", "something new (why because)")]);
    }
}
