//! A Proxmox VE cluster: its state, and the way of a call through it.
//!
//! Error texts are those of Proxmox VE 8 and 9, which it writes into the HTTP reason phrase.

pub(crate) mod agent;
pub(crate) mod auth;
pub(crate) mod clone;
pub(crate) mod config;
pub(crate) mod delete;
pub(crate) mod life;
pub(crate) mod options;
pub(crate) mod power;
pub(crate) mod resources;
pub(crate) mod routes;
pub(crate) mod shapes;
pub(crate) mod storage;
pub(crate) mod tasks;
pub(crate) mod vm;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::ids::VmId;
use super::lab::Lab;
use super::request::{Request, Response, with};
use super::view::VmView;
use routes::Call;
use tasks::Task;
use vm::LabVm;

/// The cluster's state.
#[derive(Debug, Clone)]
pub(crate) struct Proxmox {
    pub vms: BTreeMap<VmId, LabVm>,
    /// The VMs that exist, by the id that Proxmox VE gives to others after them.
    ids: BTreeMap<u32, VmId>,
    /// What was there from the start.
    fixtures: BTreeSet<VmId>,
    pub gone: Vec<VmView>,
    pub tasks: BTreeMap<String, Task>,
    /// Nodes that are away, since when.
    offline: BTreeMap<String, Timestamp>,
    tasks_begun: u32,
}

impl Proxmox {
    pub fn new(lab: &Lab, now: Timestamp) -> Self {
        let mut state = Self {
            vms: BTreeMap::new(),
            ids: BTreeMap::new(),
            fixtures: BTreeSet::new(),
            gone: Vec::new(),
            tasks: BTreeMap::new(),
            offline: BTreeMap::new(),
            tasks_begun: 0,
        };
        for template in &lab.templates {
            // Other ids begin far above all VM ids.
            let vm = LabVm::from_template(VmId(u64::from(template.vmid)), template, now);
            state.fixtures.insert(vm.id);
            state.insert_vm(vm);
        }
        state
    }

    pub fn insert_vm(&mut self, vm: LabVm) {
        self.ids.insert(vm.vmid, vm.id);
        self.vms.insert(vm.id, vm);
    }

    pub fn take_vm(&mut self, id: VmId) -> Option<LabVm> {
        let vm = self.vms.remove(&id)?;
        self.ids.remove(&vm.vmid);
        Some(vm)
    }

    /// The VM that has this id now, wherever it is.
    pub fn with_vmid(&self, vmid: u32) -> Option<&LabVm> {
        self.vms.get(self.ids.get(&vmid)?)
    }

    /// VMs that were not there from the start.
    pub fn made_vms(&self) -> impl Iterator<Item = &LabVm> {
        self.vms.values().filter(|vm| !self.fixtures.contains(&vm.id))
    }

    pub fn is_online(&self, node: &str) -> bool {
        !self.offline.contains_key(node)
    }
}

impl World {
    /// A call that was routed, is allowed and well formed.
    pub(crate) fn perform_proxmox(&mut self, now: Timestamp, call: Call, request: &Request) -> Response {
        let form = shapes::form_of(request);
        if form.flag("skiplock").unwrap_or_default() {
            return shapes::Wrong::one("skiplock", "Only root may use this option.").refusal();
        }
        let result = match call {
            Call::Version => Ok(resources::version()),
            Call::Permissions => Ok(self.own_permissions(&form)),
            Call::NextId => self.next_id(&form),
            Call::Resources => Ok(self.cluster_resources(now, &form)),
            Call::Nodes => Ok(self.nodes(now)),
            Call::StorageStatus { node, storage } => self.storage_status(&node, &storage),
            Call::List { node } => Ok(self.list_lab_vms(now, &node)),
            Call::Clone(at) => self.clone_vm(now, &at, &form),
            Call::GetConfig(at) => self.get_config(&at),
            Call::SetConfig(at) => self.set_config(now, &at, &form),
            Call::Status(at) => self.vm_status(now, &at),
            Call::Start(at) => Ok(self.start_vm(now, &at)),
            Call::Stop(at) => Ok(self.stop_lab_vm(now, &at)),
            Call::Shutdown(at) => Ok(self.shut_down(now, &at, &form)),
            Call::Ping(at) => self.agent_ping(&at),
            Call::FileWrite(at) => self.agent_file_write(now, &at, &form),
            Call::FileRead(at) => self.agent_file_read(&at, &form),
            Call::Delete(at) => self.delete_lab_vm(now, &at),
            Call::TaskStatus { node, upid } => self.task_status(&node, &upid),
            Call::TaskLog { node, upid } => return self.task_log(&node, &upid, &form),
        };
        match result {
            Ok(data) => Response::json(200, with(json!({}), [("data", data)])),
            Err(refusal) => refusal,
        }
    }
}

/// What an answer's `data` is, or an error.
pub(crate) type Outcome = Result<Value, Response>;

/// An error as pveproxy gives it: in the reason phrase, and in the body.
pub(crate) fn error(status: u16, message: &str) -> Response {
    Response::json(status, json!({ "data": null, "message": format!("{message}\n") })).reason(message)
}

/// What went wrong while a call was carried out.
pub(crate) fn failure(message: impl AsRef<str>) -> Response {
    error(500, message.as_ref())
}
