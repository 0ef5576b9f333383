//! Samples, kept until they are written.

use std::collections::BTreeMap;

use super::{Kind, Metric, Sample};

/// So many series are kept; samples of further ones are dropped. A hundred pools with three placements each have fewer.
pub const SERIES_MOST: usize = 4_000;
/// So many single values of a distribution are kept for CloudWatch; more only count in sum and buckets. No invocation
/// has as many.
pub const SAMPLES_MOST: usize = 1_000;

/// Samples by series.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    series: BTreeMap<(Metric, Vec<String>), Series>,
    samples_most: usize,
    has_left_out: bool,
}

/// What is kept of a series.
#[derive(Debug, Clone)]
pub(super) enum Series {
    /// The sum of a counter, or a gauge's last value.
    Single(f64),
    /// A distribution.
    Spread(Spread),
}

/// A distribution.
#[derive(Debug, Clone, Default)]
pub(super) struct Spread {
    /// How many values are in each bucket and in none below; the last one has no bound.
    pub buckets: Vec<u64>,
    /// The values' sum.
    pub sum: f64,
    /// The values, as many of them as are kept.
    pub values: Vec<f64>,
}

impl Recorded {
    /// One that keeps distributions as buckets: it stays small, however long it is recorded into.
    pub fn in_buckets() -> Self {
        Self::default()
    }

    /// One that keeps single values, up to [`SAMPLES_MOST`] of a series: for what is soon written, and forgotten.
    pub fn in_full() -> Self {
        Self { samples_most: SAMPLES_MOST, ..Self::default() }
    }

    /// Takes a sample.
    pub fn record(&mut self, sample: Sample<'_>) {
        let (metric, labels, value) = sample.read();
        let key = (metric, labels.into_iter().map(str::to_owned).collect());
        if !self.series.contains_key(&key) && self.series.len() >= SERIES_MOST {
            self.has_left_out = true;
            return;
        }
        let kind = metric.about().kind;
        let series = self.series.entry(key).or_insert_with(|| Series::new(kind));
        match (series, kind) {
            (Series::Single(known), Kind::Gauge) => *known = value,
            (Series::Single(known), Kind::Counter | Kind::Histogram(_)) => *known += value,
            (Series::Spread(spread), Kind::Histogram(bounds)) => {
                spread.take(bounds, value, self.samples_most)
            }
            (Series::Spread(_), Kind::Counter | Kind::Gauge) => {}
        }
    }

    /// Forgets all series of a metric: what is seen anew as a whole replaces what was seen before.
    pub fn forget(&mut self, metric: Metric) {
        self.series.retain(|(of, _), _| *of != metric);
    }

    /// Whether there were more series than are kept.
    pub fn has_left_out(&self) -> bool {
        self.has_left_out
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The series of all metrics, in the order of the table.
    pub(super) fn series(&self) -> impl Iterator<Item = (Metric, &[String], &Series)> {
        self.series.iter().map(|((metric, labels), series)| (*metric, labels.as_slice(), series))
    }
}

impl Series {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter | Kind::Gauge => Self::Single(0.0),
            Kind::Histogram(bounds) => {
                Self::Spread(Spread { buckets: vec![0; bounds.len() + 1], ..Spread::default() })
            }
        }
    }
}

impl Spread {
    fn take(&mut self, bounds: &[f64], value: f64, most: usize) {
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.sum += value;
        if self.values.len() < most {
            self.values.push(value);
        }
    }
}
