//! What there is to see of a cluster, for those who check a deployment: read only, and nothing of it is remembered.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::answers::{Resources, VmConfig};
use super::error::{Error, Kind};
use super::{LIMIT, Proxmox};
use crate::provider::LookError;
use crate::provider::repeat::repeated;

impl Proxmox {
    /// The release of Proxmox VE, such as `9.0.10` (`GET /version`, for which a token needs no privilege).
    pub async fn version_seen(&self, deadline: Instant) -> Result<String, LookError> {
        let told = repeated(deadline, LIMIT, |limit| self.client.version(limit)).await;
        told.map(Option::unwrap_or_default).map_err(look_error)
    }

    /// The token's own privileges on a path (`GET /access/permissions`, which everybody may ask about himself).
    pub async fn privileges_on(&self, path: &str, deadline: Instant) -> Result<BTreeSet<String>, LookError> {
        repeated(deadline, LIMIT, |limit| self.client.privileges(path, limit)).await.map_err(look_error)
    }

    /// All of the cluster that the token may see (`GET /cluster/resources`).
    pub async fn resources_seen(&self, deadline: Instant) -> Result<Resources, LookError> {
        repeated(deadline, LIMIT, |limit| self.client.resources(limit)).await.map_err(look_error)
    }

    /// A VM's configuration.
    pub async fn config_seen(&self, node: &str, vmid: u32, deadline: Instant) -> Result<VmConfig, LookError> {
        repeated(deadline, LIMIT, |limit| self.client.config(node, vmid, limit)).await.map_err(look_error)
    }
}

fn look_error(error: Error) -> LookError {
    match error.kind {
        Kind::Unauthorized => LookError::Unauthorized(error.why),
        Kind::Forbidden { .. } => LookError::Forbidden(error.why),
        Kind::Missing => LookError::Missing(error.why),
        Kind::Certificate => LookError::Untrusted(error.why),
        Kind::Taken
        | Kind::Locked { .. }
        | Kind::AlreadyRunning
        | Kind::NotRunning
        | Kind::StillRunning
        | Kind::AgentAbsent
        | Kind::AgentUnconfigured
        | Kind::StorageLocked
        | Kind::StorageFull
        | Kind::NoMemory
        | Kind::NodeDown
        | Kind::Refused
        | Kind::TooLong
        | Kind::NotSent
        | Kind::Lost { .. }
        | Kind::Busy
        | Kind::Other(_) => LookError::Unknown(error.why),
    }
}
