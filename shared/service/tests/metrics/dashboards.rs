//! Both dashboards use metrics and labels that there are, and there is no metric that neither draws.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mayfly_core::metrics::{About, Kind, Metric, emf};
use serde_json::Value;

fn read(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra").join(path);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn is_of_name(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || sign == '_'
}

/// The words of an expression.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|sign| !is_of_name(sign)).filter(|word| !word.is_empty())
}

/// The labels that an expression selects or groups by.
fn labels(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (open, close) in [("{", '}'), ("by (", ')')] {
        for part in expression.split(open).skip(1) {
            let inside = part.split(close).next().unwrap();
            // In a selector what is in quotation marks is a value.
            let outside = inside.split('"').step_by(2);
            found.extend(outside.flat_map(words).map(str::to_owned));
        }
    }
    found
}

/// The metric that a name of Prometheus' belongs to.
fn named(name: &str) -> Option<(Metric, About)> {
    Metric::ALL.into_iter().map(|metric| (metric, metric.about())).find(|(_, about)| {
        let part = name.strip_prefix(about.prometheus);
        match about.kind {
            Kind::Histogram(_) => matches!(part, Some("_bucket" | "_sum" | "_count")),
            Kind::Counter | Kind::Gauge => part == Some(""),
        }
    })
}

/// The metrics of an expression of Prometheus'.
fn drawn_by(expression: &str) -> BTreeSet<Metric> {
    let names: Vec<&str> = words(expression).filter(|word| word.starts_with("mayfly")).collect();
    assert!(!names.is_empty(), "no metric: {expression}");
    let mut drawn = BTreeSet::new();
    let mut known: BTreeSet<&str> = ["le"].into();
    for name in names {
        let (metric, about) = named(name).unwrap_or_else(|| panic!("there is no {name}: {expression}"));
        known.extend(about.labels.iter().map(|label| label.prometheus()));
        drawn.insert(metric);
    }
    let used = labels(expression);
    assert!(used.iter().all(|label| known.contains(label.as_str())), "{used:?}: {expression}");
    drawn
}

#[test]
fn grafanas_draws_each_metric_by_labels_that_it_has() {
    let board = read("dashboards/grafana.json");
    let mut drawn = BTreeSet::new();
    for panel in board["panels"].as_array().unwrap() {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}");
            let expression = target["expr"].as_str().unwrap();
            drawn.extend(drawn_by(expression));
            let legend = target["legendFormat"].as_str().unwrap();
            let shown = legend.split("{{").skip(1).map(|part| part.split("}}").next().unwrap());
            for label in shown {
                let grouped = labels(expression);
                let own = words(expression).find_map(named).is_some_and(|(_, about)| {
                    grouped.contains(label) || about.labels.iter().any(|known| known.prometheus() == label)
                });
                assert!(own, "{legend} of {expression}");
            }
        }
    }
    assert_eq!(drawn, Metric::ALL.into());
    let variables = board["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|it| it["name"] == "datasource" && it["type"] == "datasource"));
    let pools = variables.iter().find(|it| it["name"] == "pool").unwrap();
    let query = pools["query"]["query"].as_str().unwrap();
    let (name, label) =
        query.strip_prefix("label_values(").unwrap().trim_end_matches(')').split_once(", ").unwrap();
    let (_, about) = named(name).unwrap();
    assert!(about.labels.iter().any(|known| known.prometheus() == label), "{query}");
}

/// The metric of `SEARCH('{Mayfly,Deployment,Pool} MetricName="…" Deployment="…"', …)`, whose dimensions must be all that
/// it has: a search finds no others.
fn searched(expression: &str) -> Metric {
    let (schema, rest) = expression.strip_prefix("SEARCH('{").unwrap().split_once('}').unwrap();
    let name = rest.split("MetricName=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(rest.contains(" Deployment=\"${deployment}\""), "{expression}");
    let (namespace, dimensions) = schema.split_once(',').unwrap();
    checked(namespace, name, &dimensions.split(',').collect::<Vec<_>>())
}

fn checked(namespace: &str, name: &str, dimensions: &[&str]) -> Metric {
    assert_eq!(namespace, emf::NAMESPACE);
    let found = Metric::ALL.into_iter().find(|metric| metric.about().cloudwatch == name);
    let metric = found.unwrap_or_else(|| panic!("there is no {name}"));
    let wanted = metric.about().labels.iter().map(|label| label.cloudwatch()).chain([emf::DEPLOYMENT]);
    let dimensions: BTreeSet<&str> = dimensions.iter().copied().collect();
    assert_eq!(dimensions, wanted.collect::<BTreeSet<_>>(), "{name}");
    metric
}

#[test]
fn cloudwatchs_draws_each_metric_by_just_its_dimensions() {
    let board = read("modules/monitoring/metrics.json.tftpl");
    let mut drawn = BTreeSet::new();
    for widget in board["widgets"].as_array().unwrap() {
        let properties = &widget["properties"];
        assert_eq!(properties["region"], "${region}", "{}", properties["title"]);
        for line in properties["metrics"].as_array().unwrap() {
            let texts: Vec<&str> = line.as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let metric = match texts.as_slice() {
                [] => {
                    let metric = searched(line[0]["expression"].as_str().unwrap());
                    let label = line[0]["label"].as_str().unwrap();
                    // Doubled, so that terraform leaves them to CloudWatch.
                    let shown =
                        label.split("$${PROP('Dim.").skip(1).map(|part| part.split('\'').next().unwrap());
                    let shown: BTreeSet<&str> = shown.collect();
                    let labels = metric.about().labels.iter().map(|label| label.cloudwatch());
                    assert_eq!(shown, labels.collect::<BTreeSet<_>>(), "{label}");
                    metric
                }
                [namespace, name, dimensions @ ..] => {
                    let names: Vec<&str> = dimensions.iter().copied().step_by(2).collect();
                    checked(namespace, name, &names)
                }
                _ => panic!("{line}"),
            };
            drawn.insert(metric);
        }
    }
    assert_eq!(drawn, Metric::ALL.into());
}
