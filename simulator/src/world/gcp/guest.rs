//! The guest inside a VM: boots, reads its JIT configuration, runs one job, powers off.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::vm::{Guest, VmStatus};
use crate::world::World;
use crate::world::history::HappeningKind;
use crate::world::ids::{RunnerId, VmId};
use crate::world::timeline::{Due, after};

/// The metadata key under which a guest finds its JIT configuration.
const JIT_KEY: &str = "jit-config";

impl World {
    pub(crate) fn guest_boots(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.gcp.vms.get_mut(&id) else { return };
        if vm.guest == Guest::Booting && vm.status == VmStatus::Running {
            vm.guest = Guest::Unconfigured;
            self.configure_guest(now, id);
        }
    }

    /// A guest that waits for its configuration looks again.
    pub(crate) fn metadata_changed(&mut self, now: Timestamp, id: VmId) {
        if self.gcp.vms.get(&id).is_some_and(|vm| vm.guest == Guest::Unconfigured) {
            self.configure_guest(now, id);
        }
    }

    fn configure_guest(&mut self, now: Timestamp, id: VmId) {
        let takes = self.rng.around(self.settings.timing.registration, self.settings.timing.jitter);
        let Some(vm) = self.gcp.vms.get_mut(&id) else { return };
        let Some(config) = vm.metadata(JIT_KEY) else { return };
        match self.github.identify(config) {
            Some(runner) => {
                vm.guest = Guest::Registering(runner);
                self.timeline.at(after(now, takes), Due::RunnerConnects(id));
            }
            // What GitHub does not know (any more) makes the runner give up.
            None => self.guest_is_done(now, id),
        }
    }

    pub(crate) fn runner_connects(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.gcp.vms.get_mut(&id) else { return };
        let Guest::Registering(runner_id) = vm.guest else { return };
        let Some(runner) = self.github.runners.get_mut(&runner_id).filter(|runner| !runner.started) else {
            self.guest_is_done(now, id);
            return;
        };
        runner.connected = true;
        runner.started = true;
        runner.online = true;
        runner.vm = Some(id);
        vm.guest = Guest::Serving;
        vm.runner = Some(runner_id);
        let text = format!("runner {} is online", runner.name);
        self.github.idle.insert(runner_id);
        self.note(now, HappeningKind::RunnerOnline, text);
        self.match_runner(now, runner_id);
    }

    /// The runner exited: the guest powers off, unless it hangs.
    pub(crate) fn guest_is_done(&mut self, now: Timestamp, id: VmId) {
        let takes = self.rng.around(self.settings.timing.power_off, self.settings.timing.jitter);
        let Some(vm) = self.gcp.vms.get_mut(&id) else { return };
        vm.guest = Guest::Leaving;
        if !self.faults.guests.hangs_after_job.strikes(&mut self.rng) {
            self.timeline.at(after(now, takes), Due::VmStops(id));
        }
    }

    /// The guest is gone from one moment to the next, and its runner with it.
    pub(crate) fn guest_dies(&mut self, now: Timestamp, id: VmId) {
        let Some(vm) = self.gcp.vms.get_mut(&id) else { return };
        let was_serving = vm.guest == Guest::Serving;
        vm.guest = Guest::Down;
        if let (true, Some(runner)) = (was_serving, vm.runner) {
            self.disconnect_runner(now, runner);
        }
    }
}

impl crate::world::github::GitHub {
    /// The runner that a JIT configuration is for, if it is still registered and the secret is right.
    fn identify(&self, config: &str) -> Option<RunnerId> {
        let files: Value = decode(config)?;
        let runner: Value = decode(files[".runner"].as_str()?)?;
        let credentials: Value = decode(files[".credentials"].as_str()?)?;
        let id = RunnerId(runner["AgentId"].as_u64()?);
        let known = self.runners.get(&id)?;
        (credentials["Data"]["ClientId"] == known.secret.as_str()).then_some(id)
    }
}

fn decode(text: &str) -> Option<Value> {
    serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()
}
