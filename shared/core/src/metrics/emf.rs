//! CloudWatch's embedded metric format: log lines that CloudWatch Logs reads metrics from, without any call.
//!
//! A line is one JSON object: under `_aws` it says which of its members are metrics and which are dimensions. A dimension has
//! one value in a line, so series whose labels differ need several lines. The format's limits, by AWS's specification ("Embedded
//! metric format specification"): a hundred metrics and thirty dimensions in a directive, a hundred values of a metric.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::recorded::{Recorded, Series};
use super::{Label, Metric};
use crate::ids::Deployment;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Mayfly";
/// The dimension that all metrics have.
pub const DEPLOYMENT: &str = "Deployment";
/// A metric has at most so many values in a line.
pub const VALUES_MOST: usize = 100;

/// The lines, as few as the format allows; none where nothing was recorded.
pub fn lines(recorded: &Recorded, deployment: &Deployment, now: Timestamp) -> Vec<String> {
    let mut lines: Vec<Line> = Vec::new();
    for (metric, labels, series) in recorded.series() {
        let dimensions: Vec<(Label, &str)> =
            metric.about().labels.iter().copied().zip(labels.iter().map(String::as_str)).collect();
        for value in values(series) {
            let at = lines.iter().position(|line| line.has_room(metric, &dimensions));
            let at = at.unwrap_or_else(|| {
                lines.push(Line::default());
                lines.len() - 1
            });
            if let Some(line) = lines.get_mut(at) {
                line.add(metric, &dimensions, value);
            }
        }
    }
    lines.into_iter().map(|line| line.write(deployment, now)).collect()
}

/// A series' values, in portions that a line takes.
fn values(series: &Series) -> Vec<Value> {
    match series {
        Series::Single(value) => vec![json!(value)],
        Series::Spread(spread) => spread.values.chunks(VALUES_MOST).map(|values| json!(values)).collect(),
    }
}

/// A line that is being put together.
#[derive(Default)]
struct Line<'a> {
    dimensions: Vec<(Label, &'a str)>,
    metrics: Vec<(Metric, Value)>,
}

impl<'a> Line<'a> {
    /// Whether it does not have the metric yet, and says nothing else of its dimensions.
    fn has_room(&self, metric: Metric, dimensions: &[(Label, &str)]) -> bool {
        let agrees = |(label, value): &(Label, &str)| {
            self.dimensions.iter().all(|(known, said)| known != label || said == value)
        };
        self.metrics.iter().all(|(known, _)| *known != metric) && dimensions.iter().all(agrees)
    }

    fn add(&mut self, metric: Metric, dimensions: &[(Label, &'a str)], value: Value) {
        let new = dimensions.iter().filter(|each| !self.dimensions.contains(each));
        let new: Vec<(Label, &str)> = new.copied().collect();
        self.dimensions.extend(new);
        self.metrics.push((metric, value));
    }

    fn write(self, deployment: &Deployment, now: Timestamp) -> String {
        // One directive for all metrics of the same dimensions.
        let mut directives: Vec<(&[Label], Vec<Value>)> = Vec::new();
        for (metric, _) in &self.metrics {
            let about = metric.about();
            let definition = json!({"Name": about.cloudwatch, "Unit": about.unit.as_str()});
            match directives.iter_mut().find(|(labels, _)| *labels == about.labels) {
                Some((_, metrics)) => metrics.push(definition),
                None => directives.push((about.labels, vec![definition])),
            }
        }
        let directive = |(labels, metrics): (&[Label], Vec<Value>)| {
            let names = labels.iter().map(|label| label.cloudwatch());
            let dimensions: Vec<&str> = std::iter::once(DEPLOYMENT).chain(names).collect();
            json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics})
        };
        let directives: Vec<Value> = directives.into_iter().map(directive).collect();
        let mut root = Map::new();
        root.insert(
            "_aws".to_owned(),
            json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": directives}),
        );
        root.insert(DEPLOYMENT.to_owned(), json!(deployment.as_str()));
        let dimensions = self.dimensions.into_iter().map(|(label, value)| (label.cloudwatch(), json!(value)));
        let metrics = self.metrics.into_iter().map(|(metric, value)| (metric.about().cloudwatch, value));
        root.extend(dimensions.chain(metrics).map(|(name, value)| (name.to_owned(), value)));
        Value::Object(root).to_string()
    }
}
