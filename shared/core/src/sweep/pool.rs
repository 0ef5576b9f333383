//! One pool: who gets its slots, its spare runners and its next VMs.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::plan::{Action, LeftAlone, Next, Plan, Step, Wait};
use super::world::{Index, PoolLedger, Sighting};
use crate::event::Change;
use crate::gate::{Closed, boots_fail, closed, cools_until, is_in_trouble};
use crate::ids::{JobId, SlotIndex};
use crate::job::{Job, JobState, Waiting};
use crate::notice::Cause;
use crate::policy::{Placement, Pool, Timing};
use crate::slot::{Phase, PhaseKind, Purpose, Slot, earlier, later};

/// Whether a slot's job still counts on it.
pub(super) enum Claim {
    /// This job does.
    Held(JobId),
    /// None does.
    Void,
    /// The table could not be asked.
    Unknown,
}

/// Plans for one pool.
pub(super) struct PoolPlanner<'a, 'plan> {
    pub index: &'plan Index<'a>,
    pub pool: &'a Pool,
    pub timing: &'a Timing,
    pub ledger: &'a PoolLedger,
    pub now: Timestamp,
    /// Spare runners, those that may serve or be kept.
    pub spares: Vec<&'a Slot>,
    closed: Option<Closed>,
    /// The slots that may be taken: all below it.
    pub limit: u16,
    /// How many slots are taken, as the plan goes on.
    taken: usize,
    /// How many of them are on their way out.
    pub going: usize,
    /// Slots whose VM is gone and whose own job needs no runner.
    freed: Vec<(&'a Slot, &'static str)>,
    /// How many spare runners are kept, or on their way.
    pub warm: u16,
    /// How many VMs may still be started, where failures ask for care.
    trials: Option<u32>,
    /// For how many VMs there is room, beside that which a VM leaves that went; `None` where that is not known.
    room: Option<u32>,
    /// The jobs that wait, without those that need no runner any more, GitHub says.
    queue: std::vec::IntoIter<&'a Waiting>,
    queued: BTreeSet<JobId>,
    plan: &'plan mut Plan,
}

/// What repairs a pool.
pub(super) fn repair<'a>(index: &Index<'a>, pool: &'a Pool, ledger: &'a PoolLedger, plan: &mut Plan) {
    let now = index.world.now;
    let timing = &index.policy.timing;
    let waiting = ledger.waiting_in_order();
    let still_waits = |waiting: &&Waiting| matches!(index.told(waiting.job), None | Some(Change::Queued));
    let removed = index.policy.pool(&pool.name).is_none();
    let closed = if removed { Some(Closed::Removed) } else { closed(pool, &ledger.state, timing, now) };
    let mut planner = PoolPlanner {
        index,
        pool,
        timing,
        ledger,
        now,
        spares: Vec::new(),
        closed,
        limit: if removed { 0 } else { pool.max_runners.get() },
        taken: ledger.slots.len() + ledger.unreadable.len(),
        going: 0,
        freed: Vec::new(),
        warm: 0,
        trials: trials(ledger),
        room: room(index, pool, ledger),
        queue: waiting.into_iter().filter(still_waits).collect::<Vec<_>>().into_iter(),
        queued: ledger.waiting.iter().map(|waiting| waiting.job).collect(),
        plan,
    };
    planner.note_limit();
    planner.note_recovery();
    planner.drop_dead();
    for slot in ledger.slots_in_order() {
        planner.slot(slot);
    }
    // In this order: a runner that stands ready serves a job sooner than any VM that is still to be made.
    planner.spares();
    planner.freed();
    planner.free_slots();
    planner.waits();
}

/// With failures in a row one VM is tried at a time, and none while the boot of another is awaited.
fn trials(ledger: &PoolLedger) -> Option<u32> {
    use PhaseKind::{Booting, Creating, Reserved};
    let coming_up = |slot: &&Slot| matches!(slot.phase.kind(), Reserved | Creating | Booting);
    let awaited = boots_fail(&ledger.state) && ledger.slots.iter().any(|slot| coming_up(&slot));
    is_in_trouble(&ledger.state).then_some(u32::from(!awaited))
}

