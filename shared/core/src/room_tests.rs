use proptest::prelude::*;

use super::*;
use crate::sweep::fixtures::at;

const G: u64 = GIB;

fn host(name: &str, memory: u64, used: u64) -> Host {
    Host { name: name.into(), online: true, memory: memory * G, used: used * G }
}

fn guest(host: &str, memory: u64, runs: bool) -> Guest {
    Guest { host: host.into(), runs, cloning: false, memory: Some(memory * G), spent: None }
}

fn cluster(hosts: Vec<Host>, guests: Vec<(u32, Guest)>) -> Cluster {
    Cluster { asked: at(100), hosts, guests: guests.into_iter().collect() }
}

fn demand(memory: u64) -> Demand {
    Demand {
        memory: memory * G,
        hosts: (1..=5).map(|host| format!("pve{host}")).collect(),
        vmids: 9000..=9009,
        storages: ["ceph".to_owned()].into(),
        clones_most: 4,
        taken: BTreeSet::new(),
        failed: BTreeMap::new(),
    }
}

fn claim(vmid: u32, host: &str, memory: u64, seconds: i64) -> (String, Claim) {
    let storages = ["ceph".to_owned()].into();
    (format!("vm-{vmid}"), Claim { at: at(seconds), vmid, host: host.into(), memory: memory * G, storages })
}

fn place(found: Found) -> (String, u32) {
    match &found {
        Found::Place { host, vmid } => (host.clone(), *vmid),
        Found::Later(_) | Found::Full(_) => panic!("{found:?}"),
    }
}

#[test]
fn the_host_with_most_free_memory_is_chosen() {
    let none = BTreeMap::new();
    let hosts = || vec![host("pve1", 64, 20), host("pve2", 64, 4), host("pve3", 32, 2)];
    assert_eq!(place(choose(&cluster(hosts(), vec![]), &none, &demand(8), 0)), ("pve2".into(), 9000));
    // A VM that runs takes all that it may use, though it does not use it yet.
    let lazy = Guest { spent: Some(G), ..guest("pve2", 40, true) };
    let loaded = cluster(hosts(), vec![(200, lazy)]);
    assert_eq!(place(choose(&loaded, &none, &demand(8), 0)).0, "pve1");
    // One of ours that does not run yet will.
    let ours = cluster(hosts(), vec![(9003, guest("pve2", 40, false))]);
    assert_eq!(place(choose(&ours, &none, &demand(8), 0)).0, "pve1");
    // A stranger's that is off takes nothing.
    let off = cluster(hosts(), vec![(300, guest("pve2", 40, false))]);
    assert_eq!(place(choose(&off, &none, &demand(8), 0)).0, "pve2");
    // What others have claimed counts, until the cluster shows it.
    let claims = [claim(9005, "pve2", 40, 99)].into();
    assert_eq!(place(choose(&cluster(hosts(), vec![]), &claims, &demand(8), 0)).0, "pve1");
}

#[test]
fn a_host_that_will_not_do_says_why() {
    let mut offline = host("pve2", 64, 0);
    offline.online = false;
    let all = cluster(vec![host("pve1", 64, 60), offline, host("pve3", 64, 0), host("pve4", 64, 0)], vec![]);
    let hosts = ["pve1", "pve2", "pve4"].map(str::to_owned).into();
    let failed = BTreeMap::from([("pve4".to_owned(), "no route to host".to_owned())]);
    let Found::Full(why) = choose(&all, &BTreeMap::new(), &Demand { hosts, failed, ..demand(8) }, 0) else {
        panic!("there is room nowhere");
    };
    let text = |host: &str| why.iter().find(|(name, _)| name == host).unwrap().1.clone();
    assert_eq!(text("pve1"), "4.0 of 64.0 GiB of memory are free, 8.0 needed");
    assert_eq!(text("pve2"), "the node is offline");
    assert!(text("pve3").contains("does not reach it"));
    assert_eq!(text("pve4"), "no route to host");
}

#[test]
fn an_id_that_anybody_has_is_passed_over_and_a_used_up_range_is_full() {
    let one = vec![host("pve1", 1_000, 0)];
    let guests: Vec<_> = (9000..9008).map(|vmid| (vmid, guest("pve1", 1, true))).collect();
    let used = cluster(one, guests);
    let claims = [claim(9008, "pve1", 1, 99)].into();
    assert_eq!(place(choose(&used, &claims, &demand(1), 3)).1, 9009);
    let taken = Demand { taken: [9009].into(), ..demand(1) };
    let Found::Full(why) = choose(&used, &claims, &taken, 3) else { panic!("all are taken") };
    assert_eq!(why[0].1, "all ids of 9000 to 9009 are taken");
    assert_eq!(room(&used, &claims, &taken), 0);
}

