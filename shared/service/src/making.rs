//! VMs that are made in steps: cloned, started, and handed over to their runner when the guest agent answers. Whoever is at
//! one holds a lease on its slot; what is not done by then is taken up by a sweep.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::RunnerId;
use mayfly_core::making::{Making, MakingStep};
use mayfly_core::metrics::Reason;
use mayfly_core::policy::{Placement, Pool, ProxmoxPlacement};
use mayfly_core::slot::{Phase, Slot, SlotEvent, VmPlace, earlier, later};
use tokio::time::Instant;

use crate::clock;
use crate::errand::{Errand, Passed, TAKEN_OVER, Tried, Want, Why};
use crate::github::{GitHubError, Registration};
use crate::mayfly::Mayfly;
use crate::provider::proxmox::{Advanced, Failure, NewVm, Proxmox, Reached};
use crate::provider::{Created, Deletion, PassedOver, Provider, ProviderError};
use crate::store::{Moved, Stage, StoreError};
use crate::turn::Turn;

/// A clone that lost the fight for its storage's lock is asked for again so often.
const CLONES_MOST: u32 = 6;
/// The wait before that doubles from here.
const CLONE_PAUSE: Duration = Duration::from_millis(500);
/// A sweep is at a VM for this part of `step_timeout` at most: there may be many, and the next sweep comes soon.
const SWEEP_PART: u32 = 4;
/// At least so long, however soon the VM must be done.
const SWEEP_LEAST: Duration = Duration::from_secs(2);

/// Whose a slot is after a step was written down.
enum Recorded {
    /// Still the errand's.
    Ours,
    /// Somebody else's.
    Lost,
    /// The table did not say.
    Unknown(StoreError),
}

/// Why a VM whose guest is up was not handed over to its runner.
#[derive(Debug, thiserror::Error)]
enum NotHandedOver {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{TAKEN_OVER}")]
    Lost,
}

impl Mayfly {
    /// Makes a VM as far as there is time for.
    pub(crate) async fn make_in_steps(
        &self,
        errand: Errand<'_>,
        (placement, proxmox, kind): (&Placement, &Proxmox, &ProxmoxPlacement),
        registration: &mut Option<Registration>,
        cooling: &BTreeSet<String>,
    ) -> Tried {
        if cooling.contains(&kind.place()) {
            self.metrics.create_failure(&errand.pool.name, &placement.provider, Reason::Cooling);
            return Tried::PassedOver(Passed::new("cooling down", Why::Full));
        }
        let (mut pause, mut clones) = (CLONE_PAUSE, 0);
        loop {
            clones += 1;
            let cloning = match Box::pin(proxmox.begin(kind, new_vm(errand))).await {
                Ok(cloning) => cloning,
                Err(error) => return self.not_created(errand, placement, error).await,
            };
            let step = MakingStep::Cloning { task: cloning.task };
            match self.record_clone(errand, &cloning.place, &step).await {
                Recorded::Ours => {}
                // Its name is on it, so a sweep finds it.
                Recorded::Lost => {
                    tracing::warn!(pool = %errand.pool.name, job = errand.shown_job(), runner = %errand.slot.runner, place = %cloning.place, "the slot was taken over; its VM is left for the sweep");
                    return Tried::Unclear(TAKEN_OVER.to_owned());
                }
                Recorded::Unknown(error) => return Tried::Unclear(error.to_string()),
            }
            let (name, tags) = (errand.slot.runner.as_str(), cloning.tags);
            let advancing = proxmox.advance(name, &cloning.place, &step, Some(&tags), errand.deadline);
            let Advanced { place, reached } = Box::pin(advancing).await;
            self.note_place(errand, &cloning.place, &place).await;
            match reached {
                Reached::Agent => {
                    let handed = self.hand_over_vm(errand, proxmox, &place, registration.take()).await;
                    if let Err(error) = handed {
                        return self.not_handed_over(errand, place, &error).await;
                    }
                    return Tried::Made(Created { place, passed_over: Vec::new() });
                }
                Reached::NotYet { step, why } => {
                    tracing::info!(pool = %errand.pool.name, job = errand.shown_job(), runner = %errand.slot.runner, %place, %step, why, "left for the sweep");
                    self.leave(errand, &place, &step).await;
                    return Tried::Begun(place);
                }
                Reached::Failed { failure: Failure::Again, why }
                    if clones < CLONES_MOST && has_time(errand.deadline, pause) =>
                {
                    // A slot stands for one VM: there is no other before this one is gone.
                    if let Err(left) = self.ensure_gone(errand, proxmox, &place).await {
                        return Tried::Unclear(format!("{why}; {left}"));
                    }
                    tracing::info!(pool = %errand.pool.name, job = errand.shown_job(), runner = %errand.slot.runner, %place, why, "cloned again in a moment");
                    tokio::time::sleep(crate::random::jitter(pause)).await;
                    pause *= 2;
                }
                Reached::Failed { failure, why } => {
                    return self
                        .come_to_nothing(errand, (placement, proxmox, kind), &place, failure, why)
                        .await;
                }
            }
        }
    }

