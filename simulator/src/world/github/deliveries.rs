//! Webhook deliveries: what is sent, when, and what GitHub remembers of it.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{HookOwner, error, link, not_found, payload};
use crate::world::World;
use crate::world::history::HappeningKind;
use crate::world::ids::{DeliveryId, JobId};
use crate::world::jobs::Job;
use crate::world::request::{Request, Response};
use crate::world::timeline::after;
use crate::world::view::DeliveryView;

/// A delivery to be sent now, by POST.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id, for [`World::delivered`].
    pub id: DeliveryId,
    /// `X-GitHub-Delivery`: the same when it is sent again.
    pub guid: String,
    /// `X-GitHub-Event`.
    pub event: &'static str,
    /// The payload's `action`.
    pub action: &'static str,
    /// All headers, signature included.
    pub headers: Vec<(String, String)>,
    /// The payload's bytes.
    pub body: Vec<u8>,
}

/// What GitHub remembers of a delivery. The payload is made from the job as it was then.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub id: DeliveryId,
    pub guid: String,
    pub action: &'static str,
    pub job: Job,
    pub redelivery: bool,
    /// It will fail on its way.
    pub lost: bool,
    pub outcome: Option<Outcome>,
    pub sent: Timestamp,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    status: u16,
    duration: Duration,
}

impl Record {
    pub(crate) fn view(&self) -> DeliveryView {
        DeliveryView {
            id: self.id,
            guid: self.guid.clone(),
            action: self.action,
            job: self.job.id,
            redelivery: self.redelivery,
            sent: self.sent,
            status: self.outcome.map(|outcome| outcome.status),
        }
    }
}

impl Outcome {
    fn text(self) -> String {
        match self.status {
            200..=299 => "OK".to_owned(),
            502 => "failed to connect to host".to_owned(),
            504 => "timed out".to_owned(),
            other => format!("Invalid HTTP Response: {other}"),
        }
    }

    fn failed(self) -> bool {
        !(200..300).contains(&self.status)
    }

    /// The parameter `status` of the list's calls: a redirection counts as a success there.
    fn is_listed_as(self, wanted: &str) -> bool {
        match wanted {
            "success" => (200..400).contains(&self.status),
            _ => (400..600).contains(&self.status),
        }
    }
}

/// The id of the world's hook, when it is an organization's or a repository's.
pub(crate) const HOOK_ID: u64 = 460_000_001;

impl World {
    /// Tell the webhook that something became of a job.
    pub(crate) fn announce(&mut self, now: Timestamp, job: JobId, action: &'static str) {
        let Some(job) = self.github.jobs.get(&job).cloned() else { return };
        if !self.hook_hears(&job.spec.repository) {
            return;
        }
        let guid = self.rng.uuid();
        if self.faults.deliveries.never.strikes(&mut self.rng) {
            let text = format!("{action} of job {} is never delivered", job.id);
            self.note(now, HappeningKind::DeliveryLost, text);
            return;
        }
        let lost = self.faults.deliveries.lost.strikes(&mut self.rng);
        let twice = self.faults.deliveries.duplicated.strikes(&mut self.rng);
        for _ in 0..if twice { 2 } else { 1 } {
            let due = after(now, self.delivery_delay());
            self.post(due, &guid, action, job.clone(), lost, false);
        }
    }

    fn hook_hears(&self, repository: &str) -> bool {
        let owner = repository.split('/').next().unwrap_or_default();
        match &self.settings.hook {
            HookOwner::App => true,
            HookOwner::Organization(login) => login.eq_ignore_ascii_case(owner),
            HookOwner::Repository(name) => name.eq_ignore_ascii_case(repository),
        }
    }

    fn delivery_delay(&mut self) -> Duration {
        let faults = &mut self.faults.deliveries;
        let mut delay = self.rng.around(self.settings.timing.webhook, self.settings.timing.jitter);
        if faults.delayed.strikes(&mut self.rng) {
            delay += self.rng.up_to(faults.delay_max);
        }
        if faults.reordered.strikes(&mut self.rng) {
            delay += self.rng.up_to(faults.reorder_max);
        }
        delay
    }

