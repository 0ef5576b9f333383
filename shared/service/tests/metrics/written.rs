//! Every metric, with every value that its labels can have, in both formats.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::ids::{Deployment, PoolName, ProviderName};
use mayfly_core::metrics::{
    Api, Kind, Metric, Outcome, Reason, Recorded, Sample, StatusClass, emf, prometheus,
};
use mayfly_core::price::Cost;
use mayfly_core::slot::PhaseKind;
use mayfly_testkit::metrics::{cloudwatch, exposition};

/// Everything that can be told of two pools and two providers; how many series that is.
fn everything(recorded: &mut Recorded) -> usize {
    let pools = ["linux", "a-pool-with-a-name20"].map(|name| PoolName::new(name).unwrap());
    let providers = ["gcp", "The_lab-2"].map(|name| ProviderName::new(name).unwrap());
    for pool in &pools {
        for count in 1..=3 {
            let time = Duration::from_millis(12_345 * count);
            recorded.record(Sample::QueueWait(pool, time));
            recorded.record(Sample::BootDuration(pool, time));
            recorded.record(Sample::VmSeconds(pool, time));
        }
        recorded.record(Sample::Cost(pool, Cost(1_234_567)));
        recorded.record(Sample::JobsWaiting(pool, 7));
        for phase in PhaseKind::ALL {
            recorded.record(Sample::Runners(pool, phase, 0));
        }
        for provider in &providers {
            Reason::ALL.iter().for_each(|reason| {
                recorded.record(Sample::CreateFailure(pool, provider, *reason));
            });
        }
    }
    for api in Api::ALL {
        StatusClass::ALL.iter().for_each(|status| recorded.record(Sample::ApiRequests(*api, *status, 2)));
    }
    Outcome::ALL.iter().for_each(|outcome| recorded.record(Sample::Sweep(*outcome, Duration::from_secs(1))));
    recorded.record(Sample::RateLimitRemaining(4_999));
    let of_pool = 5 + PhaseKind::ALL.len() + providers.len() * Reason::ALL.len();
    pools.len() * of_pool + Api::ALL.len() * StatusClass::ALL.len() + Outcome::ALL.len() + 1
}

#[test]
fn cloudwatch_takes_every_metric_with_its_unit_and_its_dimensions() {
    let mut recorded = Recorded::in_full();
    let series = everything(&mut recorded);
    let lines = emf::lines(&recorded, &Deployment::new("prod").unwrap(), Timestamp::now());
    let data = cloudwatch::read(&lines.join("\n")).unwrap();
    let known: BTreeMap<&str, Metric> =
        Metric::ALL.iter().map(|metric| (metric.about().cloudwatch, *metric)).collect();
    let mut seen = BTreeSet::new();
    for datum in &data {
        let about = known[datum.name.as_str()].about();
        assert_eq!((datum.namespace.as_str(), datum.unit.as_str()), ("Mayfly", about.unit.as_str()));
        let dimensions: BTreeSet<&str> = datum.dimensions.keys().map(String::as_str).collect();
        let wanted = about.labels.iter().map(|label| label.cloudwatch()).chain(["Deployment"]);
        assert_eq!(dimensions, wanted.collect::<BTreeSet<_>>(), "{datum:?}");
        assert!(seen.insert((datum.name.clone(), datum.dimensions.clone())), "{datum:?} twice");
    }
    assert_eq!(seen.len(), series);
    let names: BTreeSet<&str> = data.iter().map(|datum| datum.name.as_str()).collect();
    assert_eq!(names, known.keys().copied().collect::<BTreeSet<_>>());
    let waits = data.iter().find(|datum| datum.name == "QueueWait").unwrap();
    assert_eq!(waits.values, [12.345, 24.69, 37.035]);
    // A line takes a value of each label: no fewer lines than the longest list of one metric.
    assert_eq!(lines.len(), 2 * 2 * Reason::ALL.len());
}

#[test]
fn prometheus_takes_every_metric_with_its_labels() {
    let mut recorded = Recorded::in_buckets();
    let series = everything(&mut recorded);
    let families = exposition::read(&prometheus::text(&recorded)).unwrap();
    let mut seen = 0;
    for metric in Metric::ALL {
        let about = metric.about();
        let family = &families[about.prometheus];
        let (kind, mark) = match about.kind {
            Kind::Counter => ("counter", ""),
            Kind::Gauge => ("gauge", ""),
            Kind::Histogram(_) => ("histogram", "_count"),
        };
        assert_eq!(family.kind, kind, "{metric:?}");
        for (name, labels, _) in &family.series {
            let labels = labels.keys().map(String::as_str).filter(|label| *label != "le");
            let wanted = about.labels.iter().map(|label| label.prometheus());
            assert_eq!(labels.collect::<BTreeSet<_>>(), wanted.collect(), "{metric:?}");
            seen += usize::from(name.strip_prefix(about.prometheus) == Some(mark));
        }
    }
    assert_eq!((seen, families.len()), (series, Metric::ALL.len()));
    let waits = families["mayfly_queue_wait_seconds"]
        .value("mayfly_queue_wait_seconds_bucket", &[("pool", "linux"), ("le", "30")]);
    assert_eq!(waits, Some(2.0));
}

#[test]
fn names_follow_the_conventions_of_both() {
    for metric in Metric::ALL {
        let about = metric.about();
        let camel = |text: &str| {
            text.starts_with(|sign: char| sign.is_ascii_uppercase())
                && text.chars().all(|sign| sign.is_ascii_alphanumeric())
        };
        assert!(camel(about.cloudwatch), "{}", about.cloudwatch);
        assert!(about.prometheus.starts_with("mayfly_"), "{}", about.prometheus);
        let base = about.prometheus.trim_end_matches("_total");
        let in_seconds = about.unit.as_str() == "Seconds";
        assert_eq!(base.ends_with("_seconds"), in_seconds, "the unit ends the name of {base}");
        assert_eq!(base != about.prometheus, about.kind == Kind::Counter, "{base}");
        assert!(about.labels.iter().all(|label| camel(label.cloudwatch())));
    }
}

#[test]
fn the_readme_tells_of_each_and_of_no_other() {
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| `") && line.contains("`mayfly_"));
    let told: Vec<Vec<String>> = rows
        .map(|row| {
            row.split(" | ").take(4).map(|cell| cell.trim_matches(['|', ' ', '`']).to_owned()).collect()
        })
        .collect();
    let row = |metric: Metric| {
        let about = metric.about();
        let kind = match about.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<&str> = about.labels.iter().map(|label| label.prometheus()).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        [about.cloudwatch, about.prometheus, kind, &labels].map(str::to_owned).to_vec()
    };
    assert_eq!(told, Metric::ALL.map(row));
    let labels: [Vec<&str>; 4] = [
        Reason::ALL.iter().map(|reason| reason.as_str()).collect(),
        Api::ALL.iter().map(|api| api.as_str()).collect(),
        Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect(),
        StatusClass::ALL.iter().map(|status| status.as_str()).collect(),
    ];
    for value in labels.concat().into_iter().filter(|value| !["3xx", "4xx"].contains(value)) {
        assert!(readme.contains(&format!("`{value}`")), "{value}");
    }
}
