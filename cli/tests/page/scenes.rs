//! Deployments as they are seen: empty, busy, failing. Each page is left in `target/tmp/pages`, where `docs/pictures` shows it to a
//! browser, with the headers that it came with.

use mayfly_core::past::Used;
use mayfly_core::price::Cost;
use mayfly_core::slot::SlotEvent;
use mayfly_service::store::Stage as Trouble;

use crate::stage::{Shown, Stage, keep, name, placed, pool, started};

fn has(shown: &Shown, parts: &[&str]) {
    for part in parts {
        assert!(shown.text.contains(part), "{part} is missing in\n{}", shown.text);
    }
}

#[tokio::test]
async fn an_empty_deployment_says_so() {
    let stage = Stage::begin(&[pool("linux-gpu", 10, Some(0.47)), pool("windows-gpu", 6, Some(0.71))]).await;
    let shown = stage.page().await;
    has(
        &shown,
        &[
            "Nothing is wrong",
            "<b>0</b> of 16",
            "No job waits",
            "No job has ended",
            "No runner is there",
            "0.00 USD",
        ],
    );
    keep("empty", &shown);
}

#[tokio::test]
async fn a_busy_deployment_shows_its_runners_its_queue_its_jobs_and_what_they_cost() {
    let stage = Stage::begin(&[
        pool("linux-gpu", 10, Some(0.47)),
        pool("windows-gpu", 6, Some(0.71)),
        pool("linux-build", 24, Some(0.19)),
        pool("linux-arm", 4, None),
    ])
    .await;
    busy_pools(&stage).await;
    for (place, wait) in (0..7).zip([1_510, 1_340, 980, 610, 420, 70, 12]) {
        let repository = ["shader-slang/slang", "shader-slang/slang-rhi"][place % 2];
        stage
            .waits("windows-gpu", 41_234_570_100 + u64::try_from(place).unwrap() * 37, repository, wait)
            .await;
    }
    recent_jobs(&stage).await;
    let gone = [
        ("linux-gpu", 1_204, 310.4, 145.89),
        ("windows-gpu", 633, 402.0, 285.42),
        ("linux-build", 5_120, 1_310.0, 248.9),
    ];
    for (pool, vms, hours, cost) in gone {
        stage.ledger.vm_over(&name(pool), &used(vms, hours, Some(cost)), stage.now).await.unwrap();
    }
    stage.ledger.vm_over(&name("linux-arm"), &used(12, 3.5, None), stage.now).await.unwrap();
    stage
        .ledger
        .cool_down(&name("linux-gpu"), &["gcp/us-west1-a".to_owned()], stage.ahead(140))
        .await
        .unwrap();

    let shown = stage.page().await;
    has(
        &shown,
        &[
            "1 note",
            "<b>33</b> of 44",
            "22 busy",
            "its pool is full: all 6 runners are taken",
            "<b>7</b>",
            "and 24 more that are remembered",
            "was full, and is not asked for a while: gcp/us-west1-a until",
            "price_per_hour",
            "waited 2.0 s, booted 48.0 s, ran 12 min",
        ],
    );
    keep("busy", &shown);
}

fn used(vms: u64, hours: f64, cost: Option<f64>) -> Used {
    let ms = (hours * 3_600_000.0) as u64;
    let cost_micros = Cost((cost.unwrap_or_default() * 1e6) as u64);
    Used { vms, ms, unpriced_ms: if cost.is_none() { ms } else { 0 }, cost: cost_micros }
}

async fn busy_pools(stage: &Stage) {
    let mut job = 41_234_570_500;
    for (pool, busy, booting, idle, leaving) in [
        ("linux-gpu", 6, 2, 0, 0),
        ("windows-gpu", 5, 0, 0, 1),
        ("linux-build", 10, 3, 2, 3),
        ("linux-arm", 1, 0, 0, 0),
    ] {
        for index in 0..busy + booting + idle + leaving {
            job += 13;
            let age = 200 + u64::from(index) * 97;
            let booted = (age - 50, started(job));
            let (job, events) = match index {
                _ if index < busy => (Some(job), vec![(age, placed()), booted]),
                _ if index < busy + booting => (Some(job), vec![(20 + u64::from(index), placed())]),
                _ if index < busy + booting + idle => {
                    (None, vec![(age, placed()), (age - 60, SlotEvent::Online)])
                }
                _ => (Some(job), vec![(age, placed()), booted, (8, SlotEvent::Ended)]),
            };
            stage.taken(pool, index, job, age, &events).await;
        }
    }
}

