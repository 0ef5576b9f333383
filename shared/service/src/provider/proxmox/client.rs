//! One method for each call that is made.
//!
//! Nothing is repeated here: what may be, and when, is decided by the callers, which know what a repeat means.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde::de::IgnoredAny;

use super::ProxmoxSettings;
use super::answers::{Fields, Resources, TaskState, Upid, VmConfig, VmStatus};
use super::error::{Error, Kind};
use super::http::{Call, Http};
use crate::tally::Counts;

/// The longest content that `agent/file-write` takes (`content`: maxLength), in characters.
const CONTENT_MOST: usize = 61_440;

/// What a clone is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CloneOrder<'a> {
    /// Its VM id.
    pub newid: u32,
    /// Its name.
    pub name: &'a str,
    /// Its notes.
    pub description: &'a str,
    /// The node it is moved to, where that is another than the template's. Only with storage that both see.
    pub target: Option<&'a str>,
    /// A copy of all disks; a linked clone otherwise.
    pub full: bool,
    /// Where a full clone's disks go. Refused with a linked one.
    pub storage: Option<&'a str>,
    /// The pool it is put in.
    pub pool: Option<&'a str>,
}

/// The API of one cluster. Cheap to make; to be shared, so that connections are used again.
pub(super) struct Client {
    http: Http,
}

impl Client {
    /// Keeps the settings. Nothing is built, and no secret or file is read, before the first call.
    pub fn new(settings: ProxmoxSettings) -> Self {
        Self { http: Http::new(settings) }
    }

    /// Lets a simulation answer.
    #[cfg(feature = "simulation")]
    pub fn answer_by(&mut self, outside: std::sync::Arc<dyn crate::simulation::Http>) {
        self.http.outside = Some(outside);
    }

    /// What it was made with.
    pub fn settings(&self) -> &ProxmoxSettings {
        self.http.settings()
    }

    /// How calls were answered so far.
    pub fn answers(&self) -> Counts {
        self.http.answers()
    }

    /// How many calls were made so far.
    pub fn calls(&self) -> u64 {
        self.http.calls()
    }

    /// `GET /cluster/resources`, of all types at once.
    pub async fn resources(&self, limit: Duration) -> Result<Resources, Error> {
        let call = Call { method: Method::GET, path: vec!["cluster", "resources"], parameters: Vec::new() };
        let entries: Vec<Fields> = self.http.send(&call, limit).await?;
        Resources::read(&entries).ok_or_else(|| {
            Error::new(Kind::Lost { timed_out: false }, "a VM in the cluster's list has no id, or no node")
        })
    }

    /// `GET /version`: the release, such as `9.0.10`.
    pub async fn version(&self, limit: Duration) -> Result<Option<String>, Error> {
        let call = Call { method: Method::GET, path: vec!["version"], parameters: Vec::new() };
        Ok(self.http.send::<Fields>(&call, limit).await?.text("version"))
    }

    /// `GET /access/permissions`: the token's own privileges on a path.
    pub async fn privileges(&self, path: &str, limit: Duration) -> Result<BTreeSet<String>, Error> {
        let parameters = vec![("path", path)];
        let call = Call { method: Method::GET, path: vec!["access", "permissions"], parameters };
        let told: Fields = self.http.send(&call, limit).await?;
        Ok(told.names().remove(path).unwrap_or_default())
    }

    /// `GET /nodes/{node}/qemu/{vmid}/config`
    pub async fn config(&self, node: &str, vmid: u32, limit: Duration) -> Result<VmConfig, Error> {
        let data: Fields = self.vm(Method::GET, node, vmid, &["config"], Vec::new(), limit).await?;
        Ok(VmConfig::read(&data))
    }

    /// `GET /nodes/{node}/qemu/{vmid}/status/current`
    pub async fn status(&self, node: &str, vmid: u32, limit: Duration) -> Result<VmStatus, Error> {
        let data: Fields =
            self.vm(Method::GET, node, vmid, &["status", "current"], Vec::new(), limit).await?;
        Ok(VmStatus::read(&data))
    }

    /// `POST /nodes/{node}/qemu/{template}/clone`, of the node where the template is.
    pub async fn clone(
        &self,
        node: &str,
        template: u32,
        order: &CloneOrder<'_>,
        limit: Duration,
    ) -> Result<Upid, Error> {
        let newid = order.newid.to_string();
        let mut parameters = vec![
            ("newid", newid.as_str()),
            ("name", order.name),
            ("description", order.description),
            ("full", if order.full { "1" } else { "0" }),
        ];
        let optional = [("target", order.target), ("storage", order.storage), ("pool", order.pool)];
        parameters.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        // Proxmox does not say what is missing where either the id or the pool would do.
        let unnamed = |mut error: Error| {
            if error.kind != (Kind::Forbidden { path: None, privilege: None }) {
                return error;
            }
            let path = order.pool.map_or(format!("/vms/{newid}"), |pool| format!("/pool/{pool}"));
            error.kind = Kind::Forbidden { path: Some(path), privilege: Some("VM.Allocate".to_owned()) };
            error.advised(&self.settings().provider)
        };
        let template = template.to_string();
        let path = vec!["nodes", node, "qemu", &template, "clone"];
        let call = Call { method: Method::POST, path, parameters };
        task_of(&self.http.send::<String>(&call, limit).await.map_err(unnamed)?)
    }

