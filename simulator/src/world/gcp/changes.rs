//! Changing instances: delete, stop, start, labels, metadata.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::insert::{check_labels, check_metadata};
use super::instances::stale;
use super::operations::OperationKind;
use super::vm::VmStatus;
use super::{Outcome, error};
use crate::world::World;
use crate::world::request::Request;

impl World {
    pub(crate) fn delete_instance(
        &mut self,
        now: Timestamp,
        zone: &str,
        name: &str,
        request: &Request,
    ) -> Outcome {
        if let Some(earlier) = self.repeated(request)? {
            return Ok(earlier);
        }
        let id = self.vm_at(zone, name)?.id;
        self.check_touched(now, id, "a delete");
        self.check_ended(now, id);
        let takes = self.rng.around(self.settings.timing.delete, self.settings.timing.jitter);
        let answer = self.start_operation(now, OperationKind::Delete, id, takes, None, request);
        self.begin_deletion(now, id, "through the API");
        Ok(answer)
    }

    pub(crate) fn stop_instance(
        &mut self,
        now: Timestamp,
        zone: &str,
        name: &str,
        request: &Request,
    ) -> Outcome {
        if let Some(earlier) = self.repeated(request)? {
            return Ok(earlier);
        }
        let id = self.vm_at(zone, name)?.id;
        self.check_touched(now, id, "a stop");
        self.check_ended(now, id);
        let takes = self.settings.timing.power_off;
        let answer = self.start_operation(now, OperationKind::Stop, id, takes, None, request);
        self.begin_stop(now, id);
        Ok(answer)
    }

    pub(crate) fn start_instance(
        &mut self,
        now: Timestamp,
        zone: &str,
        name: &str,
        request: &Request,
    ) -> Outcome {
        if let Some(earlier) = self.repeated(request)? {
            return Ok(earlier);
        }
        let vm = self.vm_at(zone, name)?;
        let (id, status) = (vm.id, vm.status);
        if status != VmStatus::Terminated {
            let text = format!("The instance '{name}' is not stopped: it is {}.", status.name());
            return Err(error(400, "resourceNotReady", &text));
        }
        self.check_touched(now, id, "a start");
        if let Some(vm) = self.gcp.vms.get_mut(&id) {
            vm.status = VmStatus::Provisioning;
        }
        let takes = self.settings.timing.insert;
        Ok(self.start_operation(now, OperationKind::Start, id, takes, None, request))
    }

    pub(crate) fn set_labels(
        &mut self,
        now: Timestamp,
        zone: &str,
        name: &str,
        request: &Request,
        body: &Value,
    ) -> Outcome {
        if let Some(earlier) = self.repeated(request)? {
            return Ok(earlier);
        }
        let vm = self.vm_at(zone, name)?;
        if body["labelFingerprint"] != vm.fingerprint().as_str() {
            return Err(stale("labels"));
        }
        check_labels(&body["labels"])?;
        let id = vm.id;
        self.check_touched(now, id, "setLabels");
        self.change(id, "labels", body["labels"].clone());
        let takes = self.settings.timing.operation;
        Ok(self.start_operation(now, OperationKind::SetLabels, id, takes, None, request))
    }

    pub(crate) fn set_metadata(
        &mut self,
        now: Timestamp,
        zone: &str,
        name: &str,
        request: &Request,
        body: Value,
    ) -> Outcome {
        if let Some(earlier) = self.repeated(request)? {
            return Ok(earlier);
        }
        let vm = self.vm_at(zone, name)?;
        if body["fingerprint"] != vm.fingerprint().as_str() {
            return Err(stale("metadata"));
        }
        check_metadata(&body)?;
        let id = vm.id;
        self.check_touched(now, id, "setMetadata");
        self.change(
            id,
            "metadata",
            json!({ "items": body.get("items").cloned().unwrap_or_else(|| json!([])) }),
        );
        self.configuration_changed(now, id);
        let takes = self.settings.timing.operation;
        Ok(self.start_operation(now, OperationKind::SetMetadata, id, takes, None, request))
    }

    fn change(&mut self, id: crate::world::ids::VmId, field: &str, value: Value) {
        if let Some(vm) = self.gcp.vms.get_mut(&id) {
            vm.body.insert(field.to_owned(), value);
            vm.generation += 1;
        }
    }
}
