//! What a job costs, in the table's own units.

use std::collections::BTreeMap;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use futures_util::StreamExt;
use futures_util::stream;
use mayfly_core::ids::{Deployment, ProviderName, RunnerId, RunnerName, SlotIndex};
use mayfly_core::job::{JobState, Moment};
use mayfly_core::making::{Making, MakingStep};
use mayfly_core::room::{Claim, Own};
use mayfly_core::slot::{Slot, SlotEvent};
use mayfly_service::store::{Claim as JobClaim, Ledger, Take, Was};
use mayfly_testkit::table::Usage;

use super::story::{RETENTION, Story, TABLE, at, machine, number, placed, pool, started, text};

impl Story {
    fn spent(&self) -> Usage {
        let usage = self.table.usage();
        assert_eq!(usage.unreported, 0, "{usage:?}");
        self.table.reset_usage();
        usage
    }

    async fn tell(&self, slot: &Slot, event: &SlotEvent) {
        self.ledger.slot_event(&slot.runner, event, at(3)).await.unwrap();
    }

    /// From the VM being accepted to its slot being free.
    async fn rest_of_life(&self, slot: &Slot, job: u64) {
        self.tell(slot, &placed(1)).await;
        self.life_of_runner(slot, job).await;
    }

    async fn life_of_runner(&self, slot: &Slot, job: u64) {
        self.tell(slot, &started(job)).await;
        let running = JobState::Running { slot: Some(slot.runner.slot()) };
        self.ledger.job_left(&self.job(job, running)).await.unwrap();
        self.tell(slot, &SlotEvent::Ended).await;
        self.ledger.job_left(&self.job(job, JobState::Done)).await.unwrap();
    }
}

#[tokio::test]
async fn a_jobs_whole_life_costs_ten_write_units_and_no_read() {
    let story = Story::begin().await;
    story.table.reset_usage();
    let slot = story.slot_for(3, 1);
    let claimed = story.ledger.claim(&story.assigned(1, 3), &Take::Free(slot.clone())).await.unwrap();
    assert_eq!(claimed, JobClaim::Taken);
    let claim = story.spent();
    assert!(claim.total() == 1 && claim.write_units <= 4.0, "{claim:?}");
    story.rest_of_life(&slot, 1).await;
    story.ledger.free(&slot).await.unwrap();
    let rest = story.spent();
    let (writes, reads) = (claim.write_units + rest.write_units, claim.read_units + rest.read_units);
    assert_eq!((writes, reads), (10.0, 0.0), "{rest:?}");
}

/// On Proxmox: a claim on the cluster's room, and a record of the clone and of the hand-over instead of that of the create.
#[tokio::test]
async fn a_jobs_whole_life_on_a_vm_that_is_made_in_steps_costs_twelve_write_units() {
    let story = Story::begin().await;
    let provider = ProviderName::new("lab").unwrap();
    let claim = |vmid: u32| Claim {
        at: at(1),
        vmid,
        host: "pve1".to_owned(),
        memory: 8 << 30,
        storages: ["ceph".to_owned()].into(),
    };
    let own = |_| Own { at: at(1), bytes: 4 << 30 };
    let hosts: BTreeMap<String, Own> = (1..=3).map(|host| (format!("pve{host}"), own(host))).collect();
    // Seven others are choosing, or have a moment ago.
    let others: BTreeMap<String, Claim> =
        (0..7).map(|slot| (story.runner(slot).to_string(), claim(9_000 + u32::from(slot)))).collect();
    let none = story.ledger.room(&provider).await.unwrap();
    let (room, _) = story.ledger.claim_room(&provider, &none, others, hosts.clone()).await.unwrap();
    story.table.reset_usage();
    let slot = story.slot_for(3, 1);
    story.ledger.claim(&story.assigned(1, 3), &Take::Free(slot.clone())).await.unwrap();
    let mut claims = room.claims.clone();
    claims.insert(slot.runner.to_string(), claim(9_100));
    let (_, claimed) = story.ledger.claim_room(&provider, &room, claims, hosts).await.unwrap();
    assert!(claimed);
    let vm = machine(1).vm;
    let step = MakingStep::Cloning {
        task: Some("UPID:pve1:0003F4A2:01B2C3D4:6744E0A1:qmclone:8000:mayfly@pve!mayfly:".to_owned()),
    };
    story
        .tell(&slot, &SlotEvent::Making(Making::Step { vm, step, held: None, leased_until: at(9_000) }))
        .await;
    story
        .tell(
            &slot,
            &SlotEvent::Making(Making::HandedOver {
                runner_id: RunnerId(7),
                registered_at: Some(at(2)),
                held: at(9_000),
            }),
        )
        .await;
    story.life_of_runner(&slot, 1).await;
    story.ledger.free(&slot).await.unwrap();
    let spent = story.spent();
    assert_eq!((spent.write_units, spent.read_units), (12.0, 0.0), "{spent:?}");
}

