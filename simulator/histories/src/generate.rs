//! From a seed to a plan.

use crate::chance::Chance;
use crate::plan::{
    Act, Call, Deed, Delivery, Guest, Invocation, Plan, PoolKind, PoolShape, Service, Shape, Table,
    TimingShape, Trouble, Wants,
};

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;
const REPOSITORIES: u8 = 2;

/// The plan of a seed: of every second one a small one.
pub fn plan(seed: u64) -> Plan {
    let mut chance = chance_of(seed);
    let is_small = chance.one_in(2);
    plan_of(seed, chance, is_small)
}

/// A plan of some minutes and a few jobs: many of them are played in the time of one of the others, and most mistakes need
/// no more.
pub fn small(seed: u64) -> Plan {
    plan_of(seed, chance_of(seed), true)
}

/// One step away from the numbers that the plan is played with.
fn chance_of(seed: u64) -> Chance {
    Chance::new(seed ^ 0x5eed_0fa9_1ae5)
}

fn plan_of(seed: u64, mut chance: Chance, is_small: bool) -> Plan {
    let mut shape = shape(&mut chance);
    if is_small {
        make_small(&mut chance, &mut shape);
    }
    // By a chance of its own, so that what a seed told before there were notices stays the same.
    let mut of_notices = chance_of(!seed);
    if of_notices.one_in(3) {
        shape.waiting_after = Some(of_notices.pick(&[1, 60, 600]));
    }
    let seconds = length(&mut chance, is_small);
    let mut acts = jobs(&mut chance, &shape, seconds, is_small);
    befall(&mut chance, &shape, seconds, &mut acts);
    acts.sort_by_key(|act| act.at);
    let troubles = troubles(&mut chance);
    Plan { seed, shape, seconds, acts, troubles }
}

/// Mostly an hour or two; now and then a day. Small ones are minutes.
fn length(chance: &mut Chance, is_small: bool) -> u32 {
    if is_small {
        return chance.between(2 * MINUTE, 10 * MINUTE);
    }
    match chance.between(0, 49) {
        0 => 24 * HOUR,
        1..=4 => chance.between(3 * HOUR, 6 * HOUR),
        _ => chance.between(20 * MINUTE, 2 * HOUR),
    }
}

/// One or two pools that wait for nothing longer than they have to, so that all comes to its end soon.
fn make_small(chance: &mut Chance, shape: &mut Shape) {
    while shape.pools.len() > 2 {
        let out = chance.between(0, shape.pools.len() as u32 - 1) as usize;
        shape.pools.remove(out);
    }
    for pool in &mut shape.pools {
        pool.boot_timeout = 180;
        pool.idle_timeout = 60;
    }
    shape.sweep_every = chance.pick(&[60, 60, 120]);
    shape.timing = TimingShape {
        orphan_grace: 120,
        step_timeout: 60,
        cooldown: 60,
        redelivery_after: 60,
        check_after: chance.pick(&[120, 300]),
    };
}

fn shape(chance: &mut Chance) -> Shape {
    let mut kinds =
        vec![PoolKind::Cloud, PoolKind::Lab, PoolKind::Overflow, PoolKind::Fallback, PoolKind::Windows];
    let count = chance.between(1, 4) as usize;
    while kinds.len() > count {
        let out = chance.between(0, kinds.len() as u32 - 1) as usize;
        kinds.remove(out);
    }
    if chance.one_in(2) {
        kinds.reverse();
    }
    let pools = kinds.into_iter().map(|kind| pool(chance, kind)).collect();
    let mut shape = Shape {
        pools,
        sweep_every: chance.pick(&[60, 60, 120, 300, 600]),
        environments: chance.pick(&[2, 5, 20, 100]),
        webhook_timeout: chance.pick(&[15, 30, 60, 120]),
        sweep_timeout: chance.pick(&[30, 60, 120]),
        repository_hook: chance.one_in(3),
        nodes: chance.pick(&[1, 2, 3]),
        room: chance.pick(&[1, 2, 4, 8]),
        machines: chance.pick(&[None, None, Some(1), Some(3)]),
        quota_in_operation: chance.one_in(2),
        timing: TimingShape {
            orphan_grace: chance.pick(&[120, 300, 300]),
            step_timeout: chance.pick(&[60, 120, 120]),
            cooldown: chance.pick(&[60, 300]),
            redelivery_after: chance.pick(&[60, 120, 300]),
            check_after: chance.pick(&[120, 300, 600]),
        },
        waiting_after: None,
    };
    for pool in 0..shape.pools.len() {
        let most = most_warm(&shape, pool);
        shape.pools[pool].min_runners = shape.pools[pool].min_runners.min(most);
    }
    shape
}

