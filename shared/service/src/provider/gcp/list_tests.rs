use serde_json::{Value, json};

use super::*;

fn page(mut body: Value) -> InstanceAggregatedList {
    body["kind"] = json!("compute#instanceAggregatedList");
    serde_json::from_value(body).unwrap()
}

#[test]
fn a_list_that_lacks_a_zone_says_so() {
    let warning = |code: &str| json!({ "code": code, "message": "zones/us-east1-c: no." });
    let scope = |code: &str| json!({ "items": { "zones/us-east1-c": { "warning": warning(code) } } });
    for (body, whole) in [
        (json!({}), true),
        (json!({ "items": { "zones/us-east1-c": { "instances": [] } } }), true),
        (scope("NO_RESULTS_ON_PAGE"), true),
        (scope("UNREACHABLE"), false),
        (scope("A_CODE_OF_TOMORROW"), false),
        (json!({ "warning": warning("PARTIAL_SUCCESS") }), false),
        (json!({ "warning": warning("NO_RESULTS_ON_PAGE") }), true),
        (json!({ "unreachables": ["zones/us-east1-c"] }), false),
    ] {
        assert_eq!(missing(&page(body.clone())).is_none(), whole, "{body}");
    }
}

#[test]
fn what_does_not_say_that_it_is_a_list_of_vms_is_not_an_empty_one() {
    for body in [
        json!({}),
        json!({ "message": "Server Error" }),
        json!({ "items": {} }),
        json!({ "kind": "compute#operation", "status": "DONE" }),
        json!({ "kind": "compute#instanceList" }),
    ] {
        let page = serde_json::from_value(body.clone()).unwrap();
        assert!(missing(&page).is_some(), "{body}");
    }
    assert_eq!(missing(&page(json!({}))), None, "Google leaves out what is empty");
    for body in [json!({ "id": "projects/p/aggregated/instances" }), json!({ "items": { "zones/z": {} } })] {
        let page = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(missing(&page), None, "{body}");
    }
}

#[test]
fn a_list_in_which_a_vm_has_no_name_is_none() {
    let list = |instance: Value| page(json!({ "items": { "zones/z": { "instances": [instance] } } }));
    assert!(missing(&list(json!({ "labels": { "mayfly": "test" } }))).is_some());
    assert!(missing(&list(json!({ "name": "" }))).is_some());
    assert_eq!(missing(&list(json!({ "name": "test-gpu-0001-aaaa" }))), None);
}

#[test]
fn what_a_list_lacks_is_told_in_one_short_line() {
    let many: Vec<String> = (0..5_000).map(|nth| format!("zones/z{nth}\n")).collect();
    let long = json!({ "code": "UNREACHABLE", "message": "y".repeat(1 << 20) });
    for body in [
        json!({ "unreachables": many }),
        json!({ "warning": long }),
        json!({ "items": { "zones/z": { "warning": long } } }),
    ] {
        let told = missing(&page(body)).unwrap();
        assert!(told.len() < 1_000 && !told.contains('\n'), "{} bytes: {told:.300}", told.len());
    }
}

#[test]
fn the_states_of_an_instance() {
    for (status, expected) in [
        ("PENDING", VmState::Running),
        ("PROVISIONING", VmState::Running),
        ("STAGING", VmState::Running),
        ("RUNNING", VmState::Running),
        ("REPAIRING", VmState::Running),
        ("A_STATE_OF_TOMORROW", VmState::Running),
        ("STOPPING", VmState::Going),
        ("PENDING_STOP", VmState::Going),
        ("SUSPENDING", VmState::Going),
        ("DEPROVISIONING", VmState::Going),
        ("TERMINATED", VmState::Stopped),
        ("STOPPED", VmState::Stopped),
        ("SUSPENDED", VmState::Stopped),
    ] {
        let instance = serde_json::from_value(json!({ "status": status })).unwrap();
        assert_eq!(state(&instance), expected, "{status}");
    }
}

#[test]
fn a_zone_is_the_end_of_its_url() {
    let instance = |zone: &str| serde_json::from_value(json!({ "zone": zone })).unwrap();
    let url = "https://www.googleapis.com/compute/v1/projects/p/zones/us-east1-c";
    assert_eq!(zone_of(&instance(url), "us-west1-a"), "us-east1-c");
    assert_eq!(zone_of(&Instance::new(), "us-west1-a"), "us-west1-a");
}
