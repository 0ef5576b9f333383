//! What the world is like once a plan is carried out in full, with everybody doing what they are asked.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fixtures::{at, deployment, job, notice, provider};
use super::{Action, Asked, Next, Observed, Plan, Step, Vm, VmState, World};
use crate::event::{Change, JobEvent};
use crate::gate::Trouble;
use crate::ids::{CheckRunId, JobId, RunnerId, RunnerName, SlotIndex, nonce};
use crate::job::{Job, JobState, Waiting};
use crate::making::{Making, MakingStep};
use crate::notice::{Cause, Notice, Standing};
use crate::policy::Policy;
use crate::slot::{Phase, Purpose, Slot, SlotEvent, earlier};

/// The world after a plan for its one pool, at the same moment.
pub fn carry_out(policy: &Policy, world: &World, plan: &Plan) -> World {
    let placements = policy.pool(&world.pools[0].pool).map_or(&[][..], |pool| &pool.placements);
    let in_steps = placements.iter().any(|placement| placement.proxmox().is_some());
    let mut after = Aftermath { world: world.clone(), in_steps };
    for step in &plan.steps {
        after.carry_out(step);
    }
    after.world.pools[0].slots.sort_by_key(|slot| slot.runner.slot());
    after.world.pools[0].waiting.sort();
    after.world
}

struct Aftermath {
    world: World,
    /// Whether the pool's VMs are made in steps.
    in_steps: bool,
}

impl Aftermath {
    fn carry_out(&mut self, step: &Step) {
        let now = self.world.now;
        match &step.action {
            Action::Release { slot, next } => self.release(slot, next),
            Action::Delete { slot } => self.end(slot),
            Action::Retire { slot, failed_boot } => {
                if let Some(why) = failed_boot {
                    self.boot_failed(why);
                }
                self.end(slot);
            }
            Action::Adopt { slot, vm } => self.adopt(slot, vm),
            Action::Advance { slot } => self.advance(slot),
            Action::Online { slot } => self.happens(&slot.runner, &SlotEvent::Online),
            Action::Taken { slot } => self.taken(slot),
            Action::Spare { slot } => {
                self.change(&slot.runner, |slot| slot.purpose = Purpose::Spare { since: now })
            }
            Action::Settle { slot, job } => {
                self.change(&slot.runner, |slot| slot.displaced = None);
                let lost = JobState::Assigned { slot: slot.runner.slot() };
                let counts = |state: &JobState| *state == lost || *state == JobState::Waiting;
                if matches!(self.world.jobs.get(job), Some(Some(record)) if counts(&record.state)) {
                    self.queue_again(*job);
                }
            }
            Action::Assign { slot, waiting } => {
                self.change(&slot.runner, |slot| slot.purpose = Purpose::Job(waiting.job));
                self.dequeue(waiting.job);
                self.record(waiting.job, JobState::Assigned { slot: slot.runner.slot() });
            }
            Action::Serve { index, waiting } => self.start(*index, Purpose::Job(waiting.job)),
            Action::Warm { index } => self.start(*index, Purpose::Spare { since: now }),
            Action::Sweep { vm } => {
                self.delete(&vm.name);
                self.unregister(&vm.name);
            }
            Action::Unregister { runner, .. } => self.unregister(runner.as_str()),
            Action::Tell { event } => self.tell(event),
            Action::Requeue { job } => self.queue_again(*job),
            Action::Move { waiting, .. } => {
                self.dequeue(waiting.job);
                let record =
                    step.pool.clone().map(|pool| Job { pool, ..job(waiting.job.0, JobState::Waiting) });
                self.world.jobs.insert(waiting.job, record);
            }
            Action::Redeliver { hook, guid, times, .. } => {
                let asked = Asked { times: times + 1, at: now };
                let failures = self.world.deliveries.get_mut(hook);
                failures.map(|failures| failures.asked.insert(guid.clone(), asked));
            }
            Action::Drop { waiting } => self.dequeue(waiting.job),
            Action::Announce { waiting, cause, .. } => self.announce(waiting.job, *cause),
            Action::Amend { notice, cause, .. } => self.amend(notice.job, *cause),
            Action::Conclude { notice: said, .. } => {
                self.world.pools[0].notices.retain(|notice| notice.job != said.job);
            }
            Action::BootFailed { why } => self.boot_failed(why),
            Action::Recover => self.world.pools[0].state.boots = None,
            Action::Limit { limit } => self.world.pools[0].state.limit = Some(*limit),
        }
    }

