//! The table's items: records to attributes and back. An item that contradicts itself fails to decode.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use mayfly_core::brief::brief;
use mayfly_core::ids::{
    Deployment, InstallationId, JobId, PoolName, ProviderName, Repository, RunId, RunnerId, RunnerName,
    SlotIndex,
};
use mayfly_core::job::{Job, JobState, Moment, Waiting};
use mayfly_core::making::MakingStep;
use mayfly_core::slot::{Machine, Phase, PhaseKind, Purpose, Slot, VmPlace, Way};

use super::StoreError;

/// An item's attributes.
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn moment(at: Timestamp) -> AttributeValue {
    number(at.as_millisecond())
}

/// DynamoDB's TTL counts in whole seconds.
pub(super) fn expiry(at: Timestamp) -> AttributeValue {
    number(at.as_second())
}

pub(super) fn job_key(job: JobId) -> Item {
    key(format!("job#{job}"), "job".to_owned())
}

pub(super) fn pool_partition(pool: &PoolName) -> String {
    format!("pool#{pool}")
}

pub(super) fn pool_key(pool: &PoolName) -> Item {
    key(pool_partition(pool), "pool".to_owned())
}

pub(super) fn slot_sort_key(slot: SlotIndex) -> String {
    format!("slot#{:04}", slot.0)
}

pub(super) fn slot_key(pool: &PoolName, slot: SlotIndex) -> Item {
    key(pool_partition(pool), slot_sort_key(slot))
}

pub(super) fn slot_key_of(runner: &RunnerName) -> Item {
    slot_key(runner.pool(), runner.slot())
}

/// What the key of a delivery's item begins with.
pub(super) const DELIVERY: &str = "delivery#";

pub(super) fn delivery_key(guid: &str) -> Item {
    key(format!("{DELIVERY}{guid}"), "delivery".to_owned())
}

/// What the sort key of a notice begins with: it stands before the pool's own item.
pub(super) const NOTICE: &str = "pending#";

pub(super) fn notice_key(pool: &PoolName, job: JobId) -> Item {
    key(pool_partition(pool), format!("{NOTICE}{job}"))
}

/// What GitHub said of a workflow run.
pub(super) fn run_key(run: RunId) -> Item {
    key(format!("run#{run}"), "run".to_owned())
}

/// What a cluster of hosts is promised for: see [`mayfly_core::room`].
pub(super) fn room_key(provider: &ProviderName) -> Item {
    key(format!("provider#{provider}"), "room".to_owned())
}

pub(super) fn memory_key() -> Item {
    key("deployment".to_owned(), "sweep".to_owned())
}

/// A place in the ring of a pool's jobs that are over.
pub(super) fn over_key(pool: &PoolName, place: u8) -> Item {
    key(pool_partition(pool), format!("over#{place:02}"))
}

/// `month` as [`mayfly_core::past::month`] says it.
pub(super) fn month_sort_key(month: &str) -> String {
    format!("month#{month}")
}

pub(super) fn month_key(pool: &PoolName, month: &str) -> Item {
    key(pool_partition(pool), month_sort_key(month))
}

/// Sorts by time, so that the oldest job is the first in its pool's queue.
pub(super) fn waiting_key(pool: &PoolName, waiting: &Waiting) -> Item {
    let queued_at = waiting.queued_at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
    key(pool_partition(pool), format!("wait#{queued_at}#{}", waiting.job))
}

fn key(pk: String, sk: String) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

pub(super) fn waiting_item(pool: &PoolName, waiting: &Waiting) -> Item {
    let mut item = waiting_key(pool, waiting);
    item.insert("job".to_owned(), number(waiting.job));
    item.insert("queued_at".to_owned(), moment(waiting.queued_at));
    item.insert("repository".to_owned(), text(waiting.repository.as_str()));
    if let Some(installation) = waiting.installation {
        item.insert("installation".to_owned(), number(installation));
    }
    if let Some(run) = waiting.unseen_run {
        item.insert("unseen_run".to_owned(), number(run));
    }
    item
}

/// What a step of making a VM is called in the table.
pub(super) fn step_name(step: &MakingStep) -> &'static str {
    match step {
        MakingStep::Cloning { .. } => "cloning",
        MakingStep::Starting => "starting",
        MakingStep::WaitingForAgent => "agent",
    }
}

/// A line of a job's timeline, its text in at most [`LINE_LONGEST`] characters.
pub(super) fn timeline_entry(moment: &Moment) -> AttributeValue {
    text(format!("{} {}", moment.at, cut(&moment.what)))
}

/// A text for people, in at most [`LINE_LONGEST`] characters.
pub(super) fn short(what: &str) -> AttributeValue {
    text(cut(what))
}

