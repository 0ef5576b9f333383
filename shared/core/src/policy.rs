//! What the user asked for: pools, placements and waits, as types that cannot hold nonsense.
//!
//! The shell parses the configuration file into these once, at start; see the contract's configuration section
//! for every key.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use crate::audience::Audience;
use crate::ids::{Account, Deployment, PoolName, ProviderName, Repository, Zone};
use crate::labels::Labels;
use crate::price::PricePerHour;
use crate::slot::VmPlace;

/// Everything decisions depend on that does not change while a program runs.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Whose VMs are ours.
    pub deployment: Deployment,
    /// The pools, in configuration order.
    pub pools: Vec<Pool>,
    /// The waits that are no pool's own.
    pub timing: Timing,
    /// A job that has waited for so long gets a notice on its commit ([`crate::notice`]); `None` for none at all.
    pub waiting_after: Option<Duration>,
}

impl Policy {
    /// The pool of that name.
    pub fn pool(&self, name: &PoolName) -> Option<&Pool> {
        self.pools.iter().find(|pool| &pool.name == name)
    }
}

impl Pool {
    /// Whether the user lets it serve that repository's jobs.
    pub fn allows(&self, repository: &Repository) -> bool {
        self.repositories.is_empty() || self.repositories.iter().any(|pattern| pattern.matches(repository))
    }

    /// What a VM there costs, where the user says so: by the first placement that it may be of, since a slot does not keep
    /// which one made it.
    pub fn price_at(&self, vm: &VmPlace) -> Option<PricePerHour> {
        self.placements.iter().find(|placement| placement.has(vm))?.price
    }

    /// A pool that is configured no more, as far as it takes to bring it to an end.
    pub fn removed(name: PoolName, scope: Scope) -> Self {
        Self {
            name,
            labels: Labels::new(Vec::<String>::new()),
            scope,
            repositories: Vec::new(),
            audience: Audience::ALL,
            runner_group: String::new(),
            platform: Platform::Linux,
            max_runners: NonZeroU16::MIN,
            min_runners: 0,
            boot_timeout: REMOVED_BOOT_TIMEOUT,
            idle_timeout: Duration::ZERO,
            // How long its VMs may live is known to themselves alone.
            max_lifetime: Duration::MAX,
            placements: Vec::new(),
        }
    }
}

/// What is waited for the last runners of a pool that is configured no more.
const REMOVED_BOOT_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A set of like runners with a limit.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Unique among the pools.
    pub name: PoolName,
    /// The labels its runners carry.
    pub labels: Labels,
    /// Where its runners register.
    pub scope: Scope,
    /// The repositories whose jobs it serves; empty means all that its scope reaches.
    pub repositories: Vec<RepositoryPattern>,
    /// Whose jobs of these it serves.
    pub audience: Audience,
    /// The runner group, by name.
    pub runner_group: String,
    /// The operating system of its VMs.
    pub platform: Platform,
    /// The most VMs at any time.
    pub max_runners: NonZeroU16,
    /// VMs kept ready without a job.
    pub min_runners: u16,
    /// From a VM being asked for until GitHub sees its runner.
    pub boot_timeout: Duration,
    /// How long a surplus runner may stand without a job.
    pub idle_timeout: Duration,
    /// No VM outlives it.
    pub max_lifetime: Duration,
    /// Where its VMs are made, in the order to be tried; never empty.
    pub placements: Vec<Placement>,
}

/// Where runners register, and with it which jobs can reach them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// An organization's runners.
    Organization(Account),
    /// One repository's runners.
    Repository(Repository),
    /// An enterprise's runners.
    Enterprise(Account),
}

impl fmt::Display for Scope {
    /// As GitHub's paths begin: `orgs/x`, `repos/x/y`, `enterprises/x`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization(login) => write!(f, "orgs/{login}"),
            Self::Repository(repository) => write!(f, "repos/{repository}"),
            Self::Enterprise(slug) => write!(f, "enterprises/{slug}"),
        }
    }
}

/// The operating system of a pool's VMs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
}

/// One place where a pool's VMs can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Which provider makes them.
    pub provider: ProviderName,
    /// How that kind of provider makes them.
    pub kind: PlacementKind,
    /// What a VM of it costs, where the user says so.
    pub price: Option<PricePerHour>,
}

impl Placement {
    /// The places that may be full for a while, by name: zones, or a whole cluster as far as a template is concerned.
    pub fn places(&self) -> Vec<String> {
        match &self.kind {
            PlacementKind::Gcp(gcp) => gcp.zones.iter().map(Zone::to_string).collect(),
            PlacementKind::Proxmox(proxmox) => vec![proxmox.place()],
        }
    }

    /// Whether a VM there may be one of this placement's.
    fn has(&self, vm: &VmPlace) -> bool {
        let within = match &self.kind {
            PlacementKind::Gcp(gcp) => gcp.zones.iter().any(|zone| zone.as_str() == vm.at),
            PlacementKind::Proxmox(_) => true,
        };
        self.provider == vm.provider && within
    }

