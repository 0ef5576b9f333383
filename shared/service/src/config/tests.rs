use std::time::Duration;

use mayfly_core::audience::{Audience, Forks, Repositories};
use mayfly_core::policy::{PlacementKind, Platform, Scope};

use super::*;

/// The contract's example, whole.
const EXAMPLE: &str = include_str!("example.toml");

fn message(text: &str) -> String {
    match Config::parse(text) {
        Ok(_) => panic!("taken: {text}"),
        Err(message) => message,
    }
}

/// The example with one text replaced by another; the text must be there.
fn with(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from}");
    EXAMPLE.replacen(from, to, 1)
}

#[test]
fn the_contracts_example_is_taken_as_it_stands() {
    let config = Config::parse(EXAMPLE).unwrap();
    assert_eq!((config.policy.deployment.as_str(), config.table.as_str()), ("prod", "mayfly-prod"));
    let pool = &config.policy.pools[0];
    assert_eq!(pool.scope, Scope::Organization("shader-slang".to_owned().try_into().unwrap()));
    assert_eq!((pool.platform, pool.max_runners.get(), pool.min_runners), (Platform::Linux, 10, 0));
    assert_eq!(pool.max_lifetime, Duration::from_secs(6 * 3600));
    assert_eq!(pool.placements.len(), 2);
    assert!(matches!(&pool.placements[0].kind, PlacementKind::Proxmox(lab) if lab.template == 8000));
    let PlacementKind::Gcp(gcp) = &pool.placements[1].kind else { panic!("no GCP placement") };
    assert_eq!(gcp.zones.len(), 4);
    assert_eq!(config.policy.timing.retention, Duration::from_secs(3 * 24 * 3600));
    assert!(config.page.is_none(), "there is no page where nobody asks for one");
}

#[test]
fn a_page_has_a_token_by_its_place_and_perhaps_a_currency() {
    let page = |lines: &str| Config::parse(&with("[timing]", &format!("[page]\n{lines}\n[timing]")));
    let plain = page("token = { ssm = \"/mayfly/page-token\" }").unwrap().page.unwrap();
    assert_eq!(
        (plain.token.to_string().as_str(), plain.currency.as_str()),
        ("SSM parameter /mayfly/page-token", "")
    );
    let named = page("token = { env = \"T\" }\ncurrency = \"€\"").unwrap().page.unwrap();
    assert_eq!(named.currency, "€");
    // A token itself is never written there, nor shown where it is.
    let message = page("token = \"hunter2hunter2hunter2\"").unwrap_err();
    assert!(message.contains("page.token") && !message.contains("hunter2"), "{message}");
    assert!(page("currency = \"USD\"").unwrap_err().contains("token"));
}

#[test]
fn the_example_for_a_proxmox_host_alone_is_taken_as_it_stands() {
    let text = include_str!("../../../../infra/proxmox/mayfly.toml");
    let config = Config::parse(text).unwrap();
    let [pool] = config.policy.pools.as_slice() else { panic!("one pool") };
    assert!(matches!(&pool.placements[0].kind, PlacementKind::Proxmox(lab) if lab.template == 8000));
    let ProviderConfig::Proxmox { vmid_range, trust, .. } = config.providers.values().next().unwrap() else {
        panic!("Proxmox")
    };
    assert!(matches!(trust, Trust::Authority(_)) && vmid_range.0 > 8000);
    // The unit beside it says where secrets lie for the service.
    let unit = include_str!("../../../../infra/proxmox/mayfly.service");
    for file in text.split('"').filter_map(|part| part.strip_prefix("/run/credentials/mayfly.service/")) {
        assert!(unit.contains(&format!("LoadCredential={file}:")), "{file}");
    }
}

