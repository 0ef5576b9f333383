//! What Prometheus reads, at an address of its own: whoever can reach the webhook need not know how a deployment is doing.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use mayfly_core::metrics::prometheus::CONTENT_TYPE;
use mayfly_service::mayfly::Mayfly;

use super::http::response;

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers `GET /metrics`, and nothing else.
pub fn answer(mayfly: &Mayfly, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    match (request.uri().path(), request.method()) {
        ("/metrics", &Method::GET) => response(200, CONTENT_TYPE, mayfly.exposition()),
        ("/metrics", _) => response(405, TEXT, "method not allowed\n".to_owned()),
        _ => response(404, TEXT, "not found: metrics are at /metrics\n".to_owned()),
    }
}
