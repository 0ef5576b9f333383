//! Between the world's calls and HTTP's types, with or without a socket.

use hyper::StatusCode;
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::world::request::{Api, Body, Method, Request, Response};

impl Request {
    /// What a client would send to this API, for a world that is called without a socket; such a world asks for no real time. `None` where no API here
    /// would even look at it.
    pub fn of_client(api: Api, request: &reqwest::Request) -> Option<Self> {
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        Some(Self {
            api,
            method: Method::parse(request.method().as_str())?,
            path: request.url().path().to_owned(),
            query: request.url().query_pairs().map(|(name, value)| (name.into(), value.into())).collect(),
            headers: request.headers().iter().filter_map(header).collect(),
            body: request.body().and_then(|body| body.as_bytes()).unwrap_or_default().to_vec(),
            wall: Timestamp::UNIX_EPOCH,
        })
    }
}

impl From<Response> for hyper::Response<Vec<u8>> {
    fn from(response: Response) -> Self {
        let (body, is_json) = match response.body {
            Body::Empty => (Vec::new(), false),
            Body::Json(value) => (value.to_string().into_bytes(), true),
            Body::Garbage(bytes) => (bytes, true),
        };
        let mut answer = Self::new(body);
        *answer.status_mut() =
            StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(phrase) = response.reason.and_then(|text| ReasonPhrase::try_from(text).ok()) {
            answer.extensions_mut().insert(phrase);
        }
        let headers = answer.headers_mut();
        if is_json {
            let json = HeaderValue::from_static("application/json; charset=utf-8");
            headers.insert(header::CONTENT_TYPE, json);
        }
        for (name, value) in response.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        answer
    }
}