/// How many runners of a pool may be kept warm: never so many that others find no room at all.
fn most_warm(shape: &Shape, pool: usize) -> u16 {
    let room = u16::from(shape.nodes) * u16::from(shape.room);
    match shape.pools.get(pool).map(|pool| pool.kind) {
        Some(PoolKind::Cloud | PoolKind::Windows) if shape.machines.is_some() => 0,
        Some(PoolKind::Lab) if room < 6 => 0,
        Some(PoolKind::Overflow | PoolKind::Fallback) if room < 6 || shape.machines.is_some() => 0,
        Some(_) => 2,
        None => 0,
    }
}

fn pool(chance: &mut Chance, kind: PoolKind) -> PoolShape {
    let max_runners = chance.pick(&[1, 2, 3, 5, 10]);
    let min_runners = if chance.one_in(3) { chance.pick(&[1, 1, 2]).min(max_runners) } else { 0 };
    // A warm runner is replaced at half of its lifetime: that is to be rare.
    let max_lifetime = if min_runners > 0 { 6 * HOUR } else { chance.pick(&[HOUR, 2 * HOUR, 6 * HOUR]) };
    PoolShape {
        kind,
        max_runners,
        min_runners,
        boot_timeout: chance.pick(&[180, 300, 600]),
        idle_timeout: chance.pick(&[60, 300, 600]),
        max_lifetime,
    }
}

/// What jobs there are: a workload for some stretch of the time, and perhaps others beside it.
fn jobs(chance: &mut Chance, shape: &Shape, seconds: u32, is_small: bool) -> Vec<Act> {
    let part = if is_small { 5 } else { 1 };
    let mut writer = Writer { acts: Vec::new(), tag: 0, run: 0, wants: wants(shape), part };
    let workloads = if is_small { 1 } else { chance.between(1, 3) };
    for _ in 0..workloads {
        match chance.between(0, 5) {
            0 => writer.trickle(chance, seconds),
            1 => writer.burst(chance, seconds),
            2 => writer.matrix(chance, seconds),
            3 => writer.cancel_storm(chance, seconds),
            4 => writer.approvals(chance, seconds),
            _ => writer.nightly(chance, seconds),
        }
    }
    writer.acts
}

/// What jobs ask for: mostly what some pool has.
fn wants(shape: &Shape) -> Vec<Wants> {
    let mut wants = vec![Wants::Linux];
    for pool in &shape.pools {
        let own = match pool.kind {
            PoolKind::Cloud => Wants::Gpu,
            PoolKind::Lab => Wants::Lab,
            PoolKind::Overflow => Wants::Overflow,
            PoolKind::Fallback => Wants::Fallback,
            PoolKind::Windows => Wants::Windows,
        };
        wants.extend([own; 3]);
    }
    wants
}

struct Writer {
    acts: Vec<Act>,
    tag: u32,
    run: u32,
    wants: Vec<Wants>,
    /// How many there are, and how long they take, is divided by this.
    part: u32,
}

impl Writer {
    fn queue(&mut self, chance: &mut Chance, at: u32, held: bool, run: u32, seconds: u32) -> u32 {
        self.tag += 1;
        let wants = if chance.one_in(40) { Wants::Mac } else { chance.pick(&self.wants) };
        // All jobs of a run are of one repository.
        let repository = (run % u32::from(REPOSITORIES)) as u8;
        let seconds = seconds.div_ceil(self.part);
        self.acts
            .push(Act { at, deed: Deed::Queue { tag: self.tag, repository, wants, seconds, held, run } });
        self.tag
    }

    fn new_run(&mut self) -> u32 {
        self.run += 1;
        self.run
    }

    fn add(&mut self, at: u32, deed: Deed) {
        self.acts.push(Act { at, deed });
    }

    /// How many: fewer in a small plan.
    fn some(&self, chance: &mut Chance, least: u32, most: u32) -> u32 {
        chance.between(least, most).div_ceil(self.part)
    }

