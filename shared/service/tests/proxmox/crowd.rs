//! Many VMs begun at once, by functions that know nothing of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mayfly_service::provider::CreateError;
use mayfly_service::provider::proxmox::{Cloning, Proxmox, Reached};
use mayfly_testkit::tcp_proxy::Link;
use simulator::World;

use super::story::{GIB, Story, advance_clone, node_of, soon, vmid_of, wait_gone};

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

/// What was seen of the world while it changed.
#[derive(Default)]
struct Watched {
    /// The most clones at once.
    clones: AtomicUsize,
    /// Whether a node ever needed more memory than it has.
    is_over: AtomicBool,
    is_done: AtomicBool,
}

impl Watched {
    async fn watch(&self, story: &Story) {
        let look = |world: &World| {
            let clones = world.vms().iter().filter(|vm| vm.status == "clone").count();
            self.clones.fetch_max(clones, Ordering::Relaxed);
            self.is_over.fetch_or(over_memory(world), Ordering::Relaxed);
            self.is_done.load(Ordering::Relaxed)
        };
        story.until_within(Duration::from_secs(60), look).await;
    }
}

/// One after the other asks for a VM at the same time, and takes it as far as its agent.
async fn begun_by(story: &Arc<Story>, functions: &[Arc<Proxmox>]) -> Vec<Cloning> {
    let begins = (0..VMS).map(|number| {
        let (story, lab) = (Arc::clone(story), Arc::clone(&functions[number % FUNCTIONS]));
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
    let mut begun = Vec::new();
    for begin in begins.collect::<Vec<_>>() {
        match begin.await.unwrap() {
            Ok(cloning) => begun.push(cloning),
            Err(CreateError::NoRoom(places)) => assert_eq!(places.len(), 3, "{places:?}"),
            Err(error) => panic!("{error:?}"),
        }
    }
    begun
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_are_begun_as_there_is_room_for() {
    let seed = std::env::var("MAYFLY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("MAYFLY_SEED={seed}");
    let story = Arc::new(crowded(seed).await);
    let functions: Vec<Arc<Proxmox>> = (0..FUNCTIONS).map(|_| Arc::new(story.cold())).collect();
    let watched = Arc::new(Watched::default());
    let watch = {
        let (story, watched) = (Arc::clone(&story), Arc::clone(&watched));
        tokio::spawn(async move { watched.watch(&story).await })
    };
    let begun = begun_by(&story, &functions).await;
    watched.is_done.store(true, Ordering::Relaxed);
    story.with(|_, _| {});
    watch.await.unwrap();

    assert_eq!(begun.len(), ROOM);
    assert!(watched.clones.load(Ordering::Relaxed) <= 4, "{:?} clones at once", watched.clones);
    assert!(!watched.is_over.load(Ordering::Relaxed), "{:?}", story.with(|world, _| world.lab_nodes()));
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
    let going = functions[0].delete(&vm.name, None, soon()).await.unwrap();
    wait_gone(&functions[0], &going).await;
    let (a, b) = (story.name(), story.name());
    let (a, b) = tokio::join!(story.clone_of(&functions[1], &a), story.clone_of(&functions[2], &b));
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1, "{a:?} {b:?}");
    Arc::into_inner(story).unwrap().end();
}

#[tokio::test]
async fn without_the_table_nothing_is_made_and_what_there_is_is_still_seen() {
    let story = Story::begin().await;
    let (name, place) = story.made().await;
    story.table.set_link(Link::Cut);
    let error = story.clone_within(&story.cold(), &story.name(), Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error, CreateError::Unavailable(_)), "{error:?}");
    assert_eq!(story.vms().len(), 1);
    let listed = story.listed().await;
    assert_eq!((listed.vms.len(), listed.room.len()), (1, 0));
    story.removed(&name, Some(&place)).await;
    story.end();
}