    fn announce(&mut self, job: JobId, cause: Cause) {
        let notice = Notice { said_at: self.world.now, cause, ..notice(job.0) };
        self.world.pools[0].notices.push(notice);
    }

    fn amend(&mut self, job: JobId, cause: Cause) {
        let (said_at, standing) = (self.world.now, Standing::Made(CheckRunId(1)));
        let notices = self.world.pools[0].notices.iter_mut();
        notices.filter(|notice| notice.job == job).for_each(|notice| {
            *notice = Notice { cause, standing, said_at, ..notice.clone() };
        });
    }

    /// Recorded; one that is made in steps is then taken further by the next sweep.
    fn adopt(&mut self, slot: &Slot, vm: &Vm) {
        let vm = vm.place.clone();
        let event = if self.in_steps {
            let leased_until = earlier(self.world.now, Duration::from_secs(1));
            SlotEvent::Making(Making::Step {
                vm,
                step: MakingStep::Cloning { task: None },
                held: None,
                leased_until,
            })
        } else {
            SlotEvent::Placed { vm, runner_id: RunnerId(77), registered_at: None }
        };
        self.happens(&slot.runner, &event);
    }

    /// Taken further up to the end: its VM runs, and has its registration.
    fn advance(&mut self, slot: &Slot) {
        let Some(held) = slot.lease() else { return };
        let handed_over = Making::HandedOver { runner_id: RunnerId(77), registered_at: None, held };
        self.happens(&slot.runner, &SlotEvent::Making(handed_over));
        self.change_vm(slot.runner.as_str(), VmState::Running);
    }

    fn boot_failed(&mut self, why: &str) {
        let boots = &mut self.world.pools[0].state.boots;
        let failures = boots.as_ref().map_or(0, |trouble| trouble.failures) + 1;
        *boots = Some(Trouble { failures, at: self.world.now, why: why.to_owned() });
    }

    fn release(&mut self, slot: &Slot, next: &Next) {
        self.unregister(slot.runner.as_str());
        self.world.pools[0].slots.retain(|other| other.runner != slot.runner);
        let index = slot.runner.slot();
        match next {
            Next::Own(job) => self.take(index, Purpose::Job(*job)),
            Next::Waiting(waiting) => self.take(index, Purpose::Job(waiting.job)),
            Next::Requeue(job) => self.queue_again(*job),
            Next::Nobody => {}
        }
    }

    fn end(&mut self, slot: &Slot) {
        // Refused where it is in deletion already.
        self.happens(&slot.runner, &SlotEvent::Ended);
        self.unregister(slot.runner.as_str());
        self.delete(slot.runner.as_str());
    }

    fn taken(&mut self, slot: &Slot) {
        let since = self.world.now;
        self.change(&slot.runner, |slot| {
            slot.displaced = slot.purpose.job();
            slot.purpose = Purpose::Spare { since };
            slot.phase = Phase::Busy { machine: slot.phase.machine().cloned(), since };
        });
    }

    /// A free slot is taken, and one VM more is asked for.
    fn start(&mut self, index: SlotIndex, purpose: Purpose) {
        self.world.room.values_mut().for_each(|room| *room = room.saturating_sub(1));
        self.take(index, purpose);
    }

    /// A slot is taken, and its VM asked for: the next one may be tried.
    fn take(&mut self, index: SlotIndex, purpose: Purpose) {
        let (now, pool) = (self.world.now, self.world.pools[0].pool.clone());
        let runner = RunnerName::new(&deployment(), &pool, index, nonce(now, 7));
        self.world.pools[0].slots.push(Slot::reserved(runner, purpose, now));
        self.world.pools[0].state.creates = None;
        if let Purpose::Job(job) = purpose {
            self.dequeue(job);
            self.record(job, JobState::Assigned { slot: index });
        }
    }

