//! Deleting VMs.

use jiff::Timestamp;

use super::clone::locked;
use super::routes::At;
use super::tasks::{NewTask, TaskKind};
use super::vm::{Lock, Power};
use super::{Outcome, failure};
use crate::world::World;
use crate::world::history::HappeningKind;
use crate::world::ids::VmId;

impl World {
    /// A VM that is missing or running is refused at once; one that is locked, by the task.
    pub(crate) fn delete_lab_vm(&mut self, now: Timestamp, at: &At) -> Outcome {
        let vm = self.lab_vm_at(at)?;
        if vm.holds_memory() {
            return Err(failure(format!("VM {} is running - destroy failed", at.vmid)));
        }
        let (id, doom) = (vm.id, vm.lock.map(locked));
        let takes =
            if doom.is_some() { self.quickly() } else { self.around(self.settings.timing.pve_delete) };
        if doom.is_none() {
            self.check_touched(now, id, "a deletion");
            self.check_ended(now, id);
            self.lock_for_deletion(now, id, "through the API");
        }
        let log = Vec::new();
        let kind = TaskKind::Delete;
        let new = NewTask { node: &at.node, vmid: at.vmid, kind, target: Some(id), takes, doom, log };
        Ok(self.begin_task(now, new))
    }

    /// From now on nobody else may change it.
    pub(crate) fn lock_for_deletion(&mut self, now: Timestamp, id: VmId, why: &str) {
        let Some(vm) = self.proxmox.vms.get_mut(&id) else { return };
        vm.lock = Some(Lock::Destroyed);
        vm.switch(now, Power::Off);
        let text = format!("{} is being deleted {why}", vm.name());
        self.note(now, HappeningKind::VmDeleting, text);
        self.guest_dies(now, id);
    }

    /// Its configuration is gone, and its id is free for anyone.
    pub(crate) fn remove_lab_vm(&mut self, now: Timestamp, id: VmId, kind: HappeningKind) {
        self.guest_dies(now, id);
        let Some(vm) = self.proxmox.take_vm(id) else { return };
        self.note(now, kind, format!("{} ({}) is gone from {}", vm.name(), vm.vmid, vm.node));
        self.proxmox.gone.push(vm.view(Some(now)));
    }
}