/// For how many VMs the placements that do not cool down have room together; `None` where one does not say.
fn room(index: &Index<'_>, pool: &Pool, ledger: &PoolLedger) -> Option<u32> {
    let open = |placement: &&Placement| cools_until(placement, &ledger.state, index.world.now).is_none();
    let mut rooms = pool.placements.iter().filter(open).map(|placement| {
        let places = placement.places().into_iter();
        let rooms = places.map(|place| index.world.room.get(&(placement.provider.clone(), place)).copied());
        rooms.sum::<Option<u32>>()
    });
    rooms.try_fold(0u32, |sum, room| Some(sum.saturating_add(room?)))
}

impl<'a> PoolPlanner<'a, '_> {
    /// A lowered limit is kept in the pool's item until no slot beyond it is taken, so that nobody takes a free slot
    /// below it meanwhile.
    fn note_limit(&mut self) {
        let highest = self.ledger.slots.iter().map(|slot| slot.runner.slot().0.saturating_add(1)).max();
        let limit = highest.unwrap_or(0).max(self.limit);
        if !self.is_removed() && self.ledger.state.limit != Some(limit) {
            self.act(Action::Limit { limit }, "how far the pool's slots reach is remembered", self.now);
        }
    }

    /// A runner that came online after the last boot that failed shows that boots succeed.
    fn note_recovery(&mut self) {
        let Some(trouble) = &self.ledger.state.boots else { return };
        if self.ledger.slots.iter().any(|slot| self.came_up_after(slot, trouble.at)) {
            self.act(Action::Recover, "a runner came online: boots succeed again", trouble.at);
        }
    }

    /// Entries of jobs that GitHub says need no runner, and whose record cannot bring that about any more.
    fn drop_dead(&mut self) {
        for waiting in self.ledger.waiting_in_order() {
            let record = self.index.world.jobs.get(&waiting.job);
            let wanted = matches!(self.index.told(waiting.job), None | Some(Change::Queued));
            let dead = |job: &Option<Job>| job.as_ref().is_none_or(|job| !job.state.wants_a_runner());
            if !wanted && record.is_some_and(dead) {
                let action = Action::Drop { waiting: waiting.clone() };
                self.act(action, "GitHub says that it needs no runner any more", waiting.queued_at);
            }
        }
    }

    /// The slot, with its VM where the provider's list has it.
    pub fn as_seen(&self, slot: &Slot) -> Slot {
        let mut slot = slot.clone();
        if let Sighting::There(vm) = self.index.vm_of(&slot)
            && let Some(machine) = slot.phase.machine_mut()
        {
            machine.vm = vm.place.clone();
        }
        slot
    }

    /// Whether other runners came up since this slot was taken: then a boot that fails is that machine's own trouble.
    pub fn others_came_up(&self, slot: &Slot) -> bool {
        self.ledger.slots.iter().any(|other| self.came_up_after(other, slot.reserved_at))
    }

    /// Whether the slot's runner came up after that moment. A busy one may have stood ready for long before it took its job:
    /// it only counts when its boot could have lasted until then.
    fn came_up_after(&self, slot: &Slot, moment: Timestamp) -> bool {
        let boot_ends = later(later(slot.reserved_at, self.timing.step_timeout), self.pool.boot_timeout);
        let up = match slot.phase.kind() {
            PhaseKind::Idle | PhaseKind::Busy => true,
            // It has run its job to the end.
            PhaseKind::Deleting => slot.purpose.job().is_some_and(|job| self.is_over(job)),
            PhaseKind::Reserved | PhaseKind::Creating | PhaseKind::Booting => false,
        };
        up && slot.since() > moment && boot_ends > moment
    }

    /// Whether a slot, of those that are not taken, may get a new VM now; takes note that it will.
    fn may_start(&mut self, index: SlotIndex) -> bool {
        let room = index.0 < self.limit && self.taken < usize::from(self.limit);
        if self.closed.is_some() || !room || self.trials == Some(0) {
            return false;
        }
        self.trials = self.trials.map(|trials| trials - 1);
        self.taken += 1;
        true
    }

    /// The slot's VM is gone: its own job comes first, if it still needs a runner.
    pub fn release(&mut self, slot: &'a Slot, why: &'static str) {
        let job = match self.claim(slot) {
            Claim::Unknown => {
                return self.leave(slot, "the table could not be asked whether its job is over");
            }
            Claim::Held(_) if matches!(self.closed, Some(Closed::GitHub(_))) => {
                return self.leave(slot, "GitHub asked to be left alone for a while");
            }
            Claim::Held(job) => Some(job),
            Claim::Void => None,
        };
        self.taken -= 1;
        let Some(job) = job else { return self.freed.push((slot, why)) };
        let next = if self.may_start(slot.runner.slot()) { Next::Own(job) } else { Next::Requeue(job) };
        self.act(Action::Release { slot: slot.clone(), next }, why, slot.since());
    }

    /// Slots whose VM is gone go to the oldest waiting jobs.
    fn freed(&mut self) {
        for (slot, why) in std::mem::take(&mut self.freed) {
            let serves = self.queue.len() > 0 && self.may_start(slot.runner.slot());
            let next = if serves { self.queue.next() } else { None };
            let next = next.cloned().map_or(Next::Nobody, Next::Waiting);
            self.act(Action::Release { slot: slot.clone(), next }, why, slot.since());
        }
    }

    pub fn claim(&self, slot: &Slot) -> Claim {
        let Purpose::Job(job) = slot.purpose else { return Claim::Void };
        let Some(record) = self.index.world.jobs.get(&job) else { return Claim::Unknown };
        // By now another pool may serve it, with slots of the same numbers.
        let own = record.as_ref().filter(|job| job.pool == self.pool.name);
        match own.map(|job| &job.state) {
            Some(JobState::Assigned { slot: index }) if *index == slot.runner.slot() => Claim::Held(job),
            // Taken from the queue, by somebody who did not live to write it into the job.
            Some(JobState::Waiting) if !self.queued.contains(&job) => Claim::Held(job),
            Some(_) | None => Claim::Void,
        }
    }

    /// Spare runners serve waiting jobs, the oldest runners first; the youngest of the others are kept warm.
    fn spares(&mut self) {
        let mut spares = std::mem::take(&mut self.spares);
        let beyond = |slot: &Slot| slot.runner.slot().0 >= self.limit;
        // Those beyond the limit go anyway, so they count first towards what has to go.
        spares.sort_by_key(|slot| (!beyond(slot), slot.reserved_at));
        let mut left = Vec::new();
        let mut excess = self.taken.saturating_sub(self.going + usize::from(self.limit));
        for slot in spares {
            if self.is_drained() || slot.runner.slot().0 >= self.limit || excess > 0 {
                excess = excess.saturating_sub(1);
                let action = Action::Retire { slot: self.as_seen(slot), failed_boot: None };
                self.act(action, "its pool is drained, or has become smaller", slot.since());
            } else if let Some(waiting) = self.queue.next() {
                let action = Action::Assign { slot: slot.clone(), waiting: waiting.clone() };
                self.act(action, "a job waits and this runner is spare", waiting.queued_at);
            } else {
                left.push(slot);
            }
        }
        let aged = |slot: &Slot| slot.reserved_at <= earlier(self.now, self.pool.max_lifetime / 2);
        let (old, mut young): (Vec<&Slot>, Vec<&Slot>) = left.into_iter().partition(|slot| aged(slot));
        let ready = young.iter().filter(|slot| matches!(slot.phase, Phase::Idle { .. })).count();
        let mut kept = self.warm;
        // Those that stand ready before those that may never come up; the youngest of each.
        young.sort_by_key(|slot| (matches!(slot.phase, Phase::Idle { .. }), slot.reserved_at));
        for slot in young.into_iter().rev() {
            kept = self.keep(slot, kept);
        }
        for slot in old {
            self.renew_aged(slot, ready);
        }
        self.warm = kept;
    }

    pub fn is_drained(&self) -> bool {
        self.is_removed() || self.closed == Some(Closed::Draining)
    }

    /// Whether the pool is configured no more.
    pub fn is_removed(&self) -> bool {
        self.closed == Some(Closed::Removed)
    }

    /// A spare runner of which `kept` younger ones are kept: how many are then.
    fn keep(&mut self, slot: &Slot, kept: u16) -> u16 {
        let Purpose::Spare { since } = slot.purpose else { return kept };
        if kept < self.pool.min_runners {
            return kept + 1;
        }
        if since <= earlier(self.now, self.pool.idle_timeout) {
            let action = Action::Retire { slot: self.as_seen(slot), failed_boot: None };
            self.act(action, "it was spare for longer than idle_timeout", since);
        } else {
            self.leave(slot, "it is spare, within idle_timeout");
        }
        kept
    }

    /// A job that comes to an old runner has little time left: a younger one takes its place, and it goes when enough of
    /// these are ready, or its own time is nearly up.
    fn renew_aged(&mut self, slot: &Slot, ready: usize) {
        let nearly_over = slot.reserved_at <= earlier(self.now, self.pool.max_lifetime / 4 * 3);
        if ready >= usize::from(self.pool.min_runners) || nearly_over {
            let action = Action::Retire { slot: self.as_seen(slot), failed_boot: None };
            self.act(action, "it is spare and has lived half of max_lifetime", slot.reserved_at);
        } else {
            self.leave(slot, "it is kept warm until a younger one is ready");
        }
    }

    /// Free slots go to the waiting jobs, then to runners that are kept warm.
    fn free_slots(&mut self) {
        let mut taken: BTreeSet<SlotIndex> =
            self.ledger.slots.iter().map(|slot| slot.runner.slot()).collect();
        taken.extend(&self.ledger.unreadable);
        for index in (0..self.limit).map(SlotIndex).filter(|index| !taken.contains(index)) {
            let wanted = self.queue.len() > 0 || self.warm < self.pool.min_runners;
            if !wanted || self.room == Some(0) || !self.may_start(index) {
                return;
            }
            self.room = self.room.map(|room| room - 1);
            match self.queue.next() {
                Some(waiting) => {
                    let action = Action::Serve { index, waiting: waiting.clone() };
                    self.act(action, "a job waits and a slot is free", waiting.queued_at);
                }
                None => {
                    self.warm += 1;
                    self.act(Action::Warm { index }, "fewer than min_runners stand ready", self.now);
                }
            }
        }
    }

    /// Those that are left in the queue are told why.
    fn waits(&mut self) {
        let full = || format!("its pool is full: all {} runners are taken", self.limit);
        let (cause, why) = match (&self.closed, self.trials, self.room) {
            (Some(closed), ..) => (Cause::of(closed), closed.to_string()),
            (None, Some(0), _) => (Cause::OneAtATime, self.careful()),
            (None, _, Some(0)) => (Cause::NoRoom, "no placement has room for another VM".to_owned()),
            (None, ..) => (Cause::Full, full()),
        };
        let until = self.closed.as_ref().and_then(Closed::until);
        for (place, waiting) in (1..).zip(self.queue.clone()) {
            let (pool, job, since, why) =
                (self.pool.name.clone(), waiting.job, waiting.queued_at, why.clone());
            self.plan.waits.push(Wait { pool, job, since, why, cause, until, place });
        }
    }

    fn careful(&self) -> String {
        let state = &self.ledger.state;
        let trouble = if boots_fail(state) { &state.boots } else { &state.creates };
        let why = trouble.as_ref().map_or("", |trouble| trouble.why.as_str());
        format!("VMs are made one at a time until one succeeds: {why}")
    }

    pub fn act(&mut self, action: Action, why: &'static str, since: Timestamp) {
        self.going += usize::from(matches!(action, Action::Delete { .. } | Action::Retire { .. }));
        self.plan.steps.push(Step { pool: Some(self.pool.name.clone()), action, why, since });
    }

    /// A slot whose runner is on its way, or may be.
    pub fn stays(&mut self, slot: &Slot, why: &'static str) {
        self.warm += u16::from(matches!(slot.purpose, Purpose::Spare { .. }));
        self.leave(slot, why);
    }

    /// A slot whose VM is on its way out.
    pub fn goes(&mut self, slot: &Slot, why: &'static str) {
        self.going += 1;
        self.leave(slot, why);
    }

    pub fn leave(&mut self, slot: &Slot, why: &'static str) {
        self.plan.left_alone.push(LeftAlone { what: slot.runner.to_string(), why });
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod queue_tests;

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
