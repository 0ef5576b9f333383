//! Where a cluster of hosts has room for one more VM.
//!
//! Many invocations choose at the same time, and what a cluster says of itself is seconds old. So each of them claims what
//! it is about to use where all see it, and counts the claims of the others as if their VMs stood there already. A claim
//! is dropped when the cluster itself has shown its VM for long enough.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;

use crate::slot::{earlier, later};

/// A cluster, as it described itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// When it was asked.
    pub asked: Timestamp,
    /// Its hosts.
    pub hosts: Vec<Host>,
    /// The VMs and containers on them, templates left out; by id.
    pub guests: BTreeMap<u32, Guest>,
}

/// One host of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Whether it answers.
    pub online: bool,
    /// Its memory, in bytes.
    pub memory: u64,
    /// How much of that is in use, in bytes.
    pub used: u64,
}

/// A VM or container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// On which host.
    pub host: String,
    /// Whether it runs.
    pub runs: bool,
    /// Whether it is being cloned.
    pub cloning: bool,
    /// The memory that it may use, in bytes; `None` where the cluster does not say yet.
    pub memory: Option<u64>,
    /// The memory that its host spends on it, in bytes; `None` where the cluster does not say.
    pub spent: Option<u64>,
}

/// What somebody is about to use, or uses since so short a time that others may not see it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Since when.
    pub at: Timestamp,
    /// The VM's id.
    pub vmid: u32,
    /// The host.
    pub host: String,
    /// Memory, in bytes.
    pub memory: u64,
    /// The storages that the clone writes to.
    pub storages: BTreeSet<String>,
}

/// What a new VM needs.
#[derive(Debug, Clone)]
pub struct Demand {
    /// Memory, in bytes.
    pub memory: u64,
    /// The hosts that will do.
    pub hosts: BTreeSet<String>,
    /// The ids it may have.
    pub vmids: RangeInclusive<u32>,
    /// The storages that its clone writes to.
    pub storages: BTreeSet<String>,
    /// So many clones at once a storage bears.
    pub clones_most: usize,
    /// Ids that somebody has taken, though the cluster does not show it.
    pub taken: BTreeSet<u32>,
    /// Hosts that have just failed, and why.
    pub failed: BTreeMap<String, String>,
}

/// What a look at a cluster found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A place.
    Place {
        /// The host.
        host: String,
        /// The VM's id.
        vmid: u32,
    },
    /// There is room, but the storages are busy with clones.
    Later(String),
    /// There is no room: each host, or what else is used up, and why.
    Full(Vec<(String, String)>),
}

/// What a host used for itself, as a look showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// When.
    pub at: Timestamp,
    /// Memory, in bytes.
    pub bytes: u64,
}

/// What a host was seen to use for itself counts for so long.
pub const OWN_KEPT: Duration = Duration::from_secs(180);

/// The cluster without the memory of VMs that have just gone, and what its hosts use for themselves: a cluster's figures
/// are some seconds older than its list of VMs, so for as long a host seems to use for itself what its last VM used. Where
/// a host was seen to need less a short while ago, it does.
pub fn steady(cluster: &Cluster, seen: &BTreeMap<String, Own>) -> (Cluster, BTreeMap<String, Own>) {
    let mut steady = cluster.clone();
    let mut own = BTreeMap::new();
    for host in &mut steady.hosts {
        let guests = cluster.guests.values().filter(|guest| guest.host == host.name && guest.runs);
        let spent =
            guests.map(|guest| guest.spent.or(guest.memory).unwrap_or(0)).fold(0, u64::saturating_add);
        let now = Own { at: cluster.asked, bytes: host.used.saturating_sub(spent) };
        let lower = |seen: &&Own| later(seen.at, OWN_KEPT) > cluster.asked && seen.bytes < now.bytes;
        let holds = seen.get(&host.name).filter(lower).copied().unwrap_or(now);
        host.used = host.used.min(spent.saturating_add(holds.bytes));
        if host.online {
            own.insert(host.name.clone(), holds);
        }
    }
    (steady, own)
}

/// A claim is kept for so long after its VM shows in the cluster: whoever looked before that still counts on it.
pub const CLAIM_KEPT: Duration = Duration::from_secs(30);

/// The claims that still stand for something. One whose VM never showed counts for `longest`: whoever made it has given up
/// by then.
pub fn standing(
    claims: BTreeMap<String, Claim>,
    cluster: &Cluster,
    now: Timestamp,
    longest: Duration,
) -> BTreeMap<String, Claim> {
    let stands = |claim: &Claim| match shown(claim, cluster) {
        Some(guest) => guest.cloning || later(claim.at, CLAIM_KEPT) > now,
        None => claim.at > earlier(now, longest),
    };
    claims.into_iter().filter(|(_, claim)| stands(claim)).collect()
}

/// The VM of a claim, where the cluster showed it. Until its clone is done a VM stands on its template's host.
fn shown<'a>(claim: &Claim, cluster: &'a Cluster) -> Option<&'a Guest> {
    let guest = cluster.guests.get(&claim.vmid).filter(|_| claim.at <= cluster.asked)?;
    (guest.host == claim.host || guest.cloning).then_some(guest)
}

