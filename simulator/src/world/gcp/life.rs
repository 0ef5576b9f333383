//! A VM's way from being asked for to being gone.

use jiff::Timestamp;

use super::vm::VmStatus;
use crate::world::World;
use crate::world::history::HappeningKind;
use crate::world::ids::VmId;
use crate::world::timeline::{Due, after};

impl World {
    pub(crate) fn vm_stages(&mut self, id: VmId) {
        if let Some(vm) = self.gcp.vms.get_mut(&id)
            && vm.status == VmStatus::Provisioning
        {
            vm.status = VmStatus::Staging;
        }
    }

    /// The operation found no machine or no quota: the VM vanishes.
    pub(crate) fn insert_failed(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.gcp.vms.get(&id) else { return };
        let text = format!("{} got no machine in {}", vm.name, vm.zone);
        self.note(now, HappeningKind::VmRefused, text);
        self.remove_vm(now, id);
    }

    pub(crate) fn vm_runs(&mut self, now: Timestamp, id: VmId) {
        let boot = self.rng.around(self.settings.timing.boot, self.settings.timing.jitter);
        let Some(vm) = self.gcp.vms.get_mut(&id) else { return };
        if vm.deleting {
            return;
        }
        vm.status = VmStatus::Running;
        vm.started = Some(now);
        if let Some(duration) = vm.max_run_duration() {
            self.timeline.at(after(now, duration), Due::VmExpires(id));
        }
        let text = format!("{} runs in {}", vm.name, vm.zone);
        self.power_up(now, id, boot);
        self.note(now, HappeningKind::VmRunning, text);
    }

    /// The VM's own end, `maxRunDuration` after it was started.
    pub(crate) fn instance_expires(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.gcp.vms.get(&id) else { return };
        let (started, duration) = (vm.started, vm.max_run_duration());
        // A VM that was stopped and started meanwhile has a later end.
        let is_due = started.zip(duration).is_some_and(|(start, duration)| after(start, duration) <= now);
        if vm.status != VmStatus::Running || !is_due {
            return;
        }
        let takes = self.settings.timing.delete;
        if vm.deletes_itself() {
            if self.begin_deletion(now, id, "by its own maxRunDuration") {
                self.timeline.at(after(now, takes), Due::VmVanishes(id));
            }
        } else {
            self.begin_stop(now, id);
            self.timeline.at(after(now, takes), Due::VmStops(id));
        }
    }

    /// The VM goes down and is being deleted; false if it was before. Who calls plans the end of it.
    pub(crate) fn begin_deletion(&mut self, now: Timestamp, id: VmId, why: &str) -> bool {
        let Some(vm) = self.gcp.vms.get_mut(&id) else { return false };
        if vm.deleting {
            return false;
        }
        vm.deleting = true;
        vm.status = VmStatus::Stopping;
        let text = format!("{} is being deleted {why}", vm.name);
        self.note(now, HappeningKind::VmDeleting, text);
        self.guest_dies(now, id);
        true
    }

    /// The VM is being stopped.
    pub(crate) fn begin_stop(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.gcp.vms.get_mut(&id) else { return };
        if vm.status != VmStatus::Terminated {
            vm.status = VmStatus::Stopping;
        }
        self.guest_dies(now, id);
    }

    /// The VM is off. It stays, TERMINATED, until somebody deletes it.
    pub(crate) fn instance_stops(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.gcp.vms.get_mut(&id) else { return };
        if vm.deleting || vm.status == VmStatus::Terminated {
            return;
        }
        vm.status = VmStatus::Terminated;
        let text = format!("{} is stopped", vm.name);
        self.note(now, HappeningKind::VmStopped, text);
        self.guest_dies(now, id);
    }

    pub(crate) fn remove_instance(&mut self, now: Timestamp, id: VmId) {
        self.guest_dies(now, id);
        let Some(vm) = self.gcp.take_vm(id) else { return };
        self.note(now, HappeningKind::VmGone, format!("{} is gone from {}", vm.name, vm.zone));
        self.gcp.gone.push(vm.view(Some(now)));
    }
}