    fn trickle(&mut self, chance: &mut Chance, seconds: u32) {
        for _ in 0..self.some(chance, 2, 15) {
            let (at, run) = (chance.between(0, seconds), self.new_run());
            let lasts = chance.between(1, 900);
            self.queue(chance, at, false, run, lasts);
            if chance.one_in(6) {
                // Run again when it is over.
                self.queue(chance, at + lasts + 600, false, run, lasts);
            }
        }
    }

    fn burst(&mut self, chance: &mut Chance, seconds: u32) {
        let (begin, lasts) = (chance.between(0, seconds / 2), chance.between(5, 600));
        for _ in 0..self.some(chance, 5, 30) {
            let (at, run) = (begin + chance.between(0, 5), self.new_run());
            self.queue(chance, at, false, run, lasts);
        }
    }

    fn matrix(&mut self, chance: &mut Chance, seconds: u32) {
        for _ in 0..self.some(chance, 1, 3) {
            let (at, run) = (chance.between(0, seconds), self.new_run());
            for _ in 0..self.some(chance, 3, 10) {
                let lasts = chance.between(30, 400);
                self.queue(chance, at, false, run, lasts);
            }
        }
    }

    fn cancel_storm(&mut self, chance: &mut Chance, seconds: u32) {
        let begin = chance.between(0, seconds);
        for _ in 0..self.some(chance, 3, 12) {
            let (at, run) = (begin + chance.between(0, 60), self.new_run());
            let lasts = chance.between(60, 1_200);
            let tag = self.queue(chance, at, false, run, lasts);
            let after = chance.pick(&[0, 1, 5, 30, 90, 200, 500]);
            self.add(at + after, Deed::Cancel { tag });
        }
    }

    fn approvals(&mut self, chance: &mut Chance, seconds: u32) {
        for _ in 0..self.some(chance, 1, 5) {
            let (at, run) = (chance.between(0, seconds), self.new_run());
            let lasts = chance.between(10, 300);
            let tag = self.queue(chance, at, true, run, lasts);
            let after = chance.between(1, 1_800);
            if chance.one_in(5) {
                self.add(at + after, Deed::Cancel { tag });
            } else {
                self.add(at + after, Deed::Approve { tag });
            }
        }
    }

    /// The same jobs at the same time each night.
    fn nightly(&mut self, chance: &mut Chance, seconds: u32) {
        let every = if seconds >= 24 * HOUR { 8 * HOUR } else { (seconds / 2).max(1) };
        let count = self.some(chance, 3, 12);
        let mut at = chance.between(0, every);
        while at < seconds {
            for _ in 0..count {
                let (run, lasts) = (self.new_run(), chance.between(60, 600));
                self.queue(chance, at, false, run, lasts);
            }
            at += every;
        }
    }
}

/// What people do, and what befalls the machines.
fn befall(chance: &mut Chance, shape: &Shape, seconds: u32, acts: &mut Vec<Act>) {
    if chance.one_in(8) {
        return;
    }
    let count = if seconds < 20 * MINUTE { chance.between(0, 3) } else { chance.between(0, 10) };
    for _ in 0..count {
        let at = chance.between(0, seconds);
        let deed = deed(chance, shape);
        // A pool that no sweep has seen yet is not remembered when it is taken away.
        let is_early = at < 3 * shape.sweep_every;
        if is_early && matches!(deed, Deed::Configure { .. } | Deed::NoSweeps { .. }) {
            continue;
        }
        if let Deed::DropRunner { after: Some(_) } = deed {
            acts.push(Act { at: at + 2 * HOUR, deed: Deed::DropRunner { after: None } });
        }
        acts.push(Act { at, deed });
    }
}

