//! A Mayfly at work in this process: webhook, work after the answers, periodic sweep. The very same calls as the
//! functions make, on one machine.

mod crew;
mod front;
mod http;
mod meters;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mayfly_service::inbound::Gate;
use mayfly_service::mayfly::Mayfly;
use mayfly_service::sweep::Polling;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;

use crate::error::Error;
use crew::Crew;
use front::Front;

/// A sweep that takes longer is cut off; the next one goes on where it stopped.
const SWEEP_LONGEST: Duration = Duration::from_secs(5 * 60);

/// When sweeps are.
#[derive(Debug, Clone, Copy)]
pub enum Rhythm {
    /// Beside webhooks, so far apart.
    Every(Duration),
    /// Instead of webhooks, so far apart as far as GitHub's limit allows it.
    Poll(Duration),
}

/// What serves.
#[derive(Debug)]
pub struct Host {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    front: JoinHandle<()>,
    sweeper: JoinHandle<()>,
    crew: Crew,
    meters: Option<JoinHandle<()>>,
}

impl Host {
    /// Takes requests at `listen`, and sweeps at once and then in that rhythm.
    pub async fn start(
        listen: SocketAddr,
        mayfly: Arc<Mayfly>,
        gate: Gate,
        rhythm: Rhythm,
    ) -> Result<Self, Error> {
        let failed = |source| Error::io(format!("cannot listen on {listen}"), source);
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = watch::Sender::new(false);
        let crew = Crew::default();
        let front = Front { mayfly: mayfly.clone(), gate, crew: crew.clone() };
        let front = tokio::spawn(front::serve(listener, Arc::new(front), stop.subscribe()));
        let stopping = stop.subscribe();
        let sweeper = match rhythm {
            Rhythm::Every(every) => tokio::spawn(sweep_periodically(mayfly, every, stopping)),
            Rhythm::Poll(every) => tokio::spawn(poll_periodically(mayfly, every, stopping)),
        };
        Ok(Self { address, stop, front, sweeper, crew, meters: None })
    }

    /// Shows what is measured at an address of its own; which that is.
    pub async fn show_metrics(
        &mut self,
        listen: SocketAddr,
        mayfly: Arc<Mayfly>,
    ) -> Result<SocketAddr, Error> {
        let failed = |source| Error::io(format!("cannot listen on {listen}"), source);
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let answer = move |request| std::future::ready(meters::answer(&mayfly, &request));
        self.meters = Some(tokio::spawn(http::serve(listener, answer, self.stop.subscribe())));
        Ok(address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops in good order: no new requests from now on; requests, the work that follows them, and a sweep under way
    /// get `patience` to finish. Whether all of them did; what did not is left for the next sweep.
    pub async fn stop(mut self, patience: Duration) -> bool {
        let end = tokio::time::Instant::now() + patience;
        self.stop.send_replace(true);
        // In this order: a request under way may still bring work.
        let answered = tokio::time::timeout_at(end, &mut self.front).await.is_ok();
        let worked = tokio::time::timeout_at(end, self.crew.idle()).await.is_ok();
        let swept = tokio::time::timeout_at(end, &mut self.sweeper).await.is_ok();
        if let Some(meters) = &self.meters {
            // Who reads them may come again.
            meters.abort();
        }
        self.front.abort();
        self.sweeper.abort();
        answered && worked && swept
    }
}

async fn sweep_periodically(mayfly: Arc<Mayfly>, every: Duration, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = told(&mut stop) => return,
            _ = ticks.tick() => {}
        }
        let end = Instant::now() + SWEEP_LONGEST;
        if tokio::time::timeout_at(end, mayfly.sweep(end)).await.is_err() {
            tracing::warn!(longest = ?SWEEP_LONGEST, "the sweep took too long and was cut off: the next one goes on from there");
        }
    }
}

async fn poll_periodically(mayfly: Arc<Mayfly>, every: Duration, mut stop: watch::Receiver<bool>) {
    let mut polling = Polling::new(every);
    loop {
        let begun = Instant::now();
        let end = begun + SWEEP_LONGEST;
        let wait = match tokio::time::timeout_at(end, mayfly.poll(&mut polling, end)).await {
            Ok((_, wait)) => wait,
            Err(_) => {
                tracing::warn!(longest = ?SWEEP_LONGEST, "the poll took too long and was cut off: the next one goes on from there");
                every
            }
        };
        let next = tokio::time::sleep(wait.saturating_sub(begun.elapsed()));
        tokio::select! {
            biased;
            () = told(&mut stop) => return,
            () = next => {}
        }
    }
}

/// Waits to be told to stop; whoever could tell being gone means the same.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopping| *stopping).await;
}
