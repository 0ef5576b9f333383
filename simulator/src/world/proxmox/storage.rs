//! Storages: what is used of them.

use serde_json::json;

use super::{Outcome, failure};
use crate::world::World;
use crate::world::lab::Storage;
use crate::world::request::Response;

pub(crate) const CONTENT: &str = "images,rootdir";

impl World {
    /// A storage that a node has.
    pub(crate) fn storage_on(&self, name: &str, node: &str) -> Result<&Storage, Response> {
        let found = self.settings.proxmox.storage(name);
        let storage = found.ok_or_else(|| failure(format!("storage '{name}' does not exist")))?;
        if storage.is_on(node) {
            return Ok(storage);
        }
        Err(failure(format!("storage '{name}' is not available on node '{node}'")))
    }

    /// What the disks take of a storage: of the node's own, if it is not shared.
    pub(crate) fn used_of_storage(&self, name: &str, node: &str) -> u64 {
        let is_shared = self.settings.proxmox.storage(name).is_none_or(|storage| storage.shared);
        let vms = self.proxmox.vms.values().filter(|vm| is_shared || vm.node == node);
        let disks = vms.filter_map(|vm| vm.disk.as_ref()).filter(|disk| disk.storage == name);
        disks.map(|disk| disk.used_bytes).sum()
    }

    pub(crate) fn storage_status(&self, node: &str, name: &str) -> Outcome {
        let storage = self.storage_on(name, node)?;
        let (total, used) = (storage.bytes, self.used_of_storage(name, node));
        Ok(json!({
            "type": plugin(storage),
            "content": CONTENT,
            "active": 1,
            "enabled": 1,
            "shared": u8::from(storage.shared),
            "total": total,
            "used": used,
            "avail": total.saturating_sub(used),
        }))
    }
}

/// The kind of a storage.
pub(crate) fn plugin(storage: &Storage) -> &'static str {
    if storage.shared { "rbd" } else { "lvmthin" }
}
