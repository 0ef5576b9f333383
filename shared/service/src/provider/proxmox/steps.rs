//! The steps after the clone was begun. Each may be done twice, and taken up by anybody who knows the VM's place.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mayfly_core::making::MakingStep;
use mayfly_core::metrics::Reason;
use mayfly_core::policy::Platform;
use mayfly_core::slot::VmPlace;
use tokio::time::Instant;

use super::answers::{TaskState, Upid};
use super::error::{Error, Kind};
use super::{LIMIT, Proxmox, address, is_past, is_refusal, marks, pause_before};
use crate::clock;
use crate::provider::ProviderError;
use crate::provider::repeat::{repeated, until};
use crate::secret::Secret;

/// How far a VM got, and where it is: a clone stands on its template's node until it is done.
#[derive(Debug)]
pub struct Advanced {
    /// Where the VM is by now.
    pub place: VmPlace,
    /// How far it got.
    pub reached: Reached,
}

/// How far a VM got.
#[derive(Debug)]
pub enum Reached {
    /// Its guest agent answers: what its runner needs can be handed over.
    Agent,
    /// There was no time for more.
    NotYet {
        /// What is to be done next.
        step: MakingStep,
        /// What was waited for, or failed in a way that passes.
        why: String,
    },
    /// It comes to nothing. What is left of it has to be deleted.
    Failed {
        /// What kind of failure it is.
        failure: Failure,
        /// Why.
        why: String,
    },
}

/// Why a VM comes to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The clone may be asked for again: the lock of the storage or of the template was held by others for too long, or
    /// somebody took the id on another node at the same moment.
    Again,
    /// There is no room for it after all: the job can be passed on to the next placement.
    Full,
    /// The VM is gone, or went off.
    Gone,
    /// Anything else: it would fail again until somebody mends it.
    Refused,
}

impl Failure {
    /// As metrics tell it.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Full => Reason::Capacity,
            Self::Again | Self::Gone => Reason::Unavailable,
            Self::Refused => Reason::Refused,
        }
    }
}

/// Between two looks at a task, or at a guest: the first, and the longest.
const POLL_FIRST: Duration = Duration::from_millis(200);
const POLL_MOST: Duration = Duration::from_secs(2);
/// So many looks in a row may fail.
const FAILURES_MOST: u32 = 5;
/// A file is written so often, should the agent be busy.
const WRITES_MOST: u32 = 4;

/// What became of waiting for something.
enum Waited {
    Done,
    Failed(Error),
    NotYet(String),
}

impl Proxmox {
    /// Takes a VM as far as there is time for, until its guest agent answers. `tags` are those of its template, if they are
    /// at hand.
    pub async fn advance(
        &self,
        name: &str,
        place: &VmPlace,
        step: &MakingStep,
        tags: Option<&[String]>,
        deadline: Instant,
    ) -> Advanced {
        let mut place = place.clone();
        let reached = self.advance_in(name, &mut place, step, tags, deadline).await;
        Advanced { place, reached }
    }

    async fn advance_in(
        &self,
        name: &str,
        place: &mut VmPlace,
        step: &MakingStep,
        tags: Option<&[String]>,
        deadline: Instant,
    ) -> Reached {
        let until_when = clock::moment_of(deadline);
        if let MakingStep::Cloning { task } = step {
            let waited = match task.as_deref().and_then(|task| task.parse::<Upid>().ok()) {
                Some(task) => self.wait_for_task(&task, deadline).await,
                None => Waited::Failed(Error::new(Kind::Missing, "its task is not known")),
            };
            let waited = match waited {
                // Proxmox forgets tasks in time; the VM itself tells as well.
                Waited::Failed(Error { kind: Kind::Missing, .. }) => {
                    self.wait_for_unlocked(name, place, deadline).await
                }
                waited @ (Waited::Done | Waited::Failed(_) | Waited::NotYet(_)) => waited,
            };
            match waited {
                Waited::Done => {}
                Waited::Failed(error) => return failed(&error),
                Waited::NotYet(why) => return Reached::NotYet { step: step.clone(), why },
            }
        }
        let Some((node, vmid)) = address(place) else {
            let why = format!("`{}` is no node and id", place.at);
            return Reached::Failed { failure: Failure::Refused, why };
        };
        let next = match step {
            MakingStep::Cloning { .. } | MakingStep::Starting => MakingStep::Starting,
            MakingStep::WaitingForAgent => MakingStep::WaitingForAgent,
        };
        let tags = match tags {
            Some(tags) => tags.to_vec(),
            None => match self.own_tags(name, node, vmid, deadline).await {
                Ok(tags) => tags,
                Err(error) if passes(&error) => return Reached::NotYet { step: next, why: error.why },
                Err(error) => return failed(&error),
            },
        };
        // A clock that stood still while this process did says nothing of the time that is left.
        if clock::now() > until_when {
            return Reached::NotYet { step: next, why: "no time left".to_owned() };
        }
        if next == MakingStep::Starting {
            match self.start(node, vmid, &tags, deadline).await {
                Waited::Done => {}
                Waited::Failed(error) => return failed(&error),
                Waited::NotYet(why) => return Reached::NotYet { step: next, why },
            }
        }
        match self.wait_for_agent(node, vmid, deadline).await {
            Waited::Done => Reached::Agent,
            Waited::Failed(error) => failed(&error),
            Waited::NotYet(why) => Reached::NotYet { step: MakingStep::WaitingForAgent, why },
        }
    }

