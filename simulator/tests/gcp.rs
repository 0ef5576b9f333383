//! Compute Engine, call by call, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{INSTANCES, Story, ZONE, instance, settings};
use serde_json::{Value, json};
use simulator::{Method, QuotaRefusal, Reply, Request, Settings, Stockout, ViolationKind, Zone};

const TEMPLATE: &str = "global/instanceTemplates/linux-gpu-runner";

fn insert_request(story: &Story, body: Value) -> Request {
    story.gcp_request(Method::Post, INSTANCES, Some(body)).query("sourceInstanceTemplate", TEMPLATE)
}

fn reason(response: &simulator::Response) -> (u16, String) {
    let reason = response.value()["error"]["errors"][0]["reason"].as_str().unwrap_or_default();
    (response.status, reason.to_owned())
}

#[test]
fn a_field_of_the_request_replaces_the_templates_lists_and_maps_whole() {
    let mut story = Story::new(settings());
    story.insert(ZONE, "plain", "config");
    let vm = story.gcp(Method::Get, &format!("{INSTANCES}/plain"), None).value().clone();
    let labels = json!({ "mayfly-deployment": "test", "mayfly-pool": "linux-gpu", "team": "graphics" });
    assert_eq!(vm["labels"], labels, "the template's label os is gone");
    assert_eq!(vm["metadata"]["items"], json!([{ "key": "jit-config", "value": "config" }]));
    assert_eq!(vm["scheduling"]["onHostMaintenance"], "TERMINATE", "the object is merged");
    assert_eq!(vm["scheduling"]["maxRunDuration"]["seconds"], "21600");
    assert_eq!(vm["tags"]["items"], json!(["runner"]), "what is not given stays");
    assert!(vm["machineType"].as_str().unwrap().ends_with("/zones/us-east1-c/machineTypes/n1-standard-4"));
    let gpu = vm["guestAccelerators"][0]["acceleratorType"].as_str().unwrap();
    assert!(gpu.ends_with("/zones/us-east1-c/acceleratorTypes/nvidia-tesla-t4"), "{gpu}");
}

#[test]
fn a_template_is_named_by_a_full_or_a_partial_address() {
    let mut story = Story::new(settings());
    let forms = [
        "https://compute.googleapis.com/compute/v1/projects/slang-runners/global/instanceTemplates/linux-gpu-runner",
        "projects/slang-runners/global/instanceTemplates/linux-gpu-runner",
        TEMPLATE,
    ];
    for (at, form) in forms.iter().enumerate() {
        let body = instance(&format!("vm-{at}"), "config");
        let request = story.gcp_request(Method::Post, INSTANCES, Some(body));
        let answer = story.send(&request.query("sourceInstanceTemplate", form)).answer().unwrap();
        assert_eq!(answer.status, 200, "{form}");
    }
    let request = story.gcp_request(Method::Post, INSTANCES, Some(instance("x", "config")));
    let wrong = request.clone().query("sourceInstanceTemplate", "linux-gpu-runner");
    assert_eq!(story.send(&wrong).answer().unwrap().status, 400);
    let unknown = request.query("sourceInstanceTemplate", "global/instanceTemplates/none");
    assert_eq!(story.send(&unknown).answer().unwrap().status, 404);
}

#[test]
fn the_same_name_in_the_same_zone_is_refused_and_another_zone_takes_it() {
    let mut story = Story::new(settings());
    assert_eq!(story.insert(ZONE, "twice", "config").status, 200);
    assert_eq!(reason(&story.insert(ZONE, "twice", "config")), (409, "alreadyExists".to_owned()));
    assert_eq!(story.insert("us-west1-a", "twice", "config").status, 200);
}

#[test]
fn a_request_id_makes_a_repeated_call_the_same_call() {
    let mut story = Story::new(settings());
    let id = "7b0e7f5e-1f5c-4f0e-9c56-0d7ad9f1a0aa";
    let request = insert_request(&story, instance("once", "config")).query("requestId", id);
    let first = story.send(&request).answer().unwrap();
    let again = story.send(&request).answer().unwrap();
    assert_eq!(first.value()["name"], again.value()["name"]);
    assert_eq!(story.world.vms().len(), 1);
    let zero = "00000000-0000-0000-0000-000000000000";
    let request = insert_request(&story, instance("other", "config")).query("requestId", zero);
    assert_eq!(story.send(&request).answer().unwrap().status, 400);
}

