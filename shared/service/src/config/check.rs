//! From the file as written to types that cannot hold nonsense.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU16;
use std::time::Duration;

use mayfly_core::audience::{Audience, Forks, Repositories};
use mayfly_core::ids::{Account, Deployment, InvalidName, PoolName, ProviderName, Repository, Zone};
use mayfly_core::labels::{LABEL_LONGEST, LABELS_MOST, Labels};
use mayfly_core::policy::{
    GcpPlacement, Placement, PlacementKind, Platform, Policy, Pool, ProxmoxPlacement, RepositoryPattern,
    Scope, Timing,
};
use mayfly_core::price::PricePerHour;

use super::units::{ADDRESS, DURATION, address, duration};
use super::{
    Config, GitHubConfig, GitHubLogin, PageConfig, ProviderConfig, Trust, Wrong, file, installation, wrong,
};

/// The most slots a pool can have: their numbers have four digits in a runner's name.
const MAX_RUNNERS_MOST: i64 = 9_999;
/// DynamoDB's own limit of a table's name.
const TABLE_NAME_LONGEST: usize = 255;
/// Each pool takes some 250 bytes of the sweep's memory, an item of at most 400 KB, and a query of each sweep.
const POOLS_MOST: usize = 1_000;

type Providers = BTreeMap<ProviderName, ProviderConfig>;

pub(super) fn config(file: file::File) -> Result<Config, Wrong> {
    let deployment = named("deployment", file.deployment, Deployment::new)?;
    let providers = providers(file.providers)?;
    if file.pools.is_empty() {
        return Err(wrong("pools", Vec::<String>::new(), "at least one [[pools]] is needed"));
    }
    if file.pools.len() > POOLS_MOST {
        return Err(wrong("pools", file.pools.len(), format!("must be at most {POOLS_MOST}")));
    }
    let mut pools: Vec<Pool> = Vec::new();
    for (place, raw) in file.pools.into_iter().enumerate() {
        let key = format!("pools[{place}]");
        let pool = pool(&key, raw, &providers)?;
        told_apart(&key, &pool, &pools)?;
        pools.push(pool);
    }
    let timing = timing(file.timing)?;
    let table = file.store.table;
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !(3..=TABLE_NAME_LONGEST).contains(&table.len()) || !table.bytes().all(fine) {
        let rule = "a DynamoDB table name: 3 to 255 letters, digits, `-`, `_` or `.`";
        return Err(wrong("store.table", table, rule));
    }
    let github = github(file.github)?;
    let waiting_after = waiting_after(file.notifications, &github.login)?;
    let page = file.page.map(page).transpose()?;
    let cloudwatch_metrics = file.metrics.cloudwatch.unwrap_or(false);
    let policy = Policy { deployment, pools, timing, waiting_after };
    Ok(Config { policy, table, github, providers, page, cloudwatch_metrics })
}

/// GitHub lets only Apps write check runs.
fn waiting_after(raw: file::Notifications, login: &GitHubLogin) -> Result<Option<Duration>, Wrong> {
    const KEY: &str = "notifications.waiting_after";
    let Some(text) = raw.waiting_after else { return Ok(None) };
    match (duration(&text), login) {
        (Some(after), GitHubLogin::App { .. }) => Ok(Some(after)),
        (None, _) => Err(wrong(KEY, text, format!("must be {DURATION}"))),
        (Some(_), GitHubLogin::Token(_)) => {
            let rule = "needs `github.app`, since GitHub lets only Apps write check runs: log in as an App, or leave it out";
            Err(wrong(KEY, text, rule))
        }
    }
}

fn named<T>(key: &str, value: String, new: impl Fn(String) -> Result<T, InvalidName>) -> Result<T, Wrong> {
    new(value).map_err(|error| wrong(key, error.value, format!("must be {}", error.rule)))
}

/// A currency's name or sign is no longer.
const CURRENCY_LONGEST: usize = 8;

