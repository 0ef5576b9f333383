//! How often what happened.

use std::collections::BTreeMap;

use crate::generate;
use crate::plan::Trouble;
use crate::troubles::counted_as;

/// What happens in every large number of histories, beside the troubles: every action of the planner, every way from phase to
/// phase, every deed, every endpoint struck by a fault.
const EXPECTED: &[(&str, &[&str])] = &[
    (
        "action",
        &[
            "adopt",
            "advance",
            "amend",
            "announce",
            "assign",
            "boot failed",
            "conclude",
            "delete",
            "drop",
            "limit",
            "move",
            "online",
            "recover",
            "redeliver",
            "release",
            "requeue",
            "retire",
            "serve",
            "settle",
            "spare",
            "sweep",
            "taken",
            "tell",
            "unregister",
            "warm",
        ],
    ),
    ("answer", &["200", "202", "429", "503", "504"]),
    (
        "deed",
        &[
            "approve",
            "cancel",
            "clock step",
            "configure",
            "configure, pool removed",
            "delete a VM",
            "drain",
            "drop idle runners",
            "no sweeps",
            "node away",
            "orphan",
            "outage",
            "overlapping sweep",
            "preempt",
            "queue",
            "queue, held",
            "quota",
            "recycle",
            "redeliver by hand",
            "stockout",
            "stop a VM",
            "stranger",
        ],
    ),
    (
        "endpoint",
        &[
            "gcp.aggregated_instances",
            "gcp.delete",
            "gcp.insert",
            "gcp.instance",
            "gcp.operation",
            "gcp.region",
            "gcp.template",
            "gcp.wait",
            "github.create_check_run",
            "github.delete_runner",
            "github.deliveries",
            "github.hooks",
            "github.jitconfig",
            "github.job",
            "github.org_repositories",
            "github.redeliver",
            "github.run_jobs",
            "github.runner_groups",
            "github.runners",
            "github.runs",
            "github.update_check_run",
            "proxmox.clone",
            "proxmox.config",
            "proxmox.delete",
            "proxmox.file_write",
            "proxmox.ping",
            "proxmox.resources",
            "proxmox.set_config",
            "proxmox.start",
            "proxmox.status",
            "proxmox.stop",
            "proxmox.task",
        ],
    ),
    ("invocation", &["ended", "killed", "out of time"]),
    ("outage", &["Gcp", "GitHub", "Proxmox", "Table"]),
    (
        "phase",
        &[
            "booting → busy",
            "booting → deleting",
            "booting → free",
            "booting → idle",
            "booting → reserved",
            "booting → reserved, the next runner",
            "busy → deleting",
            "busy → free",
            "busy → reserved, the next runner",
            "creating → booting",
            "creating → busy",
            "creating → deleting",
            "creating → free",
            "creating → reserved",
            "creating → reserved, the next runner",
            "deleting → free",
            "deleting → reserved, the next runner",
            "free → reserved",
            "idle → busy",
            "idle → deleting",
            "idle → free",
            "idle → reserved, the next runner",
            "reserved → booting",
            "reserved → busy",
            "reserved → creating",
            "reserved → deleting",
            "reserved → free",
            "reserved → reserved, the next runner",
        ],
    ),
];

/// How often what happened, by kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<&'static str, BTreeMap<String, u64>>,
}

impl Coverage {
    /// Once more.
    pub fn add(&mut self, kind: &'static str, name: impl Into<String>) {
        self.count(kind, name.into(), 1);
    }

    /// So often more.
    pub fn count(&mut self, kind: &'static str, name: String, times: u64) {
        *self.counts.entry(kind).or_default().entry(name).or_default() += times;
    }

    /// A trouble struck.
    pub fn trouble(&mut self, trouble: Trouble) {
        self.add("trouble", format!("{trouble:?}"));
    }

    /// Takes in another's.
    pub fn merge(&mut self, other: &Self) {
        for (kind, counts) in &other.counts {
            for (name, times) in counts {
                self.count(kind, name.clone(), *times);
            }
        }
    }

    /// What should happen in every large number of histories, and did not in these.
    pub fn missing(&self) -> Vec<String> {
        let listed =
            EXPECTED.iter().flat_map(|(kind, names)| names.iter().map(|name| (*kind, (*name).to_owned())));
        let troubles = generate::all_troubles().map(|(trouble, _)| counted_as(trouble));
        let missed = |(kind, name): &(&str, String)| {
            self.counts.get(kind).and_then(|counts| counts.get(name)).is_none_or(|times| *times == 0)
        };
        listed.chain(troubles).filter(missed).map(|(kind, name)| format!("{kind} {name}")).collect()
    }

    /// All counts, by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str, u64)> {
        let each = |(kind, counts)| {
            let counts: &BTreeMap<String, u64> = counts;
            let kind: &&'static str = kind;
            counts.iter().map(|(name, times)| (*kind, name.as_str(), *times))
        };
        self.counts.iter().flat_map(each)
    }
}
