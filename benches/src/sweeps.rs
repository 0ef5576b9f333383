//! What a sweep costs that finds nothing to do, by the number of VMs.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use mayfly_testkit::lambda::Function;
use serde_json::{Value, json};

use crate::Error;
use crate::counts::busy;
use crate::measure::median;
use crate::rig::{Programs, Rig, Shape};

/// A sweep over so many busy VMs.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    pub vms: u16,
    /// Without those below.
    pub github: u64,
    /// In search of jobs of which nobody told: it stops after some calls, and the next sweep goes on.
    pub searching: u64,
    pub provider: u64,
    pub table: u64,
    pub took: Duration,
    /// The most memory that the sweeper had resident.
    pub memory: u64,
}

const SEARCHING: [&str; 3] = ["github.runs", "github.run_jobs", "github.org_repositories"];
/// The time is the median of so many.
const TIMES: usize = 5;

/// Sweeps over these numbers of VMs, in rising order.
pub async fn over(programs: &Programs, sizes: &[u16]) -> Result<Vec<Sweep>, Error> {
    let rig = Rig::set(Shape { pools: 2, ..Shape::of(5_000) }).await?;
    let mut sweeps = Vec::new();
    let mut there = 0;
    for &size in sizes {
        // Most of it is waiting for the table.
        stream::iter(there..size)
            .map(|slot| busy(&rig, slot))
            .buffer_unordered(50)
            .try_collect::<()>()
            .await?;
        there = size;
        // A process of its own, for its memory; its first sweep makes the connections, and learns of what is new.
        let sweeper = rig.sweeper(programs).await?;
        for _ in 0..2 {
            sweep(&sweeper).await?;
        }
        let mut took = Vec::new();
        let mut calls = BTreeMap::new();
        let mut table = 0;
        for _ in 0..TIMES {
            let before = rig.simulator.with(|world, _| world.view().calls);
            let report = sweep(&sweeper).await?;
            calls = rig.simulator.with(|world, _| world.view().calls);
            calls
                .iter_mut()
                .for_each(|(name, count)| *count -= before.get(name).copied().unwrap_or_default());
            if report["done"] != json!([]) || report["failed_sources"] != json!([]) {
                return Err(Error::Set(format!("a sweep over {size} VMs found something to do: {report:#}")));
            }
            took.push(Duration::from_millis(report["took_ms"].as_u64().unwrap_or_default()));
            table = report["calls"]["table"].as_u64().unwrap_or_default();
        }
        rig.is_sound()?;
        let of = |names: &dyn Fn(&str) -> bool| -> u64 {
            calls.iter().filter(|(name, _)| names(name)).map(|(_, count)| count).sum()
        };
        let searches = |name: &str| SEARCHING.contains(&name);
        sweeps.push(Sweep {
            vms: size,
            github: of(&|name| name.starts_with("github.") && !searches(name)),
            searching: of(&searches),
            provider: of(&|name| name.starts_with("gcp.")),
            table,
            took: median(&took),
            memory: sweeper
                .peak_memory_bytes()
                .ok_or_else(|| Error::Set("the sweeper has gone".to_owned()))?,
        });
    }
    Ok(sweeps)
}

/// One sweep; its report.
pub async fn sweep(sweeper: &Function) -> Result<Value, Error> {
    let invocation = sweeper.invoke(json!({ "source": "schedule" })).await.map_err(Error::set)?;
    invocation.response.clone().map_err(|error| Error::set(error.message))
}
