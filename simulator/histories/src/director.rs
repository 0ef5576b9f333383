//! The director: plays a plan from its beginning to its end, and stops where a promise is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use mayfly_service::config::Config;
use mayfly_service::simulation::{Outside, set_secret};
use mayfly_service::sweep::Report;
use simulator::{Happening, JobId, Settings, World};
use simulator_table::{PageSize, Table};

use crate::chance::Chance;
use crate::check::Broken;
use crate::configure::{self, PoolNow};
use crate::coverage::Coverage;
use crate::crew::Function;
use crate::invocation::Running;
use crate::outcome::Outcome;
use crate::outside::outside;
use crate::plan::{Deed, Guest, Plan, PoolKind, PoolShape, Trouble};
use crate::stage::{Digest, Inner, Invocation, Stage, after};

/// When every history begins.
const BEGAN: i64 = 1_772_366_400;
/// No invocation is longer.
pub const INVOCATION_LONGEST: Duration = Duration::from_secs(15 * 60);

/// The director.
pub struct Director<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) stage: Arc<Stage>,
    pub(crate) outside: Outside,
    pub(crate) webhook_url: String,
    pub(crate) config: Rc<Config>,
    pub(crate) version: u32,
    pub(crate) pools: Vec<PoolShape>,
    /// Limits that hold until invocations with an older configuration are over.
    pub(crate) limits_until: Option<Timestamp>,
    /// By how much the clocks of new environments are wrong, in milliseconds.
    pub(crate) skew: i64,
    pub(crate) jobs: BTreeMap<u32, JobId>,
    pub(crate) events: Function,
    pub(crate) sweeps: Function,
    pub(crate) running: FuturesUnordered<Running>,
    pub(crate) last: Invocation,
    /// The next sweep by the schedule.
    pub(crate) next_sweep: Timestamp,
    pub(crate) no_sweeps_until: Timestamp,
    /// What ends at its time.
    pub(crate) ends: BTreeMap<(Timestamp, u32), crate::deeds::End>,
    pub(crate) ends_planned: u32,
    /// VMs made by hand, which the world counts as the pool's.
    pub(crate) orphans: BTreeMap<PoolKind, u16>,
    pub(crate) sweeps_ended: u64,
    pub(crate) last_report: Option<Box<Report>>,
    /// Others make VMs on the cluster too: between a claim and its start they may take the memory.
    is_shared_lab: bool,
}

/// Plays a plan. With `is_noted`, the outcome has the whole timeline.
pub fn play(plan: &Plan, is_noted: bool) -> Outcome {
    play_in(plan, is_noted, |_| {}).0
}

/// The same in a world that is different in some way, and what happened there.
pub fn play_in(plan: &Plan, is_noted: bool, differ: impl FnOnce(&mut Settings)) -> (Outcome, Vec<Happening>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(Box::pin(play_on(plan, is_noted, differ))),
        Err(error) => (Outcome::unplayed(format!("no runtime: {error}")), Vec::new()),
    }
}

async fn play_on(
    plan: &Plan,
    is_noted: bool,
    differ: impl FnOnce(&mut Settings),
) -> (Outcome, Vec<Happening>) {
    let mut director = match Director::new(plan, is_noted, differ).await {
        Ok(director) => director,
        Err(why) => return (Outcome::unplayed(why), Vec::new()),
    };
    let end = after(director.stage.began(), Duration::from_secs(u64::from(plan.seconds)));
    let mut acts = plan.acts.iter().peekable();
    // With faults.
    loop {
        let now = director.stage.now();
        if now >= end || director.is_over() {
            break;
        }
        while let Some(act) = acts.next_if(|act| director.time_of(act.at) <= now) {
            director.perform(&act.deed, now);
        }
        let next = acts.peek().map_or(end, |act| director.time_of(act.at)).min(end);
        director.step(next).await;
    }
    if !director.is_over() {
        director.calm_down();
        director.finish().await;
    }
    director.outcome()
}

/// What Mayfly has at GitHub: only an App may write check runs.
fn login(plan: &Plan, world: &mut World, began: Timestamp) -> String {
    match plan.shape.waiting_after {
        Some(_) => world.installation_token(began),
        None => world.access.pat.clone(),
    }
}

