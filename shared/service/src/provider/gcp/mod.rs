//! Google Compute Engine.
//!
//! A VM is made from a global instance template with one `instances.insert` for each zone tried, and
//! one bounded `zoneOperations.wait`, because a zone without machines says so only in the operation. It is deleted with one
//! `instances.delete`. Nothing is built and no credentials are read before the first call.

mod cache;
mod classify;
mod clients;
mod create;
mod delete;
mod insert;
mod inspect;
mod list;
mod prepare;
mod quota;

use std::sync::Arc;

use mayfly_core::ids::ProviderName;
use tokio::time::Instant;

use self::cache::Cache;
use self::classify::{CallError, Kind};
use self::clients::Clients;
use self::insert::Template;
use self::quota::{Ledger, RegionQuotas};
use super::ProviderError;
use crate::tally::Counts;

pub use self::clients::GcpCredentials;
pub use self::delete::Going;
pub use self::inspect::{Amount, RegionSeen, TemplateSeen, quota_metric};

/// What is configured of a provider of kind `gcp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcpSettings {
    /// The user's name for it.
    pub provider: ProviderName,
    /// The project's id.
    pub project: String,
    /// Another address than Google's; `https`, or `http` on a loopback address.
    pub endpoint: Option<String>,
    /// Where the credentials come from.
    pub credentials: GcpCredentials,
}

/// One project of Compute Engine. Cheap to make; to be shared, so that what it learnt is of use to the next create.
pub struct Gcp {
    provider: ProviderName,
    clients: Clients,
    templates: Cache<Arc<Template>>,
    regions: Cache<Arc<RegionQuotas>>,
    ledger: Ledger,
}

impl Gcp {
    /// How many calls were made so far.
    pub fn calls(&self) -> u64 {
        self.clients.calls()
    }

    /// How they were answered.
    pub(crate) fn answers(&self) -> Counts {
        self.clients.answers()
    }

    /// Keeps the settings; does nothing else yet.
    pub fn new(settings: GcpSettings) -> Self {
        Self {
            provider: settings.provider.clone(),
            clients: Clients::new(settings),
            templates: Cache::new(),
            regions: Cache::new(),
            ledger: Ledger::default(),
        }
    }

    /// One whose calls a simulation answers.
    #[cfg(feature = "simulation")]
    pub(crate) fn in_process(settings: GcpSettings, outside: &crate::simulation::Outside) -> Self {
        let clients = Clients::in_process(settings.clone(), outside.compute.clone());
        Self { clients, ..Self::new(settings) }
    }
}

impl std::fmt::Debug for Gcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gcp").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// The seam's error for a failed call.
fn provider_error(doing: &'static str, error: &CallError) -> ProviderError {
    let why = error.why.clone();
    let refused = match &error.kind {
        Kind::Unsendable => true,
        Kind::Answered(_) => !error.passes(),
        Kind::NotSent | Kind::Lost { .. } => false,
    };
    if refused { ProviderError::Refused { doing, why } } else { ProviderError::Unavailable { doing, why } }
}

/// The error for a wait or a row of pages that the deadline cut off.
fn out_of_time(doing: &'static str) -> ProviderError {
    ProviderError::Unavailable { doing, why: "no time left".to_owned() }
}

fn is_past(deadline: Instant) -> bool {
    Instant::now() >= deadline
}
