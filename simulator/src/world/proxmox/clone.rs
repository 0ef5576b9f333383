//! Cloning: what is checked at once, and what only the task tells.
//!
//! While the task runs, the new VM's configuration is on the source's node, locked; then it moves to the target.

use std::time::Duration;

use jiff::Timestamp;

use super::routes::At;
use super::shapes::Form;
use super::tasks::{NewTask, TaskKind};
use super::vm::{Disk, LabVm, Lock, Power};
use super::{Outcome, failure};
use crate::world::World;
use crate::world::guest::Inside;
use crate::world::history::HappeningKind;
use crate::world::ids::VmId;
use crate::world::request::Response;
use crate::world::violations::ViolationKind;

/// Where a clone's disk comes to be, and how.
struct Plan {
    full: bool,
    storage: String,
    /// Another node than the source's.
    target: Option<String>,
}

impl World {
    pub(crate) fn clone_vm(&mut self, now: Timestamp, at: &At, form: &Form) -> Outcome {
        let newid: u32 = form.number("newid").unwrap_or_default();
        let plan = self.plan_clone(at, form)?;
        self.check_vmid_unused(newid, &at.node)?;
        if self.faults.lab.stranger_takes.strikes(&mut self.rng) {
            let name = format!("stranger-{newid}");
            self.add_lab_vm(now, &at.node, newid, &name, "", &[]);
            self.check_vmid_unused(newid, &at.node)?;
        }
        let id = self.insert_clone(now, at, newid, &plan, form)?;
        self.check_cloned(now, id, form);
        Ok(self.begin_clone(now, at, id, plan))
    }

