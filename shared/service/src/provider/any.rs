//! A provider of any kind. Its futures are boxed: an official client's are large, and few are under way at a time.

use std::collections::BTreeSet;
use std::time::Instant;

use mayfly_core::ids::Deployment;
use mayfly_core::policy::{GcpPlacement, Placement, PlacementKind};
use mayfly_core::slot::VmPlace;
use mayfly_core::sweep::Vm;

use super::gcp::{Gcp, Going};
use super::{CreateError, Created, Deletion, ProviderError, VmOrder};

/// A provider of any kind.
#[derive(Debug)]
pub enum Provider {
    /// Google Compute Engine.
    Gcp(Box<Gcp>),
}

impl Provider {
    /// How many calls were made so far.
    pub fn calls(&self) -> u64 {
        match self {
            Self::Gcp(gcp) => gcp.calls(),
        }
    }

    /// Fetches what a create in this placement needs, unless it is known and fresh, so that the create itself needs
    /// no further reply. What fails here is told by the create.
    pub async fn prepare(&self, placement: &Placement) {
        match (self, &placement.kind) {
            (Self::Gcp(gcp), PlacementKind::Gcp(placement)) => Box::pin(gcp.prepare(placement)).await,
            (Self::Gcp(_), PlacementKind::Proxmox(_)) => {}
        }
    }

    /// Makes a VM in the first place of the placement that has room, leaving `cooling` ones out. `placed` is called
    /// as soon as a create is accepted, again when the VM had to be made elsewhere.
    pub async fn create<Recorded: Future<Output = ()> + Send>(
        &self,
        placement: &Placement,
        order: &VmOrder<'_>,
        cooling: &BTreeSet<String>,
        placed: impl Fn(VmPlace) -> Recorded,
    ) -> Result<Created, CreateError> {
        match self {
            Self::Gcp(gcp) => Box::pin(gcp.create(Self::gcp(placement)?, order, cooling, placed)).await,
        }
    }

    /// Asks for a VM's deletion. Deleting what is already gone is success. Without a place the VM is looked for by
    /// its name.
    pub async fn delete(
        &self,
        name: &str,
        place: Option<&VmPlace>,
        deadline: Instant,
    ) -> Result<Going, ProviderError> {
        match self {
            Self::Gcp(gcp) => Box::pin(gcp.delete(name, place, deadline)).await,
        }
    }

    /// A deletion that somebody else asked for.
    pub fn going(&self, name: &str, place: &VmPlace) -> Going {
        match self {
            Self::Gcp(_) => Going::at(name, place),
        }
    }

    /// Waits for the end of a deletion, or the deadline.
    pub async fn wait_gone(&self, going: &Going, deadline: Instant) -> Result<Deletion, ProviderError> {
        match self {
            Self::Gcp(gcp) => Box::pin(gcp.wait_gone(going, deadline)).await,
        }
    }

    /// All VMs with the deployment's marks. An error where any part of the list is missing: a list is whole or
    /// unknown.
    pub async fn list(&self, deployment: &Deployment, deadline: Instant) -> Result<Vec<Vm>, ProviderError> {
        match self {
            Self::Gcp(gcp) => Box::pin(gcp.list(deployment, deadline)).await,
        }
    }

    fn gcp(placement: &Placement) -> Result<&GcpPlacement, CreateError> {
        match &placement.kind {
            PlacementKind::Gcp(placement) => Ok(placement),
            PlacementKind::Proxmox(_) => {
                Err(CreateError::Refused(format!("placement of `{}` is of another kind", placement.provider)))
            }
        }
    }
}
