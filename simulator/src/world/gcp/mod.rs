//! Google Compute Engine: its state, and the way of a call through it.

pub(crate) mod auth;
pub(crate) mod catalog;
pub(crate) mod changes;
pub(crate) mod filter;
pub(crate) mod insert;
pub(crate) mod instances;
pub(crate) mod life;
pub(crate) mod operations;
pub(crate) mod quota;
pub(crate) mod routes;
pub(crate) mod shapes;
pub(crate) mod template;
pub(crate) mod vm;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::ids::VmId;
use super::request::{Reply, Request, Response};
use super::view::VmView;
use operations::Operation;
use routes::Call;
use vm::Vm;

/// Compute Engine's state.
#[derive(Debug, Clone)]
pub(crate) struct Gcp {
    pub vms: BTreeMap<VmId, Vm>,
    /// Zone and name of those that exist.
    names: BTreeMap<(String, String), VmId>,
    pub gone: Vec<VmView>,
    pub operations: BTreeMap<String, Operation>,
    /// Operations by `requestId`.
    pub requests: BTreeMap<String, String>,
    /// Access tokens that were given out, with their ends.
    pub tokens: BTreeMap<String, Timestamp>,
    last_id: u64,
}

impl Gcp {
    pub fn new(now: Timestamp) -> Self {
        Self {
            vms: BTreeMap::new(),
            names: BTreeMap::new(),
            gone: Vec::new(),
            operations: BTreeMap::new(),
            requests: BTreeMap::new(),
            tokens: BTreeMap::new(),
            last_id: now.as_second().unsigned_abs() << 20,
        }
    }

    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub fn next_vm_id(&mut self) -> VmId {
        VmId(self.next_id())
    }

    pub fn find(&self, zone: &str, name: &str) -> Option<&Vm> {
        let id = self.names.get(&(zone.to_owned(), name.to_owned()))?;
        self.vms.get(id)
    }

    pub fn insert_vm(&mut self, vm: Vm) {
        self.names.insert((vm.zone.clone(), vm.name.clone()), vm.id);
        self.vms.insert(vm.id, vm);
    }

    pub fn take_vm(&mut self, id: VmId) -> Option<Vm> {
        let vm = self.vms.remove(&id)?;
        self.names.remove(&(vm.zone.clone(), vm.name.clone()));
        Some(vm)
    }
}

impl World {
    /// A call that was routed, is allowed and well formed.
    pub(crate) fn perform_gcp(&mut self, now: Timestamp, call: Call, request: &Request) -> Reply {
        let body = || serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        if let Call::WaitOperation(zone, name) = call {
            return self.wait_operation(now, zone, name);
        }
        let result = match call {
            Call::Token => self.exchange_token(request),
            Call::Insert(zone) => self.insert(now, &zone, request, body()),
            Call::GetInstance(zone, name) => self.get_instance(&zone, &name),
            Call::ListInstances(zone) => self.list_instances(&zone, request),
            Call::AggregatedInstances => self.aggregated_instances(request),
            Call::DeleteInstance(zone, name) => self.delete_instance(now, &zone, &name, request),
            Call::StopInstance(zone, name) => self.stop_instance(now, &zone, &name, request),
            Call::StartInstance(zone, name) => self.start_instance(now, &zone, &name, request),
            Call::SetLabels(zone, name) => self.set_labels(now, &zone, &name, request, &body()),
            Call::SetMetadata(zone, name) => self.set_metadata(now, &zone, &name, request, body()),
            Call::TestPermissions(zone, name) => self.test_permissions(&zone, &name, &body()),
            Call::GetOperation(zone, name) => self.get_operation(&zone, &name),
            Call::WaitOperation(..) => Err(missing("operation")),
            Call::GetTemplate(name) => self.get_template(&name),
            Call::ListTemplates => self.list_templates(request),
            Call::GetRegion(name) => self.get_region(&name),
            Call::ListRegions => self.list_regions(request),
            Call::GetZone(name) => self.get_zone(&name),
            Call::ListZones => self.list_zones(request),
            Call::GetMachineType(zone, name) => self.get_machine_type(&zone, &name),
            Call::ListAcceleratorTypes(zone) => self.list_accelerator_types(&zone, request),
            Call::GetAcceleratorType(zone, name) => self.get_accelerator_type(&zone, &name),
            Call::GetProject => Ok(self.project()),
        };
        result.map_or_else(Reply::from, |body| Response::json(200, body).into())
    }
}

/// A full address below a project.
pub(crate) fn url(project: &str, path: &str) -> String {
    format!("https://www.googleapis.com/compute/v1/projects/{project}/{path}")
}

/// The last part of an address, which is the name in it.
pub(crate) fn last_part(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// Google writes milliseconds and an offset.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// An error in Google's form.
pub(crate) fn error(status: u16, reason: &str, message: &str) -> Response {
    let domain = if reason == "quotaExceeded" { "usageLimits" } else { "global" };
    let each = json!({ "message": message, "domain": domain, "reason": reason });
    Response::json(status, json!({ "error": { "code": status, "message": message, "errors": [each] } }))
}

/// The usual reason for a status.
pub(crate) fn reason_of(status: u16) -> &'static str {
    match status {
        400 => "invalid",
        401 => "authError",
        403 => "forbidden",
        404 => "notFound",
        409 => "alreadyExists",
        412 => "conditionNotMet",
        429 => "rateLimitExceeded",
        503 => "backendError",
        _ => "internalError",
    }
}

/// What an answer is made of: a body for 200, or an error.
pub(crate) type Outcome = Result<Value, Response>;

/// 404 for a resource, by its path below the project.
pub(crate) fn missing(what: &str) -> Response {
    error(404, "notFound", &format!("The resource '{what}' was not found"))
}

/// 400 for a field's value.
pub(crate) fn invalid(field: &str, why: &str) -> Response {
    error(400, "invalid", &format!("Invalid value for field '{field}': {why}"))
}
