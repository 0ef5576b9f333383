//! The Lambda function for GitHub's events: a request in, an answer out, and then, in the same invocation, the work
//! that follows.
//!
//! Lambda freezes an environment when the runtime and all extensions wait for the next event. So an internal
//! extension, registered before the function runs, asks for its next event only when the work is done.

// What others wrote cannot end the process by an index, or become another number without a word.
#![warn(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::mem_forget,
    clippy::unused_async
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap
    )
)]
// Layouts of futures within futures within futures.
#![recursion_limit = "256"]

use std::process::ExitCode;
use std::time::Duration;

use lambda_extension::{Extension, InvokeEvent, LambdaEvent, NextEvent};
use lambda_http::{Body, Error, RequestExt, Response, service_fn};
use mayfly_service::clock::{instant_at, working_deadline};
use mayfly_service::config::Config;
use mayfly_service::inbound::{Answer, Gate, Request, Work};
use mayfly_service::mayfly::Mayfly;
use mayfly_service::telemetry;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

/// The handler's word that an invocation was answered, with what is to be done next.
struct Answered {
    request_id: String,
    work: Option<Work>,
}

/// An invocation whose event was no HTTP request is never answered by the handler; the extension does not wait for
/// it any longer than an answer can take.
const ANSWER_LONGEST: Duration = Duration::from_secs(20);

/// So often everybody else has a turn before the work begins: the handler's client and its connection need two.
const TURNS_OF_ANSWER: usize = 8;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::start(telemetry::format_here());
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the function stopped: Lambda starts it anew for the next event");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let config = Config::load()?;
    let mayfly = Mayfly::start(&config).await?;
    let gate = Gate::open(&config.github).await?;
    let (answered, inbox) = mpsc::unbounded_channel();
    let inbox = Mutex::new(inbox);
    let (mayfly, gate, answered, inbox) = (&mayfly, &gate, &answered, &inbox);

    let extension = Extension::new()
        .with_extension_name("mayfly")
        .with_events(&["INVOKE"])
        .with_events_processor(lambda_extension::service_fn(async move |event: LambdaEvent| {
            if let NextEvent::Invoke(invocation) = event.next {
                work(mayfly, &mut *inbox.lock().await, &invocation).await;
                mayfly.log_metrics();
            }
            Ok::<(), Error>(())
        }))
        .register()
        .await?;
    let function = service_fn(async move |request: lambda_http::Request| {
        let request_id = request.lambda_context().request_id;
        let (answer, work) = answer(mayfly, gate, &request).await;
        // Fails only when the extension is gone, and then the process is about to end.
        let _ = answered.send(Answered { request_id, work });
        response(answer)
    });
    tokio::try_join!(lambda_http::run(function), extension.run())?;
    Ok(())
}

async fn answer(mayfly: &Mayfly, gate: &Gate, request: &lambda_http::Request) -> (Answer, Option<Work>) {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let inbound = Request {
        method: request.method().as_str(),
        path: request.raw_http_path(),
        signature: header("x-hub-signature-256"),
        event: header("x-github-event"),
        delivery: header("x-github-delivery"),
        authorization: header("authorization"),
        body: request.body().as_ref(),
    };
    mayfly.receive(gate, inbound).await
}

fn response(answer: Answer) -> Result<Response<Body>, Error> {
    let response = Response::builder().status(answer.status);
    let response =
        answer.headers.into_iter().fold(response, |response, (name, value)| response.header(name, value));
    Ok(response.body(Body::Text(answer.body))?)
}

/// Does the work of one invocation, up to its deadline.
async fn work(mayfly: &Mayfly, inbox: &mut mpsc::UnboundedReceiver<Answered>, invocation: &InvokeEvent) {
    let end = instant_at(invocation.deadline_ms);
    let deadline = working_deadline(end);
    let begun = Instant::now();
    loop {
        let patience = ANSWER_LONGEST.saturating_sub(begun.elapsed());
        let Ok(Some(answered)) = tokio::time::timeout(patience, inbox.recv()).await else { return };
        let own = answered.request_id == invocation.request_id;
        // The answer leaves first. It is on its way through other tasks of this one thread, which the beginning of the work, with
        // clients that are made for the first time, may keep busy for a while.
        for _ in 0..TURNS_OF_ANSWER {
            tokio::task::yield_now().await;
        }
        if let Some(work) = answered.work {
            let (job, pool) = (work.job, work.pool.clone());
            let following = mayfly.follow(&work.pool, work.follow, deadline);
            if tokio::time::timeout_at(end, following).await.is_err() {
                tracing::warn!(%pool, %job, "out of time: left for the sweep");
            }
        }
        if own {
            return;
        }
    }
}
