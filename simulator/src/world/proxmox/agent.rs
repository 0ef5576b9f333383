//! The guest agent: whether it answers, and files written into the guest.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::routes::At;
use super::shapes::{Form, Wrong};
use super::vm::LabVm;
use super::{Outcome, failure};
use crate::world::World;
use crate::world::request::Response;

impl World {
    fn agent_of(&self, at: &At) -> Result<&LabVm, Response> {
        let vm = self.lab_vm_at(at)?;
        if !vm.has_agent() {
            return Err(failure("No QEMU guest agent configured"));
        }
        if !vm.is_running() {
            return Err(failure(format!("VM {} is not running", at.vmid)));
        }
        if !vm.agent_answers() {
            return Err(failure("QEMU guest agent is not running"));
        }
        Ok(vm)
    }

    pub(crate) fn agent_ping(&self, at: &At) -> Outcome {
        self.agent_of(at)?;
        Ok(json!({ "result": {} }))
    }

    pub(crate) fn agent_file_write(&mut self, now: Timestamp, at: &At, form: &Form) -> Outcome {
        let id = self.agent_of(at)?.id;
        let (file, content) =
            (form.text("file").unwrap_or_default(), form.text("content").unwrap_or_default());
        let content = if form.flag("encode").unwrap_or(true) {
            content.to_owned()
        } else {
            let bytes = STANDARD.decode(content).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            bytes.ok_or_else(|| Wrong::one("content", "no base64 of text").refusal())?
        };
        self.check_touched(now, id, "a file written into it");
        let Some(vm) = self.proxmox.vms.get_mut(&id) else { return Ok(Value::Null) };
        let is_ready = file == vm.ready_path();
        vm.files.insert(file.to_owned(), content);
        if is_ready {
            self.set_lifetime(id);
            self.configuration_changed(now, id);
        }
        Ok(Value::Null)
    }

    pub(crate) fn agent_file_read(&self, at: &At, form: &Form) -> Outcome {
        let vm = self.agent_of(at)?;
        let file = form.text("file").unwrap_or_default();
        let missing = || {
            failure(format!(
                "Agent error: failed to open file '{file}' (mode: 'r'): No such file or directory"
            ))
        };
        let content = vm.files.get(file).ok_or_else(missing)?;
        Ok(json!({ "content": content }))
    }
}
