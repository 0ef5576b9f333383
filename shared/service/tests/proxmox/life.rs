//! A VM's whole life, and what it costs.

use mayfly_core::policy::Platform;
use mayfly_core::sweep::VmState;
use mayfly_service::provider::Deletion;
use mayfly_service::provider::proxmox::Reached;
use mayfly_service::secret::Secret;
use simulator::{Method, Timing, ViolationKind};

use super::story::{GIB, JIT, LIFETIME, Story, advance_clone, at, hand_over, soon, vmid_of, wait_gone};

const ALL: [&str; 11] = [
    "resources",
    "config",
    "clone",
    "task",
    "set_config",
    "start",
    "ping",
    "file_write",
    "status",
    "stop",
    "delete",
];

impl Story {
    fn counts(&self, endpoints: &[&str]) -> Vec<u64> {
        endpoints.iter().map(|endpoint| self.calls(endpoint)).collect()
    }
}

#[tokio::test]
async fn a_runner_from_the_clone_to_its_end_with_no_call_too_many() {
    let story = Story::begin().await;
    story.lab.prepare(&story.placement, soon()).await;
    assert_eq!(story.counts(&["resources", "config"]), [1, 1]);
    for vm in 1..=2 {
        let before = story.counts(&ALL);
        let name = story.name();
        let jit_config = story.jit_config(&name);
        let cloning = story.clone_of(&story.lab, &name).await.unwrap();
        let advanced = advance_clone(&story.lab, &name, &cloning).await;
        assert!(matches!(advanced.reached, Reached::Agent), "{advanced:?}");
        hand_over(&story.lab, &advanced.place, &jit_config).await;
        let online = |world: &simulator::World| {
            world.runners().iter().any(|runner| runner.name == name.as_str() && runner.online)
        };
        story.until(online).await;
        let going = story.lab.delete(name.as_str(), Some(&advanced.place), soon()).await.unwrap();
        assert_eq!(wait_gone(&story.lab, &going).await, Deletion::Gone);
        assert!(story.vms().is_empty());

        let made = |endpoint: &str| {
            story.calls(endpoint) - before[ALL.iter().position(|each| *each == endpoint).unwrap()]
        };
        for (endpoint, count) in [
            ("resources", 0),
            ("config", 0),
            ("clone", 1),
            ("set_config", 1),
            ("start", 1),
            ("file_write", 2),
            ("status", 1),
            ("stop", 1),
            ("delete", 1),
        ] {
            assert_eq!(made(endpoint), count, "{endpoint}, VM {vm}");
        }
        assert!(made("ping") >= 1 && made("task") >= 4, "{:?}", story.counts(&ALL));
    }
    assert_eq!(story.lab.calls(), story.counts(&ALL).iter().sum::<u64>());
    story.end();
}

#[tokio::test]
async fn a_cold_function_looks_once_at_the_cluster_and_once_at_the_template() {
    let story = Story::begin().await;
    let (name, place) = story.made().await;
    assert_eq!(story.counts(&["resources", "config", "clone"]), [1, 1, 1]);
    story.removed(&name, Some(&place)).await;
    story.end();
}

