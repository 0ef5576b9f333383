//! Slots: moved from phase to phase by conditional updates made from the core's own table of transitions.

use jiff::Timestamp;
use mayfly_core::ids::{JobId, RunnerName};
use mayfly_core::slot::{PhaseKind, Purpose, Slot, SlotEvent};

use super::item::{Reader, moment, number, slot_key_of, text};
use super::making;
use super::write::{Write, Written};
use super::{Ledger, StoreError};

/// What became of a conditional write to a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it is looked at once and never kept")]
pub enum Moved {
    /// It was made; this is the slot as it was before.
    From(Slot),
    /// The slot is another runner's by now, or in a phase in which the event makes no sense: somebody else was
    /// quicker, and this one stops quietly.
    No,
}

impl Ledger {
    /// Tells a runner's slot what happened.
    pub async fn slot_event(
        &self,
        runner: &RunnerName,
        event: &SlotEvent,
        now: Timestamp,
    ) -> Result<Moved, StoreError> {
        let condition = format!("{}{}", phase_condition(event.allowed_in()), condition(event));
        let write = slot_write(runner, update(event), condition, event.allowed_in());
        self.moved(values(write, event, now), "moving a slot").await
    }

    /// GitHub says that a slot's runner is busy, with a job that is not known ([`Slot::taken`]); only where it is still
    /// for what was read.
    pub async fn taken(&self, slot: &Slot, now: Timestamp) -> Result<Moved, StoreError> {
        let update = match slot.purpose {
            Purpose::Job(_) => {
                "SET phase = :busy, since = :now, spare_since = :now, displaced = :was REMOVE job"
            }
            Purpose::Spare { .. } => "SET phase = :busy, since = :now, spare_since = :now",
        };
        let condition = format!("{} AND {}", phase_condition(&Slot::TAKEN_IN), still(slot.purpose));
        let write = slot_write(&slot.runner, update, condition, &Slot::TAKEN_IN)
            .value(":busy", text("busy"))
            .value(":now", moment(now));
        self.moved(was(write, slot.purpose), "moving a slot").await
    }

    /// Changes what a slot's runner is for, where it is still for what was read and has not taken a job.
    pub async fn repurpose(&self, slot: &Slot, purpose: Purpose) -> Result<Moved, StoreError> {
        self.moved(repurpose(slot, purpose), "changing what a slot is for").await
    }

    /// Nobody waits any more for the end of a deletion that was watched until then.
    pub async fn unwatch(&self, runner: &RunnerName, until: Timestamp) -> Result<(), StoreError> {
        let condition = "runner = :runner AND watched_until = :until";
        let write = Write::update(slot_key_of(runner), "REMOVE watched_until", condition)
            .value(":runner", text(runner.as_str()))
            .value(":until", moment(until));
        self.write(write, "leaving a deletion to the sweep").await.map(|_| ())
    }

    /// Frees the slot, where it is still this runner's and for what was read; whether it was.
    pub async fn free(&self, slot: &Slot) -> Result<bool, StoreError> {
        let condition = format!("runner = :runner AND {} AND {SETTLED}", still(slot.purpose));
        let write =
            Write::delete(slot_key_of(&slot.runner), condition).value(":runner", text(slot.runner.as_str()));
        Ok(matches!(self.write(was(write, slot.purpose), "freeing a slot").await?, Written::Before(_)))
    }

    /// The job that a slot's runner was meant for is seen to.
    pub async fn settled(&self, runner: &RunnerName, job: JobId) -> Result<(), StoreError> {
        let condition = "runner = :runner AND displaced = :job";
        let write = Write::update(slot_key_of(runner), "REMOVE displaced", condition)
            .value(":runner", text(runner.as_str()))
            .value(":job", number(job));
        self.write(write, "settling a slot").await.map(|_| ())
    }

    async fn moved(&self, write: Write, doing: &'static str) -> Result<Moved, StoreError> {
        match self.write(write, doing).await? {
            Written::Before(item) => Ok(Moved::From(Reader::new(&item).slot(&self.deployment)?)),
            Written::Refused(_) => Ok(Moved::No),
        }
    }
}

/// What an event asks for beyond the phase.
fn condition(event: &SlotEvent) -> &'static str {
    match event {
        SlotEvent::Watched { .. } => " AND (attribute_not_exists(watched_until) OR watched_until < :now)",
        // A busy runner's job is filled in where it is not known.
        SlotEvent::Started { .. } => " AND (phase <> :busy OR attribute_exists(spare_since))",
        SlotEvent::Unplaced { held: None, .. } => " AND provider = :provider AND vm_at = :at",
        SlotEvent::Unplaced { held: Some(_), .. } => {
            " AND provider = :provider AND vm_at = :at AND leased_until = :held"
        }
        SlotEvent::Making(making) => making::condition(making),
        SlotEvent::Placed { .. } | SlotEvent::Online | SlotEvent::Ended | SlotEvent::Retired => "",
    }
}

