//! The configuration: read once, at start, into types that cannot hold nonsense.
//!
//! `file` is the TOML as written, `check` turns it into [`Config`] or says what is wrong, in one message that
//! names the key, the value and what would be right.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use mayfly_core::brief::brief;
use mayfly_core::ids::{InstallationId, ProviderName};
use mayfly_core::policy::Policy;

use crate::secret::SecretSource;

pub use reqwest::Url;
pub use units::{DURATION, address, duration};

mod check;
mod file;
mod units;

#[cfg(test)]
mod tests;

/// Everything the user configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// What decisions depend on.
    pub policy: Policy,
    /// The DynamoDB table's name.
    pub table: String,
    /// How GitHub is reached.
    pub github: GitHubConfig,
    /// The providers, by the user's own names.
    pub providers: BTreeMap<ProviderName, ProviderConfig>,
    /// The status page; none where it is not switched on.
    pub page: Option<PageConfig>,
    /// Whether the functions write metrics for CloudWatch into their logs: each series costs some 30 cents a month.
    pub cloudwatch_metrics: bool,
}

/// The status page.
#[derive(Debug, Clone)]
pub struct PageConfig {
    /// What lets somebody see it.
    pub token: SecretSource,
    /// What prices are in, as it is shown; empty where that is not said.
    pub currency: String,
}

/// How GitHub is reached.
#[derive(Debug, Clone)]
pub struct GitHubConfig {
    /// The REST API's root, without a slash at the end.
    pub api_url: String,
    /// The webhook's secrets, any of which may have signed; never empty.
    pub webhook_secrets: Vec<SecretSource>,
    /// Who we are there.
    pub login: GitHubLogin,
    /// Which hook is ours, where the user says so.
    pub webhook_url: Option<Url>,
}

/// Who we are at GitHub.
#[derive(Debug, Clone)]
pub enum GitHubLogin {
    /// A GitHub App.
    App {
        /// Its client id (`iss` of its JWTs).
        client_id: String,
        /// Its private key, PEM.
        private_key: SecretSource,
        /// The installation to act for; else from the delivery, else looked up.
        installation: Option<InstallationId>,
    },
    /// A personal access token.
    Token(SecretSource),
}

/// A provider of VMs.
#[derive(Debug, Clone)]
pub enum ProviderConfig {
    /// Google Compute Engine.
    Gcp {
        /// The project's id.
        project: String,
        /// Another address than the public one, for tests and private access.
        endpoint: Option<String>,
    },
    /// A Proxmox VE cluster.
    Proxmox {
        /// The API's root.
        url: Url,
        /// `user@realm!token`
        token_id: String,
        /// The token's secret.
        token_secret: SecretSource,
        /// First and last VM id that this deployment may use.
        vmid_range: (u32, u32),
        /// The nodes to use; empty means every online node that can reach the template.
        nodes: Vec<String>,
        /// Which certificate is trusted.
        trust: Trust,
    },
}

/// Which certificate of a Proxmox cluster is trusted. There is no way to trust any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// What the system's roots vouch for.
    System,
    /// What this authority signed.
    Authority(PathBuf),
    /// This certificate, by its SHA-256.
    Fingerprint([u8; 32]),
}

/// A configuration that is not right, in one message.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}; set MAYFLY_CONFIG to the path of the configuration file")]
    Unreadable {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A key's value is not right.
    #[error("{path}: {message}")]
    Wrong {
        /// Which file.
        path: String,
        /// The key, the value and what would be right.
        message: String,
    },
}

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "MAYFLY_CONFIG";
const DEFAULT_PATH: &str = "mayfly.toml";

impl Config {
    /// Reads the file that `MAYFLY_CONFIG` names, or `mayfly.toml`.
    pub fn load() -> Result<Self, ConfigError> {
        let path =
            std::env::var_os(CONFIG_VARIABLE).map_or_else(|| PathBuf::from(DEFAULT_PATH), PathBuf::from);
        Self::read(&path)
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|message| ConfigError::Wrong { path: shown, message }),
            Err(source) => Err(ConfigError::Unreadable { path: shown, source }),
        }
    }

    /// Reads the text of a file; the error is the message.
    pub fn parse(text: &str) -> Result<Self, String> {
        check::config(file::parse(text)?).map_err(|wrong| wrong.to_string())
    }
}

/// A key, its value, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` = {value}: {rule}")]
struct Wrong {
    key: String,
    value: String,
    rule: String,
}

fn wrong(key: impl Into<String>, value: impl std::fmt::Debug, rule: impl Into<String>) -> Wrong {
    let (key, value, rule) = (key.into(), format!("{value:?}"), rule.into());
    Wrong {
        key: brief(&key, KEY_LONGEST),
        value: brief(&value, VALUE_LONGEST),
        rule: brief(&rule, RULE_LONGEST),
    }
}

/// A message is one line, whatever is written in the file: so long are a key, a value and a rule in it, in characters.
const KEY_LONGEST: usize = 150;
const VALUE_LONGEST: usize = 150;
const RULE_LONGEST: usize = 300;

/// A GitHub installation's id is never 0.
fn installation(id: NonZeroU64) -> InstallationId {
    InstallationId(id.get())
}
