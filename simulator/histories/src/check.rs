//! The invariants, over what the world and the table saw. Written apart from the code that keeps them: nothing in here
//! asks Mayfly's own code what it thinks.
//!
//! The world itself holds I1, I2, I3 and I6 at every call.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use simulator::{Api, HappeningKind, JobState, JobView, Method, Request, VmId};

use crate::configure::{DEPLOYMENT, PoolNow};
use crate::stage::{Inner, Invocation};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// When it was seen.
    pub time: Timestamp,
    /// Which: `I1` and so on, or what the world calls it.
    pub promise: String,
    /// What exactly.
    pub text: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.text)
    }
}

/// Something that a sweep reads before it decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A pool's partition of the table.
    Pool(String),
    /// The list of instances.
    Cloud,
    /// The cluster's resources.
    Lab,
    /// A list of runners, by its path.
    Runners(String),
}

/// What a sweep asked before it began to act, and whether it was answered.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    read: BTreeMap<Source, bool>,
    acts: bool,
}

/// The source that a request asks, if any.
pub fn source_of(request: &Request) -> Option<Source> {
    // What asks for one runner by its name is no list.
    if request.method != Method::Get || request.parameter("name").is_some() {
        return None;
    }
    let path = request.path.as_str();
    match request.api {
        Api::GitHub if path.ends_with("/actions/runners") => Some(Source::Runners(path.to_owned())),
        Api::Gcp if path.ends_with("/aggregated/instances") => Some(Source::Cloud),
        Api::Proxmox if path.ends_with("/cluster/resources") => Some(Source::Lab),
        Api::GitHub | Api::Gcp | Api::Proxmox => None,
    }
}

/// A request is about to leave.
pub fn asked(inner: &mut Inner, by: Invocation, request: &Request, source: Option<&Source>) {
    let Some(sources) = inner.sources.get_mut(&by) else { return };
    if request.method != Method::Get && !request.path.ends_with("/access_tokens") {
        sources.acts = true;
    }
    source_asked(inner, by, source);
}

/// A source is about to be asked.
pub fn source_asked(inner: &mut Inner, by: Invocation, source: Option<&Source>) {
    let (Some(sources), Some(source)) = (inner.sources.get_mut(&by), source) else { return };
    if !sources.acts {
        sources.read.insert(source.clone(), false);
    }
}

/// A source answered.
pub fn answered(inner: &mut Inner, by: Invocation, source: Option<&Source>) {
    let (Some(sources), Some(source)) = (inner.sources.get_mut(&by), source) else { return };
    if !sources.acts {
        sources.read.insert(source.clone(), true);
    }
}

/// Whether GitHub was asked to let a runner go and did, or never had it.
fn has_left(inner: &Inner, name: &str) -> bool {
    let was_registered = || {
        let mut history = inner.world.history().iter();
        history.any(|each| each.kind == HappeningKind::RunnerRegistered && each.text.contains(name))
    };
    let is_registered = inner.world.runners().iter().any(|runner| runner.name == name);
    !is_registered && (inner.let_go.contains(name) || !was_registered())
}

/// I9: a sweep that could not read a source is about to delete something that is of use.
pub fn about_to(inner: &mut Inner, now: Timestamp, by: Invocation, request: &Request) {
    if request.api == Api::GitHub
        && request.method == Method::Delete
        && let Some((_, name)) = subject(inner, request)
    {
        inner.let_go.insert(name);
    }
    let Some(sources) = inner.sources.get(&by) else { return };
    let ends = request.method == Method::Delete || request.path.ends_with("/status/stop");
    if !ends || sources.read.values().all(|read| *read) {
        return;
    }
    let unread: Vec<Source> =
        sources.read.iter().filter(|(_, read)| !**read).map(|(source, _)| source.clone()).collect();
    let Some((vm, name)) = subject(inner, request) else { return };
    let is_serving = inner.world.is_serving(vm);
    // A registration that no guest has begun to use may be made anew.
    let is_useful = if is_serving {
        is_warm(inner, &name)
    } else {
        request.api != Api::GitHub && inner.world.is_useful(vm, now)
    };
    if !is_useful {
        return;
    }
    // Where a person drained the pool, a spare runner goes by that, after GitHub has let it go.
    if inner.drained.iter().any(|pool| is_of(&name, pool)) && has_left(inner, &name) {
        return;
    }
    let concerns = |source: &&Source| match source {
        Source::Pool(partition) => partition.strip_prefix("pool#").is_some_and(|pool| is_of(&name, pool)),
        Source::Runners(path) => path.starts_with("/repos/") == is_of(&name, "windows"),
        // A spare runner that GitHub calls idle may go although the list of VMs is not known.
        Source::Cloud => request.api != Api::Proxmox && !is_serving && is_cloud(inner, vm),
        Source::Lab => request.api != Api::Gcp && !is_serving && !is_cloud(inner, vm),
    };
    if let Some(source) = unread.iter().find(concerns) {
        let text = format!("{source:?} was not read, and {name}, which is of use, is being ended");
        inner.break_promise(Broken { time: now, promise: "I9".to_owned(), text });
    }
}