fn page(raw: file::Page) -> Result<PageConfig, Wrong> {
    let fine = |sign: char| !sign.is_control() && !sign.is_whitespace();
    if raw.currency.chars().count() > CURRENCY_LONGEST || !raw.currency.chars().all(fine) {
        let rule = format!("must be at most {CURRENCY_LONGEST} characters without spaces, such as `USD`");
        return Err(wrong("page.currency", raw.currency, rule));
    }
    Ok(PageConfig { token: raw.token, currency: raw.currency })
}

fn github(raw: file::GitHub) -> Result<GitHubConfig, Wrong> {
    let api_url = raw.api_url.unwrap_or_else(|| "https://api.github.com".to_owned());
    if address(&api_url).is_none() {
        return Err(wrong("github.api_url", api_url, format!("must be {ADDRESS}")));
    }
    if raw.webhook_secrets.is_empty() {
        let rule = "at least one secret is needed, such as [{ env = \"WEBHOOK_SECRET\" }]";
        return Err(wrong("github.webhook_secrets", Vec::<String>::new(), rule));
    }
    let login = match (raw.app, raw.token) {
        (Some(app), None) => GitHubLogin::App {
            client_id: app.client_id,
            private_key: app.private_key,
            installation: app.installation_id.map(installation),
        },
        (None, Some(token)) => GitHubLogin::Token(token),
        (app, _) => {
            let given = if app.is_some() { "both" } else { "neither" };
            return Err(wrong("github.app / github.token", given, "give one of the two"));
        }
    };
    let webhook_url = match raw.webhook_url {
        Some(text) => match address(&text) {
            Some(url) => Some(url),
            None => return Err(wrong("github.webhook_url", text, format!("must be {ADDRESS}"))),
        },
        None => None,
    };
    let api_url = api_url.trim_end_matches('/').to_owned();
    Ok(GitHubConfig { api_url, webhook_secrets: raw.webhook_secrets, login, webhook_url })
}

fn providers(raw: BTreeMap<String, file::Provider>) -> Result<Providers, Wrong> {
    let mut providers = Providers::new();
    for (name, provider) in raw {
        let key = format!("providers.{name}");
        let name = named(&key, name, ProviderName::new)?;
        providers.insert(name, self::provider(&key, provider)?);
    }
    Ok(providers)
}

fn provider(key: &str, raw: file::Provider) -> Result<ProviderConfig, Wrong> {
    match raw {
        file::Provider::Gcp { project, endpoint } => {
            let fine =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
            if project.is_empty() || !project.bytes().all(fine) {
                return Err(wrong(
                    format!("{key}.project"),
                    project,
                    "must be a GCP project id, such as `slang-runners`",
                ));
            }
            if let Some(text) = endpoint.as_ref().filter(|text| address(text).is_none()) {
                return Err(wrong(format!("{key}.endpoint"), text, format!("must be {ADDRESS}")));
            }
            let endpoint = endpoint.map(|text| text.trim_end_matches('/').to_owned());
            Ok(ProviderConfig::Gcp { project, endpoint })
        }
        file::Provider::Proxmox { url, token_id, token_secret, vmid_range, nodes, ca_file, fingerprint } => {
            let Some(parsed) = address(&url) else {
                return Err(wrong(format!("{key}.url"), url, format!("must be {ADDRESS}")));
            };
            if !token_id.contains('@') || !token_id.contains('!') {
                let rule = "must be `user@realm!token`, as Proxmox shows it";
                return Err(wrong(format!("{key}.token_id"), token_id, rule));
            }
            // Proxmox keeps the ids below 100 for itself (`vmid`: minimum 100, maximum 999999999).
            if vmid_range.0 < 100 || vmid_range.1 > 999_999_999 || vmid_range.0 > vmid_range.1 {
                let rule = "must be [first, last] with 100 ≤ first ≤ last ≤ 999999999";
                return Err(wrong(format!("{key}.vmid_range"), vmid_range, rule));
            }
            let trust = trust(key, ca_file, fingerprint)?;
            Ok(ProviderConfig::Proxmox { url: parsed, token_id, token_secret, vmid_range, nodes, trust })
        }
    }
}

