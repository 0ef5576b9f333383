//! How a VM that is made in steps is kept in its slot, and who is believed.

use jiff::Timestamp;
use mayfly_core::making::{Making, MakingStep};
use mayfly_core::slot::VmPlace;

use super::item::{moment, number, step_name, text};
use super::write::Write;

/// What it asks for beyond the phase.
pub(super) fn condition(making: &Making) -> &'static str {
    match making {
        Making::TakenUp { .. } => " AND leased_until < :now",
        Making::Step { held: None, .. } => "",
        Making::Step { held: Some(_), .. } | Making::GivenUp { .. } | Making::HandedOver { .. } => {
            " AND leased_until = :held"
        }
    }
}

pub(super) fn update(making: &Making) -> &'static str {
    match making {
        Making::Step { step: MakingStep::Cloning { task: Some(_) }, .. } => {
            "SET phase = :creating, provider = :provider, vm_at = :at, leased_until = :until, step = :step, \
             task = :task"
        }
        Making::Step { .. } => {
            "SET phase = :creating, provider = :provider, vm_at = :at, leased_until = :until, step = :step REMOVE task"
        }
        Making::TakenUp { .. } => "SET leased_until = :until",
        Making::GivenUp { .. } => {
            "SET phase = :deleting, since = :now REMOVE watched_until, step, task, leased_until"
        }
        Making::HandedOver { registered_at: Some(_), .. } => {
            "SET phase = :booting, since = :now, runner_id = :id, jit_at = :jit_at \
             REMOVE made_at, step, task, leased_until"
        }
        Making::HandedOver { registered_at: None, .. } => {
            "SET phase = :booting, since = :now, runner_id = :id \
             REMOVE jit_at, made_at, step, task, leased_until"
        }
    }
}

/// The values that condition and update name.
pub(super) fn values(write: Write, making: &Making, now: Timestamp) -> Write {
    match making {
        Making::Step { vm, step, held, leased_until } => {
            let write = step_values(place_values(write, vm), step);
            let write = held.iter().fold(write, |write, held| write.value(":held", moment(*held)));
            write.value(":creating", text("creating")).value(":until", moment(*leased_until))
        }
        Making::TakenUp { leased_until } => {
            write.value(":now", moment(now)).value(":until", moment(*leased_until))
        }
        Making::GivenUp { held } => {
            let write = write.value(":now", moment(now)).value(":held", moment(*held));
            write.value(":deleting", text("deleting"))
        }
        Making::HandedOver { runner_id, registered_at, held } => {
            let write = write.value(":id", number(runner_id)).value(":held", moment(*held));
            let write = write.value(":booting", text("booting")).value(":now", moment(now));
            registered(write, *registered_at)
        }
    }
}

pub(super) fn place_values(write: Write, place: &VmPlace) -> Write {
    write.value(":provider", text(place.provider.as_str())).value(":at", text(&place.at))
}

/// When the runner was registered.
pub(super) fn registered(write: Write, at: Option<Timestamp>) -> Write {
    at.iter().fold(write, |write, at| write.value(":jit_at", moment(*at)))
}

fn step_values(write: Write, step: &MakingStep) -> Write {
    let write = write.value(":step", text(step_name(step)));
    match step {
        MakingStep::Cloning { task: Some(task) } => write.value(":task", text(task)),
        MakingStep::Cloning { task: None } | MakingStep::Starting | MakingStep::WaitingForAgent => write,
    }
}