#[tokio::test]
async fn a_vm_carries_its_name_its_marks_and_what_the_template_has() {
    let mut story = Story::begin().await;
    story.by_hand(Method::Put, "/nodes/pve1/qemu/8000/config", &[("tags", "gpu;mayfly-test")]);
    let (name, place) = story.made().await;
    let config = story.config(&place);
    assert_eq!(config["name"], name.as_str());
    let description = config["description"].as_str().unwrap();
    let lines: Vec<&str> = description.lines().collect();
    assert!(lines.contains(&"mayfly-deployment: prod") && lines.contains(&"mayfly-pool: linux"), "{lines:?}");
    assert_eq!(config["tags"], "gpu;mayfly;mayfly-prod");
    assert_eq!(config["scsi0"].as_str().unwrap().split_once('/').unwrap().0, "ceph:base-8000-disk-0");

    let ready = format!("max-lifetime={}\n", LIFETIME.as_secs());
    let jit_config = story.jit_config(&name);
    // The guest deletes both files when its runner is there, which now takes a while.
    story.with(|world, _| {
        let timing = world.settings().timing.clone();
        world.set_timing(Timing { registration: LIFETIME, ..timing });
    });
    hand_over(&story.lab, &place, &jit_config).await;
    story.with(|world, _| world.change_lab(|lab| _ = lab.privileges.insert("VM.GuestAgent.FileRead".into())));
    let read = |file: &str| {
        let (node, vmid) = place.at.split_once('/').unwrap();
        let path = format!("/nodes/{node}/qemu/{vmid}/agent/file-read");
        story.by_hand(Method::Get, &path, &[("file", file)])["content"].clone()
    };
    assert_eq!(read("/var/lib/mayfly/jit-config"), jit_config.expose());
    assert_eq!(read("/var/lib/mayfly/jit-config.ready"), ready);
    story.removed(&name, Some(&place)).await;

    // A full clone, to a storage and a pool.
    story.placement.full_clone = true;
    story.placement.storage = Some("ceph".to_owned());
    story.placement.pool = Some("runners".to_owned());
    let (name, place) = story.made().await;
    let disk = format!("ceph:vm-{}-disk-0,size=32G", vmid_of(&place));
    assert_eq!(story.config(&place)["scsi0"], disk);
    story.removed(&name, Some(&place)).await;
    // Somebody has changed a template: the story itself.
    story.end_with(&[ViolationKind::StrangerTouched]);
}

#[tokio::test]
async fn a_windows_guest_gets_its_files_where_it_looks_for_them() {
    let mut story = Story::begin().await;
    story.placement.template = 8001;
    let name = story.name();
    let jit_config = story.jit_config(&name);
    let cloning = story.clone_of(&story.lab, &name).await.unwrap();
    let advanced = advance_clone(&story.lab, &name, &cloning).await;
    story.lab.hand_over(&advanced.place, Platform::Windows, &jit_config, LIFETIME, soon()).await.unwrap();
    story.until(|world| world.runners()[0].online).await;
    story.removed(&name, Some(&advanced.place)).await;
    story.end();
}

#[tokio::test]
async fn a_vm_that_powered_itself_off_is_listed_so_and_deleted_without_a_stop() {
    let story = Story::begin().await;
    let (name, place) = story.made().await;
    story.with(|world, now| {
        let id = world.vms()[0].id;
        world.stop_vm(now, id);
    });
    story.until(|world| world.vms()[0].status == "stopped").await;
    let stopped = |state: &VmState| *state == VmState::Stopped;
    let mut state = VmState::Running;
    while !stopped(&state) {
        // The cluster's own list is a little late.
        state = story.listed().await.vms[0].state;
    }
    story.removed(&name, Some(&place)).await;
    assert_eq!(story.calls("stop"), 0);
    story.end();
}

#[tokio::test]
async fn what_is_no_place_is_refused() {
    let story = Story::begin().await;
    let secret = Secret::new(JIT.to_owned());
    for wrong in ["", "pve1", "pve1/", "pve1/x", "us-east1-c"] {
        let refused = story.lab.hand_over(&at(wrong), Platform::Linux, &secret, LIFETIME, soon()).await;
        assert!(refused.unwrap_err().to_string().contains("is no node and id"), "{wrong}");
    }
    let long = Secret::new("x".repeat(70_000));
    let (name, place) = story.made().await;
    let refused = story.lab.hand_over(&place, Platform::Linux, &long, LIFETIME, soon()).await.unwrap_err();
    assert!(refused.to_string().contains("70000 characters"), "{refused}");
    assert_eq!(
        story.with(|world, _| world.lab_nodes()[0].held_bytes.max(world.lab_nodes()[1].held_bytes)),
        12 * GIB
    );
    story.removed(&name, Some(&place)).await;
    story.end();
}
