//! What GitHub is asked to make: the manifest of `infra/github-app`, with this App's own name, addresses and rights.

use serde_json::{Value, json};

use crate::args::{CreateAppArgs, PoolScope};
use crate::error::Error;
use crate::init::api_of;

const MANIFEST: &str = include_str!("../../../infra/github-app/manifest.json");
/// GitHub's own limit.
const NAME_MOST: usize = 34;
/// Where the webhook goes until its real address is known: GitHub wants one. As long as the App is not installed it sends no
/// more than a ping there, so it is pointed elsewhere first.
const NOT_YET: &str = "https://example.com/webhook";

/// The manifest; GitHub sends the browser back to `redirect_url`.
pub fn manifest(args: &CreateAppArgs, redirect_url: &str) -> Result<Value, Error> {
    let mut manifest: Value =
        serde_json::from_str(MANIFEST).map_err(|error| Error::App(error.to_string()))?;
    manifest["name"] = json!(name(args)?);
    manifest["url"] = json!(match &args.organization {
        Some(organization) => format!("{}/{organization}", base(args)),
        None => base(args).to_owned(),
    });
    manifest["redirect_url"] = json!(redirect_url);
    if args.no_webhook {
        manifest["default_events"] = json!([]);
        if let Some(fields) = manifest.as_object_mut() {
            fields.remove("hook_attributes");
        }
    } else {
        let url = args.webhook_url.as_ref().map_or(NOT_YET, mayfly_service::config::Url::as_str);
        manifest["hook_attributes"]["url"] = json!(url);
    }
    if let Some(permissions) = manifest["default_permissions"].as_object_mut() {
        let scopes = scopes(args)?;
        if !scopes.contains(&PoolScope::Organization) {
            permissions.remove("organization_self_hosted_runners");
        }
        if scopes.contains(&PoolScope::Repository) {
            permissions.insert("administration".to_owned(), json!("write"));
        }
        if args.check_runs {
            permissions.insert("checks".to_owned(), json!("write"));
        }
    }
    Ok(manifest)
}

/// The page that the manifest is posted to.
pub fn page(args: &CreateAppArgs) -> String {
    match &args.organization {
        Some(organization) => format!("{}/organizations/{organization}/settings/apps/new", base(args)),
        None => format!("{}/settings/apps/new", base(args)),
    }
}

/// Its API, unless told otherwise.
pub fn api_url(args: &CreateAppArgs) -> String {
    match (&args.api_url, base(args).strip_prefix("https://")) {
        (Some(url), _) => url.as_str().trim_end_matches('/').to_owned(),
        (None, Some(host)) => api_of(host),
        // On this machine.
        (None, None) => format!("{}/api/v3", base(args)),
    }
}

