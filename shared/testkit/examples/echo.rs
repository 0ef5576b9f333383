//! A small function for the tests of the Lambda emulation. It answers first and works on in an internal extension, as
//! the real functions do. What it does is told by the request's path:
//!
//! * `/task` answers, then works until the file named by `ECHO_GATE` exists, and prints `done`; with `?ms=N` for N ms;
//! * `/hang` never answers; `/hang-after` answers and never finishes;
//! * `/exit` ends the process instead of answering; `/error` fails;
//! * anything else answers with what arrived.
//!
//! Besides, a thread prints `heartbeat` all the while, for a test to see when it stands still.

use std::time::Duration;

use lambda_extension::{Extension, LambdaEvent, service_fn as extension_fn};
use lambda_http::http::Uri;
use lambda_http::{Body, Error, Request, RequestExt, Response, service_fn};
use tokio::sync::mpsc;

const HEARTBEAT: Duration = Duration::from_millis(5);
/// Some minutes; then it ends, should a test that was killed have left it behind.
const HEARTBEATS_MAX: u32 = 60_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::var_os("ECHO_REFUSES_TO_START").is_some() {
        eprintln!("pools[0].name: \"\" is empty; a name like linux-gpu would be right");
        std::process::exit(2);
    }
    if std::env::var_os("ECHO_HANGS_AT_START").is_some() {
        std::future::pending::<()>().await;
    }
    std::thread::spawn(|| {
        for _ in 0..HEARTBEATS_MAX {
            println!("heartbeat");
            std::thread::sleep(HEARTBEAT);
        }
        std::process::exit(4);
    });
    let (jobs, mut inbox) = mpsc::unbounded_channel::<Uri>();
    let (events, mut ended) = mpsc::unbounded_channel::<()>();
    // Each invocation's work is one message; the extension waits for its end.
    tokio::spawn(async move {
        while let Some(uri) = inbox.recv().await {
            work(&uri).await;
            let _ = events.send(());
        }
    });
    let ended = std::sync::Arc::new(tokio::sync::Mutex::new(async move || ended.recv().await));
    let extension = Extension::new()
        .with_extension_name("background")
        .with_events(&["INVOKE"])
        .with_events_processor(extension_fn(move |_: LambdaEvent| {
            let ended = ended.clone();
            async move {
                let mut ended = ended.lock().await;
                ended().await;
                Ok::<(), Error>(())
            }
        }))
        .register()
        .await?;
    let function = service_fn(move |request: Request| answer(request, jobs.clone()));
    tokio::select! {
        ended = extension.run() => ended,
        ended = lambda_http::run(function) => ended,
    }
}

async fn answer(request: Request, jobs: mpsc::UnboundedSender<Uri>) -> Result<Response<Body>, Error> {
    let uri = request.uri().clone();
    match uri.path() {
        "/hang" => std::future::pending::<()>().await,
        "/exit" => std::process::exit(3),
        "/error" => {
            let _ = jobs.send(uri);
            return Err("asked to fail".into());
        }
        _ => {}
    }
    let is_binary = matches!(request.body(), Body::Binary(_));
    let body = String::from_utf8_lossy(request.body().as_ref()).into_owned();
    let deadline = request.lambda_context().deadline;
    let answer = serde_json::json!({
        "method": request.method().as_str(), "path": uri.path(), "query": uri.query(), "body": body,
        "binary": is_binary, "deadline_ms": deadline, "header": header(&request, "x-test"),
        "cookie": header(&request, "cookie"),
        "region": std::env::var("AWS_REGION").ok(), "given": std::env::var("ECHO_GIVEN").ok(),
        "inherited": std::env::var("CARGO").ok(),
    });
    jobs.send(uri)?;
    let response = Response::builder().status(201).header("x-echo", "yes").header("set-cookie", "a=b");
    Ok(response.body(answer.to_string().into())?)
}

fn header(request: &Request, name: &str) -> Option<String> {
    Some(request.headers().get(name)?.to_str().ok()?.to_owned())
}

async fn work(uri: &Uri) {
    if uri.path() == "/hang-after" {
        std::future::pending::<()>().await;
    }
    let ms = uri.query().and_then(|query| query.strip_prefix("ms=")).and_then(|ms| ms.parse().ok());
    let end = tokio::time::Instant::now() + Duration::from_millis(ms.unwrap_or(0));
    let gate = std::env::var("ECHO_GATE").ok().filter(|_| uri.path() == "/task" && ms.is_none());
    let is_shut = || gate.as_ref().is_some_and(|gate| !std::path::Path::new(gate).exists());
    while tokio::time::Instant::now() < end || is_shut() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("done {}", uri.path());
}
