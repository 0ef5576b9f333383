//! Deleting a VM, and waiting until it is gone.

use std::time::Duration;

use google_cloud_compute_v1::model::operation::Status;
use google_cloud_compute_v1::model::{Instance, Operation};
use mayfly_core::slot::VmPlace;
use tokio::time::Instant;

use super::classify::{CallError, Verdict, of_operation};
use super::insert::DEPLOYMENT_LABEL;
use super::{Gcp, is_past, out_of_time, provider_error};
use crate::provider::repeat::{backoff, repeated, until};
use crate::provider::{Deletion, ProviderError};

/// For each try of a call that answers at once.
const LIMIT: Duration = Duration::from_secs(10);
/// `zoneOperations.wait` answers within two minutes.
const WAIT_LIMIT: Duration = Duration::from_secs(130);
/// Between two looks at a VM whose deletion we have no operation of.
const POLL_FIRST: Duration = Duration::from_millis(500);
const POLL_MAX: Duration = Duration::from_secs(5);
/// So many failures in a row end a wait.
const FAILURES_MAX: u32 = 3;
const DELETING: &str = "deleting a VM";
const WAITING: &str = "waiting for a VM to be gone";

/// A VM that is being deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Going {
    name: String,
    /// More than one only if a create that nobody knew of made a second VM of the name in another zone.
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    zone: String,
    operation: Option<String>,
}

impl Going {
    /// A VM whose deletion somebody else asked for.
    pub fn at(name: &str, place: &VmPlace) -> Self {
        Self { name: name.to_owned(), parts: vec![Part { zone: place.at.clone(), operation: None }] }
    }

    /// Whether it was gone already.
    pub fn is_gone(&self) -> bool {
        self.parts.is_empty()
    }
}

impl Gcp {
    /// Asks for the deletion of a VM. One that is gone already, or on its way, is a success. Without a place it
    /// is looked for by name in all zones.
    pub async fn delete(
        &self,
        name: &str,
        place: Option<&VmPlace>,
        deadline: Instant,
    ) -> Result<Going, ProviderError> {
        if is_past(deadline) {
            return Err(out_of_time(DELETING));
        }
        let zones = match place {
            Some(place) => vec![place.at.clone()],
            None => self.zones_of(name, deadline).await?,
        };
        let mut parts = Vec::new();
        for zone in zones {
            let asked = repeated(deadline, LIMIT, |limit| self.ask_to_delete(&zone, name, limit));
            match asked.await {
                Ok(Some(operation)) => {
                    tracing::debug!(runner = name, zone, "asked Compute Engine to delete a VM");
                    parts.push(Part { zone, operation: Some(operation).filter(|name| !name.is_empty()) });
                }
                Ok(None) => tracing::debug!(runner = name, zone, "Compute Engine has no such VM any more"),
                Err(error) => return Err(provider_error(DELETING, &error)),
            }
        }
        Ok(Going { name: name.to_owned(), parts })
    }

