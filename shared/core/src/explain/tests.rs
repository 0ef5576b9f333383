use super::*;
use crate::event::Change;
use crate::job::Moment;
use crate::sweep::fixtures::{at, booting, busy, deleting, deployment, job, machine, runner, slot, waiting};
use crate::telling::Meant;

fn record(state: JobState, steps: Vec<(i64, Step)>) -> Job {
    let timeline = steps.into_iter().map(|(second, step)| step.at(at(second))).collect();
    Job { timeline, ..job(7, state) }
}

fn told(job: &Job, slot: SlotSeen, github: GitHubSaid) -> Explanation {
    explain(&Evidence { now: at(1_000), deployment: &deployment(), job, slot, queue: None, github })
}

fn silent() -> GitHubSaid {
    GitHubSaid::Nothing("no answer".into())
}

fn name(index: u16) -> String {
    runner(index).to_string()
}

fn texts(story: &Explanation) -> Vec<String> {
    let short = |text: &str| {
        (0..5).fold(text.to_owned(), |text, index| text.replace(&name(index), &format!("R{index}")))
    };
    story.story.iter().map(|line| format!("{:>3} {}", line.after_ms / 1000, short(&line.what))).collect()
}

/// Assigned, passed over, crossed and tried again: all of it.
fn eventful() -> Vec<(i64, Step)> {
    let place = || "gcp/us-east1-d".to_owned();
    vec![
        (1, Step::Claimed { runner: name(1), spare: false }),
        (
            8,
            Step::PassedOver {
                runner: name(1),
                place: place(),
                over: "gcp/us-east1-c: no machines; lab: no room".into(),
            },
        ),
        (
            60,
            Step::GivenUp {
                runner: name(1),
                vm: Some((place(), at(3))),
                why: "its runner did not come online".into(),
            },
        ),
        (
            70,
            Step::Assigned {
                runner: name(2),
                spare: false,
                why: Some(format!("nothing came of {}", name(1))),
            },
        ),
        (71, Step::Registered { runner: name(3) }),
        (73, Step::Made { runner: name(3), place: "lab/pve1/9001".into() }),
        (100, Step::Started { runner: Some(name(3)), meant: Meant::Other(JobId(8)) }),
        (160, Step::Ended { runner: Some(name(3)), conclusion: "success".into() }),
    ]
}

#[test]
fn a_job_that_had_it_all_is_told_in_order_and_in_words() {
    let job = record(JobState::Done, eventful());
    let story = told(&job, SlotSeen::Free, silent());
    let expected = [
        "  0 it is queued, GitHub says",
        "  1 it is recorded, and a slot is claimed for it: R1 is to run it",
        "  8 R1 is in gcp/us-east1-d; tried before and passed over: gcp/us-east1-c: no machines; lab: no room",
        " 60 R1 (its VM in gcp/us-east1-d since 08:00:03 UTC) is given up: its runner did not come online",
        " 70 nothing came of R1; R2 is to run it now",
        " 71 GitHub has registered R3, and given its JIT config",
        " 73 the VM of R3 runs as lab/pve1/9001, and its guest has the JIT config",
        "100 it starts on R3, which was meant for job 8: GitHub chooses which runner takes which job",
        "160 it ends on R3: success",
    ];
    assert_eq!(texts(&story), expected);
    assert_eq!(story.runner, Some(name(3)));
    assert_eq!(story.now, [format!("the VM of {} is gone: its slot is free", name(3))]);
    assert_eq!(story.unknown, [format!("when exactly the VM of {} was gone", name(3))]);
    assert_eq!(story.github, "not asked, or without an answer: no answer");
    let spans: Vec<(&str, i64)> = story.durations.iter().map(|span| (span.what, span.ms / 1000)).collect();
    let expected = [
        ("until it was heard of", 1),
        ("until its guest had the JIT config", 2),
        ("until its runner took it", 27),
        ("in all, until it started", 100),
        ("until its end was heard of", 60),
    ];
    assert_eq!(spans, expected);
}

#[test]
fn the_slot_of_the_runner_that_ran_it_is_looked_at() {
    let pool = PoolName::new("linux").unwrap();
    let done = record(JobState::Done, eventful());
    assert_eq!(slot_of(&deployment(), &done), Some((pool.clone(), SlotIndex(3))));
    let waits = record(JobState::Assigned { slot: SlotIndex(2) }, eventful()[..4].to_vec());
    assert_eq!(slot_of(&deployment(), &waits), Some((pool, SlotIndex(2))));
    let stranger = Step::Ended { runner: Some("somebody".into()), conclusion: "success".into() };
    assert_eq!(slot_of(&deployment(), &record(JobState::Done, vec![(9, stranger)])), None);
}

