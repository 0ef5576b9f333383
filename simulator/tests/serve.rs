//! The served world, over real sockets: credentials, deliveries, faults, and the traffic log held against
//! the vendors' published descriptions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use common::{INSTANCES, LABELS, instance, wirecheck};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::Sha256;
use simulator::{Fault, JobSpec, ServeOptions, Settings, Simulator};

const SOON: Duration = Duration::from_secs(10);
const SECRET: &str = "a webhook secret";

type Received = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A receiver of webhooks that answers 202.
async fn receiver() -> (String, Received) {
    let received = Received::default();
    let kept = received.clone();
    let router = Router::new().route(
        "/webhook",
        post(move |headers: HeaderMap, body: Bytes| async move {
            kept.lock().unwrap().push((headers, body));
            StatusCode::ACCEPTED
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, received)
}

struct Client {
    simulator: Simulator,
    http: reqwest::Client,
    jwts: std::cell::Cell<u64>,
}

impl Client {
    async fn start(settings: Settings, options: ServeOptions) -> Self {
        let simulator = Simulator::start(settings, options).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().user_agent("test").build().unwrap();
        Self { simulator, http, jwts: std::cell::Cell::new(0) }
    }

    fn app_jwt(&self) -> String {
        self.jwts.set(self.jwts.get() + 1);
        let now = Timestamp::now().as_second();
        let claims = json!({ "iss": self.simulator.app_client_id(), "iat": now - 30, "exp": now + 500,
            "jti": self.jwts.get().to_string() });
        let key = EncodingKey::from_rsa_pem(self.simulator.app_private_key_pem().as_bytes()).unwrap();
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
    }

    fn google_jwt(&self, scope: &str, audience: Option<&str>) -> String {
        let file: Value = serde_json::from_str(&self.simulator.service_account_json()).unwrap();
        let now = Timestamp::now().as_second();
        let mut claims = json!({ "iss": file["client_email"], "sub": file["client_email"],
            "iat": now - 10, "exp": now + 3500, "scope": scope });
        if let Some(audience) = audience {
            claims["aud"] = json!(audience);
        }
        let mut header = Header::new(Algorithm::RS256);
        header.kid = file["private_key_id"].as_str().map(str::to_owned);
        let key = EncodingKey::from_rsa_pem(file["private_key"].as_str().unwrap().as_bytes()).unwrap();
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    }

    async fn send(&self, request: reqwest::RequestBuilder, token: &str) -> (u16, Value) {
        let response = request.bearer_auth(token).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn github_get(&self, path: &str, token: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.simulator.github_url()));
        let (status, body) = self.send(request, token).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn gcp_get(&self, path: &str, token: &str) -> Value {
        let path = format!("/compute/v1/projects/slang-runners{path}");
        let request = self.http.get(format!("{}{path}", self.simulator.gcp_url()));
        let (status, body) = self.send(request, token).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn installation_token(&self) -> String {
        let url = format!(
            "{}/app/installations/{}/access_tokens",
            self.simulator.github_url(),
            self.simulator.installation_id()
        );
        let (status, body) = self.send(self.http.post(url), &self.app_jwt()).await;
        assert_eq!(status, 201);
        body["token"].as_str().unwrap().to_owned()
    }

    /// JIT configuration and VM; waits for the insert's operation. The answer of the wait.
    async fn provision(&self, name: &str, github: &str, google: &str) -> Value {
        let url =
            format!("{}/orgs/shader-slang/actions/runners/generate-jitconfig", self.simulator.github_url());
        let body = json!({ "name": name, "runner_group_id": 1, "labels": LABELS });
        let (status, jit) = self.send(self.http.post(url).json(&body), github).await;
        assert_eq!(status, 201);
        let config = jit["encoded_jit_config"].as_str().unwrap();
        let url = format!("{}{INSTANCES}", self.simulator.gcp_url());
        let request = self.http.post(url).json(&instance(name, config));
        let query =
            [("sourceInstanceTemplate", "global/instanceTemplates/linux-gpu-runner"), ("$alt", "json")];
        let (status, operation) = self.send(request.query(&query), google).await;
        assert_eq!(status, 200, "{operation}");
        let url = format!(
            "{}/compute/v1/projects/slang-runners/zones/us-east1-c/operations/{}/wait",
            self.simulator.gcp_url(),
            operation["name"].as_str().unwrap()
        );
        self.send(self.http.post(url), google).await.1
    }
}

fn options(log: Option<&Path>) -> ServeOptions {
    let default = ServeOptions::default();
    let wire_log = log.map(Path::to_owned).or(default.wire_log.clone());
    ServeOptions { webhook_secret: SECRET.to_owned(), wire_log, ..default }
}

fn signature(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[tokio::test]
async fn a_job_from_its_webhook_to_its_end_and_nothing_of_it_is_unpublished() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("wire.jsonl");
    let settings = Settings { enterprise: Some("shaders".to_owned()), ..Settings::brisk() };
    let client = Client::start(settings, options(Some(&log))).await;
    let (url, received) = receiver().await;
    client.simulator.set_webhook(&url);
    let github = client.installation_token().await;
    let google = client.google_jwt("https://www.googleapis.com/auth/cloud-platform", None);

    let spec = JobSpec::new("shader-slang/slang", &LABELS).lasting(Duration::from_millis(100));
    let waiting = client.simulator.with(|world, now| world.queue_job(now, spec.clone().waiting()));
    let job = client.simulator.with(|world, now| world.queue_job(now, spec));
    let operation = client.provision("test-linux-gpu-1", &github, &google).await;
    assert_eq!(operation["status"], "DONE");
    let running =
        client.simulator.until(SOON, |world| world.job_state(job).unwrap().status() == "in_progress");
    running.await.unwrap();
    read_everything(&client, &github, &google).await;
    let ended = client.simulator.until(SOON, |world| world.job_state(job).unwrap().status() == "completed");
    ended.await.unwrap();
    client.simulator.with(|world, now| world.cancel_job(now, waiting));
    let off = client.simulator.until(SOON, |world| world.vms()[0].status == "TERMINATED");
    off.await.unwrap();
    let vm = format!("{}{INSTANCES}/test-linux-gpu-1", client.simulator.gcp_url());
    assert_eq!(client.send(client.http.delete(vm), &google).await.0, 200);
    client.simulator.until(SOON, simulator::World::is_quiet).await.unwrap();
    assert_eq!(client.simulator.with(|world, _| world.violations().to_vec()), []);

    read_deliveries(&client, 6).await;
    check_received(&received);
    wirecheck(&log);
}

/// Every list and object that the world can show.
async fn read_everything(client: &Client, github: &str, google: &str) {
    let runner = client.github_get("/orgs/shader-slang/actions/runners", github).await["runners"][0].clone();
    let run = client.github_get("/repos/shader-slang/slang/actions/runs?status=in_progress", github).await;
    let run = run["workflow_runs"][0]["id"].clone();
    let job = client.github_get(&format!("/repos/shader-slang/slang/actions/runs/{run}/jobs"), github).await;
    let paths = [
        format!("/orgs/shader-slang/actions/runners/{}", runner["id"]),
        "/repos/shader-slang/slang/actions/runners?per_page=100".to_owned(),
        "/enterprises/shaders/actions/runners".to_owned(),
        "/orgs/shader-slang/actions/runner-groups".to_owned(),
        "/orgs/shader-slang/actions/runner-groups/1".to_owned(),
        "/orgs/shader-slang/actions/runner-groups/1/repositories".to_owned(),
        "/enterprises/shaders/actions/runner-groups".to_owned(),
        format!("/repos/shader-slang/slang/actions/runs/{run}"),
        format!("/repos/shader-slang/slang/actions/jobs/{}", job["jobs"][0]["id"]),
        "/orgs/shader-slang/hooks".to_owned(),
        "/repos/shader-slang/slang".to_owned(),
        "/orgs/shader-slang/repos".to_owned(),
        "/installation/repositories".to_owned(),
        "/meta".to_owned(),
        "/rate_limit".to_owned(),
    ];
    for path in paths {
        client.github_get(&path, github).await;
    }
    let installation = format!("/app/installations/{}", client.simulator.installation_id());
    let for_the_app = [
        "/app",
        "/app/installations",
        &installation,
        "/app/hook/config",
        "/orgs/shader-slang/installation",
        "/repos/shader-slang/slang/installation",
        "/users/shader-slang/installation",
        "/enterprises/shaders/installation",
    ];
    for path in for_the_app {
        client.github_get(path, &client.app_jwt()).await;
    }
    read_google(client, google).await;
}

async fn read_google(client: &Client, google: &str) {
    let paths = [
        "",
        "/regions",
        "/regions/us-east1",
        "/zones",
        "/zones/us-east1-c",
        "/global/instanceTemplates",
        "/global/instanceTemplates/linux-gpu-runner",
        "/zones/us-east1-c/machineTypes/n1-standard-4",
        "/zones/us-east1-c/acceleratorTypes",
        "/zones/us-east1-c/acceleratorTypes/nvidia-tesla-t4",
        "/zones/us-east1-c/instances",
        "/zones/us-east1-c/instances/test-linux-gpu-1",
        "/aggregated/instances?filter=labels.mayfly-deployment%3Dtest",
    ];
    for path in paths {
        client.gcp_get(path, google).await;
    }
    let url = format!("{}{INSTANCES}/test-linux-gpu-1/testIamPermissions", client.simulator.gcp_url());
    let body = json!({ "permissions": ["compute.instances.delete"] });
    assert_eq!(client.send(client.http.post(url).json(&body), google).await.0, 200);
}

/// Each delivery is read back, so that the check of the log sees the payloads.
async fn read_deliveries(client: &Client, expected: usize) {
    let list = client.github_get("/app/hook/deliveries?per_page=100", &client.app_jwt()).await;
    let list = list.as_array().unwrap().clone();
    assert_eq!(list.len(), expected);
    for delivery in list {
        assert_eq!(delivery["status"], "OK");
        client.github_get(&format!("/app/hook/deliveries/{}", delivery["id"]), &client.app_jwt()).await;
    }
}

fn check_received(received: &Received) {
    for (headers, body) in received.lock().unwrap().iter() {
        assert_eq!(headers["x-hub-signature-256"], signature(body).as_str());
        assert_eq!(headers["x-github-event"], "workflow_job");
        assert!(headers["user-agent"].to_str().unwrap().starts_with("GitHub-Hookshot/"));
        for name in ["x-github-delivery", "x-github-hook-id"] {
            assert!(headers.contains_key(name), "{name}");
        }
        assert!((10_000..30_000).contains(&body.len()), "{} bytes", body.len());
    }
}

#[tokio::test]
async fn a_jwt_is_good_once_and_tokens_expire() {
    let settings = Settings { token_lifetime: Duration::ZERO, ..Settings::brisk() };
    let client = Client::start(settings, options(None)).await;
    let url = format!("{}/app", client.simulator.github_url());
    let jwt = client.app_jwt();
    assert_eq!(client.send(client.http.get(&url), &jwt).await.0, 200);
    assert_eq!(client.send(client.http.get(&url), &jwt).await.0, 401);
    let mut forged = client.app_jwt();
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    assert_eq!(client.send(client.http.get(&url), &forged).await.0, 401);
    let token = client.installation_token().await;
    assert_eq!(token.len(), 520);
    let runners = format!("{}/orgs/shader-slang/actions/runners", client.simulator.github_url());
    assert_eq!(client.send(client.http.get(runners), &token).await.0, 401);
}

#[tokio::test]
async fn google_takes_a_signed_jwt_or_exchanges_it_for_an_access_token() {
    let client = Client::start(Settings::brisk(), options(None)).await;
    let zones = format!("{}/compute/v1/projects/slang-runners/zones", client.simulator.gcp_url());
    let wrong = client.google_jwt("https://www.googleapis.com/auth/drive", None);
    assert_eq!(client.send(client.http.get(&zones), &wrong).await.0, 401);
    let token_url = format!("{}/token", client.simulator.gcp_url());
    let assertion = client.google_jwt("https://www.googleapis.com/auth/cloud-platform", Some(&token_url));
    let form =
        format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
    let request = client.http.post(&token_url).header("content-type", "application/x-www-form-urlencoded");
    let answer: Value =
        serde_json::from_str(&request.body(form).send().await.unwrap().text().await.unwrap()).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(client.send(client.http.get(&zones), token).await.0, 200);
}

#[tokio::test]
async fn connections_close_answers_come_garbled_and_late() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("wire.jsonl");
    let client = Client::start(Settings::brisk(), options(Some(&log))).await;
    let url = format!("{}/rate_limit", client.simulator.github_url());
    client.simulator.with(|world, _| {
        world.faults.once("github.rate_limit", Fault::ClosedBefore);
        world.faults.once("github.rate_limit", Fault::Garbage);
        world.faults.once("github.rate_limit", Fault::HangsBefore);
        world.faults.once("github.rate_limit", Fault::Slow(Duration::from_millis(200)));
    });
    assert!(client.http.get(&url).send().await.unwrap_err().is_request());
    let garbled = client.http.get(&url).send().await.unwrap();
    assert_eq!(garbled.status(), 200);
    assert!(serde_json::from_str::<Value>(&garbled.text().await.unwrap()).is_err());
    let impatient = client.http.get(&url).timeout(Duration::from_millis(100)).send().await;
    assert!(impatient.unwrap_err().is_timeout());
    let began = std::time::Instant::now();
    assert_eq!(client.http.get(&url).send().await.unwrap().status(), 200);
    assert!(began.elapsed() >= Duration::from_millis(200));
    let lines = std::fs::read_to_string(&log).unwrap().lines().count();
    assert_eq!(lines, 1, "only what was answered is logged");
}

#[tokio::test]
async fn simulated_time_may_run_faster_than_real_time() {
    let fast = ServeOptions { speed: 500.0, ..options(None) };
    let client = Client::start(Settings::default(), fast).await;
    let github = client.installation_token().await;
    let google = client.google_jwt("https://www.googleapis.com/auth/cloud-platform", None);
    let spec = JobSpec::new("shader-slang/slang", &LABELS).lasting(Duration::from_secs(60));
    let job = client.simulator.with(|world, now| world.queue_job(now, spec));
    client.provision("a", &github, &google).await;
    let ended = client.simulator.until(SOON, |world| world.job_state(job).unwrap().status() == "completed");
    ended.await.unwrap();
    assert!(client.simulator.until(Duration::from_millis(20), |world| world.is_quiet()).await.is_err());
}

#[tokio::test]
async fn a_delivery_that_nobody_takes_is_listed_as_failed() {
    let client = Client::start(Settings::brisk(), options(None)).await;
    let spec = JobSpec::new("shader-slang/slang", &LABELS);
    client.simulator.with(|world, now| world.queue_job(now, spec));
    let lost = simulator::HappeningKind::DeliveryLost;
    let told = client.simulator.until(SOON, |world| world.history().iter().any(|each| each.kind == lost));
    told.await.unwrap();
    let list = client.github_get("/app/hook/deliveries?status=failure", &client.app_jwt()).await;
    assert_eq!(list[0]["status_code"], 502);
}
