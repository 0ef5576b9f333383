//! `mayfly init`: a commented configuration for one pool on Google Cloud, from flags, and from questions where those are missing.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{BufRead, IsTerminal, Write as _};

use mayfly_service::config::Config;

use crate::args::InitArgs;
use crate::error::Error;
use crate::tell::tell;

/// A flag that has to have a value: what is asked for it, and what is taken where nothing is answered.
struct Question {
    flag: &'static str,
    text: &'static str,
    default: &'static str,
}

const QUESTIONS: [Question; 6] = [
    Question {
        flag: "--url",
        text: "Where runners register (https://github.com/ORG or …/OWNER/REPOSITORY)",
        default: "",
    },
    Question { flag: "--name", text: "The pool's name", default: "linux-gpu" },
    Question {
        flag: "--app-client-id",
        text: "The GitHub App's client id (none: a personal access token)",
        default: "",
    },
    Question { flag: "--gcp-project", text: "The Google Cloud project", default: "" },
    Question { flag: "--gcp-instance-template", text: "The instance template", default: "" },
    Question {
        flag: "--gcp-zones",
        text: "The zones, in the order in which they are tried",
        default: "us-central1-a,us-east1-c",
    },
];

/// Writes the configuration.
pub fn run(mut args: Box<InitArgs>) -> Result<(), Error> {
    if std::io::stdin().is_terminal() {
        let mut lines = std::io::stdin().lock().lines();
        complete(&mut args, |question| {
            let default =
                if question.default.is_empty() { String::new() } else { format!(" [{}]", question.default) };
            let mut out = std::io::stdout();
            write!(out, "{}{default}: ", question.text)?;
            out.flush()?;
            lines.next().transpose().map(Option::unwrap_or_default)
        })
        .map_err(|source| Error::io("the terminal", source))?;
    }
    let text = text(&args)?;
    // What `init` writes is what every program reads.
    Config::parse(&text).map_err(Error::Init)?;
    let path = args.out.display().to_string();
    let file = OpenOptions::new()
        .write(true)
        .create(args.force)
        .create_new(!args.force)
        .truncate(true)
        .open(&args.out);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| {
        if source.kind() == std::io::ErrorKind::AlreadyExists {
            return Error::Init(format!(
                "{path} is there already; --force writes it anew, --out another file"
            ));
        }
        Error::io(path.clone(), source)
    })?;
    tell(format_args!(
        "{path} is written. Look through it, put the secrets where it names them, and try it: mayfly serve"
    ))
}

/// Asks for what no flag gave.
fn complete(
    args: &mut InitArgs,
    mut ask: impl FnMut(&Question) -> std::io::Result<String>,
) -> std::io::Result<()> {
    for question in &QUESTIONS {
        let is_given = match question.flag {
            "--url" => args.url.is_some(),
            "--name" => args.name.is_some(),
            "--app-client-id" => args.app_client_id.is_some() || args.token.is_some(),
            "--gcp-project" => args.gcp_project.is_some(),
            "--gcp-instance-template" => args.gcp_instance_template.is_some(),
            _ => !args.gcp_zones.is_empty(),
        };
        if is_given {
            continue;
        }
        let answer = ask(question)?;
        let answer = if answer.trim().is_empty() { question.default } else { answer.trim() };
        let given = Some(answer.to_owned()).filter(|answer| !answer.is_empty());
        match question.flag {
            "--url" => args.url = given,
            "--name" => args.name = given,
            "--app-client-id" => args.app_client_id = given,
            "--gcp-project" => args.gcp_project = given,
            "--gcp-instance-template" => args.gcp_instance_template = given,
            _ => args.gcp_zones = answer.split(',').map(|zone| zone.trim().to_owned()).collect(),
        }
    }
    Ok(())
}

/// The API of the GitHub at this host: the public one's, a data residency's, or a GitHub Enterprise Server's.
pub fn api_of(host: &str) -> String {
    match host {
        "github.com" | "www.github.com" => "https://api.github.com".to_owned(),
        host if host.ends_with(".ghe.com") => format!("https://api.{host}"),
        host => format!("https://{host}/api/v3"),
    }
}