    /// The refusals that come at once, in the order in which Proxmox VE looks.
    fn plan_clone(&self, at: &At, form: &Form) -> Result<Plan, Response> {
        let lab = &self.settings.proxmox;
        if let Some(pool) = form.text("pool").filter(|pool| !lab.pools.contains(*pool)) {
            return Err(failure(format!("pool '{pool}' does not exist")));
        }
        let target = form.text("target").filter(|target| *target != at.node);
        if let Some(target) = target.filter(|target| lab.node(target).is_none()) {
            return Err(failure(format!("no such cluster node '{target}'")));
        }
        if let Some(name) = form.text("storage") {
            let storage = self.storage_on(name, &at.node)?;
            if let Some(target) = target {
                self.storage_on(name, target)?;
                if !storage.shared {
                    return Err(failure(format!("can't clone to non-shared storage '{name}'")));
                }
            }
        }
        let source = self.lab_vm_at(at)?;
        unlocked(source)?;
        if let Some(name) = form.text("snapname") {
            return Err(failure(format!("snapshot '{name}' does not exist")));
        }
        let full = form.flag("full").unwrap_or(!source.is_template);
        for name in ["storage", "format"] {
            if form.text(name).is_some() && !full {
                return Err(failure(format!("parameter '{name}' not allowed for linked clones")));
            }
        }
        let own = source.disk.as_ref().map(|disk| disk.storage.as_str()).unwrap_or_default();
        let storage = form.text("storage").unwrap_or(own);
        self.need(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
        self.need("/sdn/zones/localnetwork/vmbr0", &["SDN.Use"])?;
        let is_shared = lab.storage(storage).is_none_or(|storage| storage.shared);
        if let Some(target) = target.filter(|_| !is_shared) {
            return Err(failure(format!("can't clone VM to node '{target}' (VM uses local storage)")));
        }
        if !full && !source.is_template {
            return Err(failure("Linked clone feature is not supported for drive 'scsi0'"));
        }
        Ok(Plan { full, storage: storage.to_owned(), target: target.map(str::to_owned) })
    }

    /// An id is the whole cluster's; the file itself is only looked for on the node that clones.
    fn check_vmid_unused(&self, vmid: u32, node: &str) -> Result<(), Response> {
        match self.proxmox.with_vmid(vmid) {
            None => Ok(()),
            Some(vm) if vm.node == node => {
                Err(failure(format!("unable to create VM {vmid}: config file already exists")))
            }
            Some(vm) => Err(failure(format!("VM {vmid} already exists on node '{}'", vm.node))),
        }
    }

    fn insert_clone(
        &mut self,
        now: Timestamp,
        at: &At,
        newid: u32,
        plan: &Plan,
        form: &Form,
    ) -> Result<VmId, Response> {
        let id = self.gcp.next_vm_id();
        let mut vm = self.lab_vm_at(at)?.clone();
        let of_source = vm.name();
        vm.set("name", form.text("name").unwrap_or(&format!("Copy-of-VM-{of_source}")));
        if let Some(text) = form.text("description") {
            vm.set("description", text);
        }
        let disk = vm.disk.take().map(|disk| Disk {
            storage: plan.storage.clone(),
            bytes: disk.bytes,
            used_bytes: if plan.full { disk.bytes } else { disk.bytes / LINKED_SHARE },
            volume: None,
        });
        let vm = LabVm {
            id,
            vmid: newid,
            lock: Some(Lock::Clone),
            is_template: false,
            disk,
            power: Power::Off,
            switched: now,
            was_on: false,
            created: now,
            booted: None,
            expires: None,
            inside: Inside::off(),
            files: std::collections::BTreeMap::new(),
            ..vm
        };
        let node = plan.target.as_deref().unwrap_or(&vm.node);
        let text = format!("{} is cloned as {newid} on {node}", vm.name());
        self.proxmox.insert_vm(vm);
        self.note(now, HappeningKind::VmAsked, text);
        Ok(id)
    }

    /// I6 and I2, for a clone that was just accepted.
    fn check_cloned(&mut self, now: Timestamp, id: VmId, form: &Form) {
        let Some(vm) = self.proxmox.vms.get(&id) else { return };
        let (vmid, marks) = (vm.vmid, vm.marks());
        if form.text("name").is_none() {
            self.violate(now, ViolationKind::UnmarkedVm, format!("{vmid} is cloned without a name"));
        }
        let Some((deployment, pool)) = marks else {
            let text = format!("{vmid} is cloned without marks in its description");
            self.violate(now, ViolationKind::UnmarkedVm, text);
            return;
        };
        self.check_pool_limit(now, &deployment, &pool);
    }

    fn begin_clone(&mut self, now: Timestamp, at: &At, id: VmId, plan: Plan) -> serde_json::Value {
        let timing = &self.settings.timing;
        let usual = if plan.full { timing.full_clone } else { timing.clone };
        // A lock is waited for for some ten seconds.
        let lock_wait = timing.clone.mul_f64(1.25);
        let jitter = timing.jitter;
        let is_shared = self.settings.proxmox.storage(&plan.storage).is_none_or(|storage| storage.shared);
        let lock = (plan.storage.clone(), (!is_shared).then(|| at.node.clone()));
        let doom = self.clone_doom(id, &plan, &lock);
        let takes = match (&doom, self.faults.lab.clone_takes) {
            (Some(Doom::Locked(_)), _) => lock_wait,
            (Some(Doom::Full(_)), _) => Duration::from_millis(10).min(usual),
            (None, Some(takes)) => takes,
            (None, None) => self.rng.around(usual, jitter),
        };
        let hangs = doom.is_none() && self.faults.lab.clone_hangs.strikes(&mut self.rng);
        let log = vec![format!(
            "create {} clone of drive scsi0 ({})",
            if plan.full { "full" } else { "linked" },
            plan.storage
        )];
        let kind = TaskKind::Clone { storage: lock, moves_to: plan.target };
        let doom = doom.map(|doom| format!("clone failed: {}", doom.text()));
        let new = NewTask { node: &at.node, vmid: at.vmid, kind, target: Some(id), takes, doom, log };
        let upid = self.begin_task(now, new);
        if let Some(task) = upid.as_str().and_then(|upid| self.proxmox.tasks.get_mut(upid)) {
            task.never_ends = hangs;
        }
        upid
    }

    /// Why an accepted clone will fail, if it will.
    fn clone_doom(&mut self, id: VmId, plan: &Plan, lock: &(String, Option<String>)) -> Option<Doom> {
        let holds = |task: &&super::tasks::Task| {
            let is_same = matches!(&task.kind, TaskKind::Clone { storage, .. } if storage == lock);
            is_same && task.exit.is_none() && task.doom.is_none() && !task.never_ends
        };
        let under_way = self.proxmox.tasks.values().filter(holds).count();
        let is_full = under_way >= self.settings.proxmox.clones_at_once;
        if self.faults.lab.storage_locked.strikes(&mut self.rng) || is_full {
            return Some(Doom::Locked(match lock {
                (storage, None) => format!("cfs-lock 'storage-{storage}' error: got lock request timeout"),
                (storage, Some(_)) => {
                    format!("can't lock file '/var/lock/pve-manager/pve-storage-{storage}' - got timeout")
                }
            }));
        }
        let (vmid, node) = self.proxmox.vms.get(&id).map(|vm| (vm.vmid, vm.node.clone()))?;
        let size = self.settings.proxmox.storage(&plan.storage)?.bytes;
        // The new disk is counted already.
        if self.used_of_storage(&plan.storage, &node) <= size {
            return None;
        }
        let volume = format!("vm-{vmid}-disk-0");
        Some(Doom::Full(match (lock, plan.full) {
            ((_, Some(_)), _) => format!(
                "lvcreate 'pve/{volume}' error:   Cannot create new thin volume, free space in thin pool pve/data reached threshold."
            ),
            ((_, None), true) => {
                format!("rbd create '{volume}' error: rbd: create error: (28) No space left on device")
            }
            ((_, None), false) => {
                format!("rbd clone '{volume}' error: rbd: clone error: (28) No space left on device")
            }
        }))
    }

    pub(crate) fn clone_ends(&mut self, id: VmId, moves_to: Option<String>) {
        let base = self.base_of(id);
        let Some(vm) = self.proxmox.vms.get_mut(&id) else { return };
        let own = format!("vm-{}-disk-0", vm.vmid);
        if let Some(disk) = &mut vm.disk {
            let is_linked = disk.used_bytes < disk.bytes;
            disk.volume =
                Some(base.filter(|_| is_linked).map_or(own.clone(), |base| format!("{base}/{own}")));
        }
        vm.lock = None;
        if let Some(node) = moves_to {
            vm.node = node;
        }
    }

    /// The volume of the template that a VM was cloned from.
    fn base_of(&self, id: VmId) -> Option<String> {
        let of_clone = |task: &&super::tasks::Task| {
            task.target == Some(id) && matches!(task.kind, TaskKind::Clone { .. })
        };
        let source = self.proxmox.tasks.values().find(of_clone)?.vmid;
        self.proxmox.with_vmid(source)?.disk.as_ref()?.volume.clone()
    }

    /// A clone that failed takes its configuration away again.
    pub(crate) fn clone_fails(&mut self, now: Timestamp, id: VmId) {
        self.remove_lab_vm(now, id, HappeningKind::VmRefused);
    }
}

/// A linked clone takes this part of the template's disk.
const LINKED_SHARE: u64 = 64;

enum Doom {
    Locked(String),
    Full(String),
}

impl Doom {
    fn text(self) -> String {
        match self {
            Self::Locked(text) | Self::Full(text) => text,
        }
    }
}

/// 500 for a VM that is locked.
pub(crate) fn unlocked(vm: &LabVm) -> Result<(), Response> {
    vm.lock.map_or(Ok(()), |lock| Err(failure(locked(lock))))
}

pub(crate) fn locked(lock: Lock) -> String {
    format!("VM is locked ({})", lock.name())
}
