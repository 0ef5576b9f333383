//! Everything a running Mayfly holds: the policy, the ledger and the clients.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use mayfly_core::ids::{PoolName, ProviderName, RunnerName, SlotIndex, nonce};
use mayfly_core::policy::{Placement, Policy, Pool};
use mayfly_core::slot::{Purpose, Slot};
use tokio::time::Instant;

use crate::config::{Config, GitHubLogin, ProviderConfig};
use crate::gate::Remembered;
use crate::github::GitHub;
use crate::metrics::Metrics;
use crate::page::Door;
use crate::provider::gcp::{Gcp, GcpCredentials, GcpSettings};
use crate::provider::proxmox::{Proxmox, ProxmoxSettings, ProxmoxUse};
use crate::provider::{At, Provider};
use crate::secret::{SecretError, Secrets};
use crate::store::Ledger;

/// A running Mayfly. Cheap to make: what is slow to build is built when it is first needed, which is after the
/// answer to a webhook.
#[derive(Debug)]
pub struct Mayfly {
    /// What the user asked for.
    pub policy: Policy,
    /// The table.
    pub ledger: Ledger,
    /// GitHub.
    pub github: GitHub,
    /// What is measured.
    pub metrics: Metrics,
    providers: BTreeMap<ProviderName, Provider>,
    /// Slots that were free when this process last looked: a warm function claims without looking first.
    pub(crate) hints: Mutex<BTreeMap<PoolName, Vec<SlotIndex>>>,
    /// Pools that the sweep's memory knows, as far as this process has looked.
    pub(crate) known: Mutex<BTreeSet<PoolName>>,
    /// What was known of each pool a moment ago.
    pub(crate) states: Mutex<BTreeMap<PoolName, Remembered>>,
    /// The status page, where there is one: only then what is over is written down.
    pub(crate) page: Option<Door>,
    /// When the repositories' hooks were last looked through in vain.
    pub(crate) hooks_sought: Mutex<Option<Instant>>,
    /// The owners of repositories that forbade check runs, and since when.
    pub(crate) muted: Mutex<BTreeMap<String, Instant>>,
}

/// Why a configuration that is right in itself cannot be run here.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A secret that should be on this machine is not.
    #[error("`{key}`: {source}")]
    Secret {
        /// The key.
        key: &'static str,
        /// What is wrong.
        source: SecretError,
    },
}

