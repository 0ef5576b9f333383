//! What was measured, in tables.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::burst::Burst;
use crate::calls::Calls;
use crate::counts::Cost;
use crate::figures;
use crate::measure::{mebibytes, ratio, shown};
use crate::overload::Overload;
use crate::rig::Cloud;
use crate::start::Start;
use crate::sweeps::Sweep;
use crate::tail::Parts;
use crate::warm::Warm;

/// What was measured.
#[derive(Debug, Default)]
pub struct Report {
    /// The webhook's function, and a function that does nothing.
    pub starts: Option<[Start; 2]>,
    pub warm: Vec<Warm>,
    pub overload: Option<Overload>,
    pub jobs: Vec<Cost>,
    /// A job in a pool on Proxmox.
    pub lab: Option<Cost>,
    pub sweeps: Vec<Sweep>,
    pub burst: Option<Burst>,
}

impl Report {
    /// All tables, those of what was not measured left out.
    pub fn tables(&self) -> String {
        let parts = [
            self.figures(),
            self.starts_table(),
            self.warm_table(),
            self.tail_table(),
            self.overload_table(),
            self.jobs_table(),
            self.sweeps_table(),
            self.burst_table(),
        ];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// What is to be reached, and what is.
    pub fn figures(&self) -> String {
        let rows = figures::all(self);
        table(
            &["what", "reach", "reached"],
            rows.iter().map(|row| {
                let mark = if row.holds { "" } else { " **(not reached)**" };
                [row.what.to_owned(), row.reach.clone(), format!("{}{mark}", row.reached)]
            }),
        )
    }

    /// Starts side by side.
    pub fn starts_table(&self) -> String {
        let Some([webhook, hello]) = &self.starts else { return String::new() };
        let row = |what: &str, part: fn(&Start) -> Duration| {
            let (ours, least) = (part(webhook), part(hello));
            [what.to_owned(), shown(ours), shown(least), format!("{:.1}", ratio(ours, least))]
        };
        let count = |what: &str, part: fn(&Start) -> u64| {
            let (ours, least) = (part(webhook), part(hello));
            let ratio = ours as f64 / least.max(1) as f64;
            [what.to_owned(), ours.to_string(), least.to_string(), format!("{ratio:.1}")]
        };
        let (ours, least) = (webhook.memory, hello.memory);
        let memory = [
            "resident after one event".to_owned(),
            mebibytes(ours),
            mebibytes(least),
            format!("{:.1}", ours as f64 / least.max(1) as f64),
        ];
        let rows = [
            row("process start → first answer", |start| start.to_answer),
            row("process start → ready for an event", |start| start.to_ready),
            row("processor time until then", |start| start.cpu_to_ready),
            row("processor time until the first answer", |start| start.cpu_to_answer),
            count("pages mapped until ready", |start| start.pages_to_ready),
            count("pages mapped until the first answer", |start| start.pages_to_answer),
            row("a second event → its answer", |start| start.second),
            memory,
        ];
        table(&["median of all starts, in turn", "webhook", "hello-world", "ratio"], rows)
    }

    /// Warm events.
    pub fn warm_table(&self) -> String {
        let rows = self.warm.iter().map(|warm| {
            [
                format!("{} {}, {}", warm.events, warm.kind, warm.pace),
                shown(warm.p50),
                shown(warm.p99),
                format!("{:.1}", ratio(warm.p99, warm.p50)),
                format!("{:.0}", warm.rate),
                shown(warm.cpu),
                mebibytes(warm.memory),
            ]
        });
        table(
            &[
                "distinct events",
                "p50",
                "p99",
                "p99 ÷ p50",
                "a second",
                "processor time of each",
                "resident at most",
            ],
            rows,
        )
    }

    /// Where the time of their answers went.
    pub fn tail_table(&self) -> String {
        let row = |warm: &Warm, which: &str, parts: &Parts| {
            [
                format!("{}, {which} {}", warm.pace, parts.answers),
                shown(parts.took),
                shown(parts.running),
                shown(parts.waiting),
                shown(parts.table),
                shown(parts.rest()),
            ]
        };
        let rows = self.warm.iter().filter_map(|warm| warm.parts.as_ref().map(|parts| (warm, parts)));
        table(
            &[
                "jobs of a pool, on the average",
                "time to the answer",
                "running",
                "waiting for the processor",
                "the table at the claim",
                "the rest",
            ],
            rows.flat_map(|(warm, [middle, slowest])| {
                [row(warm, "the middle", middle), row(warm, "the slowest", slowest)]
            }),
        )
    }

    /// A flood of forged requests.
    pub fn overload_table(&self) -> String {
        let Some(flood) = &self.overload else { return String::new() };
        let times = |p50, p99| format!("{}, {}", shown(p50), shown(p99));
        let rows = [
            ("forged requests", format!("{} in {}", flood.forged, shown(flood.lasted))),
            ("of these a second", format!("{:.0}", flood.rate)),
            ("time to their answer (401), p50 and p99", times(flood.forged_p50, flood.forged_p99)),
            ("processor time of each", shown(flood.cpu)),
            ("requests that they led to, to the table, GitHub or a cloud", flood.led_to.to_string()),
            ("lines in the log for each", format!("{:.2}", flood.lines)),
            ("good events among them, ten a second", flood.good.to_string()),
            ("time to their answer (202), p50 and p99", times(flood.good_p50, flood.good_p99)),
            ("VMs made for them", flood.made.to_string()),
            ("resident at most, after a sixth of the time", mebibytes(flood.memory_early)),
            ("resident at most, at the end", mebibytes(flood.memory)),
            ("the same two, of half the time with one trace id for all", {
                let (early, late) = flood.one_trace.unwrap_or_default();
                format!("{}, {}", mebibytes(early), mebibytes(late))
            }),
        ];
        table(&["one environment", ""], rows.map(|(what, value)| [what.to_owned(), value]))
    }

    /// What a job costs.
    pub fn jobs_table(&self) -> String {
        let row = |where_: &str, cost: &Cost| {
            let create = cost.before_create.map_or("–".to_owned(), |replies| replies.to_string());
            [
                where_.to_owned(),
                cost.max_runners.to_string(),
                cost.fill.to_string(),
                cost.before_answer.to_string(),
                create,
                format!("{:.2}", cost.middle(Calls::github)),
                format!("{:.2}", cost.middle(Calls::provider)),
                format!("{:.2}", cost.average().look_ups()),
                format!("{:.1}", cost.middle(Calls::table)),
                format!("{:.1}", cost.middle(Calls::write_units)),
                format!("{:.1}", cost.middle(Calls::read_units)),
            ]
        };
        let google = self.jobs.iter().map(|cost| row(&Cloud::Google.to_string(), cost));
        let mut text = table(
            &[
                "provider",
                "slots",
                "pool",
                "replies before the answer",
                "before the create",
                "GitHub calls",
                "provider calls",
                "look-ups",
                "table requests",
                "write units",
                "read units",
            ],
            google.chain(self.lab.iter().map(|cost| row(&Cloud::Proxmox.to_string(), cost))),
        );
        if let (Some(first), Some(last), Some(lab)) = (self.jobs.first(), self.jobs.last(), &self.lab) {
            for (what, cost) in [("first row", first), ("last row of GCP", last), ("Proxmox", lab)] {
                text.push_str(&format!("\n{what}: {}\n", cost.average()));
            }
        }
        text
    }

    /// What a sweep costs.
    pub fn sweeps_table(&self) -> String {
        let rows = self.sweeps.iter().map(|sweep| {
            [
                sweep.vms.to_string(),
                sweep.github.to_string(),
                sweep.searching.to_string(),
                sweep.provider.to_string(),
                sweep.table.to_string(),
                shown(sweep.took),
                mebibytes(sweep.memory),
            ]
        });
        table(
            &[
                "busy VMs",
                "GitHub calls",
                "searching for lost jobs",
                "provider calls",
                "table requests",
                "time",
                "resident at most",
            ],
            rows,
        )
    }

    /// A burst.
    pub fn burst_table(&self) -> String {
        let Some(burst) = &self.burst else { return String::new() };
        let hand_over = burst.hand_over;
        let rows = [
            ["jobs at once".to_owned(), burst.jobs.to_string()],
            ["slots".to_owned(), burst.slots.to_string()],
            ["VMs at the same time, at most".to_owned(), burst.most_vms.to_string()],
            ["ideal: jobs ÷ slots × (boot + job + delete)".to_owned(), shown(burst.ideal)],
            ["from the first event until the last VM is gone".to_owned(), shown(burst.drained)],
            ["ratio".to_owned(), format!("{:.3}", ratio(burst.drained, burst.ideal))],
            [
                format!("end of a job → next VM asked for ({} times), p50", hand_over.times),
                shown(hand_over.p50),
            ],
            ["the same, p99".to_owned(), shown(hand_over.p99)],
            ["of that the deletion itself, median".to_owned(), shown(hand_over.deletion)],
        ];
        table(&["burst, in simulated time", ""], rows)
    }
}

/// A Markdown table; nothing without rows.
fn table<const COLUMNS: usize>(
    head: &[&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut rows = rows.into_iter().peekable();
    let mut text = String::new();
    if rows.peek().is_some() {
        // Writing to a text cannot fail.
        _ = write_table(&mut text, head, rows);
    }
    text
}

fn write_table<const COLUMNS: usize>(
    text: &mut String,
    head: &[&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> fmt::Result {
    writeln!(text, "| {} |", head.join(" | "))?;
    writeln!(text, "|{}", " --- |".repeat(COLUMNS))?;
    rows.into_iter().try_for_each(|row| writeln!(text, "| {} |", row.join(" | ")))
}
