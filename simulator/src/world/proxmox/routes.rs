//! Which of Proxmox VE's calls a request is, and what it may hold.

use super::options;
use super::shapes::{Fields, Kind};
use crate::world::call::Route;
use crate::world::request::Method::{self, Delete, Get, Post, Put};

/// A VM as a path names it: its node, and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    pub node: String,
    pub vmid: u32,
}

/// A call on Proxmox VE's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Version,
    Permissions,
    NextId,
    Resources,
    Nodes,
    StorageStatus { node: String, storage: String },
    List { node: String },
    Clone(At),
    GetConfig(At),
    SetConfig(At),
    Status(At),
    Start(At),
    Stop(At),
    Shutdown(At),
    Ping(At),
    FileWrite(At),
    FileRead(At),
    Delete(At),
    TaskStatus { node: String, upid: String },
    TaskLog { node: String, upid: String },
}

impl Call {
    /// The node that carries the call out, when that is a certain one.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Version | Self::Permissions | Self::NextId | Self::Resources | Self::Nodes => None,
            Self::StorageStatus { node, .. }
            | Self::List { node }
            | Self::TaskStatus { node, .. }
            | Self::TaskLog { node, .. } => Some(node),
            Self::Clone(at)
            | Self::GetConfig(at)
            | Self::SetConfig(at)
            | Self::Status(at)
            | Self::Start(at)
            | Self::Stop(at)
            | Self::Shutdown(at)
            | Self::Ping(at)
            | Self::FileWrite(at)
            | Self::FileRead(at)
            | Self::Delete(at) => Some(&at.node),
        }
    }
}

const NONE: Fields = Fields::of(&[], &[]);
const PERMISSIONS: Fields = Fields::of(&[], &[("path", Kind::Text), ("userid", Kind::Text)]);
const NEXT_ID: Fields = Fields::of(&[], &[("vmid", Kind::VmId)]);
const RESOURCES: Fields = Fields::of(&[], &[("type", Kind::OneOf(&["vm", "storage", "node", "sdn"]))]);
const LIST: Fields = Fields::of(&[], &[("full", Kind::Bool)]);
const TASK_LOG: Fields =
    Fields::of(&[], &[("download", Kind::Bool), ("limit", Kind::Count), ("start", Kind::Count)]);
const CLONE: Fields = Fields::of(
    &["newid"],
    &[
        ("bwlimit", Kind::Count),
        ("description", Kind::Text),
        ("format", Kind::OneOf(&["raw", "qcow2", "vmdk"])),
        ("full", Kind::Bool),
        ("name", Kind::DnsName),
        ("newid", Kind::VmId),
        ("pool", Kind::Id),
        ("snapname", Kind::Id),
        ("storage", Kind::Id),
        ("target", Kind::Node),
    ],
);
const GET_CONFIG: Fields = Fields::of(&[], &[("current", Kind::Bool), ("snapshot", Kind::Id)]);
const START: Fields = Fields::of(
    &[],
    &[
        ("force-cpu", Kind::Text),
        ("machine", Kind::Text),
        ("migratedfrom", Kind::Node),
        ("migration_network", Kind::Text),
        ("migration_type", Kind::OneOf(&["secure", "insecure"])),
        ("skiplock", Kind::Bool),
        ("stateuri", Kind::AtMost(128)),
        ("targetstorage", Kind::Text),
        ("timeout", Kind::Count),
        ("with-conntrack-state", Kind::Bool),
    ],
);
const STOP: Fields = Fields::of(
    &[],
    &[
        ("keepActive", Kind::Bool),
        ("migratedfrom", Kind::Node),
        ("overrule-shutdown", Kind::Bool),
        ("skiplock", Kind::Bool),
        ("timeout", Kind::Count),
    ],
);
const SHUTDOWN: Fields = Fields::of(
    &[],
    &[
        ("forceStop", Kind::Bool),
        ("keepActive", Kind::Bool),
        ("skiplock", Kind::Bool),
        ("timeout", Kind::Count),
    ],
);
const FILE_WRITE: Fields = Fields::of(
    &["content", "file"],
    &[("content", Kind::AtMost(61_440)), ("encode", Kind::Bool), ("file", Kind::Text)],
);
const FILE_READ: Fields = Fields::of(&["file"], &[("file", Kind::Text)]);
const DELETE: Fields = Fields::of(
    &[],
    &[("destroy-unreferenced-disks", Kind::Bool), ("purge", Kind::Bool), ("skiplock", Kind::Bool)],
);

