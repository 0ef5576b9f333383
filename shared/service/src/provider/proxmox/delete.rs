//! Deleting a VM: the plug is pulled, then it is deleted with all its disks.
//!
//! Ids are used again, so a VM is looked at before it is touched: only the one of our name is ours.

use std::time::Duration;

use mayfly_core::slot::VmPlace;
use tokio::time::Instant;

use super::answers::{Upid, VmEntry, VmStatus};
use super::error::{Error, Kind};
use super::{LIMIT, Proxmox, address, is_past, marks, pause_before, provider_error};
use crate::provider::repeat::{repeated, until};
use crate::provider::{Deletion, ProviderError};

/// What was seen of a VM is acted upon within this; after that it is looked at again.
const SEEN_KEPT: Duration = Duration::from_secs(1);
/// Between two looks at a VM whose deletion we have no task of.
const POLL_FIRST: Duration = Duration::from_millis(300);
const POLL_MOST: Duration = Duration::from_secs(5);
const FAILURES_MOST: u32 = 3;
/// The lock of a VM that is being deleted.
const DESTROYED: &str = "destroyed";
const DELETING: &str = "deleting a VM";
const WAITING: &str = "waiting for a VM to be gone";

/// A VM that is being deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Going {
    name: String,
    /// `None` when it was gone already.
    at: Option<(String, u32)>,
    task: Option<Upid>,
}

impl Going {
    /// A VM whose deletion somebody else asked for.
    pub fn at(name: &str, place: &VmPlace) -> Self {
        let at = address(place).map(|(node, vmid)| (node.to_owned(), vmid));
        Self { name: name.to_owned(), at, task: None }
    }

    /// Whether it was gone already.
    pub fn is_gone(&self) -> bool {
        self.at.is_none()
    }
}

impl Proxmox {
    /// Stops a VM and asks for its deletion. One that is gone already is a success; one that is locked, by a task that may be
    /// dead, is an error that says so. Without a place, or where it is not there any more, it is looked for by its name.
    pub async fn delete(
        &self,
        name: &str,
        place: Option<&VmPlace>,
        deadline: Instant,
    ) -> Result<Going, ProviderError> {
        let going = self
            .ask_to_delete(name, place, deadline)
            .await
            .map_err(|error| provider_error(DELETING, &error))?;
        if going.task.is_some() {
            tracing::debug!(runner = name, "VM is stopped and being deleted");
        }
        self.release_young(name, deadline).await;
        Ok(going)
    }

    async fn ask_to_delete(
        &self,
        name: &str,
        place: Option<&VmPlace>,
        deadline: Instant,
    ) -> Result<Going, Error> {
        let Some((node, vmid, mut status)) = self.found(name, place, deadline).await? else {
            return Ok(Going { name: name.to_owned(), at: None, task: None });
        };
        let seen = Instant::now();
        // Where it turns out not to be there any more it may have been moved a moment ago: whoever waits looks for it.
        let going = Going { name: name.to_owned(), at: Some((node.clone(), vmid)), task: None };
        if status.lock.as_deref() == Some(DESTROYED) {
            return Ok(going);
        }
        if let Some(lock) = status.lock {
            let why = format!("VM {vmid} on node {node} is locked ({lock})");
            return Err(Error::new(Kind::Locked { lock }, why).advised(self.provider()));
        }
        // This process may have been frozen since it looked.
        if seen.elapsed() > SEEN_KEPT {
            let Some(now) = self.is_there(name, &node, vmid, deadline).await? else { return Ok(going) };
            status = now;
        }
        // Neither is repeated here: by then another VM may have the id. A running one is never deleted by Proxmox.
        if status.running {
            match self.client.stop(&node, vmid, until(deadline, LIMIT)).await {
                Ok(task) => match self.wait_for(&task, deadline).await {
                    // Somebody else was quicker, or the task is forgotten: the delete tells.
                    Ok(_) | Err(Error { kind: Kind::Missing, .. }) => {}
                    Err(error) => return Err(error),
                },
                Err(Error { kind: Kind::NotRunning, .. }) => {}
                Err(Error { kind: Kind::Missing, .. }) => return Ok(going),
                Err(error) => return Err(error),
            }
        }
        match self.client.delete(&node, vmid, until(deadline, LIMIT)).await {
            Ok(task) => Ok(Going { task: Some(task), ..going }),
            Err(Error { kind: Kind::Missing, .. }) => Ok(going),
            Err(error) => Err(error),
        }
    }

