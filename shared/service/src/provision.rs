//! A reserved slot becomes a VM: the runner is registered just in time, and the first placement that has room
//! makes the VM.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::gate::PoolState;
use mayfly_core::ids::RunnerId;
use mayfly_core::policy::{GcpPlacement, Placement, Pool};
use mayfly_core::slot::{Phase, Slot, SlotEvent, VmPlace, later};
use mayfly_core::telling::{Step, together};
use tokio::time::Instant;

use crate::admission::Away;
use crate::clock;
use crate::errand::{Errand, Passed, TAKEN_OVER, Tried, Want, Why, shown_job};
use crate::github::{GitHubError, Registration};
use crate::mayfly::Mayfly;
use crate::provider::gcp::Gcp;
use crate::provider::{At, CreateError, Created, VmOrder};
use crate::removal::Whose;
use crate::store::{Moved, Stage, StoreError};
use crate::turn::Turn;

/// Behind one job that is not served so many are looked at; those behind them are left for the sweep.
pub(crate) const TURNED_AWAY_MOST: usize = 20;

/// What became of a slot that was to become a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provisioned {
    /// The VM is being made there.
    Made(VmPlace),
    /// A spare runner's VM serves: none was made.
    Spare,
    /// It was not made; the job is in the queue again, the slot is free.
    GivenBack(String),
    /// It is not known whether it was made; the slot stays taken until a sweep has looked.
    Unclear(String),
}

/// What all placements answered.
enum Answered {
    Settled(Provisioned),
    /// All were passed over, for this, and it counts as a failure or not.
    None(String, bool),
    NotRegistered(GitHubError),
}

/// What a slot was told of the place of its VM.
#[derive(Default)]
struct Told {
    /// The last place, whether or not the table answered.
    place: Mutex<Option<VmPlace>>,
    /// The slot is somebody else's by now.
    lost: AtomicBool,
}

impl Mayfly {
    /// Makes the VM of a slot that was taken. Whatever happens, the job is not lost: it is on its way, in
    /// the queue, or its slot is taken up by a sweep.
    pub(crate) async fn provision(
        &self,
        pool: &Pool,
        slot: &Slot,
        want: Want<'_>,
        turn: Turn,
    ) -> Provisioned {
        let (made, mut is_left) = self.provision_one(pool, slot, want, turn).await;
        let mut freed = slot.runner.slot();
        for _ in 0..TURNED_AWAY_MOST {
            if !is_left {
                break;
            }
            // Who waits behind a job that is not served need not wait for a sweep.
            match self.next_taker(pool, freed, turn).await {
                Ok(Some((slot, next))) => {
                    freed = slot.runner.slot();
                    (_, is_left) = self.provision_one(pool, &slot, Want::Job(&next), turn).await;
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(pool = %pool.name, %error, "a slot that was given back is left for the sweep");
                    break;
                }
            }
        }
        made
    }

