//! The first step: a template is cloned, on a node with room and under an id that nobody has.

use std::time::Duration;

use mayfly_core::ids::{JobId, PoolName, RunnerName};
use mayfly_core::metrics::Reason;
use mayfly_core::policy::ProxmoxPlacement;
use mayfly_core::room::{Demand, Found};
use mayfly_core::slot::VmPlace;
use tokio::time::Instant;
use tracing::field::display;

use super::answers::{Upid, VmStatus};
use super::client::CloneOrder;
use super::error::{Error, Kind};
use super::look::{KEPT, Seen};
use super::template::{Template, create_error};
use super::{LIMIT, Proxmox, marks, pause_before};
use crate::provider::repeat::{repeated, until};
use crate::provider::{CreateError, PassedOver};

/// For each try of a clone: Proxmox forks the task only after it has locked and written the new configuration.
const CLONE_LIMIT: Duration = Duration::from_secs(30);
/// So many places are tried for one VM: each but the last was taken by a stranger, or failed.
const PLACES_MOST: usize = 16;
/// A clone whose reply was lost is asked for again so often.
const TRIES_OF_LOST: u32 = 3;
/// So often a clone is looked at that has no name yet.
const NAMELESS_LOOKS: u32 = 120;
/// Between two looks whether a storage bears another clone.
const PAUSE: Duration = Duration::from_millis(500);

/// A VM that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewVm<'a> {
    /// Its name, which is its runner's.
    pub name: &'a RunnerName,
    /// The pool it is of.
    pub pool: &'a PoolName,
    /// The job it is made for, for the log.
    pub job: Option<JobId>,
    /// Until when there is time for it.
    pub deadline: Instant,
}

/// A clone that Proxmox has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloning {
    /// Where the VM will be.
    pub place: VmPlace,
    /// The task (UPID); `None` where its name was lost with a reply.
    pub task: Option<String>,
    /// The template's own tags, which the VM keeps.
    pub tags: Vec<String>,
}

/// What became of the clone call for one place.
enum Asked {
    Begun(Option<Upid>),
    /// Another place may do.
    NotHere,
    /// The same may do in a moment.
    Again(String),
}

impl Proxmox {
    /// Fetches what a clone needs, unless it is known and fresh. What fails here is told by the clone.
    pub async fn prepare(&self, placement: &ProxmoxPlacement, deadline: Instant) {
        if let Ok(seen) = self.look(KEPT, deadline).await {
            _ = self.template(placement, &seen, deadline).await;
        }
    }

    /// Begins to clone the placement's template, where there is room for the VM.
    pub async fn begin(&self, placement: &ProxmoxPlacement, vm: NewVm<'_>) -> Result<Cloning, CreateError> {
        let begun = self.try_places(placement, vm).await;
        match &begun {
            Ok(_) | Err(CreateError::Ambiguous { .. }) => {}
            Err(CreateError::Refused(_)) => {
                // Perhaps it was replaced; the next clone reads it again.
                self.forget_template(placement.template);
                self.release(vm.name.as_str(), vm.deadline).await;
            }
            Err(CreateError::Full(_) | CreateError::NoRoom(_) | CreateError::Unavailable(_)) => {
                self.release(vm.name.as_str(), vm.deadline).await;
            }
        }
        begun
    }

    async fn try_places(&self, placement: &ProxmoxPlacement, vm: NewVm<'_>) -> Result<Cloning, CreateError> {
        let failed = |error: Error| create_error(&error, placement, vm.deadline);
        let mut seen = self.look(KEPT, vm.deadline).await.map_err(failed)?;
        let template = self.template(placement, &seen, vm.deadline).await?;
        let mut demand = self.demand(placement, &template, &seen);
        let mut fresh = false;
        let mut places = 0;
        while places < PLACES_MOST {
            let why = match self.claim(&seen, &demand, vm.name.as_str(), vm.deadline).await? {
                Found::Place { host, vmid } => {
                    places += 1;
                    match self.ask(placement, &template, vm, (&host, vmid), &mut demand).await? {
                        Asked::Begun(task) => {
                            let task = task.map(|task| task.to_string());
                            let tags = template.tags.clone();
                            return Ok(Cloning { place: self.place(&host, vmid), task, tags });
                        }
                        Asked::NotHere => continue,
                        Asked::Again(why) => why,
                    }
                }
                Found::Later(why) => why,
                Found::Full(_) if !fresh => {
                    // Somebody may have gone since.
                    seen = self.look(Duration::ZERO, vm.deadline).await.map_err(failed)?;
                    demand = self.seen_again(placement, &template, &seen, demand);
                    fresh = true;
                    continue;
                }
                Found::Full(reasons) => {
                    let hidden = self.hidden(&demand, &seen).map(CreateError::Refused);
                    return Err(hidden.unwrap_or_else(|| no_room(reasons)));
                }
            };
            if !pause_before(vm.deadline, crate::random::jitter(PAUSE)).await {
                return Err(no_room(vec![(placement.place(), why)]));
            }
            seen = self.look(PAUSE, vm.deadline).await.map_err(failed)?;
            demand = self.seen_again(placement, &template, &seen, demand);
        }
        Err(CreateError::Unavailable(format!("no place for the VM was found in {PLACES_MOST} tries")))
    }

    fn seen_again(
        &self,
        placement: &ProxmoxPlacement,
        template: &Template,
        seen: &Seen,
        before: Demand,
    ) -> Demand {
        let mut demand = self.demand(placement, template, seen);
        demand.taken.extend(before.taken);
        demand.failed.extend(before.failed);
        demand
    }

