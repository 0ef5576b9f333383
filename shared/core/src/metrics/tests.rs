use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::ids::Deployment;

fn pool(name: &str) -> PoolName {
    PoolName::new(name).unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// One sample of each metric.
fn all(pool: &PoolName, provider: &ProviderName) -> Vec<(Metric, f64)> {
    let samples = [
        Sample::QueueWait(pool, seconds(3)),
        Sample::BootDuration(pool, seconds(3)),
        Sample::Runners(pool, PhaseKind::Busy, 3),
        Sample::JobsWaiting(pool, 3),
        Sample::CreateFailure(pool, provider, Reason::Quota),
        Sample::ApiRequests(Api::GitHub, StatusClass::Success, 3),
        Sample::RateLimitRemaining(3),
        Sample::Sweep(Outcome::Complete, seconds(3)),
        Sample::VmSeconds(pool, seconds(3)),
        Sample::Cost(pool, Cost(3_000_000)),
    ];
    samples
        .into_iter()
        .map(|sample| {
            let (metric, labels, value) = sample.read();
            assert_eq!(labels.len(), metric.about().labels.len(), "{metric:?}");
            (metric, value)
        })
        .collect()
}

#[test]
fn each_sample_has_a_value_for_each_of_its_labels_and_each_metric_a_sample() {
    let seen = all(&pool("a"), &ProviderName::new("lab").unwrap());
    assert!(seen.iter().map(|(metric, _)| *metric).eq(Metric::ALL));
    assert!(seen.iter().all(|(metric, value)| *value == 3.0 || *metric == Metric::CreateFailures));
}

#[test]
fn counters_add_up_gauges_do_not_and_what_is_forgotten_is_gone() {
    let (a, b) = (pool("a"), pool("b"));
    let mut recorded = Recorded::in_buckets();
    for count in [2, 5] {
        recorded.record(Sample::JobsWaiting(&a, count));
        recorded.record(Sample::VmSeconds(&a, seconds(10)));
    }
    recorded.record(Sample::JobsWaiting(&b, 1));
    let text = prometheus::text(&recorded);
    assert_eq!(
        text,
        "# HELP mayfly_jobs_waiting Jobs that wait for a slot, as the last sweep saw them.\n\
         # TYPE mayfly_jobs_waiting gauge\n\
         mayfly_jobs_waiting{pool=\"a\"} 5\n\
         mayfly_jobs_waiting{pool=\"b\"} 1\n\
         # HELP mayfly_vm_seconds_total How long VMs lived, counted when they are gone.\n\
         # TYPE mayfly_vm_seconds_total counter\n\
         mayfly_vm_seconds_total{pool=\"a\"} 20\n"
    );
    recorded.forget(Metric::JobsWaiting);
    assert!(!prometheus::text(&recorded).contains("waiting"));
}

#[test]
fn buckets_count_all_that_is_at_most_their_bound() {
    let a = pool("a");
    let mut recorded = Recorded::in_buckets();
    for wait in [1, 2, 60, 7_200] {
        recorded.record(Sample::QueueWait(&a, seconds(wait)));
    }
    let text = prometheus::text(&recorded);
    for line in [
        "_bucket{pool=\"a\",le=\"1\"} 1",
        "_bucket{pool=\"a\",le=\"2.5\"} 2",
        "_bucket{pool=\"a\",le=\"60\"} 3",
        "_bucket{pool=\"a\",le=\"3600\"} 3",
        "_bucket{pool=\"a\",le=\"+Inf\"} 4",
        "_sum{pool=\"a\"} 7263",
        "_count{pool=\"a\"} 4",
    ] {
        assert!(text.contains(&format!("mayfly_queue_wait_seconds{line}\n")), "{line}\n{text}");
    }
}

#[test]
fn a_line_takes_what_agrees_and_the_rest_gets_further_ones() {
    let (a, b, deployment) = (pool("a"), pool("b"), Deployment::new("prod").unwrap());
    let mut recorded = Recorded::in_full();
    for sample in [
        Sample::QueueWait(&a, seconds(1)),
        Sample::QueueWait(&a, seconds(2)),
        Sample::JobsWaiting(&a, 4),
        Sample::JobsWaiting(&b, 5),
        Sample::RateLimitRemaining(4_990),
    ] {
        recorded.record(sample);
    }
    let now = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
    let lines = emf::lines(&recorded, &deployment, now);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let directive = |dimensions: &[&str], metrics: &[(&str, &str)]| {
        let metrics: Vec<Value> =
            metrics.iter().map(|(name, unit)| json!({"Name": name, "Unit": unit})).collect();
        json!({"Namespace": "Mayfly", "Dimensions": [dimensions], "Metrics": metrics})
    };
    let first = json!({
        "_aws": {"Timestamp": 1_700_000_000_123_i64, "CloudWatchMetrics": [
            directive(&["Deployment", "Pool"], &[("QueueWait", "Seconds"), ("JobsWaiting", "Count")]),
            directive(&["Deployment"], &[("GitHubRateLimitRemaining", "Count")]),
        ]},
        "Deployment": "prod", "Pool": "a",
        "QueueWait": [1.0, 2.0], "JobsWaiting": 4.0, "GitHubRateLimitRemaining": 4_990.0,
    });
    let second = json!({
        "_aws": {"Timestamp": 1_700_000_000_123_i64, "CloudWatchMetrics": [
            directive(&["Deployment", "Pool"], &[("JobsWaiting", "Count")]),
        ]},
        "Deployment": "prod", "Pool": "b", "JobsWaiting": 5.0,
    });
    assert_eq!(lines, [first, second]);
}

#[test]
fn a_line_has_no_more_values_than_the_format_takes() {
    let a = pool("a");
    let mut recorded = Recorded::in_full();
    for wait in 0..250 {
        recorded.record(Sample::QueueWait(&a, seconds(wait)));
    }
    let lines = emf::lines(&recorded, &Deployment::new("prod").unwrap(), Timestamp::UNIX_EPOCH);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counts = lines.iter().map(|line| line["QueueWait"].as_array().unwrap().len());
    assert_eq!(counts.collect::<Vec<_>>(), [100, 100, 50]);
}

#[test]
fn no_flood_of_series_or_values_takes_all_memory() {
    let mut recorded = Recorded::in_full();
    for number in 0..SERIES_MOST + 10 {
        assert_eq!(recorded.has_left_out(), number > SERIES_MOST);
        recorded.record(Sample::JobsWaiting(&pool(&format!("p{number}")), 1));
    }
    assert_eq!(prometheus::text(&recorded).lines().count(), SERIES_MOST + 2);
    let (a, mut recorded) = (pool("a"), Recorded::in_full());
    for _ in 0..SAMPLES_MOST + 10 {
        recorded.record(Sample::QueueWait(&a, seconds(1)));
    }
    let lines = emf::lines(&recorded, &Deployment::new("prod").unwrap(), Timestamp::UNIX_EPOCH);
    assert_eq!(lines.len(), SAMPLES_MOST / emf::VALUES_MOST);
}

#[test]
fn statuses_have_their_class() {
    let classes = [Some(204), Some(307), Some(404), Some(503), Some(42), None].map(StatusClass::of);
    let texts = classes.map(StatusClass::as_str);
    assert_eq!(texts, ["2xx", "3xx", "4xx", "5xx", "none", "none"]);
}
