//! Which VMs are ours, how they are, and for how many more there is room.

use std::time::Duration;

use mayfly_core::sweep::VmState;
use mayfly_service::provider::ProviderError;
use simulator::Fault;

use super::story::{Story, at, node_of, soon};

const MARKS: &str = "Some text\n\nmayfly-deployment: prod\nmayfly-pool: linux\n";
const TAGS: [&str; 2] = ["mayfly", "mayfly-prod"];

impl Story {
    fn by_person(&self, node: &str, vmid: u32, name: &str, description: &str, tags: &[&str]) {
        let added = self.with(|world, now| world.add_lab_vm(now, node, vmid, name, description, tags));
        assert!(added.is_some());
    }

    fn room(&self, room: &std::collections::BTreeMap<String, u32>) -> Option<u32> {
        room.get("template 8000").copied()
    }
}

#[tokio::test]
async fn tags_or_inside_the_range_name_and_description_make_it_ours() {
    let story = Story::begin().await;
    let names: Vec<String> = (0..8).map(|_| story.name().as_str().to_owned()).collect();
    let ours = [
        (150, names[0].as_str(), "", &TAGS[..]),
        (9100, names[1].as_str(), MARKS, &[][..]),
        (9101, names[2].as_str(), "", &TAGS[..]),
        (9102, names[3].as_str(), MARKS, &["gpu", "mayfly-prod", "mayfly"][..]),
    ];
    let strangers = [
        (151, names[4].as_str(), MARKS, &[][..]),
        (9110, names[5].as_str(), "", &[][..]),
        (9111, names[6].as_str(), "mayfly-deployment: other\nmayfly-pool: linux", &[][..]),
        (9112, "theirs", MARKS, &[][..]),
        (9113, "other-linux-0001-abcdefghjkmn", MARKS, &["mayfly", "mayfly-other"][..]),
        (9114, "theirs-too", "", &[][..]),
        (9115, names[7].as_str(), "", &["mayfly"][..]),
        (152, "theirs-three", "", &["mayfly-prod"][..]),
    ];
    for (vmid, name, description, tags) in ours.into_iter().chain(strangers) {
        story.by_person("pve2", vmid, name, description, tags);
    }
    // While the list has no names yet, and when it has.
    for _ in 0..2 {
        let mut expected: Vec<&str> = ours.iter().map(|(_, name, _, _)| *name).collect();
        expected.sort_unstable();
        assert_eq!(story.listed_names().await, expected);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let vm = story.listed().await.vms.into_iter().find(|vm| vm.name == names[1]).unwrap();
    assert_eq!((vm.place, vm.pool.as_str(), vm.state), (at("pve2/9100"), "linux", VmState::Running));
    story.end();
}

#[tokio::test]
async fn a_template_of_one_of_ours_is_none_of_ours() {
    let story = Story::of(|settings| {
        let named = simulator::Template {
            name: "prod-linux-0001-abcdefghjkmn".to_owned(),
            ..simulator::Template::linux(9005, "pve1")
        };
        settings.proxmox.templates.push(named);
        settings.proxmox.stats_lag = Duration::from_secs(30);
    });
    let story = story.await;
    assert_eq!(story.listed().await.vms, []);
    story.end();
}

#[tokio::test]
async fn a_vm_whose_name_is_not_listed_yet_is_looked_into() {
    let story = Story::of(|settings| settings.proxmox.stats_lag = Duration::from_secs(30)).await;
    story.with(|world, _| world.faults.lab.clone_takes = Some(Duration::from_millis(300)));
    let name = story.name();
    let begun = story.clone_of(&story.lab, &name).await.unwrap();
    story.by_person("pve1", 9990, "theirs", "", &[]);
    // A clone has no name, nor anything else of its own, until its disk is there.
    let before = story.calls("config");
    let listed = story.listed().await;
    assert_eq!((listed.vms.len(), listed.unseen.len()), (0, 1));
    assert_eq!(story.calls("config") - before, 2, "the stranger's may be ours as well");
    story.until(|world| world.vms()[0].status != "clone").await;
    let before = story.calls("config");
    let listed = story.listed().await;
    assert_eq!((listed.vms.len(), listed.unseen.len()), (1, 0));
    assert_eq!((listed.vms[0].name.as_str(), listed.vms[0].state), (name.as_str(), VmState::Running));
    assert_eq!(story.calls("config") - before, 2, "the stranger's may be ours as well");
    story.until(|world| world.vms()[0].status != "clone").await;
    assert_eq!(story.listed().await.vms[0].place, begun.place);
    story.end();
}

#[tokio::test]
async fn what_is_on_a_node_that_is_away_is_listed_by_its_name_or_not_seen() {
    let story = Story::begin().await;
    let (name, place) = story.made().await;
    let node = node_of(&place);
    story.by_person(&node, 9990, "theirs", "", &[]);
    story.by_person(&node, 200, "theirs-too", "", &[]);
    tokio::time::sleep(Duration::from_millis(30)).await;
    story.with(|world, now| world.set_node_online(now, &node, false));
    let listed = story.listed().await;
    assert_eq!(listed.vms.len(), 1);
    assert_eq!((listed.vms[0].name.as_str(), listed.vms[0].state), (name.as_str(), VmState::Running));
    assert!(listed.unseen.is_empty());

    tokio::time::sleep(Duration::from_millis(600)).await;
    let listed = story.listed().await;
    assert_eq!(listed.vms, []);
    assert_eq!(listed.unseen, [place, at(&format!("{node}/9990"))].into());
    story.end();
}

#[tokio::test]
async fn room_is_counted_beside_what_runs_and_what_is_claimed() {
    let story = Story::begin().await;
    let listed = story.listed().await;
    assert_eq!(story.room(&listed.room), Some(21), "three times 60 GiB, 8 each");
    let begun = story.clone_of(&story.lab, &story.name()).await.unwrap();
    let listed = story.cold().list(soon()).await.unwrap();
    assert_eq!(story.room(&listed.room), Some(20));
    let other = if node_of(&begun.place) == "pve3" { "pve2" } else { "pve3" };
    story.with(|world, now| world.set_node_online(now, other, false));
    let listed = story.cold().list(soon()).await.unwrap();
    assert_eq!(story.room(&listed.room), Some(13));

    // What cannot be told is not told as none.
    story.with(|world, _| world.change_lab(|lab| _ = lab.privileges.remove("Sys.Audit")));
    let listed = story.cold().list(soon()).await.unwrap();
    // Its clone may still be under way.
    let seen = listed.vms.len() + listed.unseen.len();
    assert_eq!((story.room(&listed.room), seen), (None, 1));
    story.end();
}

#[tokio::test]
async fn a_list_that_is_not_whole_is_an_error() {
    let story = Story::begin().await;
    let (name, place) = story.made().await;
    story.by_person("pve2", 9800, story.name().as_str(), MARKS, &[]);
    story.with(|world, _| world.faults.rate("proxmox.config", 1.0, Fault::ErrorBefore(500)));
    let error = story.lab.list(soon()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error:?}");
    story.with(|world, _| world.faults.clear());
    story.strike("proxmox.config", Fault::ErrorBefore(403));
    let error = story.lab.list(soon()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Refused { .. }), "{error:?}");
    story.with(|world, _| world.faults.rate("proxmox.resources", 1.0, Fault::ClosedBefore));
    let error = story.lab.list(soon()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error:?}");
    story.with(|world, _| world.faults.clear());
    assert_eq!(story.listed().await.vms.len(), 2);
    let nodes = story.with(|world, _| world.settings().proxmox.nodes.clone());
    story.with(|world, _| world.change_lab(|lab| lab.nodes.clear()));
    let error = story.lab.list(soon()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error:?}");
    story.with(|world, _| world.change_lab(|lab| lab.nodes = nodes));

    // One that goes while the list is made is none.
    story.with(|world, now| {
        let id = world.vms().iter().find(|vm| vm.name == name.as_str()).unwrap().id;
        world.kill_vm(now, id);
    });
    let going = story.listed().await.vms.into_iter().find(|vm| vm.place == place);
    assert!(going.is_none_or(|vm| vm.state == VmState::Going));
    story.end();
}
