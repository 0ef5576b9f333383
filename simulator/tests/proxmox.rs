//! The Proxmox VE cluster, call by call, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{MARKS, Story, TAGS, at, settings};
use serde_json::{Value, json};
use simulator::{Api, Chance, Fault, Lab, Method, Request, Response, Settings, ViolationKind};

const GIB: u64 = 1024 * 1024 * 1024;

fn said(response: &Response) -> (u16, &str) {
    (response.status, response.reason.as_deref().unwrap_or_default())
}

fn refused(story: &mut Story, method: Method, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let answer = story.lab(method, path, fields);
    assert!(!answer.is_success(), "{path}");
    assert_eq!(answer.value()["data"], Value::Null);
    (answer.status, answer.reason.unwrap_or_default())
}

/// The resource of a VM.
fn resource(story: &mut Story, vmid: u32) -> Option<Value> {
    let all = story.lab_get("/cluster/resources");
    all.as_array().unwrap().iter().find(|each| each["vmid"] == vmid).cloned()
}

fn lab(change: impl FnOnce(&mut Lab)) -> Settings {
    let mut settings = settings();
    change(&mut settings.proxmox);
    settings
}

#[test]
fn a_clone_is_there_at_once_locked_and_on_its_target_when_its_task_is_done() {
    let mut story = Story::new(settings());
    let answer = story.clone_call(9001, &[("target", "pve2")]);
    let upid = answer.value()["data"].as_str().unwrap().to_owned();
    let parts: Vec<&str> = upid.split(':').collect();
    assert_eq!((parts[0], parts[1], parts[5], parts[6], parts[8]), ("UPID", "pve1", "qmclone", "8000", ""));
    assert_eq!(parts[7], "mayfly@pve!mayfly");
    assert!(parts[2..5].iter().all(|part| part.len() == 8 && u32::from_str_radix(part, 16).is_ok()));
    let config = story.lab_get(&at(9001, "config"));
    assert_eq!((&config["name"], &config["lock"]), (&Value::Null, &json!("clone")), "its disk comes first");
    assert_eq!(config["description"], " qmclone temporary file\n");
    assert_eq!(story.exit(&upid), None);
    let locked = refused(&mut story, Method::Put, &at(9001, "config"), &[("tags", TAGS)]);
    assert_eq!(locked, (500, "VM is locked (clone)".to_owned()));
    story.pass_secs(8);
    assert_eq!(story.exit(&upid).as_deref(), Some("OK"));
    let moved = refused(&mut story, Method::Get, &at(9001, "config"), &[]);
    assert_eq!(moved.1, "Configuration file 'nodes/pve1/qemu-server/9001.conf' does not exist");
    let config = story.lab_get("/nodes/pve2/qemu/9001/config");
    assert_eq!((&config["name"], &config["tags"]), (&json!("test-linux-9001"), &Value::Null));
    assert_eq!((&config["description"], &config["template"]), (&json!(MARKS), &Value::Null));
    assert_eq!(config["scsi0"], "ceph:base-8000-disk-0/vm-9001-disk-0,size=32G");
    assert_eq!((&config["lock"], &config["agent"]), (&Value::Null, &json!("enabled=1")));
    let vm = story.lab_vm(9001).unwrap();
    assert_eq!((vm.provider, vm.zone.as_str(), vm.status), (Api::Proxmox, "pve2", "stopped"));
    assert_eq!(vm.labels["mayfly-pool"], "linux");
    assert_eq!(story.kinds(), []);
}