/// Whether a VM is one of those that its pool keeps ready, and no more than that. (GitHub refuses to let a busy one go.)
fn is_warm(inner: &Inner, name: &str) -> bool {
    let Some((pool, most)) = inner.warm.iter().find(|(pool, _)| is_of(name, pool)) else { return false };
    inner.world.vms().iter().filter(|vm| is_of(&vm.name, pool)).count() <= *most
}

fn is_of(name: &str, pool: &str) -> bool {
    name.strip_prefix(DEPLOYMENT).and_then(|rest| rest.strip_prefix('-')?.strip_prefix(pool)).is_some()
}

fn is_cloud(inner: &Inner, vm: VmId) -> bool {
    inner.world.vms().iter().any(|each| each.id == vm && each.provider == Api::Gcp)
}

/// The VM that a request would end, by itself or by its runner, and its name.
fn subject(inner: &Inner, request: &Request) -> Option<(VmId, String)> {
    let parts: Vec<&str> = request.path.split('/').collect();
    let vms = inner.world.vms();
    let found = match request.api {
        Api::Gcp => {
            let name = parts.last()?;
            vms.into_iter().find(|vm| vm.name == **name)
        }
        Api::Proxmox => {
            let at = parts.iter().position(|part| *part == "qemu")?;
            let vmid: u32 = parts.get(at + 1)?.parse().ok()?;
            vms.into_iter().find(|vm| vm.vmid == Some(vmid))
        }
        Api::GitHub => {
            let id = parts.last()?;
            let runner = inner.world.runners().into_iter().find(|runner| runner.id.to_string() == **id)?;
            if runner.busy {
                // GitHub refuses that.
                return None;
            }
            vms.into_iter().find(|vm| vm.name == runner.name)
        }
    };
    found.map(|vm| (vm.id, vm.name))
}

/// Whether a VM was never Mayfly's: see `Deed::Orphan`.
fn is_made_by_hand(name: &str) -> bool {
    name.rsplit('-').next().is_some_and(|nonce| nonce.starts_with("orphan"))
}

/// How secrets begin, or what they are: a personal access token, an installation's, a Google token, a JIT config (base64 of a JSON object whose
/// first key begins with a letter, or with a dot).
const SECRETS: [&str; 5] = ["ghp_", "ghs_", "ya29.", "eyJ", "eyIu"];

/// I7: what is about to be written to the table holds no secret.
pub fn written(inner: &mut Inner, now: Timestamp, values: Option<&HashMap<String, AttributeValue>>) {
    let mut names: Vec<&String> = values.into_iter().flat_map(HashMap::keys).collect();
    names.sort_unstable();
    for name in names {
        let Some(value) = values.and_then(|values| values.get(name)) else { continue };
        if holds_secret(inner, value) {
            let text = format!("a secret is written to the table, in {name}");
            inner.break_promise(Broken { time: now, promise: "I7".to_owned(), text });
        }
    }
}

fn holds_secret(inner: &Inner, value: &AttributeValue) -> bool {
    if let Ok(text) = value.as_s() {
        return is_secret(inner, text);
    }
    if let Ok(list) = value.as_l() {
        return list.iter().any(|each| holds_secret(inner, each));
    }
    value.as_m().is_ok_and(|map| map.values().any(|each| holds_secret(inner, each)))
}

