//! Templates: what a clone of one needs, and which nodes can have it.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use mayfly_core::metrics::Reason;
use mayfly_core::policy::ProxmoxPlacement;
use mayfly_core::room::Demand;
use tokio::time::Instant;

use super::error::Error;
use super::look::Seen;
use super::{LIMIT, Proxmox, is_past, is_refusal};
use crate::provider::repeat::repeated;
use crate::provider::{CreateError, PassedOver};

/// A template's configuration is read again after this.
const KEPT: Duration = Duration::from_secs(600);

/// So many clones at once one storage is asked for: more than a few wait for its lock until they fail.
const CLONES_MOST: usize = 4;

/// Of a node whose figures are left out (`cluster/resources`: they are for who may see them).
const NO_MEMORY: &str = "give the token's role the privilege Sys.Audit on /nodes, without which a node does not tell its \
                         memory (a token has it only if its user has it too)";

/// What a clone needs.
#[derive(Debug)]
pub(super) struct Template {
    pub vmid: u32,
    /// The node that its configuration is on: clones are asked for there.
    pub node: String,
    /// In bytes.
    pub memory: u64,
    pub tags: Vec<String>,
    /// The storages of its disks.
    disks: BTreeSet<String>,
    /// The storages of its other volumes, which a clone has of its own: a cloud-init drive.
    media: BTreeSet<String>,
}

impl Proxmox {
    /// The placement's template.
    pub(super) async fn template(
        &self,
        placement: &ProxmoxPlacement,
        seen: &Seen,
        deadline: Instant,
    ) -> Result<Arc<Template>, CreateError> {
        let vmid = placement.template;
        let refused = |why: String| Err(CreateError::Refused(why));
        let Some(entry) = seen.vm(vmid) else {
            return refused(format!(
                "there is no template {vmid}, or the token does not see it: is `template` right, and has the token \
                 VM.Audit on /vms/{vmid}?"
            ));
        };
        if !seen.is_online(&entry.node) {
            let why = format!("node {}, where template {vmid} is, is offline", entry.node);
            return Err(CreateError::Full(vec![full(placement, why)]));
        }
        let no_template = || refused(format!("VM {vmid} is no template: `qm template {vmid}` makes it one"));
        // Without a name the list does not tell either whether it is one; its configuration does.
        if !entry.template && entry.name.is_some() {
            return no_template();
        }
        let kept = {
            let templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
            templates.get(&vmid).cloned()
        };
        if let Some((read_at, template)) = kept
            && read_at.elapsed() < KEPT
            && template.node == entry.node
        {
            return Ok(template);
        }
        let config = repeated(deadline, LIMIT, |limit| self.client.config(&entry.node, vmid, limit)).await;
        let config = config.map_err(|error| create_error(&error, placement, deadline))?;
        if !config.template {
            return no_template();
        }
        if !config.agent {
            return refused(format!(
                "template {vmid} has no guest agent: install it, and switch it on with `qm set {vmid} --agent 1`"
            ));
        }
        let template = Arc::new(Template {
            vmid,
            node: entry.node.clone(),
            memory: config.memory_bytes,
            tags: config.tags,
            disks: config.storages,
            media: config.media_storages,
        });
        let mut templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        templates.insert(vmid, (Instant::now(), Arc::clone(&template)));
        Ok(template)
    }

    /// Perhaps the template was changed: the next clone reads it again.
    pub(super) fn forget_template(&self, vmid: u32) {
        self.templates.lock().unwrap_or_else(PoisonError::into_inner).remove(&vmid);
    }

    /// What a VM of this placement needs.
    pub(super) fn demand(&self, placement: &ProxmoxPlacement, template: &Template, seen: &Seen) -> Demand {
        let (first, last) = self.client.settings().vmid_range;
        let vmids = first..=last;
        let storages = match &placement.storage {
            Some(storage) if placement.full_clone => [storage.clone()].into(),
            Some(_) | None => template.disks.clone(),
        };
        let templates = seen.resources.vms.iter().filter(|vm| vm.template).map(|vm| vm.vmid);
        Demand {
            memory: template.memory,
            hosts: self.reach(template, &storages, seen),
            taken: templates.filter(|vmid| vmids.contains(vmid)).collect(),
            vmids,
            storages,
            clones_most: CLONES_MOST,
            failed: blind(seen).map(|node| (node.to_owned(), NO_MEMORY.to_owned())).collect(),
        }
    }

    /// What the token may not see, where no place can be chosen without it.
    pub(super) fn hidden(&self, demand: &Demand, seen: &Seen) -> Option<String> {
        let is_seen = |storage: &str| seen.resources.storages.iter().any(|entry| entry.storage == storage);
        if let Some(storage) = demand.storages.iter().find(|storage| !is_seen(storage)) {
            return Some(format!(
                "there is no storage {storage}, or the token does not see it: is `storage` right, and has the token's \
                 role the privilege Datastore.Audit on /storage/{storage}? (a token has it only if its user has it too)"
            ));
        }
        let blind: BTreeSet<&str> = blind(seen).collect();
        let hosts = seen.cluster.hosts.iter().filter(|host| host.online && demand.hosts.contains(&host.name));
        let usable: Vec<&str> = hosts.map(|host| host.name.as_str()).collect();
        let none_tells = !usable.is_empty() && usable.iter().all(|host| blind.contains(host));
        none_tells.then(|| format!("no node tells its memory: {NO_MEMORY}"))
    }

    /// The nodes that can have a clone: the template's own, and where all its volumes are on shared storage, every other
    /// one that has the storage (`target`: "Only allowed if the original VM is on shared storage").
    fn reach(&self, template: &Template, written: &BTreeSet<String>, seen: &Seen) -> BTreeSet<String> {
        let at = |storage: &String, node: &str| {
            seen.resources.storages.iter().find(|entry| &entry.storage == storage && entry.node == node)
        };
        let read: Vec<&String> = template.disks.iter().chain(&template.media).collect();
        let reaches = |node: &str| {
            let own = node == template.node;
            let shared =
                |storage: &&String| at(storage, node).is_some_and(|it| it.available && (own || it.shared));
            read.iter().all(|storage| own || shared(storage))
                && written.iter().all(|storage| at(storage, node).is_some_and(|it| it.available))
        };
        let wanted = &self.client.settings().nodes;
        let nodes = seen.cluster.hosts.iter().map(|host| host.name.clone());
        nodes.filter(|node| (wanted.is_empty() || wanted.contains(node)) && reaches(node)).collect()
    }
}

/// The nodes that are online and do not tell their memory.
fn blind(seen: &Seen) -> impl Iterator<Item = &str> {
    let nodes = seen.resources.nodes.iter().filter(|node| node.online && node.maxmem.is_none());
    nodes.map(|node| node.name.as_str())
}

/// The whole placement, passed over because it is full for a while.
pub(super) fn full(placement: &ProxmoxPlacement, why: String) -> PassedOver {
    PassedOver { place: placement.place(), why, full: true, reason: Reason::Capacity }
}

/// The seam's error for a call that failed before anything was made.
pub(super) fn create_error(error: &Error, placement: &ProxmoxPlacement, deadline: Instant) -> CreateError {
    use super::error::Kind;
    if is_refusal(&error.kind) {
        return CreateError::Refused(error.why.clone());
    }
    if matches!(error.kind, Kind::NodeDown | Kind::StorageFull | Kind::NoMemory) {
        return CreateError::Full(vec![full(placement, error.why.clone())]);
    }
    let why = if is_past(deadline) { format!("no time left: {}", error.why) } else { error.why.clone() };
    CreateError::Unavailable(why)
}