#[test]
fn a_storage_that_is_busy_with_clones_is_waited_for() {
    let cloning = |vmid| (vmid, Guest { cloning: true, ..guest("pve1", 1, false) });
    let busy = cluster(vec![host("pve1", 64, 0)], vec![cloning(9000), cloning(9001), cloning(9002)]);
    let claims: BTreeMap<_, _> = (9000..9004).map(|vmid| claim(vmid, "pve1", 1, 90)).collect();
    let Found::Later(why) = choose(&busy, &claims, &demand(1), 0) else {
        panic!("three clone, one is about to")
    };
    assert_eq!(why, "4 clones are under way on storage ceph");
    let elsewhere = Demand { storages: ["nvme".to_owned()].into(), ..demand(1) };
    assert!(matches!(choose(&busy, &claims, &elsewhere, 0), Found::Place { .. }));
}

#[test]
fn a_vm_that_is_cloned_to_another_host_takes_memory_there() {
    let cloning = Guest { cloning: true, ..guest("pve1", 40, false) };
    let busy = cluster(vec![host("pve1", 64, 4), host("pve2", 64, 0)], vec![(9000, cloning)]);
    let claims = [claim(9000, "pve2", 40, 90)].into();
    assert_eq!(place(choose(&busy, &claims, &demand(30), 0)).0, "pve1");
    assert_eq!(room(&busy, &claims, &demand(30)), 2);
}

#[test]
fn a_claim_stands_until_its_vm_has_shown_for_a_while_or_will_never_show() {
    let shown = cluster(
        vec![host("pve1", 64, 0)],
        vec![(9000, guest("pve1", 1, true)), (9001, Guest { cloning: true, ..guest("pve1", 1, false) })],
    );
    let longest = Duration::from_secs(120);
    let kept = |claim: (String, Claim), now: i64| {
        let vmid = claim.1.vmid;
        standing([claim].into(), &shown, at(now), longest).values().any(|claim| claim.vmid == vmid)
    };
    assert!(kept(claim(9000, "pve1", 1, 80), 100), "others may have looked before it showed");
    assert!(!kept(claim(9000, "pve1", 1, 60), 100));
    assert!(kept(claim(9001, "pve1", 1, -1_000), 100), "its clone is under way");
    assert!(kept(claim(9005, "pve1", 1, -10), 100), "its clone may be asked for at this moment");
    assert!(!kept(claim(9005, "pve1", 1, -30), 100));
    // An id that somebody else has on another host is not that VM.
    assert!(kept(claim(9000, "pve2", 1, 20), 100));
}

#[test]
fn memory_that_a_vm_has_just_left_is_free_though_the_figures_lag() {
    let running = cluster(vec![host("pve1", 64, 20)], vec![(9000, guest("pve1", 16, true))]);
    let (same, own) = steady(&running, &BTreeMap::new());
    assert_eq!((&same, own["pve1"].bytes), (&running, 4 * G));
    // The VM is gone, its memory still counted.
    let gone = Cluster { asked: at(130), ..cluster(vec![host("pve1", 64, 20)], vec![]) };
    let (mended, own) = steady(&gone, &own);
    assert_eq!(mended.hosts[0].used, 4 * G);
    assert_eq!(own["pve1"], Own { at: at(100), bytes: 4 * G }, "it was seen then");
    // A host that uses more for long does use more.
    let (grown, own) = steady(&Cluster { asked: at(281), ..gone }, &own);
    assert_eq!((grown.hosts[0].used, own["pve1"].bytes), (20 * G, 20 * G));
}

proptest! {
    /// However many choose one after the other from the same look, no host is promised more than it has, no id twice, and no
    /// more VMs find a place than were said to fit.
    #[test]
    fn all_that_choose_from_one_look_fit_together(
        hosts in proptest::collection::vec((1u64..64, 0u64..32, any::<bool>()), 1..5),
        guests in proptest::collection::vec((0usize..5, 1u64..16, any::<bool>(), 8_995u32..9_012), 0..12),
        memory in 1u64..16, seeds in proptest::collection::vec(any::<u64>(), 30),
    ) {
        let name = |number: usize| format!("pve{number}");
        let hosts: Vec<Host> = hosts.into_iter().enumerate()
            .map(|(number, (size, used, online))| Host { online, ..host(&name(number), size, used.min(size)) })
            .collect();
        let guests = guests.into_iter().map(|(number, memory, runs, vmid)| (vmid, guest(&name(number), memory, runs)));
        let cluster = cluster(hosts, guests.collect());
        let demand = Demand { clones_most: usize::MAX, ..demand(memory) };
        let said = room(&cluster, &BTreeMap::new(), &demand);
        let (mut claims, mut found) = (BTreeMap::new(), 0);
        for seed in seeds {
            let Found::Place { host, vmid } = choose(&cluster, &claims, &demand, seed) else { break };
            found += 1;
            prop_assert!(demand.vmids.contains(&vmid) && !cluster.guests.contains_key(&vmid));
            let on = cluster.hosts.iter().find(|each| each.name == host).unwrap();
            prop_assert!(on.online && committed(&cluster, &claims, &demand, on) + demand.memory <= on.memory);
            let (key, claim) = claim(vmid, &host, memory, 101);
            prop_assert!(claims.insert(key, claim).is_none(), "{vmid} is given twice");
        }
        prop_assert_eq!(found, said);
    }
}
