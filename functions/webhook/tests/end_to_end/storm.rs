//! Everything at once: many jobs, bad deliveries, killed functions, several sweepers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use simulator::{Chance, JobId, Settings};
use tokio::sync::Semaphore;

use crate::plot::{LABELS, Plot, PoolPlot};
use crate::sights::all_over;
use crate::stage::Stage;

/// Pseudo-random numbers from a seed (an LCG of Knuth's MMIX); not for anything but choosing.
struct Dice(AtomicU64);

impl Dice {
    /// The seed of this run: `MAYFLY_SEED`, or one that has not been tried today.
    fn thrown() -> (u64, Self) {
        let given = std::env::var("MAYFLY_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| jiff::Timestamp::now().as_microsecond().unsigned_abs());
        println!("MAYFLY_SEED={seed}");
        (seed, Self(AtomicU64::new(seed)))
    }

    fn below(&self, bound: u64) -> u64 {
        let next = |state: u64| {
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
        };
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| Some(next(state)));
        (next(before.unwrap_or_default()) >> 33) % bound
    }
}

/// Patient enough for a machine that does a hundred things at once.
fn patient(pools: Vec<PoolPlot>, seed: u64) -> Plot {
    let mut plot = Plot { pools, environments: 60, log: "info", ..Plot::default() };
    plot.settings = Settings { seed, ..Settings::brisk() };
    for pool in &mut plot.pools {
        pool.boot_timeout = "10s";
    }
    plot
}

impl Stage {
    /// Sweeps every second until all jobs are over.
    async fn sweep_through(&self, done_queueing: &AtomicBool) {
        let end = jiff::Timestamp::now() + Duration::from_secs(120);
        loop {
            let next = tokio::time::Instant::now() + Duration::from_secs(1);
            self.sweep().await;
            if done_queueing.load(Ordering::Relaxed) && self.simulator.with(|world, _| all_over(world)) {
                return;
            }
            assert!(jiff::Timestamp::now() < end, "jobs are left unserved\n{}", self.story());
            tokio::time::sleep_until(next).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_jobs_in_three_pools_run_through_a_storm_of_bad_deliveries() {
    let (seed, dice) = Dice::thrown();
    let labels = [LABELS, ["self-hosted", "Linux", "CPU"], ["self-hosted", "Windows", "GPU"]];
    let pools = ["linux-gpu", "linux-cpu", "windows-gpu"].into_iter().zip(&labels).map(|(name, labels)| {
        PoolPlot { name, labels: labels.to_vec(), max_runners: 25, ..PoolPlot::default() }
    });
    let stage = Stage::set(patient(pools.collect(), seed)).await;
    stage.simulator.with(|world, _| {
        let faults = &mut world.faults.deliveries;
        faults.lost = Chance::rate(0.1);
        faults.duplicated = Chance::rate(0.1);
        faults.delayed = Chance::rate(0.1);
        faults.delay_max = Duration::from_secs(4);
    });
    let all_queued = AtomicBool::new(false);
    let arrivals = async {
        for _ in 0..500 {
            stage.queue_for(&labels[dice.below(3) as usize], Duration::from_millis(dice.below(200)));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        all_queued.store(true, Ordering::Relaxed);
    };
    tokio::join!(arrivals, stage.sweep_through(&all_queued));
    stage.simulator.with(|world, _| world.faults.clear());
    stage.curtain().await;
}

/// The job of a `queued` delivery, as it reaches the function.
fn queued(event: &Value) -> Option<u64> {
    let body: Value = serde_json::from_str(event["body"].as_str()?).ok()?;
    (body["action"] == "queued").then(|| body["workflow_job"]["id"].as_u64())?
}

/// So many jobs, each of whose function is killed at a random moment within that time.
async fn each_function_is_killed(mut plot: Plot, dice: Dice, jobs: usize, within: Duration) {
    plot.timing.step_timeout = "4s";
    let stage = Stage::set(plot).await;
    let killed = Arc::new(Mutex::new(BTreeSet::new()));
    // So many are waiting to be killed at once that each delivery finds an environment.
    let doomed = Arc::new(Semaphore::new(12));
    let (dice, dead, places) = (Arc::new(dice), killed.clone(), doomed.clone());
    let within = u64::try_from(within.as_millis()).unwrap();
    stage.webhook.observe(move |event, function| {
        let Some(job) = queued(event).filter(|job| !dead.lock().unwrap().contains(job)) else { return };
        let (moment, function, dead, places) =
            (Duration::from_millis(dice.below(within)), function.clone(), dead.clone(), places.clone());
        tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            function.kill().await;
            dead.lock().unwrap().insert(job);
            places.add_permits(1);
        });
    });
    let all_queued = AtomicBool::new(false);
    let arrivals = async {
        for _ in 0..jobs {
            doomed.acquire().await.unwrap().forget();
            stage.queue(Duration::from_millis(50));
        }
        all_queued.store(true, Ordering::Relaxed);
    };
    tokio::join!(arrivals, stage.sweep_through(&all_queued));
    // A sweep may have served the last one before its function's moment came.
    let all = || killed.lock().unwrap().len() == jobs;
    mayfly_testkit::wait_for("each function to be killed", Duration::from_secs(10), all).await.unwrap();
    stage.curtain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_jobs_run_although_each_ones_function_is_killed_at_a_random_moment() {
    let (seed, dice) = Dice::thrown();
    let plot = patient(vec![PoolPlot { max_runners: 100, ..PoolPlot::default() }], seed);
    each_function_is_killed(plot, dice, 200, Duration::from_millis(400)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_jobs_in_the_lab_run_although_each_ones_function_is_killed_at_a_random_moment() {
    let (seed, dice) = Dice::thrown();
    let mut plot = patient(Plot::lab(60).pools, seed);
    for node in &mut plot.settings.proxmox.nodes {
        node.memory_bytes = 300 << 30;
    }
    // The steps of making a VM take longer here.
    each_function_is_killed(plot, dice, 60, Duration::from_millis(1_200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sweepers_and_a_storm_of_webhooks_on_one_pool_break_nothing() {
    let (seed, dice) = Dice::thrown();
    let mut stage = Stage::set(patient(vec![PoolPlot { max_runners: 8, ..PoolPlot::default() }], seed)).await;
    stage.add_sweeper().await;
    stage.simulator.with(|world, _| world.faults.deliveries.duplicated = Chance::rate(0.3));
    let over = AtomicBool::new(false);
    let sweep_on = async |at: usize| {
        while !over.load(Ordering::Relaxed) {
            stage.sweep_by(&stage.sweepers[at]).await;
        }
    };
    let storm = async {
        let mut queued: Vec<JobId> = Vec::new();
        for _ in 0..100 {
            queued.push(stage.queue(Duration::from_millis(dice.below(300))));
            if dice.below(5) == 0 {
                let victim = queued[dice.below(queued.len() as u64) as usize];
                stage.simulator.with(|world, now| world.cancel_job(now, victim));
            }
            tokio::time::sleep(Duration::from_millis(dice.below(40))).await;
        }
        stage.until("all jobs are over", all_over).await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(storm, sweep_on(0), sweep_on(1));
    stage.curtain().await;
}