fn trust(key: &str, ca_file: Option<String>, fingerprint: Option<String>) -> Result<Trust, Wrong> {
    match (ca_file, fingerprint) {
        (None, None) => Ok(Trust::System),
        (Some(path), None) => Ok(Trust::Authority(path.into())),
        (Some(_), Some(_)) => {
            Err(wrong(format!("{key}.ca_file / {key}.fingerprint"), "both", "give at most one of the two"))
        }
        (None, Some(text)) => {
            let bytes: Option<Vec<u8>> = text
                .split(':')
                .map(|part| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok())?)
                .collect();
            let rule = "must be a certificate's SHA-256 as 32 bytes `AA:BB:…`";
            match bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
                Some(bytes) => Ok(Trust::Fingerprint(bytes)),
                None => Err(wrong(format!("{key}.fingerprint"), text, rule)),
            }
        }
    }
}

fn timing(raw: file::Timing) -> Result<Timing, Wrong> {
    let default = Timing::default();
    let wait = |key: &str, text, default| wait(&format!("timing.{key}"), text, default);
    Ok(Timing {
        orphan_grace: wait("orphan_grace", raw.orphan_grace, default.orphan_grace)?,
        step_timeout: wait("step_timeout", raw.step_timeout, default.step_timeout)?,
        cooldown: wait("cooldown", raw.cooldown, default.cooldown)?,
        redelivery_after: wait("redelivery_after", raw.redelivery_after, default.redelivery_after)?,
        check_after: wait("check_after", raw.check_after, default.check_after)?,
        retention: wait("retention", raw.retention, default.retention)?,
    })
}

fn wait(key: &str, text: Option<String>, default: Duration) -> Result<Duration, Wrong> {
    match text {
        None => Ok(default),
        Some(text) => duration(&text).ok_or_else(|| wrong(key, text, format!("must be {DURATION}"))),
    }
}

fn pool(key: &str, raw: file::Pool, providers: &Providers) -> Result<Pool, Wrong> {
    let scope = scope(key, raw.organization, raw.repository, raw.enterprise)?;
    let runner_group = raw.runner_group.unwrap_or_else(|| "default".to_owned());
    if matches!(scope, Scope::Repository(_)) && !runner_group.eq_ignore_ascii_case("default") {
        let rule =
            "a repository has only the group `default`; other groups need `organization` or `enterprise`";
        return Err(wrong(format!("{key}.runner_group"), runner_group, rule));
    }
    let max_runners = match NonZeroU16::new(u16::try_from(raw.max_runners).unwrap_or(0)) {
        Some(most) if raw.max_runners <= MAX_RUNNERS_MOST => most,
        Some(_) | None => {
            let rule = format!("must be from 1 to {MAX_RUNNERS_MOST}");
            return Err(wrong(format!("{key}.max_runners"), raw.max_runners, rule));
        }
    };
    let min_runners = u16::try_from(raw.min_runners).ok().filter(|least| *least <= max_runners.get());
    let Some(min_runners) = min_runners else {
        let rule = format!("must be from 0 to max_runners, which is {max_runners}");
        return Err(wrong(format!("{key}.min_runners"), raw.min_runners, rule));
    };
    let minutes = |count: u64| Duration::from_secs(count * 60);
    Ok(Pool {
        name: named(&format!("{key}.name"), raw.name, PoolName::new)?,
        labels: labels(&format!("{key}.labels"), raw.labels)?,
        scope,
        repositories: patterns(&format!("{key}.repositories"), &raw.repositories)?,
        audience: audience(&format!("{key}.visibility"), raw.visibility.as_deref(), raw.allow_forks)?,
        runner_group,
        platform: platform(&format!("{key}.platform"), raw.platform.as_deref())?,
        max_runners,
        min_runners,
        boot_timeout: wait(&format!("{key}.boot_timeout"), raw.boot_timeout, minutes(10))?,
        idle_timeout: wait(&format!("{key}.idle_timeout"), raw.idle_timeout, minutes(10))?,
        max_lifetime: wait(&format!("{key}.max_lifetime"), raw.max_lifetime, minutes(6 * 60))?,
        placements: placements(&format!("{key}.placements"), raw.placements, providers)?,
    })
}