    /// A VM that cannot be made: what there is of it goes, and only then the job is passed on, since a slot stands for one
    /// VM.
    async fn come_to_nothing(
        &self,
        errand: Errand<'_>,
        (placement, proxmox, kind): (&Placement, &Proxmox, &ProxmoxPlacement),
        place: &VmPlace,
        failure: Failure,
        why: String,
    ) -> Tried {
        let Errand { pool, slot, .. } = errand;
        tracing::error!(pool = %pool.name, job = errand.shown_job(), runner = %slot.runner, %place, why, "its VM comes to nothing");
        self.metrics.create_failure(&pool.name, &placement.provider, failure.reason());
        if failure == Failure::Full {
            let (place, why) = (kind.place(), why.clone());
            let full = PassedOver { place, why, full: true, reason: Reason::Capacity };
            self.cool(pool, placement, &[full]).await;
        }
        match self.ensure_gone(errand, proxmox, place).await {
            Ok(()) => Tried::PassedOver(Passed::new(
                why,
                match failure {
                    Failure::Again => Why::NoRoom,
                    Failure::Full => Why::Full,
                    Failure::Gone | Failure::Refused => Why::Failed,
                },
            )),
            Err(left) => Tried::Unclear(format!("{why}; {left}")),
        }
    }

    /// Deletes what there is of a VM and waits until it is gone. Where that takes too long its slot goes with it, and why is
    /// said.
    async fn ensure_gone(
        &self,
        errand: Errand<'_>,
        proxmox: &Proxmox,
        place: &VmPlace,
    ) -> Result<(), String> {
        let Errand { pool, slot, deadline, lease, .. } = errand;
        // Where its job was cancelled a sweep may have retired it: then there is nothing to be done, and nothing to pass on.
        match self.ledger.slot_of(&slot.runner).await {
            Ok(Some(slot)) if slot.lease() == Some(lease) && clock::now() <= lease => {}
            Ok(_) => return Err(TAKEN_OVER.to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        let gone = async {
            let going = proxmox.delete(slot.runner.as_str(), Some(place), deadline).await?;
            proxmox.wait_gone(&going, deadline).await
        };
        let left = match Box::pin(gone).await {
            // As before the clone: whatever is made next, and by whomever, the slot does not say that it is here.
            Ok(Deletion::Gone) => return self.unplaced(slot, place.clone(), Some(lease)).await,
            Ok(Deletion::UnderWay) => "what there is of it is being deleted".to_owned(),
            Err(error) => error.to_string(),
        };
        let event = SlotEvent::Making(Making::GivenUp { held: lease });
        if let Err(error) = self.ledger.slot_event(&slot.runner, &event, clock::now()).await {
            tracing::warn!(pool = %pool.name, job = errand.shown_job(), runner = %slot.runner, %error, "that a VM was given up is not recorded: the slot is left for the sweep");
        }
        Err(left)
    }

    /// A sweep takes a half made VM further, unless somebody else is at it.
    pub(crate) async fn take_further(
        &self,
        pool: &Pool,
        slot: &Slot,
        turn: Turn,
    ) -> Result<Option<String>, StoreError> {
        let errand = self.errand_of_sweep(pool, slot, turn);
        let event = SlotEvent::Making(Making::TakenUp { leased_until: errand.lease });
        if self.ledger.slot_event(&slot.runner, &event, clock::now()).await? == Moved::No {
            return Ok(None);
        }
        self.go_on(errand).await.map(Some)
    }

    /// A sweep found a clone that nobody recorded: it is recorded, and taken further.
    pub(crate) async fn take_up(
        &self,
        pool: &Pool,
        slot: &Slot,
        vm: &VmPlace,
        turn: Turn,
    ) -> Result<Option<String>, StoreError> {
        let errand = self.errand_of_sweep(pool, slot, turn);
        let (vm, step) = (vm.clone(), MakingStep::Cloning { task: None });
        let event = SlotEvent::Making(Making::Step { vm, step, held: None, leased_until: errand.lease });
        match self.ledger.slot_event(&slot.runner, &event, clock::now()).await? {
            Moved::No => Ok(None),
            Moved::From(before) => match before.apply(&event, clock::now()) {
                Ok(slot) => self.go_on(Errand { slot: &slot, ..errand }).await.map(Some),
                Err(_) => Ok(None),
            },
        }
    }

    /// Takes a half made VM, which is leased to us, as far as there is time for; what became of it.
    async fn go_on(&self, errand: Errand<'_>) -> Result<String, StoreError> {
        let Errand { pool, slot, deadline, .. } = errand;
        let Phase::Creating { machine, step, .. } = &slot.phase else {
            return Ok("nothing: it is made already".to_owned());
        };
        let place = &machine.vm;
        let Some(Provider::Proxmox(proxmox)) = self.provider(&place.provider) else {
            return Ok("left alone: its provider is not configured any more".to_owned());
        };
        // Whoever was at it before may have handed it over, and not have lived to say so.
        match self.github.find(&pool.scope, slot.runner.as_str(), None, deadline).await {
            Ok(Some(runner)) if runner.online || runner.busy => {
                self.handed_over(errand, place, (runner.id, None)).await?;
                return Ok("its runner is online already".to_owned());
            }
            Ok(_) => {}
            Err(error) => {
                self.leave(errand, place, step).await;
                return Ok(format!("left for the next sweep: {error}"));
            }
        }
        let advancing = proxmox.advance(slot.runner.as_str(), place, step, None, deadline);
        let Advanced { place: now_at, reached } = Box::pin(advancing).await;
        self.note_place(errand, place, &now_at).await;
        let place = &now_at;
        match reached {
            Reached::Agent => match self.hand_over_vm(errand, proxmox, place, None).await {
                Ok(()) => Ok("its guest has all that its runner needs".to_owned()),
                Err(error) => {
                    self.not_handed_over(errand, place.clone(), &error).await;
                    Ok(format!("left for the next sweep: {error}"))
                }
            },
            Reached::NotYet { step, why } => {
                self.leave(errand, place, &step).await;
                Ok(format!("left for the next sweep, {step}: {why}"))
            }
            Reached::Failed { failure, why } => {
                tracing::error!(pool = %pool.name, job = errand.shown_job(), runner = %slot.runner, %place, why, "its VM comes to nothing");
                self.metrics.create_failure(&pool.name, &place.provider, failure.reason());
                if failure == Failure::Full {
                    self.cool_all(pool, place, &why).await;
                }
                if failure != Failure::Again {
                    self.failed(pool, Stage::Create, &why).await;
                }
                // The next sweep finds it gone, and makes another.
                let event = SlotEvent::Making(Making::GivenUp { held: errand.lease });
                if self.ledger.slot_event(&slot.runner, &event, clock::now()).await? != Moved::No {
                    self.delete_vm_of(slot, deadline).await;
                }
                Ok(format!("it is given up: {why}"))
            }
        }
    }

    /// The cluster turned out to be full, for whichever of the pool's templates this VM is of.
    async fn cool_all(&self, pool: &Pool, place: &VmPlace, why: &str) {
        for placement in pool.placements.iter().filter(|placement| placement.provider == place.provider) {
            let full = placement.places().into_iter();
            let full = full.map(|place| PassedOver {
                place,
                why: why.to_owned(),
                full: true,
                reason: Reason::Capacity,
            });
            self.cool(pool, placement, &full.collect::<Vec<_>>()).await;
        }
    }

    /// Registers the runner and gives the guest what it needs.
    async fn hand_over_vm(
        &self,
        errand: Errand<'_>,
        proxmox: &Proxmox,
        place: &VmPlace,
        registration: Option<Registration>,
    ) -> Result<(), NotHandedOver> {
        let Errand { pool, deadline, lease, .. } = errand;
        // By the clock on the wall: that of a process which was frozen may have stood still.
        if clock::now() > lease {
            return Err(NotHandedOver::Lost);
        }
        let registration = match registration {
            Some(registration) => registration,
            None => self.register(errand).await?,
        };
        let jit_config = &registration.jit_config;
        Box::pin(proxmox.hand_over(place, pool.platform, jit_config, pool.max_lifetime, deadline)).await?;
        let registered = (registration.runner_id, Some(registration.at));
        if self.handed_over(errand, place, registered).await? {
            return Ok(());
        }
        // GitHub refuses when it is busy: then it serves, whoever has the slot.
        self.unregister(errand, registration.runner_id, deadline).await;
        Err(NotHandedOver::Lost)
    }

    /// Writes down that a guest has all that its runner needs; `false` where the slot is somebody else's by now.
    async fn handed_over(
        &self,
        errand: Errand<'_>,
        place: &VmPlace,
        (runner_id, registered_at): (RunnerId, Option<Timestamp>),
    ) -> Result<bool, StoreError> {
        let Errand { slot, lease, .. } = errand;
        let event = SlotEvent::Making(Making::HandedOver { runner_id, registered_at, held: lease });
        if self.ledger.slot_event(&slot.runner, &event, clock::now()).await? != Moved::No {
            return Ok(true);
        }
        // The event of its job may have overtaken this: then the slot is busy, and still this runner's. Where somebody else
        // has handed the VM over meanwhile, that one's registration counts.
        let still = self.ledger.slot_of(&slot.runner).await?;
        Ok(still.is_some_and(|slot| {
            let machine = slot.phase.machine();
            let registered = machine.and_then(|machine| machine.runner_id);
            let busy = matches!(slot.phase, Phase::Busy { .. });
            let is_here = machine.is_none_or(|machine| machine.vm.is_same_vm(place));
            is_here && ((busy && registered.is_none()) || registered == Some(runner_id))
        }))
    }

    async fn not_handed_over(&self, errand: Errand<'_>, place: VmPlace, error: &NotHandedOver) -> Tried {
        tracing::warn!(pool = %errand.pool.name, job = errand.shown_job(), runner = %errand.slot.runner, %place, %error, "a VM was not handed over to its runner: it is left for the sweep");
        match error {
            NotHandedOver::Lost => return Tried::Unclear(error.to_string()),
            NotHandedOver::GitHub(error) => {
                self.register_failed(errand.pool, error).await;
                self.leave(errand, &place, &MakingStep::WaitingForAgent).await;
            }
            // The guest may have it all the same, and its runner be on its way: that is waited for until the lease ends.
            NotHandedOver::Provider(_) | NotHandedOver::Store(_) => {}
        }
        Tried::Begun(place)
    }

    /// Writes down that a clone was begun. The first form may be refused because it was made already, and sent once more when
    /// its answer was lost: then the slot has our lease.
    async fn record_clone(&self, errand: Errand<'_>, vm: &VmPlace, step: &MakingStep) -> Recorded {
        match self.record_step(errand, (vm, step), None, errand.lease).await {
            Recorded::Lost => self.record_step(errand, (vm, step), Some(errand.lease), errand.lease).await,
            recorded @ (Recorded::Ours | Recorded::Unknown(_)) => recorded,
        }
    }

    async fn record_step(
        &self,
        errand: Errand<'_>,
        (vm, step): (&VmPlace, &MakingStep),
        held: Option<Timestamp>,
        leased_until: Timestamp,
    ) -> Recorded {
        let runner = &errand.slot.runner;
        let making = Making::Step { vm: vm.clone(), step: step.clone(), held, leased_until };
        let event = SlotEvent::Making(making);
        match self.ledger.slot_event(runner, &event, clock::now()).await {
            Ok(Moved::From(_)) => Recorded::Ours,
            Ok(Moved::No) => Recorded::Lost,
            Err(error) => {
                tracing::warn!(pool = %errand.pool.name, job = errand.shown_job(), %runner, place = %vm, %error, "a step of making a VM is not recorded: the VM is left for the sweep");
                Recorded::Unknown(error)
            }
        }
    }

    /// A VM that turned out to be elsewhere is written down there: what comes after its making has to find it.
    async fn note_place(&self, errand: Errand<'_>, before: &VmPlace, now: &VmPlace) {
        if before != now {
            let place = (now, &MakingStep::Starting);
            self.record_step(errand, place, Some(errand.lease), errand.lease).await;
        }
    }

    /// Nobody is at the VM any more: the next sweep need not wait for the lease to end.
    async fn leave(&self, errand: Errand<'_>, vm: &VmPlace, step: &MakingStep) {
        let over = earlier(clock::now(), Duration::from_millis(1));
        self.record_step(errand, (vm, step), Some(errand.lease), over).await;
    }

    /// A sweep's turn at a VM: not for long, and no longer than the VM has.
    fn errand_of_sweep<'a>(&self, pool: &'a Pool, slot: &'a Slot, turn: Turn) -> Errand<'a> {
        let end = later(slot.reserved_at, pool.boot_timeout);
        let left = Duration::try_from(end.duration_since(clock::now())).unwrap_or_default();
        let patience = self.policy.timing.step_timeout / SWEEP_PART;
        let deadline = turn.deadline.min(Instant::now() + patience.min(left).max(SWEEP_LEAST));
        Errand { pool, slot, want: Want::Warm, deadline, lease: clock::moment_of(deadline) }
    }
}

fn new_vm(errand: Errand<'_>) -> NewVm<'_> {
    let Errand { pool, slot, want, deadline, .. } = errand;
    NewVm { name: &slot.runner, pool: &pool.name, job: want.job(), deadline }
}

fn has_time(deadline: Instant, pause: Duration) -> bool {
    deadline.saturating_duration_since(Instant::now()) > pause * 2
}
