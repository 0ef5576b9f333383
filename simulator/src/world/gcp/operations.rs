//! Zone operations: everything that changes something takes its time.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::quota::Shortage;
use super::{Outcome, missing, url};
use crate::world::World;
use crate::world::ids::VmId;
use crate::world::request::{Reply, Request, Response, Ticket};
use crate::world::timeline::{Due, after};

/// `zoneOperations.wait` answers after two minutes at the latest.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperationKind {
    Insert,
    Delete,
    Stop,
    Start,
    SetLabels,
    SetMetadata,
}

impl OperationKind {
    fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Delete => "delete",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::SetLabels => "setLabels",
            Self::SetMetadata => "setMetadata",
        }
    }
}

/// Why an accepted insert will fail.
#[derive(Debug, Clone)]
pub(crate) enum Doom {
    Stockout,
    Quota(Shortage),
}

#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub name: String,
    id: u64,
    zone: String,
    pub kind: OperationKind,
    pub target: VmId,
    target_name: String,
    pub doom: Option<Doom>,
    inserted: Timestamp,
    started: Option<Timestamp>,
    ends: Timestamp,
    done: bool,
}

impl World {
    /// The operation of an earlier call with the same `requestId`: that call is not done again.
    pub(crate) fn repeated(&self, request: &Request) -> Result<Option<Value>, Response> {
        let Some(id) = request.parameter("requestId") else { return Ok(None) };
        if !is_uuid(id) {
            return Err(super::invalid("requestId", &format!("'{id}'. Must be a non-zero UUID")));
        }
        let operation = self.gcp.requests.get(id).and_then(|name| self.gcp.operations.get(name));
        Ok(operation.map(|operation| self.operation_body(operation)))
    }

    /// A new operation on a VM that takes this long.
    pub(crate) fn start_operation(
        &mut self,
        now: Timestamp,
        kind: OperationKind,
        target: VmId,
        takes: Duration,
        doom: Option<Doom>,
        request: &Request,
    ) -> Value {
        let Some(vm) = self.gcp.vms.get(&target) else { return Value::Null };
        let (zone, target_name) = (vm.zone.clone(), vm.name.clone());
        let id = self.gcp.next_id();
        let (a, b) = (self.rng.next(), self.rng.next());
        let name =
            format!("operation-{}-{:013x}-{:08x}-{:08x}", now.as_millisecond(), id, a as u32, b as u32);
        let ends = after(now, takes);
        let operation = Operation {
            name: name.clone(),
            id,
            zone,
            kind,
            target,
            target_name,
            doom,
            inserted: now,
            started: None,
            ends,
            done: false,
        };
        let body = self.operation_body(&operation);
        if let Some(request_id) = request.parameter("requestId") {
            self.gcp.requests.insert(request_id.to_owned(), name.clone());
        }
        self.gcp.operations.insert(name.clone(), operation);
        self.timeline.at(after(now, takes.mul_f64(0.2)), Due::OperationRuns(name.clone()));
        self.timeline.at(ends, Due::OperationEnds(name));
        body
    }

    pub(crate) fn operation_runs(&mut self, now: Timestamp, name: &str) {
        if let Some(operation) = self.gcp.operations.get_mut(name) {
            operation.started = Some(now);
        }
    }

    pub(crate) fn operation_ends(&mut self, now: Timestamp, name: &str) {
        let Some(operation) = self.gcp.operations.get_mut(name) else { return };
        operation.done = true;
        let (kind, target, doomed) = (operation.kind, operation.target, operation.doom.is_some());
        match kind {
            OperationKind::Insert if doomed => self.insert_failed(now, target),
            OperationKind::Insert | OperationKind::Start => self.vm_runs(now, target),
            OperationKind::Delete => self.remove_vm(now, target),
            OperationKind::Stop => self.vm_stops(now, target),
            OperationKind::SetLabels | OperationKind::SetMetadata => {}
        }
    }

    pub(crate) fn get_operation(&self, zone: &str, name: &str) -> Outcome {
        let operation = self.operation(zone, name)?;
        Ok(self.operation_body(operation))
    }