/// Chooses the host with most free memory that can hold the VM, and an id nobody has; `random` is where the search for
/// the id begins, so that an id that was given back is not used again at once.
pub fn choose(cluster: &Cluster, claims: &BTreeMap<String, Claim>, demand: &Demand, random: u64) -> Found {
    let mut full = Vec::new();
    let mut best: Option<(u64, &Host)> = None;
    for host in &cluster.hosts {
        match fits(cluster, claims, demand, host) {
            Ok(free) if best.is_none_or(|(most, _)| free > most) => best = Some((free, host)),
            Ok(_) => {}
            Err(why) => full.push((host.name.clone(), why)),
        }
    }
    let Some((_, host)) = best else { return Found::Full(full) };
    let Some(vmid) = free_id(cluster, claims, demand, random) else {
        let (first, last) = (demand.vmids.start(), demand.vmids.end());
        return Found::Full(vec![(
            "vmid_range".to_owned(),
            format!("all ids of {first} to {last} are taken"),
        )]);
    };
    if let Some((storage, clones)) = busiest(cluster, claims, demand) {
        return Found::Later(format!("{clones} clones are under way on storage {storage}"));
    }
    Found::Place { host: host.name.clone(), vmid }
}

/// For how many such VMs there is room.
pub fn room(cluster: &Cluster, claims: &BTreeMap<String, Claim>, demand: &Demand) -> u32 {
    let needed = demand.memory.max(1);
    let fit = |host: &Host| fits(cluster, claims, demand, host).map_or(0, |free| free / needed);
    let by_memory: u64 = cluster.hosts.iter().map(fit).fold(0, u64::saturating_add);
    let size = u64::from(demand.vmids.end().saturating_sub(*demand.vmids.start())) + 1;
    let ids = size.saturating_sub(taken_ids(cluster, claims, demand).len() as u64);
    u32::try_from(by_memory.min(ids)).unwrap_or(u32::MAX)
}

/// The host's free memory, where that is enough; else why it will not do.
fn fits(
    cluster: &Cluster,
    claims: &BTreeMap<String, Claim>,
    demand: &Demand,
    host: &Host,
) -> Result<u64, String> {
    if let Some(why) = demand.failed.get(&host.name) {
        return Err(why.clone());
    }
    if !host.online {
        return Err("the node is offline".to_owned());
    }
    if !demand.hosts.contains(&host.name) {
        return Err("the template's storage does not reach it, or `nodes` leaves it out".to_owned());
    }
    let free = host.memory.saturating_sub(committed(cluster, claims, demand, host));
    if free < demand.memory {
        let (free, all, needed) = (gib(free), gib(host.memory), gib(demand.memory));
        return Err(format!("{free} of {all} GiB of memory are free, {needed} needed"));
    }
    Ok(free)
}

/// What a host has to be able to give at any time: to itself, to the guests that run, to those of ours that are about to,
/// and to claims. Memory that a guest may use and does not use yet is given already.
fn committed(cluster: &Cluster, claims: &BTreeMap<String, Claim>, demand: &Demand, host: &Host) -> u64 {
    let mut running = 0u64;
    let mut spent = 0u64;
    let mut to_come = 0u64;
    for (vmid, guest) in cluster.guests.iter().filter(|(_, guest)| guest.host == host.name) {
        let memory = guest.memory.unwrap_or(demand.memory);
        if guest.runs {
            running = running.saturating_add(memory);
            spent = spent.saturating_add(guest.spent.unwrap_or(memory));
        } else if demand.vmids.contains(vmid) && !is_claimed_clone(*vmid, guest, claims) {
            to_come = to_come.saturating_add(memory);
        }
    }
    let here = claims.values().filter(|claim| claim.host == host.name);
    let stands_here =
        |claim: &Claim| shown(claim, cluster).is_some_and(|guest| guest.host == host.name && !guest.cloning);
    let claimed = here.filter(|claim| !stands_here(claim)).map(|claim| claim.memory);
    let own = host.used.saturating_sub(spent);
    claimed.fold(own.saturating_add(running).saturating_add(to_come), u64::saturating_add)
}

/// Whether a clone is under way that its claim tells more of: where it will stand, and how much memory it will have.
fn is_claimed_clone(vmid: u32, guest: &Guest, claims: &BTreeMap<String, Claim>) -> bool {
    guest.cloning && claims.values().any(|claim| claim.vmid == vmid)
}

fn gib(bytes: u64) -> String {
    // Tenths, rounded down: what is shown as enough is enough.
    let tenths = bytes / (GIB / 10);
    format!("{}.{}", tenths / 10, tenths % 10)
}

const GIB: u64 = 1 << 30;

fn taken_ids(cluster: &Cluster, claims: &BTreeMap<String, Claim>, demand: &Demand) -> BTreeSet<u32> {
    let claimed = claims.values().map(|claim| claim.vmid);
    let all = cluster.guests.keys().copied().chain(claimed).chain(demand.taken.iter().copied());
    all.filter(|vmid| demand.vmids.contains(vmid)).collect()
}

fn free_id(cluster: &Cluster, claims: &BTreeMap<String, Claim>, demand: &Demand, random: u64) -> Option<u32> {
    let taken = taken_ids(cluster, claims, demand);
    let (first, last) = (u64::from(*demand.vmids.start()), u64::from(*demand.vmids.end()));
    let size = last.checked_sub(first)? + 1;
    let start = random % size;
    // Among one more than are taken, one is free, if any is.
    let tries = (taken.len() as u64 + 1).min(size);
    let ids = (0..tries).filter_map(|step| u32::try_from(first + (start + step) % size).ok());
    ids.into_iter().find(|vmid| !taken.contains(vmid))
}

/// A storage of the demand's that bears no further clone now, and how many are under way there.
fn busiest(cluster: &Cluster, claims: &BTreeMap<String, Claim>, demand: &Demand) -> Option<(String, usize)> {
    let writes = |claim: &&Claim| shown(claim, cluster).is_none_or(|guest| guest.cloning);
    demand.storages.iter().find_map(|storage| {
        let clones = claims.values().filter(|claim| claim.storages.contains(storage)).filter(writes).count();
        (clones >= demand.clones_most).then(|| (storage.clone(), clones))
    })
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
