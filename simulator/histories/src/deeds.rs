//! What people do and what befalls the machines, done to the stage.

use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::PoolName;
use simulator::{Api, JobSpec, JobStatus, Stockout, VmView, World};

use crate::configure::{self, DEPLOYMENT, REGIONS, REPOSITORIES, ZONES};
use crate::director::{Director, INVOCATION_LONGEST};
use crate::plan::{Deed, PoolKind};
use crate::stage::after;

/// What ends at its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A node comes back.
    NodeAway(String),
    /// A pool is drained no more.
    Drain(PoolName),
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}

impl Director<'_> {
    /// Does one deed.
    pub(crate) fn perform(&mut self, deed: &Deed, now: Timestamp) {
        let stage = self.stage.clone();
        let mut inner = stage.lock();
        inner.coverage.add("deed", name_of(deed));
        inner.note(now, || format!("* {deed:?}"));
        let world = &mut inner.world;
        match deed {
            Deed::NoSweeps { .. }
            | Deed::ClockStep { .. }
            | Deed::Recycle
            | Deed::Sweep
            | Deed::Configure { .. }
            | Deed::Drain { .. } => {
                drop(inner);
                self.operate(deed, now);
            }
            Deed::NodeAway { .. }
            | Deed::Stockout { .. }
            | Deed::Quota { .. }
            | Deed::Outage { .. }
            | Deed::DropRunner { .. } => {
                drop(inner);
                self.befall(deed, now);
            }
            Deed::Queue { tag, .. } => {
                let job = world.queue_job(now, spec_of(deed));
                self.jobs.insert(*tag, job);
            }
            Deed::Cancel { tag } => self.jobs.get(tag).iter().for_each(|job| world.cancel_job(now, **job)),
            Deed::Approve { tag } => self.jobs.get(tag).iter().for_each(|job| world.approve_job(now, **job)),
            Deed::StopVm { nth } => {
                nth_vm(world, *nth, |_| true).iter().for_each(|vm| world.stop_vm(now, vm.id))
            }
            Deed::DeleteVm { nth } => {
                nth_vm(world, *nth, |_| true).iter().for_each(|vm| world.kill_vm(now, vm.id));
            }
            Deed::Preempt { nth } => {
                let of_gcp = |vm: &VmView| vm.provider == Api::Gcp;
                nth_vm(world, *nth, of_gcp).iter().for_each(|vm| world.kill_vm(now, vm.id));
            }
            Deed::Stranger { likeness } => stranger(world, now, *likeness),
            Deed::Orphan { pool } => {
                if let Some(pool) = self.plan.shape.pools.get(usize::from(*pool)) {
                    orphan(world, now, pool.kind);
                    *self.orphans.entry(pool.kind).or_default() += 1;
                    let mut limits = world.settings().pool_limits.clone();
                    let of = limits.iter_mut().filter(|limit| limit.pool == pool.kind.name());
                    of.for_each(|limit| limit.max_vms += 1);
                    world.set_pool_limits(limits);
                }
            }
            Deed::Redeliver { nth } => {
                let all = world.deliveries();
                if let Some(delivery) = all.get(*nth as usize % all.len().max(1)) {
                    world.redeliver_by_hand(now, delivery.id);
                }
            }
        }
    }

    /// What befalls the machines.
    fn befall(&mut self, deed: &Deed, now: Timestamp) {
        let stage = self.stage.clone();
        let mut inner = stage.lock();
        let until = |count: &u32| after(now, seconds(*count));
        if let Deed::Outage { of, seconds } = deed {
            inner.outages.insert(*of, until(seconds));
        }
        let world = &mut inner.world;
        if let Deed::DropRunner { after } = deed {
            let guests = &mut world.faults.guests;
            guests.runner_dropped = simulator::Chance::rate(if after.is_some() { 0.5 } else { 0.0 });
            guests.dropped_after = seconds(after.unwrap_or(0));
        }
        if let Deed::NodeAway { node, seconds } = deed {
            let node = format!("pve{}", node % self.plan.shape.nodes.max(1) + 1);
            world.set_node_online(now, &node, false);
            self.plan_end(until(seconds), End::NodeAway(node));
        }
        if let Deed::Stockout { zone, seconds } = deed {
            let zone = ZONES[usize::from(*zone) % ZONES.len()];
            world.faults.stockout(zone, Stockout::Until(until(seconds)));
        }
        if let Deed::Quota { region, limit } = deed {
            let region = REGIONS[usize::from(*region) % REGIONS.len()];
            for metric in ["NVIDIA_T4_GPUS", "PREEMPTIBLE_NVIDIA_T4_GPUS"] {
                world.set_quota(region, metric, f64::from(*limit));
            }
        }
    }

    /// What an operator does.
    fn operate(&mut self, deed: &Deed, now: Timestamp) {
        if let Deed::Configure { pool, max_runners, min_runners } = deed {
            self.configure(usize::from(*pool), *max_runners, *min_runners, now);
        }
        if let Deed::Drain { pool, seconds: count } = deed
            && let Some(pool) = self.plan.shape.pools.get(usize::from(*pool))
            && let Ok(name) = PoolName::new(pool.kind.name())
        {
            self.stage.lock().drained.insert(name.to_string());
            self.drain(&name, true, now);
            self.plan_end(after(now, seconds(*count)), End::Drain(name));
        }
        if let Deed::NoSweeps { seconds: count } = deed {
            self.no_sweeps_until = after(now, seconds(*count));
        }
        if let Deed::ClockStep { milliseconds } = deed {
            self.skew = i64::from(*milliseconds);
        }
        if *deed == Deed::Recycle {
            self.recycle();
        }
        if *deed == Deed::Sweep {
            self.next_sweep = now;
        }
    }

    fn configure(&mut self, pool: usize, max_runners: Option<u16>, min_runners: u16, now: Timestamp) {
        let Some(shape) = self.plan.shape.pools.get(pool) else { return };
        let before = self.pools.clone();
        let mut pools: Vec<_> = self.pools.iter().filter(|each| each.kind != shape.kind).cloned().collect();
        if let Some(max_runners) = max_runners {
            let min_runners = min_runners.min(max_runners);
            let place = pool.min(pools.len());
            let max_lifetime = if min_runners > 0 { 6 * 3600 } else { shape.max_lifetime };
            let changed = crate::plan::PoolShape { max_runners, min_runners, max_lifetime, ..shape.clone() };
            pools.insert(place, changed);
        }
        if pools.is_empty() {
            return;
        }
        self.pools = pools;
        // Invocations with the configuration before may still go on, by its limits.
        let most = |each: &crate::plan::PoolShape| {
            let of = |pools: &[crate::plan::PoolShape]| {
                pools.iter().find(|pool| pool.kind == each.kind).map_or(0, |pool| pool.max_runners)
            };
            (of(&before).max(of(&self.pools)) + self.orphans_of(each)).max(self.highest_limit(each))
        };
        let limits = configure::limits(self.plan.shape.pools.iter().map(|pool| (pool, most(pool))));
        self.stage.lock().world.set_pool_limits(limits);
        self.limits_until = Some(after(now, INVOCATION_LONGEST));
        self.deploy();
    }

    /// The limit that still holds for a pool whose configuration was changed a moment ago.
    fn highest_limit(&self, pool: &crate::plan::PoolShape) -> u16 {
        if self.limits_until.is_none() {
            return 0;
        }
        let inner = self.stage.lock();
        let limits = &inner.world.settings().pool_limits;
        let found = limits.iter().find(|limit| limit.pool == pool.kind.name());
        found.and_then(|limit| u16::try_from(limit.max_vms).ok()).unwrap_or(0)
    }

    /// As `mayfly drain` writes it.
    fn drain(&self, pool: &PoolName, drains: bool, now: Timestamp) {
        use aws_sdk_dynamodb::operation::update_item::UpdateItemInput;
        use aws_sdk_dynamodb::types::AttributeValue;
        let text = |text: String| AttributeValue::S(text);
        let update = UpdateItemInput::builder()
            .table_name("mayfly-test")
            .key("pk", text(format!("pool#{pool}")))
            .key("sk", text("pool".to_owned()))
            .expression_attribute_names("#draining", "draining");
        let update = if drains {
            let since = AttributeValue::N(now.as_millisecond().to_string());
            update.update_expression("SET #draining = :since").expression_attribute_values(":since", since)
        } else {
            update.update_expression("REMOVE #draining")
        };
        if let Ok(update) = update.build() {
            _ = self.stage.lock().table.update(&update);
        }
    }

    fn plan_end(&mut self, at: Timestamp, end: End) {
        self.ends_planned += 1;
        self.ends.insert((at, self.ends_planned), end);
    }

    /// Something ends.
    pub(crate) fn end(&mut self, end: End, now: Timestamp) {
        self.stage.note(|| format!("* the end of {end:?}"));
        match end {
            End::NodeAway(node) => {
                self.stage.lock().world.set_node_online(now, &node, true);
            }
            End::Drain(pool) => self.drain(&pool, false, now),
        }
    }
}

