//! What a history is made from: plain data, so that it can be kept in a file, and made smaller.

use serde::{Deserialize, Serialize};

/// A history, before it is played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Decides what is left to chance while it is played.
    pub seed: u64,
    /// What is configured, and what the world is like.
    pub shape: Shape,
    /// For how long things go wrong, in seconds.
    pub seconds: u32,
    /// What people do and what befalls the machines, in order of time.
    pub acts: Vec<Act>,
    /// What goes wrong by chance, and with which probability each time.
    pub troubles: Vec<(Trouble, f64)>,
}

/// What is configured, and what the world is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The pools, in the configuration's order.
    pub pools: Vec<PoolShape>,
    /// How far apart sweeps are, in seconds.
    pub sweep_every: u32,
    /// How many environments each function may have at once.
    pub environments: usize,
    /// How long an invocation of the webhook's function may take, in seconds.
    pub webhook_timeout: u32,
    /// How long one of the sweeper's may take, in seconds.
    pub sweep_timeout: u32,
    /// Whether the hook is a repository's; else the organization's.
    pub repository_hook: bool,
    /// Nodes of the cluster.
    pub nodes: u8,
    /// Memory for VMs on each, in so many VMs of 8 GiB.
    pub room: u8,
    /// Machines in each zone; none for no bound.
    pub machines: Option<u8>,
    /// Whether quotas are told in the operation.
    pub quota_in_operation: bool,
    /// `[timing]`, in seconds.
    pub timing: TimingShape,
    /// `notifications.waiting_after`, in seconds.
    #[serde(default)]
    pub waiting_after: Option<u32>,
}

impl Shape {
    /// Whether there is room for one VM of such a pool only.
    pub fn has_one_vm(&self, kind: PoolKind) -> bool {
        kind == PoolKind::Lab && self.nodes.max(1) == 1 && self.room == 1
    }
}

/// `[timing]`, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are the configuration's")]
pub struct TimingShape {
    pub orphan_grace: u32,
    pub step_timeout: u32,
    pub cooldown: u32,
    pub redelivery_after: u32,
    pub check_after: u32,
}

/// One pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are the configuration's")]
pub struct PoolShape {
    pub kind: PoolKind,
    pub max_runners: u16,
    pub min_runners: u16,
    /// In seconds, as the two below.
    pub boot_timeout: u32,
    pub idle_timeout: u32,
    pub max_lifetime: u32,
}

/// Where a pool's VMs are, and what its runners are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PoolKind {
    /// Compute Engine, in two zones of one region and one of another; for the organization.
    Cloud,
    /// The cluster; for the organization.
    Lab,
    /// The cluster, and Compute Engine when that is full; for the organization.
    Overflow,
    /// Compute Engine, and the cluster when that has no machines; for the organization.
    Fallback,
    /// Spot VMs with Windows; for one repository.
    Windows,
}

/// What is done at its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Seconds since the beginning.
    pub at: u32,
    /// What.
    pub deed: Deed,
}

