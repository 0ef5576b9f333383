//! Whether there is room for what the pools are configured for: storages, memory, ids.

use std::collections::{BTreeMap, BTreeSet};

use mayfly_core::ids::ProviderName;
use mayfly_core::policy::{Policy, ProxmoxPlacement};
use mayfly_service::provider::proxmox::{Resources, VmConfig};

use super::Lab;
use crate::doctor::finding::Findings;

const GIB: f64 = (1_u64 << 30) as f64;
/// A storage that is fuller than this is short of room: thin volumes grow while jobs run.
const FULL: f64 = 0.9;
/// So many ids are named in a line.
const NAMED_MOST: usize = 5;

/// The storages that a clone's disks are made on.
pub(super) fn storages_of(placement: &ProxmoxPlacement, config: &VmConfig) -> BTreeSet<String> {
    match &placement.storage {
        Some(storage) if placement.full_clone => [storage.clone()].into(),
        Some(_) | None => config.storages.clone(),
    }
}

/// Whether the storages are there, and have room.
pub(super) fn storages(
    lab: &Lab<'_>,
    resources: &Resources,
    templates: &BTreeMap<u32, VmConfig>,
    found: &mut Findings,
) {
    let used =
        lab.places.iter().filter_map(|place| Some(storages_of(place, templates.get(&place.template)?)));
    for storage in used.flatten().collect::<BTreeSet<String>>() {
        let what = format!("storage {storage}");
        let entries: Vec<_> = resources.storages.iter().filter(|entry| entry.storage == storage).collect();
        if entries.is_empty() {
            let mend = format!(
                "correct the placement's `storage`, or give the token Datastore.Audit on /storage/{storage}"
            );
            found.wrong(what, "there is none of that name, or the token does not see it", mend);
            continue;
        }
        let available: Vec<_> = entries.iter().filter(|entry| entry.available).collect();
        if available.is_empty() {
            found.wrong(
                what,
                "is available on no node",
                "see the storage's state on the nodes (`pvesm status`)",
            );
            continue;
        }
        let is_full = |disk: u64, maxdisk: u64| maxdisk > 0 && disk as f64 > FULL * maxdisk as f64;
        let full: Vec<&str> = available
            .iter()
            .filter(|entry| entry.disk.zip(entry.maxdisk).is_some_and(|(disk, most)| is_full(disk, most)))
            .map(|entry| entry.node.as_str())
            .collect();
        if full.is_empty() {
            found.ok(what, format!("is available on {} nodes, and has room", available.len()));
        } else {
            let why = format!("is more than 90 % full, as seen on {}", full.join(", "));
            found.warning(what, why, "make room on it, or make it larger");
        }
    }
}

/// Whether the nodes are there, and have memory for a clone of each template.
pub(super) fn nodes(
    lab: &Lab<'_>,
    resources: &Resources,
    templates: &BTreeMap<u32, VmConfig>,
    found: &mut Findings,
) {
    let known: Vec<&str> = resources.nodes.iter().map(|node| node.name.as_str()).collect();
    for node in lab.nodes.iter().filter(|node| !known.contains(&node.as_str())) {
        let why = format!("there is none of that name; there are {}", known.join(", "));
        found.wrong(format!("node {node}"), why, "correct the provider's `nodes`");
    }
    let usable: Vec<_> = resources
        .nodes
        .iter()
        .filter(|node| lab.nodes.is_empty() || lab.nodes.contains(&node.name))
        .collect();
    for node in usable.iter().filter(|node| !node.online) {
        let mend = "bring it back; until then the others take its VMs";
        found.warning(format!("node {}", node.name), "is offline", mend);
    }
    let told: Vec<(&str, u64, u64)> = usable
        .iter()
        .filter(|node| node.online)
        .filter_map(|node| Some((node.name.as_str(), node.maxmem?, node.mem?)))
        .collect();
    for (vmid, config) in templates {
        let what = format!("memory for a clone of template {vmid}");
        let (each, gib) = (config.memory_bytes, config.memory_bytes as f64 / GIB);
        let free: Vec<&str> = told
            .iter()
            .filter(|(_, most, used)| most.saturating_sub(*used) >= each)
            .map(|(node, ..)| *node)
            .collect();
        if told.is_empty() {
            found.skipped(what, "no node that is online tells its memory");
        } else if told.iter().all(|(_, most, _)| *most < each) {
            let why = format!("no node has the {gib:.1} GiB that it takes");
            found.wrong(what, why, format!("`qm set {vmid} --memory` with less, or use larger nodes"));
        } else if free.is_empty() {
            let why = format!("no node has {gib:.1} GiB free now: jobs go to the next placement, or wait");
            found.warning(what, why, "nothing, if these are Mayfly's own VMs at work; else free some memory");
        } else {
            found.ok(what, format!("{gib:.1} GiB are free on {}", free.join(", ")));
        }
    }
}

/// Whether there are ids for the pools' VMs, and nothing else among them.
pub(super) fn vmids(
    lab: &Lab<'_>,
    policy: &Policy,
    name: &ProviderName,
    resources: &Resources,
    found: &mut Findings,
) {
    let (first, last) = lab.vmid_range;
    let what = format!("vmid_range {first} to {last}");
    let own = format!("mayfly-{}", policy.deployment);
    let inside = resources.vms.iter().filter(|vm| (first..=last).contains(&vm.vmid));
    let strangers: Vec<u32> = inside.filter(|vm| !vm.tags.contains(&own)).map(|vm| vm.vmid).collect();
    let free = u64::from(last - first) + 1 - strangers.len() as u64;
    let only_here =
        policy.pools.iter().filter(|pool| pool.placements.iter().all(|each| each.provider == *name));
    let wanted: u64 = only_here.map(|pool| u64::from(pool.max_runners.get())).sum();
    let mend = "choose a range that nothing else uses (the provider's `vmid_range`)";
    if free == 0 {
        found.wrong(what, "every id is taken by what is not Mayfly's", mend);
    } else if free < wanted {
        let why = format!("{free} ids are free for {wanted} runners that can be made nowhere else");
        found.warning(what, why, "widen the provider's `vmid_range`, or lower `max_runners`");
    } else if strangers.is_empty() {
        found.ok(what, "nothing else is in it");
    } else {
        let shown: Vec<String> = strangers.iter().take(NAMED_MOST).map(u32::to_string).collect();
        let more = if strangers.len() > NAMED_MOST { " and more" } else { "" };
        let why = format!("VM {}{more} in it does not have this deployment's tag", shown.join(", "));
        found.warning(what, why, mend);
    }
}