/// Where runners register, as the configuration says it, and GitHub's API.
fn scope(url: &str) -> Result<(String, String), Error> {
    let wrong = || {
        Error::Init(format!(
            "--url: `{url}` is neither https://HOST/ORGANIZATION, …/OWNER/REPOSITORY nor …/enterprises/ENTERPRISE"
        ))
    };
    let rest = url.strip_prefix("https://").ok_or_else(wrong)?.trim_end_matches('/');
    let (host, path) = rest.split_once('/').ok_or_else(wrong)?;
    if host.contains('@') {
        return Err(Error::Init("--url: no name and no password belong into it".to_owned()));
    }
    let api = api_of(&host.to_lowercase());
    let path = path.trim_end_matches(".git");
    let parts: Vec<&str> = path.split('/').collect();
    let scope = match parts.as_slice() {
        ["enterprises" | "orgs"] | ["orgs", _] => return Err(wrong()),
        ["enterprises", slug] => format!("enterprise = {}", quoted(slug)),
        [organization] if !organization.is_empty() => format!("organization = {}", quoted(organization)),
        [owner, name] => format!("repository = {}", quoted(&format!("{owner}/{name}"))),
        _ => return Err(wrong()),
    };
    Ok((scope, api))
}

/// A JSON string is a TOML string as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

fn text(args: &InitArgs) -> Result<String, Error> {
    let given = |value: &Option<String>| value.clone().unwrap_or_default();
    let (url, name) = (given(&args.url), given(&args.name));
    let (project, template) = (given(&args.gcp_project), given(&args.gcp_instance_template));
    let zones = args.gcp_zones.join(",");
    let needed = [
        ("--url", &url),
        ("--name", &name),
        ("--gcp-project", &project),
        ("--gcp-instance-template", &template),
        ("--gcp-zones", &zones),
    ];
    let missing: Vec<&str> =
        needed.into_iter().filter(|(_, value)| value.is_empty()).map(|(flag, _)| flag).collect();
    if !missing.is_empty() {
        return Err(Error::Init(format!(
            "{} must be given, where there is no terminal to ask at",
            missing.join(", ")
        )));
    }
    let (scope, api) = scope(&url)?;
    let labels = if args.labels.is_empty() { vec![name.clone()] } else { args.labels.clone() };
    let mut text = format!(
        "# Every key, and what it may be: README.md, \"Configure\".\n\
         deployment = {}   # stamped on every VM, so that two deployments never touch each other's\n\n\
         [store]\ntable = {}\n\n\
         [github]\napi_url = {}\n\
         webhook_secrets = [{{ env = \"WEBHOOK_SECRET\" }}]   # or {{ file = … }}, {{ ssm = … }}, {{ secretsmanager = … }}\n",
        quoted(&args.deployment),
        quoted(&format!("mayfly-{}", args.deployment)),
        quoted(&api),
    );
    // Writing to a text cannot fail.
    _ = writeln!(text, "{}", login(args)?);
    _ = write!(
        text,
        "\n[providers.gcp]   # credentials: GOOGLE_APPLICATION_CREDENTIALS, as for all of Google's libraries\n\
         kind = \"gcp\"\nproject = {}\n\n\
         [[pools]]\nname = {}\nlabels = [{}]   # a job fits when all of its runs-on labels are among these\n{scope}\n\
         runner_group = {}\nplatform = {}\nmax_runners = {}\n\
         min_runners = {}       # warm VMs that stand ready at all times; they count towards max_runners\n\
         boot_timeout = \"10m\"   # a VM whose runner GitHub has not seen by then is replaced\n\
         idle_timeout = \"10m\"   # a runner that nobody needs goes after this\n\
         max_lifetime = \"6h\"    # no VM outlives it, even with Mayfly dead\n\n\
         [[pools.placements]]   # tried in order: a full one passes the job on to the next\nprovider = \"gcp\"\n\
         instance_template = {}\nzones = [{}]\ngpu_type = {}\n",
        quoted(&project),
        quoted(&name),
        list(&labels),
        quoted(&args.runner_group),
        quoted(&args.platform),
        args.max_runners,
        args.min_runners,
        quoted(&template),
        list(&args.gcp_zones),
        quoted(&args.gcp_gpu_type),
    );
    Ok(text)
}