/// What people do, and what befalls the machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// A job is queued, or held for approval.
    Queue {
        /// What other deeds call it.
        tag: u32,
        /// Its repository: the first one or the second.
        repository: u8,
        /// What it runs on.
        wants: Wants,
        /// How long it runs.
        seconds: u32,
        /// It waits for an approval first.
        held: bool,
        /// Jobs of one run have the same.
        run: u32,
    },
    /// A job is cancelled.
    Cancel {
        /// Which.
        tag: u32,
    },
    /// A held job is approved.
    Approve {
        /// Which.
        tag: u32,
    },
    /// A person stops one of the VMs.
    StopVm {
        /// Which, counted round.
        nth: u32,
    },
    /// A person deletes one of the VMs.
    DeleteVm {
        /// Which, counted round.
        nth: u32,
    },
    /// Compute Engine takes one of its VMs back.
    Preempt {
        /// Which, counted round.
        nth: u32,
    },
    /// GitHub drops an idle runner.
    DropRunner {
        /// After so many seconds of idleness, from now on; none ends it.
        after: Option<u32>,
    },
    /// A node is away for so many seconds.
    NodeAway {
        /// Which.
        node: u8,
        /// For how long.
        seconds: u32,
    },
    /// A zone has no machines for so many seconds.
    Stockout {
        /// Which.
        zone: u8,
        /// For how long.
        seconds: u32,
    },
    /// A region's quota of GPUs changes.
    Quota {
        /// Which.
        region: u8,
        /// GPUs.
        limit: u32,
    },
    /// Somebody makes a VM that is not ours, and looks as if it might be.
    Stranger {
        /// Which kind of likeness.
        likeness: u8,
    },
    /// A VM with our marks that nobody knows of.
    Orphan {
        /// Of which pool.
        pool: u8,
    },
    /// The functions are deployed with another configuration.
    Configure {
        /// Of which pool.
        pool: u8,
        /// Its `max_runners`; none takes the pool away.
        max_runners: Option<u16>,
        /// Its `min_runners`.
        min_runners: u16,
    },
    /// A pool is drained for so many seconds.
    Drain {
        /// Which.
        pool: u8,
        /// For how long.
        seconds: u32,
    },
    /// One sweep more.
    Sweep,
    /// No sweeps for so many seconds.
    NoSweeps {
        /// For how long.
        seconds: u32,
    },
    /// The clocks of environments made from now on go wrong by so much.
    ClockStep {
        /// In milliseconds.
        milliseconds: i32,
    },
    /// Nothing reaches one of the services for so many seconds.
    Outage {
        /// Which.
        of: Service,
        /// For how long.
        seconds: u32,
    },
    /// All environments end, between two invocations.
    Recycle,
    /// Somebody asks for a delivery again.
    Redeliver {
        /// Which, counted round.
        nth: u32,
    },
}

/// What a job runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are labels")]
pub enum Wants {
    /// `self-hosted`, `Linux`: runners of several pools fit.
    Linux,
    Gpu,
    Lab,
    Overflow,
    Fallback,
    Windows,
    /// What no pool has.
    Mac,
}

/// Something outside that can be away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are names")]
pub enum Service {
    GitHub,
    Gcp,
    Proxmox,
    Table,
}

/// What goes wrong by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Trouble {
    /// With a delivery.
    Delivery(Delivery),
    /// With an API call.
    Call(Service, Call),
    /// With a call of the table.
    Table(Table),
    /// With an invocation.
    Invocation(Invocation),
    /// With a VM, its guest or its runner.
    Guest(Guest),
}

/// What goes wrong with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see the simulator's `DeliveryFaults`")]
pub enum Delivery {
    Lost,
    Never,
    Duplicated,
    Delayed,
    Reordered,
}

/// What goes wrong with an API call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Call {
    /// There is no connection.
    NotSent,
    /// Refused with a status that passes.
    ErrorBefore,
    /// Carried out, and a failure is told.
    ErrorAfter,
    /// The connection ends, nothing was done.
    ClosedBefore,
    /// The connection ends, and it was done.
    ClosedAfter,
    /// Too many requests.
    Limited,
    /// An answer that cannot be read.
    Garbage,
    /// An answer that comes late, and so is old.
    Slow,
    /// Never answered, and not done.
    HangsBefore,
    /// Never answered, and done.
    HangsAfter,
    /// It is done only after some seconds, whoever still waits for it.
    Late,
    /// A list that does not show the youngest yet.
    Stale,
}

/// What goes wrong with a call of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Table {
    /// Too many requests, too often for the SDK's retries.
    Throttled,
    /// Another transaction is at one of the items.
    Conflict,
    /// Nothing comes in time; nothing was done.
    TimedOutBefore,
    /// Nothing comes in time, and it was done.
    TimedOutAfter,
    /// The answer is lost, and the SDK sends it once more.
    Repeated,
    /// Some of a batch's keys are left.
    Unprocessed,
    /// It takes a second.
    Slow,
}

/// What goes wrong with an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Invocation {
    /// It is killed at any await.
    Killed,
    /// It is frozen at any await, and goes on later.
    Frozen,
}

/// What goes wrong with a VM, its guest or its runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see the simulator's `GuestFaults` and `LabFaults`")]
pub enum Guest {
    NeverBoots,
    HangsAfterJob,
    StorageLocked,
    StrangerTakes,
    CloneHangs,
}
