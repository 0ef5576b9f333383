//! What people do to the world behind everybody's back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, json};

use super::World;
use super::gcp::vm::{Vm, VmStatus};
use super::history::HappeningKind;
use super::ids::VmId;
use super::timeline::{Due, after};

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

    /// Somebody deletes a VM in the console.
    pub fn kill_vm(&mut self, now: Timestamp, id: VmId) {
        self.advance(now);
        let takes = self.settings.timing.delete;
        if self.begin_deletion(now, id, "by a person") {
            self.timeline.at(after(now, takes), Due::VmVanishes(id));
        }
    }

    /// Somebody stops a VM in the console: it ends up TERMINATED, and stays.
    pub fn stop_vm(&mut self, now: Timestamp, id: VmId) {
        self.advance(now);
        let takes = self.settings.timing.power_off;
        self.begin_stop(now, id);
        self.timeline.at(after(now, takes), Due::VmStops(id));
    }
}