    /// The same, and whether the slot is left to others, since its job is not served.
    async fn provision_one(
        &self,
        pool: &Pool,
        slot: &Slot,
        want: Want<'_>,
        turn: Turn,
    ) -> (Provisioned, bool) {
        // A sweep takes the slot up `step_timeout` after it was taken: whoever is at it has stopped well before. By the
        // clock on the wall: between the claim and here this process may have been frozen.
        let end = later(slot.reserved_at, self.policy.timing.step_timeout.mul_f64(0.75));
        let left = Duration::try_from(end.duration_since(clock::now())).unwrap_or_default();
        let deadline = turn.deadline.min(Instant::now() + left);
        let errand = Errand { pool, slot, want, deadline, lease: clock::moment_of(deadline) };
        if left.is_zero() {
            let why = "it was taken so long ago that it is a sweep's by now".to_owned();
            return (Self::unclear(errand, why), false);
        }
        let first = self.placements(pool).next().map(|(_, at)| at);
        // A VM that is made in steps gets its registration with the last one, so that it is fresh then; only what would be
        // refused is looked at before.
        let registering = async {
            if matches!(first, Some(At::Proxmox(..))) {
                self.github.prepare(pool, want.installation(), deadline).await.map(|()| None)
            } else {
                self.register(errand).await.map(Some)
            }
        };
        let preparing = async {
            if let Some(first) = first {
                first.prepare(deadline).await;
            }
        };
        // All that a create needs, in the time of the slowest.
        let (registration, open, (), away) =
            tokio::join!(registering, self.open(pool, turn), preparing, self.away(errand));
        let mut registration = match registration {
            Ok(registration) => registration,
            Err(error) => return (self.not_registered(errand, &error).await, false),
        };
        let open = away.as_ref().map_or(open, |away| Err(away.to_string()));
        let why = match open {
            Ok(state) => match self.try_placements(errand, &mut registration, &state).await {
                Answered::Settled(made) => return (made, false),
                Answered::NotRegistered(error) => return (self.not_registered(errand, &error).await, false),
                Answered::None(why, failed) => {
                    if failed {
                        self.failed(pool, Stage::Create, &why).await;
                    }
                    why
                }
            },
            Err(why) => why,
        };
        let unregistered = match registration {
            Some(registration) => self.unregister(errand, registration.runner_id, turn.deadline).await,
            None => true,
        };
        if !unregistered {
            // The slot remembers the name, so that a sweep finds the registration, and comes to the job.
            return (Self::unclear(errand, why), false);
        }
        self.not_made(errand, away, why, turn).await
    }

    /// The job goes back to the queue, or away for good; the second says whether the slot is left to others.
    async fn not_made(
        &self,
        errand: Errand<'_>,
        away: Option<Away>,
        why: String,
        turn: Turn,
    ) -> (Provisioned, bool) {
        match away {
            // Nothing failed, and the job will not wait.
            Some(away @ (Away::Over(_) | Away::Unwanted(_))) => {
                let given = self.given_back(errand, why).await;
                let is_free = matches!(given, Provisioned::GivenBack(_));
                (given, is_free && self.record_away(errand, &away, turn).await)
            }
            // It would be so for the next one, too.
            Some(Away::Unseen) => {
                self.failed(errand.pool, Stage::Create, &why).await;
                (self.give_back(errand, why).await, false)
            }
            Some(Away::Unknown(_)) | None => (self.give_back(errand, why).await, false),
        }
    }

    pub(crate) async fn register(&self, errand: Errand<'_>) -> Result<Registration, GitHubError> {
        let Errand { pool, slot, want, deadline, .. } = errand;
        self.github.register(pool, &slot.runner, want.installation(), deadline).await
    }