    /// Waits until the lock of a clone is gone, wherever it stands meanwhile.
    async fn wait_for_unlocked(&self, name: &str, place: &mut VmPlace, deadline: Instant) -> Waited {
        let found = Mutex::new(place.clone());
        let vmid = address(place).map(|(_, vmid)| vmid);
        let unlocked = || async {
            let seen = self.look(Duration::ZERO, deadline).await?;
            let vm = vmid.and_then(|vmid| seen.vm(vmid));
            let named = vm.is_some_and(|vm| marks::own_name(vm).is_none_or(|listed| listed == name));
            let Some(vm) = vm.filter(|_| named) else {
                return Err(Error::new(Kind::Missing, "its clone is gone"));
            };
            if let Ok(mut found) = found.lock() {
                *found = self.place(&vm.node, vm.vmid);
            }
            Ok(vm.lock.as_ref().map(|lock| format!("VM {} is locked ({lock})", vm.vmid)))
        };
        let waited = wait_until(deadline, unlocked).await;
        if let Ok(found) = found.into_inner() {
            *place = found;
        }
        waited
    }

    /// Waits for a task's end.
    pub(super) async fn wait_for(&self, task: &Upid, deadline: Instant) -> Result<bool, Error> {
        match self.wait_for_task(task, deadline).await {
            Waited::Done => Ok(true),
            Waited::NotYet(_) => Ok(false),
            Waited::Failed(error) => Err(error),
        }
    }

    async fn wait_for_task(&self, task: &Upid, deadline: Instant) -> Waited {
        let ended = Mutex::new(None);
        let done = || async {
            match self.client.task(task, until(deadline, LIMIT)).await? {
                TaskState::Running => Ok(Some("its task is under way".to_owned())),
                TaskState::Done => Ok(None),
                // The last line of its log may not be written yet.
                TaskState::Failed(error @ Error { kind: Kind::Lost { .. }, .. }) => Err(error),
                // It will not go on, whatever it failed for.
                TaskState::Failed(error) => {
                    *ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Ok(None)
                }
            }
        };
        let waited = wait_until(deadline, done).await;
        match ended.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Waited::Failed(error),
            None => waited,
        }
    }

    /// The tags of a VM that is taken up after a while. It may be gone by then, and its id another's.
    async fn own_tags(
        &self,
        name: &str,
        node: &str,
        vmid: u32,
        deadline: Instant,
    ) -> Result<Vec<String>, Error> {
        let config = repeated(deadline, LIMIT, |limit| self.client.config(node, vmid, limit)).await?;
        if config.name.as_deref() == Some(name) {
            return Ok(config.tags);
        }
        Err(Error::new(Kind::Missing, format!("VM {vmid} on node {node} is another's by now")))
    }

    /// Marks the clone as ours, and starts it.
    async fn start(&self, node: &str, vmid: u32, tags: &[String], deadline: Instant) -> Waited {
        let started = async {
            let tags = marks::tags(&self.uses.deployment, tags);
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            repeated(deadline, LIMIT, |limit| self.client.set_tags(node, vmid, &tags, limit)).await?;
            repeated(deadline, LIMIT, |limit| self.client.start(node, vmid, limit)).await
        };
        let waited = match started.await {
            Ok(task) => self.wait_for_task(&task, deadline).await,
            Err(error) => Waited::Failed(error),
        };
        match waited {
            Waited::Failed(Error { kind: Kind::AlreadyRunning, .. }) => Waited::Done,
            // Another start may hold the lock of its configuration.
            Waited::Failed(error) if passes(&error) || error.kind == Kind::StorageLocked => {
                Waited::NotYet(error.why)
            }
            waited @ (Waited::Done | Waited::Failed(_) | Waited::NotYet(_)) => waited,
        }
    }

    async fn wait_for_agent(&self, node: &str, vmid: u32, deadline: Instant) -> Waited {
        let answers = || async move {
            match self.client.ping(node, vmid, until(deadline, LIMIT)).await {
                Ok(()) => Ok(None),
                Err(error) if error.kind == Kind::AgentAbsent => Ok(Some(error.why)),
                Err(error) => Err(error),
            }
        };
        wait_until(deadline, answers).await
    }

    /// Writes the JIT config into the guest, and then the file that says that it is whole, since a write is not atomic.
    pub async fn hand_over(
        &self,
        place: &VmPlace,
        platform: Platform,
        jit_config: &Secret,
        max_lifetime: Duration,
        deadline: Instant,
    ) -> Result<(), ProviderError> {
        let doing = "handing the JIT config over";
        let Some((node, vmid)) = address(place) else {
            return Err(ProviderError::Refused { doing, why: format!("`{}` is no node and id", place.at) });
        };
        let path = match platform {
            Platform::Linux => "/var/lib/mayfly/jit-config",
            Platform::Windows => r"C:\ProgramData\mayfly\jit-config",
        };
        let ready = format!("max-lifetime={}\n", max_lifetime.as_secs());
        for (path, content) in [(path.to_owned(), jit_config.expose()), (format!("{path}.ready"), &ready)] {
            let written = self.write(node, vmid, &path, content, deadline).await;
            written.map_err(|error| super::provider_error(doing, &error))?;
        }
        Ok(())
    }

    /// Writing the same again does no harm, so a write whose reply was lost is repeated.
    async fn write(
        &self,
        node: &str,
        vmid: u32,
        path: &str,
        content: &str,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut tries = 1;
        loop {
            let limit = until(deadline, LIMIT);
            let Err(error) = self.client.write_file(node, vmid, path, content, limit).await else {
                return Ok(());
            };
            let passes = error.passes() || error.kind == Kind::AgentAbsent;
            if !passes
                || tries == WRITES_MOST
                || !pause_before(deadline, crate::random::jitter(POLL_FIRST)).await
            {
                return Err(error);
            }
            tries += 1;
        }
    }
}

