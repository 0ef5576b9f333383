//! `mayfly serve` on real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use mayfly_testkit::secrets::Canaries;
use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::tcp_proxy::Link;
use mayfly_testkit::wait_for;
use serde_json::json;
use simulator::{ServeOptions, Settings, Simulator};

use common::{LABELS, Place, SOON, WEBHOOK_SECRET, answer, complaint};

const MIB: usize = 1 << 20;

fn queued(job: u64, labels: &[&str]) -> Delivery {
    let job = WorkflowJob::new(job, "shader-slang/slang", labels);
    Delivery::workflow_job("d-1", &job.queued(), WEBHOOK_SECRET)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn no_image_of_its_memory_is_left_on_a_disk() {
    let place = Place::alone();
    let serving = place.serve();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serving.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    assert_eq!(serving.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_the_contract_has_its_answer() {
    let place = Place::alone();
    let serving = place.serve();
    let (client, webhook) = (&serving.client, format!("{}/webhook", serving.url));

    let (status, body) = answer(client.get(format!("{}/healthz", serving.url))).await;
    assert_eq!((status, body), (200, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})));
    assert_eq!(answer(client.get(&webhook)).await.0, 405);
    assert_eq!(answer(client.post(format!("{}/healthz", serving.url))).await.0, 405);
    assert_eq!(answer(client.get(format!("{}/elsewhere", serving.url))).await.0, 404);

    let good = queued(1, &LABELS);
    assert_eq!(serving.post(&good.clone().with_header("X-Hub-Signature-256", None)).await.0, 401);
    assert_eq!(
        serving.post(&Delivery::raw("workflow_job", "d-2", good.body.clone(), "another secret")).await.0,
        401
    );
    for size in [MIB + 1, 6 * MIB] {
        let large = Delivery::raw("workflow_job", "d-3", vec![b' '; size], WEBHOOK_SECRET);
        assert_eq!(serving.post(&large).await.0, 413, "{size}");
    }
    let (status, body) =
        serving.post(&Delivery::raw("workflow_job", "d-4", &good.body[..5_000], WEBHOOK_SECRET)).await;
    assert_eq!((status, body["error"].as_str().map(|line| line.lines().count())), (400, Some(1)), "{body}");
    let other = Delivery::new("ping", "d-5", &json!({"zen": "Keep it simple"}), WEBHOOK_SECRET);
    let (status, body) = serving.post(&other).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("ignored")));
    let (status, body) = serving.post(&queued(2, &["self-hosted", "macOS"])).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("ignored")));
    let (status, body) = serving.post(&good).await;
    assert_eq!((status, body), (202, json!({"outcome": "accepted", "pool": "linux-gpu", "job": 1})));

    assert_eq!(serving.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_elsewhere_is_used_and_a_delivery_is_refused_while_it_is_away() {
    let table = EmbeddedTable::start().unwrap();
    let mut place = Place::alone();
    place.environment.extend(table.env());
    assert!(place.run(&["table", "create"]).status.success());
    let serving = place.serve();
    assert_eq!(serving.post(&queued(1, &LABELS)).await.0, 202);
    table.set_link(Link::Cut);
    let (status, body) = serving.post(&queued(2, &LABELS)).await;
    assert_eq!(status, 503, "{body}");
    table.set_link(Link::Open);
    assert_eq!(serving.post(&queued(2, &LABELS)).await.0, 202);
    assert_eq!(serving.stop().await.code(), Some(0));
    assert!(place.log().contains("AWS_ENDPOINT_URL_DYNAMODB"), "{}", place.log());
    assert!(!place.path("state.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_claimed_before_a_restart_is_claimed_after_it() {
    let options = ServeOptions { wire_log: None, ..ServeOptions::default() };
    let simulator = Simulator::start(Settings::brisk(), options).await.unwrap();
    let place = Place::on(&simulator);
    let delivery = queued(77, &LABELS);

    let serving = place.serve();
    assert_eq!(serving.post(&delivery).await.0, 202);
    simulator.until(SOON, |world| world.runners().iter().any(|runner| runner.online)).await.unwrap();
    assert!(
        complaint(&place.run(&["serve", "--listen", "127.0.0.1:0", "--data", "state.db"])).contains("--data")
    );
    assert_eq!(serving.stop().await.code(), Some(0));

    let serving = place.serve();
    let (status, body) = serving.post(&delivery).await;
    assert_eq!((status, body), (202, json!({"outcome": "accepted", "pool": "linux-gpu", "job": 77})));
    // Two whole sweeps had the opportunity to do something needless.
    let lists = |world: &simulator::World| world.calls_of("gcp.aggregated_instances");
    let before = simulator.with(|world, _| lists(world));
    simulator.until(SOON, |world| lists(world) >= before + 3).await.unwrap();
    assert_eq!(serving.stop().await.code(), Some(0));
    let calls = ["github.jitconfig", "gcp.insert", "gcp.delete"];
    assert_eq!(simulator.with(|world, _| calls.map(|call| world.calls_of(call))), [1, 1, 0]);
    assert_eq!(simulator.with(|world, _| world.violations().to_vec()), []);

    let mut canaries = Canaries::new();
    canaries.add("webhook secret", WEBHOOK_SECRET);
    canaries.add("token", &simulator.pat());
    canaries.add("service account", &simulator.service_account_json());
    canaries.assert_absent(&[("log", &place.log())]);
    assert!(!place.log().contains('\u{1b}'), "escape codes in a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_takes_fifteen_seconds_and_thirty_two_mebibytes_and_no_more() {
    let place = Place::alone();
    let serving = place.serve();
    let address = serving.url.trim_start_matches("http://");
    let began = Instant::now();
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"POST /webhook HTTP/1.1\r\nContent-Length: 100\r\n\r\nonly this").unwrap();

    let mut endless = TcpStream::connect(address).unwrap();
    endless.write_all(b"POST /webhook HTTP/1.1\r\nContent-Length: 1000000000000\r\n\r\n").unwrap();
    let (part, mut sent) = (vec![b' '; MIB], 0);
    while sent < 200 && endless.write_all(&part).is_ok() {
        sent += 1;
    }
    // And what both sides' buffers hold.
    assert!((32..80).contains(&sent), "{sent} MiB were taken");

    let mut answer = [0; 12];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
    assert!((14..20).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert_eq!(serving.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dawdles_holds_up_nobody() {
    let place = Place::alone();
    let serving = place.serve();
    let address = serving.url.trim_start_matches("http://");
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"POST /webhook HTTP/1.1\r\nContent-Length: 100\r\n\r\nonly this").unwrap();
    let mut slower = TcpStream::connect(address).unwrap();
    slower.write_all(b"POST /webh").unwrap();
    assert_eq!(serving.post(&queued(1, &LABELS)).await.0, 202);
    // Nor does one that has gone away in the middle of a request.
    drop((slow, slower));
    wait_for("the log of the job", SOON, || place.log().contains("job gets a slot")).await.unwrap();
    assert_eq!(serving.stop().await.code(), Some(0));
}

#[test]
fn a_wrong_configuration_stops_it_with_one_message() {
    let place = Place::alone();
    place.replace("max_runners = 3", "max_runners = 0");
    let told = complaint(&place.run(&["serve"]));
    assert!(told.contains("`pools[0].max_runners` = 0: must be from 1"), "{told}");

    let place = Place::alone();
    place.replace("WEBHOOK_SECRET", "NOT_SET_ANYWHERE");
    let told = complaint(&place.run(&["serve"]));
    assert!(told.contains("`github.webhook_secrets`") && told.contains("NOT_SET_ANYWHERE"), "{told}");

    let place = Place::alone();
    std::fs::remove_file(place.path("mayfly.toml")).unwrap();
    assert!(complaint(&place.run(&["serve"])).contains("MAYFLY_CONFIG"));

    let place = Place::alone();
    std::fs::write(
        place.path("broken.db"),
        "no database at all, but long enough to be taken for one".repeat(100),
    )
    .unwrap();
    let told = complaint(&place.run(&["serve", "--data", "broken.db"]));
    assert!(told.contains("broken.db"), "{told}");

    let place = Place::alone();
    let told = complaint(&place.run(&["serve", "--data", "not/there/state.db"]));
    assert!(told.contains("not/there/state.db"), "{told}");
}