fn cut(what: &str) -> String {
    what.chars().take(LINE_LONGEST).collect()
}

/// A key of Mayfly's, a delivery's the longest of them, has some fifty characters; one made by hand may have three thousand.
const KEY_LONGEST: usize = 150;
const WHY_LONGEST: usize = 200;

/// A text for people, as it is read: whoever wrote it by hand may have written more, and in lines.
pub(super) fn told(text: &str) -> String {
    brief(text, LINE_LONGEST)
}

/// No honest place, task or name is longer.
const NAME_LONGEST: usize = 300;

/// A line may hold a provider's message; an item of 1 KB is what one write unit pays for.
const LINE_LONGEST: usize = 300;

/// Reads the attributes of one item, naming it in every error.
pub(super) struct Reader<'a> {
    item: &'a Item,
}

impl<'a> Reader<'a> {
    pub(super) fn new(item: &'a Item) -> Self {
        Self { item }
    }

    pub(super) fn item(&self) -> &'a Item {
        self.item
    }

    pub(super) fn corrupt(&self, why: impl Into<String>) -> StoreError {
        let part = |name: &str| match self.item.get(name) {
            Some(AttributeValue::S(value)) => value.clone(),
            _ => "?".to_owned(),
        };
        let key = brief(&format!("{} / {}", part("pk"), part("sk")), KEY_LONGEST);
        // It may repeat what is there.
        StoreError::Corrupt { key, why: brief(&why.into(), WHY_LONGEST) }
    }

    pub(super) fn maybe_text(&self, name: &str) -> Result<Option<&'a str>, StoreError> {
        match self.item.get(name) {
            None => Ok(None),
            Some(AttributeValue::S(value)) => Ok(Some(value)),
            Some(_) => Err(self.corrupt(format!("{name} is no text"))),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, StoreError> {
        self.maybe_text(name)?.ok_or_else(|| self.corrupt(format!("{name} is missing")))
    }

    /// A text that leads to something at a provider or at GitHub.
    pub(super) fn maybe_name(&self, name: &str) -> Result<Option<&'a str>, StoreError> {
        match self.maybe_text(name)? {
            Some(text) if text.chars().nth(NAME_LONGEST).is_some() => {
                Err(self.corrupt(format!("{name} is too long")))
            }
            other => Ok(other),
        }
    }

    pub(super) fn maybe_number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, StoreError> {
        match self.item.get(name) {
            None => Ok(None),
            Some(AttributeValue::N(value)) => match value.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.corrupt(format!("{name} is out of range"))),
            },
            Some(_) => Err(self.corrupt(format!("{name} is no number"))),
        }
    }

    pub(super) fn maybe_moment(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        match self.maybe_number(name)? {
            None => Ok(None),
            Some(milliseconds) => match Timestamp::from_millisecond(milliseconds) {
                Ok(at) => Ok(Some(at)),
                Err(_) => Err(self.corrupt(format!("{name} is no moment"))),
            },
        }
    }

    pub(super) fn moment(&self, name: &str) -> Result<Timestamp, StoreError> {
        self.maybe_moment(name)?.ok_or_else(|| self.corrupt(format!("{name} is missing")))
    }

    pub(super) fn named<T>(&self, name: &str, new: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
        new(self.text(name)?).ok_or_else(|| self.corrupt(format!("{name} is no valid name")))
    }

    /// That the item is where its contents say: every later write finds it by these.
    fn placed(&self, key: &Item) -> Result<(), StoreError> {
        let here = ["pk", "sk"].into_iter().all(|name| self.item.get(name) == key.get(name));
        if here { Ok(()) } else { Err(self.corrupt("its contents belong to another key")) }
    }

    pub(super) fn slot(&self, deployment: &Deployment) -> Result<Slot, StoreError> {
        let runner = self.named("runner", |name| RunnerName::parse(deployment, name))?;
        self.placed(&slot_key_of(&runner))?;
        let purpose = match (self.maybe_number("job")?, self.maybe_moment("spare_since")?) {
            (Some(job), None) => Purpose::Job(JobId(job)),
            (None, Some(since)) => Purpose::Spare { since },
            (Some(_), Some(_)) => return Err(self.corrupt("it has a job and is spare")),
            (None, None) => return Err(self.corrupt("it has no job and is not spare")),
        };
        let reserved_at = self.moment("reserved_at")?;
        // Written with every start; only another job than the one that runs was displaced.
        let displaced = self.maybe_number("displaced")?.map(JobId).filter(|job| Some(*job) != purpose.job());
        // For people: what cannot be read is as good as not there.
        let way = Way {
            registered_at: self.maybe_moment("jit_at").unwrap_or_default(),
            made_at: self.maybe_moment("made_at").unwrap_or_default(),
        };
        Ok(Slot { runner, purpose, displaced, reserved_at, way, phase: self.phase()? })
    }

    fn phase(&self) -> Result<Phase, StoreError> {
        let machine = self.machine()?;
        let since = self.moment("since")?;
        let known = |machine: Option<Machine>| machine.ok_or_else(|| self.corrupt("its machine is missing"));
        Ok(match self.named("phase", PhaseKind::parse)? {
            PhaseKind::Reserved => Phase::Reserved,
            PhaseKind::Creating => Phase::Creating {
                machine: known(machine)?,
                step: self.making_step()?,
                leased_until: self.moment("leased_until")?,
            },
            PhaseKind::Booting => Phase::Booting { machine: known(machine)?, since },
            PhaseKind::Idle => Phase::Idle { machine: known(machine)?, since },
            PhaseKind::Busy => Phase::Busy { machine, since },
            PhaseKind::Deleting => {
                Phase::Deleting { machine, since, watched_until: self.maybe_moment("watched_until")? }
            }
        })
    }

    fn machine(&self) -> Result<Option<Machine>, StoreError> {
        let runner_id = self.maybe_number("runner_id")?.map(RunnerId);
        match (self.maybe_text("provider")?, self.maybe_name("vm_at")?, runner_id) {
            (None, None, None) => Ok(None),
            (Some(_), Some(at), runner_id) => {
                let provider = self.named("provider", |name| ProviderName::new(name).ok())?;
                Ok(Some(Machine { vm: VmPlace { provider, at: at.to_owned() }, runner_id }))
            }
            _ => Err(self.corrupt("its machine is incomplete")),
        }
    }

    fn making_step(&self) -> Result<MakingStep, StoreError> {
        let steps = [
            MakingStep::Cloning { task: self.maybe_name("task")?.map(str::to_owned) },
            MakingStep::Starting,
            MakingStep::WaitingForAgent,
        ];
        let name = self.text("step")?;
        let step = steps.into_iter().find(|step| step_name(step) == name);
        step.ok_or_else(|| self.corrupt("its step is no step of making a VM"))
    }

    pub(super) fn waiting(&self, pool: &PoolName) -> Result<Waiting, StoreError> {
        let waiting = Waiting {
            queued_at: self.moment("queued_at")?,
            job: JobId(self.maybe_number("job")?.ok_or_else(|| self.corrupt("job is missing"))?),
            repository: self.named("repository", |name| Repository::new(name).ok())?,
            installation: self.maybe_number("installation")?.map(InstallationId),
            unseen_run: self.maybe_number("unseen_run")?.map(RunId),
        };
        self.placed(&waiting_key(pool, &waiting))?;
        Ok(waiting)
    }

    pub(super) fn job_id(&self) -> Result<JobId, StoreError> {
        let id = self.text("pk")?.strip_prefix("job#").and_then(|id| id.parse().ok());
        id.map(JobId).ok_or_else(|| self.corrupt("its key names no job"))
    }

    pub(super) fn job(&self) -> Result<Job, StoreError> {
        Ok(Job {
            id: self.job_id()?,
            pool: self.named("pool", |name| PoolName::new(name).ok())?,
            repository: self.named("repository", |name| Repository::new(name).ok())?,
            queued_at: self.moment("queued_at")?,
            installation: self.maybe_number("installation")?.map(InstallationId),
            unseen_run: self.maybe_number("unseen_run")?.map(RunId),
            state: self.job_state()?,
            timeline: self.timeline()?,
        })
    }

    pub(super) fn job_state(&self) -> Result<JobState, StoreError> {
        let slot = self.maybe_number("slot")?.map(SlotIndex);
        match (self.text("state")?, slot) {
            ("held", None) => Ok(JobState::Held),
            ("waiting", None) => Ok(JobState::Waiting),
            ("assigned", Some(slot)) => Ok(JobState::Assigned { slot }),
            ("running", slot) => Ok(JobState::Running { slot }),
            ("done", _) => Ok(JobState::Done),
            (state, slot) => Err(self.corrupt(format!("state {state} with slot {slot:?}"))),
        }
    }

    fn timeline(&self) -> Result<Vec<Moment>, StoreError> {
        let lines = match self.item.get("timeline") {
            None => return Ok(Vec::new()),
            Some(AttributeValue::L(lines)) => lines,
            Some(_) => return Err(self.corrupt("timeline is no list")),
        };
        let line = |line: &AttributeValue| {
            let (at, what) = line.as_s().ok()?.split_once(' ')?;
            Some(Moment::new(at.parse().ok()?, cut(what)))
        };
        lines
            .iter()
            .map(|entry| line(entry).ok_or_else(|| self.corrupt("its timeline cannot be read")))
            .collect()
    }
}
