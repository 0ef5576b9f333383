//! What a job's timeline says: the words of its lines, in one place, so that what is written for people can be read back
//! to tell how long each step took.
//!
//! A line that an older Mayfly wrote, or that has no form here, is read as [`Step::Said`]: it is told as it stands.

use std::fmt;

use jiff::Timestamp;

use crate::audience::Unwanted;
use crate::brief::brief;
use crate::ids::JobId;
use crate::job::Moment;
use crate::slot::{Phase, Purpose, Slot, VmPlace};

/// One step of a job. Runners are named as text: who ran a job may be anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It was heard of, and has a slot.
    Claimed {
        /// The runner that stands, or will stand, in the slot.
        runner: String,
        /// It was there already, and nobody's.
        spare: bool,
    },
    /// It was heard of, and waits.
    Queued {
        /// Why.
        why: String,
    },
    /// It waits again.
    Waits {
        /// Why.
        why: String,
    },
    /// A job that is known has a slot.
    Assigned {
        /// The runner that stands, or will stand, in the slot.
        runner: String,
        /// It was there already, and nobody's.
        spare: bool,
        /// What became of the runner before, where there was one.
        why: Option<String>,
    },
    /// GitHub registered a runner, and gave its JIT config.
    Registered {
        /// Which.
        runner: String,
    },
    /// A runner's VM is on its way, or has all that its runner needs.
    Made {
        /// Which.
        runner: String,
        /// Where, as [`VmPlace`] is shown.
        place: String,
    },
    /// A VM that is not the first choice was made.
    PassedOver {
        /// Its runner.
        runner: String,
        /// Where.
        place: String,
        /// Each place that was tried before, and why it was passed over: `place: why`.
        over: String,
    },
    /// A sweep saw a runner stand idle.
    Online {
        /// Which.
        runner: String,
    },
    /// A runner on its way was given up.
    GivenUp {
        /// Which.
        runner: String,
        /// Where its VM was, and since when, where that is known.
        vm: Option<(String, Timestamp)>,
        /// Why.
        why: String,
    },
    /// A runner took it.
    Started {
        /// Which; none where GitHub named none.
        runner: Option<String>,
        /// Whom the runner was meant for.
        meant: Meant,
    },
    /// It is over.
    Ended {
        /// Who ran it; none where nobody did.
        runner: Option<String>,
        /// GitHub's conclusion.
        conclusion: String,
    },
    /// Anything else.
    Said(String),
}

/// Whom a runner was meant for that took a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// This very job, or it is not known.
    Own,
    /// Another job.
    Other(JobId),
    /// Nobody.
    Spare,
}

const QUEUED: &str = "queued, waits: ";
const CLAIMED: &str = "queued, assigned to ";
const WAITS: &str = "waits again: ";
const ASSIGNED: &str = "assigned to ";
const SPARE: &str = ", which was spare";
const REGISTERED: &str = " is registered at GitHub, with a JIT config";
const MADE: &str = "VM of ";
const UNDER_WAY: &str = " is under way in ";
const ONLINE: &str = " is online, a sweep saw";
const VM: &str = "VM ";
const IN: &str = " in ";
const OVER: &str = "; passed over ";
const GIVEN_UP: &str = " is given up";
const ITS_VM: &str = ", its VM in ";
const SINCE: &str = " since ";
const STARTED: &str = "started on ";
const MEANT: &str = ", which was meant for job ";
const ENDED: &str = "ended on ";
const NO_RUNNER: &str = "no runner";
/// Ends a line of which no delivery told.
const ASKED: &str = " (GitHub was asked; no delivery told)";

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spare_text = |spare: bool| if spare { SPARE } else { "" };
        match self {
            Self::Claimed { runner, spare } => write!(f, "{CLAIMED}{runner}{}", spare_text(*spare)),
            Self::Queued { why } => write!(f, "{QUEUED}{why}"),
            Self::Waits { why } => write!(f, "{WAITS}{why}"),
            Self::Assigned { runner, spare, why } => {
                write!(f, "{ASSIGNED}{runner}{}", spare_text(*spare))?;
                why.iter().try_for_each(|why| write!(f, ": {why}"))
            }
            Self::Registered { runner } => write!(f, "{runner}{REGISTERED}"),
            Self::Made { runner, place } => write!(f, "{MADE}{runner}{UNDER_WAY}{place}"),
            Self::PassedOver { runner, place, over } => write!(f, "{VM}{runner}{IN}{place}{OVER}{over}"),
            Self::Online { runner } => write!(f, "{runner}{ONLINE}"),
            Self::GivenUp { runner, vm, why } => {
                write!(f, "{runner}{GIVEN_UP}")?;
                vm.iter().try_for_each(|(place, since)| write!(f, "{ITS_VM}{place}{SINCE}{since}"))?;
                write!(f, ": {why}")
            }
            Self::Started { runner, meant } => {
                write!(f, "{STARTED}{}", runner.as_deref().unwrap_or(NO_RUNNER))?;
                match meant {
                    Meant::Own => Ok(()),
                    Meant::Other(job) => write!(f, "{MEANT}{job}"),
                    Meant::Spare => f.write_str(SPARE),
                }
            }
            Self::Ended { runner, conclusion } => {
                write!(f, "{ENDED}{}: {conclusion}", runner.as_deref().unwrap_or(NO_RUNNER))
            }
            Self::Said(text) => f.write_str(text),
        }
    }
}

