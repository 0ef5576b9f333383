//! What there is: the cluster's resources, nodes, VMs, and the token's own rights.
//!
//! What a node says of its VMs is true; what the cluster says of them is as old as `pvestatd`'s last report.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Outcome;
use super::routes::At;
use super::shapes::{Form, Wrong};
use super::storage::{CONTENT, plugin};
use super::vm::LabVm;
use crate::world::World;
use crate::world::lab::{Node, Storage};
use crate::world::timeline::after;

const MAX_CPU: u32 = 16;

pub(crate) fn version() -> Value {
    json!({ "version": "9.0.10", "release": "9.0", "repoid": "deb1ca707ec72a89" })
}

impl World {
    /// All privileges hold on all paths.
    pub(crate) fn own_permissions(&self, form: &Form) -> Value {
        let privileges = self.settings.proxmox.privileges.iter().map(|name| (name.clone(), json!(1)));
        let privileges: Map<String, Value> = privileges.collect();
        let all = ["/", "/access", "/nodes", "/pool", "/sdn", "/storage", "/vms"];
        let paths = form.text("path").map_or(all.to_vec(), |path| vec![path]);
        Value::Object(paths.into_iter().map(|path| (path.to_owned(), json!(privileges))).collect())
    }

    /// The lowest id that is free; it reserves nothing.
    pub(crate) fn next_id(&self, form: &Form) -> Outcome {
        let is_free = |vmid: &u32| self.proxmox.with_vmid(*vmid).is_none();
        match form.number::<u32>("vmid") {
            Some(vmid) if is_free(&vmid) => Ok(json!(vmid.to_string())),
            Some(vmid) => Err(Wrong::one("vmid", &format!("VM {vmid} already exists")).refusal()),
            None => Ok(json!((100..).find(is_free).unwrap_or(100).to_string())),
        }
    }

    pub(crate) fn cluster_resources(&self, now: Timestamp, form: &Form) -> Value {
        let wants = |kind: &str| form.text("type").is_none_or(|wanted| wanted == kind);
        let lab = &self.settings.proxmox;
        let mut all = Vec::new();
        if wants("vm") && self.has_privilege("VM.Audit") {
            all.extend(self.proxmox.vms.values().map(|vm| self.vm_resource(now, vm)));
        }
        if wants("node") {
            all.extend(lab.nodes.iter().map(|node| self.node_resource(now, node)));
        }
        if wants("storage") && self.has_privilege("Datastore.Audit") {
            for node in &lab.nodes {
                let here = lab.storages.iter().filter(|storage| storage.is_on(&node.name));
                all.extend(here.map(|storage| self.storage_resource(storage, node)));
            }
        }
        Value::Array(all)
    }

    fn vm_resource(&self, now: Timestamp, vm: &LabVm) -> Value {
        let lab = &self.settings.proxmox;
        let mut entry = json!({
            "id": format!("qemu/{}", vm.vmid), "type": "qemu", "vmid": vm.vmid, "node": vm.node, "status": "unknown",
        });
        if let Some(lock) = vm.lock {
            entry["lock"] = json!(lock.name());
        }
        if let Some(tags) = vm.option("tags").filter(|_| !vm.is_temporary()) {
            entry["tags"] = json!(tags);
        }
        let away = self.proxmox.offline.get(&vm.node);
        let is_forgotten = away.is_some_and(|since| now >= after(*since, lab.stats_kept));
        if now < after(vm.created, lab.stats_lag) || is_forgotten {
            return entry;
        }
        let runs = vm.seems_running(now, lab.stats_lag) && away.is_none();
        entry["name"] = json!(vm.told_name());
        entry["template"] = json!(u8::from(vm.is_template));
        entry["maxmem"] = json!(vm.memory_bytes());
        entry["mem"] = json!(if runs { vm.memory_bytes() / 2 } else { 0 });
        entry["maxdisk"] = json!(vm.disk.as_ref().map_or(0, |disk| disk.bytes));
        entry["maxcpu"] = json!(4);
        entry["cpu"] = json!(0);
        if away.is_none() {
            entry["status"] = json!(if runs { "running" } else { "stopped" });
            entry["uptime"] = json!(if runs { uptime(now, vm) } else { 0 });
        }
        entry
    }

