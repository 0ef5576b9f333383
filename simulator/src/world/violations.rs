//! The invariants that the world can see broken, checked as each call is handled.

use jiff::Timestamp;
use serde::Serialize;

use super::World;
use super::history::HappeningKind;
use super::ids::{RunnerId, VmId};

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum ViolationKind {
    /// I1: a VM whose runner is busy was deleted or stopped before its own end (`maxRunDuration`, or its guest's
    /// maximum lifetime).
    BusyVmDeleted,
    /// I2: a pool has more VMs than its limit.
    PoolOverLimit,
    /// I3: a VM without this deployment's marks was changed through the API.
    StrangerTouched,
    /// I6: a VM was inserted without marks or without its own end, cloned without a name and marks, or started
    /// without tags.
    UnmarkedVm,
    /// A VM was started on a Proxmox VE node without memory for it.
    NodeOverMemory,
    /// A path or method that no published API has.
    UnknownCall,
    /// A query parameter or body field that is not published, or a value of the wrong type.
    MalformedCall,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// When.
    pub time: Timestamp,
    /// Which promise.
    pub kind: ViolationKind,
    /// What exactly, in words; it holds no secret.
    pub text: String,
}

impl World {
    pub(crate) fn violate(&mut self, now: Timestamp, kind: ViolationKind, text: String) {
        self.note(now, HappeningKind::Violated, format!("{kind:?}: {text}"));
        self.violations.push(Violation { time: now, kind, text });
    }

    /// I2 and I6, for an insert that was just accepted.
    pub(crate) fn check_inserted(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.gcp.vms.get(&id) else { return };
        let name = vm.name.clone();
        let Some((deployment, pool)) = vm.marks() else {
            self.violate(now, ViolationKind::UnmarkedVm, format!("{name} carries no marks"));
            return;
        };
        if vm.max_run_duration().is_none() || !vm.deletes_itself() {
            let text = format!("{name} has no maxRunDuration with instanceTerminationAction DELETE");
            self.violate(now, ViolationKind::UnmarkedVm, text);
        }
        self.check_pool_limit(now, &deployment, &pool);
    }

    pub(crate) fn check_pool_limit(&mut self, now: Timestamp, deployment: &str, pool: &str) {
        let limits = &self.settings.pool_limits;
        let Some(limit) = limits.iter().find(|each| each.deployment == deployment && each.pool == pool)
        else {
            return;
        };
        let most = limit.max_vms;
        let marks = (deployment.to_owned(), pool.to_owned());
        let of_gcp = self.gcp.vms.values().map(super::gcp::vm::Vm::marks);
        let of_lab = self.proxmox.vms.values().map(super::proxmox::vm::LabVm::marks);
        let count = of_gcp.chain(of_lab).filter(|each| each.as_ref() == Some(&marks)).count();
        if count > most {
            let text = format!("pool {pool} of {deployment} has {count} VMs, at most {most} are allowed");
            self.violate(now, ViolationKind::PoolOverLimit, text);
        }
    }

    fn subject(&self, id: VmId) -> Option<Subject> {
        if let Some(vm) = self.gcp.vms.get(&id) {
            let deployment = vm.marks().map(|(deployment, _)| deployment);
            return Some(Subject {
                name: vm.name.clone(),
                is_ours: deployment.is_some_and(|each| self.settings.is_ours(&each)),
                expires: vm.expires,
                runner: vm.inside.runner,
            });
        }
        let vm = self.proxmox.vms.get(&id)?;
        Some(Subject {
            name: vm.name(),
            is_ours: vm.is_ours(&self.settings),
            expires: vm.expires,
            runner: vm.inside.runner,
        })
    }

    /// I3, for a VM that an accepted call changes.
    pub(crate) fn check_touched(&mut self, now: Timestamp, id: VmId, what: &str) {
        let Some(vm) = self.subject(id) else { return };
        if !vm.is_ours {
            let text = format!("{what} of {}, which does not carry the deployment's marks", vm.name);
            self.violate(now, ViolationKind::StrangerTouched, text);
        }
    }

    /// I1, for a VM that an accepted call ends. A runner that is not connected any more is beyond harm.
    pub(crate) fn check_ended(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.subject(id) else { return };
        let runner = vm.runner.and_then(|runner| self.github.runners.get(&runner));
        let busy = runner.filter(|runner| runner.connected).and_then(|runner| runner.job);
        if let Some(job) = busy
            && vm.expires.is_none_or(|end| now < end)
        {
            let text = format!("{} was ended while it ran job {job}", vm.name);
            self.violate(now, ViolationKind::BusyVmDeleted, text);
        }
    }
}

/// What the invariants ask of a VM, whoever provides it.
struct Subject {
    name: String,
    is_ours: bool,
    expires: Option<Timestamp>,
    runner: Option<RunnerId>,
}
