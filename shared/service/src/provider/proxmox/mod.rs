//! Proxmox VE.
//!
//! - [`client`]: one method for each call that is made; [`http`] sends it, [`tls`] says whose certificate is trusted
//! - [`answers`]: what the calls answer, as far as it is used
//! - [`error`]: what an error means, and what a person can do about it

// The life cycle of a VM is built on this.
#![allow(dead_code, unused_imports)]

mod answers;
mod client;
mod error;
mod http;
mod tls;

use mayfly_core::ids::ProviderName;
use reqwest::Url;

use crate::config::Trust;
use crate::secret::SecretSource;

use self::answers::{
    NodeEntry, Resources, StorageEntry, TaskState, Upid, VmConfig, VmEntry, VmStatus, WrongUpid,
};
use self::client::{Client, CloneOrder, repeated};
use self::error::{Error, Kind};

/// What is configured of a provider of kind `proxmox`.
#[derive(Debug, Clone)]
pub(crate) struct ProxmoxSettings {
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
