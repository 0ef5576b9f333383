//! From a plan that fails to a smaller one that fails in the same way.

use crate::director::play;
use crate::plan::Plan;

/// The smallest plan that was found to break the same promise, in at most so many plays.
pub fn shrink(plan: &Plan, promise: &str, mut plays: u32) -> Plan {
    let fails = |plan: &Plan| play(plan, false).broken.is_some_and(|broken| broken.promise == promise);
    let mut best = plan.clone();
    loop {
        let before = best.clone();
        for smaller in [without_acts, without_troubles, shorter, simpler] {
            smaller(&mut best, &mut |candidate: &Plan| {
                plays = plays.saturating_sub(1);
                plays > 0 && fails(candidate)
            });
        }
        if best == before || plays == 0 {
            return best;
        }
    }
}

/// Leaves out acts: first halves, then quarters, at last one by one.
fn without_acts(best: &mut Plan, fails: &mut dyn FnMut(&Plan) -> bool) {
    let mut size = best.acts.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < best.acts.len() {
            let mut candidate = best.clone();
            candidate.acts.drain(at..(at + size).min(best.acts.len()));
            if fails(&candidate) { *best = candidate } else { at += size }
        }
        if size == 1 {
            return;
        }
        size = size.div_ceil(2);
    }
}

fn without_troubles(best: &mut Plan, fails: &mut dyn FnMut(&Plan) -> bool) {
    let mut at = 0;
    while at < best.troubles.len() {
        let mut candidate = best.clone();
        candidate.troubles.remove(at);
        if fails(&candidate) { *best = candidate } else { at += 1 }
    }
}

fn shorter(best: &mut Plan, fails: &mut dyn FnMut(&Plan) -> bool) {
    let last = best.acts.last().map_or(0, |act| act.at);
    for seconds in [last + 60, last + 600, best.seconds / 2, best.seconds * 3 / 4] {
        let candidate = Plan { seconds, ..best.clone() };
        if seconds < best.seconds && fails(&candidate) {
            *best = candidate;
        }
    }
}

/// Fewer pools, nothing kept warm, plainer numbers.
fn simpler(best: &mut Plan, fails: &mut dyn FnMut(&Plan) -> bool) {
    let mut at = 0;
    while best.shape.pools.len() > 1 && at < best.shape.pools.len() {
        let mut candidate = best.clone();
        candidate.shape.pools.remove(at);
        if fails(&candidate) { *best = candidate } else { at += 1 }
    }
    let changes: [fn(&mut Plan); 6] = [
        |plan| plan.shape.pools.iter_mut().for_each(|pool| pool.min_runners = 0),
        |plan| plan.shape.pools.iter_mut().for_each(|pool| pool.max_runners = 1),
        |plan| plan.shape.nodes = 1,
        |plan| plan.shape.machines = None,
        |plan| plan.shape.environments = 100,
        |plan| plan.shape.waiting_after = None,
    ];
    for change in changes {
        let mut candidate = best.clone();
        change(&mut candidate);
        if candidate != *best && fails(&candidate) {
            *best = candidate;
        }
    }
}
