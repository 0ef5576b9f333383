//! The second phase: nothing goes wrong any more, and everything has to come to its good end.

use std::time::Duration;

use jiff::Timestamp;
use simulator::{Api, JobState};

use crate::check::{self, Broken};
use crate::director::Director;
use crate::stage::{Inner, after};

/// From the end of the faults until all jobs are over: so much, and so much for each job that is open.
const SERVED_LEAST: Duration = Duration::from_secs(3 * 3600);
const SERVED_EACH: Duration = Duration::from_secs(20 * 60);
/// Where a pool has one VM at a time, its jobs wait for each other, and each of them for so many sweeps.
const SWEEPS_EACH: u32 = 3;
/// From the end of the last job until nothing is left.
const SETTLED_WITHIN: Duration = Duration::from_secs(4 * 3600);
/// Sweeps that may still do something when all is settled, beside those within `check_after`: a warm runner is replaced when
/// it is old, or was made because nobody had told yet that another one's job is over.
const BUSY_SWEEPS: u32 = 6;
/// All of them may grow old at the same time, and to replace one takes so many: its end, its slot, the next one's VM, its runner.
const SWEEPS_A_WARM: u32 = 4;
/// It is quiet when so many sweeps in a row did nothing; one where runners are kept warm, which are always replaced in the end.
const QUIET_SWEEPS: u32 = 2;

impl Director<'_> {
    /// Everything works again; people mend what only they can.
    pub(crate) fn calm_down(&mut self) {
        let stage = self.stage.clone();
        let now = stage.now();
        stage.note(|| "* everything works again".to_owned());
        while let Some(((_, _), end)) = self.ends.pop_first() {
            self.end(end, now);
        }
        let mut inner = stage.lock();
        inner.troubles.clear();
        inner.outages.clear();
        inner.count_chances();
        let world = &mut inner.world;
        world.faults.clear();
        for region in crate::configure::REGIONS {
            for metric in ["NVIDIA_T4_GPUS", "PREEMPTIBLE_NVIDIA_T4_GPUS"] {
                world.set_quota(region, metric, 600.0);
            }
        }
        // A task that hangs, or died with its node, leaves its lock until somebody looks after it.
        let is_locked = |vm: &simulator::VmView| ["clone", "destroyed"].contains(&vm.status);
        let hangs = |vm: &simulator::VmView| vm.provider == Api::Proxmox && is_locked(vm);
        let hanging: Vec<_> = world.vms().into_iter().filter(|vm| hangs(vm)).collect();
        for vm in hanging {
            world.kill_vm(now, vm.id);
        }
        // What others have on the cluster may leave no room for any VM of ours.
        let theirs = |vm: &simulator::VmView| {
            vm.provider == Api::Proxmox && !vm.labels.contains_key("mayfly-deployment")
        };
        let theirs: Vec<_> = world.vms().into_iter().filter(|vm| theirs(vm)).collect();
        for vm in theirs {
            world.kill_vm(now, vm.id);
        }
        let held: Vec<_> = world.jobs().into_iter().filter(|job| job.state == JobState::Waiting).collect();
        for (nth, job) in held.into_iter().enumerate() {
            // Some stay behind their approval for ever.
            if nth % 3 == 0 {
                world.approve_job(now, job.id);
            }
        }
        drop(inner);
        self.skew = 0;
        self.no_sweeps_until = now;
        self.deploy();
    }

    /// Demands the good end.
    pub(crate) async fn finish(&mut self) {
        let stage = self.stage.clone();
        let pools = self.pools_now();
        let open = check::unserved(&stage.lock(), &pools);
        let one_by_one = open.iter().filter(|job| {
            let mut fitting = pools.iter().filter(|pool| check::fits(job, pool));
            fitting.all(|pool| pool.max_runners == 1 || self.plan.shape.has_one_vm(pool.kind))
        });
        let times = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        let sweeps = Duration::from_secs(u64::from(self.plan.shape.sweep_every)) * SWEEPS_EACH;
        let patience = SERVED_LEAST + SERVED_EACH * times(open.len()) + sweeps * times(one_by_one.count());
        let end = after(stage.now(), patience);
        let served = self.until_sweep(end, |inner| check::unserved(inner, &pools).is_empty()).await;
        if !served {
            let left = check::unserved(&stage.lock(), &pools);
            let left: Vec<String> =
                left.iter().map(|job| format!("{} ({})", job.id, job.state.status())).collect();
            self.broken(
                stage.now(),
                "I5",
                format!("after {patience:?} without faults these jobs are not over: {}", left.join(", ")),
            );
            return;
        }
        let end = after(stage.now(), SETTLED_WITHIN);
        let settled = self
            .until_sweep(end, |inner| {
                let left = check::left_over(inner, &pools);
                if let Some(time) = inner.world.history().last().map(|last| last.time) {
                    inner.note(time, || format!("left: {}", left.join("; ")));
                }
                left.is_empty()
            })
            .await;
        if !settled {
            let left = check::left_over(&stage.lock(), &pools).join("; ");
            self.broken(stage.now(), "I4", format!("{SETTLED_WITHIN:?} after the last job: {left}"));
            return;
        }
        let shape = &self.plan.shape;
        let warm: u32 = pools.iter().map(|pool| u32::from(pool.min_runners)).sum();
        let busy_sweeps =
            BUSY_SWEEPS + shape.timing.check_after.div_ceil(shape.sweep_every) + SWEEPS_A_WARM * warm;
        let quiet_sweeps = if warm > 0 { 1 } else { QUIET_SWEEPS };
        let mut quiet = 0;
        for _ in 0..busy_sweeps + quiet_sweeps {
            let next = self.sweeps_so_far() + 1;
            self.until_sweep_number(next, end).await;
            quiet = if self.last_steps() == Some(0) { quiet + 1 } else { 0 };
            if quiet == quiet_sweeps || self.is_over() {
                return;
            }
        }
        let text = format!(
            "nothing is left to do, and of {busy_sweeps} sweeps no {quiet_sweeps} in a row did nothing: {}",
            self.last_done()
        );
        self.broken(stage.now(), "I8", text);
    }

    fn broken(&self, time: Timestamp, promise: &str, text: String) {
        self.stage.lock().break_promise(Broken { time, promise: promise.to_owned(), text });
    }

    /// Goes on until this holds at the end of a sweep, or until `end`; whether it held.
    async fn until_sweep(&mut self, end: Timestamp, holds: impl Fn(&mut Inner) -> bool) -> bool {
        let mut seen = self.sweeps_ended;
        loop {
            if self.is_over() {
                return true;
            }
            if self.sweeps_ended != seen {
                seen = self.sweeps_ended;
                if holds(&mut self.stage.lock()) {
                    return true;
                }
            }
            if self.stage.now() >= end {
                return false;
            }
            self.step(end).await;
        }
    }

    /// Goes on until so many sweeps have ended.
    async fn until_sweep_number(&mut self, number: u64, end: Timestamp) {
        while self.sweeps_ended < number && self.stage.now() < end && !self.is_over() {
            self.step(end).await;
        }
    }

    fn sweeps_so_far(&self) -> u64 {
        self.sweeps_ended
    }

    /// How much the last sweep did.
    fn last_steps(&self) -> Option<usize> {
        self.last_report.as_ref().map(|report| report.done.len() + report.postponed)
    }

    /// What the last sweep did, for people.
    fn last_done(&self) -> String {
        let done = self.last_report.iter().flat_map(|report| &report.done);
        done.map(|done| format!("{} {}: {}", done.action, done.what, done.why)).collect::<Vec<_>>().join("; ")
    }
}
