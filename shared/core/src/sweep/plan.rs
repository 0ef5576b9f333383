//! The planner: an ordered list of named steps over the observed world, each saying what it does and why, or why it
//! leaves something alone.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Observed, PoolLedger, Sighting, Vm, VmState, World};
use crate::ids::{JobId, PoolName, RunnerName, SlotIndex};
use crate::job::{JobState, Waiting};
use crate::policy::{Policy, Pool, Timing};
use crate::slot::{Phase, Purpose, Slot, earlier};

/// What is to be done, in this order, and what is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be done.
    pub steps: Vec<Step>,
    /// Not to be done, and why.
    pub left_alone: Vec<LeftAlone>,
}

/// One thing to do, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// For whom.
    pub pool: PoolName,
    /// What.
    pub action: Action,
    /// Why, for people.
    pub why: &'static str,
}

/// Something that looks as if something were to be done, and why it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftAlone {
    /// What: a runner's or VM's name.
    pub what: String,
    /// Why.
    pub why: &'static str,
}

/// What can be done. Each leaves the executor no choice but how far it gets; each is conditional on the ledger still
/// saying what it said when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The slot's VM is gone: its registration goes as well, if it is still there, and the slot goes on.
    Release {
        /// The slot as it was observed.
        slot: Slot,
        /// Who gets it.
        next: Next,
    },
    /// Nothing runs on the slot's VM any more: it is deleted.
    Delete {
        /// The slot as it was observed.
        slot: Slot,
    },
    /// The runner is not needed: GitHub is asked to delete its registration, and only if it agrees the VM goes.
    Retire {
        /// The slot as it was observed.
        slot: Slot,
    },
    /// A VM of a reserved slot exists although nobody recorded its create: it is recorded now.
    Adopt {
        /// The slot as it was observed.
        slot: Slot,
        /// Its VM.
        vm: Vm,
    },
    /// The slot's runner is meant for a job that is over: it is spare from now on.
    Spare {
        /// The slot as it was observed.
        slot: Slot,
    },
    /// A job that counted on this runner when another took it queues again, unless it was seen to already.
    Settle {
        /// The slot as it was observed.
        slot: Slot,
        /// The job that was left without a runner.
        job: JobId,
    },
    /// A spare runner serves a waiting job.
    Assign {
        /// The slot as it was observed.
        slot: Slot,
        /// The job.
        waiting: Waiting,
    },
    /// A free slot is taken for a waiting job.
    Serve {
        /// The slot.
        index: SlotIndex,
        /// The job.
        waiting: Waiting,
    },
    /// A VM with our marks that no slot knows: GitHub is asked to delete a registration of its name, and only if it
    /// agrees, or knows none, the VM goes.
    Sweep {
        /// The VM.
        vm: Vm,
    },
}

/// Who gets a slot whose VM is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The job it was taken for, which still needs a runner.
    Own(JobId),
    /// A waiting job.
    Waiting(Waiting),
    /// Nobody: the slot is beyond the pool's limit, and the job it was taken for queues again.
    Requeue(JobId),
    /// Nobody: the slot is free.
    Nobody,
}

/// Whether a slot's job still counts on it.
enum Claim {
    /// This job does.
    Held(JobId),
    /// None does.
    Void,
    /// The table could not be asked.
    Unknown,
}

/// The jobs whose state the plan depends on: those of slots that are not plainly in order. Asked for in batches; a
/// busy pool in good order asks for none.
pub fn jobs_in_question(policy: &Policy, world: &World) -> Vec<JobId> {
    let checked = earlier(world.now, policy.timing.check_after);
    let doubtful = |slot: &Slot| match slot.phase {
        Phase::Busy { .. } => {
            !matches!(sight(world, slot), Sighting::There(vm) if vm.state == VmState::Running)
        }
        Phase::Deleting { .. } => true,
        Phase::Reserved | Phase::Booting { .. } | Phase::Idle { .. } => {
            slot.since() <= checked
                || stale(slot, world.now, policy.timing.step_timeout)
                || !matches!(sight(world, slot), Sighting::There(_))
        }
    };
    let slots = world.pools.iter().flat_map(|pool| &pool.slots);
    slots.filter(|slot| doubtful(slot)).filter_map(|slot| slot.purpose.job()).collect()
}

/// What repairs the world. Pure: the same world gives the same plan.
pub fn plan(policy: &Policy, world: &World) -> Plan {
    let mut plan = Plan::default();
    for ledger in &world.pools {
        let Some(pool) = policy.pool(&ledger.pool) else { continue };
        let held = ledger.github_until.is_some_and(|until| until > world.now);
        let mut planner = Planner {
            world,
            pool,
            timing: &policy.timing,
            held,
            queue: if held { [].iter() } else { ledger.waiting.iter() },
            queued: ledger.waiting.iter().map(|waiting| waiting.job).collect(),
            plan: &mut plan,
        };
        planner.slots(ledger);
        planner.free_slots(ledger);
    }
    orphans(policy, world, &mut plan);
    plan
}