#[test]
fn a_used_up_quota_is_refused_at_once_or_in_the_operation() {
    let mut one_gpu = settings();
    one_gpu.set_quota("us-east1", "NVIDIA_T4_GPUS", 1.0);
    let mut story = Story::new(one_gpu.clone());
    story.insert(ZONE, "first", "config");
    let region = story.gcp(Method::Get, "/compute/v1/projects/slang-runners/regions/us-east1", None);
    let quotas = region.value()["quotas"].as_array().unwrap().clone();
    let gpus = quotas.iter().find(|quota| quota["metric"] == "NVIDIA_T4_GPUS").unwrap();
    assert_eq!((gpus["usage"].as_f64(), gpus["limit"].as_f64()), (Some(1.0), Some(1.0)));
    let refused = story.insert("us-east1-d", "second", "config");
    assert_eq!(reason(&refused), (403, "quotaExceeded".to_owned()));

    let mut story = Story::new(Settings { quota_refusal: QuotaRefusal::InOperation, ..one_gpu });
    story.insert(ZONE, "first", "config");
    let accepted = story.insert("us-east1-d", "second", "config");
    assert_eq!(accepted.status, 200);
    story.pass_secs(20);
    let operation = story.operation("us-east1-d", accepted.value()["name"].as_str().unwrap());
    assert_eq!(operation["error"]["errors"][0]["code"], "QUOTA_EXCEEDED");
    assert!(story.vm("second").is_none());
}

#[test]
fn a_stockout_shows_in_the_operation_after_the_insert_was_accepted() {
    let mut story = Story::new(settings());
    story.world.faults.stockout(ZONE, Stockout::Inserts(2));
    let mut codes = Vec::new();
    for name in ["a", "b"] {
        let accepted = story.insert(ZONE, name, "config");
        let operation = accepted.value()["name"].as_str().unwrap().to_owned();
        assert_eq!(accepted.value()["status"], "PENDING");
        story.pass_secs(5);
        assert_eq!(story.operation(ZONE, &operation)["status"], "RUNNING");
        assert!(story.vm(name).is_some());
        story.pass_secs(8);
        let ended = story.operation(ZONE, &operation);
        assert_eq!(
            (ended["status"].as_str(), ended["httpErrorStatusCode"].as_u64()),
            (Some("DONE"), Some(503))
        );
        codes.push(ended["error"]["errors"][0]["code"].as_str().unwrap().to_owned());
        assert!(story.vm(name).is_none());
    }
    assert!(codes.iter().all(|code| code.starts_with("ZONE_RESOURCE_POOL_EXHAUSTED")), "{codes:?}");
    story.insert(ZONE, "c", "config");
    story.pass_secs(20);
    assert_eq!(story.vm("c").unwrap().status, "RUNNING");
}

#[test]
fn a_zone_has_only_so_many_machines() {
    let zones = vec![Zone { name: ZONE.to_owned(), machines: Some(1) }];
    let mut story = Story::new(Settings { zones, ..settings() });
    story.insert(ZONE, "a", "config");
    story.insert(ZONE, "b", "config");
    story.pass_secs(20);
    assert!(story.vm("a").is_some() && story.vm("b").is_none());
}

#[test]
fn waiting_for_an_operation_blocks_until_it_is_done_or_two_minutes_are_over() {
    let mut story = Story::new(settings());
    let name = story.insert(ZONE, "a", "config").value()["name"].as_str().unwrap().to_owned();
    let path = format!("/compute/v1/projects/slang-runners/zones/{ZONE}/operations/{name}/wait");
    let request = story.gcp_request(Method::Post, &path, None);
    let Reply::Blocked { until, ticket } = story.send(&request) else { panic!("it must block") };
    assert_eq!(until, story.now + Duration::from_secs(12));
    let Reply::Blocked { ticket, .. } = story.world.resume(story.now, ticket) else { panic!("still") };
    story.now = until;
    let Reply::Answer { response, .. } = story.world.resume(story.now, ticket) else { panic!("done") };
    assert_eq!(response.value()["status"], "DONE");
    assert_eq!(story.world.calls_of("gcp.wait"), 1);
}

#[test]
fn lists_are_filtered_and_paged() {
    let mut story = Story::new(settings());
    for number in 0..7 {
        let zone = ["us-east1-c", "us-west1-a"][number % 2];
        story.insert(zone, &format!("vm-{number}"), "config");
    }
    story.world.add_vm(story.now, ZONE, "stranger", &[("team", "other")]).unwrap();
    let path = "/compute/v1/projects/slang-runners/aggregated/instances";
    let filter = "labels.mayfly-deployment=test AND labels.mayfly-pool:linux-gpu";
    let mut seen = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..4 {
        let mut request =
            story.gcp_request(Method::Get, path, None).query("filter", filter).query("maxResults", 3);
        if let Some(token) = &token {
            request = request.query("pageToken", token);
        }
        let page = story.send(&request).answer().unwrap().value().clone();
        for scope in page["items"].as_object().unwrap().values() {
            let instances = scope["instances"].as_array().cloned().unwrap_or_default();
            seen.extend(instances.iter().map(|vm| vm["name"].as_str().unwrap().to_owned()));
        }
        token = page["nextPageToken"].as_str().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, (0..7).map(|number| format!("vm-{number}")).collect::<Vec<_>>());
    let request = story.gcp_request(Method::Get, path, None).query("maxResults", 501);
    assert_eq!(story.send(&request).answer().unwrap().status, 400);
}