fn scope(
    key: &str,
    organization: Option<String>,
    repository: Option<String>,
    enterprise: Option<String>,
) -> Result<Scope, Wrong> {
    match (organization, repository, enterprise) {
        (Some(login), None, None) => {
            Ok(Scope::Organization(named(&format!("{key}.organization"), login, Account::new)?))
        }
        (None, Some(name), None) => {
            Ok(Scope::Repository(named(&format!("{key}.repository"), name, Repository::new)?))
        }
        (None, None, Some(slug)) => {
            Ok(Scope::Enterprise(named(&format!("{key}.enterprise"), slug, Account::new)?))
        }
        (organization, repository, enterprise) => {
            let given: Vec<String> = [organization, repository, enterprise].into_iter().flatten().collect();
            let key = format!("{key}.organization / repository / enterprise");
            Err(wrong(key, given, "give exactly one of the three: where the pool's runners register"))
        }
    }
}

fn labels(key: &str, raw: Vec<String>) -> Result<Labels, Wrong> {
    let fine = |label: &String| {
        !label.trim().is_empty() && label.len() <= LABEL_LONGEST && !label.contains([',', '\n', '\r'])
    };
    if let Some(label) = raw.iter().find(|label| !fine(label)) {
        return Err(wrong(
            key,
            label,
            format!("a label is 1 to {LABEL_LONGEST} characters, without commas or line ends"),
        ));
    }
    let labels = Labels::new(raw);
    if labels.is_empty() || labels.is_beyond() {
        return Err(wrong(key, labels.as_slice(), format!("must be 1 to {LABELS_MOST} labels")));
    }
    Ok(labels)
}

fn patterns(key: &str, raw: &[String]) -> Result<Vec<RepositoryPattern>, Wrong> {
    let rule =
        "must be a repository's name or a pattern with `*`, such as `slang-*`, with or without its owner";
    raw.iter().map(|text| RepositoryPattern::new(text).ok_or_else(|| wrong(key, text, rule))).collect()
}

fn audience(key: &str, visibility: Option<&str>, allow_forks: Option<bool>) -> Result<Audience, Wrong> {
    let repositories = match visibility {
        None => Repositories::All,
        Some("public") => Repositories::Public,
        Some("private") => Repositories::NotPublic,
        Some(other) => {
            let rule = "must be `public`, or `private` (internal ones among them); without it all are served";
            return Err(wrong(key, other, rule));
        }
    };
    let forks = match allow_forks {
        None => Forks::OfFew,
        Some(true) => Forks::Served,
        Some(false) => Forks::Refused,
    };
    Ok(Audience { repositories, forks })
}

fn platform(key: &str, raw: Option<&str>) -> Result<Platform, Wrong> {
    match raw {
        None | Some("linux") => Ok(Platform::Linux),
        Some("windows") => Ok(Platform::Windows),
        Some(other) => Err(wrong(key, other, "must be `linux` or `windows`")),
    }
}

/// A job must be able to reach every pool: not so when an earlier one takes all that it could get.
fn told_apart(key: &str, pool: &Pool, earlier: &[Pool]) -> Result<(), Wrong> {
    for other in earlier {
        if other.name == pool.name {
            return Err(wrong(
                format!("{key}.name"),
                pool.name.as_str(),
                "another pool has this name already",
            ));
        }
        let takes_all = other.repositories.is_empty() || other.repositories == pool.repositories;
        let seen = (other.audience.repositories, pool.audience.repositories);
        let takes_all = takes_all && (seen.0 == Repositories::All || seen.0 == seen.1);
        if other.labels.same_as(&pool.labels) && other.scope == pool.scope && takes_all {
            let rule =
                format!("no job could tell this pool from `{}`: give one of them another label", other.name);
            return Err(wrong(format!("{key}.labels"), pool.labels.as_slice(), rule));
        }
    }
    Ok(())
}

fn placements(key: &str, raw: Vec<file::Placement>, providers: &Providers) -> Result<Vec<Placement>, Wrong> {
    if raw.is_empty() {
        return Err(wrong(key, Vec::<String>::new(), "a pool needs at least one [[pools.placements]]"));
    }
    let numbered = raw.into_iter().enumerate();
    numbered.map(|(place, raw)| placement(&format!("{key}[{place}]"), raw, providers)).collect()
}

