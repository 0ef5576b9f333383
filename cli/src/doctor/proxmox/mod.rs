//! A Proxmox VE cluster: whether it answers and whom it takes us for, what the token may do, templates, storages and room.

mod privileges;
mod room;

use std::collections::{BTreeMap, BTreeSet};

use mayfly_core::ids::ProviderName;
use mayfly_core::policy::ProxmoxPlacement;
use mayfly_service::config::{Config, ProviderConfig};
use mayfly_service::provider::LookError;
use mayfly_service::provider::proxmox::{Proxmox, Resources, VmConfig};
use tokio::time::Instant;

use super::finding::{Finding, Findings};

/// What is configured of a cluster, as far as it is looked at.
#[derive(Debug)]
struct Lab<'a> {
    vmid_range: (u32, u32),
    nodes: &'a [String],
    /// The pools' placements here.
    places: Vec<&'a ProxmoxPlacement>,
}

/// Looks at a cluster, as far as the pools use it.
pub async fn examine(
    config: &Config,
    name: &ProviderName,
    proxmox: &Proxmox,
    deadline: Instant,
) -> Vec<Finding> {
    let mut found = Findings::of(name.as_str());
    let Some(lab) = lab(config, name) else { return found.done() };
    if lab.places.is_empty() {
        found.warning(
            "placements",
            "no pool uses this provider",
            "take it out of the configuration, or name it in a placement",
        );
        return found.done();
    }
    let rest = "privileges, templates, storages, room";
    let release = match proxmox.version_seen(deadline).await {
        Ok(release) => release,
        Err(error) => {
            unreached(name, &error, &mut found);
            found.skipped(rest, "the cluster cannot be asked");
            return found.done();
        }
    };
    found.ok(
        "it answers",
        format!("Proxmox VE {release}, over a connection that is trusted, to a token that it takes"),
    );
    let resources = match proxmox.resources_seen(deadline).await {
        Ok(resources) => resources,
        Err(error) => {
            found.wrong("cluster resources", error.to_string(), "see what the message says, and look again");
            found.skipped(rest, "what the cluster has cannot be listed");
            return found.done();
        }
    };
    let templates = templates(proxmox, &lab, &resources, &mut found, deadline).await;
    let needs = privileges::needed(&release, &lab, &resources, &templates);
    privileges::examine(proxmox, &needs, &mut found, deadline).await;
    room::storages(&lab, &resources, &templates, &mut found);
    room::nodes(&lab, &resources, &templates, &mut found);
    room::vmids(&lab, &config.policy, name, &resources, &mut found);
    found.done()
}

fn lab<'a>(config: &'a Config, name: &ProviderName) -> Option<Lab<'a>> {
    let ProviderConfig::Proxmox { vmid_range, nodes, .. } = config.providers.get(name)? else { return None };
    let places = config.policy.pools.iter().flat_map(|pool| {
        let here = pool.placements.iter().filter(|placement| placement.provider == *name);
        here.filter_map(|placement| placement.proxmox())
    });
    Some(Lab { vmid_range: *vmid_range, nodes, places: places.collect() })
}

/// The first call failed: what it says of the way there.
fn unreached(name: &ProviderName, error: &LookError, found: &mut Findings) {
    let (what, mend) = match error {
        LookError::Untrusted(_) => (
            "certificate",
            format!(
                "set `providers.{name}.fingerprint` to the SHA-256 that the node itself shows (System, Certificates), or \
                 `ca_file` to a copy of /etc/pve/pve-root-ca.pem"
            ),
        ),
        LookError::Unauthorized(_) => (
            "token",
            format!(
                "infra/proxmox/setup.sh makes one (--new-token shows a new secret): `providers.{name}.token_id` is its id, \
                 and its secret belongs where `token_secret` points"
            ),
        ),
        LookError::Missing(_) | LookError::Forbidden(_) | LookError::Unknown(_) => (
            "it answers",
            format!(
                "is `providers.{name}.url` right, pveproxy running there, and its port to be reached from here?"
            ),
        ),
    };
    found.wrong(what, error.to_string(), mend);
}

/// Each template's configuration, where it can be cloned.
async fn templates(
    proxmox: &Proxmox,
    lab: &Lab<'_>,
    resources: &Resources,
    found: &mut Findings,
    deadline: Instant,
) -> BTreeMap<u32, VmConfig> {
    let vmids: BTreeSet<u32> = lab.places.iter().map(|place| place.template).collect();
    let mut seen = BTreeMap::new();
    for vmid in vmids {
        let what = format!("template {vmid}");
        let Some(entry) = resources.vms.iter().find(|vm| vm.vmid == vmid) else {
            let why = "there is no VM of that id, or the token does not see it";
            let mend = format!(
                "correct the placement's `template` (infra/proxmox/template makes one), or give the token VM.Audit on \
                 /vms/{vmid}"
            );
            found.wrong(what, why, mend);
            continue;
        };
        match proxmox.config_seen(&entry.node, vmid, deadline).await {
            Ok(config) => {
                judge_template(&what, vmid, &entry.node, &config, found);
                seen.insert(vmid, config);
            }
            Err(LookError::Forbidden(why)) => {
                found.wrong(what, why, format!("give the token VM.Audit on /vms/{vmid}"));
            }
            Err(error) => {
                let mend = format!("bring node {}, where it is, back", entry.node);
                found.wrong(what, error.to_string(), mend);
            }
        }
    }
    seen
}

fn judge_template(what: &str, vmid: u32, node: &str, config: &VmConfig, found: &mut Findings) {
    if !config.template {
        found.wrong(what, "is a VM, and no template", format!("qm template {vmid} (on node {node})"));
    } else {
        found.ok(what, format!("{} on node {node}", config.name.as_deref().unwrap_or("a template")));
    }
    if config.agent {
        found.ok(format!("{what}: guest agent"), "is switched on");
    } else {
        let mend = format!("install qemu-guest-agent in it, and `qm set {vmid} --agent 1`");
        found.wrong(
            format!("{what}: guest agent"),
            "is switched off: its clones never get their JIT config",
            mend,
        );
    }
    if let Some(lock) = &config.lock {
        let why = format!("is locked ({lock}): it cannot be cloned");
        found.wrong(
            what,
            why,
            format!("wait for the task that is at it, or `qm unlock {vmid}` if that is dead"),
        );
    }
}
