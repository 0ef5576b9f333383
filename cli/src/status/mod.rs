//! `mayfly status`: how a deployment stands, by its table.

mod view;

use std::time::Duration;

use mayfly_core::overview::Overview;
use mayfly_core::policy::Policy;
use mayfly_service::config::Config;
use mayfly_service::look::overview_of;
use mayfly_service::store::{Ledger, StoreError};
use mayfly_service::{clock, telemetry};

use crate::args::StatusArgs;
use crate::error::Error;
use crate::screen::Screen;
use crate::signals::Signals;
use crate::styled::{self, Line, Style, cut, span};
use crate::table::aws_config;
use crate::tell::tell;

/// A watch goes on over so many looks in a row that failed; more are no passing trouble.
const LOOKS_FAILED_MOST: u32 = 20;

/// Shows it once, or again and again.
pub async fn run(args: StatusArgs) -> Result<(), Error> {
    telemetry::start(telemetry::format_here());
    let Config { policy, table, .. } = Config::load()?;
    let ledger = Ledger::new(&aws_config().await, table, policy.deployment.clone(), policy.timing.retention);
    let Some(every) = args.watch else {
        let overview = overview_of(&ledger, &policy, clock::now()).await?;
        show(&overview, args.json)?;
        return complete(&overview);
    };
    let mut signals = Signals::catch()?;
    tokio::select! {
        watched = watch(&ledger, &policy, every, args.json) => watched,
        // That is how it ends.
        _ = signals.next() => Ok(()),
    }
}

fn show(overview: &Overview, json: bool) -> Result<(), Error> {
    if json {
        return tell(as_json(overview)?);
    }
    styled::tell(&view::render(overview))
}

fn as_json(overview: &Overview) -> Result<String, Error> {
    let json = serde_json::to_string(overview);
    json.map_err(|error| Error::io("the JSON", std::io::Error::other(error)))
}

/// A pool that could not be read at all is an error, beside all that could be.
fn complete(overview: &Overview) -> Result<(), Error> {
    let unknown = overview.pools.iter().filter(|pool| pool.unknown);
    let pools: Vec<String> = unknown.map(|pool| format!("pool {}", pool.pool)).collect();
    if pools.is_empty() { Ok(()) } else { Err(Error::Unread { pools }) }
}

async fn watch(ledger: &Ledger, policy: &Policy, every: Duration, json: bool) -> Result<(), Error> {
    let screen = if json { None } else { Screen::enter().map_err(terminal)? };
    let (mut failed, mut last) = (0, Vec::new());
    loop {
        match overview_of(ledger, policy, clock::now()).await {
            Ok(overview) => {
                failed = 0;
                match &screen {
                    Some(screen) => {
                        last = view::render(&overview);
                        draw(screen, &last)?;
                    }
                    None => show(&overview, json)?,
                }
            }
            Err(error) => {
                failed += 1;
                if failed >= LOOKS_FAILED_MOST || matches!(error, StoreError::Missing { .. }) {
                    return Err(error.into());
                }
                match &screen {
                    Some(screen) => draw(screen, &stale(&error, &last))?,
                    None => tracing::warn!(%error, "the deployment could not be looked at; trying again"),
                }
            }
        }
        tokio::time::sleep(every).await;
    }
}

/// What was seen last, under why it is not new.
fn stale(error: &StoreError, last: &[Line]) -> Vec<Line> {
    let why = span(format!("not read anew, trying again: {error}"), Style::Bad);
    [vec![vec![why], vec![]], last.to_vec()].concat()
}

fn draw(screen: &Screen, lines: &[Line]) -> Result<(), Error> {
    let (width, height) = screen.size().map_err(terminal)?;
    let mut shown: Vec<Line> = lines.iter().take(height).map(|line| cut(line.clone(), width)).collect();
    if lines.len() > height
        && let Some(last) = shown.last_mut()
    {
        let hidden = lines.len() - height + 1;
        *last = vec![span(
            format!("… {hidden} more lines: make the window larger, or leave --watch out"),
            Style::Dim,
        )];
    }
    screen.draw(&shown).map_err(terminal)
}

fn terminal(source: std::io::Error) -> Error {
    Error::io("the terminal", source)
}
