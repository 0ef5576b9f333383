//! A provider of any kind. Its futures are boxed: an official client's are large, and few are under way at a time.

use mayfly_core::ids::Deployment;
use mayfly_core::policy::{GcpPlacement, Placement, PlacementKind, ProxmoxPlacement};
use mayfly_core::slot::VmPlace;
use tokio::time::Instant;

use super::gcp::{self, Gcp};
use super::proxmox::{self, Proxmox};
use super::{Deletion, Listed, ProviderError};

/// A provider of any kind.
#[derive(Debug)]
pub enum Provider {
    /// Google Compute Engine.
    Gcp(Box<Gcp>),
    /// A Proxmox VE cluster.
    Proxmox(Box<Proxmox>),
}

/// A placement, with what makes its VMs.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// In one piece.
    Gcp(&'a Gcp, &'a GcpPlacement),
    /// In steps.
    Proxmox(&'a Proxmox, &'a ProxmoxPlacement),
}

impl At<'_> {
    /// Fetches what a VM of this placement needs, unless it is known and fresh, so that asking for it needs no further reply.
    /// What fails here is told then.
    pub async fn prepare(self, deadline: Instant) {
        match self {
            Self::Gcp(gcp, placement) => Box::pin(gcp.prepare(placement)).await,
            Self::Proxmox(proxmox, placement) => Box::pin(proxmox.prepare(placement, deadline)).await,
        }
    }
}

/// A VM that is being deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Going {
    /// By Google.
    Gcp(gcp::Going),
    /// By a Proxmox VE cluster.
    Proxmox(proxmox::Going),
}

impl Going {
    /// Whether it was gone already.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Gcp(going) => going.is_gone(),
            Self::Proxmox(going) => going.is_gone(),
        }
    }
}

impl Provider {
    /// How many calls were made so far.
    pub fn calls(&self) -> u64 {
        match self {
            Self::Gcp(gcp) => gcp.calls(),
            Self::Proxmox(proxmox) => proxmox.calls(),
        }
    }

    /// A placement of this provider; `None` for one of another kind.
    pub fn at<'a>(&'a self, placement: &'a Placement) -> Option<At<'a>> {
        match (self, &placement.kind) {
            (Self::Gcp(gcp), PlacementKind::Gcp(placement)) => Some(At::Gcp(gcp, placement)),
            (Self::Proxmox(proxmox), PlacementKind::Proxmox(placement)) => {
                Some(At::Proxmox(proxmox, placement))
            }
            (Self::Gcp(_), PlacementKind::Proxmox(_)) | (Self::Proxmox(_), PlacementKind::Gcp(_)) => None,
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
            Self::Gcp(gcp) => Box::pin(gcp.delete(name, place, deadline)).await.map(Going::Gcp),
            Self::Proxmox(proxmox) => {
                Box::pin(proxmox.delete(name, place, deadline)).await.map(Going::Proxmox)
            }
        }
    }

    /// A deletion that somebody else asked for.
    pub fn going(&self, name: &str, place: &VmPlace) -> Going {
        match self {
            Self::Gcp(_) => Going::Gcp(gcp::Going::at(name, place)),
            Self::Proxmox(_) => Going::Proxmox(proxmox::Going::at(name, place)),
        }
    }

    /// Waits for the end of a deletion, or the deadline.
    pub async fn wait_gone(&self, going: &Going, deadline: Instant) -> Result<Deletion, ProviderError> {
        match (self, going) {
            (Self::Gcp(gcp), Going::Gcp(going)) => Box::pin(gcp.wait_gone(going, deadline)).await,
            (Self::Proxmox(proxmox), Going::Proxmox(going)) => {
                Box::pin(proxmox.wait_gone(going, deadline)).await
            }
            // Another provider's: nothing is known of it here.
            (Self::Gcp(_), Going::Proxmox(_)) | (Self::Proxmox(_), Going::Gcp(_)) => Ok(Deletion::UnderWay),
        }
    }

    /// All VMs with the deployment's marks. An error where any part of the list is missing: a list is whole or
    /// unknown.
    pub async fn list(&self, deployment: &Deployment, deadline: Instant) -> Result<Listed, ProviderError> {
        match self {
            Self::Gcp(gcp) => {
                let vms = Box::pin(gcp.list(deployment, deadline)).await?;
                Ok(Listed { vms, ..Listed::default() })
            }
            Self::Proxmox(proxmox) => Box::pin(proxmox.list(deadline)).await,
        }
    }
}
