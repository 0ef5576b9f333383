//! Configurations: reading and changing them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::clone::unlocked;
use super::routes::At;
use super::shapes::{Form, tags_in};
use super::vm::{LabVm, Lock};
use super::{Outcome, failure};
use crate::world::World;
use crate::world::request::Response;

/// Options that are numbers in an answer; all others are text.
const NUMBERS: [&str; 6] = ["balloon", "cores", "numa", "onboot", "protection", "sockets"];
/// Parameters of a change that are no options.
const BESIDES: [&str; 5] = ["delete", "digest", "force", "revert", "skiplock"];

impl World {
    pub(crate) fn lab_vm_at(&self, at: &At) -> Result<&LabVm, Response> {
        let found = self.proxmox.with_vmid(at.vmid).filter(|vm| vm.node == at.node);
        found.ok_or_else(|| failure(no_configuration(at)))
    }

    pub(crate) fn get_config(&self, at: &At) -> Outcome {
        let vm = self.lab_vm_at(at)?;
        let mut data: Map<String, Value> = Map::new();
        if vm.is_temporary() {
            data.insert("description".to_owned(), json!(" qmclone temporary file\n"));
            data.insert("lock".to_owned(), json!("clone"));
            data.insert("digest".to_owned(), json!(digest(vm)));
            return Ok(Value::Object(data));
        }
        for (name, value) in &vm.options {
            let number = NUMBERS.contains(&name.as_str()).then(|| value.parse::<i64>().ok()).flatten();
            data.insert(name.clone(), number.map_or_else(|| json!(value), |number| json!(number)));
        }
        if let Some(disk) = &vm.disk
            && let Some(volume) = &disk.volume
        {
            let size = disk.bytes / (1024 * 1024 * 1024);
            data.insert("scsi0".to_owned(), json!(format!("{}:{volume},size={size}G", disk.storage)));
        }
        // A configuration's `lock` has no `destroyed` among its published values.
        if let Some(lock) = vm.lock.filter(|lock| *lock != Lock::Destroyed) {
            data.insert("lock".to_owned(), json!(lock.name()));
        }
        if vm.is_template {
            data.insert("template".to_owned(), json!(1));
        }
        data.insert("digest".to_owned(), json!(digest(vm)));
        Ok(Value::Object(data))
    }

    pub(crate) fn set_config(&mut self, now: Timestamp, at: &At, form: &Form) -> Outcome {
        let vm = self.lab_vm_at(at)?;
        unlocked(vm)?;
        let id = vm.id;
        if form.text("digest").is_some_and(|given| given != digest(vm)) {
            return Err(failure("detected modified configuration - file changed by other user? Try again."));
        }
        self.check_touched(now, id, "a change of the configuration");
        let Some(vm) = self.proxmox.vms.get_mut(&id) else { return Ok(Value::Null) };
        for name in tags_in(form.text("delete").unwrap_or_default()) {
            vm.options.remove(name);
        }
        for (name, value) in form.iter().filter(|(name, _)| !BESIDES.contains(name)) {
            match name {
                "tags" => vm.set("tags", &stored_tags(value)),
                _ => vm.set(name, value),
            }
        }
        Ok(Value::Null)
    }
}

/// Each tag once, in lower case and in order, with semicolons between them.
pub(crate) fn stored_tags(text: &str) -> String {
    let mut tags: Vec<String> = tags_in(text).map(str::to_lowercase).collect();
    tags.sort();
    tags.dedup();
    tags.join(";")
}

pub(crate) fn no_configuration(at: &At) -> String {
    format!("Configuration file 'nodes/{}/qemu-server/{}.conf' does not exist", at.node, at.vmid)
}

/// As long as Proxmox VE's SHA-1, which nobody computes for himself.
fn digest(vm: &LabVm) -> String {
    let hash = Sha256::digest(format!("{:?}{:?}{:?}", vm.options, vm.lock, vm.disk));
    hash.iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}