    /// The operation's name, empty where another deletion is at it; `None` when there is no such VM.
    async fn ask_to_delete(
        &self,
        zone: &str,
        name: &str,
        limit: Duration,
    ) -> Result<Option<String>, CallError> {
        match self.clients.delete(zone, name, limit).await {
            Ok(operation) => Ok(Some(operation.name.unwrap_or_default())),
            Err(error) if error.status() == Some(404) => Ok(None),
            // "The resource '…' is not ready": being made or being deleted. What is being made is asked for again.
            Err(error) if error.has_reason("resourcenotready") => {
                match self.clients.instance(zone, name, limit).await? {
                    None => Ok(None),
                    Some(instance) if super::list::state(&instance) == mayfly_core::sweep::VmState::Going => {
                        Ok(Some(String::new()))
                    }
                    Some(_) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The zones where a VM of that name, with a deployment's mark that its name begins with, is.
    async fn zones_of(&self, name: &str, deadline: Instant) -> Result<Vec<String>, ProviderError> {
        let ours = |instance: &Instance| {
            let label = instance.labels.get(DEPLOYMENT_LABEL);
            instance.name.as_deref() == Some(name)
                && label.is_some_and(|label| {
                    name.strip_prefix(label.as_str()).is_some_and(|rest| rest.starts_with('-'))
                })
        };
        let found = self.instances(&format!("name=\"{name}\""), deadline).await?;
        Ok(found.into_iter().filter(|(_, instance)| ours(instance)).map(|(zone, _)| zone).collect())
    }

    /// Waits until a VM is gone, or until the deadline.
    pub async fn wait_gone(&self, going: &Going, deadline: Instant) -> Result<Deletion, ProviderError> {
        for part in &going.parts {
            let followed = match &part.operation {
                Some(operation) => self.follow(&part.zone, operation, deadline).await?,
                None => None,
            };
            let deletion = match followed {
                Some(deletion) => deletion,
                None => self.watch(&part.zone, &going.name, deadline).await?,
            };
            if deletion == Deletion::UnderWay {
                return Ok(deletion);
            }
        }
        Ok(Deletion::Gone)
    }

    /// Follows a deletion's operation; `None` when there is no such operation (any more).
    async fn follow(
        &self,
        zone: &str,
        operation: &str,
        deadline: Instant,
    ) -> Result<Option<Deletion>, ProviderError> {
        let mut failures = 0;
        let mut empty_waits = 0;
        while !is_past(deadline) {
            let pause = match self.clients.wait(zone, operation, until(deadline, WAIT_LIMIT)).await {
                Ok(done) if is_done(&done) => return ended(&done, zone).map(Some),
                // "Might return after zero seconds": not again at once.
                Ok(_) => {
                    failures = 0;
                    empty_waits += 1;
                    backoff(empty_waits, None, deadline)
                }
                Err(error) if error.status() == Some(404) => return Ok(None),
                Err(_) if is_past(deadline) => break,
                Err(error) => {
                    failures += 1;
                    if failures == FAILURES_MAX || !error.passes() {
                        return Err(provider_error(WAITING, &error));
                    }
                    backoff(failures, error.retry_after(), deadline)
                }
            };
            let Some(pause) = pause else { break };
            tokio::time::sleep(pause).await;
        }
        Ok(Some(Deletion::UnderWay))
    }

    /// Looks at the VM until it is gone.
    async fn watch(&self, zone: &str, name: &str, deadline: Instant) -> Result<Deletion, ProviderError> {
        let mut failures = 0;
        let mut pause = POLL_FIRST;
        while !is_past(deadline) {
            match self.clients.instance(zone, name, until(deadline, LIMIT)).await {
                Ok(None) => return Ok(Deletion::Gone),
                Ok(Some(_)) => failures = 0,
                Err(_) if is_past(deadline) => break,
                Err(error) => {
                    failures += 1;
                    if failures == FAILURES_MAX || !error.passes() {
                        return Err(provider_error(WAITING, &error));
                    }
                    pause = pause.max(error.retry_after().unwrap_or_default());
                }
            }
            tokio::time::sleep(until(deadline, pause)).await;
            pause = pause.saturating_mul(2).min(POLL_MAX);
        }
        Ok(Deletion::UnderWay)
    }
}

/// Whether an operation has come to its end.
pub(super) fn is_done(operation: &Operation) -> bool {
    operation.status == Some(Status::Done)
}

fn ended(operation: &Operation, zone: &str) -> Result<Deletion, ProviderError> {
    match of_operation(operation, zone) {
        None => Ok(Deletion::Gone),
        Some(Verdict::Refused(why)) if operation.http_error_status_code == Some(404) => {
            tracing::debug!(why, "somebody else was quicker");
            Ok(Deletion::Gone)
        }
        Some(Verdict::Refused(why)) => Err(ProviderError::Refused { doing: WAITING, why }),
        Some(
            Verdict::Full { why, .. }
            | Verdict::NotHere(why)
            | Verdict::Later { why, .. }
            | Verdict::Uncertain { why, .. },
        ) => Err(ProviderError::Unavailable { doing: WAITING, why }),
        Some(Verdict::Exists) => {
            Err(ProviderError::Unavailable { doing: WAITING, why: "it is in use".to_owned() })
        }
    }
}