struct Planner<'a, 'plan> {
    world: &'a World,
    pool: &'a Pool,
    timing: &'a Timing,
    /// GitHub asked to be left alone: no runner can be registered.
    held: bool,
    queue: std::slice::Iter<'a, Waiting>,
    queued: BTreeSet<JobId>,
    plan: &'plan mut Plan,
}

impl<'a> Planner<'a, '_> {
    fn slots(&mut self, ledger: &'a PoolLedger) {
        let mut spares_kept = 0;
        for slot in &ledger.slots {
            if let Some(job) = slot.displaced {
                self.displaced(slot, job);
                continue;
            }
            let sighting = sight(self.world, slot);
            match &slot.phase {
                Phase::Reserved => self.reserved(slot, sighting),
                Phase::Booting { .. } | Phase::Idle { .. } => self.ready(slot, sighting, &mut spares_kept),
                Phase::Busy { .. } => self.busy(slot, sighting),
                Phase::Deleting { watched_until, .. } => self.deleting(slot, sighting, *watched_until),
            }
        }
    }

    /// First things first: whatever else is to be done with the slot waits until the job is seen to.
    fn displaced(&mut self, slot: &Slot, job: JobId) {
        if stale(slot, self.world.now, self.timing.step_timeout) {
            self.act(
                Action::Settle { slot: slot.clone(), job },
                "its runner took another job than was meant",
            );
        } else {
            self.leave(slot, "the job that it was meant for is being seen to");
        }
    }

    fn reserved(&mut self, slot: &Slot, sighting: Sighting<'_>) {
        if !stale(slot, self.world.now, self.timing.step_timeout) {
            return self.leave(slot, "it is being provisioned");
        }
        match sighting {
            Sighting::Unknown => self.leave(slot, "its provider could not be asked whether its VM exists"),
            Sighting::Gone(_) => self.release(slot, "provisioning was not finished"),
            Sighting::There(vm) if vm.state == VmState::Running => {
                self.act(Action::Adopt { slot: slot.clone(), vm: vm.clone() }, "its VM exists, unrecorded");
            }
            Sighting::There(_) => {
                self.act(Action::Delete { slot: slot.clone() }, "its VM stopped before its runner started");
            }
        }
    }

    /// A booting or idle runner.
    fn ready(&mut self, slot: &Slot, sighting: Sighting<'_>, spares_kept: &mut u16) {
        match sighting {
            Sighting::Unknown => return self.leave(slot, "its provider could not be asked about its VM"),
            Sighting::Gone(asked) if slot.since() >= earlier(asked, self.timing.step_timeout) => {
                return self.leave(slot, "its VM is too new to be in the list");
            }
            Sighting::Gone(_) => return self.release(slot, "its VM vanished"),
            Sighting::There(vm) if vm.state != VmState::Running => {
                return self
                    .act(Action::Delete { slot: slot.clone() }, "its VM stopped without having run a job");
            }
            Sighting::There(_) => {}
        }
        let booting = matches!(slot.phase, Phase::Booting { .. });
        let awaited = booting && slot.purpose.job().is_some();
        if awaited && stale(slot, self.world.now, self.pool.boot_timeout) {
            return self
                .act(Action::Retire { slot: slot.clone() }, "its runner took no job within boot_timeout");
        }
        match slot.purpose {
            Purpose::Job(_) => {
                if matches!(self.claim(slot), Claim::Void) {
                    self.act(Action::Spare { slot: slot.clone() }, "its job no longer counts on it");
                }
            }
            Purpose::Spare { since } => self.spare(slot, since, spares_kept),
        }
    }

    fn spare(&mut self, slot: &Slot, since: Timestamp, spares_kept: &mut u16) {
        if let Some(waiting) = self.queue.next() {
            let action = Action::Assign { slot: slot.clone(), waiting: waiting.clone() };
            self.act(action, "a job waits and this runner is spare");
        } else if *spares_kept < self.pool.min_runners {
            *spares_kept += 1;
            self.leave(slot, "it is kept warm");
        } else if since <= earlier(self.world.now, self.pool.idle_timeout) {
            self.act(Action::Retire { slot: slot.clone() }, "it was spare for longer than idle_timeout");
        } else {
            self.leave(slot, "it is spare, within idle_timeout");
        }
    }

    fn busy(&mut self, slot: &Slot, sighting: Sighting<'_>) {
        match sighting {
            Sighting::There(vm) if vm.state == VmState::Stopped => {
                self.act(Action::Delete { slot: slot.clone() }, "its VM has powered off: its job is over");
            }
            Sighting::There(_) => {}
            Sighting::Gone(asked) if slot.since() < earlier(asked, self.timing.step_timeout) => {
                self.release(slot, "its VM vanished while its job ran");
            }
            Sighting::Gone(_) => self.leave(slot, "its VM is too new to be in the list"),
            Sighting::Unknown => self.leave(slot, "its provider could not be asked about its VM"),
        }
    }

    fn deleting(&mut self, slot: &Slot, sighting: Sighting<'_>, watched_until: Option<Timestamp>) {
        match sighting {
            Sighting::Unknown => self.leave(slot, "its provider could not be asked whether its VM is gone"),
            _ if watched_until.is_some_and(|until| until > self.world.now) => {
                self.leave(slot, "an invocation waits for its VM to be gone");
            }
            // A list that was asked for before the deletion began proves nothing about its end.
            Sighting::Gone(asked) if asked < slot.since() => self.leave(slot, "its VM is being deleted"),
            Sighting::Gone(_) => self.release(slot, "its VM is gone"),
            Sighting::There(vm) if vm.state == VmState::Going => self.leave(slot, "its VM is being deleted"),
            Sighting::There(_) if !stale(slot, self.world.now, self.timing.step_timeout) => {
                self.leave(slot, "its deletion is being asked for");
            }
            Sighting::There(_) => {
                self.act(
                    Action::Delete { slot: slot.clone() },
                    "its VM was to be deleted and is still there",
                );
            }
        }
    }

    /// The slot's VM is gone: its own job comes first, if it still needs a runner, then the oldest waiting one.
    fn release(&mut self, slot: &Slot, why: &'static str) {
        let within = slot.runner.slot().0 < self.pool.max_runners.get();
        let next = match self.claim(slot) {
            Claim::Unknown => {
                return self.leave(slot, "the table could not be asked whether its job is over");
            }
            Claim::Held(_) if within && self.held => {
                return self.leave(slot, "GitHub asked to be left alone for a while");
            }
            Claim::Held(job) if within => Next::Own(job),
            Claim::Held(job) => Next::Requeue(job),
            Claim::Void if within => self.queue.next().cloned().map_or(Next::Nobody, Next::Waiting),
            Claim::Void => Next::Nobody,
        };
        self.act(Action::Release { slot: slot.clone(), next }, why);
    }

    fn claim(&self, slot: &Slot) -> Claim {
        let Purpose::Job(job) = slot.purpose else { return Claim::Void };
        match self.world.jobs.get(&job) {
            None => Claim::Unknown,
            Some(Some(JobState::Assigned { slot: index })) if *index == slot.runner.slot() => {
                Claim::Held(job)
            }
            // Taken from the queue, by somebody who did not live to write it into the job.
            Some(Some(JobState::Waiting)) if !self.queued.contains(&job) => Claim::Held(job),
            Some(_) => Claim::Void,
        }
    }

    fn free_slots(&mut self, ledger: &PoolLedger) {
        for index in free(ledger, self.pool.max_runners) {
            let Some(waiting) = self.queue.next() else { return };
            let action = Action::Serve { index, waiting: waiting.clone() };
            self.act(action, "a job waits and a slot is free");
        }
    }

    fn act(&mut self, action: Action, why: &'static str) {
        self.plan.steps.push(Step { pool: self.pool.name.clone(), action, why });
    }

    fn leave(&mut self, slot: &Slot, why: &'static str) {
        self.plan.left_alone.push(LeftAlone { what: slot.runner.to_string(), why });
    }
}

