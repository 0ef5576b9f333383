//! Who plays: the environments of both functions, and the invocations under way.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_service::inbound::Gate;
use mayfly_service::mayfly::Mayfly;
use mayfly_service::sweep::Report;
use simulator::{Delivery, DeliveryId, World};

use crate::check::{self, Broken, Sources};
use crate::director::Director;
use crate::invocation::{Ended, Environment, Fate, Finished, Running};
use crate::plan::{Invocation as InvocationTrouble, Trouble};
use crate::stage::{Inner, Invocation};

/// A function's environments.
#[derive(Default)]
pub struct Function {
    idle: VecDeque<Rc<Environment>>,
    busy: usize,
}

impl Function {
    /// Those that are idle end.
    pub fn recycle(&mut self) {
        self.idle.clear();
    }
}

impl Director<'_> {
    fn fate(&self, now: Timestamp) -> Fate {
        let mut inner = self.stage.lock();
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

    pub(crate) async fn begin_webhook(&mut self, delivery: Delivery, now: Timestamp) {
        let Some(environment) = self.environment(false).await else {
            // Lambda refuses it: 429.
            let mut inner = self.stage.lock();
            inner.coverage.add("answer", "429");
            inner.world.delivered(now, delivery.id, 429);
            return;
        };
        self.last += 1;
        let number = self.last;
        self.stage.note(|| format!("#{number} webhook: {} {}", delivery.action, delivery.guid));
        let fate = self.fate(now);
        let timeout = Duration::from_secs(u64::from(self.plan.shape.webhook_timeout));
        let running = Running::webhook(self.stage.clone(), number, environment, delivery, fate, timeout);
        self.running.push(running);
    }

    pub(crate) async fn begin_sweep(&mut self, now: Timestamp) {
        let Some(environment) = self.environment(true).await else { return };
        self.last += 1;
        let number = self.last;
        self.stage.note(|| format!("#{number} sweep"));
        let fate = self.fate(now);
        self.stage.lock().sources.insert(number, Sources::default());
        let timeout = Duration::from_secs(u64::from(self.plan.shape.sweep_timeout));
        self.running.push(Running::sweep(number, environment, fate, timeout));
    }

    pub(crate) fn finished(&mut self, finished: Finished) {
        let Finished { number, environment, delivery, ended } = finished;
        let is_sweep = delivery.is_none();
        let stage = self.stage.clone();
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
}

fn is_open(world: &World, delivery: DeliveryId) -> bool {
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
