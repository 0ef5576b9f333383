//! The ways to GitHub, Google and the cluster: the world at the other end, and somebody on the way.

use std::sync::Arc;
use std::time::Duration;

use mayfly_service::simulation::{Answering, Http, HttpAnswer, NoAnswer};
use simulator::{Api, Reply, Request, Response};

use crate::answers::Fate;
use crate::stage::{Stage, after};

/// There, and back again.
const LATENCY: Duration = Duration::from_millis(10);

/// The way to one of the APIs.
#[derive(Debug, Clone)]
pub struct Line {
    stage: Arc<Stage>,
    api: Api,
}

impl Line {
    /// The way to this API.
    pub fn new(stage: &Arc<Stage>, api: Api) -> Self {
        Self { stage: stage.clone(), api }
    }

    async fn send(self, request: Request) -> Result<Response, NoAnswer> {
        let stage = self.stage;
        let fate = {
            let mut inner = stage.lock();
            inner.count(&request);
            inner.meddling.fate(&request)
        };
        tokio::time::sleep(LATENCY).await;
        if let Fate::NotSent = fate {
            return Err(NoAnswer::NotSent);
        }
        let answer = resolve(&stage, &request).await;
        tokio::time::sleep(LATENCY).await;
        let Some(mut response) = answer else { return Err(NoAnswer::Lost) };
        match fate {
            Fate::Lost => return Err(NoAnswer::Lost),
            Fate::Hangs => std::future::pending().await,
            Fate::Late(delay) => tokio::time::sleep(delay).await,
            Fate::Changed(changes) => changes.iter().for_each(|change| change.apply(&mut response)),
            Fate::Well | Fate::NotSent => {}
        }
        Ok(response)
    }
}

/// The world's answer, when it has one; none where the connection ends before.
async fn resolve(stage: &Stage, request: &Request) -> Option<Response> {
    let mut reply = stage.lock().world.handle(stage.now(), request);
    loop {
        match reply {
            Reply::Answer { response, delay } => {
                tokio::time::sleep(delay).await;
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