    /// Replaces all tags (`PUT …/config`).
    pub async fn set_tags(&self, node: &str, vmid: u32, tags: &[&str], limit: Duration) -> Result<(), Error> {
        let tags = tags.join(";");
        let parameters = vec![("tags", tags.as_str())];
        self.vm::<IgnoredAny>(Method::PUT, node, vmid, &["config"], parameters, limit).await?;
        Ok(())
    }

    /// `POST …/status/start`
    pub async fn start(&self, node: &str, vmid: u32, limit: Duration) -> Result<Upid, Error> {
        task_of(&self.vm::<String>(Method::POST, node, vmid, &["status", "start"], Vec::new(), limit).await?)
    }

    /// Pulls the plug (`POST …/status/stop`).
    pub async fn stop(&self, node: &str, vmid: u32, limit: Duration) -> Result<Upid, Error> {
        task_of(&self.vm::<String>(Method::POST, node, vmid, &["status", "stop"], Vec::new(), limit).await?)
    }

    /// `DELETE /nodes/{node}/qemu/{vmid}`, out of all jobs and pools too, and with disks that the configuration does
    /// not name. Only of what is stopped.
    pub async fn delete(&self, node: &str, vmid: u32, limit: Duration) -> Result<Upid, Error> {
        let parameters = vec![("purge", "1"), ("destroy-unreferenced-disks", "1")];
        task_of(&self.vm::<String>(Method::DELETE, node, vmid, &[], parameters, limit).await?)
    }

    /// `POST …/agent/ping`: whether the guest agent answers.
    pub async fn ping(&self, node: &str, vmid: u32, limit: Duration) -> Result<(), Error> {
        self.vm::<IgnoredAny>(Method::POST, node, vmid, &["agent", "ping"], Vec::new(), limit).await?;
        Ok(())
    }

    /// `POST …/agent/file-write`: makes or replaces a file in the guest. Not atomic. The content is never shown.
    pub async fn write_file(
        &self,
        node: &str,
        vmid: u32,
        path: &str,
        content: &str,
        limit: Duration,
    ) -> Result<(), Error> {
        let length = content.chars().count();
        if length > CONTENT_MOST {
            let why = format!("the content of {path} has {length} characters; Proxmox takes {CONTENT_MOST}");
            return Err(Error::new(Kind::TooLong, why));
        }
        let parameters = vec![("file", path), ("content", content)];
        let written = self
            .vm::<IgnoredAny>(Method::POST, node, vmid, &["agent", "file-write"], parameters, limit)
            .await;
        written.map(|_| ()).map_err(|error| error.without(content))
    }

    /// How far a task is (`GET /nodes/{node}/tasks/{upid}/status`, of the node that the UPID names).
    pub async fn task(&self, upid: &Upid, limit: Duration) -> Result<TaskState, Error> {
        let path = vec!["nodes", upid.node(), "tasks", upid.as_str(), "status"];
        let call = Call { method: Method::GET, path, parameters: Vec::new() };
        let data: Fields = self.http.send(&call, limit).await?;
        Ok(match TaskState::read(&data) {
            TaskState::Failed(error) => TaskState::Failed(error.advised(&self.settings().provider)),
            state @ (TaskState::Running | TaskState::Done) => state,
        })
    }

    /// A call for one VM.
    async fn vm<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        node: &str,
        vmid: u32,
        path: &[&str],
        parameters: Vec<(&'static str, &str)>,
        limit: Duration,
    ) -> Result<T, Error> {
        let vmid = vmid.to_string();
        let path = ["nodes", node, "qemu", &vmid].into_iter().chain(path.iter().copied()).collect();
        self.http.send(&Call { method, path, parameters }, limit).await
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("provider", &self.settings().provider).finish_non_exhaustive()
    }
}

/// The task of an accepted call. What it does is not known without its name.
fn task_of(upid: &str) -> Result<Upid, Error> {
    upid.parse().map_err(|error: super::answers::WrongUpid| {
        Error::new(Kind::Lost { timed_out: false }, format!("accepted, but {error}"))
    })
}

#[cfg(test)]
#[path = "client_tests.rs"]
pub(super) mod tests;
