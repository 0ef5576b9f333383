//! What people do to the world behind everybody's back, and what would take too long to wait for.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, json};

use super::World;
use super::gcp::vm::{Vm, VmStatus};
use super::github::runners::{Runner, Scope};
use super::guest::Guest;
use super::history::HappeningKind;
use super::ids::{DeliveryId, JobId, RunnerId, VmId};
use super::jobs::{Job, JobSpec, JobState};
use super::proxmox::config::stored_tags;
use super::proxmox::vm::{LabVm, Power};
use super::timeline::{Due, after};

/// A runner in the middle of a job, and all that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusyRunner {
    /// Its VM.
    pub vm: VmId,
    /// Its registration.
    pub runner: RunnerId,
    /// What it runs.
    pub job: JobId,
}

impl World {
    /// Somebody makes a VM by hand, running at once: a stranger's without marks, or an orphan with them.
    /// None if the zone does not exist or the name is taken there.
    pub fn add_vm(
        &mut self,
        now: Timestamp,
        zone: &str,
        name: &str,
        labels: &[(&str, &str)],
    ) -> Option<VmId> {
        self.advance(now);
        self.settings.zone(zone)?;
        if self.gcp.find(zone, name).is_some() {
            return None;
        }
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        let mut body = Map::new();
        body.insert("labels".to_owned(), json!(labels));
        body.insert("machineType".to_owned(), json!(format!("zones/{zone}/machineTypes/e2-medium")));
        let id = self.gcp.next_vm_id();
        let mut vm = Vm::new(id, name, zone, body, now);
        vm.status = VmStatus::Running;
        self.note(now, HappeningKind::VmRunning, format!("{name} was made by hand in {zone}"));
        self.gcp.insert_vm(vm);
        Some(id)
    }

    /// Somebody makes a VM on a node of the cluster, running at once: a stranger's, or an orphan when it is marked. None if
    /// there is no such node, or the id is taken.
    pub fn add_lab_vm(
        &mut self,
        now: Timestamp,
        node: &str,
        vmid: u32,
        name: &str,
        description: &str,
        tags: &[&str],
    ) -> Option<VmId> {
        self.advance(now);
        self.settings.proxmox.node(node)?;
        if self.proxmox.with_vmid(vmid).is_some() {
            return None;
        }
        let id = self.gcp.next_vm_id();
        let mut vm = LabVm::bare(id, vmid, node, name, now);
        if !description.is_empty() {
            vm.set("description", description);
        }
        if !tags.is_empty() {
            vm.set("tags", &stored_tags(&tags.join(";")));
        }
        vm.switch(now, Power::On);
        self.note(now, HappeningKind::VmRunning, format!("{name} was made by hand on {node}"));
        self.proxmox.insert_vm(vm);
        Some(id)
    }

    /// Somebody deletes a VM in the console.
    pub fn kill_vm(&mut self, now: Timestamp, id: VmId) {
        self.advance(now);
        if self.proxmox.vms.contains_key(&id) {
            let takes = self.settings.timing.pve_stop + self.settings.timing.pve_delete;
            self.lock_for_deletion(now, id, "by a person");
            self.timeline.at(after(now, takes), Due::VmVanishes(id));
            return;
        }
        let takes = self.settings.timing.delete;
        if self.begin_deletion(now, id, "by a person") {
            self.timeline.at(after(now, takes), Due::VmVanishes(id));
        }
    }

    /// Somebody stops a VM in the console: it ends up TERMINATED (stopped), and stays.
    pub fn stop_vm(&mut self, now: Timestamp, id: VmId) {
        self.advance(now);
        if self.proxmox.vms.contains_key(&id) {
            self.guest_dies(now, id);
            self.timeline.at(after(now, self.settings.timing.pve_stop), Due::VmStops(id));
            return;
        }
        let takes = self.settings.timing.power_off;
        self.begin_stop(now, id);
        self.timeline.at(after(now, takes), Due::VmStops(id));
    }

