//! A sweep has less time than its Lambda: what it does not get done is left for the next.

use std::time::Duration;

use simulator::Fault;

use crate::plot::Plot;
use crate::sights::{MARKS, ZONE, our_vms};
use crate::stage::Stage;

/// More than one sweep of five seconds deletes, when each deletion takes more than one to be asked for.
const STRAYS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_runs_out_of_time_stops_in_good_order_and_the_next_goes_on() {
    let stage = Stage::set(Plot::default()).await;
    stage.simulator.with(|world, now| {
        for number in 0..STRAYS {
            let made = now - Duration::from_secs(60);
            world.add_vm(made, ZONE, &format!("test-stray-{number}"), &MARKS).unwrap();
        }
        world.faults.rate("gcp.delete", 1.0, Fault::Slow(Duration::from_millis(1200)));
    });
    let hurried = stage.hurried_sweeper(Duration::from_secs(5)).await;
    let report = stage.sweep_by(&hurried).await;
    let (done, postponed) = (report["done"].as_array().unwrap().len(), report["postponed"].as_u64().unwrap());
    assert!(done > 0 && postponed > 0, "{report:#}");
    stage.simulator.with(|world, _| world.faults.clear());
    stage.sweep_until("the next ones have done the rest", |world, _| our_vms(world).is_empty()).await;
    stage.curtain().await;
}
