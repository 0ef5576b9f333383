//! HTTP in and out: a request on the wire becomes a call, its reply becomes an answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes};
use axum::http::StatusCode;
use axum::response::Response as HttpResponse;
use http_body::{Frame, SizeHint};
use jiff::{SignedDuration, Timestamp};

use super::Shared;
use crate::world::request::{Api, Method, Reply, Request, Response, parse_pairs};

/// Larger requests than any that the APIs take.
const LARGEST_BODY_BYTES: usize = 4 * 1024 * 1024;
/// A call that is never answered is given up after this, so that nothing is kept for ever.
const LONGEST_HANG: Duration = Duration::from_secs(900);

/// Answer one request.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    api: Api,
    request: axum::extract::Request,
) -> Result<HttpResponse, Infallible> {
    let skew = match api {
        Api::GitHub => shared.github_ahead(),
        Api::Gcp | Api::Proxmox => SignedDuration::ZERO,
    };
    let Some(request) = read(api, skew, request).await else {
        return Ok(status_only(StatusCode::BAD_REQUEST));
    };
    let mut reply = shared.call(&request);
    loop {
        match reply {
            Reply::Answer { response, delay } => {
                tokio::time::sleep(shared.clock.real(delay)).await;
                if let Some(log) = &shared.wire_log {
                    log.append(&request, &response);
                }
                return Ok(hyper::Response::<Vec<u8>>::from(dated(response, skew)).map(HttpBody::from));
            }
            Reply::Blocked { until, ticket } => {
                shared.changed_or(until).await;
                reply = shared.resume(ticket);
            }
            Reply::Closed => return Ok(closed()),
            Reply::Hangs => {
                tokio::time::sleep(LONGEST_HANG).await;
                return Ok(closed());
            }
        }
    }
}

/// None for a request that no API here would even look at.
async fn read(api: Api, skew: SignedDuration, request: axum::extract::Request) -> Option<Request> {
    let (parts, body) = request.into_parts();
    let method = Method::parse(parts.method.as_str())?;
    let body = axum::body::to_bytes(body, LARGEST_BODY_BYTES).await.ok()?;
    let headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    Some(Request {
        api,
        method,
        path: parts.uri.path().to_owned(),
        query: parse_pairs(parts.uri.query().unwrap_or_default()),
        headers,
        body: body.to_vec(),
        wall: wall(skew),
    })
}

/// The time by a clock that is so far ahead.
fn wall(skew: SignedDuration) -> Timestamp {
    Timestamp::now().saturating_add(skew).unwrap_or(Timestamp::MAX)
}

/// The header `date` of a clock that differs; else the server writes it.
fn dated(response: Response, skew: SignedDuration) -> Response {
    if skew.is_zero() {
        return response;
    }
    match jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&wall(skew)) {
        Ok(date) => response.header("date", date),
        Err(_) => response,
    }
}

fn status_only(status: StatusCode) -> HttpResponse {
    let mut answer = HttpResponse::new(HttpBody::empty());
    *answer.status_mut() = status;
    answer
}

/// An answer whose body fails before its first byte: the server then closes the connection without
/// having sent anything.
fn closed() -> HttpResponse {
    HttpResponse::new(HttpBody::new(Broken))
}

struct Broken;

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Err(std::io::Error::other("the connection is closed on purpose"))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(1)
    }
}

/// Send one webhook delivery; what it was answered, or 502 and 504 as GitHub lists failures.
pub(crate) async fn deliver(
    client: &reqwest::Client,
    url: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
) -> u16 {
    let Some(url) = url else { return 502 };
    let mut request = client.post(url).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    match request.send().await {
        Ok(response) => response.status().as_u16(),
        Err(error) if error.is_timeout() => 504,
        Err(_) => 502,
    }
}