    fn operation(&self, zone: &str, name: &str) -> Result<&Operation, Response> {
        let found = self.gcp.operations.get(name).filter(|operation| operation.zone == zone);
        found.ok_or_else(|| {
            missing(&format!("projects/{}/zones/{zone}/operations/{name}", self.settings.project))
        })
    }

    pub(crate) fn wait_operation(&mut self, now: Timestamp, zone: String, operation: String) -> Reply {
        self.resume(now, Ticket { zone, operation, deadline: after(now, LONGEST_WAIT) })
    }

    /// Ask again for a call that was blocked.
    pub fn resume(&mut self, now: Timestamp, ticket: Ticket) -> Reply {
        self.advance(now);
        let operation = match self.operation(&ticket.zone, &ticket.operation) {
            Ok(operation) => operation,
            Err(refusal) => return refusal.into(),
        };
        if operation.done || now >= ticket.deadline {
            return Response::json(200, self.operation_body(operation)).into();
        }
        Reply::Blocked { until: operation.ends.min(ticket.deadline), ticket }
    }

    fn operation_body(&self, operation: &Operation) -> Value {
        let project = &self.settings.project;
        let zone_url = url(project, &format!("zones/{}", operation.zone));
        let running = operation.started.is_some();
        let mut body = json!({
            "kind": "compute#operation",
            "id": operation.id.to_string(),
            "name": operation.name,
            "zone": zone_url,
            "operationType": operation.kind.name(),
            "targetLink": format!("{zone_url}/instances/{}", operation.target_name),
            "targetId": operation.target.to_string(),
            "status": if operation.done { "DONE" } else if running { "RUNNING" } else { "PENDING" },
            "user": self.access.service_account,
            "progress": if operation.done { 100 } else { 0 },
            "insertTime": super::time(operation.inserted),
            "selfLink": format!("{zone_url}/operations/{}", operation.name),
        });
        if let Some(started) = operation.started {
            body["startTime"] = json!(super::time(started));
        }
        if operation.done {
            body["endTime"] = json!(super::time(operation.ends));
        }
        if let (true, Some(doom)) = (operation.done, &operation.doom) {
            let (status, text, error) = self.failure(operation, doom);
            body["httpErrorStatusCode"] = json!(status);
            body["httpErrorMessage"] = json!(text);
            body["error"] = json!({ "errors": [error] });
        }
        body
    }

    fn failure(&self, operation: &Operation, doom: &Doom) -> (u16, &'static str, Value) {
        match doom {
            Doom::Quota(shortage) => {
                let region = shortage.region.iter().map(|region| ("region".to_owned(), json!(region)));
                let dimensions: serde_json::Map<String, Value> = region.collect();
                let info = json!({ "metricName": "compute.googleapis.com/gpus", "limitName": shortage.metric,
                    "limit": shortage.limit, "dimensions": dimensions });
                let error = json!({ "code": "QUOTA_EXCEEDED", "message": shortage.message(),
                    "errorDetails": [{ "quotaInfo": info }] });
                (403, "FORBIDDEN", error)
            }
            Doom::Stockout => (503, "SERVICE UNAVAILABLE", self.stockout_error(operation)),
        }
    }

    /// Both codes have been seen; which one comes is a matter of the operation's id.
    fn stockout_error(&self, operation: &Operation) -> Value {
        let zone = &operation.zone;
        let place = format!("projects/{}/zones/{zone}", self.settings.project);
        let lack =
            format!("The zone '{place}' does not have enough resources available to fulfill the request");
        if operation.id.is_multiple_of(2) {
            let message = format!("{lack}.  Try a different zone, or try again later.");
            return json!({ "code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": message });
        }
        let message = format!("{lack}, '(resource type:compute)'.");
        let info = json!({ "reason": "resource_availability", "domain": "compute.googleapis.com",
            "metadatas": { "zone": zone, "zonesAvailable": "" } });
        json!({ "code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "message": message,
            "errorDetails": [{ "errorInfo": info }] })
    }
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let hex = parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    lengths == [8, 4, 4, 4, 12] && hex && text.bytes().any(|byte| byte != b'0' && byte != b'-')
}