    /// The figures are left out for who has no `Sys.Audit`, and for a node that is away.
    fn node_resource(&self, now: Timestamp, node: &Node) -> Value {
        let is_online = self.proxmox.is_online(&node.name);
        let mut entry = json!({
            "id": format!("node/{}", node.name), "type": "node", "node": node.name,
            "status": if is_online { "online" } else { "offline" },
        });
        if is_online && self.has_privilege("Sys.Audit") {
            let lag = self.settings.proxmox.stats_lag;
            entry["maxmem"] = json!(node.memory_bytes);
            entry["mem"] = json!(self.held_memory(&node.name, |vm| vm.seems_running(now, lag)));
            entry["maxcpu"] = json!(MAX_CPU);
            entry["cpu"] = json!(0.1);
            entry["uptime"] = json!(1_000_000);
            entry["level"] = json!("");
        }
        entry
    }

    pub(crate) fn nodes(&self, now: Timestamp) -> Value {
        self.settings.proxmox.nodes.iter().map(|node| self.node_resource(now, node)).collect()
    }

    fn storage_resource(&self, storage: &Storage, node: &Node) -> Value {
        let mut entry = json!({
            "id": format!("storage/{}/{}", node.name, storage.name), "type": "storage", "storage": storage.name,
            "node": node.name, "shared": u8::from(storage.shared), "content": CONTENT,
            "plugintype": plugin(storage), "status": "unknown",
        });
        if self.proxmox.is_online(&node.name) {
            entry["status"] = json!("available");
            entry["maxdisk"] = json!(storage.bytes);
            entry["disk"] = json!(self.used_of_storage(&storage.name, &node.name));
        }
        entry
    }

    /// VMs without the right to see them are not listed.
    pub(crate) fn list_lab_vms(&self, now: Timestamp, node: &str) -> Value {
        let seen = self.proxmox.vms.values().filter(|vm| vm.node == node && self.has_privilege("VM.Audit"));
        seen.map(|vm| figures(now, vm)).collect()
    }

    pub(crate) fn vm_status(&self, now: Timestamp, at: &At) -> Outcome {
        let vm = self.lab_vm_at(at)?;
        let mut data = figures(now, vm);
        data["ha"] = json!({ "managed": 0 });
        data["qmpstatus"] = data["status"].clone();
        if vm.has_agent() {
            data["agent"] = json!(1);
        }
        Ok(data)
    }
}

/// A VM, as its node sees it.
fn figures(now: Timestamp, vm: &LabVm) -> Value {
    let runs = vm.is_running();
    let mut entry = json!({
        "vmid": vm.vmid,
        "name": vm.told_name(),
        "status": if runs { "running" } else { "stopped" },
        "maxmem": vm.memory_bytes(),
        "mem": if runs { vm.memory_bytes() / 2 } else { 0 },
        "maxdisk": vm.disk.as_ref().map_or(0, |disk| disk.bytes),
        "cpus": 4,
        "uptime": if runs { uptime(now, vm) } else { 0 },
    });
    if let Some(lock) = vm.lock {
        entry["lock"] = json!(lock.name());
    }
    if let Some(tags) = vm.option("tags").filter(|_| !vm.is_temporary()) {
        entry["tags"] = json!(tags);
    }
    if vm.is_template {
        entry["template"] = json!(1);
    }
    if runs {
        entry["pid"] = json!(100_000 + vm.vmid);
    }
    entry
}

fn uptime(now: Timestamp, vm: &LabVm) -> i64 {
    now.duration_since(vm.switched).as_secs().max(0)
}
