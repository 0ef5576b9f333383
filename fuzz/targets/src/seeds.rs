//! What a corpus begins with: payloads as GitHub's are, configurations as people write them, and one of each change.

use std::fmt::Write;

use mayfly_core::ids::RunnerName;
use simulator::{JobSpec, JobState};

use crate::choices::written;
use crate::scene::{Act, Playing, Scene};
use crate::stage::after;

/// A target's name, a seed's, and the seed.
pub type Seed = (&'static str, String, Vec<u8>);

const EXAMPLE: &str = include_str!("../../../shared/service/src/config/example.toml");
const SCENE: &str = include_str!("scene/mayfly.toml");

/// All seeds.
pub fn all() -> Vec<Seed> {
    [events(), configurations(), labels(), answers(), items()].concat()
}

const HEAD: &str = "POST /webhook\nx-github-event: workflow_job\nx-github-delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958\n\
     x-hub-signature-256: right\n";

/// Bodies as GitHub never sends them.
const ODD: &[(&str, &str)] = &[
    (
        "many-labels",
        r#"{"action":"queued","workflow_job":{"id":8,"labels":["@many"]},"repository":{"full_name":"a/b"}}"#,
    ),
    (
        "long-label",
        r#"{"action":"queued","workflow_job":{"id":8,"labels":["@long"]},"repository":{"full_name":"a/b"}}"#,
    ),
    ("long-action", r#"{"action":"@long"}"#),
    ("long-number", r#"{"action":"queued","workflow_job":{"id":"@long","labels":[]},"repository":{}}"#),
    (
        "long-repository",
        r#"{"action":"queued","workflow_job":{"id":1,"labels":["gpu"]},"repository":{"full_name":"@long"}}"#,
    ),
    ("deep", r#"{"action":"@deep","workflow_job":"@deep"}"#),
    (
        "waits",
        r#"{"action":"waiting","workflow_job":{"id":9,"status":"waiting","labels":["gpu"],"created_at":"-009999-01-02T01:59:59Z"},"repository":{"full_name":"shader-slang/slang"}}"#,
    ),
    (
        "future",
        r#"{"action":"queued","workflow_job":{"id":9,"labels":["gpu"],"created_at":"9999-12-30T22:00:00Z"},"repository":{"full_name":"shader-slang/slang"},"enterprise":{"slug":"big"}}"#,
    ),
    (
        "cancelled",
        r#"{"action":"completed","workflow_job":{"id":9,"labels":["gpu"],"runner_name":"","conclusion":"@long"},"repository":{"full_name":"shader-slang/slang"}}"#,
    ),
    (
        "strangers-runner",
        r#"{"action":"in_progress","workflow_job":{"id":9,"labels":["gpu"],"runner_name":"@long"},"repository":{"full_name":"shader-slang/slang"}}"#,
    ),
];

/// Requests that are no jobs' events.
const REQUESTS: &[(&str, &str)] = &[
    (
        "ping",
        "POST /webhook\nx-github-event: ping\nx-hub-signature-256: right\n\n{\"zen\":\"Keep it logically awesome.\"}",
    ),
    ("form", "POST /webhook\nx-github-event: ping\nx-hub-signature-256: right\n\npayload=%7B%7D"),
    ("no-event", "POST /webhook\nx-hub-signature-256: right\n\n{}"),
    ("unsigned", "POST /webhook\nx-github-event: workflow_job\n\n{\"action\":\"queued\"}"),
    ("wrong", "POST /webhook\nx-github-event: workflow_job\nx-hub-signature-256: sha256=00\n\n{}"),
    ("too-large", "POST /webhook\nfuzz-pad: 1048577\nx-hub-signature-256: right\n\n{}"),
    (
        "largest",
        "POST /webhook\nx-github-event: workflow_job\nfuzz-pad: 1048574\nx-hub-signature-256: right\n\n{}",
    ),
    (
        "page",
        "GET /\nauthorization: right\n%%\nGET /\nauthorization: Basic Om5v\n%%\nPOST /\n\ntoken=page-token-for-the-scenes\n%%\nPUT /",
    ),
    ("others", "GET /healthz\n%%\nPUT /webhook\n%%\nGET /\n%%\nPOST /webhook?x=1"),
];

fn events() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut keep = |name: &str, text: String| seeds.push(("event", name.to_owned(), text.into_bytes()));
    let (bodies, runners) = deliveries();
    for (at, body) in bodies.iter().enumerate() {
        keep(&format!("delivery-{at}"), format!("{HEAD}\n{body}"));
    }
    for (at, runner) in runners.iter().enumerate() {
        let short = |action: &str| {
            format!(
                "{HEAD}\n{{\"action\":\"{action}\",\"workflow_job\":{{\"id\":{at},\"status\":\"{action}\",\"conclusion\":null,\
                 \"labels\":[\"self-hosted\",\"GPU\"],\"runner_name\":\"{runner}\"}},\
                 \"repository\":{{\"full_name\":\"shader-slang/slang\"}}}}"
            )
        };
        keep(
            &format!("runner-{at}"),
            format!("{}\n%%\n{}\n%%\nSWEEP", short("in_progress"), short("completed")),
        );
    }
    let body = r#"{"action":"queued","workflow_job":{"id":7,"labels":["self-hosted","lab"],"name":"@long","status":"queued"},"repository":{"full_name":"shader-slang/slang"},"installation":{"id":18446744073709551615},"x":"@deep"}"#;
    keep("long-name", format!("{HEAD}fuzz-size: 4000\n\n{body}"));
    for (name, body) in ODD {
        keep(name, format!("{HEAD}fuzz-size: 900\n\n{body}\n%%\nWAIT 300\n%%\nSWEEP"));
    }
    for (name, text) in REQUESTS {
        keep(name, (*text).to_owned());
    }
    seeds
}

/// Deliveries of the scene's world, and the names of its runners.
fn deliveries() -> (Vec<String>, Vec<RunnerName>) {
    Scene::busy(|scene| {
        let (mut world, now) = (scene.world.clone(), scene.now);
        world.take_deliveries(now);
        for label in ["gpu", "lab", "macOS"] {
            world.queue_job(now, JobSpec::new("shader-slang/slang", &["self-hosted", label]));
        }
        world.queue_job(now, JobSpec::new("shader-slang/slang", &["GPU"]).waiting());
        let running: Vec<_> =
            world.jobs().into_iter().filter(|job| matches!(job.state, JobState::Running { .. })).collect();
        running.iter().take(2).for_each(|job| world.cancel_job(now, job.id));
        let later = after(now, std::time::Duration::from_secs(60));
        let texts = world.take_deliveries(later).into_iter();
        (texts.map(|each| String::from_utf8_lossy(&each.body).into_owned()).collect(), scene.runners.clone())
    })
}

fn configurations() -> Vec<Seed> {
    let app = SCENE.replace(
        "token = { env = \"GITHUB_TOKEN\" }",
        "app = { client_id = \"Iv23liEXAMPLE\", private_key = { file = \"app.pem\" }, installation_id = 7 }",
    );
    let fine = [
        ("example", EXAMPLE.to_owned()),
        ("scene", SCENE.to_owned()),
        ("app", app),
        (
            "windows",
            SCENE.replace(
                "max_runners = 4",
                "max_runners = 4\nplatform = \"windows\"\nrunner_group = \"gpu\"",
            ),
        ),
        (
            "repository",
            SCENE.replace("organization = \"shader-slang\"", "repository = \"shader-slang/slang\""),
        ),
        ("enterprise", SCENE.replace("organization", "enterprise")),
        ("server", SCENE.replace("https://api.github.com", "https://github.example.com/api/v3/")),
        ("local", SCENE.replace("https://api.github.com", "http://127.0.0.1:8080")),
        (
            "fingerprint",
            SCENE.replace("vmid_range", &format!("fingerprint = \"{}AA\"\nvmid_range", "AA:".repeat(31))),
        ),
        (
            "patterns",
            SCENE.replace(
                "max_runners = 3",
                "max_runners = 3\nrepositories = [\"slang\", \"slang-*\", \"other/*\"]",
            ),
        ),
        (
            "storage",
            SCENE.replace(
                "template = 8002",
                "template = 8002\nfull_clone = true\nstorage = \"ceph\"\npool = \"runners\"",
            ),
        ),
        ("spot", SCENE.replace("zones", "spot = true\nzones").replace("nvidia-tesla-t4", "none")),
        (
            "timing",
            format!("{SCENE}\n[timing]\norphan_grace = \"5m\"\ncooldown = \"250ms\"\nretention = \"3d\"\n"),
        ),
        (
            "secrets",
            SCENE.replace("[{ env = \"WEBHOOK_SECRET\" }]", "[{ ssm = \"/a\" }, { secretsmanager = \"b\" }]"),
        ),
    ];
    let long = "x".repeat(3_000);
    let wrong = [
        ("long-label", SCENE.replace("\"GPU\"", &format!("\"{long}\""))),
        ("long-key", format!("{long} = 1\n{SCENE}")),
        ("long-duration", SCENE.replace("30m", &long)),
        (
            "many-labels",
            SCENE.replace("\"GPU\"", &(0..200).map(|at| format!("\"l{at}\",")).collect::<String>()),
        ),
        ("same-pool", format!("{SCENE}\n[[pools]]\nname = \"gpu\"\n")),
        ("no-pools", "deployment = \"a\"\nstore = { table = \"abc\" }\ngithub = {}\n".to_owned()),
        ("range", SCENE.replace("[9000, 9999]", "[9000, 4294967296]")),
        ("huge", SCENE.replace("max_runners = 4", "max_runners = 9223372036854775807")),
        ("price", SCENE.replace("0.55", "inf")),
    ];
    fine.into_iter()
        .chain(wrong)
        .map(|(name, text)| ("configuration", name.to_owned(), text.into_bytes()))
        .collect()
}

fn labels() -> Vec<Seed> {
    let all = [
        "organization shader-slang - self-hosted,Linux,GPU\nrepository shader-slang/slang - self-hosted,Windows\nshader-slang/slang self-hosted,linux",
        "organization a b,c-* x,y,z\norganization a *-c x,y\nenterprise big a/* X\na/b-c Y,x",
        "organization a a*b*c,*,**,a** x\na/abbc x",
        "organization A - x\norganization a - X,x\nA/B x,X,x",
        "enterprise e A/B-* größe,GRÖSSE\na/b-c Größe",
        "organization a - l0,l1,l2,l3,l4,l5,l6,l7,l8,l9\norganization a - l9,l8\na/b l9",
    ];
    (0..).zip(all).map(|(at, text): (u8, _)| ("labels", at.to_string(), text.as_bytes().to_vec())).collect()
}

fn answers() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for scenario in 1..8u8 {
        for place in (0..24u8).step_by(3) {
            let mut lines = vec![written(&[scenario, place])];
            for how in 0..4 {
                // A node of the answer to this request, and to all like it.
                let which = place | ((how & 1) << 7);
                lines.push(written(&[which, how, how, place, place.wrapping_mul(7), how * 3, place]));
            }
            lines.push(written(&[place + 1, 5, place]));
            lines.push(written(&[place + 2, 6, place]) + "99999999999999999999");
            let body =
                r#"{"message":"rate limit","data":[{"vmid":9000,"node":"pve1","type":"qemu"}],"runners":[]}"#;
            lines.push(written(&[place | 0x80, 7]) + body);
            seeds.push(("answers", format!("{scenario}-{place}"), lines.join("\n").into_bytes()));
        }
    }
    for source in 0..3u8 {
        for how in 0..7u8 {
            let others = [(source + 1) % 3, (how + 3) % 7, source + how];
            let lines = [written(&[0]), written(&[source, how, how]), written(&others)];
            seeds.push(("answers", format!("source-{source}-{how}"), lines.join("\n").into_bytes()));
        }
        for nth in 0..16u8 {
            let lines = [written(&[0]), written(&[source, 6, nth])];
            seeds.push(("answers", format!("no-list-{source}-{nth}"), lines.join("\n").into_bytes()));
        }
    }
    seeds
}

fn items() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for how in 0..16u8 {
        for act in 0..13u8 {
            let mut lines = vec![written(&[act | (how << 4), 5, (act.wrapping_add(7) % 13) | (how << 4)])];
            for item in (0..40u8).skip(usize::from(act)).step_by(12) {
                lines.push(written(&[0, item, how, how, item % 7, act, how, item]) + "slot#0001");
            }
            seeds.push(("items", format!("{how}-{act}"), lines.join("\n").into_bytes()));
        }
    }
    seeds
}

/// What the scenes hold: for whoever wants to see what inputs are about.
pub fn shown() -> String {
    let mut text = String::new();
    Scene::busy(|scene| {
        for item in scene.table.items() {
            // Writing to a text cannot fail.
            _ = writeln!(text, "{item:?}");
        }
    });
    for scenario in [vec![Act::Sweep], vec![Act::Queued(0)], vec![Act::Queued(1)], vec![Act::Completed(0)]] {
        Scene::busy(|scene| {
            let playing = Playing::begin(scene);
            playing.play(&scenario);
            let inner = playing.stage.lock();
            _ = writeln!(
                text,
                "{scenario:?}: {} requests, {} to the table",
                inner.requests, inner.table_requests
            );
        });
    }
    text
}
