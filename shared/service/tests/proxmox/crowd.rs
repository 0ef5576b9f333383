//! Many VMs begun at once, by functions that know nothing of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mayfly_service::provider::CreateError;
use mayfly_service::provider::proxmox::{Cloning, Proxmox, Reached};
use simulator::World;

use super::story::{GIB, Story, advance_clone, node_of, vmid_of};

const FUNCTIONS: usize = 6;
const VMS: usize = 30;
const ROOM: usize = 20;

fn over_memory(world: &World) -> bool {
    world.lab_nodes().iter().any(|node| node.held_bytes > node.memory_bytes)
}

/// Three nodes with room for 7, 7 and 6 VMs of 8 GiB.
async fn crowded(seed: u64) -> Story {
    Story::of(|settings| {
        settings.seed = seed;
        for (node, memory) in settings.proxmox.nodes.iter_mut().zip([60, 63, 52]) {
            node.memory_bytes = memory * GIB;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_are_begun_as_there_is_room_for() {
    let seed = std::env::var("MAYFLY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("MAYFLY_SEED={seed}");
    let story = Arc::new(crowded(seed).await);
    let functions: Vec<Arc<Proxmox>> = (0..FUNCTIONS).map(|_| Arc::new(story.cold())).collect();

    let (most, done, broken) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let watch = {
        let (story, most, done, broken) =
            (Arc::clone(&story), Arc::clone(&most), Arc::clone(&done), Arc::clone(&broken));
        tokio::spawn(async move {
            story
                .until_within(Duration::from_secs(60), |world| {
                    let clones = world.vms().iter().filter(|vm| vm.status == "clone").count();
                    most.fetch_max(clones, Ordering::Relaxed);
                    broken.fetch_or(over_memory(world), Ordering::Relaxed);
                    done.load(Ordering::Relaxed)
                })
                .await;
        })
    };
    let begins = (0..VMS).map(|number| {
        let (story, lab) = (Arc::clone(&story), Arc::clone(&functions[number % FUNCTIONS]));
        tokio::spawn(async move {
            let name = story.name();
            let begun = story.clone_of(&lab, &name).await;
            if let Ok(cloning) = &begun {
                let advanced = advance_clone(&lab, &name, cloning).await;
                assert!(matches!(advanced.reached, Reached::Agent), "{advanced:?}");
                assert_eq!(advanced.place, cloning.place);
            }
            begun
        })
    });
    let mut begun: Vec<Cloning> = Vec::new();
    for begin in begins.collect::<Vec<_>>() {
        match begin.await.unwrap() {
            Ok(cloning) => begun.push(cloning),
            Err(CreateError::NoRoom(places)) => assert_eq!(places.len(), 3, "{places:?}"),
            Err(error) => panic!("{error:?}"),
        }
    }
    done.store(true, Ordering::Relaxed);
    story.with(|_, _| {});
    watch.await.unwrap();

    assert_eq!(begun.len(), ROOM);
    assert!(most.load(Ordering::Relaxed) <= 4, "{most:?} clones at once");
    assert!(!broken.load(Ordering::Relaxed), "{:?}", story.with(|world, _| world.lab_nodes()));
    let ids: BTreeSet<u32> = begun.iter().map(|cloning| vmid_of(&cloning.place)).collect();
    assert_eq!(ids.len(), ROOM);
    assert!(ids.iter().all(|vmid| (9000..=9999).contains(vmid)), "{ids:?}");
    let mut nodes: BTreeMap<String, usize> = BTreeMap::new();
    for cloning in &begun {
        *nodes.entry(node_of(&cloning.place)).or_default() += 1;
    }
    assert_eq!(nodes.into_values().collect::<Vec<_>>(), [7, 7, 6]);
    assert_eq!(story.calls("clone"), ROOM as u64, "no clone was asked for in vain");

    // As soon as one goes, there is room for one more, and for no second.
    let vm = story.vms().remove(0);
    let place = begun.iter().find(|cloning| Some(vmid_of(&cloning.place)) == vm.vmid).unwrap().place.clone();
    let lab = &functions[0];
    let going = lab.delete(&vm.name, Some(&place), super::story::soon()).await.unwrap();
    super::story::wait_gone(lab, &going).await;
    let (a, b) = (story.name(), story.name());
    let (a, b) = tokio::join!(story.clone_of(&functions[1], &a), story.clone_of(&functions[2], &b));
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1, "{a:?} {b:?}");
    Arc::into_inner(story).unwrap().end();
}
