//! A configuration file's text.

use std::collections::BTreeSet;
use std::time::Duration;

use mayfly_core::policy::{Placement, PlacementKind, Pool};
use mayfly_core::price::PricePerHour;
use mayfly_service::config::{Config, ProviderConfig, Url};

/// No message is longer: it names the key, the value, and what would be right.
const MESSAGE_MOST: usize = 2 << 10;
/// What stands where a secret would, were it written in the file.
const SECRET: &str = "canary6b1f0c";
const HUNDRED_YEARS: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Reads an input as a configuration.
///
/// - Nothing panics. What is refused is refused in one line, which is bounded.
/// - What is taken is what the rest of the program counts on: numbers in their bounds, nothing empty that must not be, every
///   placement of a provider of its kind, every address one that a secret may be sent to.
/// - A secret in a secret's place, as people write it there by mistake, is not in the message.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse(text) {
        Ok(config) => uphold(&config),
        Err(message) => told(&message),
    }
    for mistake in mistakes(text) {
        let message = Config::parse(&mistake).err().unwrap_or_default();
        told(&message);
        assert!(!message.contains(SECRET), "a secret is shown: {message}");
    }
}

fn told(message: &str) {
    assert!(!message.contains(['\n', '\r']), "more than one line: {message:?}");
    assert!(message.len() <= MESSAGE_MOST, "a message of {} bytes: {message:.300}", message.len());
}

/// The first place of a secret, with the secret itself in it, in the ways in which that happens.
fn mistakes(text: &str) -> Vec<String> {
    const PLACES: [&str; 4] = ["{ env = \"", "{ file = \"", "{ ssm = \"", "{ secretsmanager = \""];
    let Some(at) = PLACES.iter().filter_map(|place| text.find(place)).min() else { return Vec::new() };
    let Some(end) = text[at..].find('}').map(|end| at + end + 1) else { return Vec::new() };
    let (before, after) = (&text[..at], &text[end..]);
    let wrong = [
        format!("\"{SECRET}\""),
        format!("\"{SECRET}"),
        SECRET.to_owned(),
        format!("{{ token = \"{SECRET}\" }}"),
        format!("{{ env = [\"{SECRET}\"] }}"),
        format!("{{ env = \"A\", file = \"{SECRET}\" }}"),
        format!("[\"{SECRET}\"]"),
        format!("\"\"\"\n{SECRET}\n\"\"\""),
    ];
    let mut all: Vec<String> = wrong.into_iter().map(|wrong| format!("{before}{wrong}{after}")).collect();
    if let (Some(before), Some(after)) = (before.strip_suffix('['), after.strip_prefix(']')) {
        all.push(format!("{before}\"{SECRET}\"{after}"));
    }
    all
}

fn uphold(config: &Config) {
    let pools = &config.policy.pools;
    assert!(!pools.is_empty() && !config.github.webhook_secrets.is_empty());
    assert!((3..=255).contains(&config.table.len()));
    let names: BTreeSet<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names.len(), pools.len(), "two pools of one name");
    let timing = &config.policy.timing;
    let waits = [
        timing.orphan_grace,
        timing.step_timeout,
        timing.cooldown,
        timing.redelivery_after,
        timing.check_after,
        timing.retention,
    ];
    waits.into_iter().for_each(bounded);
    for pool in pools {
        uphold_pool(pool);
        for placement in &pool.placements {
            uphold_placement(config, placement);
        }
    }
    is_safe(&config.github.api_url);
    assert!(!config.github.api_url.ends_with('/'));
    if let Some(url) = &config.github.webhook_url {
        is_safe(url.as_str());
    }
    for provider in config.providers.values() {
        match provider {
            ProviderConfig::Gcp { project, endpoint } => {
                assert!(!project.is_empty());
                endpoint.iter().for_each(|endpoint| is_safe(endpoint));
            }
            ProviderConfig::Proxmox { url, vmid_range: (first, last), .. } => {
                assert!(100 <= *first && first <= last && *last <= 999_999_999);
                is_safe(url.as_str());
            }
        }
    }
}

fn uphold_pool(pool: &Pool) {
    let most = pool.max_runners.get();
    assert!(most <= 9_999 && pool.min_runners <= most, "{pool:?}");
    assert!((1..=100).contains(&pool.labels.len()), "{pool:?}");
    assert!(pool.labels.as_slice().iter().all(|label| (1..=256).contains(&label.len())), "{pool:?}");
    assert!(!pool.placements.is_empty() && !pool.runner_group.is_empty(), "{pool:?}");
    [pool.boot_timeout, pool.idle_timeout, pool.max_lifetime].into_iter().for_each(bounded);
}

fn uphold_placement(config: &Config, placement: &Placement) {
    let provider = config.providers.get(&placement.provider);
    match (&placement.kind, provider) {
        (PlacementKind::Gcp(gcp), Some(ProviderConfig::Gcp { .. })) => {
            assert!(!gcp.zones.is_empty() && !gcp.instance_template.is_empty(), "{placement:?}");
        }
        (PlacementKind::Proxmox(proxmox), Some(ProviderConfig::Proxmox { .. })) => {
            assert!(proxmox.template >= 100, "{placement:?}");
        }
        (PlacementKind::Gcp(_) | PlacementKind::Proxmox(_), _) => panic!("{placement:?} with {provider:?}"),
    }
    let hour = placement.price.map_or(0.0, |price| price.of(Duration::from_secs(3_600)).amount());
    assert!((0.0..=PricePerHour::MOST).contains(&hour), "{placement:?}");
    assert!(placement.places().iter().all(|place| !place.is_empty()), "{placement:?}");
}

fn bounded(wait: Duration) {
    assert!(!wait.is_zero() && wait <= HUNDRED_YEARS, "{wait:?}");
}

/// A secret may be sent there.
fn is_safe(address: &str) {
    let url = Url::parse(address).expect("an address");
    let host = url.host_str().unwrap_or_default();
    let is_here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    assert!(url.scheme() == "https" || (url.scheme() == "http" && is_here), "{address}");
    assert!(url.username().is_empty() && url.password().is_none() && url.query().is_none(), "{address}");
}
