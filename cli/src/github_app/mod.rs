//! `mayfly github-app`: the App that Mayfly logs in as, made from a manifest, and its webhook pointed to where it is served.

mod files;
mod manifest;
mod page;

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mayfly_service::config::{Config, GitHubConfig, GitHubLogin};
use mayfly_service::github::{GitHub, NewApp, PointedWebhook, app_of_manifest};
use mayfly_service::secret::SecretSource;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::args::{AppWebhookArgs, CreateAppArgs, GithubAppCommand};
use crate::error::Error;
use crate::progress::during;
use crate::signals::Signals;
use crate::tell::tell;
use files::Kept;
use page::{Code, MADE, Site};

const KEY: &str = "mayfly-app.pem";
const SECRET: &str = "mayfly-webhook-secret";
/// GitHub's code is good for so long.
const PATIENCE: Duration = Duration::from_secs(3600);
const CALL_LONGEST: Duration = Duration::from_secs(30);
/// The browser gets so long to read the last page.
const LAST_PAGE: Duration = Duration::from_secs(5);

/// The files of one App.
struct Files {
    key: Kept,
    /// None without a webhook.
    secret: Option<Kept>,
}

pub async fn run(command: GithubAppCommand) -> Result<(), Error> {
    match command {
        GithubAppCommand::Create(args) => create(&args).await,
        GithubAppCommand::Webhook(args) => webhook(*args).await,
    }
}

async fn create(args: &CreateAppArgs) -> Result<(), Error> {
    let mut signals = Signals::catch()?;
    let listening = |source| Error::io(format!("{} cannot be listened at", args.listen), source);
    let listener = TcpListener::bind(args.listen).await.map_err(listening)?;
    let at = listener.local_addr().map_err(listening)?;
    let asked = manifest::manifest(args, &format!("http://{at}{MADE}"))?;
    let key = Kept::make(&args.directory, KEY)?;
    let secret = (!args.no_webhook).then(|| Kept::make(&args.directory, SECRET)).transpose()?;
    let (codes, mut coming) = mpsc::channel::<Code>(1);
    let (path, state) = (format!("/{}", secret_text()?), secret_text()?);
    tell(format_args!("open http://{at}{path} in a browser, and agree to what GitHub shows"))?;
    let site = Site { action: manifest::page(args), manifest: asked.to_string(), path, state, codes };

    let mut connections = JoinSet::new();
    let serving = page::serve(&listener, Arc::new(site), &mut connections);
    let made = async {
        let agreed = async { coming.recv().await.ok_or(Error::Interrupted) };
        // From here on GitHub may have made an App: what follows is short, and is not interrupted.
        let (code, reply) = tokio::select! {
            agreed = during("waiting for the browser", agreed) => agreed?,
            _ = signals.next() => return Err(Error::Interrupted),
            () = tokio::time::sleep(PATIENCE) => {
                let minutes = PATIENCE.as_secs() / 60;
                return Err(Error::App(format!("nobody agreed within {minutes} minutes; begin again")));
            }
        };
        let exchanging = exchanged(args, &code, Files { key, secret }, &asked);
        let made = during("fetching the App from GitHub", exchanging).await;
        let installing = |(app, _): &(NewApp, String)| args.webhook_url.as_ref().map(|_| install_page(app));
        // The browser may be gone; the terminal tells the same.
        _ = reply.send(made.as_ref().map(installing).map_err(ToString::to_string));
        Ok(made?.1)
    };
    let made = tokio::select! {
        made = made => made,
        () = serving => Err(Error::Interrupted),
    };
    let shown = async { while connections.join_next().await.is_some() {} };
    _ = tokio::time::timeout(LAST_PAGE, shown).await;
    tell(made?.trim_end())
}

