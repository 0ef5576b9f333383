//! What a job tries that wants more than its machine: what it finds there, whom it can ask from there, and what it does to the machine.
//!
//! It is root, which is the worst case: what images keep from everybody else is tried on the images. It finds what a program in
//! the guest can reach, and what a program there can do is done to nothing but the guest: a VM's name, marks and metadata are
//! its provider's, and are changed by the provider's calls alone.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::gcp::vm::Vm;
use super::guest::decode;
use super::ids::VmId;
use super::request::Method;
use super::timeline::{Due, after};

/// Something that a job comes by in its VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it was.
    pub place: String,
    /// What it says.
    pub text: String,
}

/// What a job does to its own machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// It powers the machine off in the middle of its work.
    PowersOff,
    /// It boots the machine anew.
    Reboots,
    /// It ends whatever would power the machine off when the job, or its time, is over.
    StaysOn,
}

const METADATA: &str = "/computeMetadata/v1/";
const HOUR: Duration = Duration::from_secs(3600);

impl World {
    /// All that a VM holds which its image did not bring: its metadata at Compute Engine, what was written into it through
    /// the agent at Proxmox VE, and what its runner keeps in its folder, where it unpacks its configuration.
    pub fn found_in(&self, id: VmId) -> Vec<Found> {
        let found = |place: String, text: &str| Found { place, text: text.to_owned() };
        let items = self.gcp.vms.get(&id).into_iter().flat_map(items);
        let mut all: Vec<Found> =
            items.map(|(key, value)| found(format!("attribute {key}"), value)).collect();
        if let Some(vm) = self.proxmox.vms.get(&id) {
            all.extend(vm.files.iter().map(|(path, text)| found(format!("file {path}"), text)));
        }
        let config = self.inside(id).and_then(|inside| decode(inside.config.as_deref()?));
        for (name, content) in config.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let text = content.as_str().and_then(decode).unwrap_or_default().to_string();
            all.push(found(format!("runner's {name}"), &text));
        }
        all.sort_by(|one, other| one.place.cmp(&other.place));
        all
    }

    /// What the metadata server answers a VM: the status, and the text. None where there is no such server. Who asks is known by
    /// the wire, so that there is no way to ask as somebody else.
    pub fn ask_metadata(
        &mut self,
        now: Timestamp,
        id: VmId,
        method: Method,
        path: &str,
    ) -> Option<(u16, String)> {
        self.advance(now);
        let vm = self.gcp.vms.get(&id).filter(|vm| vm.is_running())?;
        if method != Method::Get {
            return Some((405, String::new()));
        }
        let accounts = vm.body.get("serviceAccounts").and_then(Value::as_array);
        let has_account = accounts.is_some_and(|accounts| !accounts.is_empty());
        let text = match path.strip_prefix(METADATA)? {
            "instance/attributes/" => Some(items(vm).map(|(key, _)| format!("{key}\n")).collect()),
            "instance/service-accounts/" if has_account => Some("default/\n".to_owned()),
            "instance/service-accounts/" | "project/attributes/" => Some(String::new()),
            "instance/service-accounts/default/token" if has_account => {
                return Some((200, self.token_for_vm(now)));
            }
            "instance/name" => Some(vm.name.clone()),
            "project/project-id" => Some(self.settings.project.clone()),
            other => {
                let key = other.strip_prefix("instance/attributes/");
                items(vm).find(|(name, _)| Some(*name) == key).map(|(_, value)| value.to_owned())
            }
        };
        Some(text.map_or((404, String::new()), |text| (200, text)))
    }

    /// A token of the service account that a VM has: the world has only one, which may do what it may.
    fn token_for_vm(&mut self, now: Timestamp) -> String {
        let token = format!("ya29.{}", self.rng.text(200));
        self.gcp.tokens.insert(token.clone(), after(now, HOUR));
        json!({ "access_token": token, "expires_in": HOUR.as_secs(), "token_type": "Bearer" }).to_string()
    }

    /// A job starts one more runner in its VM, which says in its `.runner` who it is and shows its `.credentials`; false if
    /// GitHub refuses it.
    pub fn start_runner(&mut self, now: Timestamp, id: VmId, runner: &Value, credentials: &Value) -> bool {
        self.advance(now);
        let Some(runner) = self.github.recognize(runner, credentials) else { return false };
        let connects = self.connect(now, id, runner);
        if connects {
            self.match_runner(now, runner);
        }
        connects
    }

    /// A job does something to the machine that it runs on.
    pub fn do_mischief(&mut self, now: Timestamp, id: VmId, mischief: Mischief) {
        self.advance(now);
        let timing = &self.settings.timing;
        let (power_off, boot) = (timing.power_off, timing.boot);
        match mischief {
            Mischief::PowersOff => {
                self.guest_dies(now, id);
                self.timeline.at(after(now, power_off), Due::VmStops(id));
            }
            Mischief::Reboots => {
                self.guest_dies(now, id);
                self.power_up(now, id, boot);
            }
            Mischief::StaysOn => {
                if let Some(inside) = self.inside_mut(id) {
                    inside.is_kept_on = true;
                }
            }
        }
    }
}

/// An instance's metadata, by key.
fn items(vm: &Vm) -> impl Iterator<Item = (&str, &str)> {
    let items = vm.body.get("metadata").and_then(|metadata| metadata["items"].as_array());
    let mut pairs = Vec::new();
    for item in items.into_iter().flatten() {
        pairs.extend(item["key"].as_str().zip(item["value"].as_str()));
    }
    pairs.sort_unstable();
    pairs.into_iter()
}
