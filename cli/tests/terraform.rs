//! What terraform renders from the examples' inputs (`infra/test/fixtures`) starts Mayfly, and serves a job of each pool.
//!
//! Changed is only what no test can have: addresses, credentials, and where secrets lie.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use simulator::{
    InstanceTemplate, JobSpec, JobState, Repository, ServeOptions, Settings, Simulator, VmView, World, Zone,
};

use common::{Place, SOON};

/// What differs between a real deployment and the simulated one.
fn at_home(fixture: &str, simulator: &Simulator) -> String {
    let (github, gcp, lab) = (simulator.github_url(), simulator.gcp_url(), simulator.proxmox_url());
    let app = format!(
        "app = {{ client_id = {:?}, private_key = {{ env = \"APP_KEY\" }} }}",
        simulator.app_client_id()
    );
    let token = format!("token_id = {:?}", simulator.proxmox_token_id());
    let changed = |line: &str| match line.split(" = ").next() {
        Some("api_url") => format!("api_url = {github:?}"),
        Some("app") => app.clone(),
        Some("webhook_secrets") => "webhook_secrets = [{ env = \"WEBHOOK_SECRET\" }]".to_owned(),
        Some("project") => format!("{line}\nendpoint = {gcp:?}"),
        Some("url") => format!("url = {lab:?}"),
        Some("token_id") => token.clone(),
        Some("token_secret") => "token_secret = { env = \"LAB_TOKEN\" }".to_owned(),
        // The simulator speaks plain HTTP.
        Some("ca_file") => String::new(),
        Some(_) | None => line.to_owned(),
    };
    fixture.lines().map(changed).collect::<Vec<_>>().join("\n")
}

/// All values that a key has in a fixture, as texts.
fn values(fixture: &str, key: &str) -> Vec<String> {
    let lines = fixture.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
    let text = |value: &str| value.trim_matches(|each| "[]\" ".contains(each)).to_owned();
    lines.flat_map(|line| line.split(',').map(text).collect::<Vec<_>>()).collect()
}

/// A world that has what the fixture names.
fn settings(fixture: &str, repository: &str) -> Settings {
    let brisk = Settings::brisk();
    let quotas = brisk.quotas.values().next().unwrap().clone();
    let quotas: BTreeMap<String, f64> = quotas
        .into_iter()
        .flat_map(|(metric, limit)| [(metric.replace("T4", "L4"), limit), (metric, limit)])
        .collect();
    let zones: Vec<Zone> =
        values(fixture, "zones").into_iter().map(|name| Zone { name, machines: None }).collect();
    let template = |name: &String| {
        let like = if name.contains("windows") { "windows-gpu-runner" } else { "linux-gpu-runner" };
        let text = brisk.templates[like].properties.to_string();
        let text = if name.contains("-l4-") { text.replace("nvidia-tesla-t4", "nvidia-l4") } else { text };
        (name.clone(), InstanceTemplate { properties: serde_json::from_str(&text).unwrap() })
    };
    Settings {
        repositories: vec![Repository::public(repository)],
        project: values(fixture, "project").remove(0),
        quotas: zones.iter().map(|zone| (zone.region().to_owned(), quotas.clone())).collect(),
        zones,
        templates: values(fixture, "instance_template").iter().map(template).collect(),
        ..brisk
    }
}

/// Serves a job for each of these lists of labels; where their VMs were.
async fn served(fixture: &str, repository: &str, jobs: &[&[&str]]) -> Vec<simulator::Api> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/test/fixtures").join(fixture);
    let fixture = std::fs::read_to_string(path).unwrap();
    let options = ServeOptions { wire_log: None, ..ServeOptions::default() };
    let simulator = Simulator::start(settings(&fixture, repository), options).await.unwrap();
    let secret = simulator.with(|world, _| world.access.webhook_secret.clone());
    let place = Place::with(&at_home(&fixture, &simulator))
        .env("WEBHOOK_SECRET", &secret)
        .env("APP_KEY", &simulator.app_private_key_pem())
        .env("LAB_TOKEN", &simulator.proxmox_token_secret());
    let key = place.path("google.json");
    std::fs::write(&key, simulator.service_account_json()).unwrap();
    let place = place.env("GOOGLE_APPLICATION_CREDENTIALS", &key.display().to_string());

    let serving = place.serve();
    simulator.set_webhook(&format!("{}/webhook", serving.url));
    let mut places = Vec::new();
    for labels in jobs {
        let job = simulator.with(|world, now| {
            world.queue_job(now, JobSpec::new(repository, labels).lasting(Duration::from_millis(300)))
        });
        let ran = |world: &World| {
            let job = world.jobs().into_iter().find(|each| each.id == job);
            job.is_some_and(|job| matches!(job.state, JobState::Running { .. }))
        };
        let runs = simulator.until(SOON, ran).await;
        assert!(runs.is_ok(), "{labels:?} is not served\n{}", place.log());
        let busy = |vm: &VmView, world: &World| {
            world.runners().iter().any(|runner| runner.busy && runner.name == vm.name)
        };
        let found = simulator
            .with(|world, _| world.vms().into_iter().find(|vm| busy(vm, world)).map(|vm| vm.provider));
        places.extend(found);
        let over = |world: &World| {
            world.jobs().iter().all(|job| matches!(job.state, JobState::Ended { ran: Some(_), .. }))
        };
        assert!(simulator.until(SOON, over).await.is_ok(), "{}", place.log());
    }
    assert_eq!(simulator.with(|world, _| world.violations().to_vec()), []);
    assert_eq!(serving.stop().await.code(), Some(0));
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn the_minimal_example_serves_a_job() {
    let jobs: [&[&str]; 1] = [&["self-hosted", "Linux", "GPU"]];
    let places = served("minimal.toml", "my-organization/my-repository", &jobs).await;
    assert_eq!(places, [simulator::Api::Gcp]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_complete_example_serves_a_job_in_the_lab_and_one_in_the_cloud() {
    let jobs: [&[&str]; 2] = [&["self-hosted", "Linux", "GPU"], &["self-hosted", "Windows", "GPU"]];
    let places = served("complete.toml", "my-organization/slang", &jobs).await;
    assert_eq!(places, [simulator::Api::Proxmox, simulator::Api::Gcp]);
}
