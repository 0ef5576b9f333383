//! The Lambda emulation, with a real function under it (`examples/echo.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use mayfly_testkit::function_url::{UrlRequest, UrlResponse};
use mayfly_testkit::lambda::{End, EventKind, Function, InvokeError, Launch, StartError};
use mayfly_testkit::{example, wait_for};
use serde_json::{Value, json};

/// Ample on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

fn echo() -> Launch {
    Launch::new(example("mayfly-testkit", "echo").unwrap()).timeout(LIMIT).init_timeout(LIMIT)
}

async fn call(function: &Function, request: &UrlRequest) -> (UrlResponse, Value) {
    let invocation = function.invoke(request.event()).await.unwrap();
    let response = UrlResponse::from_response(&invocation.response.clone().unwrap()).unwrap();
    assert_eq!(invocation.finished().await, End::Frozen);
    let body = response.json();
    (response, body)
}

/// The order of what happened, in the words below.
fn story(function: &Function) -> Vec<String> {
    let tell = |kind: EventKind| match kind {
        EventKind::Started { .. } => "started".to_owned(),
        EventKind::Invoked { .. } => "invoked".to_owned(),
        EventKind::Responded { .. } => "responded".to_owned(),
        EventKind::Failed { error_type, .. } => format!("failed {error_type}"),
        EventKind::RuntimeWaits => "runtime waits".to_owned(),
        EventKind::ExtensionWaits { name } => format!("{name} waits"),
        EventKind::Frozen => "frozen".to_owned(),
        EventKind::Thawed => "thawed".to_owned(),
        EventKind::TimedOut => "timed out".to_owned(),
        EventKind::Exited { status } => format!("exited {status}"),
        EventKind::Killed => "killed".to_owned(),
    };
    function.events().into_iter().map(|event| tell(event.kind)).collect()
}

fn stands_still(function: &Function) -> bool {
    let before = function.log();
    // What is not there can only be shown by waiting. The function prints every 5 ms while it runs.
    std::thread::sleep(Duration::from_millis(200));
    function.log() == before
}

#[tokio::test]
async fn a_function_answers_first_works_on_and_is_frozen_when_done() {
    let directory = tempfile::tempdir().unwrap();
    let gate = directory.path().join("gate");
    let function = Function::start(echo().env("ECHO_GATE", gate.to_string_lossy())).await.unwrap();
    assert!(function.frozen() && stands_still(&function), "frozen after init");
    assert!(function.init_duration().is_some());
    assert!(function.peak_memory_bytes().is_none_or(|bytes| bytes > 100_000));

    let invocation = function.invoke(UrlRequest::get("/task").event()).await.unwrap();
    assert!(invocation.response.is_ok(), "answered although its work can't be done before the gate opens");
    assert!(!invocation.is_finished() && !function.frozen());
    let printed = function.log().len();
    wait_for("a sign of life after the answer", LIMIT, || function.log().len() > printed).await.unwrap();
    let runtime_waits = || story(&function).last().is_some_and(|what| what == "runtime waits");
    wait_for("the runtime to wait for its next event", LIMIT, runtime_waits).await.unwrap();
    assert!(!function.frozen(), "the extension has not done its work");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(invocation.finished().await, End::Frozen);
    assert!(invocation.is_finished() && function.frozen());
    assert!(function.log().contains("done /task"), "it was frozen before its work was done");
    assert!(stands_still(&function), "it ran while frozen");

    let story = story(&function);
    let from_invoked: Vec<&str> =
        story.iter().map(String::as_str).skip_while(|what| *what != "invoked").collect();
    let expected = ["invoked", "thawed", "responded", "runtime waits", "background waits", "frozen"];
    assert_eq!(from_invoked, expected, "all: {story:?}");
    let events = function.events();
    assert!(events.is_sorted_by_key(|event| event.at) && events.iter().all(|event| event.environment == 1));

    call(&function, &UrlRequest::get("/task")).await;
    assert_eq!(function.restart_count(), 0);
}