/// The VMs that no slot knows, older than the grace that a create in flight needs.
fn orphans(policy: &Policy, world: &World, plan: &mut Plan) {
    let slots = world.pools.iter().flat_map(|pool| &pool.slots);
    let known: BTreeSet<&str> = slots.map(|slot| slot.runner.as_str()).collect();
    let swept: BTreeSet<&PoolName> = world.pools.iter().map(|ledger| &ledger.pool).collect();
    for vm in world.vms.values().flat_map(|observed| match observed {
        Observed::Known { value, .. } => value.as_slice(),
        Observed::Unknown { .. } => &[],
    }) {
        if known.contains(vm.name.as_str()) || vm.state == VmState::Going {
            continue;
        }
        let mut leave = |why| plan.left_alone.push(LeftAlone { what: vm.name.clone(), why });
        let Some(runner) = RunnerName::parse(&policy.deployment, &vm.name) else {
            leave("it has this deployment's marks, but no name that Mayfly gives");
            continue;
        };
        // A pool whose part of the table was not read may well know this VM.
        if policy.pool(runner.pool()).is_some() && !swept.contains(runner.pool()) {
            leave("the table could not be asked whether a slot knows it");
        } else if vm.created_at.is_none_or(|at| at > earlier(world.now, policy.timing.orphan_grace)) {
            leave("no slot knows it, but its create may be in flight");
        } else {
            let pool = runner.pool().clone();
            plan.steps.push(Step {
                pool,
                action: Action::Sweep { vm: vm.clone() },
                why: "no slot knows this VM",
            });
        }
    }
}

fn sight<'a>(world: &'a World, slot: &Slot) -> Sighting<'a> {
    world.sight(slot.runner.as_str(), slot.phase.machine().map(|machine| &machine.vm))
}

fn stale(slot: &Slot, now: Timestamp, wait: Duration) -> bool {
    slot.since() <= earlier(now, wait)
}

fn free(ledger: &PoolLedger, max_runners: NonZeroU16) -> impl Iterator<Item = SlotIndex> + use<> {
    let taken: BTreeSet<SlotIndex> = ledger.slots.iter().map(|slot| slot.runner.slot()).collect();
    (0..max_runners.get()).map(SlotIndex).filter(move |index| !taken.contains(index))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