impl Step {
    /// The step, as a line of a timeline.
    pub fn at(&self, at: Timestamp) -> Moment {
        Moment::new(at, self.to_string())
    }

    /// Reads a line's text back; whether the line says that no delivery told of it.
    pub fn read(text: &str) -> (Self, bool) {
        let (said, asked) = match text.strip_suffix(ASKED) {
            Some(said) => (said, true),
            None => (text, false),
        };
        let step = Self::read_said(said).unwrap_or_else(|| Self::Said(said.to_owned()));
        (step, asked)
    }

    fn read_said(said: &str) -> Option<Self> {
        if let Some(why) = said.strip_prefix(QUEUED) {
            return Some(Self::Queued { why: why.to_owned() });
        }
        if let Some(rest) = said.strip_prefix(CLAIMED) {
            let (runner, spare) = spare(rest);
            return Some(Self::Claimed { runner, spare });
        }
        if let Some(why) = said.strip_prefix(WAITS) {
            return Some(Self::Waits { why: why.to_owned() });
        }
        if let Some(rest) = said.strip_prefix(ASSIGNED) {
            let (rest, why) = match rest.split_once(": ") {
                Some((rest, why)) => (rest, Some(why.to_owned())),
                None => (rest, None),
            };
            let (runner, spare) = spare(rest);
            return Some(Self::Assigned { runner, spare, why });
        }
        if let Some(rest) = said.strip_prefix(STARTED) {
            return Some(started(rest));
        }
        if let Some((runner, conclusion)) = said.strip_prefix(ENDED).and_then(|it| it.rsplit_once(": ")) {
            return Some(Self::Ended { runner: named(runner), conclusion: conclusion.to_owned() });
        }
        if let Some((runner, place)) = said.strip_prefix(MADE).and_then(|it| it.split_once(UNDER_WAY)) {
            return Some(Self::Made { runner: runner.to_owned(), place: place.to_owned() });
        }
        if let Some((vm, over)) = said.strip_prefix(VM).and_then(|it| it.split_once(OVER)) {
            let (runner, place) = vm.split_once(IN)?;
            let [runner, place, over] = [runner, place, over].map(str::to_owned);
            return Some(Self::PassedOver { runner, place, over });
        }
        if let Some(runner) = said.strip_suffix(REGISTERED) {
            return Some(Self::Registered { runner: runner.to_owned() });
        }
        if let Some(runner) = said.strip_suffix(ONLINE) {
            return Some(Self::Online { runner: runner.to_owned() });
        }
        let (runner, rest) = said.split_once(GIVEN_UP)?;
        given_up(runner, rest)
    }

    /// The runner that is to run the job from this step on.
    pub fn assigned(&self) -> Option<&str> {
        if let Self::Claimed { runner, .. } | Self::Assigned { runner, .. } = self {
            Some(runner)
        } else {
            None
        }
    }

    /// The runner that took the job, or ran it.
    pub fn ran(&self) -> Option<&str> {
        if let Self::Started { runner, .. } | Self::Ended { runner, .. } = self {
            runner.as_deref()
        } else {
            None
        }
    }

    /// The runner that the step names, where it does.
    pub fn runner(&self) -> Option<&str> {
        match self {
            Self::Claimed { runner, .. }
            | Self::Assigned { runner, .. }
            | Self::Registered { runner }
            | Self::Made { runner, .. }
            | Self::PassedOver { runner, .. }
            | Self::Online { runner }
            | Self::GivenUp { runner, .. } => Some(runner),
            Self::Started { runner, .. } | Self::Ended { runner, .. } => runner.as_deref(),
            Self::Queued { .. } | Self::Waits { .. } | Self::Said(_) => None,
        }
    }
}

/// Before the reason in the line of a job that its pool turned away.
pub const NOT_SERVED: &str = "not served: ";

/// What a job's timeline says when its pool turned it away.
pub fn not_served(unwanted: &Unwanted) -> String {
    format!("{NOT_SERVED}{unwanted}")
}

