//! Which of Compute Engine's calls a request is, and what it may hold.

use super::shapes;
use crate::world::call::Route;
use crate::world::request::Method::{self, Delete, Get, Post};
use crate::world::shape::{Parameter, Shape};

/// A call on Compute Engine's API, or on Google's token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Token,
    Insert(String),
    GetInstance(String, String),
    ListInstances(String),
    AggregatedInstances,
    DeleteInstance(String, String),
    StopInstance(String, String),
    StartInstance(String, String),
    SetLabels(String, String),
    SetMetadata(String, String),
    TestPermissions(String, String),
    GetOperation(String, String),
    WaitOperation(String, String),
    GetTemplate(String),
    ListTemplates,
    GetRegion(String),
    ListRegions,
    GetZone(String),
    ListZones,
    GetMachineType(String, String),
    ListAcceleratorTypes(String),
    GetAcceleratorType(String, String),
    GetProject,
}

/// Parameters that every call takes. `fields` may be given, and is not followed: answers are whole.
pub(crate) const SYSTEM_PARAMETERS: &[Parameter] = &[
    ("alt", Shape::OneOf(&["json"])),
    ("$alt", Shape::Text),
    ("$apiVersion", Shape::Text),
    ("$.xgafv", Shape::OneOf(&["1", "2"])),
    ("fields", Shape::Text),
    ("$fields", Shape::Text),
    ("prettyPrint", Shape::Bool),
    ("$prettyPrint", Shape::Bool),
    ("quotaUser", Shape::Text),
    ("userIp", Shape::Text),
];
const LIST: &[Parameter] = &[
    ("filter", Shape::Text),
    ("maxResults", Shape::Int),
    ("orderBy", Shape::OneOf(&["name"])),
    ("pageToken", Shape::Text),
];
const AGGREGATED: &[Parameter] = &[
    ("filter", Shape::Text),
    ("includeAllScopes", Shape::Bool),
    ("maxResults", Shape::Int),
    ("orderBy", Shape::OneOf(&["name"])),
    ("pageToken", Shape::Text),
    ("serviceProjectNumber", Shape::Int64),
];
const INSERT: &[Parameter] = &[("requestId", Shape::Text), ("sourceInstanceTemplate", Shape::Text)];
const DELETE: &[Parameter] = &[("requestId", Shape::Text), ("noGracefulShutdown", Shape::Bool)];
const STOP: &[Parameter] =
    &[("requestId", Shape::Text), ("noGracefulShutdown", Shape::Bool), ("discardLocalSsd", Shape::Bool)];
const CHANGE: &[Parameter] = &[("requestId", Shape::Text)];

/// The call of a method and path, if Compute Engine has one. The project is checked by the caller's
/// credentials being for one project only: another project's path is not found.
pub(crate) fn route(method: Method, path: &[&str]) -> Option<Route> {
    match (method, path) {
        (Post, ["token"]) => Some(Route::gcp_form("gcp.token", Call::Token)),
        (_, ["compute", "v1", "projects", _, rest @ ..]) => in_project(method, rest),
        _ => None,
    }
}

fn gcp(name: &'static str, query: &'static [Parameter], call: Call) -> Option<Route> {
    Some(Route::gcp(name, query, None, call))
}

fn in_project(method: Method, rest: &[&str]) -> Option<Route> {
    match (method, rest) {
        (Get, []) => gcp("gcp.project", &[], Call::GetProject),
        (Get, ["regions"]) => gcp("gcp.regions", LIST, Call::ListRegions),
        (Get, ["regions", name]) => gcp("gcp.region", &[], Call::GetRegion((*name).to_owned())),
        (Get, ["zones"]) => gcp("gcp.zones", LIST, Call::ListZones),
        (Get, ["zones", name]) => gcp("gcp.zone", &[], Call::GetZone((*name).to_owned())),
        (Get, ["aggregated", "instances"]) => {
            gcp("gcp.aggregated_instances", AGGREGATED, Call::AggregatedInstances)
        }
        (Get, ["global", "instanceTemplates"]) => gcp("gcp.templates", LIST, Call::ListTemplates),
        (Get, ["global", "instanceTemplates", name]) => {
            gcp("gcp.template", &[], Call::GetTemplate((*name).to_owned()))
        }
        (_, ["zones", zone, rest @ ..]) => in_zone(method, zone, rest),
        _ => None,
    }
}

fn in_zone(method: Method, zone: &str, rest: &[&str]) -> Option<Route> {
    let in_zone = |name: &str| (zone.to_owned(), name.to_owned());
    match (method, rest) {
        (Get, ["machineTypes", name]) => {
            let (zone, name) = in_zone(name);
            gcp("gcp.machine_type", &[], Call::GetMachineType(zone, name))
        }
        (Get, ["acceleratorTypes"]) => {
            gcp("gcp.accelerator_types", LIST, Call::ListAcceleratorTypes(zone.to_owned()))
        }
        (Get, ["acceleratorTypes", name]) => {
            let (zone, name) = in_zone(name);
            gcp("gcp.accelerator_type", &[], Call::GetAcceleratorType(zone, name))
        }
        (Get, ["operations", name]) => {
            let (zone, name) = in_zone(name);
            gcp("gcp.operation", &[], Call::GetOperation(zone, name))
        }
        (Post, ["operations", name, "wait"]) => {
            let (zone, name) = in_zone(name);
            gcp("gcp.wait", &[], Call::WaitOperation(zone, name))
        }
        (Post, ["instances"]) => {
            Some(Route::gcp("gcp.insert", INSERT, Some(&shapes::INSTANCE), Call::Insert(zone.to_owned())))
        }
        (Get, ["instances"]) => gcp("gcp.instances", LIST, Call::ListInstances(zone.to_owned())),
        (_, ["instances", name, rest @ ..]) => {
            let (zone, name) = in_zone(name);
            on_instance(method, zone, name, rest)
        }
        _ => None,
    }
}

fn on_instance(method: Method, zone: String, name: String, rest: &[&str]) -> Option<Route> {
    match (method, rest) {
        (Get, []) => gcp("gcp.instance", &[], Call::GetInstance(zone, name)),
        (Delete, []) => gcp("gcp.delete", DELETE, Call::DeleteInstance(zone, name)),
        (Post, ["stop"]) => gcp("gcp.stop", STOP, Call::StopInstance(zone, name)),
        (Post, ["start"]) => gcp("gcp.start", CHANGE, Call::StartInstance(zone, name)),
        (Post, ["setLabels"]) => {
            Some(Route::gcp("gcp.set_labels", CHANGE, Some(&shapes::SET_LABELS), Call::SetLabels(zone, name)))
        }
        (Post, ["setMetadata"]) => Some(Route::gcp(
            "gcp.set_metadata",
            CHANGE,
            Some(&shapes::METADATA),
            Call::SetMetadata(zone, name),
        )),
        (Post, ["testIamPermissions"]) => Some(Route::gcp(
            "gcp.test_permissions",
            &[],
            Some(&shapes::PERMISSIONS),
            Call::TestPermissions(zone, name),
        )),
        _ => None,
    }
}