/// The call of a method and path, if Proxmox VE has one.
pub(crate) fn route(method: Method, path: &[&str]) -> Option<Route> {
    let ["api2", "json", rest @ ..] = path else { return None };
    match (method, rest) {
        (Get, ["version"]) => Some(Route::proxmox("proxmox.version", NONE, Call::Version)),
        (Get, ["access", "permissions"]) => {
            Some(Route::proxmox("proxmox.permissions", PERMISSIONS, Call::Permissions))
        }
        (Get, ["cluster", "nextid"]) => Some(Route::proxmox("proxmox.nextid", NEXT_ID, Call::NextId)),
        (Get, ["cluster", "resources"]) => {
            Some(Route::proxmox("proxmox.resources", RESOURCES, Call::Resources))
        }
        (Get, ["nodes"]) => Some(Route::proxmox("proxmox.nodes", NONE, Call::Nodes)),
        (_, ["nodes", node, rest @ ..]) => at_node(method, node, rest),
        _ => None,
    }
}

fn at_node(method: Method, node: &str, rest: &[&str]) -> Option<Route> {
    let node = node.to_owned();
    match (method, rest) {
        (Get, ["qemu"]) => Some(Route::proxmox("proxmox.list", LIST, Call::List { node })),
        (Get, ["storage", storage, "status"]) => {
            let call = Call::StorageStatus { node, storage: (*storage).to_owned() };
            Some(Route::proxmox("proxmox.storage", NONE, call))
        }
        (Get, ["tasks", upid, "status"]) => {
            let call = Call::TaskStatus { node, upid: (*upid).to_owned() };
            Some(Route::proxmox("proxmox.task", NONE, call))
        }
        (Get, ["tasks", upid, "log"]) => {
            let call = Call::TaskLog { node, upid: (*upid).to_owned() };
            Some(Route::proxmox("proxmox.task_log", TASK_LOG, call))
        }
        (_, ["qemu", vmid, rest @ ..]) => {
            let vmid = vmid.parse().ok().filter(|vmid| (100..=999_999_999).contains(vmid))?;
            on_vm(method, At { node, vmid }, rest)
        }
        _ => None,
    }
}

fn on_vm(method: Method, at: At, rest: &[&str]) -> Option<Route> {
    let (name, fields, call) = match (method, rest) {
        (Delete, []) => ("proxmox.delete", DELETE, Call::Delete(at)),
        (Post, ["clone"]) => ("proxmox.clone", CLONE, Call::Clone(at)),
        (Get, ["config"]) => ("proxmox.config", GET_CONFIG, Call::GetConfig(at)),
        (Put, ["config"]) => ("proxmox.set_config", options::SET_CONFIG, Call::SetConfig(at)),
        (Get, ["status", "current"]) => ("proxmox.status", NONE, Call::Status(at)),
        (Post, ["status", "start"]) => ("proxmox.start", START, Call::Start(at)),
        (Post, ["status", "stop"]) => ("proxmox.stop", STOP, Call::Stop(at)),
        (Post, ["status", "shutdown"]) => ("proxmox.shutdown", SHUTDOWN, Call::Shutdown(at)),
        (Post, ["agent", "ping"]) => ("proxmox.ping", NONE, Call::Ping(at)),
        (Post, ["agent", "file-write"]) => ("proxmox.file_write", FILE_WRITE, Call::FileWrite(at)),
        (Get, ["agent", "file-read"]) => ("proxmox.file_read", FILE_READ, Call::FileRead(at)),
        _ => return None,
    };
    Some(Route::proxmox(name, fields, call))
}
