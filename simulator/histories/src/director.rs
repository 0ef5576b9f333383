//! The director: plays a plan from its beginning to its end, and stops where a promise is broken.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use mayfly_service::config::Config;
use mayfly_service::inbound::Gate;
use mayfly_service::mayfly::Mayfly;
use mayfly_service::simulation::{Compute, Outside, set_secret};
use mayfly_service::sweep::Report;
use simulator::{Api, JobId, World};
use simulator_compute::Clients;
use simulator_table::Table;

use crate::chance::Chance;
use crate::check::{self, Broken, Sources};
use crate::configure::{self, PoolNow};
use crate::coverage::Coverage;
use crate::invocation::{Ended, Environment, Fate, Running, Shared};
use crate::ledger::Ledger;
use crate::line::Line;
use crate::outcome::Outcome;
use crate::plan::{Deed, Guest, Invocation as InvocationTrouble, Plan, PoolKind, PoolShape, Trouble};
use crate::stage::{Digest, Inner, Invocation, Stage, after};

/// When every history begins.
const BEGAN: i64 = 1_772_366_400;
/// No invocation is longer.
pub const INVOCATION_LONGEST: Duration = Duration::from_secs(15 * 60);

/// What an invocation was, to those who wait for its end.
type Finished = (Invocation, Rc<Environment>, Option<simulator::DeliveryId>, bool, Ended);

/// A function's environments.
#[derive(Default)]
struct Function {
    idle: VecDeque<Rc<Environment>>,
    busy: usize,
}

/// The director.
pub struct Director<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) shared: Rc<Shared>,
    outside: Outside,
    pub(crate) webhook_url: String,
    config: Rc<Config>,
    version: u32,
    pub(crate) pools: Vec<PoolShape>,
    /// Limits that hold until invocations with an older configuration are over.
    pub(crate) limits_until: Option<Timestamp>,
    /// By how much the clocks of new environments are wrong, in milliseconds.
    pub(crate) skew: i64,
    pub(crate) jobs: BTreeMap<u32, JobId>,
    events: Function,
    sweeps: Function,
    running: FuturesUnordered<Tagged>,
    last: Invocation,
    /// The next sweep by the schedule.
    pub(crate) next_sweep: Timestamp,
    pub(crate) no_sweeps_until: Timestamp,
    /// What ends at its time.
    pub(crate) ends: BTreeMap<(Timestamp, u32), crate::deeds::End>,
    pub(crate) ends_planned: u32,
    /// VMs made by hand, which the world counts as the pool's.
    pub(crate) orphans: BTreeMap<PoolKind, u16>,
    pub(crate) is_calm: bool,
    sweeps_ended: u64,
    last_report: Option<Box<Report>>,
    /// Others make VMs on the cluster too: between a claim and its start they may take the memory.
    is_shared_lab: bool,
}

/// An invocation that says at its end which it was.
struct Tagged(Option<Running>);

impl Future for Tagged {
    type Output = Finished;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Finished> {
        let Some(running) = self.0.as_mut() else { return std::task::Poll::Pending };
        match std::pin::Pin::new(&mut *running).poll(context) {
            std::task::Poll::Pending => std::task::Poll::Pending,
            std::task::Poll::Ready(ended) => {
                let number = running.number;
                let environment = running.environment.clone();
                let (delivery, is_sweep) = (running.delivery, running.delivery.is_none());
                // What it still held is dropped as its process would drop it: without a word.
                self.0 = None;
                std::task::Poll::Ready((number, environment, delivery, is_sweep, ended))
            }
        }
    }
}

/// Plays a plan. With `is_noted`, the outcome has the whole timeline.
pub fn play(plan: &Plan, is_noted: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(Box::pin(play_on(plan, is_noted))),
        Err(error) => Outcome::unplayed(format!("no runtime: {error}")),
    }
}

