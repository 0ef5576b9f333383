//! The Proxmox VE cluster, call by call, in virtual time: what it shows, and what becomes of a VM.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{GIB, Story, TAGS, at, lab, refused, said, settings};
use serde_json::{Value, json};
use simulator::{Api, Fault, Method, Request, ViolationKind};

/// The resource of a VM.
fn resource(story: &mut Story, vmid: u32) -> Option<Value> {
    let all = story.lab_get("/cluster/resources");
    all.as_array().unwrap().iter().find(|each| each["vmid"] == vmid).cloned()
}

#[test]
fn tags_are_stored_in_order_and_options_are_checked_by_name() {
    let mut story = Story::new(settings());
    story.cloned(9001);
    let fields = [("tags", "mayfly-test, Mayfly,b a"), ("cores", "8")];
    let path = at(9001, "config");
    let forbidden = refused(&mut story, Method::Put, &path, &fields);
    assert_eq!(forbidden, (403, "Permission check failed (/vms/9001, VM.Config.CPU)".to_owned()));
    assert_eq!(story.lab(Method::Put, &path, &fields[..1]).status, 200);
    assert_eq!(story.lab_get(&path)["tags"], "a;b;mayfly;mayfly-test");
    let wrong = story.lab(Method::Put, &path, &[("tags", "+x"), ("colour", "red"), ("onboot", "yes")]);
    assert_eq!(said(&wrong), (400, "Parameter verification failed."));
    let errors: Vec<&String> = wrong.value()["errors"].as_object().unwrap().keys().collect();
    assert_eq!(errors, ["colour", "onboot", "tags"]);
    let stale = refused(&mut story, Method::Put, &path, &[("name", "a"), ("digest", "0000")]);
    assert_eq!(stale.1, "detected modified configuration - file changed by other user? Try again.");
    assert_eq!(story.kinds(), [ViolationKind::MalformedCall]);
}

