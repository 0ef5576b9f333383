//! The two pages that the browser sees: one that takes it to GitHub, and one that GitHub brings it back to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, REFERRER_POLICY};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// GitHub brings the browser back here.
pub const MADE: &str = "/made";
/// A browser has so long to send a request.
const HEAD_LONGEST: Duration = Duration::from_secs(15);
/// What a request's head may hold, the code that GitHub gave the browser included.
const HEAD_MOST: usize = 16 << 10;
/// So many connections are open at a time.
const CONNECTIONS_MOST: usize = 16;

/// A code, and whom to tell what came of it: where the App is installed, where that is what comes next; or why there is none.
pub type Code = (String, oneshot::Sender<Result<Option<String>, String>>);

/// What the pages are made of.
#[derive(Debug)]
pub struct Site {
    /// Where the form goes, without its query.
    pub action: String,
    /// The manifest, as JSON.
    pub manifest: String,
    /// The path of the page that takes the browser to GitHub. Nobody else knows it.
    pub path: String,
    /// Nobody else knows it: a code that comes without it is not of this form.
    pub state: String,
    pub codes: mpsc::Sender<Code>,
}

/// Serves until it is dropped; `connections` keeps those under way.
pub async fn serve(listener: &TcpListener, site: Arc<Site>, connections: &mut JoinSet<()>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while connections.len() >= CONNECTIONS_MOST {
            connections.join_next().await;
        }
        let (site, at) = (site.clone(), stream.local_addr());
        connections.spawn(async move {
            let Ok(at) = at else { return };
            let answer = service_fn(|request| {
                let site = site.clone();
                async move { Ok::<_, Infallible>(site.answer(&request, at).await) }
            });
            let mut http = http1::Builder::new();
            http.keep_alive(false)
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LONGEST)
                .max_buf_size(HEAD_MOST);
            // A browser that goes away is none of ours to tell of.
            _ = http.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

impl Site {
    async fn answer(&self, request: &Request<Incoming>, at: SocketAddr) -> Response<Full<Bytes>> {
        // A page from elsewhere could make its own name lead here, and read the state.
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if host != at.to_string() && host != format!("localhost:{}", at.port()) {
            return page(StatusCode::MISDIRECTED_REQUEST, "This address is not served here", "");
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, path) if path == self.path => page(StatusCode::OK, "On to GitHub …", &self.form()),
            (&Method::GET, MADE) => self.made(request.uri().query().unwrap_or_default()).await,
            _ => page(StatusCode::NOT_FOUND, "There is nothing here", ""),
        }
    }

    /// Posts the manifest to GitHub, at once where scripts may run.
    fn form(&self) -> String {
        let [action, manifest] = [format!("{}?state={}", self.action, self.state), self.manifest.clone()]
            .map(|text| escaped(&text));
        format!(
            "<form action=\"{action}\" method=\"post\"><input type=\"hidden\" name=\"manifest\" value=\"{manifest}\">\
             <button>Create the GitHub App</button></form><script>document.forms[0].submit()</script>"
        )
    }

    async fn made(&self, query: &str) -> Response<Full<Bytes>> {
        let value = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        let (Some(code), Some(state)) = (value("code"), value("state")) else {
            return page(StatusCode::BAD_REQUEST, "GitHub sent no code", "");
        };
        if state != self.state {
            return page(StatusCode::BAD_REQUEST, "This is not the answer to this command's question", "");
        }
        let (reply, told) = oneshot::channel();
        if self.codes.send((code.to_owned(), reply)).await.is_err() {
            return page(StatusCode::GONE, "The terminal says what came of it", "");
        }
        match told.await {
            Ok(Ok(install)) => {
                let next = match install {
                    Some(install) => format!("Now <a href=\"{}\">install it</a>.", escaped(&install)),
                    None => "What comes next is there, too.".to_owned(),
                };
                let text = format!("<p>Its secrets are where the command ran. {next}</p>");
                page(StatusCode::OK, "The App is made", &text)
            }
            Ok(Err(why)) => {
                page(StatusCode::BAD_GATEWAY, "It came to nothing", &format!("<p>{}</p>", escaped(&why)))
            }
            Err(_) => page(StatusCode::GONE, "The terminal says what came of it", ""),
        }
    }
}

fn page(status: StatusCode, title: &str, body: &str) -> Response<Full<Bytes>> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Mayfly</title><h1>{}</h1>{body}</html>",
        escaped(title)
    );
    let mut response = Response::new(Full::new(Bytes::from(html)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The address holds the code.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// What is answered to a request whose head begins so.
    async fn answered(head: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (codes, _coming) = mpsc::channel(1);
        let [action, manifest, path, state] =
            ["https://github.com", "{}", "/secret", "state"].map(str::to_owned);
        let site = Arc::new(Site { action, manifest, path, state, codes });
        tokio::spawn(async move { serve(&listener, site, &mut JoinSet::new()).await });
        let mut stream = TcpStream::connect(address).await.unwrap();
        // What is too long is not read to its end.
        let _ = stream.write_all(head).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_head_of_the_pages_has_sixteen_kib_and_no_more() {
        let head = |length: usize| format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "p".repeat(length));
        assert!(answered(head(15 << 10).as_bytes()).await.starts_with("HTTP/1.1 421"));
        assert!(answered(head(17 << 10).as_bytes()).await.starts_with("HTTP/1.1 431"));
    }

    /// Time goes on as soon as everybody waits.
    #[tokio::test(start_paused = true)]
    async fn a_browser_has_fifteen_seconds_for_its_request() {
        let began = tokio::time::Instant::now();
        answered(b"GET /secr").await;
        assert!((15..17).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }
}
