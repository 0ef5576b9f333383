//! A TCP connection that a test can cut, hold up, or break in the middle of a message.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::background;

/// What a [`TcpProxy`] does with its connections, old and new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Passes everything on.
    Open,
    /// Resets the connections there are, and every new one as soon as it is made.
    Cut,
    /// Accepts connections but passes nothing on in either direction, until it is set otherwise.
    Blackhole,
    /// Passes everything on, each answer so much later: what comes from the server after something was sent to it.
    Slow(Duration),
    /// Resets each connection once this many more bytes went from client to server.
    CutAfterSent(u64),
    /// Resets each connection once this many more bytes went from server to client. With 0 requests get through and
    /// take effect, but their replies are lost.
    CutAfterReceived(u64),
}

/// Sees what passes through a connection, in each direction in order.
pub(crate) trait Tap: Send + Sync {
    fn sent(&self, bytes: &[u8]);
    fn received(&self, bytes: &[u8]);
}

/// Makes the tap of a new connection.
pub(crate) type Taps = Arc<dyn Fn() -> Arc<dyn Tap> + Send + Sync>;

/// A link, and how many times it has been set: setting the same again starts a new count of bytes.
#[derive(Debug, Clone, Copy)]
struct Setting {
    link: Link,
    generation: u64,
}

/// A proxy on a loopback port. Dropping it cuts everything.
pub struct TcpProxy {
    address: SocketAddr,
    link: watch::Sender<Setting>,
}

impl TcpProxy {
    /// Starts a proxy to `target`.
    ///
    /// # Errors
    /// If no loopback port can be had.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        Self::start_tapped(target, None)
    }

    pub(crate) fn start_tapped(target: SocketAddr, taps: Option<Taps>) -> io::Result<Self> {
        let (listener, address) = background::listen()?;
        let (link, state) = watch::channel(Setting { link: Link::Open, generation: 0 });
        background::handle()?.spawn(accept(listener, target, state, taps));
        Ok(Self { address, link })
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets what happens to connections from now on.
    pub fn set(&self, link: Link) {
        self.link.send_modify(|setting| *setting = Setting { link, generation: setting.generation + 1 });
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    mut link: watch::Receiver<Setting>,
    taps: Option<Taps>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = dropped(&mut link) => return,
        };
        // A connection that died before it was accepted.
        let Ok((client, _)) = accepted else { continue };
        let tap = taps.as_ref().map(|make| make());
        tokio::spawn(carry(client, target, link.clone(), tap));
    }
}

async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    mut link: watch::Receiver<Setting>,
    tap: Option<Arc<dyn Tap>>,
) {
    let both = carry_both(&mut client, target, link.clone(), tap);
    let end = tokio::select! {
        biased;
        _ = link.wait_for(|setting| setting.link == Link::Cut) => PumpEnd::Broken,
        end = both => end,
    };
    if end == PumpEnd::Broken {
        // A reset, not an orderly end: that is what a broken connection looks like.
        let _ = client.set_zero_linger();
    }
}

async fn carry_both(
    client: &mut TcpStream,
    target: SocketAddr,
    link: watch::Receiver<Setting>,
    tap: Option<Arc<dyn Tap>>,
) -> PumpEnd {
    let Ok(mut server) = TcpStream::connect(target).await else { return PumpEnd::Broken };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let asked = AtomicBool::new(false);
    let up = pump((from_client, to_server), Direction::Sent, link.clone(), tap.clone(), &asked);
    let down = pump((from_server, to_client), Direction::Received, link, tap, &asked);
    tokio::pin!(up, down);
    // One direction may end in good order while the other goes on; a break ends both.
    tokio::select! {
        end = &mut up => if end == PumpEnd::Finished { down.await } else { end },
        end = &mut down => if end == PumpEnd::Finished { up.await } else { end },
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Sent,
    Received,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PumpEnd {
    Finished,
    Broken,
}

/// Carries one direction. `asked` is set while something was sent of whose answer nothing has come yet.
async fn pump(
    (mut from, mut to): (ReadHalf<'_>, WriteHalf<'_>),
    direction: Direction,
    mut link: watch::Receiver<Setting>,
    tap: Option<Arc<dyn Tap>>,
    asked: &AtomicBool,
) -> PumpEnd {
    let mut buffer = vec![0; 16 * 1024];
    let mut setting = *link.borrow();
    let mut left = allowance(setting.link, direction);
    loop {
        let Ok(read) = from.read(&mut buffer).await else { return PumpEnd::Broken };
        // Read first, looked at then: what arrives is treated as the link is set when it arrives.
        let Ok(now) = link.wait_for(|setting| setting.link != Link::Blackhole).await.map(|now| *now) else {
            return PumpEnd::Broken;
        };
        if now.generation != setting.generation {
            setting = now;
            left = allowance(setting.link, direction);
        }
        if read == 0 {
            let _ = to.shutdown().await;
            return PumpEnd::Finished;
        }
        let passed = left.map_or(read, |left| usize::try_from(left).unwrap_or(usize::MAX).min(read));
        match direction {
            Direction::Sent => asked.store(true, Ordering::Relaxed),
            Direction::Received => {
                let is_first = asked.swap(false, Ordering::Relaxed);
                if let Link::Slow(by) = setting.link
                    && is_first
                {
                    tokio::time::sleep(by).await;
                }
            }
        }
        // Before it is passed on: whoever has an answer finds it counted.
        match (&tap, direction) {
            (Some(tap), Direction::Sent) => tap.sent(&buffer[..passed]),
            (Some(tap), Direction::Received) => tap.received(&buffer[..passed]),
            (None, _) => {}
        }
        if to.write_all(&buffer[..passed]).await.is_err() {
            return PumpEnd::Broken;
        }
        left = left.map(|left| left.saturating_sub(passed as u64));
        if left == Some(0) {
            return PumpEnd::Broken;
        }
    }
}

/// How many bytes may still pass; `None` for any number.
fn allowance(link: Link, direction: Direction) -> Option<u64> {
    match (link, direction) {
        (Link::CutAfterSent(bytes), Direction::Sent)
        | (Link::CutAfterReceived(bytes), Direction::Received) => Some(bytes),
        (
            Link::Open
            | Link::Cut
            | Link::Blackhole
            | Link::Slow(_)
            | Link::CutAfterSent(_)
            | Link::CutAfterReceived(_),
            Direction::Sent | Direction::Received,
        ) => None,
    }
}

/// Resolves when the proxy has been dropped.
async fn dropped(link: &mut watch::Receiver<Setting>) {
    while link.changed().await.is_ok() {}
}