/// Looks again and again until there is nothing to wait for; the look says what it waits for.
async fn wait_until<F: Future<Output = Result<Option<String>, Error>>>(
    deadline: Instant,
    look: impl Fn() -> F,
) -> Waited {
    let mut pause = POLL_FIRST;
    let mut failures = 0;
    let mut last = None;
    loop {
        let why = match look().await {
            Ok(None) => return Waited::Done,
            Ok(Some(why)) => {
                failures = 0;
                why
            }
            // That the last look was cut short says less than what the one before it saw.
            Err(error) if is_past(deadline) => return Waited::NotYet(last.unwrap_or(error.why)),
            Err(error) if !passes(&error) => return Waited::Failed(error),
            Err(error) => {
                failures += 1;
                if failures == FAILURES_MOST {
                    return Waited::NotYet(error.why);
                }
                error.why
            }
        };
        if !pause_before(deadline, crate::random::jitter(pause)).await {
            return Waited::NotYet(why);
        }
        last = Some(why);
        pause = (pause * 2).min(POLL_MOST);
    }
}

/// Whether it may go on by itself: a node that comes back, a lock that is released. A lock whose task is dead is not fought:
/// it is waited for until `boot_timeout`, and said.
fn passes(error: &Error) -> bool {
    error.passes() && error.kind != Kind::StorageLocked
        || matches!(error.kind, Kind::NodeDown | Kind::Locked { .. })
}

fn failed(error: &Error) -> Reached {
    let failure = match &error.kind {
        // Of a clone's task: the template was locked, or the cluster without a quorum.
        Kind::StorageLocked | Kind::Taken | Kind::Locked { .. } | Kind::NodeDown => Failure::Again,
        Kind::StorageFull | Kind::NoMemory => Failure::Full,
        Kind::Missing | Kind::NotRunning => Failure::Gone,
        kind if is_refusal(kind) => Failure::Refused,
        Kind::Unauthorized
        | Kind::Forbidden { .. }
        | Kind::AlreadyRunning
        | Kind::StillRunning
        | Kind::AgentAbsent
        | Kind::AgentUnconfigured
        | Kind::Refused
        | Kind::TooLong
        | Kind::NotSent
        | Kind::Certificate
        | Kind::Lost { .. }
        | Kind::Busy
        | Kind::Other(_) => Failure::Refused,
    };
    Reached::Failed { failure, why: error.why.clone() }
}