#[test]
fn labels_and_metadata_change_only_with_the_present_fingerprint() {
    let mut story = Story::new(settings());
    story.insert(ZONE, "a", "config");
    let vm = story.gcp(Method::Get, &format!("{INSTANCES}/a"), None).value().clone();
    let body = json!({ "labels": { "mayfly-deployment": "test", "mayfly-pool": "p" },
        "labelFingerprint": vm["labelFingerprint"] });
    let set = format!("{INSTANCES}/a/setLabels");
    assert_eq!(story.gcp(Method::Post, &set, Some(body.clone())).status, 200);
    assert_eq!(reason(&story.gcp(Method::Post, &set, Some(body))), (412, "conditionNotMet".to_owned()));
    assert_eq!(story.vm("a").unwrap().labels["mayfly-pool"], "p");
}

#[test]
fn a_guest_waits_for_its_jit_configuration() {
    let mut story = Story::new(settings());
    let config = story.jit("late").value()["encoded_jit_config"].clone();
    let mut body = instance("late", "");
    body["metadata"] = json!({ "items": [] });
    let request = insert_request(&story, body);
    story.send(&request).answer().unwrap();
    story.pass_secs(100);
    assert!(!story.world.runners()[0].online);
    let vm = story.gcp(Method::Get, &format!("{INSTANCES}/late"), None).value().clone();
    let items = json!([{ "key": "jit-config", "value": config }]);
    let body = json!({ "fingerprint": vm["metadata"]["fingerprint"], "items": items });
    assert_eq!(story.gcp(Method::Post, &format!("{INSTANCES}/late/setMetadata"), Some(body)).status, 200);
    story.pass_secs(10);
    assert!(story.world.runners()[0].online);
}

#[test]
fn whatever_is_not_published_is_refused_and_recorded() {
    let mut story = Story::new(settings());
    let wrong_bodies = [
        json!({ "name": "a", "colour": "red" }),
        json!({ "name": "a", "scheduling": { "maxRunDuration": { "seconds": 21600 } } }),
        json!({ "name": "a", "metadata": { "items": [{ "key": "k", "val": "v" }] } }),
        json!({ "labels": {} }),
    ];
    for body in wrong_bodies {
        let request = insert_request(&story, body);
        assert_eq!(story.send(&request).answer().unwrap().status, 400);
    }
    assert_eq!(story.kinds(), [ViolationKind::MalformedCall; 4]);
    let request = story.gcp_request(Method::Get, INSTANCES, None).query("returnPartialSuccess", "true");
    assert_eq!(story.send(&request).answer().unwrap().status, 400);
    assert_eq!(story.gcp(Method::Get, "/compute/v1/projects/slang-runners/zones/x/disks", None).status, 404);
    assert_eq!(story.kinds()[4..], [ViolationKind::MalformedCall, ViolationKind::UnknownCall]);
    assert!(story.world.vms().is_empty());
}

#[test]
fn what_google_refuses_is_refused() {
    let mut story = Story::new(settings());
    let cases = [
        instance("Upper", "config"),
        instance("ends-with-", "config"),
        json!({ "name": "a", "labels": { "Key": "value" } }),
        json!({ "name": "a", "labels": { "key": "Value" } }),
        json!({ "name": "a", "scheduling": { "onHostMaintenance": "MIGRATE" } }),
        json!({ "name": "a", "scheduling": { "maxRunDuration": { "seconds": "600" } } }),
        json!({ "name": "a", "metadata": { "items": [{ "key": "k", "value": "1" }, { "key": "k", "value": "2" }] } }),
    ];
    for body in cases {
        let request = insert_request(&story, body.clone());
        assert_eq!(story.send(&request).answer().unwrap().status, 400, "{body}");
    }
    let bare = story.gcp(Method::Post, INSTANCES, Some(json!({ "name": "a" })));
    assert_eq!(reason(&bare), (400, "required".to_owned()));
}

#[test]
fn a_caller_without_a_token_or_of_another_project_gets_nothing() {
    let mut story = Story::new(settings());
    let request = Request::new(simulator::Api::Gcp, Method::Get, INSTANCES, story.now);
    assert_eq!(story.send(&request).answer().unwrap().status, 401);
    assert_eq!(story.send(&request.bearer("ya29.wrong")).answer().unwrap().status, 401);
    assert_eq!(story.gcp(Method::Get, "/compute/v1/projects/other/zones", None).status, 404);
}