#[tokio::test]
async fn a_request_arrives_as_it_was_sent() {
    let function = Function::start(echo().env("ECHO_GIVEN", "by the test")).await.unwrap();
    let request = UrlRequest::post("/some/path", r#"{"a":"ü"}"#)
        .query("b=1&c=d%20e")
        .header("X-Test", "one")
        .header("cookie", "k=v; l=w")
        .header("content-type", "application/json");
    let (response, body) = call(&function, &request).await;
    assert_eq!((response.status, response.headers["x-echo"].as_str()), (201, "yes"));
    assert_eq!(response.cookies, ["a=b"]);
    let expected = json!({
        "method": "POST", "path": "/some/path", "body": r#"{"a":"ü"}"#, "binary": false, "header": "one",
        "cookie": "k=v; l=w", "region": "us-east-1", "given": "by the test", "inherited": null,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&body[field], value, "{field}");
    }

    let (_, as_base64) = call(&function, &request.clone().base64()).await;
    assert_eq!((&as_base64["body"], &as_base64["binary"]), (&json!(r#"{"a":"ü"}"#), &json!(true)));
    let not_utf8 = UrlRequest::post("/", [0xff, b'x']).event();
    assert_eq!((&not_utf8["body"], &not_utf8["isBase64Encoded"]), (&json!("/3g="), &json!(true)));
}

#[tokio::test]
async fn past_its_deadline_a_function_is_killed_and_the_next_invocation_starts_another() {
    let function = Function::start(echo().timeout(Duration::from_millis(3_000))).await.unwrap();
    let first = function.pid();
    let hung = function.invoke(UrlRequest::get("/hang").event()).await.unwrap();
    assert_eq!(hung.response.clone().unwrap_err().error_type, "Sandbox.Timedout");
    assert!(hung.answered_after >= Duration::from_millis(3_000));
    assert_eq!(hung.finished().await, End::TimedOut);
    assert!(function.pid().is_none() && !function.frozen());

    let unfinished = function.invoke(UrlRequest::get("/hang-after").event()).await.unwrap();
    assert!(unfinished.response.is_ok(), "answered in time: {:?}", unfinished.response);
    assert_eq!(unfinished.finished().await, End::TimedOut);
    assert_eq!(function.restart_count(), 1);
    assert_ne!(function.pid(), first);
    assert_eq!(story(&function).iter().filter(|what| *what == "timed out").count(), 2);
}

#[tokio::test]
async fn the_deadline_is_the_timeout() {
    let function = Function::start(echo().timeout(Duration::from_secs(77))).await.unwrap();
    let before = std::time::SystemTime::now();
    let (_, body) = call(&function, &UrlRequest::get("/")).await;
    let deadline = std::time::UNIX_EPOCH + Duration::from_millis(body["deadline_ms"].as_u64().unwrap());
    let left = deadline.duration_since(before).unwrap();
    assert!((Duration::from_millis(76_990)..Duration::from_secs(110)).contains(&left), "{left:?}");
}

#[tokio::test]
async fn a_function_that_fails_exits_or_is_killed_says_so() {
    let function = Function::start(echo()).await.unwrap();
    let failed = function.invoke(UrlRequest::get("/error").event()).await.unwrap();
    assert!(failed.response.clone().unwrap_err().message.contains("asked to fail"));
    assert_eq!(failed.finished().await, End::Frozen);

    let exited = function.invoke(UrlRequest::get("/exit").event()).await.unwrap();
    assert_eq!(exited.response.clone().unwrap_err().error_type, "Runtime.ExitError");
    assert!(matches!(exited.finished().await, End::Exited(status) if status.contains('3')));

    let working = function.invoke(UrlRequest::get("/hang-after").event()).await.unwrap();
    function.kill().await;
    assert_eq!(working.finished().await, End::Killed);
    assert!(!function.frozen());
    call(&function, &UrlRequest::get("/")).await;
    function.kill().await;
    assert!(function.pid().is_none(), "a frozen one can be killed as well");
    assert_eq!(function.restart_count(), 2);
}

#[tokio::test]
async fn a_program_that_stops_at_start_is_reported_with_its_output() {
    let error = Function::start(echo().env("ECHO_REFUSES_TO_START", "1")).await.err().unwrap();
    let StartError::Init { reason, log } = error else { panic!("{error}") };
    assert!(reason.contains("exit status: 2"), "{reason}");
    assert!(log.contains("a name like linux-gpu would be right"), "{log}");

    let missing = Function::start(Launch::new("no/such/program")).await.err().unwrap();
    assert!(matches!(missing, StartError::Spawn { .. }));
    let slow = echo().env("ECHO_HANGS_AT_START", "1").init_timeout(Duration::from_millis(50));
    let error = Function::start(slow).await.err().unwrap();
    assert!(matches!(&error, StartError::Init { reason, .. } if reason.contains("timed out")), "{error}");
}

#[tokio::test]
async fn an_invocation_waits_for_the_one_before_it() {
    let function = Function::start(echo()).await.unwrap();
    let (first, second) = tokio::join!(
        function.invoke(UrlRequest::get("/task").query("ms=50").event()),
        function.invoke(UrlRequest::get("/task").query("ms=50").event()),
    );
    assert_eq!(first.unwrap().finished().await, End::Frozen);
    assert_eq!(second.unwrap().finished().await, End::Frozen);
    let story = story(&function);
    let order: Vec<&str> =
        story.iter().map(String::as_str).filter(|what| ["invoked", "frozen"].contains(what)).collect();
    assert_eq!(order, ["frozen", "invoked", "frozen", "invoked", "frozen"]);
    assert_eq!(function.restart_count(), 0);
}

#[tokio::test]
async fn dropping_a_function_kills_its_process() {
    let function = Function::start(echo()).await.unwrap();
    let pid = function.pid().unwrap();
    drop(function);
    let is_gone = || !std::path::Path::new(&format!("/proc/{pid}")).exists();
    wait_for("the process to be gone", LIMIT, is_gone).await.unwrap();
}

#[test]
fn an_invocation_needs_no_tokio_runtime_of_the_tests() {
    // A waker that unparks the thread is all there is here.
    let function = block_on(Function::start(echo())).unwrap();
    let invocation: Result<_, InvokeError> = block_on(function.invoke(UrlRequest::get("/").event()));
    assert_eq!(block_on(invocation.unwrap().finished()), End::Frozen);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
