//! Tasks: everything that takes its time is one, on its node. What goes wrong is told by its exit status.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Outcome;
use super::shapes::{Form, Wrong};
use crate::world::World;
use crate::world::ids::VmId;
use crate::world::request::Response;
use crate::world::timeline::{Due, after};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskKind {
    /// The new VM is the target. `storage` is what the clone holds the lock of, once for each node if it is not shared.
    Clone {
        storage: (String, Option<String>),
        moves_to: Option<String>,
    },
    Start,
    Stop,
    Shutdown,
    Delete,
}

impl TaskKind {
    fn name(&self) -> &'static str {
        match self {
            Self::Clone { .. } => "qmclone",
            Self::Start => "qmstart",
            Self::Stop => "qmstop",
            Self::Shutdown => "qmshutdown",
            Self::Delete => "qmdestroy",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub upid: String,
    pub node: String,
    pid: u32,
    pstart: u32,
    started: Timestamp,
    pub kind: TaskKind,
    /// The VM that it works on; none when there was no such VM.
    pub target: Option<VmId>,
    pub vmid: u32,
    /// Why it will fail.
    pub doom: Option<String>,
    pub never_ends: bool,
    /// `OK`, or what went wrong; none while it runs.
    pub exit: Option<String>,
    log: Vec<String>,
}

/// A task to be begun.
pub(crate) struct NewTask<'a> {
    pub node: &'a str,
    /// The VM that its id says: the source, for a clone.
    pub vmid: u32,
    pub kind: TaskKind,
    pub target: Option<VmId>,
    pub takes: Duration,
    pub doom: Option<String>,
    pub log: Vec<String>,
}

impl World {
    /// Begin a task; its UPID: `UPID:node:pid:pstart:starttime:type:id:user:`, three of them in hexadecimal.
    pub(crate) fn begin_task(&mut self, now: Timestamp, new: NewTask<'_>) -> Value {
        self.proxmox.tasks_begun += 1;
        let pid = 0x1000 + self.proxmox.tasks_begun;
        let pstart = 0x0010_0000 + 37 * self.proxmox.tasks_begun;
        let name = new.kind.name();
        let user = &self.access.proxmox_token_id;
        let (node, vmid, seconds) = (new.node, new.vmid, now.as_second());
        let upid = format!("UPID:{node}:{pid:08X}:{pstart:08X}:{seconds:08X}:{name}:{vmid}:{user}:");
        let task = Task {
            upid: upid.clone(),
            node: node.to_owned(),
            pid,
            pstart,
            started: now,
            kind: new.kind,
            target: new.target,
            vmid,
            doom: new.doom,
            never_ends: false,
            exit: None,
            log: new.log,
        };
        self.proxmox.tasks.insert(upid.clone(), task);
        self.timeline.at(after(now, new.takes), Due::LabTaskEnds(upid.clone()));
        json!(upid)
    }

    pub(crate) fn lab_task_ends(&mut self, now: Timestamp, upid: &str) {
        let Some(task) = self.proxmox.tasks.get_mut(upid) else { return };
        if task.never_ends || task.exit.is_some() {
            return;
        }
        let exit = task.doom.clone().unwrap_or_else(|| "OK".to_owned());
        let end = if exit == "OK" { "TASK OK".to_owned() } else { format!("TASK ERROR: {exit}") };
        task.log.push(end);
        task.exit = Some(exit);
        let (kind, target, is_ok) = (task.kind.clone(), task.target, task.doom.is_none());
        let Some(target) = target else { return };
        match kind {
            TaskKind::Clone { moves_to, .. } if is_ok => self.clone_ends(target, moves_to),
            TaskKind::Clone { .. } => self.clone_fails(now, target),
            TaskKind::Start if is_ok => self.lab_vm_runs(now, target),
            TaskKind::Start => self.start_fails(now, target),
            TaskKind::Stop | TaskKind::Shutdown if is_ok => self.lab_vm_stops(now, target),
            TaskKind::Delete if is_ok => self.remove_vm(now, target),
            TaskKind::Stop | TaskKind::Shutdown | TaskKind::Delete => {}
        }
    }

    /// The node went down, and its tasks with it. What they locked stays locked.
    pub(crate) fn tasks_die(&mut self, node: &str) {
        let running = self.proxmox.tasks.values_mut().filter(|task| task.exit.is_none() && task.node == node);
        for task in running {
            task.exit = Some("unexpected status".to_owned());
        }
    }

    fn task(&self, node: &str, upid: &str) -> Result<&Task, Response> {
        if !upid.starts_with("UPID:") || upid.split(':').count() != 9 {
            return Err(Wrong::one("upid", "unable to parse worker upid").refusal());
        }
        let found = self.proxmox.tasks.get(upid).filter(|task| task.node == node);
        found.ok_or_else(|| Wrong::one("upid", "no such task").refusal())
    }

    pub(crate) fn task_status(&self, node: &str, upid: &str) -> Outcome {
        let task = self.task(node, upid)?;
        let (user, token) = self.access.proxmox_token_id.split_once('!').unwrap_or_default();
        let mut data = json!({
            "upid": task.upid,
            "node": task.node,
            "pid": task.pid,
            "pstart": task.pstart,
            "starttime": task.started.as_second(),
            "type": task.kind.name(),
            "id": task.vmid.to_string(),
            "user": user,
            "tokenid": token,
            "status": if task.exit.is_some() { "stopped" } else { "running" },
        });
        if let Some(exit) = &task.exit {
            data["exitstatus"] = json!(exit);
        }
        Ok(data)
    }

    pub(crate) fn task_log(&self, node: &str, upid: &str, form: &Form) -> Response {
        let task = match self.task(node, upid) {
            Ok(task) => task,
            Err(refusal) => return refusal,
        };
        let (start, limit) = (form.number("start").unwrap_or(0), form.number("limit").unwrap_or(50));
        let limit = if limit == 0 { usize::MAX } else { limit };
        let lines = task.log.iter().enumerate().skip(start).take(limit);
        let lines: Vec<Value> = lines.map(|(at, text)| json!({ "n": at + 1, "t": text })).collect();
        Response::json(200, json!({ "data": lines, "total": task.log.len() }))
    }
}
