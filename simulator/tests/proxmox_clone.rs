//! Clones on the Proxmox VE cluster, in virtual time: when each is there, and why it is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{GIB, MARKS, Story, TAGS, at, lab, refused, said, settings};
use serde_json::{Value, json};
use simulator::{Api, Chance, Method, Request, ViolationKind};

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