/// Each wrong configuration stops the program with one message that names the key, the value and what would be right.
#[test]
fn a_wrong_value_is_named_with_its_key_and_what_would_be_right() {
    for (from, to, says) in [
        ("deployment = \"prod\"", "deployment = \"Prod-1\"", ["`deployment`", "\"Prod-1\"", "no hyphen"]),
        ("name = \"linux-gpu\"", "name = \"Linux\"", ["`pools[0].name`", "\"Linux\"", "lower-case"]),
        ("max_runners = 10", "max_runners = 0", ["`pools[0].max_runners`", "0", "from 1 to 9999"]),
        ("max_runners = 10", "max_runners = 65546", ["`pools[0].max_runners`", "65546", "from 1 to 9999"]),
        ("max_runners = 10", "max_runners = \"ten\"", ["`pools[0].max_runners`", "\"ten\"", "expected i64"]),
        ("min_runners = 0", "min_runners = 11", ["`pools[0].min_runners`", "11", "from 0 to max_runners"]),
        ("boot_timeout = \"10m\"", "boot_timeout = \"10\"", ["`pools[0].boot_timeout`", "\"10\"", "\"90s\""]),
        ("cooldown = \"5m\"", "cooldown = \"0s\"", ["`timing.cooldown`", "\"0s\"", "above zero"]),
        ("\"us-east1-d\"", "\"us-east1\"", ["placements[1].zones[1]`", "\"us-east1\"", "us-east1-c"]),
        ("\"us-east1-d\"", "\"us-east1-c\"", ["placements[1].zones[1]`", "\"us-east1-c\"", "already"]),
        (
            "provider = \"gcp\"",
            "provider = \"gpc\"",
            ["placements[1].provider`", "\"gpc\"", "the file has: gcp, lab"],
        ),
        (
            "template = 8000",
            "template = 8000\nprice_per_hour = -0.5",
            ["placements[0].price_per_hour`", "-0.5", "0 to 10000"],
        ),
        (
            "[timing]",
            "[page]\ntoken = { env = \"T\" }\ncurrency = \"US dollars\"\n[timing]",
            ["`page.currency`", "\"US dollars\"", "`USD`"],
        ),
        ("template = 8000", "template = 8000\nspot = true", ["placements[0].spot`", "true", "proxmox"]),
        ("platform = \"linux\"", "platform = \"macos\"", ["`pools[0].platform`", "\"macos\"", "`windows`"]),
        (
            "https://pve.example.com",
            "http://pve.example.com",
            ["`providers.lab.url`", "http://pve", "loopback"],
        ),
        ("[9000, 9999]", "[9999, 9000]", ["`providers.lab.vmid_range`", "9999", "first ≤ last"]),
        (
            "table = \"mayfly-prod\"",
            "table = \"no such/table\"",
            ["`store.table`", "no such/table", "DynamoDB"],
        ),
        ("\"slang-*\"]", "\"slang *\"]", ["`pools[0].repositories`", "\"slang *\"", "slang-*"]),
        (
            "max_runners = 10",
            "max_runners = 10\nvisibility = \"internal\"",
            ["`pools[0].visibility`", "\"internal\"", "`private` (internal ones among them)"],
        ),
        (
            "organization = \"shader-slang\"",
            "",
            ["organization / repository / enterprise`", "[]", "exactly one"],
        ),
    ] {
        let message = message(&with(from, to));
        for part in says {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn an_unknown_key_is_an_error_wherever_it_stands() {
    for (from, to, key) in [
        ("deployment = \"prod\"", "deployment = \"prod\"\ndeploy = 1", "deploy"),
        ("table = \"mayfly-prod\"", "table = \"mayfly-prod\"\nregion = \"x\"", "region"),
        ("max_runners = 10", "max_runners = 10\nmax_runner = 10", "max_runner"),
        ("template = 8000", "template = 8000\nzone = \"x\"", "zone"),
        ("cooldown = \"5m\"", "cooldown = \"5m\"\ncooldwn = \"5m\"", "cooldwn"),
        ("project = \"slang-runners\"", "project = \"slang-runners\"\nregion = \"x\"", "region"),
    ] {
        let message = message(&with(from, to));
        assert!(message.contains(&format!("unknown field `{key}`")), "{message}");
    }
}

const SECOND_POOL: &str = "
[[pools]]
name = \"other\"
labels = [\"gpu\", \"linux\", \"self-hosted\"]
organization = \"shader-slang\"
repositories = [\"slang\", \"slang-*\"]
max_runners = 1
[[pools.placements]]
provider = \"gcp\"
instance_template = \"t\"
zones = [\"us-east1-c\"]
";

#[test]
fn two_pools_that_no_job_could_tell_apart_are_refused() {
    let twins = message(&format!("{EXAMPLE}{SECOND_POOL}"));
    assert!(twins.contains("`pools[1].labels`") && twins.contains("from `linux-gpu`"), "{twins}");

    let namesakes = SECOND_POOL.replace("\"other\"", "\"linux-gpu\"").replace("\"gpu\", ", "");
    let namesakes = message(&format!("{EXAMPLE}{namesakes}"));
    assert!(namesakes.contains("`pools[1].name` = \"linux-gpu\": another pool"), "{namesakes}");

    let elsewhere =
        SECOND_POOL.replace("repositories = [\"slang\", \"slang-*\"]", "repositories = [\"docs\"]");
    assert!(Config::parse(&format!("{EXAMPLE}{elsewhere}")).is_ok());

    let first = with("max_runners = 10", "max_runners = 10\nvisibility = \"private\"");
    assert!(Config::parse(&format!("{first}{SECOND_POOL}")).is_ok());
    let both = SECOND_POOL.replace("max_runners = 1", "max_runners = 1\nvisibility = \"private\"");
    assert!(message(&format!("{first}{both}")).contains("`pools[1].labels`"));
}

#[test]
fn forks_of_public_repositories_are_refused_unless_a_pool_says_otherwise() {
    let audience = |line: &str| {
        let text = with("max_runners = 10", &format!("max_runners = 10\n{line}"));
        Config::parse(&text).unwrap().policy.pools[0].audience
    };
    let of = |repositories, forks| Audience { repositories, forks };
    for (line, expected) in [
        ("", of(Repositories::All, Forks::OfFew)),
        ("allow_forks = true", of(Repositories::All, Forks::Served)),
        ("allow_forks = false", of(Repositories::All, Forks::Refused)),
        ("visibility = \"public\"", of(Repositories::Public, Forks::OfFew)),
        ("visibility = \"private\"", of(Repositories::NotPublic, Forks::OfFew)),
    ] {
        assert_eq!(audience(line), expected, "{line}");
    }
}

#[test]
fn a_thousand_pools_are_taken_and_no_more() {
    let pool = |number: usize| {
        SECOND_POOL
            .replace("\"other\"", &format!("\"p{number}\""))
            .replace("\"gpu\"", &format!("\"l{number}\""))
    };
    let with = |count: usize| format!("{EXAMPLE}{}", (1..count).map(pool).collect::<String>());
    assert_eq!(Config::parse(&with(1_000)).unwrap().policy.pools.len(), 1_000);
    let told = message(&with(1_001));
    assert!(told.contains("`pools`") && told.contains("at most 1000"), "{told}");
}

#[test]
fn labels_patterns_and_the_table_have_the_lengths_of_those_who_take_them() {
    let labels = |count: usize| (0..count).map(|number| format!("\"l{number}\",")).collect::<String>();
    for (from, to, fits) in [
        ("\"self-hosted\", \"Linux\", \"GPU\"", labels(100), true),
        ("\"self-hosted\", \"Linux\", \"GPU\"", labels(101), false),
        ("\"GPU\"", format!("\"{}\"", "x".repeat(256)), true),
        ("\"GPU\"", format!("\"{}\"", "x".repeat(257)), false),
        ("\"mayfly-prod\"", format!("\"{}\"", "t".repeat(255)), true),
        ("\"mayfly-prod\"", format!("\"{}\"", "t".repeat(256)), false),
        ("\"slang-*\"]", format!("\"{}\"]", "x".repeat(201)), true),
        ("\"slang-*\"]", format!("\"{}\"]", "x".repeat(202)), false),
    ] {
        let told = Config::parse(&with(from, &to));
        assert_eq!(told.is_ok(), fits, "{told:?}");
    }
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_shown() {
    let plain = message(&with("[{ ssm = \"/mayfly/webhook-secret\" }]", "[\"hunter2\"]"));
    assert!(plain.contains("webhook_secrets[0]") && plain.contains("{ env = \"NAME\" }"), "{plain}");
    assert!(!plain.contains("hunter2"), "{plain}");
    for place in ["{ vault = \"x\" }", "{ env = \"A\", file = \"b\" }", "{}"] {
        let wrong = message(&with("{ ssm = \"/mayfly/webhook-secret\" }", place));
        assert!(wrong.contains("webhook_secrets[0]"), "{wrong}");
    }
}

/// Not in a list where a list belongs, and of another type than a text.
#[test]
fn a_secret_in_the_place_of_a_list_or_as_a_number_is_not_shown_either() {
    const LIST: &str = "[{ ssm = \"/mayfly/webhook-secret\" }]";
    for wrong in
        ["\"hunter2\"", "8341276", "[8341276]", "[83412.76]", "[[\"hunter2\"]]", "{ a = \"hunter2\" }"]
    {
        let told = message(&with(LIST, wrong));
        assert!(told.contains("webhook_secrets") && told.contains("{ env = \"NAME\" }"), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("83412"), "{told}");
    }
    let app = "app = { client_id = \"Iv23li…\", private_key = { ssm = \"/mayfly/app-key\" } }";
    for wrong in ["app = \"hunter2\"", "app = 8341276", "app = [\"hunter2\"]"] {
        let told = message(&with(app, wrong));
        assert!(told.contains("github.app"), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("8341276"), "{told}");
    }
}

#[test]
fn whatever_is_written_is_told_of_in_one_short_line() {
    let long = "x".repeat(10_000);
    let names: String =
        (0..500).map(|number| format!("[providers.p{number}]\nkind = \"gcp\"\nproject = \"a\"\n")).collect();
    for text in [
        format!("{long} = 1\n{EXAMPLE}"),
        format!("\"a\\nb\\r\" = 1\n{EXAMPLE}"),
        with("\"prod\"", &format!("\"{long}\"")),
        with("\"GPU\"", &format!("\"{long}\"")),
        with("\"GPU\"", &(0..500).map(|number| format!("\"l{number}\",")).collect::<String>()),
        with("max_runners = 10", &format!("max_runners = \"{long}\"")),
        with("[providers.gcp]", &format!("[providers.\"{long}\"]")),
        with("[providers.gcp]", "[providers.\"a\\nb\"]"),
        format!("{}\n{names}", with("provider = \"lab\"", "provider = \"no\"")),
        format!("{EXAMPLE}\n[[pools]]\nname = \"{long}"),
    ] {
        let told = message(&text);
        assert!(told.len() <= 2_000 && !told.contains(['\n', '\r']), "{} bytes: {told:.300}", told.len());
    }
}

#[test]
fn an_app_or_a_token_but_not_both() {
    let both = message(&with("# token", "token"));
    assert!(both.contains("`github.app / github.token` = \"both\""), "{both}");
}

#[test]
fn a_file_that_is_no_toml_is_told_where() {
    let broken = message("deployment = \"prod\"\n[store\ntable = \"x\"\n");
    assert!(broken.contains("line 2"), "{broken}");
}

#[test]
fn a_missing_file_says_how_to_name_one() {
    let error = Config::read(Path::new("no/such.toml")).unwrap_err().to_string();
    assert!(error.starts_with("no/such.toml: cannot be read") && error.contains("MAYFLY_CONFIG"), "{error}");
}

#[test]
fn metrics_for_cloudwatch_are_off_until_they_are_asked_for() {
    let with = |text: &str| format!("{EXAMPLE}\n{text}\n");
    assert!(!Config::parse(EXAMPLE).unwrap().cloudwatch_metrics);
    assert!(!Config::parse(&with("[metrics]")).unwrap().cloudwatch_metrics);
    assert!(Config::parse(&with("[metrics]\ncloudwatch = true")).unwrap().cloudwatch_metrics);
    for (wrong, says) in [("cloudwatch = \"yes\"", "boolean"), ("prometheus = true", "unknown field")] {
        let told = message(&with(&format!("[metrics]\n{wrong}")));
        assert!(told.contains("metrics") && told.contains(says), "{told}");
    }
}
