//! The webhook's requests: bodies and their limits. What a request means is the library's business.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use mayfly_service::inbound::{self, Answer, BODY_MOST, Gate};
use mayfly_service::mayfly::Mayfly;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::crew::Crew;
use super::http;

/// A client has so long to send a request's body. GitHub itself gives a delivery ten seconds in all.
const BODY_LONGEST: Duration = Duration::from_secs(15);
/// What is too large is read on, and forgotten, up to this, so that the client gets to read its answer. GitHub's
/// largest payloads have 25 MB.
const DISCARDED_MOST: usize = 32 << 20;

/// What answers requests.
#[derive(Debug)]
pub struct Front {
    pub mayfly: Arc<Mayfly>,
    pub gate: Gate,
    pub crew: Crew,
}

/// Why there is no whole body.
enum BodyError {
    Slow,
    Broken,
}

/// Serves until told to stop, and then until the last connection is done.
pub async fn serve(listener: TcpListener, front: Arc<Front>, stop: watch::Receiver<bool>) {
    http::serve(listener, move |request| answer(front.clone(), request), stop).await;
}

async fn answer(front: Arc<Front>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_LONGEST, read(body)).await.unwrap_or(Err(BodyError::Slow)) {
        Ok(body) => body,
        Err(BodyError::Slow) => return response(Answer::error(408, "the body took too long")),
        Err(BodyError::Broken) => return response(Answer::error(400, "the body broke off")),
    };
    // On its own, so that a client that goes away does not cut it off half-way.
    let answering = tokio::spawn(async move {
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let inbound = inbound::Request {
            method: head.method.as_str(),
            path: head.uri.path(),
            signature: header("x-hub-signature-256"),
            event: header("x-github-event"),
            delivery: header("x-github-delivery"),
            authorization: header("authorization"),
            body: &body,
        };
        let (answer, work) = front.mayfly.receive(&front.gate, inbound).await;
        if let Some(work) = work {
            front.crew.take_on(front.mayfly.clone(), work);
        }
        answer
    });
    match answering.await {
        Ok(answer) => response(answer),
        Err(_) => response(Answer::error(500, "the request could not be handled; deliver it again")),
    }
}

/// At most one byte more than is taken: the library then says that it is too large.
async fn read(mut body: Incoming) -> Result<Vec<u8>, BodyError> {
    let mut kept = Vec::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        seen += data.len();
        let room = (BODY_MOST + 1).saturating_sub(kept.len());
        kept.extend_from_slice(&data[..data.len().min(room)]);
        if seen > DISCARDED_MOST {
            break;
        }
    }
    Ok(kept)
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