async fn play_on(plan: &Plan, is_noted: bool) -> Outcome {
    let mut director = match Director::new(plan, is_noted).await {
        Ok(director) => director,
        Err(why) => return Outcome::unplayed(why),
    };
    let end = after(director.shared.stage.began(), Duration::from_secs(u64::from(plan.seconds)));
    let mut acts = plan.acts.iter().peekable();
    // With faults.
    loop {
        let now = director.shared.stage.now();
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

impl<'a> Director<'a> {
    async fn new(plan: &'a Plan, is_noted: bool) -> Result<Self, String> {
        let began = Timestamp::from_second(BEGAN).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut chance = Chance::new(plan.seed);
        let mut world = World::new(configure::settings(&plan.shape, chance.bits()), began);
        world.webhook_url = "https://abc.lambda-url.us-east-1.on.aws/webhook".to_owned();
        crate::troubles::set(&mut world.faults, &plan.troubles);
        let (access, webhook_url) = (world.access.clone(), world.webhook_url.clone());
        let page = if chance.one_in(4) {
            simulator_table::PageSize::Items(2)
        } else {
            simulator_table::PageSize::Service
        };
        let inner = Inner {
            world,
            table: Table::new("mayfly-test").with_page_size(page),
            chance: chance.split(),
            troubles: plan.troubles.iter().copied().collect(),
            outages: BTreeMap::new(),
            late: Vec::new(),
            coverage: Coverage::default(),
            warm: warm(plan),
            sources: BTreeMap::new(),
            broken: None,
            notes: is_noted.then(Vec::new),
            digest: Digest::new(),
        };
        let stage = Stage::new(inner, began, chance.bits());
        set_secret("WEBHOOK_SECRET", &access.webhook_secret);
        set_secret("GITHUB_TOKEN", &access.pat);
        set_secret("PROXMOX_SECRET", &access.proxmox_token_secret);
        let config = configure::config(&plan.shape, &plan.shape.pools, &webhook_url)?;
        Ok(Self {
            plan,
            outside: outside(&stage, &access.gcp_token),
            shared: Rc::new(Shared { stage }),
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
            is_calm: false,
            sweeps_ended: 0,
            last_report: None,
            is_shared_lab: is_shared_lab(plan),
        })
    }

    pub(crate) fn time_of(&self, seconds: u32) -> Timestamp {
        after(self.shared.stage.began(), Duration::from_secs(u64::from(seconds)))
    }

    fn is_over(&self) -> bool {
        self.shared.stage.lock().broken.is_some()
    }

    /// The pools as they are configured now.
    pub(crate) fn pools_now(&self) -> Vec<PoolNow> {
        self.pools.iter().map(PoolShape::now).collect()
    }

    /// The functions are deployed anew.
    pub(crate) fn deploy(&mut self) {
        match configure::config(&self.plan.shape, &self.pools, &self.webhook_url) {
            Ok(config) => self.config = Rc::new(config),
            Err(why) => self.shared.stage.note(|| format!("not deployed: {why}")),
        }
        self.version += 1;
        self.recycle();
    }

    pub(crate) fn orphans_of(&self, pool: &PoolShape) -> u16 {
        self.orphans.get(&pool.kind).copied().unwrap_or(0)
    }

    /// All environments that are idle end.
    pub(crate) fn recycle(&mut self) {
        self.events.idle.clear();
        self.sweeps.idle.clear();
    }

    /// Goes on to the next thing that happens, but not past `limit`.
    async fn step(&mut self, limit: Timestamp) {
        let stage = self.shared.stage.clone();
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
        let stage = self.shared.stage.clone();
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
        let stage = &self.shared.stage;
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

    fn fate(&self, now: Timestamp) -> Fate {
        let mut inner = self.shared.stage.lock();
        let at = |inner: &mut Inner| {
            let most = 1 << inner.chance.between(1, 8);
            inner.chance.between(1, most)
        };
        if inner.strikes(Trouble::Invocation(InvocationTrouble::Killed)) {
            let at = at(&mut inner);
            inner.note(now, || format!("  it will be killed at await {at}"));
            return Fate::Killed(at);
        }
        if inner.strikes(Trouble::Invocation(InvocationTrouble::Frozen)) {
            let (at, seconds) = (at(&mut inner), inner.chance.between(1, 400));
            inner.note(now, || format!("  it will be frozen at await {at} for {seconds} s"));
            return Fate::Frozen(at, Duration::from_secs(u64::from(seconds)));
        }
        Fate::Lives
    }

    /// An environment for one more invocation; none where there are too many.
    async fn environment(&mut self, is_sweep: bool) -> Option<Rc<Environment>> {
        let function = if is_sweep { &mut self.sweeps } else { &mut self.events };
        if let Some(idle) = function.idle.pop_front() {
            function.busy += 1;
            return Some(idle);
        }
        if function.busy >= self.plan.shape.environments {
            return None;
        }
        function.busy += 1;
        let mayfly = Mayfly::in_process(&self.config, &self.outside);
        let gate = Gate::open(&self.config.github).await.ok()?;
        Some(Rc::new(Environment { version: self.version, skew: self.skew, mayfly, gate }))
    }

    async fn begin_webhook(&mut self, delivery: simulator::Delivery, now: Timestamp) {
        let Some(environment) = self.environment(false).await else {
            // Lambda refuses it: 429.
            let mut inner = self.shared.stage.lock();
            inner.coverage.add("answer", "429");
            inner.world.delivered(now, delivery.id, 429);
            return;
        };
        self.last += 1;
        let number = self.last;
        self.shared.stage.note(|| format!("#{number} webhook: {} {}", delivery.action, delivery.guid));
        let fate = self.fate(now);
        let timeout = Duration::from_secs(u64::from(self.plan.shape.webhook_timeout));
        let running = Running::webhook(self.shared.clone(), number, environment, delivery, fate, timeout);
        self.running.push(Tagged(Some(running)));
    }

    pub(crate) async fn begin_sweep(&mut self, now: Timestamp) {
        let Some(environment) = self.environment(true).await else { return };
        self.last += 1;
        let number = self.last;
        self.shared.stage.note(|| format!("#{number} sweep"));
        let fate = self.fate(now);
        self.shared.stage.lock().sources.insert(number, Sources::default());
        let timeout = Duration::from_secs(u64::from(self.plan.shape.sweep_timeout));
        self.running.push(Tagged(Some(Running::sweep(number, environment, fate, timeout))));
    }

    fn finished(&mut self, (number, environment, delivery, is_sweep, ended): Finished) {
        let stage = self.shared.stage.clone();
        let now = stage.now();
        let version = self.version;
        let function = if is_sweep { &mut self.sweeps } else { &mut self.events };
        function.busy = function.busy.saturating_sub(1);
        let mut inner = stage.lock();
        inner.sources.remove(&number);
        let (lives, how) = match &ended {
            Ended::Webhook | Ended::Sweep(_) => (true, "ended"),
            Ended::OutOfTime => (false, "out of time"),
            Ended::Killed => (false, "killed"),
        };
        inner.coverage.add("invocation", how);
        inner.note(now, || format!("#{number} {how}"));
        if let (Some(delivery), Ended::Killed) = (delivery, &ended)
            && is_open(&inner.world, delivery)
        {
            inner.world.delivered(now, delivery, 502);
        }
        if lives && environment.version == version {
            function.idle.push_back(environment);
        }
        if let Ended::Sweep(report) = ended {
            report_on(&mut inner, now, number, &report);
            drop(inner);
            self.sweeps_ended += 1;
            self.last_report = Some(report);
        }
    }

    /// Looks whether the world saw a promise broken.
    fn watch(&self) {
        let mut inner = self.shared.stage.lock();
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

fn is_open(world: &World, delivery: simulator::DeliveryId) -> bool {
    world.deliveries().iter().any(|each| each.id == delivery && each.status.is_none())
}

fn report_on(inner: &mut Inner, now: Timestamp, number: Invocation, report: &Report) {
    for done in &report.done {
        inner.coverage.add("action", done.action);
        inner.note(now, || {
            format!("  #{number} {} {}: {} → {}", done.action, done.what, done.why, done.outcome)
        });
    }
    for source in &report.failed_sources {
        inner.coverage.add("unread", "source");
        inner.note(now, || format!("  #{number} could not read {}: {}", source.source, source.why));
    }
    if inner.notes.is_some() {
        for left in &report.left_alone {
            inner.note(now, || format!("  #{number} left alone {}: {}", left.what, left.why));
        }
    }
    let texts = report
        .done
        .iter()
        .map(|done| &done.outcome)
        .chain(report.failed_sources.iter().map(|source| &source.why));
    if texts.into_iter().any(|text| check::is_secret(inner, text)) {
        let text = "a sweep's report holds a secret".to_owned();
        inner.break_promise(Broken { time: now, promise: "I7".to_owned(), text });
    }
}

fn outside(stage: &Arc<Stage>, gcp_token: &str) -> Outside {
    let clients = Clients::over(Arc::new(Line::new(stage, Api::Gcp)), gcp_token);
    Outside {
        github: Arc::new(Line::new(stage, Api::GitHub)),
        proxmox: Arc::new(Line::new(stage, Api::Proxmox)),
        compute: Compute {
            instances: clients.instances,
            operations: clients.operations,
            regions: clients.regions,
            templates: clients.templates,
        },
        table: Arc::new(Ledger(stage.clone())),
        dynamodb: dynamodb(),
    }
}

/// A client that only writes requests; one for the process.
fn dynamodb() -> aws_sdk_dynamodb::Client {
    static CLIENT: OnceLock<aws_sdk_dynamodb::Client> = OnceLock::new();
    let make = || {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .region(aws_sdk_dynamodb::config::Region::new("us-east-1"));
        aws_sdk_dynamodb::Client::from_conf(config.build())
    };
    CLIENT.get_or_init(make).clone()
}

impl Director<'_> {
    /// Goes on until this holds at the end of a sweep, or until `end`; whether it held.
    pub(crate) async fn until_sweep(&mut self, end: Timestamp, holds: impl Fn(&mut Inner) -> bool) -> bool {
        let mut seen = self.sweeps_ended;
        loop {
            if self.is_over() {
                return true;
            }
            if self.sweeps_ended != seen {
                seen = self.sweeps_ended;
                if holds(&mut self.shared.stage.lock()) {
                    return true;
                }
            }
            if self.shared.stage.now() >= end {
                return false;
            }
            self.step(end).await;
        }
    }

    /// Goes on until so many sweeps have ended.
    pub(crate) async fn until_sweep_number(&mut self, number: u64, end: Timestamp) {
        while self.sweeps_ended < number && self.shared.stage.now() < end && !self.is_over() {
            self.step(end).await;
        }
    }

    pub(crate) fn sweeps_so_far(&self) -> u64 {
        self.sweeps_ended
    }

    pub(crate) fn is_over_now(&self) -> bool {
        self.is_over()
    }

    /// How much the last sweep did.
    pub(crate) fn last_steps(&self) -> Option<usize> {
        self.last_report.as_ref().map(|report| report.done.len() + report.postponed)
    }

    /// What the last sweep did, for people.
    pub(crate) fn last_done(&self) -> String {
        let done = self.last_report.iter().flat_map(|report| &report.done);
        done.map(|done| format!("{} {}: {}", done.action, done.what, done.why)).collect::<Vec<_>>().join("; ")
    }

    fn outcome(self) -> Outcome {
        let stage = self.shared.stage.clone();
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
        Outcome { broken: inner.broken.take(), coverage, simulated, digest: digest.0, notes }
    }
}
