//! Which VMs there are.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use mayfly_core::ids::PoolName;
use mayfly_core::sweep::{Vm, VmState};
use tokio::time::Instant;

use super::answers::{VmConfig, VmEntry};
use super::error::{Error, Kind};
use super::look::Seen;
use super::{LIMIT, Proxmox, marks, provider_error};
use crate::provider::repeat::repeated;
use crate::provider::{Listed, ProviderError};

/// Configurations that a list looks into, at a time and in all: those of VMs so new that the cluster's own list lacks
/// their names or tags.
const LOOKS_AT_ONCE: usize = 8;
const LOOKS_MOST: usize = 500;
const DOING: &str = "listing VMs";

/// Whose a VM is.
#[derive(Debug, Clone)]
enum Whose {
    Ours(String, PoolName),
    AStrangers,
    /// Nobody can say: its host does not answer, or its clone has only just begun.
    NotKnown,
}

/// Whose a VM is, or why the list is not whole.
type Known = Result<Whose, Error>;

impl Proxmox {
    /// This deployment's VMs, with the room that is left beside them.
    pub async fn list(&self, deadline: Instant) -> Result<Listed, ProviderError> {
        let listed = async {
            let seen = self.look(Duration::ZERO, deadline).await?;
            // Proxmox names every node to everybody.
            if seen.resources.nodes.is_empty() {
                return Err(Error::new(Kind::Busy, "the cluster's list has not even a node in it"));
            }
            let mut listed = self.ours(&seen, deadline).await?;
            listed.room = self.rooms(&seen, deadline).await;
            Ok(listed)
        };
        listed.await.map_err(|error: Error| provider_error(DOING, &error))
    }

    /// Those of a look that are ours: by their tags, or inside our range of ids by name and description.
    pub(super) async fn ours(&self, seen: &Seen, deadline: Instant) -> Result<Listed, Error> {
        let candidates = seen.resources.vms.iter().filter(|vm| self.may_be_ours(vm));
        let mut looks = 0;
        let mut known = Vec::new();
        for vm in candidates {
            let at_once = self.known_at_once(vm);
            looks += usize::from(at_once.is_none());
            known.push((vm, at_once));
        }
        if looks > LOOKS_MOST {
            return Err(Error::new(Kind::Busy, format!("{looks} VMs are yet without a name")));
        }
        let mut looked: Vec<(&VmEntry, Known)> = Vec::new();
        for some in known.chunks(LOOKS_AT_ONCE) {
            let looks = some.iter().map(|(vm, known)| {
                let known = known.clone().or((!seen.is_online(&vm.node)).then_some(Whose::NotKnown));
                self.known_or_looked_into(vm, known, deadline)
            });
            let answers = join_all(looks).await;
            looked.extend(some.iter().map(|(vm, _)| *vm).zip(answers));
        }
        let mut listed = Listed::default();
        for (vm, known) in looked {
            let place = self.place(&vm.node, vm.vmid);
            match known {
                Ok(Whose::Ours(name, pool)) => {
                    listed.vms.push(Vm { name, pool, place, created_at: None, state: state(vm) });
                }
                Ok(Whose::AStrangers) => {}
                Ok(Whose::NotKnown) => _ = listed.unseen.insert(place),
                Err(error) if error.kind == Kind::NodeDown => _ = listed.unseen.insert(place),
                Err(error) => return Err(error),
            }
        }
        Ok(listed)
    }

    fn may_be_ours(&self, vm: &VmEntry) -> bool {
        let (first, last) = self.client.settings().vmid_range;
        let in_range = (first..=last).contains(&vm.vmid);
        let tagged = marks::are_ours(&vm.tags, &self.uses.deployment);
        let name = marks::own_name(vm);
        let named = name.is_none_or(|name| marks::pool_by_name(name, &self.uses.deployment).is_some());
        !vm.template && !vm.is_container && (tagged || (in_range && named))
    }

    /// What the list itself says, where that is enough.
    fn known_at_once(&self, vm: &VmEntry) -> Option<Whose> {
        let name = marks::own_name(vm).filter(|_| marks::are_ours(&vm.tags, &self.uses.deployment))?;
        Some(Whose::Ours(name.to_owned(), marks::pool_by_name(name, &self.uses.deployment)?))
    }

    async fn known_or_looked_into(&self, vm: &VmEntry, known: Option<Whose>, deadline: Instant) -> Known {
        if let Some(known) = known {
            return Ok(known);
        }
        let asked = repeated(deadline, LIMIT, |limit| self.client.config(&vm.node, vm.vmid, limit)).await;
        match asked {
            Ok(config) => Ok(self.marked(&config, vm.vmid)),
            Err(error) if error.kind == Kind::Missing => Ok(Whose::AStrangers),
            Err(error) => Err(error),
        }
    }

    /// Whose a VM is by its marks.
    fn marked(&self, config: &VmConfig, vmid: u32) -> Whose {
        let deployment = &self.uses.deployment;
        if marks::is_nameless(config.name.as_deref(), vmid) {
            let is_new = marks::is_being_made(config.lock.as_deref());
            return if is_new { Whose::NotKnown } else { Whose::AStrangers };
        }
        // The list is late to say so.
        let Some(name) = config.name.clone().filter(|_| !config.template) else { return Whose::AStrangers };
        let described = marks::pool_of(config.description.as_deref().unwrap_or_default(), deployment);
        let named = marks::pool_by_name(&name, deployment);
        let pool = if marks::are_ours(&config.tags, deployment) {
            named.or(described)
        } else {
            named.and(described)
        };
        pool.map_or(Whose::AStrangers, |pool| Whose::Ours(name, pool))
    }

    /// For how many more VMs of each of our templates there is room. What cannot be told is left out.
    async fn rooms(&self, seen: &Seen, deadline: Instant) -> BTreeMap<String, u32> {
        let (mut places, mut demands) = (Vec::new(), Vec::new());
        for placement in &self.uses.placements {
            // One that is full for another reason says so when a VM is asked for.
            let Ok(template) = self.template(placement, seen, deadline).await else { continue };
            let demand = self.demand(placement, &template, seen);
            if self.hidden(&demand, seen).is_none() {
                places.push(placement.place());
                demands.push(demand);
            }
        }
        match self.rooms_for(seen, &demands).await {
            Ok(rooms) => places.into_iter().zip(rooms).collect(),
            Err(error) => {
                tracing::debug!(%error, "the claims on a cluster are not known");
                BTreeMap::new()
            }
        }
    }
}

fn state(vm: &VmEntry) -> VmState {
    match (vm.status.as_deref(), vm.lock.as_deref()) {
        _ if marks::is_being_made(vm.lock.as_deref()) => VmState::Running,
        (_, Some("destroyed")) => VmState::Going,
        (Some("stopped"), _) => VmState::Stopped,
        // One that its host does not tell of may run.
        (Some(_) | None, _) => VmState::Running,
    }
}