#[test]
fn what_a_start_finds_wrong_is_told_by_its_task() {
    let mut story = Story::new(settings());
    let start = |story: &mut Story, vmid| {
        let upid = story.lab_task(Method::Post, &at(vmid, "status/start"), &[]);
        story.pass_secs(4);
        story.exit(&upid).unwrap()
    };
    story.clone_call(9001, &[]);
    assert_eq!(start(&mut story, 9001), "VM is locked (clone)");
    story.pass_secs(5);
    story.lab(Method::Put, &at(9001, "config"), &[("tags", TAGS)]);
    assert_eq!(start(&mut story, 9001), "OK");
    assert_eq!(start(&mut story, 9001), "VM 9001 already running");
    let missing = "Configuration file 'nodes/pve1/qemu-server/9002.conf' does not exist";
    assert_eq!(start(&mut story, 9002), missing);
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_node_has_only_so_much_memory() {
    let mut story = Story::new(lab(|lab| lab.nodes[0].memory_bytes = 20 * GIB));
    for vmid in [9001, 9002, 9003] {
        story.cloned(vmid);
    }
    let tasks = [9001, 9002, 9003].map(|vmid| story.lab_task(Method::Post, &at(vmid, "status/start"), &[]));
    assert_eq!(story.kinds(), [ViolationKind::NodeOverMemory], "told as soon as it is asked for");
    story.pass_secs(3);
    let exits = tasks.each_ref().map(|upid| story.exit(upid).unwrap());
    assert_eq!(exits, ["OK", "OK", "start failed: QEMU exited with code 1"]);
    let log = story.lab_get(&format!("/nodes/pve1/tasks/{}/log", tasks[2]));
    assert_eq!(log[0]["t"], "kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory");
    story.pass_secs(10);
    let nodes = story.lab_get("/nodes");
    assert_eq!((&nodes[0]["mem"], &nodes[0]["maxmem"]), (&json!(20 * GIB), &json!(20 * GIB)));
    assert_eq!(story.lab_vm(9003).unwrap().status, "stopped");
}

#[test]
fn a_vm_is_stopped_before_it_is_deleted_and_its_id_is_free_then() {
    let mut story = Story::new(settings());
    story.started(9001);
    let running = refused(&mut story, Method::Delete, &at(9001, ""), &[("purge", "1")]);
    assert_eq!(running, (500, "VM 9001 is running - destroy failed".to_owned()));
    let stop = story.lab_task(Method::Post, &at(9001, "status/stop"), &[]);
    story.pass_secs(2);
    assert_eq!(story.exit(&stop).as_deref(), Some("OK"));
    let again = story.lab_task(Method::Post, &at(9001, "status/stop"), &[]);
    let fields = [("purge", "1"), ("destroy-unreferenced-disks", "1")];
    let delete = story.lab_task(Method::Delete, &at(9001, ""), &fields);
    assert_eq!(story.lab_get(&at(9001, "status/current"))["lock"], "destroyed");
    let second = story.lab_task(Method::Delete, &at(9001, ""), &fields);
    assert_eq!(said(&story.clone_call(9001, &[])).0, 500);
    story.pass_secs(4);
    assert_eq!(story.exit(&again).as_deref(), Some("OK"));
    assert_eq!(story.exit(&delete).as_deref(), Some("OK"));
    assert_eq!(story.exit(&second).as_deref(), Some("VM is locked (destroyed)"));
    let gone = refused(&mut story, Method::Delete, &at(9001, ""), &[]);
    assert_eq!(
        gone,
        (500, "Configuration file 'nodes/pve1/qemu-server/9001.conf' does not exist".to_owned())
    );
    assert!(story.world.is_quiet());
    let former = story.world.view().gone_vms[0].id;
    assert_eq!(story.clone_call(9001, &[]).status, 200);
    assert_ne!(story.lab_vm(9001).unwrap().id, former);
    assert_eq!(story.kinds(), []);
}

#[test]
fn the_cluster_knows_a_new_vms_name_and_state_only_after_a_while() {
    let mut story = Story::new(settings());
    story.clone_call(9001, &[]);
    let new = resource(&mut story, 9001).unwrap();
    let expected = json!({ "id": "qemu/9001", "type": "qemu", "vmid": 9001, "node": "pve1",
        "status": "unknown", "lock": "clone" });
    assert_eq!(new, expected);
    let listed = story.lab_get("/nodes/pve1/qemu");
    let listed = listed.as_array().unwrap().iter().find(|vm| vm["vmid"] == 9001).unwrap();
    assert_eq!(listed["name"], "VM 9001", "its disk is not there yet");
    story.pass_secs(9);
    let listed = story.lab_get("/nodes/pve1/qemu");
    let listed = listed.as_array().unwrap().iter().find(|vm| vm["vmid"] == 9001).unwrap();
    assert_eq!(listed["name"], "test-linux-9001", "its own node knows it");
    story.lab(Method::Put, &at(9001, "config"), &[("tags", TAGS)]);
    let tagged = resource(&mut story, 9001).unwrap();
    assert_eq!((&tagged["tags"], &tagged["lock"]), (&json!(TAGS), &Value::Null));
    story.pass_secs(1);
    let known = resource(&mut story, 9001).unwrap();
    assert_eq!((&known["name"], &known["status"]), (&json!("test-linux-9001"), &json!("stopped")));
    story.lab_task(Method::Post, &at(9001, "status/start"), &[]);
    story.pass_secs(4);
    assert_eq!(resource(&mut story, 9001).unwrap()["status"], "stopped");
    assert_eq!(story.lab_get(&at(9001, "status/current"))["status"], "running");
    story.pass_secs(10);
    assert_eq!(resource(&mut story, 9001).unwrap()["status"], "running");
    let kinds = |story: &mut Story, kind: &str| {
        let answer = story.lab(Method::Get, "/cluster/resources", &[("type", kind)]);
        answer.value()["data"].as_array().unwrap().len()
    };
    assert_eq!(["vm", "node", "storage"].map(|kind| kinds(&mut story, kind)), [5, 3, 6]);
}

#[test]
fn the_agent_answers_when_the_guest_is_up() {
    let mut story = Story::new(settings());
    story.world.faults.lab.agent_delay = Some(Duration::from_secs(60));
    story.cloned(9001);
    let ping = |story: &mut Story| {
        let answer = story.lab(Method::Post, &at(9001, "agent/ping"), &[]);
        (answer.status, answer.reason.clone().unwrap_or_default())
    };
    assert_eq!(ping(&mut story), (500, "VM 9001 is not running".to_owned()));
    story.lab_task(Method::Post, &at(9001, "status/start"), &[]);
    story.pass_secs(40);
    assert_eq!(ping(&mut story), (500, "QEMU guest agent is not running".to_owned()));
    story.pass_secs(60);
    assert_eq!(ping(&mut story), (200, String::new()));
    let long = "x".repeat(61_441);
    let write = at(9001, "agent/file-write");
    let refused_long =
        refused(&mut story, Method::Post, &write, &[("file", "/etc/motd"), ("content", &long)]);
    assert_eq!(refused_long.0, 400);
    story.write(9001, "/etc/motd", &long[1..]);
    let read = at(9001, "agent/file-read");
    let forbidden = refused(&mut story, Method::Get, &read, &[("file", "/etc/motd")]);
    let why = "Permission check failed (/vms/9001, VM.GuestAgent.FileRead|VM.GuestAgent.Unrestricted)";
    assert_eq!(forbidden, (403, why.to_owned()));
    let mut bare = Story::new(lab(|lab| lab.templates[0].has_agent = false));
    bare.started(9001);
    assert_eq!(ping(&mut bare), (500, "No QEMU guest agent configured".to_owned()));
}

#[test]
fn credentials_and_privileges_are_checked() {
    let mut story = Story::new(settings());
    let path = "/api2/json/version";
    let bare = Request::new(Api::Proxmox, Method::Get, path, story.now);
    let id = story.world.access.proxmox_token_id.clone();
    let secret = story.world.access.proxmox_token_secret.clone();
    let cases = [
        (bare.clone(), (401, "No ticket")),
        (bare.clone().proxmox_token(&id, "wrong"), (401, "invalid token value!")),
        (
            bare.clone().proxmox_token("mayfly@pve!other", &secret),
            (401, "no such token 'other' for user 'mayfly@pve'"),
        ),
        (bare.proxmox_token(&id, &secret), (200, "")),
    ];
    for (request, expected) in cases {
        assert_eq!(said(&story.send(&request).answer().unwrap()), expected);
    }
    let without = |name: &'static str| {
        Story::new(lab(|lab| {
            lab.privileges.remove(name);
        }))
    };
    let cases = [
        ("VM.Clone", "/vms/8000"),
        ("VM.Allocate", "/vms/9001"),
        ("Datastore.AllocateSpace", "/storage/ceph"),
        ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"),
    ];
    for (privilege, place) in cases {
        let why = format!("Permission check failed ({place}, {privilege})");
        assert_eq!(said(&without(privilege).clone_call(9001, &[])), (403, why.as_str()));
    }
    let mut blind = without("VM.Audit");
    assert_eq!(blind.lab_get("/nodes/pve1/qemu"), json!([]));
    assert!(resource(&mut blind, 8000).is_none());
    assert_eq!(without("Sys.Audit").lab_get("/nodes")[0]["mem"], Value::Null);
    story.world.change_lab(|lab| assert!(lab.privileges.insert("VM.Migrate".to_owned())));
    assert_eq!(story.lab_get("/access/permissions")["/"]["VM.Migrate"], 1);
    assert_eq!(refused(&mut story, Method::Get, "/nodes/pve9/qemu", &[]).0, 500);
    assert_eq!(story.lab_get("/access/permissions")["/vms"]["VM.Clone"], 1);
}