    /// Where the VM is, and how; `None` when it is gone.
    async fn found(
        &self,
        name: &str,
        place: Option<&VmPlace>,
        deadline: Instant,
    ) -> Result<Option<(String, u32, VmStatus)>, Error> {
        let recorded = place.and_then(address);
        if let Some((node, vmid)) = recorded {
            match self.is_there(name, node, vmid, deadline).await {
                Ok(Some(status)) => return Ok(Some((node.to_owned(), vmid, status))),
                Ok(None) => {}
                // It may have been moved from there before, and the node may have left the cluster for good.
                Err(error) if error.kind == Kind::NodeDown => {
                    let seen = self.look(Duration::ZERO, deadline).await?;
                    let may_be =
                        |vm: &VmEntry| vm.node == node && vm.name.as_deref().is_none_or(|it| it == name);
                    if seen.vm(vmid).is_some_and(may_be) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        // A person, or the cluster, may have moved it to another node.
        let vmid = recorded.map(|(_, vmid)| vmid);
        let Some((node, vmid)) = self.find(name, vmid, deadline).await? else { return Ok(None) };
        let status = self.is_there(name, &node, vmid, deadline).await?;
        Ok(status.map(|status| (node, vmid, status)))
    }

    /// The VM of that id, where it is ours by its name.
    async fn is_there(
        &self,
        name: &str,
        node: &str,
        vmid: u32,
        deadline: Instant,
    ) -> Result<Option<VmStatus>, Error> {
        match repeated(deadline, LIMIT, |limit| self.client.status(node, vmid, limit)).await {
            Ok(VmStatus { name: listed, lock: Some(lock), .. })
                if marks::is_nameless(listed.as_deref(), vmid) && marks::is_being_made(Some(&lock)) =>
            {
                // A clone that has only just begun: it may be ours, and has no name yet.
                let why = format!("VM {vmid} on node {node} is locked ({lock})");
                Err(Error::new(Kind::Locked { lock }, why).advised(self.provider()))
            }
            Ok(status) => Ok(Some(status).filter(|status| status.name.as_deref() == Some(name))),
            Err(Error { kind: Kind::Missing, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where the VM of that name is, if it is ours; `vmid` is its id, where that is known.
    async fn find(
        &self,
        name: &str,
        vmid: Option<u32>,
        deadline: Instant,
    ) -> Result<Option<(String, u32)>, Error> {
        let seen = self.look(Duration::ZERO, deadline).await?;
        let listed = self.ours(&seen, deadline).await?;
        if let Some(found) = listed.vms.into_iter().find(|vm| vm.name == name) {
            return Ok(address(&found.place).map(|(node, vmid)| (node.to_owned(), vmid)));
        }
        let may_be = |place: &VmPlace| {
            let (_, unseen) = address(place).unzip();
            vmid.is_none() || unseen.is_none() || vmid == unseen
        };
        for place in listed.unseen.iter().filter(|place| may_be(place)) {
            let Some((node, vmid)) = address(place) else { continue };
            // It says what is the matter: that its node does not answer, or that its clone is under way.
            match self.is_there(name, node, vmid, deadline).await {
                Ok(Some(_)) => return Ok(Some((node.to_owned(), vmid))),
                Ok(None) => {}
                Err(error) if error.kind == Kind::NodeDown => {
                    let why = format!("{place} may be it, and its node does not answer");
                    return Err(Error::new(Kind::NodeDown, why));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Waits until a VM is gone, or until the deadline. That it is not in the place where it was does not show that it is
    /// gone: it may have been moved, or made again with another id, and whoever recorded its place not have known.
    pub async fn wait_gone(&self, going: &Going, deadline: Instant) -> Result<Deletion, ProviderError> {
        let Some((mut node, mut vmid)) = going.at.clone() else { return Ok(Deletion::Gone) };
        let failed = |error: Error| provider_error(WAITING, &error);
        if let Some(task) = &going.task {
            match self.wait_for(task, deadline).await {
                Ok(true) => return Ok(Deletion::Gone),
                Ok(false) => return Ok(Deletion::UnderWay),
                // Somebody else was quicker, or the task is forgotten: the VM itself tells.
                Err(Error { kind: Kind::Missing, .. }) => {}
                Err(Error { kind: Kind::Locked { lock }, .. }) if lock == DESTROYED => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let (mut failures, mut pause) = (0, POLL_FIRST);
        while !is_past(deadline) {
            let found = match self.is_there(&going.name, &node, vmid, deadline).await {
                Ok(Some(_)) => Ok(Some((node.clone(), vmid))),
                Ok(None) => self.find(&going.name, Some(vmid), deadline).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(None) => return Ok(Deletion::Gone),
                Ok(Some(at)) => ((node, vmid), failures) = (at, 0),
                Err(_) if is_past(deadline) => break,
                Err(error) => {
                    failures += 1;
                    if failures == FAILURES_MOST || !error.passes() {
                        return Err(failed(error));
                    }
                }
            }
            pause_before(deadline, pause).await;
            pause = (pause * 2).min(POLL_MOST);
        }
        Ok(Deletion::UnderWay)
    }
}