impl<'a> Director<'a> {
    async fn new(plan: &'a Plan, is_noted: bool, differ: impl FnOnce(&mut Settings)) -> Result<Self, String> {
        let began = Timestamp::from_second(BEGAN).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut chance = Chance::new(plan.seed);
        let mut settings = configure::settings(&plan.shape, chance.bits());
        differ(&mut settings);
        let mut world = World::new(settings, began);
        world.webhook_url = "https://abc.lambda-url.us-east-1.on.aws/webhook".to_owned();
        crate::troubles::set(&mut world.faults, &plan.troubles);
        let token = login(plan, &mut world, began);
        let (access, webhook_url) = (world.access.clone(), world.webhook_url.clone());
        let page = if chance.one_in(4) { PageSize::Items(2) } else { PageSize::Service };
        let inner = Inner {
            world,
            table: Table::new("mayfly-test").with_page_size(page),
            chance: chance.split(),
            troubles: plan.troubles.iter().copied().collect(),
            outages: BTreeMap::new(),
            late: Vec::new(),
            coverage: Coverage::default(),
            warm: warm(plan),
            drained: BTreeSet::new(),
            let_go: BTreeSet::new(),
            sources: BTreeMap::new(),
            broken: None,
            notes: is_noted.then(Vec::new),
            digest: Digest::new(),
        };
        let stage = Stage::new(inner, began, chance.bits());
        set_secret("WEBHOOK_SECRET", &access.webhook_secret);
        set_secret("GITHUB_TOKEN", &token);
        set_secret("PROXMOX_SECRET", &access.proxmox_token_secret);
        let config = configure::config(&plan.shape, &plan.shape.pools, &webhook_url)?;
        Ok(Self {
            plan,
            outside: outside(&stage, &access.gcp_token),
            stage,
            webhook_url,
            config: Rc::new(config),
            version: 0,
            pools: plan.shape.pools.clone(),
            limits_until: None,
            skew: 0,
            jobs: BTreeMap::new(),
            events: Function::default(),
            sweeps: Function::default(),
            running: FuturesUnordered::new(),
            last: 0,
            next_sweep: after(began, Duration::from_secs(u64::from(plan.shape.sweep_every))),
            no_sweeps_until: began,
            ends: BTreeMap::new(),
            ends_planned: 0,
            orphans: BTreeMap::new(),
            sweeps_ended: 0,
            last_report: None,
            is_shared_lab: is_shared_lab(plan),
        })
    }

    pub(crate) fn time_of(&self, seconds: u32) -> Timestamp {
        after(self.stage.began(), Duration::from_secs(u64::from(seconds)))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stage.lock().broken.is_some()
    }

    /// The pools as they are configured now.
    pub(crate) fn pools_now(&self) -> Vec<PoolNow> {
        self.pools.iter().map(PoolShape::now).collect()
    }

    /// The functions are deployed anew.
    pub(crate) fn deploy(&mut self) {
        match configure::config(&self.plan.shape, &self.pools, &self.webhook_url) {
            Ok(config) => self.config = Rc::new(config),
            Err(why) => self.stage.note(|| format!("not deployed: {why}")),
        }
        self.version += 1;
        self.recycle();
    }

    pub(crate) fn orphans_of(&self, pool: &PoolShape) -> u16 {
        self.orphans.get(&pool.kind).copied().unwrap_or(0)
    }

    /// All environments that are idle end.
    pub(crate) fn recycle(&mut self) {
        self.events.recycle();
        self.sweeps.recycle();
    }

    /// Goes on to the next thing that happens, but not past `limit`.
    pub(crate) async fn step(&mut self, limit: Timestamp) {
        let stage = self.stage.clone();
        self.due(stage.now()).await;
        let next = {
            let inner = stage.lock();
            let late = inner.late.iter().map(|late| late.due).min();
            let due = inner.world.next_due();
            drop(inner);
            let end = self.ends.keys().next().map(|(at, _)| *at);
            [late, due, end, Some(self.next_sweep), self.limits_until]
                .into_iter()
                .flatten()
                .min()
                .map_or(limit, |next| next.min(limit))
        };
        tokio::select! {
            biased;
            Some(finished) = self.running.next(), if !self.running.is_empty() => self.finished(finished),
            () = stage.changed.notified() => {}
            () = stage.sleep_until(next) => {}
        }
        self.watch();
    }