fn deed(chance: &mut Chance, shape: &Shape) -> Deed {
    let nth = chance.between(0, 30);
    let pool = (chance.bits() % shape.pools.len().max(1) as u64) as u8;
    let some = chance.pick(&[30, 120, 400, 1_500]);
    match chance.between(0, 17) {
        0 => Deed::StopVm { nth },
        1 => Deed::DeleteVm { nth },
        2 => Deed::Preempt { nth },
        3 => Deed::DropRunner { after: Some(chance.between(30, 300)) },
        4 => Deed::NodeAway { node: (nth % 3) as u8, seconds: some },
        5 => Deed::Stockout { zone: (nth % 3) as u8, seconds: some },
        6 => Deed::Quota { region: (nth % 2) as u8, limit: chance.between(0, 3) },
        7 => Deed::Stranger { likeness: nth as u8 },
        8 => Deed::Orphan { pool },
        9 => Deed::Configure { pool, max_runners: None, min_runners: 0 },
        10 | 11 => Deed::Configure {
            pool,
            max_runners: Some(chance.pick(&[1, 2, 4, 8])),
            min_runners: chance.pick(&[0, 0, 1, 2]).min(most_warm(shape, usize::from(pool))),
        },
        12 => Deed::Drain { pool, seconds: some },
        13 => Deed::NoSweeps { seconds: some },
        14 => {
            Deed::ClockStep { milliseconds: i32::try_from(chance.between(0, 40_000)).unwrap_or(0) - 20_000 }
        }
        15 => {
            let of = chance.pick(&[Service::GitHub, Service::Gcp, Service::Proxmox, Service::Table]);
            Deed::Outage { of, seconds: some }
        }
        16 => chance.pick(&[Deed::Sweep, Deed::Recycle]),
        _ => Deed::Redeliver { nth },
    }
}

/// All that can go wrong by chance, with the highest rate of each.
pub const TROUBLES: &[(Trouble, f64)] = &[
    (Trouble::Delivery(Delivery::Lost), 0.4),
    (Trouble::Delivery(Delivery::Never), 0.4),
    (Trouble::Delivery(Delivery::Duplicated), 0.5),
    (Trouble::Delivery(Delivery::Delayed), 0.4),
    (Trouble::Delivery(Delivery::Reordered), 0.6),
    (Trouble::Table(Table::Throttled), 0.05),
    (Trouble::Table(Table::Conflict), 0.1),
    (Trouble::Table(Table::TimedOutBefore), 0.03),
    (Trouble::Table(Table::TimedOutAfter), 0.05),
    (Trouble::Table(Table::Repeated), 0.1),
    (Trouble::Table(Table::Unprocessed), 0.3),
    (Trouble::Table(Table::Slow), 0.2),
    (Trouble::Invocation(Invocation::Killed), 0.3),
    (Trouble::Invocation(Invocation::Frozen), 0.2),
    (Trouble::Guest(Guest::NeverBoots), 0.3),
    (Trouble::Guest(Guest::HangsAfterJob), 0.5),
    (Trouble::Guest(Guest::StorageLocked), 0.3),
    (Trouble::Guest(Guest::StrangerTakes), 0.1),
    (Trouble::Guest(Guest::CloneHangs), 0.05),
];

/// The APIs, each of whose calls can go wrong in each way.
pub const SERVICES: &[Service] = &[Service::GitHub, Service::Gcp, Service::Proxmox];

/// How a call goes wrong, with the highest rate of each.
pub const CALLS: &[(Call, f64)] = &[
    (Call::NotSent, 0.1),
    (Call::ErrorBefore, 0.2),
    (Call::ErrorAfter, 0.15),
    (Call::ClosedBefore, 0.1),
    (Call::ClosedAfter, 0.15),
    (Call::Limited, 0.1),
    (Call::Garbage, 0.15),
    (Call::Slow, 0.2),
    (Call::HangsBefore, 0.05),
    (Call::HangsAfter, 0.05),
    (Call::Late, 0.1),
];

/// All troubles, with the highest rate of each.
pub fn all_troubles() -> impl Iterator<Item = (Trouble, f64)> {
    let calls = SERVICES
        .iter()
        .flat_map(|service| CALLS.iter().map(|(call, most)| (Trouble::Call(*service, *call), *most)));
    let stale = [(Trouble::Call(Service::Gcp, Call::Stale), 0.5)];
    TROUBLES.iter().copied().chain(calls).chain(stale)
}

/// A few kinds, each with its own rate; now and then all of them, and now and then none.
fn troubles(chance: &mut Chance) -> Vec<(Trouble, f64)> {
    let one_in = chance.pick(&[2, 4, 8, 16, 1_000]);
    let milder = if one_in == 2 { 0.2 } else { 1.0 };
    let mut chosen = Vec::new();
    for (trouble, most) in all_troubles() {
        if chance.one_in(one_in) {
            chosen.push((trouble, most * milder * chance.fraction()));
        }
    }
    chosen
}