/// What was asked for and is not there, for people.
pub fn missing(
    asked: &Value,
    permissions: &std::collections::BTreeMap<String, String>,
    events: &[String],
) -> Vec<String> {
    let wanted = asked["default_permissions"].as_object().into_iter().flatten();
    let has = |name: &str, level: &Value| {
        permissions.get(name).is_some_and(|given| Some(given.as_str()) == level.as_str() || given == "write")
    };
    let rights = wanted.filter(|(name, level)| !has(name, level));
    let rights =
        rights.map(|(name, level)| format!("permission {name}: {}", level.as_str().unwrap_or_default()));
    let wanted = asked["default_events"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let heard = wanted.filter(|event| !events.iter().any(|each| each == event));
    rights.chain(heard.map(|event| format!("event {event}"))).collect()
}

fn base(args: &CreateAppArgs) -> &str {
    args.github_url.as_str().trim_end_matches('/')
}

fn name(args: &CreateAppArgs) -> Result<String, Error> {
    let name = match (&args.name, &args.organization) {
        (Some(name), _) => name.clone(),
        (None, Some(organization)) => format!("mayfly-{organization}"),
        (None, None) => return Err(Error::App("--name: an App on your own account needs one".to_owned())),
    };
    if name.trim().is_empty() || name.chars().count() > NAME_MOST {
        let why =
            format!("--name: {name:?} must have 1 to {NAME_MOST} characters, and be nobody else's on GitHub");
        return Err(Error::App(why));
    }
    Ok(name)
}

fn scopes(args: &CreateAppArgs) -> Result<Vec<PoolScope>, Error> {
    match (&args.organization, args.pools.as_slice()) {
        (Some(_), []) => Ok(vec![PoolScope::Organization]),
        (None, []) => Ok(vec![PoolScope::Repository]),
        (None, some) if some.contains(&PoolScope::Organization) => {
            Err(Error::App("--pools organization: which one? Give --organization".to_owned()))
        }
        (_, some) => Ok(some.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command, GithubAppCommand};

    fn args(rest: &[&str]) -> CreateAppArgs {
        let parsed = Args::parse_from([&["mayfly", "github-app", "create"], rest].concat());
        let Command::GithubApp { command: GithubAppCommand::Create(args) } = parsed.command else { panic!() };
        *args
    }

    fn made(rest: &[&str]) -> Value {
        manifest(&args(rest), "http://127.0.0.1:1/made").unwrap()
    }

    #[test]
    fn an_organizations_app_has_what_mayfly_needs_and_nothing_else() {
        let made = made(&["--organization", "shader-slang"]);
        let expected = json!({
            "name": "mayfly-shader-slang",
            "description": "Runs GitHub Actions jobs on virtual machines that live for one job.",
            "url": "https://github.com/shader-slang",
            "public": false,
            "redirect_url": "http://127.0.0.1:1/made",
            "hook_attributes": { "url": "https://example.com/webhook", "active": true },
            "default_permissions": {
                "actions": "read", "metadata": "read", "organization_self_hosted_runners": "write",
            },
            "default_events": ["workflow_job"],
        });
        assert_eq!(made, expected);
    }

    #[test]
    fn rights_follow_where_pools_register() {
        let rights = |rest: &[&str]| {
            let made = made(rest);
            let rights = made["default_permissions"].as_object().unwrap();
            ["administration", "organization_self_hosted_runners"].map(|name| rights.contains_key(name))
        };
        assert_eq!(rights(&["--organization", "a"]), [false, true]);
        assert_eq!(rights(&["--organization", "a", "--pools", "repository"]), [true, false]);
        assert_eq!(rights(&["--organization", "a", "--pools", "repository,organization"]), [true, true]);
        assert_eq!(rights(&["--name", "mine"]), [true, false]);
        assert!(manifest(&args(&["--name", "mine", "--pools", "organization"]), "x").is_err());
    }

    #[test]
    fn check_runs_are_asked_for_by_name() {
        let right = |rest: &[&str]| made(rest)["default_permissions"].get("checks").cloned();
        assert_eq!(right(&["--organization", "a"]), None);
        assert_eq!(right(&["--organization", "a", "--check-runs"]), Some(json!("write")));
    }

    #[test]
    fn without_a_webhook_nothing_is_sent() {
        let made = made(&["--organization", "a", "--no-webhook"]);
        assert!(made.get("hook_attributes").is_none());
        assert_eq!(made["default_events"], json!([]));
        let pointed =
            super::manifest(&args(&["--organization", "a", "--webhook-url", "https://b.c/webhook"]), "x");
        assert_eq!(pointed.unwrap()["hook_attributes"]["url"], "https://b.c/webhook");
    }

    #[test]
    fn names_are_githubs_to_refuse_but_for_their_length() {
        assert!(manifest(&args(&[]), "x").is_err());
        for wrong in ["", " ", "12345678901234567890123456789012345"] {
            assert!(manifest(&args(&["--name", wrong]), "x").is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_enterprise_server_has_pages_and_api_of_its_own() {
        let hosted = args(&["--organization", "a", "--github-url", "https://github.corp.example/"]);
        assert_eq!(page(&hosted), "https://github.corp.example/organizations/a/settings/apps/new");
        assert_eq!(api_url(&hosted), "https://github.corp.example/api/v3");
        let resident = args(&["--organization", "a", "--github-url", "https://corp.ghe.com"]);
        assert_eq!(api_url(&resident), "https://api.corp.ghe.com");
        let public = args(&["--name", "mine"]);
        assert_eq!(
            (page(&public).as_str(), api_url(&public).as_str()),
            ("https://github.com/settings/apps/new", "https://api.github.com")
        );
    }

    #[test]
    fn what_github_left_out_is_named() {
        let asked = made(&["--organization", "a"]);
        let given = |rights: &[(&str, &str)]| {
            rights.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
        };
        let all = given(&[
            ("actions", "write"),
            ("metadata", "read"),
            ("organization_self_hosted_runners", "write"),
        ]);
        assert_eq!(missing(&asked, &all, &["workflow_job".to_owned()]), Vec::<String>::new());
        let some = given(&[("metadata", "read"), ("organization_self_hosted_runners", "read")]);
        let told = [
            "permission actions: read",
            "permission organization_self_hosted_runners: write",
            "event workflow_job",
        ];
        assert_eq!(missing(&asked, &some, &[]), told);
    }
}