/// How GitHub knows us. No secret is written: only where it is.
fn login(args: &InitArgs) -> Result<String, Error> {
    if args.app_client_id.is_none() && (args.app_private_key.is_some() || args.app_installation_id.is_some())
    {
        return Err(Error::Init("--app-client-id must be given with the App's other flags".to_owned()));
    }
    let Some(client_id) = &args.app_client_id else {
        return Ok(
            "token = { env = \"GITHUB_TOKEN\" }   # a personal access token; better is an App: app = { … }"
                .to_owned(),
        );
    };
    let key = args.app_private_key.as_deref().unwrap_or("app.private-key.pem");
    if key.contains("-----BEGIN") {
        let why = "--app-private-key: give the name of a file that holds the key; a key itself is never written into a configuration";
        return Err(Error::Init(why.to_owned()));
    }
    let installation =
        args.app_installation_id.map(|id| format!(", installation_id = {id}")).unwrap_or_default();
    Ok(format!(
        "app = {{ client_id = {}, private_key = {{ file = {} }}{installation} }}",
        quoted(client_id),
        quoted(key)
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn parsed(flags: &[&str]) -> Box<InitArgs> {
        let args = Args::try_parse_from([&["mayfly", "init"], flags].concat()).unwrap();
        let Command::Init(init) = args.command else { panic!("{flags:?}") };
        init
    }

    #[test]
    fn where_runners_register_is_read_from_the_url() {
        for (url, expected, api) in [
            ("https://github.com/my-org", "organization = \"my-org\"", "https://api.github.com"),
            ("https://GitHub.com/me/mine.git", "repository = \"me/mine\"", "https://api.github.com"),
            ("https://github.com/enterprises/big", "enterprise = \"big\"", "https://api.github.com"),
            ("https://big.ghe.com/org", "organization = \"org\"", "https://api.big.ghe.com"),
            ("https://git.example.com/org", "organization = \"org\"", "https://git.example.com/api/v3"),
        ] {
            assert_eq!(scope(url).unwrap(), (expected.to_owned(), api.to_owned()), "{url}");
        }
        for url in [
            "github.com/org",
            "http://github.com/org",
            "https://github.com",
            "https://github.com/",
            "https://github.com/a/b/c",
            "https://github.com/orgs/mine",
            "https://github.com/enterprises/",
        ] {
            assert!(scope(url).is_err(), "{url}");
        }
    }

    #[test]
    fn what_no_flag_gave_is_asked_for_once_and_an_empty_answer_is_the_default() {
        let answers: BTreeMap<&str, &str> = [
            ("--url", "https://github.com/my-org"),
            ("--app-client-id", "Iv23liEXAMPLE"),
            ("--gcp-instance-template", "  linux-gpu-runner "),
        ]
        .into();
        let mut args = parsed(&["--gcp-project", "my-project", "--max-runners", "4"]);
        let mut asked = Vec::new();
        complete(&mut args, |question| {
            asked.push(question.flag);
            Ok(answers.get(question.flag).copied().unwrap_or_default().to_owned())
        })
        .unwrap();
        assert_eq!(asked, ["--url", "--name", "--app-client-id", "--gcp-instance-template", "--gcp-zones"]);
        let text = text(&args).unwrap();
        let config = Config::parse(&text).unwrap();
        let pool = &config.policy.pools[0];
        assert_eq!((pool.name.as_str(), pool.max_runners.get()), ("linux-gpu", 4));
        assert!(
            text.contains(
                "instance_template = \"linux-gpu-runner\"\nzones = [\"us-central1-a\", \"us-east1-c\"]"
            ),
            "{text}"
        );
        assert!(text.contains("private_key = { file = \"app.private-key.pem\" }"), "{text}");
    }
}
