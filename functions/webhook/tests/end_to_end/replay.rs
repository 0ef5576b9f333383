//! Deliveries that somebody kept, and sends again.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use mayfly_testkit::delivery::{Delivery, WorkflowJob};

use crate::plot::{LABELS, Plot, REPOSITORY, TABLE};
use crate::sights::all_over;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_sent_again_after_its_job_is_forgotten_starts_no_vm() {
    for plot in [Plot::default(), Plot::lab(10)] {
        let create = if plot.pools[0].template.is_some() { "proxmox.clone" } else { "gcp.insert" };
        let stage = Stage::set(plot).await;
        let job = stage.queue(Duration::from_millis(50));
        stage.until("the job is over", all_over).await;
        stage.until("its VM is gone", |world| world.vms().is_empty()).await;
        // As DynamoDB does when `retention` is over.
        let client = stage.dynamodb().await;
        let key = |name: &str, value: String| (name.to_owned(), AttributeValue::S(value));
        let delete = client.delete_item().table_name(TABLE);
        let item = [key("pk", format!("job#{}", job.0)), key("sk", "job".to_owned())].into();
        delete.set_key(Some(item)).send().await.unwrap();

        let (creates, registrations) = (stage.calls(create), stage.calls("github.jitconfig"));
        let kept = WorkflowJob::new(job.0, REPOSITORY, &LABELS)
            .installation(stage.simulator.installation_id())
            .created_at(Timestamp::now() - SignedDuration::from_hours(4 * 24));
        let delivery = Delivery::workflow_job("kept", &kept.queued(), &stage.webhook_secret);
        let invocation = stage.webhook.invoke(delivery.request().event()).await.unwrap();
        assert_eq!(invocation.response.clone().unwrap()["statusCode"], 202);
        invocation.finished().await;
        assert_eq!((creates, 1), (stage.calls(create), stage.calls("github.job")), "{}", stage.story());
        // Asked beside the answer, so that a job that does wait does not wait for it.
        let more = stage.calls("github.jitconfig") - registrations;
        assert_eq!(stage.calls("github.delete_runner"), more, "{}", stage.story());
        stage.curtain().await;
    }
}