    /// Asks for the clone in one place; what was learnt of it goes into the demand.
    async fn ask(
        &self,
        placement: &ProxmoxPlacement,
        template: &Template,
        vm: NewVm<'_>,
        (host, vmid): (&str, u32),
        demand: &mut Demand,
    ) -> Result<Asked, CreateError> {
        let description = marks::description(&self.uses.deployment, vm.pool);
        let order = CloneOrder {
            newid: vmid,
            name: vm.name.as_str(),
            description: &description,
            target: Some(host).filter(|host| *host != template.node),
            full: placement.full_clone,
            storage: placement.storage.as_deref().filter(|_| placement.full_clone),
            pool: placement.pool.as_deref(),
        };
        let error = match self.cloned_once(template, &order, host, vm.deadline).await? {
            Ok(task) => return Ok(Asked::Begun(task)),
            Err(error) => error,
        };
        let job = vm.job.map(display);
        tracing::info!(pool = %vm.pool, job, runner = %vm.name, node = host, vmid, %error, "not cloned here");
        match &error.kind {
            Kind::Taken => {
                demand.taken.insert(vmid);
                Ok(Asked::NotHere)
            }
            Kind::NodeDown if host != template.node => {
                demand.failed.insert(host.to_owned(), error.why.clone());
                Ok(Asked::NotHere)
            }
            Kind::StorageLocked | Kind::Busy | Kind::Locked { .. } | Kind::NotSent => {
                Ok(Asked::Again(error.why))
            }
            // The template went since it was looked at.
            Kind::Missing => Err(CreateError::Refused(error.why)),
            Kind::NodeDown
            | Kind::Lost { .. }
            | Kind::Unauthorized
            | Kind::Forbidden { .. }
            | Kind::AlreadyRunning
            | Kind::NotRunning
            | Kind::StillRunning
            | Kind::AgentAbsent
            | Kind::AgentUnconfigured
            | Kind::StorageFull
            | Kind::NoMemory
            | Kind::Refused
            | Kind::TooLong
            | Kind::Certificate
            | Kind::Other(_) => Err(create_error(&error, placement, vm.deadline)),
        }
    }

    /// Sends a clone until it is known what became of it. Each repeat asks for the same id: if an earlier one was begun
    /// after all, it is refused, and the VM of that id has our name.
    async fn cloned_once(
        &self,
        template: &Template,
        order: &CloneOrder<'_>,
        host: &str,
        deadline: Instant,
    ) -> Result<Result<Option<Upid>, Error>, CreateError> {
        let (mut lost, mut why) = (false, String::new());
        for tries in 1..=TRIES_OF_LOST {
            let limit = until(deadline, CLONE_LIMIT);
            let error = match self.client.clone(&template.node, template.vmid, order, limit).await {
                Ok(task) => return Ok(Ok(Some(task))),
                Err(error) => error,
            };
            lost |= matches!(error.kind, Kind::Lost { .. });
            // Proxmox writes the configuration before it begins the task: what fails then is no clear refusal.
            if !lost && !matches!(error.kind, Kind::Other(_)) {
                return Ok(Err(error));
            }
            if why.is_empty() {
                why.clone_from(&error.why);
            }
            match self.name_of(order.newid, deadline).await {
                Ok(Some(name)) if name == order.name => return Ok(Ok(None)),
                // A stranger's: ours can never get that id.
                Ok(Some(_)) => return Ok(Err(Error::new(Kind::Taken, why))),
                Ok(None) if !lost => return Ok(Err(error)),
                Ok(None) => {}
                Err(looked) => {
                    // It may be there: that its id is taken from now on says nothing.
                    lost = true;
                    tracing::debug!(runner = order.name, %looked, "whether it was cloned is not known");
                }
            }
            let pause = crate::random::jitter(PAUSE * tries);
            if !pause_before(deadline, pause).await {
                break;
            }
        }
        Err(CreateError::Ambiguous { place: format!("{host}/{}", order.newid), why })
    }

    /// The name of the VM that has an id now, wherever it is: a clone stands on its template's node until it is done, and has
    /// no name before its first disk is there.
    async fn name_of(&self, vmid: u32, deadline: Instant) -> Result<Option<String>, Error> {
        for _ in 0..NAMELESS_LOOKS {
            let seen = self.look(Duration::ZERO, deadline).await?;
            let Some(vm) = seen.vm(vmid) else { return Ok(None) };
            if vm.is_container {
                return Ok(Some(vm.name.clone().unwrap_or_default()));
            }
            let status = repeated(deadline, LIMIT, |limit| self.client.status(&vm.node, vmid, limit)).await;
            let status = match status {
                Ok(status) => Some(status),
                // It has just gone to its own node.
                Err(error) if error.kind == Kind::Missing => None,
                Err(error) => return Err(error),
            };
            let nameless = |status: &VmStatus| {
                let name = status.name.as_deref();
                marks::is_nameless(name, vmid) && marks::is_being_made(status.lock.as_deref())
            };
            if let Some(status) = status.filter(|status| !nameless(status)) {
                return Ok(Some(status.name.unwrap_or_default()));
            }
            if !pause_before(deadline, crate::random::jitter(PAUSE)).await {
                break;
            }
        }
        Err(Error::new(Kind::Busy, format!("VM {vmid} is being cloned, and has no name yet")))
    }
}

fn no_room(reasons: Vec<(String, String)>) -> CreateError {
    let passed = |(place, why)| PassedOver { place, why, full: false, reason: Reason::Capacity };
    CreateError::NoRoom(reasons.into_iter().map(passed).collect())
}
