//! `mayfly serve --metrics-listen`: what Prometheus reads, and who may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::Duration;

use mayfly_testkit::metrics::exposition::{Family, read};
use mayfly_testkit::secrets::Canaries;
use mayfly_testkit::wait_for_value;
use simulator::{JobSpec, JobState, ServeOptions, Settings, Simulator, World};

use common::{LABELS, Place, SOON, Serving, WEBHOOK_SECRET, complaint};

/// The address of the metrics, which is told after the other one.
fn address(serving: &mut Serving) -> String {
    let mut line = String::new();
    serving.stdout.read_line(&mut line).unwrap();
    line.trim().strip_prefix("metrics at ").unwrap().to_owned()
}

async fn text(serving: &Serving, url: &str) -> String {
    let answer = serving.client.get(url).timeout(SOON).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    answer.text().await.unwrap()
}

async fn families(serving: &Serving, url: &str) -> BTreeMap<String, Family> {
    let text = text(serving, url).await;
    read(&text).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

fn value(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let family = families.iter().find(|(family, _)| name.starts_with(family.as_str()));
    family.and_then(|(_, family)| family.value(name, labels)).unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_life_is_there_to_be_read() {
    let options = ServeOptions { wire_log: None, ..ServeOptions::default() };
    let simulator = Simulator::start(Settings::brisk(), options).await.unwrap();
    let place = Place::on(&simulator);
    place.replace("gpu_type = \"none\"", "gpu_type = \"none\"\nprice_per_hour = 3600.0");
    // What is for CloudWatch is written by the functions only.
    place.replace("[store]", "[metrics]\ncloudwatch = true\n[store]");
    let mut serving = place.serve_with(&["--poll", "250ms", "--metrics-listen", "127.0.0.1:0"]);
    let url = address(&mut serving);
    simulator.with(|world, now| {
        let job = JobSpec::new("shader-slang/slang", &LABELS).lasting(Duration::from_millis(300));
        world.queue_job(now, job);
    });
    let over = |world: &World| {
        let ran = |job: &simulator::JobView| matches!(job.state, JobState::Ended { ran: Some(_), .. });
        world.jobs().iter().all(ran) && world.vms().is_empty()
    };
    assert!(simulator.until(SOON, over).await.is_ok(), "{}", place.log());
    let pool = [("pool", "linux-gpu")];
    let counted = async || {
        let seen = families(&serving, &url).await;
        (value(&seen, "mayfly_vm_seconds_total", &pool) > 0.0).then_some(seen)
    };
    let seen = wait_for_value("its VM to be counted", SOON, counted).await.unwrap();
    for once in ["mayfly_queue_wait_seconds_count", "mayfly_boot_duration_seconds_count"] {
        assert_eq!(value(&seen, once, &pool), 1.0, "{once} {seen:#?}");
    }
    let lived = value(&seen, "mayfly_vm_seconds_total", &pool);
    assert!((value(&seen, "mayfly_cost_total", &pool) - lived).abs() < 0.01, "{seen:#?}");
    let phases = &seen["mayfly_runners"].series;
    assert_eq!(phases.len(), 6, "{phases:?}");
    for api in ["github", "gcp", "dynamodb"] {
        let made = value(&seen, "mayfly_api_requests_total", &[("api", api), ("status", "2xx")]);
        assert!(made > 0.0, "{api} {seen:#?}");
    }
    assert!(value(&seen, "mayfly_github_rate_limit_remaining", &[]) > 0.0);
    // Counters go on, and do not begin anew with each reading.
    let sweeps = |seen: &BTreeMap<String, Family>| {
        value(seen, "mayfly_sweep_duration_seconds_count", &[("outcome", "complete")])
    };
    assert!(sweeps(&seen) >= 2.0);
    assert!(sweeps(&families(&serving, &url).await) >= sweeps(&seen));

    // There is nothing else at that address, and no metrics at the other.
    let webhook = format!("{}/metrics", serving.url);
    for (elsewhere, status) in [(url.replace("/metrics", "/webhook"), 404), (webhook, 404)] {
        let answer = serving.client.get(&elsewhere).timeout(SOON).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{elsewhere}");
    }
    let posted = serving.client.post(&url).timeout(SOON).send().await.unwrap();
    assert_eq!(posted.status().as_u16(), 405);
    let mut canaries = Canaries::new();
    canaries.add("webhook secret", WEBHOOK_SECRET);
    canaries.add("token", &simulator.pat());
    canaries.assert_absent(&[("metrics", &text(&serving, &url).await)]);
    assert!(!text(&serving, &url).await.contains("slang/"), "no repository is in it");
    assert!(!place.log().contains("_aws"), "{}", place.log());
    assert_eq!(serving.stop().await.code(), Some(0));
}

#[test]
fn other_machines_read_them_only_where_that_is_said() {
    let place = Place::alone();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "0.0.0.0:0"];
    let told = complaint(&place.run(&serve));
    assert!(told.contains("--metrics-exposed") && told.contains("0.0.0.0:0"), "{told}");
    let said = place.run(&["serve", "--metrics-exposed"]);
    assert!(!said.status.success(), "it says nothing without an address");
    let mut serving = place.serve_with(&["--metrics-listen", "0.0.0.0:0", "--metrics-exposed"]);
    assert!(address(&mut serving).starts_with("http://0.0.0.0:"));
}