    /// How the pool is, or why it starts no VM. Where it could not be looked at no VM is started on a guess.
    async fn open(&self, pool: &Pool, turn: Turn) -> Result<PoolState, String> {
        let state = self.state_of(pool).await.map_err(|error| error.to_string())?;
        match self.shut_for(pool, &state, turn).await {
            Ok(None) => Ok(state),
            Ok(Some(why)) => Err(why),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Tries one placement after the other.
    async fn try_placements(
        &self,
        errand: Errand<'_>,
        registration: &mut Option<Registration>,
        state: &PoolState,
    ) -> Answered {
        let (mut passed_over, mut reasons) = (Vec::new(), BTreeSet::new());
        let mut placed = None;
        for (placement, at) in self.placements(errand.pool) {
            // By the clock on the wall: that of a process which was frozen may have stood still.
            if !passed_over.is_empty() && clock::now() > errand.lease {
                return Answered::Settled(Self::unclear(errand, TAKEN_OVER.to_owned()));
            }
            if let Some(place) = placed.take()
                && let Err(why) = self.unplaced(errand.slot, place, None).await
            {
                return Answered::Settled(Self::unclear(errand, why));
            }
            let cooling = state.cooling_at(placement.provider.as_str(), clock::now());
            let tried = match at {
                At::Gcp(gcp, kind) => {
                    self.try_gcp(errand, (placement, gcp, kind), registration, &cooling).await
                }
                At::Proxmox(proxmox, kind) => {
                    self.make_in_steps(errand, (placement, proxmox, kind), registration, &cooling).await
                }
            };
            match tried {
                Tried::Made(created) => {
                    if state.creates.is_some() {
                        self.recovered(errand.pool, Stage::Create).await;
                    }
                    return Answered::Settled(self.made(errand, created, passed_over).await);
                }
                Tried::Begun(place) => {
                    self.note_passed_over(errand, &place, &passed_over).await;
                    return Answered::Settled(Provisioned::Made(place));
                }
                Tried::PassedOver(Passed { text, why, placed: told }) => {
                    reasons.insert(why);
                    placed = told;
                    tracing::info!(pool = %errand.pool.name, job = errand.shown_job(), runner = %errand.slot.runner, placement = %placement.provider, why = text, "placement passed over");
                    passed_over.push(format!("{}: {text}", placement.provider));
                }
                Tried::Unclear(why) => return Answered::Settled(Self::unclear(errand, why)),
                Tried::NotRegistered(error) => return Answered::NotRegistered(error),
            }
        }
        // Where one only wants for room, the next VM that goes leaves it: to be patient with the others keeps nobody waiting.
        let failed = reasons.contains(&Why::Failed) || !reasons.contains(&Why::NoRoom);
        Answered::None(passed_over.join("; "), failed)
    }

    async fn try_gcp(
        &self,
        errand: Errand<'_>,
        (placement, gcp, kind): (&Placement, &Gcp, &GcpPlacement),
        registration: &mut Option<Registration>,
        cooling: &BTreeSet<String>,
    ) -> Tried {
        let Errand { pool, slot, deadline, .. } = errand;
        let registration = match registration {
            Some(registration) => registration,
            None => match self.register(errand).await {
                Ok(registered) => registration.insert(registered),
                Err(error) => return Tried::NotRegistered(error),
            },
        };
        let order = VmOrder {
            name: &slot.runner,
            deployment: &self.policy.deployment,
            pool: &pool.name,
            job: errand.want.job(),
            jit_config: &registration.jit_config,
            max_lifetime: pool.max_lifetime,
            deadline,
        };
        let told = Told::default();
        let (runner_id, at) = (registration.runner_id, registration.at);
        let placed = |place: VmPlace| self.placed(slot, place, (runner_id, at), &told);
        match Box::pin(gcp.create(kind, &order, cooling, placed)).await {
            Ok(created) if told.lost.load(Ordering::Relaxed) => {
                tracing::warn!(pool = %pool.name, job = errand.shown_job(), runner = %slot.runner, place = %created.place, "the slot was taken over; its VM goes");
                // First the registration, since GitHub refuses when the runner is busy; then an orphan is left alone.
                if self.unregister(errand, runner_id, deadline).await {
                    self.delete_vm(Whose::of(slot), &created.place, deadline).await;
                }
                Tried::Unclear(TAKEN_OVER.to_owned())
            }
            Ok(created) => {
                self.metrics.passed_over(&pool.name, &placement.provider, &created.passed_over);
                self.cool(pool, placement, &created.passed_over).await;
                Tried::Made(created)
            }
            Err(error) => {
                let mut tried = self.not_created(errand, placement, error).await;
                if let Tried::PassedOver(passed) = &mut tried {
                    passed.placed = told.place.into_inner().unwrap_or_else(PoisonError::into_inner);
                }
                tried
            }
        }
    }

    /// What a failed create means for the job.
    pub(crate) async fn not_created(
        &self,
        errand: Errand<'_>,
        placement: &Placement,
        error: CreateError,
    ) -> Tried {
        let why = error.to_string();
        self.metrics.not_created(&errand.pool.name, &placement.provider, &error);
        let passed = |kind| Tried::PassedOver(Passed::new(why.clone(), kind));
        match error {
            CreateError::Full(places) => {
                self.cool(errand.pool, placement, &places).await;
                passed(Why::Full)
            }
            CreateError::NoRoom(_) => passed(Why::NoRoom),
            CreateError::Ambiguous { place, why } => Tried::Unclear(format!("{place}: {why}")),
            CreateError::Refused(_) | CreateError::Unavailable(_) => {
                tracing::error!(pool = %errand.pool.name, job = errand.shown_job(), runner = %errand.slot.runner, placement = %placement.provider, why, "no VM made here");
                passed(Why::Failed)
            }
        }
    }

    /// Records where a VM is, or is to be; whether that was done.
    async fn placed(
        &self,
        slot: &Slot,
        vm: VmPlace,
        (runner_id, at): (RunnerId, Timestamp),
        told: &Told,
    ) -> bool {
        *told.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(vm.clone());
        let event = SlotEvent::Placed { vm, runner_id, registered_at: Some(at) };
        match self.ledger.slot_event(&slot.runner, &event, clock::now()).await {
            Ok(Moved::From(_)) => return true,
            // The event of its job may have overtaken this record: then the slot is busy, and still this runner's.
            Ok(Moved::No) => {
                let taken = matches!(self.ledger.slot_of(&slot.runner).await, Ok(None));
                told.lost.store(taken, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(pool = %slot.runner.pool(), job = shown_job(slot), runner = %slot.runner, %error, "a VM's place is not recorded: a sweep finds it by its name");
            }
        }
        false
    }

    /// Takes back that a VM is to be in a place which came to nothing, so that the next placement finds the slot as the
    /// first one did. Where somebody has gone on from there meanwhile, the slot is that one's business.
    pub(crate) async fn unplaced(
        &self,
        slot: &Slot,
        vm: VmPlace,
        held: Option<Timestamp>,
    ) -> Result<(), String> {
        let event = SlotEvent::Unplaced { vm, held };
        let undone = async {
            if self.ledger.slot_event(&slot.runner, &event, clock::now()).await? != Moved::No {
                return Ok(true);
            }
            // The place may never have been written down; or this was, and was sent once more when its answer was lost.
            let slot = self.ledger.slot_of(&slot.runner).await?;
            Ok::<_, StoreError>(slot.is_some_and(|slot| slot.phase == Phase::Reserved))
        };
        match undone.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(TAKEN_OVER.to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn made(&self, errand: Errand<'_>, created: Created, mut passed_over: Vec<String>) -> Provisioned {
        let Errand { pool, slot, .. } = errand;
        let place = created.place;
        tracing::info!(pool = %pool.name, job = errand.shown_job(), runner = %slot.runner, %place, "VM made");
        passed_over
            .extend(created.passed_over.into_iter().map(|over| format!("{}: {}", over.place, over.why)));
        self.note_passed_over(errand, &place, &passed_over).await;
        Provisioned::Made(place)
    }

    /// A plain create is told by the slot; only a story worth telling costs a write.
    async fn note_passed_over(&self, errand: Errand<'_>, place: &VmPlace, passed_over: &[String]) {
        let Errand { slot, .. } = errand;
        if !passed_over.is_empty() {
            let (runner, over) = (slot.runner.to_string(), together(passed_over));
            let step = Step::PassedOver { runner, place: place.to_string(), over };
            self.note(errand, step).await;
        }
    }

    pub(crate) fn unclear(errand: Errand<'_>, why: String) -> Provisioned {
        let Errand { pool, slot, .. } = errand;
        tracing::warn!(pool = %pool.name, job = errand.shown_job(), runner = %slot.runner, why, "whether there is a VM is not known: the slot stays taken until a sweep has looked");
        Provisioned::Unclear(why)
    }

    async fn note(&self, errand: Errand<'_>, step: Step) {
        let Some(job) = errand.want.job() else { return };
        if let Err(error) = self.ledger.note(job, step.at(clock::now())).await {
            tracing::warn!(pool = %errand.pool.name, %job, runner = %errand.slot.runner, %error, "the job's timeline lacks a line");
        }
    }
}
