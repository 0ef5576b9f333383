//! The ways to GitHub, Google and the cluster: latency, what goes wrong on the way, and the world at the other end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_service::simulation::{Answering, Http, HttpAnswer, NoAnswer};
use serde_json::Value;
use simulator::{Api, Method, Reply, Request, Response};

use crate::check;
use crate::plan::{Call, Service, Trouble};
use crate::stage::{Inner, LateRequest, Stage, after, current};

/// How long somebody waits for a connection that does not come.
const CONNECTING: Duration = Duration::from_secs(3);
/// The oldest that a list may be.
const STALE_BY: Duration = Duration::from_secs(8);

/// The way to one of the APIs.
#[derive(Debug, Clone)]
pub struct Line {
    stage: Arc<Stage>,
    api: Api,
}

fn service(api: Api) -> Service {
    match api {
        Api::GitHub => Service::GitHub,
        Api::Gcp => Service::Gcp,
        Api::Proxmox => Service::Proxmox,
    }
}

impl Line {
    /// The way to this API.
    pub fn new(stage: &Arc<Stage>, api: Api) -> Self {
        Self { stage: stage.clone(), api }
    }

    /// One request and its answer. The future may be dropped at any await.
    async fn send(self, request: Request) -> Result<Response, NoAnswer> {
        let (stage, by) = (self.stage, current());
        let service = service(self.api);
        let source = check::source_of(&request);
        let (there, back) = {
            let mut inner = stage.lock();
            check::asked(&mut inner, by, &request, source.as_ref());
            (inner.chance.milliseconds(5, 60), inner.chance.milliseconds(5, 120))
        };
        tokio::time::sleep(there).await;
        let not_sent = {
            let mut inner = stage.lock();
            let now = stage.now();
            inner.is_away(service, now) || inner.strikes(Trouble::Call(service, Call::NotSent))
        };
        if not_sent {
            tokio::time::sleep(CONNECTING).await;
            return Err(NoAnswer::NotSent);
        }
        let answer = match late(&stage, service, &request, by) {
            Some(answer) => answer.await.ok().flatten(),
            None => resolve(&stage, &request, by).await,
        };
        tokio::time::sleep(back).await;
        let Some(mut response) = answer else { return Err(NoAnswer::Lost) };
        let mut inner = stage.lock();
        if request.path.ends_with("/aggregated/instances")
            && inner.strikes(Trouble::Call(service, Call::Stale))
        {
            leave_out_young(&mut response, stage.now());
        }
        if response.is_success() && response.value() != &Value::Null {
            check::answered(&mut inner, by, source.as_ref());
        }
        Ok(response)
    }
}

/// Where the request takes effect only later: its answer, some day.
fn late(
    stage: &Stage,
    service: Service,
    request: &Request,
    by: u64,
) -> Option<tokio::sync::oneshot::Receiver<Option<Response>>> {
    let mut inner = stage.lock();
    if request.method == Method::Get || !inner.strikes(Trouble::Call(service, Call::Late)) {
        return None;
    }
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let due = after(stage.now(), inner.chance.milliseconds(500, 20_000));
    inner.late.push(LateRequest { due, request: request.clone(), answer: sender, by });
    stage.changed.notify_one();
    Some(receiver)
}

/// The world's answer, when it has one; none where the connection ends before.
async fn resolve(stage: &Stage, request: &Request, by: u64) -> Option<Response> {
    let mut reply = perform(stage, &mut stage.lock(), request, by);
    loop {
        match reply {
            Reply::Answer { response, delay } => {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                return Some(response);
            }
            Reply::Blocked { until, ticket } => {
                let next = stage.lock().world.next_due().map_or(until, |due| due.min(until));
                // At least a little later, so that time goes on.
                stage.sleep_until(next.max(after(stage.now(), Duration::from_millis(1)))).await;
                reply = stage.lock().world.resume(stage.now(), ticket);
            }
            Reply::Closed => return None,
            Reply::Hangs => std::future::pending::<()>().await,
        }
    }
}

/// Has the world carry out a request.
pub fn perform(stage: &Stage, inner: &mut Inner, request: &Request, by: u64) -> Reply {
    let now = stage.now();
    check::about_to(inner, now, by, request);
    let reply = inner.world.handle(now, request);
    inner.digest.add(request.path.as_bytes());
    inner.note(now, || {
        let told = match &reply {
            Reply::Answer { response, .. } => response.status.to_string(),
            Reply::Blocked { .. } => "waits".to_owned(),
            Reply::Closed => "closed".to_owned(),
            Reply::Hangs => "hangs".to_owned(),
        };
        format!("  #{by} {} {} {}: {told}", request.api.name(), request.method.name(), request.path)
    });
    stage.changed.notify_one();
    reply
}

/// Compute Engine's lists may not show yet what was just made.
fn leave_out_young(response: &mut Response, now: Timestamp) {
    let simulator::Body::Json(body) = &mut response.body else { return };
    let Some(zones) = body.get_mut("items").and_then(Value::as_object_mut) else { return };
    for zone in zones.values_mut() {
        let Some(instances) = zone.get_mut("instances").and_then(Value::as_array_mut) else { continue };
        instances.retain(|instance| {
            let created =
                instance["creationTimestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
            created.is_none_or(|created| after(created, STALE_BY) <= now)
        });
    }
}

impl Http for Line {
    fn answer(&self, request: reqwest::Request) -> Answering<'_, HttpAnswer> {
        let line = self.clone();
        Box::pin(async move {
            let Some(request) = Request::of_client(line.api, &request) else { return Err(NoAnswer::NotSent) };
            line.send(request).await.map(Into::into)
        })
    }
}

impl simulator_compute::Wire for Line {
    fn send(&self, request: Request) -> simulator_compute::Sent {
        let line = self.clone();
        Box::pin(async move {
            line.send(request).await.map_err(|none| match none {
                NoAnswer::NotSent => simulator_compute::NoAnswer::NeverSent,
                NoAnswer::Lost => simulator_compute::NoAnswer::Closed,
            })
        })
    }
}