    /// The template to clone, where it is one of Proxmox.
    pub fn proxmox(&self) -> Option<&ProxmoxPlacement> {
        match &self.kind {
            PlacementKind::Proxmox(proxmox) => Some(proxmox),
            PlacementKind::Gcp(_) => None,
        }
    }
}

/// What a placement needs to know, by the kind of its provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlacementKind {
    /// A Compute Engine instance template, in some zones.
    Gcp(GcpPlacement),
    /// A Proxmox VM template to clone.
    Proxmox(ProxmoxPlacement),
}

/// A Compute Engine instance template and the zones to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcpPlacement {
    /// The global instance template's name.
    pub instance_template: String,
    /// The zones, in the user's order; never empty.
    pub zones: Vec<Zone>,
    /// The accelerator type whose quota decides the order of regions; `None` leaves the order as it is.
    pub gpu_type: Option<String>,
    /// Spot VMs: cheaper, and taken back by Google at any time.
    pub spot: bool,
}

/// A Proxmox template to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxmoxPlacement {
    /// The template's VM id.
    pub template: u32,
    /// A full copy instead of a linked clone.
    pub full_clone: bool,
    /// The storage of a full clone's disks.
    pub storage: Option<String>,
    /// The Proxmox resource pool the clones join.
    pub pool: Option<String>,
}

impl ProxmoxPlacement {
    /// What it is called among the places that cool down.
    pub fn place(&self) -> String {
        format!("template {}", self.template)
    }
}

/// Waits that are no pool's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// A VM or registration that no slot knows is left alone this long: a create may be in flight.
    pub orphan_grace: Duration,
    /// A step of provisioning that nobody finished is taken up by a sweep after this.
    pub step_timeout: Duration,
    /// A placement or zone that was full is not asked again before.
    pub cooldown: Duration,
    /// A failed delivery is asked for again after this.
    pub redelivery_after: Duration,
    /// A job or runner not heard of for this long is asked for at GitHub.
    pub check_after: Duration,
    /// An ended job is remembered this long.
    pub retention: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            orphan_grace: Duration::from_secs(5 * 60),
            step_timeout: Duration::from_secs(2 * 60),
            cooldown: Duration::from_secs(5 * 60),
            redelivery_after: Duration::from_secs(2 * 60),
            check_after: Duration::from_secs(5 * 60),
            retention: Duration::from_secs(3 * 24 * 3600),
        }
    }
}

/// A repository's name, or a pattern in which `*` stands for any text; with a `/` it is held against
/// `owner/name`, without one against the name alone. Letter case does not matter, as at GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryPattern(String);

impl RepositoryPattern {
    /// Takes the pattern; `None` when it is empty or holds what no repository's name can.
    pub fn new(pattern: &str) -> Option<Self> {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*/".contains(&byte);
        let shaped = !pattern.is_empty() && pattern.len() <= PATTERN_LONGEST && pattern.bytes().all(fine);
        (shaped && pattern.matches('/').count() <= 1).then(|| Self(pattern.to_lowercase()))
    }

    /// The pattern as it is kept, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can be one repository only, and which: that of `owner` where it names no other's.
    pub fn only(&self, owner: &str) -> Option<Repository> {
        let name = if self.0.contains('/') { self.0.clone() } else { format!("{owner}/{}", self.0) };
        if self.0.contains('*') { None } else { Repository::new(name).ok() }
    }

    /// Whether the repository is meant.
    pub fn matches(&self, repository: &Repository) -> bool {
        let text = if self.0.contains('/') { repository.as_str() } else { repository.name() };
        glob(&self.0, &text.to_lowercase())
    }
}

/// As long as the longest `owner/name`.
const PATTERN_LONGEST: usize = 201;

/// `*` matches any text, everything else itself; linear in pattern × text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_costs_what_the_first_placement_that_has_its_place_says() {
        let pool = crate::sweep::fixtures::pool("linux", &["Linux"]);
        let price = PricePerHour::new(0.5);
        let placements =
            pool.placements.iter().cloned().map(|placement| Placement { price, ..placement }).collect();
        let pool = Pool { placements, ..pool };
        let provider = crate::sweep::fixtures::provider();
        let there = VmPlace { provider: provider.clone(), at: "us-east1-c".to_owned() };
        assert_eq!(pool.price_at(&there), price);
        assert_eq!(pool.price_at(&VmPlace { provider, at: "us-east1-d".to_owned() }), None);
        assert_eq!(pool.price_at(&VmPlace { provider: ProviderName::new("lab").unwrap(), ..there }), None);
    }

    #[test]
    fn a_pattern_allows_what_it_says_and_nothing_else() {
        let slang = Repository::new("shader-slang/slang-Test").unwrap();
        for (pattern, fits) in [
            ("slang-*", true),
            ("*", true),
            ("slang", false),
            ("*test", true),
            ("s*-t*", true),
            ("shader-slang/slang-*", true),
            ("other/slang-*", false),
            ("slang-test*x", false),
            ("s*g*g", false),
        ] {
            assert_eq!(RepositoryPattern::new(pattern).unwrap().matches(&slang), fits, "{pattern}");
        }
        for wrong in ["", "a b", "a/b/c", "ä"] {
            assert_eq!(RepositoryPattern::new(wrong), None, "{wrong}");
        }
    }
}
