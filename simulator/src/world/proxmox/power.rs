//! Start, stop and shutdown. All they find wrong with a VM is told by their tasks.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::clone::locked;
use super::config::no_configuration;
use super::routes::At;
use super::shapes::Form;
use super::tasks::{NewTask, TaskKind};
use super::vm::{LabVm, Power};
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::ids::VmId;
use crate::world::violations::ViolationKind;

/// How long a shutdown waits for the guest when it is not told.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(60);

impl World {
    /// A duration as it comes out this time.
    pub(crate) fn around(&mut self, usual: Duration) -> Duration {
        self.rng.around(usual, self.settings.timing.jitter)
    }

    /// How long a task takes that finds at its beginning that it cannot go on.
    pub(crate) fn quickly(&self) -> Duration {
        self.settings.timing.pve_stop.mul_f64(0.2)
    }

    pub(crate) fn start_vm(&mut self, now: Timestamp, at: &At) -> Value {
        let kind = TaskKind::Start;
        let (target, doom) = match self.lab_vm_at(at) {
            Err(_) => (None, Some(no_configuration(at))),
            Ok(vm) => (Some(vm.id), why_not_started(vm)),
        };
        if let Some(doom) = doom {
            let is_starting = self.lab_vm_at(at).is_ok_and(|vm| vm.power == Power::Starting);
            // The first start holds the lock until the VM runs.
            let timing = &self.settings.timing;
            let takes =
                if is_starting { timing.pve_start.mul_f64(1.1 + timing.jitter) } else { self.quickly() };
            let new = NewTask {
                node: &at.node,
                vmid: at.vmid,
                kind,
                // Its end changes nothing.
                target: None,
                takes,
                doom: Some(doom),
                log: Vec::new(),
            };
            return self.begin_task(now, new);
        }
        let takes = self.around(self.settings.timing.pve_start);
        let is_short = target.is_some_and(|id| self.accept_start(now, id));
        let log = if is_short {
            vec!["kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory".to_owned()]
        } else {
            Vec::new()
        };
        let doom = is_short.then(|| "start failed: QEMU exited with code 1".to_owned());
        self.begin_task(now, NewTask { node: &at.node, vmid: at.vmid, kind, target, takes, doom, log })
    }

    /// From here on the VM counts with its memory. Whether the node has too little for it.
    fn accept_start(&mut self, now: Timestamp, id: VmId) -> bool {
        self.check_touched(now, id, "a start");
        let Some(vm) = self.proxmox.vms.get_mut(&id) else { return false };
        vm.switch(now, Power::Starting);
        let (name, node, is_tagged) = (vm.name(), vm.node.clone(), vm.tagged_deployment().is_some());
        if !is_tagged {
            let text = format!("{name} is started before it has its tags");
            self.violate(now, ViolationKind::UnmarkedVm, text);
        }
        let held = self.held_memory(&node, LabVm::holds_memory);
        let most = self.settings.proxmox.node(&node).map_or(0, |node| node.memory_bytes);
        if held > most {
            let text = format!("{name} is started on {node}, which then needs {held} of {most} bytes");
            self.violate(now, ViolationKind::NodeOverMemory, text);
        }
        held > most
    }

    /// What a node and those of its VMs take that are meant.
    pub(crate) fn held_memory(&self, node: &str, counts: impl Fn(&LabVm) -> bool) -> u64 {
        let host = self.settings.proxmox.node(node).map_or(0, |node| node.host_used_bytes);
        let vms = self.proxmox.vms.values().filter(|vm| vm.node == node && counts(vm));
        host + vms.map(LabVm::memory_bytes).sum::<u64>()
    }

    /// The plug is pulled. A VM that does not run is stopped already.
    pub(crate) fn stop_lab_vm(&mut self, now: Timestamp, at: &At) -> Value {
        let Ok(vm) = self.lab_vm_at(at) else { return self.nothing_to_stop(now, at, TaskKind::Stop, true) };
        let (id, is_on) = (vm.id, vm.is_running());
        self.check_touched(now, id, "a stop");
        if !is_on {
            return self.nothing_to_stop(now, at, TaskKind::Stop, false);
        }
        self.check_ended(now, id);
        self.guest_dies(now, id);
        let takes = self.around(self.settings.timing.pve_stop);
        let (kind, target, doom, log) = (TaskKind::Stop, Some(id), None, Vec::new());
        self.begin_task(now, NewTask { node: &at.node, vmid: at.vmid, kind, target, takes, doom, log })
    }

    /// The guest is asked to power off. One that does not listen runs on, unless the stop is to be forced.
    pub(crate) fn shut_down(&mut self, now: Timestamp, at: &At, form: &Form) -> Value {
        let Ok(vm) = self.lab_vm_at(at) else {
            return self.nothing_to_stop(now, at, TaskKind::Shutdown, true);
        };
        let (id, is_on, listens) = (vm.id, vm.is_running(), vm.agent_answers());
        self.check_touched(now, id, "a shutdown");
        if !is_on {
            return self.nothing_to_stop(now, at, TaskKind::Shutdown, false);
        }
        let is_forced = form.flag("forceStop").unwrap_or_default();
        let timeout = form.number("timeout").map_or(SHUTDOWN_TIMEOUT, Duration::from_secs);
        if listens || is_forced {
            self.check_ended(now, id);
            self.guest_dies(now, id);
        }
        let takes = if listens { self.around(self.settings.timing.power_off) } else { timeout };
        let fails = !listens && !is_forced;
        let doom = fails.then(|| "VM quit/powerdown failed - got timeout".to_owned());
        let (kind, target, log) = (TaskKind::Shutdown, Some(id), Vec::new());
        self.begin_task(now, NewTask { node: &at.node, vmid: at.vmid, kind, target, takes, doom, log })
    }

    fn nothing_to_stop(&mut self, now: Timestamp, at: &At, kind: TaskKind, is_missing: bool) -> Value {
        let missing = || format!("unable to find configuration file for VM {} - no such machine", at.vmid);
        let doom = is_missing.then(missing);
        let takes = self.quickly();
        let (target, log) = (None, Vec::new());
        self.begin_task(now, NewTask { node: &at.node, vmid: at.vmid, kind, target, takes, doom, log })
    }

    pub(crate) fn guest_state(&self, id: VmId) -> Guest {
        self.inside(id).map_or(Guest::Down, |inside| inside.guest)
    }
}

fn why_not_started(vm: &LabVm) -> Option<String> {
    if let Some(lock) = vm.lock {
        return Some(locked(lock));
    }
    if vm.is_template {
        return Some("you can't start a vm if it's a template".to_owned());
    }
    vm.holds_memory().then(|| format!("VM {} already running", vm.vmid))
}
