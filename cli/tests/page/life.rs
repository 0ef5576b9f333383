//! What is over gets onto the page by itself, and costs nothing where there is none.

use std::collections::BTreeMap;
use std::time::Duration;

use mayfly_service::store::local_aws_config;
use mayfly_testkit::table::EmbeddedTable;
use mayfly_testkit::wait_for_value;
use simulator::{JobSpec, ServeOptions, Settings, Simulator};

use crate::common::{LABELS, Place, SOON};
use crate::stage::{PAGE, TOKEN, ask};

/// A job's whole life with the real program: all keys of the table afterwards, and the page.
async fn life(page: &str) -> (Vec<String>, f64, Option<String>) {
    let options =
        ServeOptions { webhook_secret: crate::common::WEBHOOK_SECRET.to_owned(), ..ServeOptions::default() };
    let simulator = Simulator::start(Settings::brisk(), options).await.unwrap();
    let table = EmbeddedTable::start().unwrap();
    let mut place = Place::on(&simulator).env("PAGE_TOKEN", TOKEN);
    place.environment.extend(table.env());
    let configured = std::fs::read_to_string(place.path("mayfly.toml")).unwrap();
    let priced = format!(
        "{}\nprice_per_hour = 3600.0\n",
        configured.replacen("[store]", &format!("{page}[store]"), 1)
    );
    std::fs::write(place.path("mayfly.toml"), priced).unwrap();
    assert!(place.run(&["table", "create"]).status.success());
    // Sweeps are seldom: their reads and writes would count.
    let serving = place.serve_with(&["--sweep-every", "1s"]);
    simulator.set_webhook(&format!("{}/webhook", serving.url));
    simulator.with(|world, now| {
        let spec = JobSpec::new("shader-slang/slang", &LABELS).lasting(Duration::from_millis(300));
        world.queue_job(now, spec);
    });
    simulator.until(SOON, |world| world.view().gone_vms.len() == 1).await.unwrap();
    let aws = local_aws_config(&table.endpoint()).await;
    let client = aws_sdk_dynamodb::Client::new(&aws);
    let items = async || -> BTreeMap<String, _> {
        let scan = client.scan().table_name("mayfly-test").consistent_read(true).send().await.unwrap();
        let items = scan.items.unwrap_or_default().into_iter();
        items
            .map(|item| (format!("{} {}", item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap()), item))
            .collect()
    };
    wait_for_value("the slot to be free", SOON, async || {
        let items = items().await;
        let is_over = page.is_empty() || items.keys().any(|key| key.contains("month#"));
        (is_over && !items.keys().any(|key| key.contains("slot#"))).then_some(())
    })
    .await
    .unwrap();
    let shown = if page.is_empty() {
        None
    } else {
        let shown = ask(serving.client.get(format!("{}/", serving.url)).bearer_auth(TOKEN)).await;
        assert_eq!(shown.status, 200, "{}", shown.text);
        Some(shown.text)
    };
    let items = items().await;
    let cost: f64 = items
        .iter()
        .find(|(key, _)| key.contains("month#"))
        .map_or(0.0, |(_, item)| item["cost_micros"].as_n().unwrap().parse::<f64>().unwrap() / 1e6);
    (items.into_keys().collect(), cost, shown)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_over_and_what_its_vm_cost_get_onto_the_page() {
    let (keys, cost, shown) = life(PAGE).await;
    let of =
        |kind: &str| keys.iter().filter(|key| key.starts_with(&format!("pool#linux-gpu {kind}"))).count();
    assert_eq!((of("over#"), of("month#")), (1, 1), "{keys:?}");
    let shown = shown.unwrap();
    for part in [
        "shader-slang/slang",
        "<span class=\"chip good\">success</span>",
        ", booted ",
        ", ran ",
        "median of the last 1",
    ] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    // At a unit a second, what its VM lived.
    assert!((0.3..20.0).contains(&cost), "{cost}");
    assert!(shown.contains(" USD</b>"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_page_nothing_is_written_down_for_it() {
    let (keys, _, _) = life("").await;
    assert!(!keys.iter().any(|key| key.contains("over#") || key.contains("month#")), "{keys:?}");
    assert!(keys.iter().any(|key| key.starts_with("job#")), "{keys:?}");
}