#[test]
fn clones_that_cannot_be_are_refused_at_once() {
    let mut story = Story::new(settings());
    story.world.add_lab_vm(story.now, "pve1", 9001, "here", "", &[]).unwrap();
    story.world.add_lab_vm(story.now, "pve2", 9002, "there", "", &[]).unwrap();
    let clone = |from: &str, newid: &'static str, more: &[(&'static str, &'static str)]| {
        let mut fields = vec![("newid", newid), ("name", "test-a"), ("description", MARKS)];
        fields.extend(more);
        (format!("/nodes/{from}/clone"), fields)
    };
    let cases = [
        (clone("pve1/qemu/8000", "9001", &[]), "unable to create VM 9001: config file already exists"),
        (clone("pve1/qemu/8000", "9002", &[]), "VM 9002 already exists on node 'pve2'"),
        (
            clone("pve2/qemu/8000", "9003", &[]),
            "Configuration file 'nodes/pve2/qemu-server/8000.conf' does not exist",
        ),
        (clone("pve1/qemu/8000", "9003", &[("target", "pve9")]), "no such cluster node 'pve9'"),
        (clone("pve1/qemu/8000", "9003", &[("pool", "none")]), "pool 'none' does not exist"),
        (
            clone("pve3/qemu/8002", "9003", &[("target", "pve1")]),
            "can't clone VM to node 'pve1' (VM uses local storage)",
        ),
        (
            clone("pve1/qemu/8000", "9003", &[("full", "1"), ("storage", "local-lvm"), ("target", "pve2")]),
            "can't clone to non-shared storage 'local-lvm'",
        ),
        (
            clone("pve1/qemu/8000", "9003", &[("storage", "ceph")]),
            "parameter 'storage' not allowed for linked clones",
        ),
        (clone("pve1/qemu/8000", "9003", &[("full", "1"), ("storage", "x")]), "storage 'x' does not exist"),
        (
            clone("pve1/qemu/8003", "9003", &[("full", "0")]),
            "Linked clone feature is not supported for drive 'scsi0'",
        ),
    ];
    for ((path, fields), why) in cases {
        assert_eq!(refused(&mut story, Method::Post, &path, &fields), (500, why.to_owned()));
    }
    assert_eq!(story.world.vms().len(), 2);
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_vm_that_is_no_template_is_copied_in_full_which_takes_longer() {
    let mut story = Story::new(settings());
    let fields = [("newid", "9001"), ("name", "test-a"), ("description", MARKS)];
    let upid = story.lab_task(Method::Post, "/nodes/pve1/qemu/8003/clone", &fields);
    let before = story.lab_get("/nodes/pve1/storage/ceph/status")["used"].as_u64().unwrap();
    assert_eq!(before, (32 + 64 + 32 + 32) * GIB);
    story.pass_secs(60);
    assert_eq!(story.exit(&upid), None);
    story.pass_secs(31);
    assert_eq!(story.exit(&upid).as_deref(), Some("OK"));
    assert_eq!(story.lab_get(&at(9001, "config"))["scsi0"], "ceph:vm-9001-disk-0,size=32G");
}