fn placement(key: &str, raw: file::Placement, providers: &Providers) -> Result<Placement, Wrong> {
    let name = ProviderName::new(raw.provider.clone()).ok();
    let found = name.and_then(|name| providers.get_key_value(&name));
    let Some((provider, config)) = found else {
        let known: Vec<&str> = providers.keys().map(ProviderName::as_str).collect();
        let rule = format!(
            "no such provider; the file has: {}",
            if known.is_empty() { "none".into() } else { known.join(", ") }
        );
        return Err(wrong(format!("{key}.provider"), raw.provider, rule));
    };
    let price = raw.price_per_hour.map(|price| price_per_hour(key, price)).transpose()?;
    let kind = match config {
        ProviderConfig::Gcp { .. } => PlacementKind::Gcp(gcp_placement(key, raw)?),
        ProviderConfig::Proxmox { .. } => PlacementKind::Proxmox(proxmox_placement(key, raw)?),
    };
    Ok(Placement { provider: provider.clone(), kind, price })
}

fn price_per_hour(key: &str, price: f64) -> Result<PricePerHour, Wrong> {
    let rule = || format!("must be 0 to {}: what a VM costs an hour, in your currency", PricePerHour::MOST);
    PricePerHour::new(price).ok_or_else(|| wrong(format!("{key}.price_per_hour"), price, rule()))
}

fn gcp_placement(key: &str, raw: file::Placement) -> Result<GcpPlacement, Wrong> {
    not_here(
        key,
        "gcp",
        &[
            ("template", raw.template.map(|id| id.to_string())),
            ("full_clone", raw.full_clone.map(|flag| flag.to_string())),
            ("storage", raw.storage),
            ("pool", raw.pool),
        ],
    )?;
    let Some(instance_template) = raw.instance_template.filter(|name| !name.is_empty()) else {
        return Err(wrong(format!("{key}.instance_template"), "", "must name a GCP instance template"));
    };
    let zones = raw.zones.unwrap_or_default();
    if zones.is_empty() {
        let rule = "must be at least one GCP zone, such as [\"us-east1-c\"]";
        return Err(wrong(format!("{key}.zones"), zones, rule));
    }
    let mut parsed: Vec<Zone> = Vec::new();
    for (place, zone) in zones.into_iter().enumerate() {
        let key = format!("{key}.zones[{place}]");
        let zone = named(&key, zone, Zone::new)?;
        if parsed.contains(&zone) {
            return Err(wrong(key, zone.as_str(), "is in the list already"));
        }
        parsed.push(zone);
    }
    Ok(GcpPlacement {
        instance_template,
        zones: parsed,
        gpu_type: raw.gpu_type.filter(|kind| kind != "none"),
        spot: raw.spot.unwrap_or(false),
    })
}

fn proxmox_placement(key: &str, raw: file::Placement) -> Result<ProxmoxPlacement, Wrong> {
    not_here(
        key,
        "proxmox",
        &[
            ("instance_template", raw.instance_template),
            ("zones", raw.zones.map(|zones| zones.join(", "))),
            ("gpu_type", raw.gpu_type),
            ("spot", raw.spot.map(|flag| flag.to_string())),
        ],
    )?;
    let Some(template) = raw.template else {
        return Err(wrong(format!("{key}.template"), "", "must be the VM id of a Proxmox template"));
    };
    let full_clone = raw.full_clone.unwrap_or(false);
    if let Some(storage) = raw.storage.as_ref().filter(|_| !full_clone) {
        return Err(wrong(format!("{key}.storage"), storage, "goes with full_clone = true only"));
    }
    Ok(ProxmoxPlacement { template, full_clone, storage: raw.storage, pool: raw.pool })
}

fn not_here(key: &str, kind: impl Display, keys: &[(&str, Option<String>)]) -> Result<(), Wrong> {
    for (name, value) in keys {
        if let Some(value) = value {
            return Err(wrong(format!("{key}.{name}"), value, format!("is no key of a {kind} placement")));
        }
    }
    Ok(())
}
