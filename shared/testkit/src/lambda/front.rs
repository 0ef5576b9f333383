//! A Function URL: HTTP requests become invocations of a fleet, responses become HTTP again.

use std::io;
use std::net::SocketAddr;
use std::sync::Weak;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::fleet::Inner;
use super::function::InvokeError;
use crate::background;
use crate::function_url::{UrlRequest, UrlResponse};

/// A Function URL's quota for a request.
const REQUEST_BYTES_MAX: usize = 6 * 1024 * 1024;

/// A loopback HTTP server in front of a [`Fleet`](super::Fleet). Like a Function URL it answers 429 when no environment is
/// free, 502 when the function fails, 413 over 6 MiB; 503 when the fleet has been dropped. Dropping it stops it.
pub struct FunctionUrl {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl FunctionUrl {
    pub(crate) fn serve(fleet: Weak<Inner>) -> io::Result<Self> {
        let (listener, address) = background::listen()?;
        let router = Router::new()
            .fallback(handle)
            .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .with_state(Front { fleet });
        let server = background::handle()?.spawn(async move {
            // It only ends with its task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, server })
    }

    /// `http://127.0.0.1:PORT`, without a final slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for FunctionUrl {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Front {
    fleet: Weak<Inner>,
}

async fn handle(
    State(front): State<Front>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(fleet) = front.fleet.upgrade() else { return message(StatusCode::SERVICE_UNAVAILABLE, "gone") };
    let event = event(&method, &uri, &headers, &body);
    match fleet.invoke(event).await {
        Ok(invocation) => match invocation.response.map(|response| respond(&response)) {
            Ok(Some(response)) => response,
            Ok(None) | Err(_) => message(StatusCode::BAD_GATEWAY, "Internal Server Error"),
        },
        Err(InvokeError::Throttled { .. }) => message(StatusCode::TOO_MANY_REQUESTS, "Rate Exceeded."),
        Err(InvokeError::Start(_) | InvokeError::Gone) => {
            message(StatusCode::BAD_GATEWAY, "Internal Server Error")
        }
    }
}

fn event(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Value {
    let mut request = UrlRequest::new(method.as_str(), uri.path())
        .query(uri.query().unwrap_or_default())
        .body(body)
        .headers(headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))));
    if !is_text(headers.get("content-type")) {
        request = request.base64();
    }
    request.event()
}

/// Which bodies reach a function as they are; all others do as base64.
fn is_text(content_type: Option<&HeaderValue>) -> bool {
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["text/", "application/json", "application/javascript", "application/xml"]
        .iter()
        .any(|prefix| content_type.starts_with(prefix))
}

fn respond(response: &Value) -> Option<Response> {
    let UrlResponse { status, headers, cookies, body } = UrlResponse::from_response(response).ok()?;
    let builder = Response::builder().status(status);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value));
    let builder = cookies.iter().fold(builder, |builder, cookie| builder.header("set-cookie", cookie));
    builder.body(Body::from(body)).ok()
}

fn message(status: StatusCode, message: &str) -> Response {
    (status, serde_json::json!({ "Message": message }).to_string()).into_response()
}
