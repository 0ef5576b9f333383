//! The configuration that a shape stands for, as a person would write it.

use std::fmt::Write;
use std::time::Duration;

use mayfly_service::config::Config;
use simulator::{HookOwner, Node, PoolLimit, QuotaRefusal, Repository, Settings, Timing, Zone};

use crate::plan::{PoolKind, PoolShape, Shape, Wants};

/// `deployment`
pub const DEPLOYMENT: &str = "test";
const ORGANIZATION: &str = "shader-slang";
/// The two repositories; the second one has no hook where the hook is the first one's.
pub const REPOSITORIES: [&str; 2] = ["shader-slang/slang", "shader-slang/slangpy"];
/// The zones, of two regions.
pub const ZONES: [&str; 3] = ["us-east1-c", "us-east1-d", "us-west1-a"];
/// Their regions.
pub const REGIONS: [&str; 2] = ["us-east1", "us-west1"];
const GIB: u64 = 1 << 30;

/// A pool as it is configured now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolNow {
    /// `name`
    pub name: &'static str,
    /// `labels`
    pub labels: &'static [&'static str],
    /// Where its VMs are.
    pub kind: PoolKind,
    /// `repository`; none for the organization.
    pub repository: Option<&'static str>,
    /// `max_runners`
    pub max_runners: u16,
    /// `min_runners`
    pub min_runners: u16,
}

impl PoolKind {
    /// `name`
    pub fn name(self) -> &'static str {
        match self {
            Self::Cloud => "gpu",
            Self::Lab => "lab",
            Self::Overflow => "both",
            Self::Fallback => "fallback",
            Self::Windows => "windows",
        }
    }

    fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Cloud => &["self-hosted", "Linux", "GPU"],
            Self::Lab => &["self-hosted", "Linux", "lab"],
            Self::Overflow => &["self-hosted", "Linux", "either"],
            Self::Fallback => &["self-hosted", "Linux", "fallback"],
            Self::Windows => &["self-hosted", "Windows"],
        }
    }

    fn repository(self) -> Option<&'static str> {
        (self == Self::Windows).then_some(REPOSITORIES[0])
    }

    fn placements(self) -> &'static str {
        const CLOUD: &str = "[[pools.placements]]\nprovider = \"cloud\"\ninstance_template = \"linux-gpu-runner\"\n\
             zones = [\"us-east1-c\", \"us-east1-d\", \"us-west1-a\"]\ngpu_type = \"nvidia-tesla-t4\"\n";
        const LAB: &str = "[[pools.placements]]\nprovider = \"lab\"\ntemplate = 8000\n";
        const BOTH: &str = "[[pools.placements]]\nprovider = \"lab\"\ntemplate = 8000\n\
             [[pools.placements]]\nprovider = \"lab\"\ntemplate = 8002\n\
             [[pools.placements]]\nprovider = \"cloud\"\ninstance_template = \"linux-gpu-runner\"\n\
             zones = [\"us-west1-a\", \"us-east1-d\"]\ngpu_type = \"nvidia-tesla-t4\"\n";
        const CLOUD_FIRST: &str = "[[pools.placements]]\nprovider = \"cloud\"\ninstance_template = \"linux-gpu-runner\"\n\
             zones = [\"us-east1-c\", \"us-west1-a\"]\ngpu_type = \"nvidia-tesla-t4\"\n\
             [[pools.placements]]\nprovider = \"lab\"\ntemplate = 8000\n";
        const SPOT: &str = "[[pools.placements]]\nprovider = \"cloud\"\ninstance_template = \"windows-gpu-runner\"\n\
             zones = [\"us-east1-d\", \"us-west1-a\"]\ngpu_type = \"nvidia-tesla-t4\"\nspot = true\n";
        match self {
            Self::Cloud => CLOUD,
            Self::Lab => LAB,
            Self::Overflow => BOTH,
            Self::Fallback => CLOUD_FIRST,
            Self::Windows => SPOT,
        }
    }
}

impl Wants {
    /// `runs-on`
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Linux => &["self-hosted", "linux"],
            Self::Gpu => &["self-hosted", "Linux", "GPU"],
            Self::Lab => &["self-hosted", "lab"],
            Self::Overflow => &["self-hosted", "either"],
            Self::Fallback => &["self-hosted", "fallback"],
            Self::Windows => &["self-hosted", "Windows"],
            Self::Mac => &["self-hosted", "macOS"],
        }
    }
}

impl PoolShape {
    /// The pool as the configuration has it.
    pub fn now(&self) -> PoolNow {
        PoolNow {
            name: self.kind.name(),
            kind: self.kind,
            labels: self.kind.labels(),
            repository: self.kind.repository(),
            max_runners: self.max_runners,
            min_runners: self.min_runners,
        }
    }
}