#[test]
fn a_runner_that_is_on_its_way_tells_itself_how_far_it_is() {
    let claimed = vec![(1, Step::Claimed { runner: name(1), spare: false })];
    let job = record(JobState::Assigned { slot: SlotIndex(1) }, claimed);
    let mut mine = slot(1, 7, Phase::Booting { machine: machine(), since: at(5) });
    mine.way.registered_at = Some(at(3));
    let story = told(&job, SlotSeen::Taken(Box::new(mine)), silent());
    let expected = [
        "  0 it is queued, GitHub says",
        "  1 it is recorded, and a slot is claimed for it: R1 is to run it",
        "  3 GitHub has registered R1, and given its JIT config",
        "  5 the create of R1's VM is accepted in gcp/us-east1-c",
    ];
    assert_eq!(texts(&story), expected);
    assert!(story.now[0].contains("boots in gcp/us-east1-c, for 16 min 35 s"), "{:?}", story.now);
    assert_eq!(story.unknown, Vec::<String>::new());
    let lost = told(&job, SlotSeen::Taken(Box::new(slot(1, 99, booting()))), silent());
    assert!(lost.now[0].contains("a sweep puts it back"), "{:?}", lost.now);
}

#[test]
fn what_became_of_the_vm_is_read_from_its_slot() {
    let steps = vec![(9, Step::Ended { runner: Some(name(1)), conclusion: "failure".into() })];
    let job = record(JobState::Done, steps);
    let now = |slot| told(&job, slot, silent()).now.join("");
    assert!(now(SlotSeen::Taken(Box::new(slot(1, 7, deleting())))).contains("is being deleted"));
    let heir =
        Slot { runner: RunnerName::new(&deployment(), &job.pool, SlotIndex(1), 99), ..slot(1, 8, busy()) };
    assert!(now(SlotSeen::Taken(Box::new(heir))).contains("its slot was given to"));
    assert!(now(SlotSeen::Unknown("timeout".into())).contains("could not be read: timeout"));
    let story = told(&job, SlotSeen::Free, silent());
    assert!(story.unknown.iter().any(|it| it.contains("its start was never told")), "{:?}", story.unknown);
}

#[test]
fn a_waiting_job_is_told_its_place_and_why_it_waits() {
    let policy = crate::sweep::fixtures::policy(vec![crate::sweep::fixtures::pool("linux", &["Linux"])]);
    let mut ledger = crate::sweep::PoolLedger::empty(PoolName::new("linux").unwrap());
    ledger.state.draining = Some(at(1));
    ledger.waiting = vec![waiting(6, 0), waiting(7, 0)];
    let waits = crate::overview::waiting(&policy, &ledger, at(1_000)).remove(1);
    let job = record(JobState::Waiting, vec![(1, Step::Queued { why: "the pool is full".into() })]);
    let queue = Some((2, waits));
    let (slot, github) = (SlotSeen::None, silent());
    let evidence = Evidence { now: at(1_000), deployment: &deployment(), job: &job, slot, queue, github };
    let story = explain(&evidence);
    assert!(story.now[0].contains("as number 2") && story.now[0].contains("drained"), "{:?}", story.now);
    assert_eq!(story.durations.last(), Some(&Span { what: "in the queue", ms: 999_000 }));
}

#[test]
fn github_is_quoted_and_a_table_that_is_behind_is_said() {
    let ended = Change::Ended { runner: Some(name(1)), conclusion: Some("success".into()) };
    let said = JobAtGitHub { change: ended, started_at: Some(at(5)), completed_at: Some(at(9)) };
    let running = record(JobState::Running { slot: None }, vec![]);
    let story = told(&running, SlotSeen::None, GitHubSaid::Said(said));
    for part in ["success", "begun at 08:00:05 UTC", "ended at 08:00:09 UTC", "late or lost"] {
        assert!(story.github.contains(part), "{part}: {}", story.github);
    }
}

#[test]
fn an_event_that_came_twice_and_one_that_never_came_are_said() {
    let started = || Step::Started { runner: Some(name(1)), meant: Meant::Own };
    let mut job =
        record(JobState::Running { slot: Some(SlotIndex(1)) }, vec![(5, started()), (6, started())]);
    job.timeline.push(crate::telling::asked(Moment::new(at(9), "ended on no runner: cancelled")));
    let story = texts(&told(&job, SlotSeen::None, silent()));
    assert_eq!(story[2], "  6 it starts on R1 (told again)");
    assert_eq!(
        story[3],
        "  9 it ends without a runner: cancelled (no delivery told of it: GitHub was asked)"
    );
}

#[test]
fn a_runner_that_no_job_has_has_a_story_too() {
    let mut spare = crate::sweep::fixtures::spare(1, 20);
    spare.way = crate::slot::Way { registered_at: Some(at(2)), made_at: Some(at(4)) };
    let story = explain_runner(&spare, &deployment(), at(100));
    assert_eq!(story.story.len(), 4, "{:?}", story.story);
    assert_eq!(story.now[1], "no job counts on it, for 1 min 20 s");
}