impl Mayfly {
    /// Makes one with what the AWS SDK finds in its own variables, and looks whether the secrets that should be on
    /// this machine are. Those that are elsewhere are fetched when they are first needed.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_at(config, &crate::store::aws_config().await).await
    }

    /// The same with the AWS settings given, such as those of a table engine on this machine.
    pub async fn start_at(config: &Config, aws: &aws_config::SdkConfig) -> Result<Self, StartError> {
        let (key, source) = match &config.github.login {
            GitHubLogin::App { private_key, .. } => ("github.app.private_key", private_key),
            GitHubLogin::Token(token) => ("github.token", token),
        };
        if source.is_local() {
            let secret = Secrets::default().fetch(source).await;
            secret.map_err(|source| StartError::Secret { key, source })?;
        }
        let mayfly = Self::new(config, aws, &GcpCredentials::default())?;
        if let (Some(door), Some(page)) = (&mayfly.page, &config.page)
            && page.token.is_local()
        {
            door.token().await.map_err(|source| StartError::Secret { key: "page.token", source })?;
        }
        Ok(mayfly)
    }

    /// Makes one with the AWS settings and Google credentials given.
    pub fn new(
        config: &Config,
        aws: &aws_config::SdkConfig,
        gcp: &GcpCredentials,
    ) -> Result<Self, StartError> {
        let Policy { deployment, timing, .. } = &config.policy;
        let ledger = Ledger::new(aws, config.table.clone(), deployment.clone(), timing.retention);
        let make = Make { gcp: &Gcp::new, proxmox: &Proxmox::new, credentials: gcp };
        Ok(Self::of(config, ledger, GitHub::new(&config.github), &make))
    }

    /// Makes one whose every request a simulation answers.
    #[cfg(feature = "simulation")]
    pub fn in_process(config: &Config, outside: &crate::simulation::Outside) -> Self {
        let Policy { deployment, timing, .. } = &config.policy;
        let (table, deployment) = (config.table.clone(), deployment.clone());
        let ledger = Ledger::in_process(outside, table, deployment, timing.retention);
        let make = Make {
            gcp: &|settings| Gcp::in_process(settings, outside),
            proxmox: &|settings, uses, ledger| Proxmox::in_process(settings, uses, ledger, outside),
            credentials: &GcpCredentials::Default,
        };
        Self::of(config, ledger, GitHub::in_process(&config.github, outside), &make)
    }

    fn of(config: &Config, ledger: Ledger, github: GitHub, make: &Make<'_>) -> Self {
        let policy = config.policy.clone();
        let made = |(name, provider): (&ProviderName, &ProviderConfig)| {
            (name.clone(), provider_of(name, provider, &policy, &ledger, make))
        };
        Self {
            providers: config.providers.iter().map(made).collect(),
            policy,
            ledger,
            github,
            metrics: if config.cloudwatch_metrics { Metrics::for_cloudwatch() } else { Metrics::default() },
            hints: Mutex::default(),
            known: Mutex::default(),
            states: Mutex::default(),
            page: config.page.clone().map(Door::new),
            hooks_sought: Mutex::default(),
            muted: Mutex::default(),
        }
    }

    /// The providers, by name.
    pub fn providers(&self) -> impl Iterator<Item = (&ProviderName, &Provider)> {
        self.providers.iter()
    }

    /// The provider of that name.
    pub fn provider(&self, name: &ProviderName) -> Option<&Provider> {
        self.providers.get(name)
    }

    /// A pool's placements with what makes their VMs, in the order to be tried.
    pub(crate) fn placements<'a>(&'a self, pool: &'a Pool) -> impl Iterator<Item = (&'a Placement, At<'a>)> {
        let placements = pool.placements.iter();
        placements
            .filter_map(|placement| Some((placement, self.provider(&placement.provider)?.at(placement)?)))
    }

    /// A slot just taken, with a runner's name that was never used before.
    pub(crate) fn new_slot(&self, pool: &Pool, index: SlotIndex, purpose: Purpose) -> Slot {
        let now = crate::clock::now();
        let nonce = nonce(now, crate::random::bits());
        Slot::reserved(RunnerName::new(&self.policy.deployment, &pool.name, index, nonce), purpose, now)
    }
}

/// How the providers' clients are made.
struct Make<'a> {
    gcp: &'a dyn Fn(GcpSettings) -> Gcp,
    proxmox: &'a dyn Fn(ProxmoxSettings, ProxmoxUse, Ledger) -> Proxmox,
    credentials: &'a GcpCredentials,
}

fn provider_of(
    name: &ProviderName,
    config: &ProviderConfig,
    policy: &Policy,
    ledger: &Ledger,
    make: &Make<'_>,
) -> Provider {
    match config {
        ProviderConfig::Gcp { project, endpoint } => Provider::Gcp(Box::new((make.gcp)(GcpSettings {
            provider: name.clone(),
            project: project.clone(),
            endpoint: endpoint.clone(),
            credentials: make.credentials.clone(),
        }))),
        ProviderConfig::Proxmox { url, token_id, token_secret, vmid_range, nodes, trust } => {
            let settings = ProxmoxSettings {
                provider: name.clone(),
                url: url.clone(),
                token_id: token_id.clone(),
                token_secret: token_secret.clone(),
                trust: trust.clone(),
                vmid_range: *vmid_range,
                nodes: nodes.clone(),
            };
            let placements = policy.pools.iter().flat_map(|pool| &pool.placements);
            let here = placements.filter(|placement| &placement.provider == name);
            let uses = ProxmoxUse {
                deployment: policy.deployment.clone(),
                placements: here.filter_map(|placement| placement.proxmox().cloned()).collect(),
                step_timeout: policy.timing.step_timeout,
            };
            Provider::Proxmox(Box::new((make.proxmox)(settings, uses, ledger.clone())))
        }
    }
}
