//! What the cluster says of itself, in one call (`GET /cluster/resources`), kept for a moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mayfly_core::room::{Cluster, Guest, Host};
use tokio::time::Instant;

use super::answers::{Resources, VmEntry};
use super::error::Error;
use super::{LIMIT, Proxmox, marks};
use crate::clock;
use crate::provider::repeat::repeated;

/// A look this old is good enough to find room by; that there is none is said by a new one only. Shorter than
/// [`mayfly_core::room::CLAIM_KEPT`], by which claims outlast the looks that lack their VMs.
pub(super) const KEPT: Duration = Duration::from_secs(10);

/// A look at the cluster.
#[derive(Debug)]
pub(super) struct Seen {
    asked_at: Instant,
    pub resources: Resources,
    /// The same, as far as room is concerned.
    pub cluster: Cluster,
}

impl Seen {
    /// Whether it was asked for within the last `age`.
    pub fn is_within(&self, age: Duration) -> bool {
        self.asked_at.elapsed() < age
    }

    /// The VM or template of that id.
    pub fn vm(&self, vmid: u32) -> Option<&VmEntry> {
        self.resources.vms.iter().find(|vm| vm.vmid == vmid)
    }

    /// Whether a node answers.
    pub fn is_online(&self, node: &str) -> bool {
        self.cluster.hosts.iter().any(|host| host.name == node && host.online)
    }
}

impl Proxmox {
    /// The cluster as it was at most `age` ago. Those who ask at the same time share one call.
    pub(super) async fn look(&self, age: Duration, deadline: Instant) -> Result<Arc<Seen>, Error> {
        let came_at = Instant::now();
        let waiting = tokio::time::timeout_at(deadline, self.seen.lock()).await;
        let mut kept = waiting.map_err(|_| Error::no_time())?;
        if let Some(seen) = kept.as_ref().filter(|seen| seen.asked_at >= came_at || seen.is_within(age)) {
            return Ok(Arc::clone(seen));
        }
        let (asked_at, asked) = (Instant::now(), clock::now());
        let resources = repeated(deadline, LIMIT, |limit| self.client.resources(limit)).await?;
        let cluster = cluster(asked, &resources);
        let seen = Arc::new(Seen { asked_at, resources, cluster });
        *kept = Some(Arc::clone(&seen));
        Ok(seen)
    }
}

fn cluster(asked: jiff::Timestamp, resources: &Resources) -> Cluster {
    let hosts = resources.nodes.iter().map(|node| Host {
        name: node.name.clone(),
        online: node.online,
        memory: node.maxmem.unwrap_or(0),
        used: node.mem.unwrap_or(0),
    });
    let guests: BTreeMap<u32, Guest> =
        resources.vms.iter().filter(|vm| !vm.template).map(|vm| (vm.vmid, guest(vm))).collect();
    Cluster { asked, hosts: hosts.collect(), guests }
}

fn guest(vm: &VmEntry) -> Guest {
    let cloning = marks::is_being_made(vm.lock.as_deref());
    Guest {
        host: vm.node.clone(),
        runs: vm.status.as_deref() == Some("running"),
        cloning,
        // Its own is not written yet.
        memory: vm.maxmem.filter(|memory| *memory > 0 && !cloning),
        spent: vm.memhost.filter(|memory| *memory > 0),
    }
}