fn spec_of(deed: &Deed) -> JobSpec {
    let Deed::Queue { repository, wants, seconds: count, held, run, .. } = deed else {
        return JobSpec::new(REPOSITORIES[0], &[]);
    };
    let repository = REPOSITORIES[usize::from(*repository) % REPOSITORIES.len()];
    let mut spec = JobSpec::new(repository, wants.labels()).lasting(seconds(*count));
    spec.run = Some(50_000_000_000 + u64::from(*run));
    spec.status = if *held { JobStatus::Waiting } else { JobStatus::Queued };
    spec
}

/// One of our VMs.
fn nth_vm(world: &World, nth: u32, fits: impl Fn(&VmView) -> bool) -> Option<VmView> {
    let ours = |vm: &VmView| vm.labels.get("mayfly-deployment").map(String::as_str) == Some(DEPLOYMENT);
    let all: Vec<VmView> = world.vms().into_iter().filter(|vm| ours(vm) && fits(vm)).collect();
    all.get(nth as usize % all.len().max(1)).cloned()
}

/// A VM that is not ours, however much it looks like it.
fn stranger(world: &mut World, now: Timestamp, likeness: u8) {
    let name = format!("test-gpu-0-{:09}", now.as_second() % 1_000_000_000);
    let vmid = 9_000 + u32::from(likeness);
    match likeness % 5 {
        0 => world.add_vm(now, ZONES[0], &name, &[("mayfly-deployment", "prod"), ("mayfly-pool", "gpu")]),
        1 => world.add_vm(now, ZONES[1], &name, &[("mayfly-pool", "gpu")]),
        2 => world.add_lab_vm(now, "pve1", vmid, &name, "", &[]),
        3 => world.add_lab_vm(now, "pve1", vmid, "theirs", "", &["mayfly", "mayfly-prod"]),
        _ => world.add_lab_vm(now, "pve1", vmid, "theirs", "somebody's database", &[]),
    };
}