/// Exchanges the code and keeps the secrets; the App, and what to tell then.
async fn exchanged(
    args: &CreateAppArgs,
    code: &str,
    mut files: Files,
    asked: &Value,
) -> Result<(NewApp, String), Error> {
    let deadline = Instant::now() + CALL_LONGEST;
    let app = app_of_manifest(&manifest::api_url(args), code, deadline).await.map_err(|error| {
        Error::App(format!("{error}; delete the App if GitHub shows it among your Apps, and begin again"))
    })?;
    let key = files.key.path.display().to_string();
    let lost = |why: &dyn std::fmt::Display| {
        Error::App(format!(
            "{why}; GitHub tells an App's secrets once, so delete the App ({}) and {key}, and begin again",
            app.page
        ))
    };
    files.key.keep(&app.private_key).map_err(|error| lost(&error))?;
    if let Some(file) = &mut files.secret {
        let secret = app.webhook_secret.as_ref().ok_or_else(|| lost(&"GitHub told no webhook secret"))?;
        file.keep(secret).map_err(|error| lost(&error))?;
    }
    let text = summary(args, &app, &files, asked);
    Ok((app, text))
}

fn install_page(app: &NewApp) -> String {
    format!("{}/installations/new", app.page)
}

/// What comes next, with nothing in it that is secret.
fn summary(args: &CreateAppArgs, app: &NewApp, files: &Files, asked: &Value) -> String {
    let mut text = String::new();
    let file = |path: &Path| format!("{{ file = {:?} }}", path.display().to_string());
    let api_url = manifest::api_url(args);
    // Writing to a text cannot fail.
    _ = writeln!(text, "\nThe App is made. In mayfly.toml:\n\n[github]");
    if api_url != "https://api.github.com" {
        _ = writeln!(text, "api_url = {api_url:?}");
    }
    _ = writeln!(
        text,
        "app = {{ client_id = {:?}, private_key = {} }}",
        app.client_id,
        file(&files.key.path)
    );
    match &files.secret {
        Some(secret) => _ = writeln!(text, "webhook_secrets = [{}]", file(&secret.path)),
        None => {
            _ = writeln!(
                text,
                "# It has no webhook: any random text will do here, with `mayfly serve --poll`."
            );
            _ = writeln!(text, "webhook_secrets = [{{ env = \"WEBHOOK_SECRET\" }}]");
        }
    }
    let lacks = manifest::missing(asked, &app.permissions, &app.events);
    if !lacks.is_empty() {
        _ = writeln!(text, "\nGitHub made it without: {}. Add that in the App's settings.", lacks.join(", "));
    }
    let install = install_page(app);
    if let Some(secret) = &files.secret {
        let (key, secret) = (files.key.path.display(), secret.path.display());
        _ = writeln!(
            text,
            "\nFor Lambda, both go where only it can read them:\n\
             aws ssm put-parameter --type SecureString --name /mayfly/app-key --value 'file://{key}'\n\
             aws ssm put-parameter --type SecureString --name /mayfly/webhook-secret --value 'file://{secret}'"
        );
        if args.webhook_url.is_none() {
            _ = writeln!(
                text,
                "\nAs soon as the webhook's address is known, and before the App is installed:\n\
                 mayfly github-app webhook URL --client-id {} --private-key '{key}'",
                app.client_id
            );
        }
    }
    _ = writeln!(text, "\nThen install it: {install}");
    text
}

async fn webhook(args: AppWebhookArgs) -> Result<(), Error> {
    let github = match (args.client_id, args.private_key) {
        (Some(client_id), Some(key)) => {
            let login =
                GitHubLogin::App { client_id, private_key: SecretSource::File(key), installation: None };
            let api_url = args.api_url.as_str().trim_end_matches('/').to_owned();
            GitHubConfig { api_url, webhook_secrets: Vec::new(), login, webhook_url: None }
        }
        _ => Config::load()?.github,
    };
    let url = args.url;
    let github = GitHub::new(&github);
    let pointing = github.point_webhook(&url, Instant::now() + CALL_LONGEST);
    let pointed = during("telling GitHub", pointing).await;
    let PointedWebhook { before, events } = pointed.map_err(|error| Error::App(error.to_string()))?;
    match before {
        Some(before) if before == url.as_str() => {
            tell(format_args!("the App's webhook goes to {url}, as before"))
        }
        Some(before) => tell(format_args!("the App's webhook goes to {url}; before, it went to {before}")),
        None => tell(format_args!("the App's webhook goes to {url}")),
    }?;
    if !events.iter().any(|event| event == "workflow_job") {
        let why = "the App is not told of workflow jobs: in its settings, make its webhook active and choose that event";
        return Err(Error::App(why.to_owned()));
    }
    Ok(())
}

/// 128 bits that nobody can guess.
fn secret_text() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::App(format!("no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
