//! A VM's way while it is on, its guest's own end, and nodes that come and go.

use jiff::Timestamp;

use super::vm::Power;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::history::HappeningKind;
use crate::world::ids::VmId;
use crate::world::timeline::{Due, after};

impl World {
    pub(crate) fn lab_vm_runs(&mut self, now: Timestamp, id: VmId) {
        let boot = self.around(self.settings.timing.boot) + self.faults.lab.agent_delay.unwrap_or_default();
        let Some(vm) = self.proxmox.vms.get_mut(&id) else { return };
        if vm.power != Power::Starting {
            return;
        }
        vm.switch(now, Power::On);
        vm.expires = None;
        let text = format!("{} runs on {}", vm.name(), vm.node);
        self.power_up(now, id, boot);
        self.note(now, HappeningKind::VmRunning, text);
    }

    pub(crate) fn start_fails(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.proxmox.vms.get_mut(&id) else { return };
        if vm.power == Power::Starting {
            vm.switch(now, Power::Off);
        }
    }

    /// The guest is up: its timer runs from now on.
    pub(crate) fn lab_guest_is_up(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.proxmox.vms.get_mut(&id) else { return };
        vm.booted = Some(now);
        self.set_lifetime(id);
    }

    /// The guest ends so long after its boot as it was told, or else as its template says.
    pub(crate) fn set_lifetime(&mut self, id: VmId) {
        let Some(vm) = self.proxmox.vms.get_mut(&id) else { return };
        let Some(booted) = vm.booted else { return };
        let expires = after(booted, vm.told_lifetime().unwrap_or(vm.max_lifetime));
        vm.expires = Some(expires);
        self.timeline.at(expires, Due::VmExpires(id));
    }

    /// The guest's timer powers it off, whatever runs.
    pub(crate) fn lab_vm_expires(&mut self, now: Timestamp, id: VmId) {
        let is_up = self.guest_state(id) != Guest::Down;
        let is_kept_on = self.inside(id).is_some_and(|inside| inside.is_kept_on);
        let Some(vm) = self.proxmox.vms.get(&id) else { return };
        if !vm.is_running() || !is_up || is_kept_on || vm.expires.is_none_or(|end| now < end) {
            return;
        }
        let takes = self.around(self.settings.timing.power_off);
        self.guest_dies(now, id);
        self.timeline.at(after(now, takes), Due::VmStops(id));
    }

    /// The VM is off. It stays until somebody deletes it.
    pub(crate) fn lab_vm_stops(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.proxmox.vms.get_mut(&id) else { return };
        if !vm.is_running() {
            return;
        }
        vm.switch(now, Power::Off);
        vm.booted = None;
        let text = format!("{} is stopped", vm.name());
        self.note(now, HappeningKind::VmStopped, text);
        self.guest_dies(now, id);
    }

    /// A node of the cluster goes down from one moment to the next, and its VMs and tasks with it, or comes back: its
    /// VMs are stopped then, and what its tasks had locked stays locked. False if there is no such node.
    pub fn set_node_online(&mut self, now: Timestamp, node: &str, online: bool) -> bool {
        self.advance(now);
        if self.settings.proxmox.node(node).is_none() {
            return false;
        }
        if online {
            self.proxmox.offline.remove(node);
            return true;
        }
        self.proxmox.offline.entry(node.to_owned()).or_insert(now);
        self.tasks_die(node);
        let inside = self.proxmox.vms.values().filter(|vm| vm.node == node && vm.holds_memory());
        let inside: Vec<VmId> = inside.map(|vm| vm.id).collect();
        for id in inside {
            self.start_fails(now, id);
            self.lab_vm_stops(now, id);
        }
        true
    }
}
