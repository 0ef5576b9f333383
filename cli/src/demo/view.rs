//! The live view: what a moment looks like, as lines of a given width.

use mayfly_core::slot::PhaseKind;

use super::scene::{JobScene, JobStage, PoolScene, Scene, VmScene};
use super::story::{Line as Told, Tone};
use crate::styled::{Line, Span, Style, cut, span};

/// What just happened has at least so many lines, where the screen has them.
const TOLD_LEAST: usize = 5;
/// The jobs have at most so many lines.
const JOB_LINES_MOST: usize = 4;
/// A heading and an empty line before it.
const HEADING: usize = 2;
/// A narrower screen does without what is only nice to know.
const WIDE: usize = 80;

/// The moment as at most `height` lines of at most `width` columns.
pub fn render<'a>(
    scene: &Scene,
    told: impl DoubleEndedIterator<Item = &'a Told>,
    width: usize,
    height: usize,
) -> Vec<Line> {
    let page = vec![span(format!("status page {}", scene.page), Style::Dim)];
    let mut lines = vec![header(scene), page, totals(scene, width)];
    lines.extend(scene.pools.iter().map(pool));
    // What happens comes first, then the VMs, and then the jobs.
    let mut room = height.saturating_sub(lines.len() + HEADING + TOLD_LEAST);
    let jobs = jobs(scene, width, room / 5);
    let vms = vms(scene, width, room.saturating_sub(jobs.len() + HEADING));
    room = room.saturating_sub(jobs.len());
    if room > HEADING {
        lines.extend(vms);
    }
    lines.extend(jobs);
    lines.push(vec![]);
    lines.push(vec![span("What just happened, and why", Style::Strong)]);
    let room = height.saturating_sub(lines.len());
    let mut last: Vec<Line> = told.rev().take(room).map(happening).collect();
    last.reverse();
    lines.extend(last);
    lines.truncate(height);
    lines.into_iter().map(|line| cut(line, width)).collect()
}

fn header(scene: &Scene) -> Line {
    let about = format!("  seed {}, {:.1} s", scene.seed, scene.elapsed.as_secs_f64());
    vec![span("mayfly demo", Style::Strong), span(about, Style::Dim)]
}

fn totals(scene: &Scene, width: usize) -> Line {
    const STAGES: [(JobStage, Style); 5] = [
        (JobStage::Queued, Style::Odd),
        (JobStage::Running, Style::Active),
        (JobStage::Served, Style::Good),
        (JobStage::Cancelled, Style::Dim),
        (JobStage::Failed, Style::Bad),
    ];
    let mut line = vec![span(format!("{} of {} jobs: ", scene.jobs.len(), scene.jobs_planned), Style::Plain)];
    for (stage, style) in STAGES {
        let count = scene.count(stage);
        if count > 0 || width > WIDE {
            let style = if count == 0 { Style::Dim } else { style };
            line.push(span(format!("{count} {}  ", stage.word()), style));
        }
    }
    line.push(span(format!("VMs: {} now, {} gone", scene.vms.len(), scene.vms_gone), Style::Plain));
    line
}

/// The sign and the colour of a phase in a pool's bar.
fn phase(kind: PhaseKind) -> (char, Style) {
    match kind {
        PhaseKind::Busy => ('█', Style::Active),
        PhaseKind::Idle => ('▓', Style::Good),
        PhaseKind::Booting => ('▒', Style::Odd),
        PhaseKind::Creating | PhaseKind::Reserved => ('░', Style::Odd),
        PhaseKind::Deleting => ('-', Style::Dim),
    }
}

/// In the order of a bar: what works first.
const BAR: [PhaseKind; 6] = [
    PhaseKind::Busy,
    PhaseKind::Idle,
    PhaseKind::Booting,
    PhaseKind::Creating,
    PhaseKind::Reserved,
    PhaseKind::Deleting,
];

fn pool(pool: &PoolScene) -> Line {
    let taken: usize = pool.slots.values().sum();
    let count = |kind: PhaseKind| pool.slots.get(&kind).copied().unwrap_or_default();
    let mut line = vec![span(format!("{:14}", pool.name), Style::Strong)];
    for kind in BAR {
        let (sign, style) = phase(kind);
        line.push(span(sign.to_string().repeat(2 * count(kind)), style));
    }
    line.push(span("··".repeat(pool.max.saturating_sub(taken)), Style::Dim));
    line.push(span(format!("  {taken} of {}", pool.max), Style::Plain));
    let phases = BAR.into_iter().filter(|kind| count(*kind) > 0);
    line.extend(phases.map(|kind| span(format!("  {} {kind}", count(kind)), phase(kind).1)));
    if pool.waiting > 0 {
        line.push(span(format!("  {} waiting", pool.waiting), Style::Odd));
    }
    line
}

/// The VMs, in at most so many lines below the heading.
fn vms(scene: &Scene, width: usize, most: usize) -> Vec<Line> {
    let mut lines = vec![vec![], vec![span("VMs", Style::Strong)]];
    // A line that says how many more there are takes the place of the last.
    let shown = if scene.vms.len() > most { most.saturating_sub(1) } else { most };
    lines.extend(scene.vms.iter().take(shown).map(|each| vm(each, width)));
    if scene.vms.len() > most {
        lines.push(vec![span(format!("  and {} more", scene.vms.len() - shown), Style::Dim)]);
    }
    lines
}