    /// Somebody asks for a delivery again on the hook's page (the same as the API's call, which is not counted here).
    /// False when there is no such delivery.
    pub fn redeliver_by_hand(&mut self, now: Timestamp, id: DeliveryId) -> bool {
        self.advance(now);
        self.deliver_again(now, id)
    }

    /// A VM turns older by so much at once, as its creation time and its own end tell. The provider's (or the guest's) switch
    /// is not pulled for it: it strikes when it would have, which makes it one that fails.
    pub fn age_vm(&mut self, now: Timestamp, id: VmId, by: Duration) {
        self.advance(now);
        let earlier = |time: Timestamp| time.checked_sub(by).unwrap_or(Timestamp::MIN);
        if let Some(vm) = self.gcp.vms.get_mut(&id) {
            vm.created = earlier(vm.created);
            vm.expires = vm.expires.map(earlier);
        }
        if let Some(vm) = self.proxmox.vms.get_mut(&id) {
            vm.created = earlier(vm.created);
            vm.switched = earlier(vm.switched);
            vm.expires = vm.expires.map(earlier);
        }
    }

    /// A VM of that name with a runner of the same name, online in the repository's organization and in the middle of a
    /// job, as if all that leads there had happened long ago: nobody was told, no call was made. For worlds that would
    /// take too long to grow. None if the zone or the repository does not exist, or the name is taken in the zone.
    pub fn add_busy_vm(
        &mut self,
        now: Timestamp,
        zone: &str,
        name: &str,
        labels: &[(&str, &str)],
        spec: JobSpec,
    ) -> Option<BusyRunner> {
        self.settings.repository(&spec.repository)?;
        let vm = self.add_vm(now, zone, name, labels)?;
        self.make_busy(now, vm, name, spec)
    }

    /// The same for a VM on a node of the cluster ([`World::add_lab_vm`]), with the agent, and its guest up: that
    /// powers itself off after six hours.
    #[allow(clippy::too_many_arguments)]
    pub fn add_busy_lab_vm(
        &mut self,
        now: Timestamp,
        node: &str,
        vmid: u32,
        name: &str,
        description: &str,
        tags: &[&str],
        spec: JobSpec,
    ) -> Option<BusyRunner> {
        self.settings.repository(&spec.repository)?;
        let id = self.add_lab_vm(now, node, vmid, name, description, tags)?;
        if let Some(vm) = self.proxmox.vms.get_mut(&id) {
            vm.set("agent", "enabled=1");
            vm.max_lifetime = Duration::from_secs(6 * 3600);
            vm.booted = Some(now);
        }
        self.set_lifetime(id);
        self.make_busy(now, id, name, spec)
    }

    fn make_busy(&mut self, now: Timestamp, vm: VmId, name: &str, spec: JobSpec) -> Option<BusyRunner> {
        let owner = self.settings.repository(&spec.repository)?.owner.clone();
        let (runner, job) = (RunnerId(self.github.next_runner_id()), JobId(self.github.next_id()));
        let secret = self.rng.text(32);
        let registered = Runner {
            id: runner,
            name: name.to_owned(),
            scope: Scope::Organization(owner),
            group_id: 1,
            labels: spec.labels.clone(),
            secret,
            connected: true,
            started: true,
            online: true,
            job: Some(job),
            vm: Some(vm),
        };
        self.github.runners.insert(runner, registered);
        if let Some(inside) = self.inside_mut(vm) {
            inside.guest = Guest::Serving;
            inside.runner = Some(runner);
        }
        let state = JobState::Running { runner: self.runner_ref(runner)?, since: now };
        let run = spec.run.unwrap_or_else(|| self.github.next_id());
        self.timeline.at(after(now, spec.duration), Due::JobEnds(job));
        self.github.runs.entry(run).or_default().push(job);
        self.github.jobs.insert(job, Job { id: job, run, spec, created: now, state });
        Some(BusyRunner { vm, runner, job })
    }
}
