//! Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use super::recorded::{Recorded, Series, Spread};
use super::{About, Kind, Metric};

/// The format's media type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All that was recorded.
pub fn text(recorded: &Recorded) -> String {
    let mut text = String::new();
    let mut last: Option<Metric> = None;
    for (metric, labels, series) in recorded.series() {
        let about = metric.about();
        if last.replace(metric) != Some(metric) {
            head(&mut text, &about);
        }
        let names = about.labels.iter().map(|label| label.prometheus());
        let labels: Vec<(&str, &str)> = names.zip(labels.iter().map(String::as_str)).collect();
        match (series, about.kind) {
            (Series::Single(value), _) => line(&mut text, about.prometheus, &labels, *value),
            (Series::Spread(spread), Kind::Histogram(bounds)) => {
                histogram(&mut text, about.prometheus, &labels, bounds, spread);
            }
            (Series::Spread(_), Kind::Counter | Kind::Gauge) => {}
        }
    }
    text
}

fn head(text: &mut String, about: &About) {
    let kind = match about.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    let help = about.help.replace('\\', "\\\\").replace('\n', "\\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {} {help}\n# TYPE {} {kind}", about.prometheus, about.prometheus);
}

fn histogram(text: &mut String, name: &str, labels: &[(&str, &str)], bounds: &[f64], spread: &Spread) {
    let mut count = 0;
    let bounds = bounds.iter().map(|bound| number(*bound)).chain(std::iter::once("+Inf".to_owned()));
    for (bound, more) in bounds.zip(&spread.buckets) {
        count += more;
        let labels = [labels, &[("le", &bound)]].concat();
        line(text, &format!("{name}_bucket"), &labels, count as f64);
    }
    line(text, &format!("{name}_sum"), labels, spread.sum);
    line(text, &format!("{name}_count"), labels, count as f64);
}

fn line(text: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    text.push_str(name);
    for (place, (label, value)) in labels.iter().enumerate() {
        let before = if place == 0 { '{' } else { ',' };
        let _ = write!(text, "{before}{label}=\"{}\"", escaped(value));
    }
    if !labels.is_empty() {
        text.push('}');
    }
    let _ = writeln!(text, " {}", number(value));
}

/// As the format writes numbers; Rust's own `inf` it does not know.
fn number(value: f64) -> String {
    if value == f64::INFINITY { "+Inf".to_owned() } else { value.to_string() }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_labels_value_is_escaped() {
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
        let mut text = String::new();
        line(&mut text, "x", &[("a", "\""), ("b", "")], 0.5);
        assert_eq!(text, "x{a=\"\\\"\",b=\"\"} 0.5\n");
        assert_eq!([number(f64::INFINITY), number(3.0), number(1e9)], ["+Inf", "3", "1000000000"]);
    }
}
