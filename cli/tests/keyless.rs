//! The file that terraform renders for Google's credentials (`infra/test/fixtures`) logs a function in without any key: with
//! what Lambda gives it of AWS. This test is Google's token service.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use reqwest::Url;
use serde_json::{Value, json};
use simulator::{JobSpec, JobState, Simulator, World};

use common::{LABELS, Place, SOON};

const ACCESS_KEY: &str = "ASIATESTKITDUMMY";
const SESSION: &str = "a session's token";
const FEDERATED: &str = "a federated token";

/// Google's token service: whom it lets in, and what it was asked.
struct Tokens {
    audience: String,
    /// The token of the service account.
    token: String,
    asked: Mutex<Vec<&'static str>>,
}

/// The fields of a form, or of a query.
fn fields(text: &str) -> BTreeMap<String, String> {
    let url = Url::parse(&format!("http://x/?{text}")).unwrap();
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// AWS's word for who asks: a request that it would answer, signed and not sent.
fn is_signed_by_the_function(subject: &str, audience: &str) -> bool {
    let subject = fields(&format!("token={subject}")).remove("token").unwrap();
    let request: Value = serde_json::from_str(&subject).unwrap();
    let headers: BTreeMap<&str, &str> = request["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|header| (header["key"].as_str().unwrap(), header["value"].as_str().unwrap()))
        .collect();
    request["url"] == "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
        && headers["x-goog-cloud-target-resource"] == audience
        && headers["x-amz-security-token"] == SESSION
        && headers["Authorization"].starts_with(&format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/"))
}

async fn exchange(State(tokens): State<Arc<Tokens>>, form: String) -> (StatusCode, Json<Value>) {
    let form = fields(&form);
    let right = form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
        && form["subject_token_type"] == "urn:ietf:params:aws:token-type:aws4_request"
        && form["audience"] == tokens.audience
        && is_signed_by_the_function(&form["subject_token"], &tokens.audience);
    if !right {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_request" })));
    }
    tokens.asked.lock().unwrap().push("exchange");
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let answer = json!({
        "access_token": FEDERATED, "issued_token_type": kind, "token_type": "Bearer", "expires_in": 3600,
    });
    (StatusCode::OK, Json(answer))
}

async fn impersonate(State(tokens): State<Arc<Tokens>>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    if headers["authorization"] != format!("Bearer {FEDERATED}") {
        return (StatusCode::UNAUTHORIZED, Json(json!({})));
    }
    tokens.asked.lock().unwrap().push("impersonate");
    (StatusCode::OK, Json(json!({ "accessToken": tokens.token, "expireTime": "2099-01-01T00:00:00Z" })))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_logs_in_at_google_with_what_lambda_gives_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/test/fixtures/gcp-credentials.json");
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let simulator =
        Simulator::start(simulator::Settings::brisk(), simulator::ServeOptions::default()).await.unwrap();
    let tokens = Arc::new(Tokens {
        audience: file["audience"].as_str().unwrap().to_owned(),
        token: simulator.with(|world, _| world.access.gcp_token.clone()),
        asked: Mutex::default(),
    });
    // Changed is only where Google is.
    let google = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = format!("http://{}", google.local_addr().unwrap());
    let mut routes = Router::new();
    for (name, host) in [
        ("token_url", "https://sts.googleapis.com"),
        ("service_account_impersonation_url", "https://iamcredentials.googleapis.com"),
    ] {
        let at = file[name].as_str().unwrap().strip_prefix(host).unwrap().to_owned();
        file[name] = json!(format!("{here}{at}"));
        routes = match name {
            "token_url" => routes.route(&at, post(exchange)),
            _ => routes.route(&at, post(impersonate)),
        };
    }
    let serving = axum::serve(google, routes.with_state(tokens.clone())).into_future();
    tokio::spawn(serving);

    let place = Place::on(&simulator)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", "testkit-dummy-secret-access-key")
        .env("AWS_SESSION_TOKEN", SESSION);
    std::fs::write(place.path("google.json"), file.to_string()).unwrap();
    let mayfly = place.serve();
    simulator.with(|world, _| common::WEBHOOK_SECRET.clone_into(&mut world.access.webhook_secret));
    simulator.set_webhook(&format!("{}/webhook", mayfly.url));
    simulator.with(|world, now| {
        world.queue_job(now, JobSpec::new("shader-slang/slang", &LABELS).lasting(Duration::from_millis(200)))
    });
    let served = |world: &World| {
        world.jobs().iter().all(|job| matches!(job.state, JobState::Ended { ran: Some(_), .. }))
    };
    assert!(simulator.until(SOON, served).await.is_ok(), "{}", place.log());
    assert_eq!(mayfly.stop().await.code(), Some(0));
    let asked = tokens.asked.lock().unwrap().clone();
    assert!(asked.starts_with(&["exchange", "impersonate"]), "{asked:?}");
}
