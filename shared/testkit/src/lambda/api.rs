//! The Runtime API and the Extensions API over HTTP, for one environment.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::environment::{Message, NextEvent};
use super::function::FunctionError;
use super::launch::{ACCOUNT, Launch};

/// Lambda's quota for a synchronous response.
const RESPONSE_BYTES_MAX: usize = 6 * 1024 * 1024;

#[derive(Clone)]
struct Api {
    messages: mpsc::WeakUnboundedSender<Message>,
    launch: Launch,
}

/// Serves both APIs until aborted.
pub(crate) async fn serve(
    listener: TcpListener,
    messages: mpsc::WeakUnboundedSender<Message>,
    launch: Launch,
) {
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(runtime_next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(respond))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(respond_error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .route("/2020-01-01/extension/register", post(register))
        .route("/2020-01-01/extension/event/next", get(extension_next))
        .route("/2020-01-01/extension/init/error", post(extension_error))
        .route("/2020-01-01/extension/exit/error", post(extension_error))
        .layer(DefaultBodyLimit::max(2 * RESPONSE_BYTES_MAX))
        .with_state(Api { messages, launch });
    // It only ends with its task.
    let _ = axum::serve(listener, router).await;
}

impl Api {
    /// Sends a message and waits for its reply; `None` when the environment is ending.
    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (reply, is_replied) = oneshot::channel();
        self.tell(message(reply));
        is_replied.await.ok()
    }

    fn tell(&self, message: Message) {
        if let Some(messages) = self.messages.upgrade() {
            let _ = messages.send(message);
        }
    }
}

async fn runtime_next(State(api): State<Api>) -> Response {
    let Some(event) = api.ask(Message::RuntimeNext).await else { return ending() };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", event.request_id.clone()),
        ("lambda-runtime-deadline-ms", event.deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", event.arn.clone()),
        ("lambda-runtime-trace-id", trace_id(&event, &api.launch)),
    ];
    (headers, event.payload.to_string()).into_response()
}

async fn respond(
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if headers.contains_key("lambda-runtime-function-response-mode") {
        return refused(StatusCode::BAD_REQUEST, "InvalidResponseMode", "streaming is not emulated");
    }
    let too_large = body.len() > RESPONSE_BYTES_MAX;
    let response = if too_large {
        Err(FunctionError::new(
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded 6291456 bytes",
        ))
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| FunctionError::new("Runtime.MalformedResponse", error.to_string()))
    };
    match api.ask(|reply| Message::Answer(id, response, reply)).await {
        Some(true) if too_large => {
            refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "over 6291456 bytes")
        }
        Some(true) => accepted(),
        Some(false) => unknown_invocation(),
        None => ending(),
    }
}

async fn respond_error(State(api): State<Api>, Path(id): Path<String>, body: Bytes) -> Response {
    let error = function_error(&body);
    match api.ask(|reply| Message::Answer(id, Err(error), reply)).await {
        Some(true) => accepted(),
        Some(false) => unknown_invocation(),
        None => ending(),
    }
}

async fn init_error(State(api): State<Api>, body: Bytes) -> Response {
    api.tell(Message::InitError(function_error(&body)));
    accepted()
}

async fn register(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(name) = text(&headers, "lambda-extension-name") else {
        return refused(StatusCode::FORBIDDEN, "Extension.InvalidExtensionName", "no Lambda-Extension-Name");
    };
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(events) = request["events"].as_array() else {
        return refused(StatusCode::BAD_REQUEST, "InvalidRequestFormat", "no list of events");
    };
    if events.iter().any(|event| event == "SHUTDOWN") {
        let message = "internal extensions can't register for SHUTDOWN";
        return refused(StatusCode::FORBIDDEN, "ShutdownEventNotSupportedForInternalExtension", message);
    }
    if events.iter().any(|event| event != "INVOKE") {
        return refused(StatusCode::FORBIDDEN, "Extension.InvalidEventType", "an event that is not INVOKE");
    }
    let Some(registered) = api.ask(|reply| Message::Register(name, reply)).await else { return ending() };
    let Some(id) = registered else {
        return refused(StatusCode::FORBIDDEN, "Extension.RegistrationClosed", "init is over");
    };
    let body = json!({
        "functionName": api.launch.name, "functionVersion": "$LATEST", "handler": "bootstrap", "accountId": ACCOUNT,
    });
    ([("lambda-extension-identifier", id)], body.to_string()).into_response()
}

async fn extension_next(State(api): State<Api>, headers: HeaderMap) -> Response {
    let Some(id) = text(&headers, "lambda-extension-identifier") else {
        return refused(StatusCode::FORBIDDEN, "Extension.MissingExtensionIdentifier", "no identifier");
    };
    let Some(event) = api.ask(|reply| Message::ExtensionNext(id, reply)).await else {
        return refused(StatusCode::FORBIDDEN, "Extension.UnknownExtensionIdentifier", "unknown identifier");
    };
    let body = json!({
        "eventType": "INVOKE", "deadlineMs": event.deadline_ms, "requestId": event.request_id,
        "invokedFunctionArn": event.arn, "tracing": { "type": "X-Amzn-Trace-Id", "value": trace_id(&event, &api.launch) },
    });
    body.to_string().into_response()
}

async fn extension_error(State(api): State<Api>, headers: HeaderMap) -> Response {
    let reason = text(&headers, "lambda-extension-function-error-type").unwrap_or_default();
    api.tell(Message::ExtensionError(reason));
    accepted()
}

fn function_error(body: &[u8]) -> FunctionError {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |name: &str| error[name].as_str().unwrap_or("unknown").to_owned();
    FunctionError::new(field("errorType"), field("errorMessage"))
}

fn trace_id(event: &NextEvent, launch: &Launch) -> String {
    let id = if launch.one_trace { "0".repeat(32) } else { event.request_id.replace('-', "") };
    format!("Root=1-00000000-{};Parent=0000000000000000;Sampled=0", id.split_at(8).1)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, json!({ "status": "OK" }).to_string()).into_response()
}

fn unknown_invocation() -> Response {
    refused(StatusCode::BAD_REQUEST, "InvalidRequestID", "not the invocation under way, or answered already")
}

fn ending() -> Response {
    refused(StatusCode::GONE, "Environment.Ending", "the environment is ending")
}

fn refused(status: StatusCode, error_type: &str, message: &str) -> Response {
    (status, json!({ "errorType": error_type, "errorMessage": message }).to_string()).into_response()
}
