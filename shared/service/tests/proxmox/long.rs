//! A cluster that is broken, or somebody else's: whatever it makes long ends.

use std::time::Duration;

use mayfly_core::making::MakingStep;
use mayfly_service::provider::ProviderError;
use mayfly_service::provider::proxmox::{ProxmoxSettings, Reached};
use mayfly_service::secret::Secret;
use serde_json::{Value, json};
use simulator::{Chance, Fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::story::{JIT, LIFETIME, Story, soon, take_up};

/// One answer to everybody; none for nobody.
async fn cluster(body: Option<Value>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = body.map(|body| {
        let body = body.to_string();
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
    });
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Some(answer) = &answer {
                let mut request = vec![0; 16 << 10];
                _ = stream.read(&mut request).await;
                _ = stream.write_all(answer.as_bytes()).await;
            } else {
                kept.push(stream);
            }
        }
    });
    url
}

fn why<T: std::fmt::Debug>(told: Result<T, ProviderError>) -> String {
    match told {
        Err(ProviderError::Unavailable { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cluster_with_more_nameless_vms_than_can_be_looked_into_is_not_listed() {
    let story = Story::begin().await;
    let list = |count: u32| {
        let vm = |number: u32| {
            json!({"id": format!("qemu/{}", 9000 + number), "type": "qemu", "node": "pve1", "vmid": 9000 + number,
                   "status": "running", "template": 0, "maxmem": 1, "maxdisk": 1, "maxcpu": 1})
        };
        let node = json!({"id": "node/pve1", "type": "node", "node": "pve1", "status": "online"});
        json!({"data": (0..count).map(vm).chain([node]).collect::<Vec<_>>()})
    };
    let url = cluster(Some(list(501))).await.parse().unwrap();
    let lab = story.cold_with(ProxmoxSettings { url, ..story.settings() });
    let why = why(lab.list(soon()).await);
    assert!(why.contains("501 VMs are yet without a name"), "{why}");
    story.end();
}

/// Time goes on as soon as everybody waits.
#[tokio::test]
async fn a_call_that_is_never_answered_is_given_up_long_before_a_deadline_of_an_hour() {
    let story = Story::begin().await;
    let url = cluster(None).await.parse().unwrap();
    let lab = story.cold_with(ProxmoxSettings { url, ..story.settings() });
    tokio::time::pause();
    let began = Instant::now();
    why(lab.list(began + Duration::from_secs(3600)).await);
    let took = began.elapsed();
    assert!((30..35).contains(&took.as_secs()), "three tries of 10 s each: {took:?}");
    tokio::time::resume();
    story.end();
}

#[tokio::test]
async fn a_task_that_cannot_be_looked_at_is_given_up_after_five_looks() {
    let story = Story::begin().await;
    story.with(|world, _| world.faults.lab.clone_hangs = Chance::next(1));
    let name = story.name();
    let begun = story.clone_of(&story.lab, &name).await.unwrap();
    let before = story.with(|world, _| world.calls_of("proxmox.task"));
    story.with(|world, _| world.faults.rate("proxmox.task", 1.0, Fault::ErrorBefore(503)));
    let step = MakingStep::Cloning { task: begun.task.clone() };
    let advanced = take_up(&story.lab, &name, &begun.place, &step, Duration::from_secs(60)).await;
    assert!(matches!(advanced.reached, Reached::NotYet { .. }), "{advanced:?}");
    let looks = story.with(|world, _| world.calls_of("proxmox.task")) - before;
    assert_eq!(looks, 5);
    story.with(|world, _| world.faults.clear());
    story.end();
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_given_up_after_four_tries() {
    let story = Story::begin().await;
    let (_, place) = story.made().await;
    let before = story.with(|world, _| world.calls_of("proxmox.file_write"));
    story.with(|world, _| world.faults.rate("proxmox.file_write", 1.0, Fault::ErrorBefore(503)));
    let config = Secret::new(JIT);
    let platform = mayfly_core::policy::Platform::Linux;
    story.lab.hand_over(&place, platform, &config, LIFETIME, soon()).await.unwrap_err();
    assert_eq!(story.with(|world, _| world.calls_of("proxmox.file_write")) - before, 4);
    story.with(|world, _| world.faults.clear());
    story.end();
}

#[tokio::test]
async fn a_clone_whose_replies_are_all_lost_is_asked_for_three_times() {
    let story = Story::begin().await;
    story.with(|world, _| world.faults.rate("proxmox.clone", 1.0, Fault::ClosedBefore));
    let name = story.name();
    story.clone_of(&story.lab, &name).await.unwrap_err();
    assert_eq!(story.with(|world, _| world.calls_of("proxmox.clone")), 3);
    story.with(|world, _| world.faults.clear());
    story.end();
}
