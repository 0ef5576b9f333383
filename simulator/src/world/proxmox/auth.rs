//! Who may call what: the API token, its privileges, and whether the node that is asked is there.

use super::routes::Call;
use super::shapes::{Form, form_of};
use super::{error, options};
use crate::world::World;
use crate::world::request::{Request, Response};

/// Any of these lets a configuration be changed at all.
const CONFIG: [&str; 8] = [
    "VM.Config.Disk",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.HWType",
    "VM.Config.Options",
    "VM.Config.Cloudinit",
];

impl World {
    /// The token, the privileges that the call itself wants, and the node: in this order, as pveproxy looks.
    pub(crate) fn allow_proxmox(&self, call: &Call, request: &Request) -> Result<(), Response> {
        self.check_api_token(request)?;
        self.check_call(call, &form_of(request))?;
        let Some(node) = call.node() else { return Ok(()) };
        if self.settings.proxmox.node(node).is_none() {
            return Err(error(500, &unknown_host(node)));
        }
        if self.proxmox.is_online(node) { Ok(()) } else { Err(error(595, "No route to host")) }
    }

    fn check_api_token(&self, request: &Request) -> Result<(), Response> {
        let unauthorized = |why: &str| error(401, why);
        let header = request.header("authorization").unwrap_or_default();
        let token = header.strip_prefix("PVEAPIToken=").ok_or_else(|| unauthorized("No ticket"))?;
        let (id, secret) = token.rsplit_once('=').ok_or_else(|| unauthorized("invalid token format"))?;
        let (user, name) = id.split_once('!').ok_or_else(|| unauthorized("invalid token format"))?;
        let (our_user, _) = self.access.proxmox_token_id.split_once('!').unwrap_or_default();
        if user != our_user {
            return Err(unauthorized(&format!("no such user ('{user}')")));
        }
        if id != self.access.proxmox_token_id {
            return Err(unauthorized(&format!("no such token '{name}' for user '{user}'")));
        }
        if secret != self.access.proxmox_token_secret {
            return Err(unauthorized("invalid token value!"));
        }
        Ok(())
    }

    /// What `permissions` of the call says in the published description.
    fn check_call(&self, call: &Call, form: &Form) -> Result<(), Response> {
        match call {
            Call::Version
            | Call::Permissions
            | Call::NextId
            | Call::Resources
            | Call::Nodes
            | Call::List { .. }
            | Call::TaskStatus { .. }
            | Call::TaskLog { .. } => Ok(()),
            Call::StorageStatus { storage, .. } => {
                self.need(&format!("/storage/{storage}"), &["Datastore.Audit", "Datastore.AllocateSpace"])
            }
            Call::Clone(at) => {
                self.need_on_vm(at.vmid, &["VM.Clone"])?;
                let new = form.number(NEWID).unwrap_or_default();
                let on_new = self.need_on_vm(new, &["VM.Allocate"]);
                match form.text("pool") {
                    Some(pool) => on_new.or_else(|_| self.need(&format!("/pool/{pool}"), &["VM.Allocate"])),
                    None => on_new,
                }
            }
            Call::GetConfig(at) | Call::Status(at) => self.need_on_vm(at.vmid, &["VM.Audit"]),
            Call::SetConfig(at) => {
                self.need_on_vm(at.vmid, &CONFIG)?;
                let besides = ["delete", "digest", "skiplock", "force", "revert"];
                let mut changed = form.iter().map(|(name, _)| name).filter(|name| !besides.contains(name));
                changed.try_for_each(|name| self.need_on_vm(at.vmid, &[options::privilege_of(name)]))
            }
            Call::Start(at) | Call::Stop(at) | Call::Shutdown(at) => {
                self.need_on_vm(at.vmid, &["VM.PowerMgmt"])
            }
            Call::Ping(at) => self.need_on_vm(at.vmid, &["VM.GuestAgent.Audit", UNRESTRICTED]),
            Call::FileWrite(at) => self.need_on_vm(at.vmid, &["VM.GuestAgent.FileWrite", UNRESTRICTED]),
            Call::FileRead(at) => self.need_on_vm(at.vmid, &["VM.GuestAgent.FileRead", UNRESTRICTED]),
            Call::Delete(at) => self.need_on_vm(at.vmid, &["VM.Allocate"]),
        }
    }

    pub(crate) fn has_privilege(&self, name: &str) -> bool {
        self.settings.proxmox.privileges.contains(name)
    }

    /// 403 unless the token has one of the privileges.
    pub(crate) fn need(&self, path: &str, any_of: &[&str]) -> Result<(), Response> {
        if any_of.iter().any(|name| self.has_privilege(name)) {
            return Ok(());
        }
        Err(error(403, &format!("Permission check failed ({path}, {})", any_of.join("|"))))
    }

    fn need_on_vm(&self, vmid: u32, any_of: &[&str]) -> Result<(), Response> {
        self.need(&format!("/vms/{vmid}"), any_of)
    }
}

fn unknown_host(node: &str) -> String {
    format!(
        "hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known"
    )
}

const NEWID: &str = "newid";
const UNRESTRICTED: &str = "VM.GuestAgent.Unrestricted";
