//! Invocations of the functions, which may be killed or frozen at any await.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_service::clock::working_deadline;
use mayfly_service::inbound::{Gate, Request};
use mayfly_service::mayfly::Mayfly;
use mayfly_service::sweep::Report;
use simulator::{Delivery, DeliveryId};
use tokio::time::{Instant, Sleep};

use crate::stage::{Invocation, Stage, enter};

/// GitHub gives an answer so long.
const GITHUB_WAITS: Duration = Duration::from_secs(10);

/// An environment of one of the functions: a process, as long as Lambda keeps it.
pub struct Environment {
    /// Which configuration it was started with.
    pub version: u32,
    /// By how many milliseconds its clock is wrong.
    pub skew: i64,
    /// The process's one.
    pub mayfly: Mayfly,
    /// What knows the webhook's secret.
    pub gate: Gate,
}

/// What is to become of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It comes to its end.
    Lives,
    /// It is gone at this await.
    Killed(u32),
    /// It stands still at this await, for so long.
    Frozen(u32, Duration),
}

/// What came of an invocation.
pub enum Ended {
    /// An event's came to its end.
    Webhook,
    /// A sweep's came to its end.
    Sweep(Box<Report>),
    /// It ran out of time.
    OutOfTime,
    /// It was killed; its environment is gone.
    Killed,
}

/// An invocation that is over.
pub struct Finished {
    /// Its number.
    pub number: Invocation,
    /// Where it ran.
    pub environment: Rc<Environment>,
    /// The delivery that it was begun for; none of a sweep.
    pub delivery: Option<DeliveryId>,
    /// What came of it.
    pub ended: Ended,
}

/// An invocation under way.
pub struct Running {
    number: Invocation,
    environment: Rc<Environment>,
    delivery: Option<DeliveryId>,
    fate: Fate,
    polls: u32,
    thaws: Option<Pin<Box<Sleep>>>,
    work: Pin<Box<dyn Future<Output = Ended>>>,
}

impl Running {
    /// An invocation for an event.
    pub fn webhook(
        stage: Arc<Stage>,
        number: Invocation,
        environment: Rc<Environment>,
        delivery: Delivery,
        fate: Fate,
        timeout: Duration,
    ) -> Self {
        let id = delivery.id;
        let work = Box::pin(webhook(stage, number, environment.clone(), delivery, timeout));
        Self { number, environment, delivery: Some(id), fate, polls: 0, thaws: None, work }
    }

    /// An invocation for the schedule.
    pub fn sweep(number: Invocation, environment: Rc<Environment>, fate: Fate, timeout: Duration) -> Self {
        let of = environment.clone();
        let work = Box::pin(async move {
            let end = Instant::now() + timeout;
            match tokio::time::timeout_at(end, of.mayfly.sweep(end)).await {
                Ok(report) => Ended::Sweep(Box::new(report)),
                Err(_) => Ended::OutOfTime,
            }
        });
        Self { number, environment, delivery: None, fate, polls: 0, thaws: None, work }
    }

    /// What it still holds is dropped with it, as its process would drop it: without a word.
    fn finished(&self, ended: Ended) -> Finished {
        let Self { number, environment, delivery, .. } = self;
        Finished { number: *number, environment: environment.clone(), delivery: *delivery, ended }
    }
}

async fn webhook(
    stage: Arc<Stage>,
    number: Invocation,
    environment: Rc<Environment>,
    delivery: Delivery,
    timeout: Duration,
) -> Ended {
    let begun = stage.now();
    let end = Instant::now() + timeout;
    let header = |wanted: &str| {
        let found = delivery.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    };
    let request = Request {
        method: "POST",
        path: "/webhook",
        signature: header("x-hub-signature-256"),
        event: header("x-github-event"),
        delivery: header("x-github-delivery"),
        authorization: None,
        body: &delivery.body,
    };
    let (answer, work) = environment.mayfly.receive(&environment.gate, request).await;
    told(&stage, number, delivery.id, begun, answer.status);
    if let Some(work) = work {
        let following = environment.mayfly.follow(&work.pool, work.follow, working_deadline(end));
        if tokio::time::timeout_at(end, following).await.is_err() {
            return Ended::OutOfTime;
        }
    }
    Ended::Webhook
}

/// GitHub hears the answer, where it still waits for one.
fn told(stage: &Stage, number: Invocation, delivery: DeliveryId, begun: Timestamp, status: u16) {
    let now = stage.now();
    let is_late = crate::stage::after(begun, GITHUB_WAITS) < now;
    let status = if is_late { 504 } else { status };
    let mut inner = stage.lock();
    inner.world.delivered(now, delivery, status);
    inner.coverage.add("answer", status.to_string());
    inner.note(now, || format!("  #{number} answers {status}"));
    stage.changed.notify_one();
}

impl Future for Running {
    type Output = Finished;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Finished> {
        if let Some(thaws) = &mut self.thaws {
            if thaws.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.thaws = None;
        }
        self.polls += 1;
        match self.fate {
            Fate::Killed(at) if at == self.polls => return Poll::Ready(self.finished(Ended::Killed)),
            Fate::Frozen(at, time) if at == self.polls => {
                self.fate = Fate::Lives;
                let mut thaws = Box::pin(tokio::time::sleep(time));
                if thaws.as_mut().poll(context).is_pending() {
                    self.thaws = Some(thaws);
                    return Poll::Pending;
                }
            }
            Fate::Lives | Fate::Killed(_) | Fate::Frozen(..) => {}
        }
        enter(self.number, self.environment.skew);
        let polled = self.work.as_mut().poll(context);
        enter(0, 0);
        polled.map(|ended| self.finished(ended))
    }
}
