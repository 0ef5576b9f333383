//! What no slot knows: VMs with our marks, and registrations of our making.

use jiff::Timestamp;

use super::plan::{Action, LeftAlone, Plan, Step};
use super::world::{Index, Presence, SeenRunner, Sighting, Vm, VmState};
use crate::ids::{PoolName, RunnerName};
use crate::policy::Scope;
use crate::slot::{earlier, later};

const UNSEEN: &str = "nobody can look at it: its node does not answer, or its clone has only just begun; where that stays \
                      so a task may have died and left its lock, which `qm unlock` ends";

/// Clears them away, when they are old enough that no create in flight can have made them.
pub(super) fn clear(index: &Index<'_>, plan: &mut Plan) {
    let unseen =
        index.world.unseen.iter().map(|place| LeftAlone { what: format!("VM {place}"), why: UNSEEN });
    plan.left_alone.extend(unseen);
    for vm in index.vms() {
        if index.has_slot(&vm.name) || vm.state == VmState::Going {
            continue;
        }
        let since = age(index, vm);
        match keeps(index, vm, since) {
            Some(why) => plan.left_alone.push(LeftAlone { what: vm.name.clone(), why }),
            None => plan.steps.push(Step {
                pool: Some(vm.pool.clone()),
                action: Action::Sweep { vm: vm.clone() },
                why: "no slot knows this VM",
                since: since.unwrap_or(index.world.now),
            }),
        }
    }
    for (scope, runner) in index.runners() {
        registration(index, scope, runner, plan);
    }
}

fn age(index: &Index<'_>, vm: &Vm) -> Option<Timestamp> {
    let named = || RunnerName::parse(&index.policy.deployment, &vm.name);
    vm.created_at.or_else(|| made_at(index, &named()?))
}

/// When a name was made. One made since the sweep began, or by a clock that is a little ahead, is fresh; a moment far ahead
/// is none of ours.
fn made_at(index: &Index<'_>, name: &RunnerName) -> Option<Timestamp> {
    name.made_at().filter(|at| *at <= later(index.world.now, index.policy.timing.orphan_grace))
}

/// What keeps a VM that no slot knows from being deleted.
fn keeps(index: &Index<'_>, vm: &Vm, since: Option<Timestamp>) -> Option<&'static str> {
    let Some(since) = since else { return Some("no slot knows it, but its age is not known") };
    if since > earlier(index.world.now, index.policy.timing.orphan_grace) {
        return Some("no slot knows it, but its create may be in flight");
    }
    // A pool whose part of the table was not read may well know this VM.
    if index.pool(&vm.pool).is_some() && !is_read(index, &vm.pool) {
        return Some("the table could not be asked whether a slot knows it");
    }
    let Some(pool) = index.pool(&vm.pool) else {
        let stopped = vm.state == VmState::Stopped;
        let why =
            "its pool is not known, so GitHub cannot be asked whether its runner is busy: it ends by itself";
        return (!stopped).then_some(why);
    };
    match index.runner(&pool.scope, &vm.name) {
        Presence::Busy => Some("no slot knows it, but its runner is busy"),
        Presence::Unknown => Some("GitHub could not be asked whether its runner is busy"),
        Presence::Offline | Presence::Idle | Presence::Absent(_) => None,
    }
}

fn is_read(index: &Index<'_>, pool: &PoolName) -> bool {
    index.ledger(pool).is_some()
}

/// A registration without a slot and without a VM. Only names of our own making are ours.
fn registration(index: &Index<'_>, scope: &Scope, runner: &SeenRunner, plan: &mut Plan) {
    let Some(name) = RunnerName::parse(&index.policy.deployment, &runner.name) else { return };
    let Some(pool) = index.pool(name.pool()).filter(|pool| &pool.scope == scope) else { return };
    if index.has_slot(&runner.name) {
        return;
    }
    let mut leave = |why| plan.left_alone.push(LeftAlone { what: runner.name.clone(), why });
    match index.vm(&runner.name, None) {
        // It goes with its VM.
        Sighting::There(_) => return,
        Sighting::Unknown => {
            return leave("a provider could not be asked whether this registration has a VM");
        }
        Sighting::Gone(_) => {}
    }
    let made_at = made_at(index, &name);
    if !is_read(index, &pool.name) {
        leave("the table could not be asked whether a slot knows this registration");
    } else if runner.busy {
        leave("no slot knows this registration, but its runner is busy");
    } else if made_at.is_some_and(|at| at > earlier(index.world.now, index.policy.timing.orphan_grace)) {
        leave("no slot knows this registration, but its create may be in flight");
    } else {
        plan.steps.push(Step {
            pool: Some(pool.name.clone()),
            action: Action::Unregister { runner: name, id: runner.id },
            why: "neither a slot nor a VM knows this registration",
            since: made_at.unwrap_or(index.world.now),
        });
    }
}

#[cfg(test)]
#[path = "strays_tests.rs"]
mod tests;