#[test]
fn a_node_that_goes_away_takes_its_vms_and_tasks_with_it() {
    let mut story = Story::new(settings());
    let job = story.job(3600);
    story.lab_runner(9001);
    assert_eq!(story.world.job_state(job).unwrap().status(), "in_progress");
    let clone = story.clone_call(9002, &[("target", "pve2")]).value()["data"].as_str().unwrap().to_owned();
    assert!(story.world.set_node_online(story.now, "pve1", false));
    let away = (595, "No route to host".to_owned());
    assert_eq!(refused(&mut story, Method::Get, &at(9001, "config"), &[]), away);
    assert_eq!(refused(&mut story, Method::Get, &format!("/nodes/pve1/tasks/{clone}/status"), &[]), away);
    let seen = resource(&mut story, 9001).unwrap();
    assert_eq!((&seen["status"], &seen["name"]), (&json!("unknown"), &json!("test-linux-9001")));
    assert_eq!(story.lab_get("/nodes")[0]["status"], "offline");
    story.pass_secs(300);
    assert_eq!(resource(&mut story, 9001).unwrap()["name"], Value::Null);
    story.pass_secs(400);
    assert_eq!(story.world.job_state(job).unwrap().status(), "completed");
    story.world.set_node_online(story.now, "pve1", true);
    assert_eq!(story.lab_get(&at(9001, "status/current"))["status"], "stopped");
    assert_eq!(story.exit(&clone).as_deref(), Some("unexpected status"));
    assert_eq!(story.lab_get(&at(9002, "config"))["lock"], "clone", "what died holding it left it");
    assert!(!story.world.set_node_online(story.now, "pve9", true));
}

#[test]
fn ids_are_told_and_not_reserved_and_faults_strike() {
    let mut story = Story::new(settings());
    assert_eq!(story.lab_get("/cluster/nextid"), "100");
    assert_eq!(refused(&mut story, Method::Get, "/cluster/nextid", &[("vmid", "8000")]).0, 400);
    story.world.faults.once("proxmox.*", Fault::ErrorBefore(502));
    assert_eq!(refused(&mut story, Method::Get, "/version", &[]), (502, "simulated failure".to_owned()));
    assert_eq!(story.lab_get("/version")["release"], "9.0");
    assert_eq!(story.world.calls_of("proxmox.version"), 2);
    assert_eq!(story.kinds(), []);
}
