//! The guest inside a VM, whoever provides that: boots, reads its JIT configuration, runs one job, powers off.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::World;
use super::github::GitHub;
use super::history::HappeningKind;
use super::ids::{RunnerId, VmId};
use super::timeline::{Due, after};

/// What the guest is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guest {
    /// Nothing: the VM does not run, or its guest never came up.
    Down,
    /// It boots.
    Booting,
    /// It waits for a JIT configuration.
    Unconfigured,
    /// Its runner connects to GitHub.
    Registering(RunnerId),
    /// Its runner is connected.
    Serving,
    /// It powers off.
    Leaving,
}

/// What a VM holds, seen from inside.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    pub guest: Guest,
    /// The runner that it started, also after that is gone.
    pub runner: Option<RunnerId>,
    /// What it started that with: the runner keeps it in its folder.
    pub config: Option<String>,
    /// Whether somebody in there has seen to it that nothing in there powers it off.
    pub is_kept_on: bool,
}

impl Inside {
    /// Nothing runs yet.
    pub fn off() -> Self {
        Self { guest: Guest::Down, runner: None, config: None, is_kept_on: false }
    }
}

impl World {
    pub(crate) fn inside(&self, id: VmId) -> Option<&Inside> {
        let of_gcp = self.gcp.vms.get(&id).map(|vm| &vm.inside);
        of_gcp.or_else(|| self.proxmox.vms.get(&id).map(|vm| &vm.inside))
    }

    pub(crate) fn inside_mut(&mut self, id: VmId) -> Option<&mut Inside> {
        let of_gcp = self.gcp.vms.get_mut(&id).map(|vm| &mut vm.inside);
        of_gcp.or_else(|| self.proxmox.vms.get_mut(&id).map(|vm| &mut vm.inside))
    }

    fn is_powered(&self, id: VmId) -> bool {
        let of_gcp = self.gcp.vms.get(&id).map(super::gcp::vm::Vm::is_running);
        of_gcp.or_else(|| self.proxmox.vms.get(&id).map(|vm| vm.is_running())).unwrap_or_default()
    }

    /// What the guest finds where it looks for its JIT configuration; none while it has to wait for it.
    fn jit_config(&self, id: VmId) -> Option<String> {
        match self.gcp.vms.get(&id) {
            Some(vm) => vm.jit_config().map(str::to_owned),
            None => self.proxmox.vms.get(&id)?.jit_config(),
        }
    }

    /// The VM was switched on: its guest is up after `boot`, unless a fault strikes.
    pub(crate) fn power_up(&mut self, now: Timestamp, id: VmId, boot: Duration) {
        let boots = !self.faults.guests.never_boots.strikes(&mut self.rng);
        let Some(inside) = self.inside_mut(id) else { return };
        inside.guest = if boots { Guest::Booting } else { Guest::Down };
        if boots {
            self.timeline.at(after(now, boot), Due::GuestBoots(id));
        }
    }

    pub(crate) fn guest_boots(&mut self, now: Timestamp, id: VmId) {
        let is_powered = self.is_powered(id);
        let Some(inside) = self.inside_mut(id) else { return };
        if inside.guest == Guest::Booting && is_powered {
            inside.guest = Guest::Unconfigured;
            self.lab_guest_is_up(now, id);
            self.configure_guest(now, id);
        }
    }

    /// A guest that waits for its configuration looks again.
    pub(crate) fn configuration_changed(&mut self, now: Timestamp, id: VmId) {
        if self.inside(id).is_some_and(|inside| inside.guest == Guest::Unconfigured) {
            self.configure_guest(now, id);
        }
    }

    fn configure_guest(&mut self, now: Timestamp, id: VmId) {
        let takes = self.rng.around(self.settings.timing.registration, self.settings.timing.jitter);
        let Some(config) = self.jit_config(id) else { return };
        let runner = self.github.identify(&config);
        let Some(inside) = self.inside_mut(id) else { return };
        match runner {
            Some(runner) => {
                inside.guest = Guest::Registering(runner);
                inside.config = Some(config);
                self.timeline.at(after(now, takes), Due::RunnerConnects(id));
            }
            // What GitHub does not know (any more) makes the runner give up.
            None => self.guest_is_done(now, id),
        }
    }