/// The configuration's text. The secrets are in variables.
pub fn text(shape: &Shape, pools: &[PoolShape], webhook_url: &str) -> String {
    let timing = shape.timing;
    let mut text = format!(
        r#"
deployment = "{DEPLOYMENT}"
store = {{ table = "mayfly-test" }}

[github]
api_url = "https://api.github.com"
webhook_secrets = [{{ env = "WEBHOOK_SECRET" }}]
token = {{ env = "GITHUB_TOKEN" }}
webhook_url = "{webhook_url}"

[providers.cloud]
kind = "gcp"
project = "slang-runners"

[providers.lab]
kind = "proxmox"
url = "https://pve.example.com:8006"
token_id = "mayfly@pve!mayfly"
token_secret = {{ env = "PROXMOX_SECRET" }}
vmid_range = [9000, 9999]

[timing]
orphan_grace = "{}s"
step_timeout = "{}s"
cooldown = "{}s"
redelivery_after = "{}s"
check_after = "{}s"
"#,
        timing.orphan_grace,
        timing.step_timeout,
        timing.cooldown,
        timing.redelivery_after,
        timing.check_after
    );
    for pool in pools {
        let (now, kind) = (pool.now(), pool.kind);
        let labels: Vec<String> = now.labels.iter().map(|label| format!("{label:?}")).collect();
        let scope = match now.repository {
            Some(repository) => format!("repository = {repository:?}"),
            None => format!("organization = {ORGANIZATION:?}"),
        };
        let platform = if kind == PoolKind::Windows { "windows" } else { "linux" };
        // Writing to a text cannot fail.
        _ = write!(
            text,
            "\n[[pools]]\nname = {:?}\nlabels = [{}]\n{scope}\nplatform = {platform:?}\nmax_runners = {}\n\
             min_runners = {}\nboot_timeout = \"{}s\"\nidle_timeout = \"{}s\"\nmax_lifetime = \"{}s\"\n{}",
            now.name,
            labels.join(", "),
            pool.max_runners,
            pool.min_runners,
            pool.boot_timeout,
            pool.idle_timeout,
            pool.max_lifetime,
            kind.placements(),
        );
    }
    text
}

/// The configuration, read as every program reads it.
pub fn config(shape: &Shape, pools: &[PoolShape], webhook_url: &str) -> Result<Config, String> {
    let mut config = Config::parse(&text(shape, pools, webhook_url))?;
    // Not in the text, since that has no App: the login is not played, and the token is an installation's.
    config.policy.waiting_after = shape.waiting_after.map(|seconds| Duration::from_secs(seconds.into()));
    Ok(config)
}

/// What the world holds the pools to.
pub fn limits<'a>(pools: impl Iterator<Item = (&'a PoolShape, u16)>) -> Vec<PoolLimit> {
    let limit = |(pool, most): (&PoolShape, u16)| PoolLimit {
        deployment: DEPLOYMENT.to_owned(),
        pool: pool.kind.name().to_owned(),
        max_vms: usize::from(most),
    };
    pools.map(limit).collect()
}

/// The world of a shape.
pub fn settings(shape: &Shape, seed: u64) -> Settings {
    let mut settings = Settings {
        seed,
        repositories: REPOSITORIES.map(Repository::public).into(),
        hook: if shape.repository_hook {
            HookOwner::Repository(REPOSITORIES[0].to_owned())
        } else {
            HookOwner::Organization(ORGANIZATION.to_owned())
        },
        zones: ZONES
            .map(|name| Zone { name: name.to_owned(), machines: shape.machines.map(usize::from) })
            .into(),
        quota_refusal: if shape.quota_in_operation {
            QuotaRefusal::InOperation
        } else {
            QuotaRefusal::AtOnce
        },
        timing: Timing::realistic(),
        token_lifetime: Duration::from_secs(366 * 24 * 3600),
        deployment: Some(DEPLOYMENT.to_owned()),
        pool_limits: limits(shape.pools.iter().map(|pool| (pool, pool.max_runners))),
        ..Settings::default()
    };
    let node = |number: u8| Node {
        name: format!("pve{}", number + 1),
        memory_bytes: (u64::from(shape.room) * 8 + 4) * GIB,
        host_used_bytes: 4 * GIB,
    };
    settings.proxmox.nodes = (0..shape.nodes.max(1)).map(node).collect();
    // The second one is on a storage of its node alone.
    settings.proxmox.templates.retain(|template| [8000, 8002].contains(&template.vmid));
    for template in &mut settings.proxmox.templates {
        "pve1".clone_into(&mut template.node);
    }
    settings
}
