//! Medians, percentiles, and what the kernel knows of a process.

use std::time::Duration;

/// So many per cent of the values are no larger; zero of none.
pub fn percentile(values: &[Duration], percent: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// The middle one.
pub fn median(values: &[Duration]) -> Duration {
    percentile(values, 50)
}

/// How long something has run on a processor, and how long it could have run, and waited for one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scheduled {
    pub running: Duration,
    pub waiting: Duration,
}

impl Scheduled {
    /// The threads of a process that are there: the first two fields of `schedstat`, in nanoseconds.
    pub fn of_threads(pid: i32) -> Self {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let texts = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
        texts.fold(Self::default(), |sum, text| {
            let mut fields =
                text.split_whitespace().map(|field| Duration::from_nanos(field.parse().unwrap_or_default()));
            let mut next = || fields.next().unwrap_or_default();
            Self { running: sum.running + next(), waiting: sum.waiting + next() }
        })
    }

    /// What has come since.
    pub fn since(self, before: Self) -> Self {
        Self {
            running: self.running.saturating_sub(before.running),
            waiting: self.waiting.saturating_sub(before.waiting),
        }
    }
}

/// How long the threads of a process that are there have run on a processor.
pub fn cpu_of_threads(pid: i32) -> Duration {
    Scheduled::of_threads(pid).running
}

/// How long a process has run on a processor, with its threads that have ended: `utime` and `stime` of its `stat`, in hundredths of
/// a second.
pub fn cpu_of(pid: i32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After its name, which may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}

/// How many pages of memory a process has had mapped without reading a disk: `minflt` of its `stat`.
pub fn pages_of(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()
}

/// For people, in the unit that suits.
pub fn shown(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..100_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        100_000..10_000_000 => format!("{:.0} ms", time.as_secs_f64() * 1e3),
        10_000_000..600_000_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{:.1} min", time.as_secs_f64() / 60.0),
    }
}

/// How many times as long.
pub fn ratio(time: Duration, least: Duration) -> f64 {
    time.as_secs_f64() / least.as_secs_f64().max(f64::EPSILON)
}

/// For people.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        let at = |percent| percentile(&values, percent).as_millis();
        assert_eq!([at(1), at(50), at(99), at(100)], [1, 50, 99, 100]);
        assert_eq!(percentile(&[], 50), Duration::ZERO);
        assert_eq!(median(&values[..1]), Duration::from_millis(100));
    }

    #[test]
    fn this_process_has_used_some_time() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let mut sum = 0u64;
        while cpu_of(pid).unwrap() < Duration::from_millis(20) || cpu_of_threads(pid).is_zero() {
            sum = (0..1_000_000u64).fold(sum, |sum, each| sum ^ each.wrapping_mul(sum | 1));
        }
        assert!(cpu_of(pid).unwrap() >= Duration::from_millis(20), "{sum}");
        assert_eq!(cpu_of(-1), None);
    }

    #[test]
    fn times_are_shown_in_the_unit_that_suits() {
        let shown = |micros| super::shown(Duration::from_micros(micros));
        assert_eq!(
            [shown(7), shown(1_500), shown(123_456), shown(12_300_000), shown(612_000_000)],
            ["7 µs", "1.5 ms", "123 ms", "12.3 s", "10.2 min"]
        );
    }
}