    pub(crate) fn runner_connects(&mut self, now: Timestamp, id: VmId) {
        let Some(Guest::Registering(runner_id)) = self.inside(id).map(|inside| inside.guest) else { return };
        // As the guest's script does, before anything of a job runs. What is in a VM's metadata stays there.
        if let Some(vm) = self.proxmox.vms.get_mut(&id) {
            vm.delete_jit_config();
        }
        if !self.connect(now, id, runner_id) {
            self.guest_is_done(now, id);
            return;
        }
        if let Some(inside) = self.inside_mut(id) {
            inside.guest = Guest::Serving;
            inside.runner = Some(runner_id);
        }
        self.match_runner(now, runner_id);
    }

    /// A runner is started in a VM, idle at first; false if GitHub knows it no more, or it was started before: a
    /// configuration is good for one start.
    pub(crate) fn connect(&mut self, now: Timestamp, id: VmId, runner: RunnerId) -> bool {
        let known = self.github.runners.get_mut(&runner).filter(|runner| !runner.started);
        let Some(known) = known else { return false };
        known.connected = true;
        known.started = true;
        known.online = true;
        known.vm = Some(id);
        let text = format!("runner {} is online", known.name);
        self.github.idle.insert(runner);
        self.note(now, HappeningKind::RunnerOnline, text);
        true
    }

    /// The runner exited: the guest powers off, unless it hangs.
    pub(crate) fn guest_is_done(&mut self, now: Timestamp, id: VmId) {
        let takes = self.rng.around(self.settings.timing.power_off, self.settings.timing.jitter);
        let Some(inside) = self.inside_mut(id) else { return };
        inside.guest = Guest::Leaving;
        let is_kept_on = inside.is_kept_on;
        if !self.faults.guests.hangs_after_job.strikes(&mut self.rng) && !is_kept_on {
            self.timeline.at(after(now, takes), Due::VmStops(id));
        }
    }

    /// The guest is gone from one moment to the next, and its runner with it.
    pub(crate) fn guest_dies(&mut self, now: Timestamp, id: VmId) {
        let Some(inside) = self.inside_mut(id) else { return };
        let was_serving = inside.guest == Guest::Serving;
        inside.guest = Guest::Down;
        if let (true, Some(runner)) = (was_serving, inside.runner) {
            self.disconnect_runner(now, runner);
        }
    }

    /// A VM is switched off, at its provider.
    pub(crate) fn vm_stops(&mut self, now: Timestamp, id: VmId) {
        if self.gcp.vms.contains_key(&id) {
            self.instance_stops(now, id);
        } else {
            self.lab_vm_stops(now, id);
        }
    }

    /// A VM's own end has come.
    pub(crate) fn vm_expires(&mut self, now: Timestamp, id: VmId) {
        if self.gcp.vms.contains_key(&id) {
            self.instance_expires(now, id);
        } else {
            self.lab_vm_expires(now, id);
        }
    }

    pub(crate) fn remove_vm(&mut self, now: Timestamp, id: VmId) {
        if self.gcp.vms.contains_key(&id) {
            self.remove_instance(now, id);
        } else {
            self.remove_lab_vm(now, id, HappeningKind::VmGone);
        }
    }
}

impl GitHub {
    /// The runner that a JIT configuration is for, if it is still registered and the secret is right.
    fn identify(&self, config: &str) -> Option<RunnerId> {
        let files: Value = decode(config)?;
        let runner: Value = decode(files[".runner"].as_str()?)?;
        let credentials: Value = decode(files[".credentials"].as_str()?)?;
        self.recognize(&runner, &credentials)
    }

    /// The same by what is in the configuration: who it says to be, and what it shows for that.
    pub(crate) fn recognize(&self, runner: &Value, credentials: &Value) -> Option<RunnerId> {
        let id = RunnerId(runner["AgentId"].as_u64()?);
        let known = self.runners.get(&id)?;
        (credentials["Data"]["ClientId"] == known.secret.as_str()).then_some(id)
    }
}

/// JSON in base64.
pub(crate) fn decode(text: &str) -> Option<Value> {
    serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()
}
