//! A table of the test's own, a ledger in it, and short words for its records.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use mayfly_core::ids::{Deployment, InstallationId, JobId, PoolName, ProviderName, Repository};
use mayfly_core::ids::{RunnerId, RunnerName, SlotIndex};
use mayfly_core::job::{Job, JobState, Moment, Waiting};
use mayfly_core::slot::{Machine, Purpose, Slot, SlotEvent, VmPlace};
use mayfly_service::store::{Claim, Ledger, Moved, Take, create_table, local_aws_config};
use mayfly_testkit::table::EmbeddedTable;

pub const TABLE: &str = "mayfly-test";
pub const RETENTION: Duration = Duration::from_secs(3 * 24 * 3600);

/// An attribute by name, in a form that can be compared and read.
pub type Dump = BTreeMap<String, BTreeMap<String, String>>;

pub struct Story {
    pub table: EmbeddedTable,
    pub aws: aws_config::SdkConfig,
    pub client: aws_sdk_dynamodb::Client,
    pub ledger: Ledger,
    pub pool: PoolName,
    names: AtomicU64,
}

impl Story {
    pub async fn begin() -> Self {
        let table = EmbeddedTable::start().unwrap();
        let aws = local_aws_config(&table.endpoint()).await;
        create_table(&aws, TABLE).await.unwrap();
        let ledger = ledger(&aws);
        let client = aws_sdk_dynamodb::Client::new(&aws);
        Self { table, aws, client, ledger, pool: pool("linux-gpu"), names: AtomicU64::new(1) }
    }

    /// A name that was never given before.
    pub fn runner(&self, index: u16) -> RunnerName {
        let nonce = self.names.fetch_add(1, Ordering::Relaxed);
        RunnerName::new(&deployment(), &self.pool, SlotIndex(index), nonce)
    }

    pub fn new_slot(&self, index: u16, purpose: Purpose) -> Slot {
        Slot::reserved(self.runner(index), purpose, at(1_000))
    }

    pub fn slot_for(&self, index: u16, job: u64) -> Slot {
        self.new_slot(index, Purpose::Job(JobId(job)))
    }

    /// A job that is to take a slot.
    pub fn assigned(&self, id: u64, index: u16) -> Job {
        self.job(id, JobState::Assigned { slot: SlotIndex(index) })
    }

    pub fn job(&self, id: u64, state: JobState) -> Job {
        Job {
            id: JobId(id),
            pool: self.pool.clone(),
            repository: Repository::new("shader-slang/slang").unwrap(),
            queued_at: at(id),
            installation: Some(InstallationId(77)),
            unseen_run: Some(mayfly_core::ids::RunId(5)),
            state,
            timeline: vec![Moment::new(at(2_000 + id), "something happened")],
        }
    }

    /// Has a job take a slot, and brings the slot on by these events.
    pub async fn taken(&self, index: u16, job: u64, events: &[SlotEvent]) -> Slot {
        let mut slot = self.slot_for(index, job);
        let claimed = self.ledger.claim(&self.assigned(job, index), &Take::Free(slot.clone())).await;
        assert_eq!(claimed.unwrap(), Claim::Taken);
        for event in events {
            let moved = self.ledger.slot_event(&slot.runner, event, at(3_000)).await.unwrap();
            assert_eq!(moved, Moved::From(slot.clone()));
            slot = slot.apply(event, at(3_000)).unwrap();
        }
        slot
    }

    pub async fn slot_at(&self, index: u16) -> Option<Slot> {
        self.ledger.slot_at(&self.pool, SlotIndex(index)).await.unwrap()
    }

    pub async fn state(&self, job: u64) -> Option<JobState> {
        self.ledger.job(JobId(job)).await.unwrap().map(|job| job.state)
    }

    pub async fn queue(&self) -> Vec<Waiting> {
        self.ledger.oldest_waiting(&self.pool, 100).await.unwrap()
    }

    /// All that is in the table.
    pub async fn dump(&self) -> Dump {
        let scan = self.client.scan().table_name(TABLE).consistent_read(true).send().await.unwrap();
        let items = scan.items.unwrap_or_default().into_iter();
        let plain = |item: std::collections::HashMap<String, AttributeValue>| {
            let key = format!("{} / {}", item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap());
            (key, item.into_iter().map(|(name, value)| (name, format!("{value:?}"))).collect())
        };
        items.map(plain).collect()
    }

    /// Puts an item by hand.
    pub async fn put(&self, attributes: &[(&str, AttributeValue)]) {
        let item = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
    }
}

pub fn ledger(aws: &aws_config::SdkConfig) -> Ledger {
    Ledger::new(aws, TABLE.to_owned(), deployment(), RETENTION)
}

pub fn deployment() -> Deployment {
    Deployment::new("prod").unwrap()
}

pub fn pool(name: &str) -> PoolName {
    PoolName::new(name).unwrap()
}

/// So many milliseconds after a moment in 2026.
pub fn at(milliseconds: u64) -> Timestamp {
    let begin: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    begin + Duration::from_millis(milliseconds)
}

pub fn machine(number: u64) -> Machine {
    let provider = ProviderName::new("gcp").unwrap();
    Machine { vm: VmPlace { provider, at: "us-east1-c".to_owned() }, runner_id: Some(RunnerId(number)) }
}

pub fn placed(number: u64) -> SlotEvent {
    SlotEvent::Placed { vm: machine(number).vm, runner_id: RunnerId(number), registered_at: Some(at(number)) }
}

pub fn started(job: u64) -> SlotEvent {
    SlotEvent::Started { job: JobId(job) }
}

pub fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
