//! Proxmox VE.
//!
//! A VM is made in steps: a template is cloned to the node with most free memory, the clone is tagged and started, and
//! when its guest agent answers, the JIT config is written into it. Every step can be taken up by somebody else.
//!
//! - `client`: one method for each call that is made; `http` sends it, `tls` says whose certificate is trusted
//! - `answers`: what the calls answer, as far as it is used
//! - `error`: what an error means, and what a person can do about it
//! - `look`, `template`: what is known of the cluster, kept for a while
//! - `place`: which node and id a VM gets, agreed upon with all others that make VMs at the same time
//! - `clone`, `steps`: making a VM; `delete`, `list`: the rest of its life

mod answers;
mod client;
mod clone;
mod delete;
mod error;
mod http;
mod inspect;
mod list;
mod look;
mod marks;
mod place;
mod steps;
mod template;
mod tls;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mayfly_core::ids::{Deployment, ProviderName};
use mayfly_core::policy::ProxmoxPlacement;
use mayfly_core::slot::VmPlace;
use reqwest::Url;
use tokio::time::Instant;

use self::client::Client;
use self::error::{Error, Kind};
use self::look::Seen;
use self::template::Template;
use super::ProviderError;
use crate::config::Trust;
use crate::secret::SecretSource;
use crate::store::{Ledger, Room};
use crate::tally::Counts;

pub use self::answers::{NodeEntry, Resources, StorageEntry, VmConfig, VmEntry};
pub use self::clone::{Cloning, NewVm};
pub use self::delete::Going;
pub use self::steps::{Advanced, Failure, Reached};

/// What is configured of a provider of kind `proxmox`.
#[derive(Debug, Clone)]
pub struct ProxmoxSettings {
    /// The user's name for it.
    pub provider: ProviderName,
    /// The API's root, without `/api2/json`.
    pub url: Url,
    /// `user@realm!token`
    pub token_id: String,
    /// Where the token's secret is.
    pub token_secret: SecretSource,
    /// Which certificate is trusted.
    pub trust: Trust,
    /// First and last VM id that this deployment may use.
    pub vmid_range: (u32, u32),
    /// The nodes to use; empty means every online node that can reach the template.
    pub nodes: Vec<String>,
}

/// Whose VMs a cluster's are, and how.
#[derive(Debug, Clone)]
pub struct ProxmoxUse {
    /// Whose VMs they are.
    pub deployment: Deployment,
    /// All placements on this cluster.
    pub placements: Vec<ProxmoxPlacement>,
    /// How long a step of making a VM may take.
    pub step_timeout: Duration,
}

/// A Proxmox VE cluster. Cheap to make; to be shared, so that what it learnt is of use to the next VM.
pub struct Proxmox {
    client: Client,
    uses: ProxmoxUse,
    ledger: Ledger,
    seen: tokio::sync::Mutex<Option<Arc<Seen>>>,
    templates: Mutex<BTreeMap<u32, (Instant, Arc<Template>)>>,
    /// The claims as this process last read or wrote them. Locked while one is made: the others of this process would
    /// only be refused.
    room: tokio::sync::Mutex<Option<Room>>,
}

impl Proxmox {
    /// Keeps the settings; does nothing else yet.
    pub fn new(settings: ProxmoxSettings, uses: ProxmoxUse, ledger: Ledger) -> Self {
        Self {
            client: Client::new(settings),
            uses,
            ledger,
            seen: tokio::sync::Mutex::default(),
            templates: Mutex::default(),
            room: tokio::sync::Mutex::default(),
        }
    }

    /// One whose calls a simulation answers.
    #[cfg(feature = "simulation")]
    pub(crate) fn in_process(
        settings: ProxmoxSettings,
        uses: ProxmoxUse,
        ledger: Ledger,
        outside: &crate::simulation::Outside,
    ) -> Self {
        let mut proxmox = Self::new(settings, uses, ledger);
        proxmox.client.answer_by(outside.proxmox.clone());
        proxmox
    }

    /// How many calls were made so far.
    pub fn calls(&self) -> u64 {
        self.client.calls()
    }

    /// How they were answered.
    pub(crate) fn answers(&self) -> Counts {
        self.client.answers()
    }

    fn provider(&self) -> &ProviderName {
        &self.client.settings().provider
    }

    fn place(&self, node: &str, vmid: u32) -> VmPlace {
        VmPlace { provider: self.provider().clone(), at: format!("{node}/{vmid}") }
    }
}

impl std::fmt::Debug for Proxmox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxmox").field("provider", self.provider()).finish_non_exhaustive()
    }
}

/// For each try of a call that answers at once.
const LIMIT: Duration = Duration::from_secs(10);

/// A VM's node and id.
fn address(place: &VmPlace) -> Option<(&str, u32)> {
    let (node, vmid) = place.at.split_once('/')?;
    Some((node, vmid.parse().ok()?))
}

/// The seam's error for a failed call.
fn provider_error(doing: &'static str, error: &Error) -> ProviderError {
    let why = error.why.clone();
    if is_refusal(&error.kind) {
        ProviderError::Refused { doing, why }
    } else {
        ProviderError::Unavailable { doing, why }
    }
}

/// Whether it stays so until somebody mends the configuration, the permissions or the template.
fn is_refusal(kind: &Kind) -> bool {
    match kind {
        Kind::Unauthorized
        | Kind::Forbidden { .. }
        | Kind::AgentUnconfigured
        | Kind::Refused
        | Kind::TooLong
        | Kind::Certificate => true,
        Kind::Missing
        | Kind::Taken
        | Kind::Locked { .. }
        | Kind::AlreadyRunning
        | Kind::NotRunning
        | Kind::StillRunning
        | Kind::AgentAbsent
        | Kind::StorageLocked
        | Kind::StorageFull
        | Kind::NoMemory
        | Kind::NodeDown
        | Kind::NotSent
        | Kind::Lost { .. }
        | Kind::Busy
        | Kind::Other(_) => false,
    }
}

fn is_past(deadline: Instant) -> bool {
    Instant::now() >= deadline
}

/// Sleeps for the pause, but not past the deadline; `false` when that has come.
async fn pause_before(deadline: Instant, pause: Duration) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    tokio::time::sleep(pause.min(left)).await;
    !is_past(deadline)
}