    fn tell(&mut self, event: &JobEvent) {
        let own: Vec<Slot> = self.world.pools[0].slots.clone();
        let own = own.into_iter().find(|slot| slot.purpose == Purpose::Job(event.job));
        let (state, ran_on) = match &event.change {
            Change::Queued => return self.queue_again(event.job),
            Change::Held => (JobState::Held, None),
            Change::Started { runner } => (JobState::Running { slot: None }, runner.clone()),
            Change::Ended { .. } => (JobState::Done, None),
        };
        self.dequeue(event.job);
        self.record(event.job, state);
        let now = self.world.now;
        if let Some(name) = ran_on.and_then(|name| RunnerName::parse(&deployment(), &name)) {
            self.happens(&name, &SlotEvent::Started { job: event.job });
        }
        if let Some(slot) =
            own.filter(|slot| !matches!(slot.phase, Phase::Busy { .. } | Phase::Deleting { .. }))
        {
            self.change(&slot.runner, |slot| {
                if !matches!(slot.phase, Phase::Busy { .. }) {
                    slot.purpose = Purpose::Spare { since: now };
                }
            });
        }
    }

    fn happens(&mut self, runner: &RunnerName, event: &SlotEvent) {
        let now = self.world.now;
        self.change(runner, |slot| {
            if let Ok(next) = slot.apply(event, now) {
                *slot = next;
            }
        });
    }

    fn change(&mut self, runner: &RunnerName, change: impl FnOnce(&mut Slot)) {
        let slot = self.world.pools[0].slots.iter_mut().find(|slot| &slot.runner == runner);
        slot.map(change);
    }

    fn queue_again(&mut self, id: JobId) {
        self.dequeue(id);
        let record = job(id.0, JobState::Waiting);
        self.world.pools[0].waiting.push(Waiting { queued_at: at(0), ..record.waiting() });
        self.world.jobs.insert(id, Some(record));
    }

    fn dequeue(&mut self, job: JobId) {
        self.world.pools[0].waiting.retain(|waiting| waiting.job != job);
    }

    fn record(&mut self, id: JobId, state: JobState) {
        self.world.jobs.insert(id, Some(job(id.0, state)));
    }

    fn delete(&mut self, name: &str) {
        self.change_vm(name, VmState::Going);
    }

    fn change_vm(&mut self, name: &str, state: VmState) {
        if let Some(Observed::Known { value, .. }) = self.world.vms.get_mut(&provider()) {
            value.iter_mut().filter(|vm| vm.name == name).for_each(|vm| vm.state = state);
        }
    }

    fn unregister(&mut self, name: &str) {
        for list in self.world.runners.values_mut() {
            if let Observed::Known { value, .. } = list {
                value.retain(|runner| runner.name != name);
            }
        }
    }
}

/// How often each thing is to be done that takes something away.
pub fn removals(plans: &[Plan]) -> BTreeMap<String, u32> {
    let mut removals = BTreeMap::new();
    for step in plans.iter().flat_map(|plan| &plan.steps) {
        let what = match &step.action {
            Action::Delete { slot } | Action::Retire { slot, .. } => slot.runner.to_string(),
            Action::Sweep { vm } => vm.name.clone(),
            Action::Unregister { runner, .. } => format!("registration {runner}"),
            Action::Redeliver { guid, .. } => format!("delivery {guid}"),
            Action::Release { .. }
            | Action::Adopt { .. }
            | Action::Advance { .. }
            | Action::Online { .. }
            | Action::Taken { .. }
            | Action::Spare { .. }
            | Action::Settle { .. }
            | Action::Assign { .. }
            | Action::Serve { .. }
            | Action::Warm { .. }
            | Action::Tell { .. }
            | Action::Requeue { .. }
            | Action::Move { .. }
            | Action::Drop { .. }
            | Action::Announce { .. }
            | Action::Amend { .. }
            | Action::Conclude { .. }
            | Action::BootFailed { .. }
            | Action::Recover
            | Action::Limit { .. } => continue,
        };
        *removals.entry(what).or_default() += 1;
    }
    removals
}