    fn post(
        &mut self,
        due: Timestamp,
        guid: &str,
        action: &'static str,
        job: Job,
        lost: bool,
        redelivery: bool,
    ) {
        let id = DeliveryId(self.github.next_id());
        let guid = guid.to_owned();
        let record = Record { id, guid, action, job, redelivery, lost, outcome: None, sent: due };
        self.github.deliveries.insert(id, record);
        self.github.outbox.insert((due, id));
    }

    /// The deliveries that are to be sent now, those that get lost on the way left out.
    pub fn take_deliveries(&mut self, now: Timestamp) -> Vec<Delivery> {
        self.advance(now);
        let mut taken = Vec::new();
        while let Some(&(due, id)) = self.github.outbox.first()
            && due <= now
        {
            self.github.outbox.pop_first();
            let Some(record) = self.github.deliveries.get_mut(&id) else { continue };
            record.sent = due;
            let text = format!("{} of job {}", record.action, record.job.id);
            if record.lost {
                record.outcome = Some(Outcome { status: 504, duration: Duration::from_secs(10) });
                self.note(due, HappeningKind::DeliveryLost, text);
                continue;
            }
            self.note(due, HappeningKind::DeliverySent, text);
            self.github.unanswered.insert(id);
            taken.extend(self.delivery(id));
        }
        taken
    }

    fn delivery(&self, id: DeliveryId) -> Option<Delivery> {
        let record = self.github.deliveries.get(&id)?;
        let body = self.payload_of(record).to_string().into_bytes();
        let headers = self.delivery_headers(record, &body);
        Some(Delivery {
            id,
            guid: record.guid.clone(),
            event: "workflow_job",
            action: record.action,
            headers,
            body,
        })
    }

    fn payload_of(&self, record: &Record) -> Value {
        payload::workflow_job(&self.settings, &self.access, record.action, &record.job)
    }