fn vm(vm: &VmScene, width: usize) -> Line {
    let style = match vm.status {
        "RUNNING" | "running" if vm.doing.starts_with("runs") => Style::Active,
        _ if vm.doing.starts_with("creating") => Style::Odd,
        _ if vm.doing.contains("stranger") => Style::Dim,
        "RUNNING" | "running" => Style::Good,
        "PROVISIONING" | "STAGING" => Style::Odd,
        _ => Style::Dim,
    };
    let mut line = vec![span(format!("  {:20}", vm.name), Style::Plain)];
    if width >= WIDE {
        line.push(span(format!("{:15}", vm.place), Style::Dim));
        line.push(span(format!("{:13}", vm.status), style));
    } else {
        line.push(span(format!("{:14}", vm.place), Style::Dim));
    }
    line.push(span(format!("{:5.1} s  ", vm.age.as_secs_f64()), Style::Dim));
    line.push(span(vm.doing.clone(), style));
    line
}

/// The last jobs, as many in a line as there is room for, in at most so many lines.
fn jobs(scene: &Scene, width: usize, most: usize) -> Vec<Line> {
    const CELL: usize = 15;
    let most = most.min(JOB_LINES_MOST);
    let in_line = (width / CELL).max(1);
    let skipped = scene.jobs.len().saturating_sub(in_line * most);
    if most == 0 {
        return vec![];
    }
    let heading = match skipped {
        0 => "Jobs".to_owned(),
        _ => format!("Jobs (the last {})", scene.jobs.len() - skipped),
    };
    let mut lines = vec![vec![], vec![span(heading, Style::Strong)]];
    for row in scene.jobs[skipped..].chunks(in_line) {
        lines.push(row.iter().map(job).collect());
    }
    lines
}

fn job(job: &JobScene) -> Span {
    let style = match job.state {
        JobStage::Queued => Style::Odd,
        JobStage::Running => Style::Active,
        JobStage::Served => Style::Good,
        JobStage::Cancelled => Style::Dim,
        JobStage::Failed => Style::Bad,
    };
    span(format!("{:>4} {:10}", job.number, job.state.word()), style)
}

fn happening(told: &Told) -> Line {
    let style = style_of(told.tone);
    let text = if told.tone == Tone::Decision { Style::Dim } else { Style::Plain };
    vec![
        span(format!("{:6.2} s  ", told.at.as_secs_f64()), Style::Dim),
        span(format!("{:12}", told.label), style),
        span(told.text.clone(), text),
    ]
}

fn style_of(tone: Tone) -> Style {
    match tone {
        Tone::Fact => Style::Plain,
        Tone::Good => Style::Good,
        Tone::Odd => Style::Odd,
        Tone::Decision => Style::Active,
        Tone::Bad => Style::Bad,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn scene() -> Scene {
        let vm = |number: usize| VmScene {
            name: format!("linux-gpu-{number:02}-abc"),
            place: "us-east1-c".to_owned(),
            status: "RUNNING",
            age: Duration::from_millis(3_210),
            doing: format!("runs job #{number}"),
        };
        let job = |number: usize| JobScene { number: format!("#{number}"), state: JobStage::Running };
        let slots = [(PhaseKind::Busy, 3), (PhaseKind::Booting, 1)].into();
        Scene {
            seed: 42,
            elapsed: Duration::from_millis(12_340),
            jobs_planned: 30,
            page: "http://127.0.0.1:1/ (password x)".to_owned(),
            pools: vec![PoolScene { name: "linux-gpu".to_owned(), max: 6, slots, waiting: 2 }],
            vms: (1..=20).map(vm).collect(),
            vms_gone: 5,
            jobs: (1..=30).map(job).collect(),
        }
    }

    fn told() -> Vec<Told> {
        let line = |second| Told {
            at: Duration::from_secs(second),
            tone: Tone::Fact,
            label: "queued",
            text: format!("job #{second} of shader-slang/slang wants [self-hosted, Linux, GPU]\u{1b}[2J"),
        };
        (0..100).map(line).collect()
    }

    fn text(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| line.iter().map(|span| span.text.as_str()).collect()).collect()
    }

    #[test]
    fn it_fits_every_terminal() {
        for (width, height) in [(0, 0), (1, 1), (20, 5), (40, 10), (80, 24), (80, 25), (120, 40), (300, 100)]
        {
            let lines = text(&render(&scene(), told().iter(), width, height));
            assert!(lines.len() <= height, "{width}x{height}");
            for line in lines {
                assert!(line.chars().count() <= width, "{width}x{height}: {line}");
                assert!(!line.contains(char::is_control), "{line:?}");
            }
        }
    }

    #[test]
    fn a_pool_is_a_bar_of_its_slots() {
        let bar = text(&[pool(&scene().pools[0])]).remove(0);
        assert_eq!(bar, "linux-gpu     ██████▒▒····  4 of 6  3 busy  1 booting  2 waiting");
    }

    #[test]
    fn an_ordinary_terminal_shows_all_of_it() {
        let lines = text(&render(&scene(), told().iter(), 80, 30)).join("\n");
        for shown in [
            "seed 42",
            "http://127.0.0.1:1/ (password x)",
            "linux-gpu-01-abc",
            "more",
            "#30 running",
            "What just happened",
            "99.00 s",
        ] {
            assert!(lines.contains(shown), "{shown} is missing in\n{lines}");
        }
    }
}