    /// Does all that is due.
    async fn due(&mut self, now: Timestamp) {
        let stage = self.stage.clone();
        self.deliver_late(now);
        let deliveries = stage.lock().world.take_deliveries(now);
        for delivery in deliveries {
            self.begin_webhook(delivery, now).await;
        }
        while let Some(entry) = self.ends.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let end = entry.remove();
            self.end(end, now);
        }
        if self.limits_until.is_some_and(|until| until <= now) {
            self.limits_until = None;
            let most = |pool: &PoolShape| pool.max_runners + self.orphans_of(pool);
            let limits = configure::limits(self.pools.iter().map(|pool| (pool, most(pool))));
            stage.lock().world.set_pool_limits(limits);
        }
        if self.next_sweep <= now {
            self.next_sweep = after(now, Duration::from_secs(u64::from(self.plan.shape.sweep_every)));
            if self.no_sweeps_until <= now {
                self.begin_sweep(now).await;
            }
        }
    }

    fn deliver_late(&mut self, now: Timestamp) {
        let stage = &self.stage;
        loop {
            let mut inner = stage.lock();
            let due = inner.late.iter().position(|late| late.due <= now);
            let Some(at) = due else { return };
            let late = inner.late.swap_remove(at);
            let reply = crate::line::perform(stage, &mut inner, &late.request, late.by);
            // Who asked may be gone.
            _ = late.answer.send(reply.answer());
        }
    }

    /// Looks whether the world saw a promise broken.
    fn watch(&self) {
        let mut inner = self.stage.lock();
        let over = |kind| kind == simulator::ViolationKind::NodeOverMemory && self.is_shared_lab;
        let mut violations = inner.world.violations().iter();
        let violation = violations.find(|violation| !over(violation.kind)).cloned();
        if let Some(violation) = violation {
            let promise = format!("{:?}", violation.kind);
            inner.break_promise(Broken { time: violation.time, promise, text: violation.text });
        }
    }
}

/// What is kept warm; nothing is in a pool that is drained or changed.
fn warm(plan: &Plan) -> BTreeMap<&'static str, usize> {
    let changes = |deed: &Deed| matches!(deed, Deed::Configure { .. } | Deed::Drain { .. });
    if plan.acts.iter().any(|act| changes(&act.deed)) {
        return BTreeMap::new();
    }
    plan.shape.pools.iter().map(|pool| (pool.kind.name(), usize::from(pool.min_runners))).collect()
}

fn is_shared_lab(plan: &Plan) -> bool {
    let others = |deed: &Deed| matches!(deed, Deed::Stranger { .. } | Deed::Orphan { .. });
    let taken = |trouble: &Trouble| *trouble == Trouble::Guest(Guest::StrangerTakes);
    plan.acts.iter().any(|act| others(&act.deed)) || plan.troubles.iter().any(|(trouble, _)| taken(trouble))
}

impl Director<'_> {
    fn outcome(self) -> (Outcome, Vec<Happening>) {
        let stage = self.stage.clone();
        let simulated = Duration::try_from(stage.now().duration_since(stage.began())).unwrap_or_default();
        drop(self);
        let mut inner = stage.lock();
        let mut coverage = std::mem::take(&mut inner.coverage);
        let mut digest = inner.digest;
        for happening in inner.world.history() {
            digest.add(happening.text.as_bytes());
            digest.add(&happening.time.as_nanosecond().to_le_bytes());
            coverage.add("happening", format!("{:?}", happening.kind));
            if happening.kind == simulator::HappeningKind::FaultStruck
                && let Some((endpoint, kind)) = crate::troubles::struck(&happening.text)
            {
                let api = endpoint.split('.').next().unwrap_or(endpoint);
                coverage.add("fault", format!("{api}: {kind}"));
                coverage.add("endpoint", endpoint.to_owned());
            }
        }
        let mut notes = inner.notes.take().unwrap_or_default();
        if !notes.is_empty() {
            let told = inner.world.history().iter();
            notes.extend(
                told.map(|told| crate::stage::Note { time: told.time, text: format!("    {}", told.text) }),
            );
            notes.sort_by_key(|note| note.time);
        }
        let happened = inner.world.take_history();
        (Outcome { broken: inner.broken.take(), coverage, simulated, digest: digest.0, notes }, happened)
    }
}