/// A VM with our marks that no slot knows, as a lost table would leave one.
fn orphan(world: &mut World, now: Timestamp, kind: PoolKind) {
    let pool = kind.name();
    let name = format!("test-{pool}-0000-orphan{:03}ebc", now.as_second() % 1_000);
    match kind {
        PoolKind::Lab => _ = world.add_lab_vm(now, "pve1", 9_900, &name, "", &["mayfly", "mayfly-test"]),
        PoolKind::Cloud | PoolKind::Overflow | PoolKind::Fallback | PoolKind::Windows => {
            world.add_vm(now, ZONES[2], &name, &[("mayfly-deployment", DEPLOYMENT), ("mayfly-pool", pool)]);
        }
    }
}

/// What a deed is called in the coverage.
fn name_of(deed: &Deed) -> &'static str {
    match deed {
        Deed::Queue { held: true, .. } => "queue, held",
        Deed::Queue { .. } => "queue",
        Deed::Cancel { .. } => "cancel",
        Deed::Approve { .. } => "approve",
        Deed::StopVm { .. } => "stop a VM",
        Deed::DeleteVm { .. } => "delete a VM",
        Deed::Preempt { .. } => "preempt",
        Deed::DropRunner { .. } => "drop idle runners",
        Deed::NodeAway { .. } => "node away",
        Deed::Stockout { .. } => "stockout",
        Deed::Quota { .. } => "quota",
        Deed::Stranger { .. } => "stranger",
        Deed::Orphan { .. } => "orphan",
        Deed::Configure { max_runners: None, .. } => "configure, pool removed",
        Deed::Configure { .. } => "configure",
        Deed::Drain { .. } => "drain",
        Deed::Sweep => "overlapping sweep",
        Deed::NoSweeps { .. } => "no sweeps",
        Deed::ClockStep { .. } => "clock step",
        Deed::Outage { .. } => "outage",
        Deed::Recycle => "recycle",
        Deed::Redeliver { .. } => "redeliver by hand",
    }
}