#[tokio::test]
async fn a_repeated_delivery_costs_one_request() {
    let story = Story::begin().await;
    story.taken(3, 1, &[]).await;
    story.table.reset_usage();
    story.ledger.claim(&story.assigned(1, 4), &Take::Free(story.slot_for(4, 1))).await.unwrap();
    assert_eq!(story.table.usage().total(), 1);
}

/// A job that had to wait: queued, given a slot whose VM is gone, and all the rest. The slot's next job pays for its
/// going on, so nothing is freed.
#[tokio::test]
async fn the_life_of_a_job_that_waits_costs_thirteen_write_units() {
    let story = Story::begin().await;
    let old = story.taken(3, 9, &[placed(1), SlotEvent::Ended]).await;
    story.table.reset_usage();
    let job = story.job(1, JobState::Waiting);
    story.ledger.enqueue(&job).await.unwrap();
    story.tell(&old, &SlotEvent::Watched { until: at(5_000) }).await;
    assert_eq!(story.ledger.oldest_waiting(&story.pool, 5).await.unwrap().len(), 1);
    let new = story.slot_for(3, 1);
    assert!(story.ledger.hand_over(&old, &new, &job.waiting()).await.unwrap());
    let line = Moment::new(at(5), format!("assigned to {}", new.runner));
    assert!(
        story
            .ledger
            .job_assigned(job.id, Was::Waiting, &JobState::Assigned { slot: SlotIndex(3) }, line)
            .await
            .unwrap()
    );
    story.rest_of_life(&new, 1).await;
    let spent = story.spent();
    assert_eq!(spent.write_units, 13.0, "{spent:?}");
    assert!(spent.read_units <= 1.0, "{spent:?}");
}

/// The names as long as they may be, so that items are as large as they get.
#[tokio::test]
async fn looking_for_a_slot_costs_the_same_in_a_pool_of_five_thousand() {
    let story = Story::begin().await;
    let deployment = Deployment::new("fifteen-letters".replace('-', "0")).unwrap();
    let pool = pool("twenty-letters-of-it");
    // What is asked here is larger than what a webhook asks, and may take longer on a busy machine.
    let aws = story.aws.clone().into_builder().timeout_config(TimeoutConfig::disabled()).build();
    let (ledger, client) =
        (Ledger::new(&aws, TABLE.to_owned(), deployment.clone(), RETENTION), Client::new(&aws));
    let item = |index: u16| {
        let runner = RunnerName::new(&deployment, &pool, SlotIndex(index), u64::from(index));
        let machine = machine(1_234_567);
        PutRequest::builder()
            .item("pk", text(&format!("pool#{pool}")))
            .item("sk", text(&format!("slot#{index:04}")))
            .item("runner", text(runner.as_str()))
            .item("reserved_at", number(at(1).as_millisecond()))
            .item("since", number(at(2).as_millisecond()))
            .item("phase", text("booting"))
            .item("job", number(51_234_567_890u64))
            .item("provider", text("google-cloud"))
            .item("vm_at", text("northamerica-northeast1-a"))
            .item("runner_id", number(machine.runner_id.unwrap()))
    };
    let put = |index| WriteRequest::builder().put_request(item(index).build().unwrap()).build();
    // One slot is free.
    let indices: Vec<u16> = (0..5_000).filter(|index| *index != 4_321).collect();
    let batches = indices.chunks(25).map(|batch| batch.iter().copied().map(put).collect::<Vec<_>>());
    let written = batches.map(|batch| client.batch_write_item().request_items(TABLE, batch).send());
    let written: Vec<_> = stream::iter(written).buffer_unordered(4).collect().await;
    assert!(
        written.into_iter().all(|written| written.unwrap().unprocessed_items.unwrap_or_default().is_empty())
    );

    story.table.reset_usage();
    for (start, limit) in [(100, 17), (4_000, 33), (2_500, 65)] {
        assert_eq!(ledger.sample(&pool, SlotIndex(start), limit).await.unwrap().len(), limit);
    }
    let spent = story.spent();
    assert!(spent.total() == 3 && spent.read_units <= 4.0, "{spent:?}");
    let (whole, corrupt) = ledger.pool_ledger(&pool).await.unwrap();
    assert_eq!((whole.slots.len(), corrupt.len()), (4_999, 0));
    assert!(story.spent().total() <= 3, "by pages of a megabyte");
}
