//! One slot: what its phase, its VM and its runner ask for.

use std::time::Duration;

use jiff::Timestamp;

use super::plan::Action;
use super::pool::{Claim, PoolPlanner};
use super::world::{Presence, Sighting, Vm, VmState};
use crate::event::Change;
use crate::ids::{JobId, ProviderName};
use crate::job::JobState;
use crate::making::MakingStep;
use crate::slot::{Phase, Purpose, Slot, earlier, later};

/// Why a VM that is off is left alone.
const OFF_BEFORE: &str = "its VM may have been started since it was listed as off";

impl<'a> PoolPlanner<'a, '_> {
    pub fn slot(&mut self, slot: &'a Slot) {
        if let Some(job) = slot.displaced {
            return self.displaced(slot, job);
        }
        let sighting = self.index.vm_of(slot);
        if self.is_past_its_life(slot, sighting) {
            return self.delete(slot, "its VM has outlived max_lifetime");
        }
        match &slot.phase {
            Phase::Reserved => self.reserved(slot, sighting),
            Phase::Creating { leased_until, .. } => self.creating(slot, sighting, *leased_until),
            Phase::Booting { .. } | Phase::Idle { .. } => self.ready(slot, sighting),
            Phase::Busy { .. } => self.busy(slot, sighting),
            Phase::Deleting { watched_until, .. } => self.deleting(slot, sighting, *watched_until),
        }
    }

    /// First things first: whatever else is to be done with the slot waits until the job is seen to.
    fn displaced(&mut self, slot: &Slot, job: JobId) {
        self.going += usize::from(matches!(slot.phase, Phase::Deleting { .. }));
        if self.is_stale(slot, self.timing.step_timeout) {
            let action = Action::Settle { slot: slot.clone(), job };
            self.act(action, "its runner took another job than was meant", slot.since());
        } else {
            self.leave(slot, "the job that it was meant for is being seen to");
        }
    }

    /// The provider ends a VM by itself at `max_lifetime`, counted from its start; who is still there after that is ended
    /// by us.
    fn is_past_its_life(&self, slot: &Slot, sighting: Sighting<'_>) -> bool {
        let Sighting::There(vm) = sighting else { return false };
        let made_at = vm.created_at.unwrap_or(slot.reserved_at);
        let end = later(later(made_at, self.pool.max_lifetime), self.timing.step_timeout);
        let going = vm.state == VmState::Going || matches!(slot.phase, Phase::Deleting { .. });
        !going && end <= self.now
    }

    fn reserved(&mut self, slot: &'a Slot, sighting: Sighting<'_>) {
        if !self.is_stale(slot, self.timing.step_timeout) {
            return self.stays(slot, "it is being provisioned");
        }
        match sighting {
            Sighting::Unknown => self.stays(slot, "its provider could not be asked whether its VM exists"),
            Sighting::Gone(_) => self.release(slot, "provisioning was not finished"),
            // One that is made in steps is off until somebody starts it.
            Sighting::There(vm) if vm.state == VmState::Running || self.is_made_in_steps(vm) => {
                self.warm += u16::from(slot.purpose.job().is_none());
                let action = Action::Adopt { slot: slot.clone(), vm: vm.clone() };
                self.act(action, "its VM exists, unrecorded", slot.since());
            }
            Sighting::There(_) => self.delete(slot, "its VM stopped before its runner started"),
        }
    }

    fn is_made_in_steps(&self, vm: &Vm) -> bool {
        self.has_steps(&vm.place.provider)
    }

    /// Whether a provider makes VMs in steps.
    fn has_steps(&self, provider: &ProviderName) -> bool {
        let mut placements = self.pool.placements.iter();
        placements.any(|placement| placement.provider == *provider && placement.proxmox().is_some())
    }

    /// A VM that is made in steps: it is taken further where nobody is at it, as long as there is time for it.
    fn creating(&mut self, slot: &'a Slot, sighting: Sighting<'_>, leased_until: Timestamp) {
        let leased = leased_until >= self.now;
        match sighting {
            Sighting::Unknown => return self.out_of_sight(slot),
            Sighting::Gone(_) if leased => return self.stays(slot, "its VM is being made"),
            // A list may be behind, and give an id that is used again its old name.
            Sighting::Gone(asked) if asked <= later(leased_until, self.timing.step_timeout) => {
                return self.stays(slot, "its VM may be too new to be in the list");
            }
            Sighting::Gone(_) => return self.release(slot, "its VM could not be made"),
            Sighting::There(_) => {}
        }
        if leased {
            return self.at_work(slot);
        }
        let advance = Action::Advance { slot: slot.clone() };
        // Sweeps may be further apart than that: it is only late when somebody has looked at it since.
        let looked = leased_until >= later(slot.since(), self.pool.boot_timeout);
        let overdue = self.is_overdue(slot) && looked || self.is_removed();
        match self.index.runner(&self.pool.scope, slot.runner.as_str()) {
            Presence::Busy | Presence::Idle => {
                self.act(advance, "GitHub sees its runner, of which nobody has recorded", slot.since());
            }
            Presence::Unknown if overdue => {
                self.stays(slot, "GitHub could not be asked whether its runner is online");
            }
            Presence::Offline | Presence::Absent(_) if self.is_removed() => {
                self.retire(slot, "its pool is configured no more, and its VM is not made yet");
            }
            Presence::Offline | Presence::Absent(_) if overdue => self.failed_boot(slot),
            Presence::Offline | Presence::Absent(_) | Presence::Unknown => self.half_made(slot, advance),
        }
    }

    /// A VM that is made in steps, while somebody is at it.
    fn at_work(&mut self, slot: &'a Slot) {
        let busy = self.index.runner(&self.pool.scope, slot.runner.as_str()) == Presence::Busy;
        match slot.purpose {
            Purpose::Spare { .. } if !busy => self.spares.push(slot),
            Purpose::Job(_) if matches!(self.claim(slot), Claim::Void) => self.becomes_spare(slot),
            Purpose::Spare { .. } | Purpose::Job(_) => self.leave(slot, "its VM is being made"),
        }
    }

    /// A VM that is made in steps, and that nobody is at.
    fn half_made(&mut self, slot: &'a Slot, advance: Action) {
        match slot.purpose {
            Purpose::Spare { .. } if self.is_drained() => return self.spares.push(slot),
            Purpose::Spare { .. } => self.warm += 1,
            Purpose::Job(_) if matches!(self.claim(slot), Claim::Void) => return self.becomes_spare(slot),
            Purpose::Job(_) => {}
        }
        self.act(advance, "nobody is at its VM, which is half made", slot.since());
    }

    fn becomes_spare(&mut self, slot: &Slot) {
        self.act(Action::Spare { slot: slot.clone() }, "its job no longer counts on it", slot.since());
    }

    /// A booting or idle runner.
    fn ready(&mut self, slot: &'a Slot, sighting: Sighting<'_>) {
        match sighting {
            Sighting::Unknown => return self.out_of_sight(slot),
            Sighting::Gone(asked) if self.is_newer(slot, asked) => {
                return self.stays(slot, "its VM is too new to be in the list");
            }
            Sighting::Gone(_) => return self.release(slot, "its VM vanished"),
            Sighting::There(vm) if vm.state != VmState::Running => {
                if self.may_run_by_now(slot, vm) {
                    return self.stays(slot, OFF_BEFORE);
                }
                return self.stopped_early(slot);
            }
            Sighting::There(_) => {}
        }
        let booting = matches!(slot.phase, Phase::Booting { .. });
        let presence = self.index.runner(&self.pool.scope, slot.runner.as_str());
        match presence {
            Presence::Busy => return self.unexpectedly_busy(slot),
            Presence::Idle if booting => {
                let action = Action::Online { slot: slot.clone() };
                self.act(action, "GitHub sees its runner", slot.since());
            }
            Presence::Offline | Presence::Absent(_) if booting => {
                if self.is_overdue(slot) {
                    return self.failed_boot(slot);
                }
            }
            Presence::Absent(asked) if !self.is_newer(slot, asked) => {
                return self.retire(slot, "GitHub has dropped its runner");
            }
            Presence::Offline if self.is_stale(slot, self.timing.check_after) => {
                return self.retire(slot, "its runner is offline");
            }
            Presence::Unknown if booting && self.is_overdue(slot) => {
                return self.stays(slot, "GitHub could not be asked whether its runner is online");
            }
            Presence::Idle | Presence::Offline | Presence::Absent(_) | Presence::Unknown => {}
        }
        match slot.purpose {
            Purpose::Job(job) => self.meant_for(slot, job, presence),
            Purpose::Spare { .. } => self.spares.push(slot),
        }
    }

    fn meant_for(&mut self, slot: &Slot, job: JobId, presence: Presence) {
        if matches!(self.claim(slot), Claim::Void) {
            return self.becomes_spare(slot);
        }
        let queued = matches!(self.index.told(job), Some(Change::Queued));
        if !queued || !matches!((&slot.phase, presence), (Phase::Idle { .. }, Presence::Idle)) {
            return;
        }
        let why = "GitHub gives its runner no job, though its own is queued: does the runner group admit the repository?";
        if self.is_stale(slot, self.pool.idle_timeout) {
            // Another VM may fare no better, so it counts as a boot that failed: the pool is tried with care.
            self.fail(slot, why);
        } else {
            self.leave(slot, why);
        }
    }

    /// The event that tells which job the runner took may be on its way; when it is not, whoever counted on the runner
    /// queues again.
    fn unexpectedly_busy(&mut self, slot: &Slot) {
        if !self.is_stale(slot, self.timing.check_after) {
            return self.leave(slot, "its runner has taken a job, of which no event has told yet");
        }
        let elsewhere = match slot.purpose {
            Purpose::Spare { .. } => true,
            Purpose::Job(job) => matches!(self.index.told(job), Some(Change::Queued | Change::Held)),
        };
        if elsewhere {
            let action = Action::Taken { slot: slot.clone() };
            self.act(action, "GitHub says that its runner is busy", slot.since());
        } else {
            self.leave(slot, "its runner is busy; which job it runs is not known yet");
        }
    }

    fn failed_boot(&mut self, slot: &Slot) {
        let why = match &slot.phase {
            Phase::Creating { step: MakingStep::Cloning { .. }, .. } => {
                "its template was not cloned within boot_timeout"
            }
            Phase::Creating { step: MakingStep::Starting, .. } => {
                "its VM was not started within boot_timeout"
            }
            Phase::Creating { step: MakingStep::WaitingForAgent, .. } => {
                "its guest agent did not answer within boot_timeout"
            }
            Phase::Reserved
            | Phase::Booting { .. }
            | Phase::Idle { .. }
            | Phase::Busy { .. }
            | Phase::Deleting { .. } => "its runner did not come online within boot_timeout",
        };
        if self.others_came_up(slot) { self.retire(slot, why) } else { self.fail(slot, why) }
    }

    /// Retires a runner whose VM was made in vain.
    fn fail(&mut self, slot: &Slot, why: &'static str) {
        let failed_boot = Some(format!("{}: {why}", slot.runner));
        self.act(Action::Retire { slot: self.as_seen(slot), failed_boot }, why, slot.since());
    }

    /// A VM that powered off before it ran a job. When its runner is still registered, and was never online, the guest
    /// failed; otherwise it may have run one of which no event has told yet.
    fn stopped_early(&mut self, slot: &Slot) {
        let why = "its VM stopped, and no event told of a job there";
        let presence = self.index.runner(&self.pool.scope, slot.runner.as_str());
        let failed = matches!((&slot.phase, presence), (Phase::Booting { .. }, Presence::Offline));
        if failed && !self.others_came_up(slot) {
            let action = Action::BootFailed { why: format!("{}: {why}", slot.runner) };
            self.act(action, "its VM stopped before its runner came online", slot.since());
        }
        self.delete(slot, why);
    }

    fn busy(&mut self, slot: &'a Slot, sighting: Sighting<'_>) {
        match sighting {
            Sighting::There(vm) if vm.state == VmState::Stopped && self.may_run_by_now(slot, vm) => {
                self.leave(slot, OFF_BEFORE);
            }
            Sighting::There(vm) if vm.state == VmState::Stopped => {
                self.delete(slot, "its VM has powered off: its job is over");
            }
            Sighting::There(_) => self.running(slot),
            Sighting::Gone(asked) if self.is_newer(slot, asked) => {
                self.leave(slot, "its VM is too new to be in the list");
            }
            Sighting::Gone(_) => self.release(slot, "its VM vanished while its job ran"),
            Sighting::Unknown => self.leave(slot, "its provider could not be asked about its VM"),
        }
    }

    /// A VM that runs while its runner does not: its job may be over, and the event that told of it lost.
    fn running(&mut self, slot: &Slot) {
        let absent = match self.index.runner(&self.pool.scope, slot.runner.as_str()) {
            Presence::Busy | Presence::Unknown => return,
            Presence::Absent(_) => true,
            Presence::Idle | Presence::Offline => false,
        };
        if !self.is_stale(slot, self.timing.check_after) {
            return;
        }
        let over = match slot.purpose {
            // Nobody knows its job, so nobody will tell of its end; GitHub refuses if it is busy after all.
            Purpose::Spare { .. } => absent || self.is_stale(slot, self.pool.idle_timeout),
            Purpose::Job(job) => self.is_over(job),
        };
        if over {
            self.retire(slot, "its runner is done: its job is over");
        } else {
            self.leave(slot, "its runner is not busy, but its job is not known to be over");
        }
    }

    /// Whether the table has the job as over, or forgotten.
    pub fn is_over(&self, job: JobId) -> bool {
        let record = self.index.world.jobs.get(&job);
        record.is_some_and(|record| record.as_ref().is_none_or(|job| job.state == JobState::Done))
    }

    /// A runner on its way whose VM nobody can look at. Its slot stays taken, since the VM may come back; its job need not
    /// wait for that when the time for it is up, and GitHub says that it did not start there.
    fn out_of_sight(&mut self, slot: &Slot) {
        let absent = |presence| matches!(presence, Presence::Offline | Presence::Absent(_));
        let overdue = self.is_overdue(slot) && slot.lease().is_none_or(|it| it < self.now);
        if let (true, Claim::Held(job)) = (overdue, self.claim(slot))
            && absent(self.index.runner(&self.pool.scope, slot.runner.as_str()))
        {
            let action = Action::Settle { slot: slot.clone(), job };
            return self.act(action, "nobody can look at its VM, and its time is up", slot.since());
        }
        self.stays(slot, "its provider could not be asked about its VM");
    }

    /// The job that counts on a VM which is to go and does not: it need not wait for that.
    fn is_stuck(&self, slot: &Slot) -> Option<JobId> {
        match self.claim(slot) {
            Claim::Held(job) if self.is_stale(slot, self.timing.step_timeout) => Some(job),
            Claim::Held(_) | Claim::Void | Claim::Unknown => None,
        }
    }

    fn deleting(&mut self, slot: &'a Slot, sighting: Sighting<'_>, watched_until: Option<Timestamp>) {
        let is_there = !matches!(sighting, Sighting::Gone(_));
        let watched = watched_until.is_some_and(|until| until > self.now);
        if let Some(job) = self.is_stuck(slot).filter(|_| is_there && !watched) {
            self.going += 1;
            let action = Action::Settle { slot: slot.clone(), job };
            return self.act(action, "its VM does not go, and its job need not wait for that", slot.since());
        }
        match sighting {
            Sighting::Unknown => self.goes(slot, "its provider could not be asked whether its VM is gone"),
            _ if watched => self.goes(slot, "an invocation waits for its VM to be gone"),
            // A list that was asked for before the deletion began proves nothing about its end.
            Sighting::Gone(asked) if asked < slot.since() => self.goes(slot, "its VM is being deleted"),
            Sighting::Gone(_) => self.release(slot, "its VM is gone"),
            Sighting::There(vm) if vm.state == VmState::Going => self.goes(slot, "its VM is being deleted"),
            Sighting::There(_) if !self.is_stale(slot, self.timing.step_timeout) => {
                self.goes(slot, "its deletion is being asked for");
            }
            Sighting::There(_) => self.delete(slot, "its VM was to be deleted and is still there"),
        }
    }

    fn delete(&mut self, slot: &Slot, why: &'static str) {
        self.act(Action::Delete { slot: self.as_seen(slot) }, why, slot.since());
    }

    fn retire(&mut self, slot: &Slot, why: &'static str) {
        self.act(Action::Retire { slot: self.as_seen(slot), failed_boot: None }, why, slot.since());
    }

    /// Whether the slot is in its phase for longer than that.
    fn is_stale(&self, slot: &Slot, wait: Duration) -> bool {
        slot.since() <= earlier(self.now, wait)
    }

    /// Whether its runner should have been seen by GitHub by now. A VM that is made in steps was asked for long before it
    /// was handed over.
    fn is_overdue(&self, slot: &Slot) -> bool {
        let in_steps = slot.phase.machine().is_some_and(|machine| self.has_steps(&machine.vm.provider));
        let booting = matches!(slot.phase, Phase::Booting { .. });
        let asked_for = if booting && in_steps { slot.reserved_at } else { slot.since() };
        later(asked_for, self.pool.boot_timeout) <= self.now
    }

    /// Whether a VM that was listed as off may have been started since: one that is made in steps is off at first, and its
    /// provider's list is behind.
    fn may_run_by_now(&self, slot: &Slot, vm: &Vm) -> bool {
        let asked = self.index.asked(&vm.place.provider);
        self.is_made_in_steps(vm) && asked.is_none_or(|asked| self.is_newer(slot, asked))
    }

    /// Whether a list that was asked for then may lack what belongs to the slot, as too new.
    fn is_newer(&self, slot: &Slot, asked: Timestamp) -> bool {
        slot.since() >= earlier(asked, self.timing.step_timeout)
    }
}

#[cfg(test)]
#[path = "counting_tests.rs"]
mod counting_tests;

#[cfg(test)]
#[path = "creating_tests.rs"]
mod creating_tests;

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