/// The places that were tried (`place: why`) as one text, those with the same reason together. Long reasons are cut, so that
/// every place is named in a line of a timeline.
pub fn together(tried: &[String]) -> String {
    let mut groups: Vec<(Vec<&str>, &str)> = Vec::new();
    for tried in tried {
        let (place, why) = tried.split_once(": ").unwrap_or((tried.as_str(), ""));
        match groups.iter_mut().find(|(_, known)| *known == why) {
            Some((places, _)) => places.push(place),
            None => groups.push((vec![place], why)),
        }
    }
    let each = (REASONS_LONGEST / groups.len().max(1)).max(REASON_SHORTEST);
    let texts: Vec<String> =
        groups.iter().map(|(places, why)| format!("{}: {}", places.join(", "), brief(why, each))).collect();
    texts.join("; ")
}

/// What all reasons of one line may have, in characters,
const REASONS_LONGEST: usize = 180;
/// and what each has at least.
const REASON_SHORTEST: usize = 30;

/// The same line, saying that no delivery told of it.
pub fn asked(line: Moment) -> Moment {
    Moment { what: line.what + ASKED, ..line }
}

/// How a runner came to where it is, as far as its slot says: told by the job that takes it, since the slot forgets it when
/// the VM goes.
pub fn way_of(slot: &Slot) -> Vec<Moment> {
    let runner = slot.runner.to_string();
    let registered = slot.way.registered_at.map(|at| Step::Registered { runner: runner.clone() }.at(at));
    let made = match (&slot.phase, slot.way.made_at) {
        (Phase::Booting { since, .. }, _) => Some(*since),
        (Phase::Reserved | Phase::Creating { .. }, _) => None,
        (Phase::Idle { .. } | Phase::Busy { .. } | Phase::Deleting { .. }, made) => made,
    };
    let place = slot.phase.machine().map(|machine| machine.vm.to_string());
    let made = made.zip(place).map(|(at, place)| Step::Made { runner: runner.clone(), place }.at(at));
    let online = match &slot.phase {
        Phase::Idle { since, .. } => Some(Step::Online { runner }.at(*since)),
        Phase::Reserved
        | Phase::Creating { .. }
        | Phase::Booting { .. }
        | Phase::Busy { .. }
        | Phase::Deleting { .. } => None,
    };
    [registered, made, online].into_iter().flatten().collect()
}

/// Whom a slot's runner was meant for when it took this job.
pub fn meant(slot: &Slot, job: JobId) -> Meant {
    match (slot.displaced, slot.purpose) {
        (Some(other), _) | (None, Purpose::Job(other)) if other != job => Meant::Other(other),
        (_, Purpose::Job(_)) | (Some(_), _) => Meant::Own,
        (None, Purpose::Spare { .. }) => Meant::Spare,
    }
}

/// Where a slot's VM is, and since when it is on its way there.
pub fn vm_of(slot: &Slot) -> Option<(&VmPlace, Timestamp)> {
    let since = match &slot.phase {
        Phase::Booting { since, .. } => Some(*since),
        Phase::Creating { .. } => Some(slot.reserved_at),
        Phase::Reserved | Phase::Idle { .. } | Phase::Busy { .. } | Phase::Deleting { .. } => {
            slot.way.made_at
        }
    };
    slot.phase.machine().map(|machine| &machine.vm).zip(since)
}

fn spare(text: &str) -> (String, bool) {
    match text.strip_suffix(SPARE) {
        Some(runner) => (runner.to_owned(), true),
        None => (text.to_owned(), false),
    }
}

fn named(runner: &str) -> Option<String> {
    (runner != NO_RUNNER).then(|| runner.to_owned())
}

fn started(rest: &str) -> Step {
    if let Some((runner, job)) = rest.rsplit_once(MEANT)
        && let Ok(job) = job.parse()
    {
        return Step::Started { runner: named(runner), meant: Meant::Other(JobId(job)) };
    }
    match rest.strip_suffix(SPARE) {
        Some(runner) => Step::Started { runner: named(runner), meant: Meant::Spare },
        None => Step::Started { runner: named(rest), meant: Meant::Own },
    }
}

fn given_up(runner: &str, rest: &str) -> Option<Step> {
    let runner = runner.to_owned();
    if let Some(why) = rest.strip_prefix(": ") {
        return Some(Step::GivenUp { runner, vm: None, why: why.to_owned() });
    }
    let (vm, why) = rest.strip_prefix(ITS_VM)?.split_once(": ")?;
    let (place, since) = vm.split_once(SINCE)?;
    let vm = Some((place.to_owned(), since.parse().ok()?));
    Some(Step::GivenUp { runner, vm, why: why.to_owned() })
}

#[cfg(test)]
#[path = "telling_tests.rs"]
mod tests;
