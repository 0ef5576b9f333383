//! Which node and which id a VM gets.

use std::collections::BTreeSet;
use std::time::Duration;

use mayfly_core::policy::ProxmoxPlacement;
use mayfly_service::provider::CreateError;
use mayfly_service::provider::proxmox::{Proxmox, ProxmoxSettings};
use mayfly_testkit::wait_for;
use simulator::{Chance, GuestOs, Method, Template};

use super::story::{GIB, Story, advance_clone, no_room, node_of, vmid_of};

impl Story {
    /// Clones, and says where.
    async fn place_by(&self, lab: &Proxmox) -> (String, u32) {
        let cloning = self.clone_of(lab, &self.name()).await.unwrap();
        (node_of(&cloning.place), vmid_of(&cloning.place))
    }

    fn with_range(&self, first: u32, last: u32) -> Proxmox {
        self.cold_with(ProxmoxSettings { vmid_range: (first, last), ..self.settings() })
    }

    fn with_nodes(&self, nodes: &[&str]) -> Proxmox {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        self.cold_with(ProxmoxSettings { nodes, ..self.settings() })
    }

    /// Takes memory on a node away, 4 GiB a VM, and waits until the cluster's list shows it.
    async fn crowd(&self, node: &str, first: u32, vms: u32) {
        for vmid in first..first + vms {
            self.stranger(node, vmid, &format!("theirs-{vmid}"));
        }
        let running = || {
            let all = self.by_hand(Method::Get, "/cluster/resources", &[]);
            let on_node = all.as_array().unwrap().iter().filter(|each| each["node"] == node);
            on_node.filter(|each| each["status"] == "running").count() >= vms as usize
        };
        wait_for("the list to show them", Duration::from_secs(10), running).await.unwrap();
    }

    fn every_node(&self, online: bool, nodes: &[&str]) {
        for node in nodes {
            assert!(self.with(|world, now| world.set_node_online(now, node, online)));
        }
    }
}

#[tokio::test]
async fn an_id_that_a_stranger_took_just_before_is_left_to_it() {
    let story = Story::begin().await;
    story.with(|world, _| world.faults.lab.stranger_takes = Chance::next(1));
    let name = story.name();
    let cloning = story.clone_of(&story.lab, &name).await.unwrap();
    assert_eq!(story.calls("clone"), 2);
    assert_eq!(story.vms().len(), 2);
    advance_clone(&story.lab, &name, &cloning).await;

    story.with(|world, _| world.faults.lab.stranger_takes = Chance::next(9));
    let cloning = story.clone_of(&story.lab, &story.name()).await.unwrap();
    // One in a hundred times an id is chosen that a stranger has taken since the last look.
    let calls = story.calls("clone");
    assert!((12..14).contains(&calls) && story.vms().len() == 12, "{calls} calls");
    let ids: BTreeSet<_> = story.vms().iter().map(|vm| vm.vmid).collect();
    assert!(ids.len() == 12 && ids.contains(&Some(vmid_of(&cloning.place))));

    story.with(|world, _| world.faults.lab.stranger_takes = Chance::rate(1.0));
    let never = story.clone_of(&story.lab, &story.name()).await;
    let Err(CreateError::Unavailable(why)) = never else { panic!("{never:?}") };
    assert!(why.contains("16 tries"), "{why}");
    assert_eq!(story.calls("clone") - calls, 16);
    story.end();
}

#[tokio::test]
async fn a_range_that_is_used_up_is_told_by_its_name() {
    let story = Story::begin().await;
    story.stranger("pve2", 9001, "theirs");
    let lab = story.with_range(9000, 9002);
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        ids.insert(story.place_by(&lab).await.1);
    }
    assert_eq!(ids, BTreeSet::from([9000, 9002]));
    let why = no_room(story.clone_of(&lab, &story.name()).await);
    assert_eq!(why, "vmid_range: all ids of 9000 to 9002 are taken\n");
    assert_eq!(story.calls("clone"), 2);

    let own = story.vms().into_iter().find(|vm| vm.vmid == Some(9002)).unwrap();
    story.until(|world| world.vms().iter().all(|vm| vm.status != "clone")).await;
    let going = lab.delete(&own.name, None, super::story::soon()).await.unwrap();
    super::story::wait_gone(&lab, &going).await;
    assert_eq!(story.place_by(&lab).await.1, 9002, "given back");
    story.end();
}

#[tokio::test]
async fn a_template_inside_the_range_keeps_its_id() {
    let story = Story::of(|settings| {
        settings.proxmox.templates.push(Template::linux(9001, "pve3"));
        settings.proxmox.vmid_range = (9000, 9002);
    });
    let story = story.await;
    let lab = story.with_range(9000, 9002);
    let ids = BTreeSet::from([story.place_by(&lab).await.1, story.place_by(&lab).await.1]);
    assert_eq!(ids, BTreeSet::from([9000, 9002]));
    assert!(no_room(story.clone_of(&lab, &story.name()).await).contains("vmid_range"));
    assert_eq!(story.calls("clone"), 2, "the template's was not tried");
    story.end();
}

