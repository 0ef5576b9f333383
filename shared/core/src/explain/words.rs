//! A job's steps, and how a runner stands, in words.

use jiff::Timestamp;

use crate::age::{Age, clock};
use crate::ids::{Deployment, RunnerName};
use crate::slot::{Phase, Purpose, Slot};
use crate::telling::{Meant, Step};

/// A step for people; `before` is what happened until then.
pub(super) fn in_words(step: &Step, deployment: &Deployment, before: &[(Timestamp, Step, bool)]) -> String {
    let is_ours = |runner: &str| RunnerName::parse(deployment, runner).is_some();
    match step {
        Step::Claimed { runner, spare: false } => {
            format!("it is recorded, and a slot is claimed for it: {runner} is to run it")
        }
        Step::Claimed { runner, spare: true } => {
            format!("it is recorded, and gets {runner}, which stood ready: no VM is made for it")
        }
        Step::Queued { why } => format!("it is recorded, and waits: {why}"),
        Step::Waits { why } => format!("it waits again: {why}"),
        Step::Assigned { runner, spare, why } => {
            let again = before.iter().any(|(_, step, _)| step.runner().is_some());
            let why = why.as_ref().map(|why| format!("{why}; ")).unwrap_or_default();
            let now = if again { " now" } else { "" };
            let spare = if *spare { ", which stood ready: no VM is made for it" } else { "" };
            format!("{why}{runner} is to run it{now}{spare}")
        }
        Step::Registered { runner } => format!("GitHub has registered {runner}, and given its JIT config"),
        // Proxmox's address of a VM is its node and id.
        Step::Made { runner, place } if place.matches('/').count() > 1 => {
            format!("the VM of {runner} runs as {place}, and its guest has the JIT config")
        }
        Step::Made { runner, place } => format!("the create of {runner}'s VM is accepted in {place}"),
        Step::PassedOver { runner, place, over } => {
            format!("{runner} is in {place}; tried before and passed over: {over}")
        }
        Step::Online { runner } => format!("a sweep sees {runner} online, without a job"),
        Step::GivenUp { runner, vm, why } => {
            let vm =
                vm.as_ref().map(|(place, since)| format!(" (its VM in {place} since {})", clock(*since)));
            format!("{runner}{} is given up: {why}", vm.unwrap_or_default())
        }
        Step::Started { runner: None, .. } => "it starts, GitHub names no runner".to_owned(),
        Step::Started { runner: Some(runner), .. } if !is_ours(runner) => {
            format!("it starts on {runner}, which is no runner of this deployment")
        }
        Step::Started { runner: Some(runner), meant } => match meant {
            Meant::Own => format!("it starts on {runner}"),
            Meant::Other(other) => format!(
                "it starts on {runner}, which was meant for job {other}: GitHub chooses which runner takes which job"
            ),
            Meant::Spare => format!("it starts on {runner}, which was meant for nobody yet"),
        },
        Step::Ended { runner: Some(runner), conclusion } => format!("it ends on {runner}: {conclusion}"),
        Step::Ended { runner: None, conclusion } => format!("it ends without a runner: {conclusion}"),
        Step::Said(text) => text.clone(),
    }
}

/// How a runner stands, in words.
pub fn stands(slot: &Slot, now: Timestamp) -> String {
    let (runner, age) = (&slot.runner, Age::between(slot.since(), now));
    let place = slot.phase.machine().map(|machine| format!(" in {}", machine.vm)).unwrap_or_default();
    match &slot.phase {
        Phase::Reserved => format!("{runner} is being registered and its VM asked for, for {age}"),
        Phase::Creating { step, leased_until, .. } => {
            let by = if *leased_until < now {
                "nobody is at it, a sweep takes it further"
            } else {
                "somebody is at it"
            };
            format!("the VM of {runner} is being made{place}, for {age} ({step}; {by})")
        }
        Phase::Booting { .. } => {
            format!("the VM of {runner} boots{place}, for {age}; no sweep has seen its runner yet")
        }
        Phase::Idle { .. } => format!("{runner} is online{place} and waits for a job, for {age} at least"),
        Phase::Busy { .. } => match slot.purpose {
            Purpose::Job(job) => format!("{runner} runs job {job}{place}, for {age}"),
            Purpose::Spare { .. } => {
                format!("{runner} is busy{place}, for {age}; with which job is not known yet")
            }
        },
        Phase::Deleting { .. } => format!("the VM of {runner} is being deleted{place}, for {age}"),
    }
}
