//! I8: what follows from plans that are carried out.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::any::any_setting;
use super::carry_out::{carry_out, removals};
use super::{Action, Plan, World, plan};
use crate::policy::Policy;

/// Names every action; a new one does not compile before it is named here.
macro_rules! kinds_of_actions {
    ($($kind:ident)*) => {
        const KINDS: &[&str] = &[$(stringify!($kind)),*];

        fn kind(action: &Action) -> &'static str {
            match action {
                $(Action::$kind { .. } => stringify!($kind),)*
            }
        }
    };
}
kinds_of_actions! {
    Release Delete Retire Adopt Advance Online Taken Spare Settle Assign Serve Warm Sweep Unregister Tell Requeue Move
    Redeliver Drop Announce Amend Conclude BootFailed Recover Limit
}

/// So many plans follow from one another at most: a job that was displaced is seen to, the slot's VM is adopted, taken
/// further, seen online, spare, and retired, and the next warm runner made.
const ROUNDS_MOST: usize = 7;

/// The plans that follow from one another until nothing is left to do, at the same moment.
fn plans(policy: &Policy, mut world: World) -> Vec<Plan> {
    let mut plans = Vec::new();
    loop {
        let plan = plan(policy, &world);
        if plan.steps.is_empty() || plans.len() > ROUNDS_MOST {
            return plans;
        }
        world = carry_out(policy, &world, &plan);
        plans.push(plan);
    }
}

proptest! {
    /// I8, as far as it can be shown without a clock: what follows from a plan that was carried out (a job that queues
    /// again is served, a runner that became spare serves, a trial that succeeded lets the next ones through) comes to an
    /// end, and nothing is taken away twice.
    #[test]
    fn plans_that_are_carried_out_come_to_an_end((policy, world) in any_setting()) {
        let plans = plans(&policy, world);
        prop_assert!(plans.len() <= ROUNDS_MOST, "{:?}", plans.last());
        let twice: Vec<_> = removals(&plans).into_iter().filter(|(_, times)| *times > 1).collect();
        prop_assert_eq!(twice, vec![]);
    }
}

/// A promise over all worlds says nothing of what never happens in them.
#[test]
fn the_worlds_that_promises_are_tried_on_ask_for_every_action() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..2_000 {
        let (policy, world) = any_setting().new_tree(&mut runner).unwrap().current();
        for plan in plans(&policy, world) {
            seen.extend(plan.steps.iter().map(|step| kind(&step.action)));
        }
    }
    let never: Vec<_> = KINDS.iter().filter(|kind| !seen.contains(*kind)).collect();
    assert_eq!(never, Vec::<&&str>::new());
}