fn update(event: &SlotEvent) -> &'static str {
    match event {
        SlotEvent::Placed { registered_at: Some(_), .. } => {
            "SET phase = :booting, since = :now, provider = :provider, vm_at = :at, runner_id = :id, \
             jit_at = :jit_at REMOVE made_at, step, task, leased_until"
        }
        SlotEvent::Placed { registered_at: None, .. } => {
            "SET phase = :booting, since = :now, provider = :provider, vm_at = :at, runner_id = :id \
             REMOVE jit_at, made_at, step, task, leased_until"
        }
        SlotEvent::Unplaced { .. } => {
            "SET phase = :reserved, since = reserved_at \
             REMOVE provider, vm_at, runner_id, jit_at, made_at, step, task, leased_until"
        }
        SlotEvent::Making(making) => making::update(making),
        // All that is on the right is as it was before.
        SlotEvent::Online => "SET phase = :idle, made_at = since, since = :now",
        SlotEvent::Started { .. } => {
            // What the runner was meant for is kept in the same write, until it is seen to; so is what it was meant
            // for before it was found busy. The reader takes a job that displaced itself for none.
            "SET phase = :busy, since = :now, \
             displaced = if_not_exists(job, if_not_exists(displaced, :job)), job = :job \
             REMOVE spare_since, step, task, leased_until"
        }
        SlotEvent::Ended | SlotEvent::Retired => {
            "SET phase = :deleting, since = :now REMOVE watched_until, step, task, leased_until"
        }
        SlotEvent::Watched { .. } => "SET watched_until = :until",
    }
}

/// The values that condition and update name: DynamoDB refuses one more and one less.
fn values(write: Write, event: &SlotEvent, now: Timestamp) -> Write {
    if let SlotEvent::Making(making) = event {
        return making::values(write, making, now);
    }
    if let SlotEvent::Unplaced { vm, held } = event {
        let write = making::place_values(write, vm).value(":reserved", text("reserved"));
        return held.iter().fold(write, |write, held| write.value(":held", moment(*held)));
    }
    let write = write.value(":now", moment(now));
    match event {
        SlotEvent::Placed { vm, runner_id, registered_at } => {
            let write = making::place_values(write, vm).value(":booting", text("booting"));
            making::registered(write.value(":id", number(runner_id)), *registered_at)
        }
        SlotEvent::Online => write.value(":idle", text("idle")),
        SlotEvent::Started { job } => write.value(":busy", text("busy")).value(":job", number(job)),
        SlotEvent::Ended | SlotEvent::Retired => write.value(":deleting", text("deleting")),
        SlotEvent::Watched { until } => write.value(":until", moment(*until)),
        SlotEvent::Unplaced { .. } | SlotEvent::Making(_) => write,
    }
}

/// No job is left without a runner on account of this slot.
const SETTLED: &str = "(attribute_not_exists(displaced) OR displaced = job)";

/// An update of a slot that is still this runner's and in one of these phases.
fn slot_write(runner: &RunnerName, update: &str, condition: String, allowed: &[PhaseKind]) -> Write {
    let write = Write::update(slot_key_of(runner), update, condition).value(":runner", text(runner.as_str()));
    allowed.iter().fold(write, |write, kind| write.value(format!(":{kind}"), text(kind.as_str())))
}

fn phase_condition(allowed: &[PhaseKind]) -> String {
    let names: Vec<String> = allowed.iter().map(|kind| format!(":{kind}")).collect();
    format!("runner = :runner AND phase IN ({})", names.join(", "))
}

/// The write behind [`Ledger::repurpose`].
pub(super) fn repurpose(slot: &Slot, purpose: Purpose) -> Write {
    let allowed = [PhaseKind::Reserved, PhaseKind::Creating, PhaseKind::Booting, PhaseKind::Idle];
    let (update, value) = match purpose {
        Purpose::Job(job) => ("SET job = :purpose REMOVE spare_since", number(job)),
        Purpose::Spare { since } => ("SET spare_since = :purpose REMOVE job", moment(since)),
    };
    let condition = format!("{} AND {}", phase_condition(&allowed), still(slot.purpose));
    let write = slot_write(&slot.runner, update, condition, &allowed).value(":purpose", value);
    was(write, slot.purpose)
}

/// The slot is still for what was read; `:was` is the job.
fn still(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Job(_) => "job = :was",
        Purpose::Spare { .. } => "attribute_exists(spare_since)",
    }
}

fn was(write: Write, purpose: Purpose) -> Write {
    match purpose {
        Purpose::Job(job) => write.value(":was", number(job)),
        Purpose::Spare { .. } => write,
    }
}

/// Puts a newly reserved slot in the place of one whose VM is gone, where that is still the other runner's and in
/// the phase in which it was read.
pub(super) fn retake(old: &Slot, new: &Slot) -> Write {
    let (purpose, value) = match new.purpose {
        Purpose::Job(job) => ("job = :purpose", number(job)),
        Purpose::Spare { since } => ("spare_since = :purpose", moment(since)),
    };
    let stale = match new.purpose {
        Purpose::Job(_) => "spare_since",
        Purpose::Spare { .. } => "job",
    };
    let update = format!(
        "SET runner = :new, {purpose}, reserved_at = :now, since = :now, phase = :reserved \
         REMOVE provider, vm_at, runner_id, jit_at, made_at, step, task, leased_until, watched_until, displaced, \
         {stale}"
    );
    let condition = format!("runner = :runner AND phase = :phase AND {} AND {SETTLED}", still(old.purpose));
    let write = Write::update(slot_key_of(&old.runner), update, condition)
        .value(":runner", text(old.runner.as_str()))
        .value(":phase", text(old.phase.kind().as_str()))
        .value(":new", text(new.runner.as_str()))
        .value(":purpose", value)
        .value(":now", moment(new.reserved_at))
        .value(":reserved", text("reserved"));
    was(write, old.purpose)
}