/// I7: whether a text that leaves Mayfly holds a secret.
pub fn is_secret(inner: &Inner, text: &str) -> bool {
    let access = &inner.world.access;
    SECRETS.iter().any(|secret| text.contains(secret))
        || text.contains(&access.webhook_secret)
        || text.contains(&access.proxmox_token_secret)
}

/// Check runs of jobs that wait no more, as people see them: of those with the same name the newest.
fn open_check_runs(inner: &Inner) -> Vec<String> {
    let runs = inner.world.check_runs().into_iter();
    let newest: BTreeMap<String, simulator::CheckRunView> = runs.map(|run| (run.name.clone(), run)).collect();
    let waits = |job: &str| {
        let mut jobs = inner.world.jobs().into_iter();
        jobs.any(|each| each.id.to_string() == job && each.state == JobState::Queued)
    };
    let open = newest.into_values().filter(|run| run.status != "completed" && !waits(&run.external_id));
    open.map(|run| format!("an open check run: {}", run.name)).collect()
}

/// Whether a pool can serve a job.
pub fn fits(job: &JobView, pool: &PoolNow) -> bool {
    let has = |label: &String| pool.labels.iter().any(|each| each.eq_ignore_ascii_case(label));
    let reaches = match pool.repository {
        Some(repository) => job.repository == repository,
        None => true,
    };
    job.labels.iter().all(has) && reaches
}

/// Whether some pool can serve a job.
pub fn is_servable(job: &JobView, pools: &[PoolNow]) -> bool {
    pools.iter().any(|pool| fits(job, pool))
}

/// I5: the jobs that some pool can serve, and that are not over.
pub fn unserved(inner: &Inner, pools: &[PoolNow]) -> Vec<JobView> {
    let open = |job: &JobView| match job.state {
        JobState::Queued | JobState::Running { .. } => true,
        JobState::Waiting | JobState::Ended { .. } => false,
    };
    inner.world.jobs().into_iter().filter(|job| open(job) && is_servable(job, pools)).collect()
}

/// I4: what is there beyond the warm runners.
pub fn left_over(inner: &Inner, pools: &[PoolNow]) -> Vec<String> {
    let mut left = Vec::new();
    let warm = |name: &str| -> usize {
        pools.iter().find(|pool| pool.name == name).map_or(0, |pool| usize::from(pool.min_runners))
    };
    let mut counts: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for pool in pools {
        counts.entry(pool.name.to_owned()).or_default();
    }
    for vm in inner.world.vms() {
        if vm.labels.get("mayfly-deployment").map(String::as_str) == Some(DEPLOYMENT) {
            let pool = vm.labels.get("mayfly-pool").cloned().unwrap_or_default();
            // Of an orphan whose pool is forgotten nobody can ask whether it is busy: it ends by itself.
            if is_made_by_hand(&vm.name) && !pools.iter().any(|each| each.name == pool) {
                continue;
            }
            counts.entry(pool).or_default()[0] += 1;
        }
    }
    for runner in inner.world.runners() {
        let mut parts = runner.name.split('-');
        if parts.next() == Some(DEPLOYMENT) {
            counts.entry(parts.next().unwrap_or_default().to_owned()).or_default()[1] += 1;
        }
    }
    for item in inner.table.items() {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
        let (Some(pk), Some(sk)) = (text("pk"), text("sk")) else { continue };
        let Some(pool) = pk.strip_prefix("pool#") else { continue };
        if sk.starts_with("slot#") {
            counts.entry(pool.to_owned()).or_default()[2] += 1;
        } else if let Some(rest) = sk.strip_prefix("wait#") {
            let job = rest.rsplit('#').next().and_then(|id| id.parse().ok()).map(simulator::JobId);
            let waits = inner.world.jobs().into_iter().find(|each| Some(each.id) == job);
            // One that no pool can serve may wait for ever.
            if waits.is_none_or(|job| job.state != JobState::Queued || is_servable(&job, pools)) {
                left.push(format!("an entry in {pool}'s queue: {sk}"));
            }
        }
    }
    left.extend(open_check_runs(inner));
    for (pool, [vms, runners, slots]) in counts {
        let most = warm(&pool);
        for (what, count) in [("VMs", vms), ("registrations", runners), ("slots taken", slots)] {
            if count != most {
                left.push(format!("{pool} has {count} {what}, and should have {most}"));
            }
        }
    }
    left
}