#[tokio::test]
async fn an_id_that_was_given_back_is_rarely_the_next() {
    let story = Story::begin().await;
    let mut ids = BTreeSet::new();
    for _ in 0..5 {
        let (name, begun) = story.cloned().await;
        story.removed(&name, Some(&begun.place)).await;
        ids.insert(vmid_of(&begun.place));
    }
    // Of 1000 ids: that two of five agree happens once in a hundred times, three once in a hundred thousand.
    assert!(ids.len() >= 4, "{ids:?}");
    story.end();
}

#[tokio::test]
async fn the_node_with_most_free_memory_is_taken() {
    let story = Story::begin().await;
    story.crowd("pve1", 200, 3).await;
    story.crowd("pve2", 210, 5).await;
    story.crowd("pve3", 220, 8).await;
    // Free are 48, 40 and 28 GiB; each VM takes 8.
    let mut nodes = Vec::new();
    for _ in 0..6 {
        nodes.push(story.place_by(&story.lab).await.0);
    }
    assert_eq!(nodes[0], "pve1");
    assert_eq!(nodes.iter().filter(|node| *node == "pve1").count(), 3, "{nodes:?}");
    assert_eq!(nodes.iter().filter(|node| *node == "pve2").count(), 2, "{nodes:?}");
    story.end();
}

#[tokio::test]
async fn nodes_that_are_not_configured_or_away_are_left_alone() {
    let story = Story::begin().await;
    let lab = story.with_nodes(&["pve3"]);
    assert_eq!(story.place_by(&lab).await.0, "pve3");
    story.every_node(false, &["pve3"]);
    let why = no_room(story.clone_of(&story.with_nodes(&["pve3"]), &story.name()).await);
    assert!(why.contains("pve3: the node is offline"), "{why}");
    assert!(why.contains("pve1: ") && why.contains("`nodes` leaves it out"), "{why}");
    for _ in 0..4 {
        assert_ne!(story.place_by(&story.lab).await.0, "pve3");
    }
    story.end();
}

#[tokio::test]
async fn a_template_whose_node_is_away_makes_the_placement_full() {
    let story = Story::begin().await;
    story.every_node(false, &["pve1"]);
    // Sooner or later the cluster's list forgets that it is a template.
    for _ in 0..2 {
        let full = story.clone_of(&story.cold(), &story.name()).await;
        let Err(CreateError::Full(places)) = full else { panic!("{full:?}") };
        assert_eq!((places[0].place.as_str(), places[0].full), ("template 8000", true));
        assert_eq!(places[0].why, "node pve1, where template 8000 is, is offline");
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    story.every_node(true, &["pve1"]);
    story.place_by(&story.cold()).await;
    story.end();
}

#[tokio::test]
async fn a_local_template_stays_on_its_node() {
    let mut story = Story::begin().await;
    story.placement.template = 8002;
    for _ in 0..4 {
        assert_eq!(story.place_by(&story.lab).await.0, "pve3");
    }
    story.crowd("pve3", 300, 6).await;
    let why = no_room(story.clone_of(&story.cold(), &story.name()).await);
    assert!(why.contains("pve3: 4.0 of 64.0 GiB of memory are free, 8.0 needed"), "{why}");
    assert!(why.contains("pve1: the template's storage does not reach it"), "{why}");
    story.end();
}

#[tokio::test]
async fn a_storage_that_some_nodes_have_bounds_a_full_clone() {
    let story = Story::of(|settings| {
        let mut fast = settings.proxmox.storages[0].clone();
        "fast".clone_into(&mut fast.name);
        fast.nodes = Some(vec!["pve1".to_owned(), "pve2".to_owned()]);
        settings.proxmox.storages.push(fast);
    });
    let mut story = story.await;
    story.placement =
        ProxmoxPlacement { full_clone: true, storage: Some("fast".to_owned()), ..story.placement.clone() };
    story.crowd("pve1", 200, 4).await;
    story.crowd("pve2", 210, 4).await;
    for _ in 0..3 {
        assert_ne!(story.place_by(&story.lab).await.0, "pve3");
    }
    story.end();
}

#[tokio::test]
async fn memory_that_a_vm_has_just_left_is_free() {
    let story = Story::of(|settings| {
        // Room for one VM.
        settings.proxmox.nodes.truncate(1);
        settings.proxmox.nodes[0].memory_bytes = 15 * GIB;
        settings.proxmox.templates.truncate(1);
        settings.proxmox.templates[0].os = GuestOs::Linux;
        settings.proxmox.stats_lag = Duration::from_secs(3);
    });
    let story = story.await;
    for _ in 0..2 {
        let (name, place) = story.made().await;
        let why = no_room(story.clone_of(&story.cold(), &story.name()).await);
        assert!(why.contains("GiB of memory are free, 8.0 needed"), "{why}");
        story.removed(&name, Some(&place)).await;
    }
    story.end();
}