/// As many as are remembered, newest first.
async fn recent_jobs(stage: &Stage) {
    let kinds = [
        ("linux-gpu", "shader-slang/slang", (2, 48, 720)),
        ("linux-build", "shader-slang/slangpy", (1, 31, 185)),
        ("windows-gpu", "shader-slang/slang-rhi", (340, 96, 1_010)),
        ("linux-build", "shader-slang/slang", (2, 29, 410)),
        ("linux-gpu", "shader-slang/falcor", (3, 52, 1_260)),
        ("windows-gpu", "shader-slang/slang", (15, 88, 640)),
    ];
    // Their places in the ring differ: pool by pool, no two of them are the same.
    let mut places = std::collections::BTreeSet::new();
    let (mut count, mut id, mut ended) = (0, 41_234_567_000_u64, 35);
    while count < 48 {
        let (pool, repository, (wait, boot, run)) = kinds[count % kinds.len()];
        id -= 11;
        let place = mayfly_core::past::OverJob {
            job: mayfly_core::ids::JobId(id),
            repository: mayfly_core::ids::Repository::new(repository).unwrap(),
            runner: None,
            queued_at: stage.now,
            made_at: None,
            started_at: None,
            ended_at: stage.now,
            conclusion: String::new(),
        }
        .place();
        if !places.insert((pool, place)) {
            continue;
        }
        let wobble = if count == 0 { 0 } else { (id / 11) % 90 };
        let conclusion = match count {
            5 | 19 => "failure",
            9 => "cancelled",
            _ => "success",
        };
        stage
            .over(pool, id, repository, ended, (wait, boot + wobble / 9, run + wobble * 3), conclusion)
            .await;
        ended += 20 + wobble * 2;
        count += 1;
    }
}

#[tokio::test]
async fn a_failing_deployment_says_what_fails_and_why() {
    let stage = Stage::begin(&[
        pool("linux-gpu", 10, Some(0.47)),
        pool("windows-gpu", 6, Some(0.71)),
        pool("linux-build", 24, Some(0.19)),
    ])
    .await;
    let ledger = &stage.ledger;
    let why =
        "The resource 'projects/slang-runners/global/instanceTemplates/windows-gpu-runner' was not found";
    for ago in [700, 400, 45] {
        ledger.failed(&name("windows-gpu"), Trouble::Create, why, stage.ago(ago)).await.unwrap();
    }
    for ago in [1_500, 800] {
        let boot = "prod-linux-gpu-0003-x: its runner did not come online within boot_timeout";
        ledger.failed(&name("linux-gpu"), Trouble::Boot, boot, stage.ago(ago)).await.unwrap();
    }
    ledger.drain(&name("linux-build"), stage.ago(5_000)).await.unwrap();
    let places = ["gcp/us-east1-c".to_owned(), "gcp/us-west1-a".to_owned()];
    ledger.cool_down(&name("linux-gpu"), &places, stage.ahead(200)).await.unwrap();
    stage.taken("linux-gpu", 0, Some(1), 3_000, &[(2_990, placed()), (2_900, started(1))]).await;
    stage.taken("linux-build", 4, Some(2), 900, &[(890, placed()), (850, started(2))]).await;
    for (id, pool) in [(11, "windows-gpu"), (12, "windows-gpu"), (13, "linux-gpu"), (14, "linux-build")] {
        stage.waits(pool, 41_234_570_100 + id, "shader-slang/slang", 100 + 60 * id).await;
    }
    stage.over("linux-gpu", 41_234_560_007, "shader-slang/slang", 300, (4, 61, 830), "failure").await;
    stage.over("linux-gpu", 41_234_560_018, "shader-slang/slang", 4_000, (3_600, 0, 0), "cancelled").await;

    let shown = stage.page().await;
    has(
        &shown,
        &[
            "things want a look",
            "creates failed 3 times in a row",
            "instanceTemplates/windows-gpu-runner&#39; was not found",
            "boots failed 2 times in a row",
            "drained for 1 h 23 min",
            "its pool is being drained",
            "waited 1 h, and no runner took it",
            "<span class=\"chip bad\">failure</span>",
        ],
    );
    keep("failing", &shown);
}
