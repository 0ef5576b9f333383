//! HTTP/1.1 connections, and their limits.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::told;

/// So many connections are open at a time; more wait to be accepted.
const CONNECTIONS_MOST: u32 = 512;
/// A client has so long to send a request's head; between two requests too.
const HEAD_LONGEST: Duration = Duration::from_secs(15);
/// What a request's head may hold, its path included, as counted between two readings: GitHub's has some 2 KB.
const HEAD_MOST: usize = 64 << 10;
/// So many headers a request may have: GitHub's has some fifteen.
const HEADERS_MOST: usize = 100;
/// After a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until told to stop, and then until the last connection is done.
pub async fn serve<Answer, Answering>(listener: TcpListener, answer: Answer, mut stop: watch::Receiver<bool>)
where
    Answer: Fn(Request<Incoming>) -> Answering + Clone + Send + Sync + 'static,
    Answering: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MOST as usize));
    let stopping = stop.clone();
    let accepting = async {
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = connection(stream, answer.clone(), stopping.clone());
                    tokio::spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted: it is tried again at once");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = told(&mut stop) => {}
    }
    drop(listener);
    // Nobody closes the semaphore; if somebody did, there would be nothing to wait for.
    let _ = connections.acquire_many(CONNECTIONS_MOST).await;
}

async fn connection<Answer, Answering>(stream: TcpStream, answer: Answer, mut stop: watch::Receiver<bool>)
where
    Answer: Fn(Request<Incoming>) -> Answering + Send,
    Answering: Future<Output = Response<Full<Bytes>>> + Send,
{
    let service = service_fn(move |request| {
        let answering = answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LONGEST)
        .max_buf_size(HEAD_MOST)
        .max_headers(HEADERS_MOST)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// An answer.
pub fn response(status: u16, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// The status of the answer to a request with that much in its head.
    async fn status(address: std::net::SocketAddr, path: &str, headers: &[String]) -> u16 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET /{path} HTTP/1.1\r\n{}connection: close\r\n\r\n", headers.concat());
        // What is too long is not read to its end.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()[9..].parse().unwrap()
    }

    #[tokio::test]
    async fn a_head_has_so_many_headers_and_bytes_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let answer = |_| std::future::ready(response(200, "text/plain", String::new()));
        let serving = tokio::spawn(serve(listener, answer, stopped));
        let header = |length: usize| format!("x: {}\r\n", "y".repeat(length));
        let many = |count: usize| vec![header(1); count];
        assert_eq!(status(address, "", &many(99)).await, 200, "with `connection` a hundred");
        assert_eq!(status(address, "", &many(100)).await, 431);
        assert_eq!(status(address, "", &[header(60 << 10)]).await, 200);
        // It is counted between two readings.
        assert_eq!(status(address, "", &[header(128 << 10)]).await, 431);
        assert_eq!(status(address, &"p".repeat(128 << 10), &[]).await, 431);
        stop.send_replace(true);
        serving.await.unwrap();
    }

    /// Time goes on as soon as everybody waits.
    #[tokio::test(start_paused = true)]
    async fn a_head_takes_fifteen_seconds_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_stop, stopped) = watch::channel(false);
        let answer = |_| std::future::ready(response(200, "text/plain", String::new()));
        tokio::spawn(serve(listener, answer, stopped));
        let began = tokio::time::Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HT").await.unwrap();
        let mut rest = Vec::new();
        // It is hung up, with or without a word.
        let _ = stream.read_to_end(&mut rest).await;
        assert!((15..17).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }
}