    fn delivery_headers(&self, record: &Record, body: &[u8]) -> Vec<(String, String)> {
        let (target, target_id) = match &self.settings.hook {
            HookOwner::App => ("integration", self.access.app_id),
            HookOwner::Organization(login) => ("organization", payload::id_of(login)),
            HookOwner::Repository(name) => ("repository", payload::id_of(name)),
        };
        [
            ("Accept", "*/*".to_owned()),
            ("Content-Type", "application/json".to_owned()),
            ("User-Agent", "GitHub-Hookshot/044aadd".to_owned()),
            ("X-GitHub-Delivery", record.guid.clone()),
            ("X-GitHub-Event", "workflow_job".to_owned()),
            ("X-GitHub-Hook-ID", HOOK_ID.to_string()),
            ("X-GitHub-Hook-Installation-Target-ID", target_id.to_string()),
            ("X-GitHub-Hook-Installation-Target-Type", target.to_owned()),
            ("X-Hub-Signature-256", signature(&self.access.webhook_secret, body)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// What the receiver answered; 502 if it could not be reached, 504 if it took more than ten seconds.
    pub fn delivered(&mut self, now: Timestamp, id: DeliveryId, status: u16) {
        self.github.unanswered.remove(&id);
        let Some(record) = self.github.deliveries.get_mut(&id) else { return };
        let duration = Duration::try_from(now.duration_since(record.sent)).unwrap_or_default();
        let outcome = Outcome { status, duration };
        record.outcome = Some(outcome);
        if outcome.failed() {
            let text = format!("{} of job {}: {}", record.action, record.job.id, outcome.text());
            self.note(now, HappeningKind::DeliveryLost, text);
        }
    }

    /// Whether these credentials see the hook: 403 without access, 404 when it is another's.
    pub(crate) fn check_hook(&self, owner: &HookOwner, hook: Option<u64>) -> Result<(), Response> {
        if !self.settings.hook_access {
            return Err(error(403, "Resource not accessible by integration"));
        }
        let is_it = *owner == self.settings.hook && hook.is_none_or(|id| id == HOOK_ID);
        if is_it { Ok(()) } else { Err(not_found()) }
    }

    pub(crate) fn list_deliveries(
        &self,
        owner: &HookOwner,
        hook: Option<u64>,
        request: &Request,
    ) -> Response {
        if let Err(refusal) = self.check_hook(owner, hook) {
            return refusal;
        }
        let size = request.parameter("per_page").and_then(|text| text.parse::<usize>().ok());
        let size = size.unwrap_or(30).clamp(1, 100);
        let before = match request.parameter("cursor").map(parse_cursor) {
            None => None,
            Some(Some(id)) => Some(id),
            Some(None) => return error(422, "Invalid cursor"),
        };
        let status = request.parameter("status");
        let fits = |record: &&Record| match record.outcome {
            None => false,
            Some(outcome) => status.is_none_or(|wanted| outcome.is_listed_as(wanted)),
        };
        let newest = self.github.deliveries.values().rev();
        let older = newest.filter(|record| before.is_none_or(|id| record.id <= id)).filter(fits);
        let mut found: Vec<&Record> = older.take(size + 1).collect();
        let next = (found.len() > size).then(|| found.pop()).flatten();
        let response = Response::json(200, found.iter().map(|record| self.item(record)).collect());
        match next {
            Some(next) => {
                response.header("link", link(request, "cursor", &format!("v1_{}", next.id), "next"))
            }
            None => response,
        }
    }

    fn item(&self, record: &Record) -> Value {
        let outcome = record.outcome.unwrap_or(Outcome { status: 504, duration: Duration::ZERO });
        json!({
            "id": record.id.0,
            "guid": record.guid,
            "delivered_at": record.sent.to_string(),
            "redelivery": record.redelivery,
            "duration": outcome.duration.as_secs_f64(),
            "status": outcome.text(),
            "status_code": outcome.status,
            "event": "workflow_job",
            "action": record.action,
            "installation_id": self.access.installation_id,
            "repository_id": payload::id_of(&record.job.spec.repository),
            "throttled_at": null,
        })
    }

    pub(crate) fn get_delivery(&self, owner: &HookOwner, hook: Option<u64>, id: DeliveryId) -> Response {
        if let Err(refusal) = self.check_hook(owner, hook) {
            return refusal;
        }
        let done = |record: &&Record| record.outcome.is_some();
        let Some(record) = self.github.deliveries.get(&id).filter(done) else { return not_found() };
        let payload = self.payload_of(record);
        let headers = self.delivery_headers(record, payload.to_string().as_bytes());
        let headers: serde_json::Map<String, Value> =
            headers.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        let mut body = self.item(record);
        body["url"] = json!("");
        body["request"] = json!({ "headers": headers, "payload": payload });
        body["response"] = json!({ "headers": {}, "payload": null });
        Response::json(200, body)
    }

    pub(crate) fn redeliver(
        &mut self,
        now: Timestamp,
        owner: &HookOwner,
        hook: Option<u64>,
        id: DeliveryId,
    ) -> Response {
        if let Err(refusal) = self.check_hook(owner, hook) {
            return refusal;
        }
        if self.deliver_again(now, id) { Response::json(202, json!({})) } else { not_found() }
    }

    /// Sends a delivery once more, under its own GUID; false if there is none of this id.
    pub(crate) fn deliver_again(&mut self, now: Timestamp, id: DeliveryId) -> bool {
        let Some(record) = self.github.deliveries.get(&id) else { return false };
        let (guid, action, job) = (record.guid.clone(), record.action, record.job.clone());
        let lost = self.faults.deliveries.lost.strikes(&mut self.rng);
        let due = after(now, self.delivery_delay());
        self.post(due, &guid, action, job, lost, true);
        true
    }
}

fn parse_cursor(text: &str) -> Option<DeliveryId> {
    text.strip_prefix("v1_")?.parse().ok()
}

/// `X-Hub-Signature-256`: HMAC-SHA256 over the body's bytes.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}