#[test]
fn clones_fight_for_the_lock_of_their_storage() {
    let mut story = Story::new(settings());
    let tasks: Vec<String> = (9001..9006)
        .map(|vmid| story.clone_call(vmid, &[]).value()["data"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(story.world.vms().len(), 5);
    story.pass_secs(8);
    let exits: Vec<Option<String>> = tasks.iter().map(|upid| story.exit(upid)).collect();
    assert!(exits[..4].iter().all(|exit| exit.as_deref() == Some("OK")), "{exits:?}");
    assert_eq!(exits[4], None);
    story.pass_secs(2);
    let why = "clone failed: cfs-lock 'storage-ceph' error: got lock request timeout";
    assert_eq!(story.exit(&tasks[4]).as_deref(), Some(why));
    assert!(story.lab_vm(9005).is_none(), "its configuration is gone again");
    story.world.faults.lab.storage_locked = Chance::next(1);
    let fields = [("newid", "9005"), ("name", "test-a"), ("description", MARKS)];
    let upid = story.lab_task(Method::Post, "/nodes/pve3/qemu/8002/clone", &fields);
    story.pass_secs(10);
    let why = "clone failed: can't lock file '/var/lock/pve-manager/pve-storage-local-lvm' - got timeout";
    assert_eq!(story.exit(&upid).as_deref(), Some(why));
    let log = story.lab_get(&format!("/nodes/pve3/tasks/{upid}/log"));
    assert_eq!(log.as_array().unwrap().last().unwrap()["t"], format!("TASK ERROR: {why}"));
    assert_eq!(story.clone_call(9005, &[]).status, 200, "the id is free again");
}

#[test]
fn a_storage_without_room_fails_the_task() {
    let mut story = Story::new(lab(|lab| lab.storages[0].bytes = 140 * GIB));
    let first = story.clone_call(9001, &[]).value()["data"].as_str().unwrap().to_owned();
    let full = story.clone_call(9002, &[("full", "1")]).value()["data"].as_str().unwrap().to_owned();
    story.pass_secs(100);
    assert_eq!(story.exit(&first).as_deref(), Some("OK"));
    let why =
        "clone failed: rbd create 'vm-9002-disk-0' error: rbd: create error: (28) No space left on device";
    assert_eq!(story.exit(&full).as_deref(), Some(why));
    assert!(story.lab_vm(9002).is_none());
}

#[test]
fn a_strangers_vm_takes_the_id_between_choice_and_clone() {
    let mut story = Story::new(settings());
    story.world.faults.lab.stranger_takes = Chance::next(1);
    let taken = story.clone_call(9001, &[]);
    assert_eq!(said(&taken), (500, "unable to create VM 9001: config file already exists"));
    let body = json!({ "data": null, "message": "unable to create VM 9001: config file already exists\n" });
    assert_eq!(*taken.value(), body);
    assert_eq!(story.lab_vm(9001).unwrap().name, "stranger-9001");
    assert_eq!(story.clone_call(9002, &[]).status, 200);
    story.lab(Method::Put, &at(9001, "config"), &[("tags", TAGS)]);
    assert_eq!(story.kinds(), [ViolationKind::StrangerTouched]);
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
fn a_clone_that_hangs_leaves_its_lock() {
    let mut story = Story::new(settings());
    story.world.faults.lab.clone_hangs = Chance::next(1);
    let hung = story.clone_call(9001, &[]).value()["data"].as_str().unwrap().to_owned();
    story.world.faults.lab.clone_takes = Some(Duration::from_secs(500));
    let slow = story.clone_call(9002, &[]).value()["data"].as_str().unwrap().to_owned();
    story.pass_secs(499);
    assert_eq!(story.exit(&slow), None);
    story.pass_secs(1);
    assert_eq!(story.exit(&slow).as_deref(), Some("OK"));
    assert_eq!(story.exit(&hung), None);
    let delete = story.lab_task(Method::Delete, &at(9001, ""), &[]);
    story.pass_secs(4);
    assert_eq!(story.exit(&delete).as_deref(), Some("VM is locked (clone)"));
}

#[test]
fn whatever_is_not_published_is_refused_and_recorded() {
    let mut story = Story::new(settings());
    let clone = "/nodes/pve1/qemu/8000/clone";
    let cases: [&[(&str, &str)]; 5] = [
        &[("name", "a")],
        &[("newid", "99")],
        &[("newid", "9001"), ("full", "true")],
        &[("newid", "9001"), ("name", "under_score")],
        &[("newid", "9001"), ("tags", "mayfly")],
    ];
    for fields in cases {
        let answer = story.lab(Method::Post, clone, fields);
        assert_eq!(said(&answer), (400, "Parameter verification failed."), "{fields:?}");
    }
    assert_eq!(story.kinds(), [ViolationKind::MalformedCall; 5]);
    assert_eq!(refused(&mut story, Method::Get, "/nodes/pve1/lxc", &[]).0, 501);
    assert_eq!(story.kinds()[5..], [ViolationKind::UnknownCall]);
    let json = json!({ "newid": 9001, "name": "test-a", "description": MARKS, "full": false });
    let request = story.lab_request(Method::Post, clone, &[]);
    let request = Request { headers: request.headers.clone(), ..request }.json(&json);
    let mut request = request;
    request.headers.remove("content-type");
    assert_eq!(story.send(&request).answer().unwrap().status, 200);
    let unknown = "UPID:pve1:00001000:00100000:65F00001:qmclone:8000:mayfly@pve!mayfly:";
    let answer = story.lab(Method::Get, &format!("/nodes/pve1/tasks/{unknown}/status"), &[]);
    assert_eq!((answer.status, &answer.value()["errors"]["upid"]), (400, &json!("no such task")));
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
