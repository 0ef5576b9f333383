//! Answers that the world does not give, and Google might.

use std::sync::Arc;

use serde_json::json;
use simulator::{Body, Request, Response};
use simulator_compute::{Clients, Sent, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::both::{Token, official};
use crate::calls::{About, Call};
use crate::facts::{Facts, Outcome};

/// A wire that always brings the same answer.
#[derive(Debug)]
struct Canned(Response);

impl Wire for Canned {
    fn send(&self, _request: Request) -> Sent {
        let response = self.0.clone();
        Box::pin(async { Ok(response) })
    }
}

/// A server that gives one answer and closes the connection; where it listens.
async fn serve_once(response: &Response) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = match &response.body {
        Body::Json(value) => value.to_string(),
        Body::Empty | Body::Garbage(_) => String::new(),
    };
    let mut text = format!("HTTP/1.1 {} Something\r\nconnection: close\r\n", response.status);
    if response.status != 204 {
        text += &format!("content-length: {}\r\n", body.len());
    }
    if !body.is_empty() {
        text += "content-type: application/json; charset=utf-8\r\n";
    }
    for (name, value) in &response.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("\r\n{body}");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 8192];
        // The requests here are small, and come in one piece.
        let _ = stream.read(&mut asked).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
    });
    url
}

async fn told(response: Response) -> (Outcome, Outcome) {
    let official = official(&serve_once(&response).await, Token("a-token".to_owned()).into()).await;
    let stubbed = Clients::over(Arc::new(Canned(response)), "a-token");
    let about = About::vm("vm-1");
    let wanted = Outcome::of(&Call::Instance.make(&official, &about, 0).await);
    (wanted, Outcome::of(&Call::Instance.make(&stubbed, &about, 1).await))
}

#[tokio::test]
async fn unusual_answers_are_told_the_same() {
    let detailed = json!({ "error": { "code": 403, "message": "slow down", "status": "RESOURCE_EXHAUSTED",
        "errors": [{ "message": "slow down", "domain": "usageLimits", "reason": "rateLimitExceeded" }],
        "details": [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com", "metadata": { "service": "compute.googleapis.com" } },
            { "@type": "type.googleapis.com/google.rpc.Unheard", "more": 1 }] } });
    let unusual = [
        Response::empty(200),
        Response::empty(204),
        Response::json(201, json!({ "name": "created", "unheardOf": [1, 2.5, null], "status": "UNHEARD" })),
        Response::json(403, detailed).header("retry-after", 30).header("X-Odd", "a"),
        Response::json(404, json!({ "error": "not_found", "error_description": "in another form" })),
        Response::json(500, json!(["no", "object"])),
        Response::empty(502).header("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),
        Response::json(503, json!({})),
        Response::empty(304),
    ];
    for response in unusual {
        let said = format!("{response:?}");
        let (wanted, got) = told(response).await;
        assert_eq!(got, wanted, "{said}");
    }
}

#[tokio::test]
async fn json_of_another_shape_cannot_be_read() {
    for body in [json!({ "labels": 7 }), json!("text"), json!({ "disks": { "boot": true } })] {
        let (wanted, got) = told(Response::json(200, body)).await;
        // Only the official client knows the line and the column.
        let without_text = |told: &Outcome| Facts { text: None, ..told.facts().clone() };
        assert_eq!(without_text(&got), without_text(&wanted));
        assert_eq!(got.facts().is, ["deserialization"]);
    }
}
