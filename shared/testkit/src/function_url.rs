//! HTTP requests and responses in the shapes of a Function URL: payload format 2.0, which HTTP APIs use as well.
//!
//! Source: AWS Lambda Developer Guide, "Invoking Lambda function URLs", request and response payload format.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A request to a Function URL, to be made into the event that the function gets.
#[derive(Debug, Clone)]
pub struct UrlRequest {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    cookies: Vec<String>,
    body: Vec<u8>,
    base64: bool,
}

impl UrlRequest {
    /// A request without headers or body.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            headers: BTreeMap::new(),
            cookies: Vec::new(),
            body: Vec::new(),
            base64: false,
        }
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST with a body.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).body(body)
    }

    /// The body. What is not UTF-8 goes into the event as base64.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Puts the body into the event as base64 even if it is text, as AWS does by the request's content type.
    #[must_use]
    pub fn base64(mut self) -> Self {
        self.base64 = true;
        self
    }

    /// The raw query string, without `?`.
    #[must_use]
    pub fn query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }

    /// Adds a header. Names become lower case; values of the same name are joined by commas; `cookie` has a field of
    /// its own in the event.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = name.to_ascii_lowercase();
        if name == "cookie" {
            self.cookies.extend(value.split("; ").map(str::to_owned));
            return self;
        }
        let joined = match self.headers.get(&name) {
            Some(earlier) => format!("{earlier},{value}"),
            None => value.to_owned(),
        };
        self.headers.insert(name, joined);
        self
    }

    /// Adds several headers.
    #[must_use]
    pub fn headers<'a>(self, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        headers.into_iter().fold(self, |request, (name, value)| request.header(name, value))
    }

    /// The event.
    pub fn event(&self) -> Value {
        const DOMAIN: &str = "testkit.lambda-url.us-east-1.on.aws";
        let mut headers = self.headers.clone();
        headers.entry("host".to_owned()).or_insert_with(|| DOMAIN.to_owned());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let agent = headers.get("user-agent").cloned().unwrap_or_default();
        let mut event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": self.path,
            "rawQueryString": self.query,
            "headers": headers,
            "requestContext": {
                "accountId": "anonymous",
                "apiId": "testkit",
                "domainName": DOMAIN,
                "domainPrefix": "testkit",
                "http": {
                    "method": self.method, "path": self.path, "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1", "userAgent": agent,
                },
                "requestId": "testkit",
                "routeKey": "$default",
                "stage": "$default",
                "time": Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
                "timeEpoch": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            },
            "isBase64Encoded": false,
        });
        if !self.cookies.is_empty() {
            event["cookies"] = json!(self.cookies);
        }
        let parameters = query_parameters(&self.query);
        if !parameters.is_empty() {
            event["queryStringParameters"] = json!(parameters);
        }
        if !self.body.is_empty() {
            let text = std::str::from_utf8(&self.body).ok().filter(|_| !self.base64);
            event["isBase64Encoded"] = json!(text.is_none());
            event["body"] = text.map_or_else(|| json!(STANDARD.encode(&self.body)), |text| json!(text));
        }
        event
    }
}

/// The query's parameters, decoded; values of the same name are joined by commas.
fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (percent_decoded(name), percent_decoded(value));
        parameters.entry(name).and_modify(|all| *all = format!("{all},{value}")).or_insert(value);
    }
    parameters
}

fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let byte = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| {
            let hex = std::str::from_utf8(hex).ok()?;
            u8::from_str_radix(hex, 16).ok()
        });
        decoded.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A function's response, as the Function URL passes it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlResponse {
    /// The HTTP status.
    pub status: u16,
    /// Headers by name, in lower case; without `set-cookie`.
    pub headers: BTreeMap<String, String>,
    /// Values of `set-cookie`.
    pub cookies: Vec<String>,
    /// The body, decoded if it came as base64.
    pub body: Vec<u8>,
}

/// A response that a Function URL would turn into a 502.
#[derive(Debug, thiserror::Error)]
#[error("the function's response is no HTTP response: {0}")]
pub struct BadResponse(String);

impl UrlResponse {
    /// Reads the function's response. One without `statusCode` stands for a 200 with that JSON as its body.
    ///
    /// # Errors
    /// [`BadResponse`] for a field of the wrong type.
    pub fn from_response(response: &Value) -> Result<Self, BadResponse> {
        let bad = |what: &str| BadResponse(format!("{what} in {response}"));
        let Some(status) = response.get("statusCode") else {
            let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
            let body = response.to_string().into_bytes();
            return Ok(Self { status: 200, headers, cookies: Vec::new(), body });
        };
        let status = status.as_u64().and_then(|status| u16::try_from(status).ok());
        let status = status.filter(|status| (100..600).contains(status)).ok_or_else(|| bad("no status"))?;
        let mut headers = BTreeMap::new();
        for (name, value) in response["headers"].as_object().into_iter().flatten() {
            let value = value.as_str().ok_or_else(|| bad("a header that is no text"))?;
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let cookies = response["cookies"].as_array().into_iter().flatten();
        let cookies = cookies.filter_map(|cookie| cookie.as_str().map(str::to_owned)).collect();
        let text = response["body"].as_str().unwrap_or_default();
        let body = if response["isBase64Encoded"] == true {
            STANDARD.decode(text).map_err(|_| bad("a body that is no base64"))?
        } else {
            text.as_bytes().to_vec()
        };
        Ok(Self { status, headers, cookies, body })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}
