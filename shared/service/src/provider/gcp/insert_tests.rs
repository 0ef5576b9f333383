use mayfly_core::ids::{Deployment, PoolName, RunnerName, SlotIndex};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::secret::Secret;

fn template(properties: Value) -> Template {
    Template::read(serde_json::from_value(properties).unwrap())
}

fn example() -> Template {
    template(json!({
        "labels": { "team": "graphics", "mayfly-pool": "someone-elses" },
        "metadata": { "fingerprint": "Zm9v", "items": [
            { "key": "startup-script", "value": "echo" }, { "key": "jit-config", "value": "stale" },
        ] },
        "scheduling": {
            "onHostMaintenance": "TERMINATE", "automaticRestart": true, "preemptible": false,
            "provisioningModel": "STANDARD", "terminationTime": "2030-01-01T00:00:00Z", "protectionTier": "PROTECTION_TIER_STANDARD",
        },
        "guestAccelerators": [
            { "acceleratorType": "projects/p/zones/us-east1-c/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 2 },
        ],
    }))
}

fn sent(template: &Template, gpu_type: Option<&str>, spot: bool, max_lifetime: Duration) -> Value {
    let deployment = Deployment::new("prod").unwrap();
    let pool = PoolName::new("linux-gpu").unwrap();
    let order = VmOrder {
        name: &RunnerName::new(&deployment, &pool, SlotIndex(3), 0),
        deployment: &deployment,
        pool: &pool,
        job: None,
        jit_config: &Secret::new("jit"),
        max_lifetime,
        deadline: Instant::now(),
    };
    let placement = GcpPlacement {
        instance_template: "t".to_owned(),
        zones: Vec::new(),
        gpu_type: gpu_type.map(str::to_owned),
        spot,
    };
    serde_json::to_value(body(template, &placement, &order)).unwrap()
}

#[test]
fn an_insert_keeps_what_the_template_has() {
    let body = sent(&example(), Some("nvidia-tesla-t4"), false, Duration::from_secs(21600));
    assert_eq!(
        body,
        json!({
            "name": "prod-linux-gpu-0003-aaaaaaaaaaaa",
            "labels": { "team": "graphics", "mayfly-deployment": "prod", "mayfly-pool": "linux-gpu" },
            "metadata": { "items": [
                { "key": "expect-gpu", "value": "true" }, { "key": "jit-config", "value": "jit" },
                { "key": "startup-script", "value": "echo" },
            ] },
            "scheduling": {
                "onHostMaintenance": "TERMINATE", "automaticRestart": false, "preemptible": false,
                "provisioningModel": "STANDARD", "protectionTier": "PROTECTION_TIER_STANDARD",
                "maxRunDuration": { "seconds": "21600" }, "instanceTerminationAction": "DELETE",
            },
        })
    );
}

#[test]
fn a_spot_vm_gets_what_gcp_demands_with_it() {
    let body = sent(&template(json!({})), None, true, Duration::from_millis(1500));
    assert_eq!(
        body["scheduling"],
        json!({
            "provisioningModel": "SPOT", "onHostMaintenance": "TERMINATE", "automaticRestart": false,
            "maxRunDuration": { "seconds": "2" }, "instanceTerminationAction": "DELETE",
        })
    );
    assert_eq!(body["metadata"]["items"][0], json!({ "key": "expect-gpu", "value": "false" }));
    let contradicting = sent(&example(), None, true, Duration::from_secs(60));
    assert_eq!(contradicting["scheduling"].get("preemptible"), None);
}

#[test]
fn accelerators_are_counted_by_type() {
    assert_eq!(example().accelerators("nvidia-tesla-t4"), 2.0);
    assert_eq!(example().accelerators("nvidia-l4"), 1.0);
    assert!(!example().is_spot());
    assert!(template(json!({ "scheduling": { "provisioningModel": "SPOT" } })).is_spot());
}

#[test]
fn a_template_is_named_in_any_of_googles_ways() {
    for (given, url) in [
        ("gpu", Some("global/instanceTemplates/gpu")),
        ("global/instanceTemplates/gpu", Some("global/instanceTemplates/gpu")),
        ("projects/p/global/instanceTemplates/gpu", Some("projects/p/global/instanceTemplates/gpu")),
        (
            "https://www.googleapis.com/compute/v1/projects/p/global/instanceTemplates/gpu",
            Some("projects/p/global/instanceTemplates/gpu"),
        ),
        ("projects/p/regions/us-east1/instanceTemplates/gpu", None),
        ("https://example.com/gpu", None),
        ("", None),
    ] {
        assert_eq!(TemplateRef::parse(given).map(|template| template.url()).as_deref(), url, "{given}");
    }
}

#[test]
fn a_request_id_is_a_uuid_of_name_zone_and_attempt() {
    let id = request_id("prod-a-0001-aaaaaaaaaaaa", "us-east1-c", 7);
    assert_eq!(id, request_id("prod-a-0001-aaaaaaaaaaaa", "us-east1-c", 7));
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert_eq!(&id[14..15], "8", "version");
    assert!("89ab".contains(&id[19..20]), "variant");
    assert_ne!(id, request_id("prod-a-0001-aaaaaaaaaaaa", "us-east1-d", 7));
    assert_ne!(id, request_id("prod-a-0001-aaaaaaaaaaaa", "us-east1-c", 8));
}
