//! What passes to and from a DynamoDB endpoint, read off its HTTP/1.1 connections.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::background::lock;
use crate::tcp_proxy::Tap;

/// One request to the table that was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRequest {
    /// The operation, as `X-Amz-Target` names it: `TransactWriteItems`, `GetItem`, …
    pub operation: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The error's name for a status that is not 200 (`TransactionCanceledException`, …).
    pub error: Option<String>,
    /// Capacity units that the answer reports, over all tables; `None` if the request did not ask for them
    /// (`ReturnConsumedCapacity`).
    pub capacity_units: Option<f64>,
    /// When the answer was complete.
    pub answered_at: Instant,
    /// How long that was after the request was.
    pub took: Duration,
}

/// Requests summed up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// How many requests, by operation.
    pub requests: BTreeMap<String, u64>,
    /// Capacity units that reads reported.
    pub read_units: f64,
    /// Capacity units that writes reported.
    pub write_units: f64,
    /// Answers with status 200 that reported no capacity: with any of them the units above are too low.
    pub unreported: u64,
}

impl Usage {
    pub(crate) fn of(requests: &[TableRequest]) -> Self {
        let mut usage = Self::default();
        for request in requests {
            *usage.requests.entry(request.operation.clone()).or_default() += 1;
            let is_read = ["Get", "BatchGet", "TransactGet", "Query", "Scan"]
                .iter()
                .any(|prefix| request.operation.starts_with(prefix));
            match request.capacity_units {
                Some(units) if is_read => usage.read_units += units,
                Some(units) => usage.write_units += units,
                None => usage.unreported += u64::from(request.status == 200),
            }
        }
        usage
    }

    /// How many requests in all.
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }
}

/// Reads one connection's requests and answers.
pub(crate) struct ConnectionTap {
    state: Mutex<State>,
    requests: Arc<Mutex<Vec<TableRequest>>>,
}

#[derive(Default)]
struct State {
    sent: Splitter,
    received: Splitter,
    /// Operations whose answers are still to come, and since when: HTTP/1.1 answers in order.
    unanswered: VecDeque<(String, Instant)>,
}

impl ConnectionTap {
    pub(crate) fn new(requests: Arc<Mutex<Vec<TableRequest>>>) -> Self {
        Self { state: Mutex::default(), requests }
    }
}

impl Tap for ConnectionTap {
    fn sent(&self, bytes: &[u8]) {
        let state = &mut *lock(&self.state);
        for message in state.sent.take(bytes) {
            let target = message.header("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default();
            state.unanswered.push_back((operation.to_owned(), Instant::now()));
        }
    }

    fn received(&self, bytes: &[u8]) {
        let state = &mut *lock(&self.state);
        for message in state.received.take(bytes) {
            let Some((operation, asked_at)) = state.unanswered.pop_front() else { continue };
            let status = message.status();
            let body: Value = serde_json::from_slice(&message.body).unwrap_or_default();
            let error = body["__type"].as_str().filter(|_| status != 200);
            let error = error.map(|name| name.rsplit('#').next().unwrap_or(name).to_owned());
            let capacity_units = capacity_units(&body["ConsumedCapacity"]);
            let answered_at = Instant::now();
            let took = answered_at.saturating_duration_since(asked_at);
            let request = TableRequest { operation, status, error, capacity_units, answered_at, took };
            lock(&self.requests).push(request);
        }
    }
}

/// One table's figure, or the sum over a list of tables.
fn capacity_units(consumed: &Value) -> Option<f64> {
    match consumed.as_array() {
        Some(tables) => Some(tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum()),
        None => consumed["CapacityUnits"].as_f64(),
    }
}

/// Splits a stream of bytes into HTTP/1.1 messages with `content-length`, which both the AWS SDK and dynoxide send.
#[derive(Default)]
struct Splitter {
    buffer: Vec<u8>,
}

struct Message {
    head: String,
    body: Vec<u8>,
}

impl Splitter {
    /// The messages that these bytes complete.
    fn take(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.buffer.extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Some(message) = self.next() {
            messages.push(message);
        }
        messages
    }

    fn next(&mut self) -> Option<Message> {
        const END_OF_HEAD: &[u8] = b"\r\n\r\n";
        let head_end = self.buffer.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD)?;
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        let body_start = head_end + END_OF_HEAD.len();
        let mut message = Message { head, body: Vec::new() };
        let length: usize = message.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let body = self.buffer.get(body_start..body_start + length)?;
        message.body = body.to_vec();
        self.buffer.drain(..body_start + length);
        Some(message)
    }
}

impl Message {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The status of an answer; 0 if it has none.
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_however_the_bytes_arrive() {
        let requests: Arc<Mutex<Vec<TableRequest>>> = Arc::default();
        let tap = ConnectionTap::new(requests.clone());
        let request =
            b"POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.PutItem\r\nContent-Length: 2\r\n\r\n{}";
        let body = r#"{"ConsumedCapacity":[{"CapacityUnits":4.0},{"CapacityUnits":1.0}]}"#;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let refusal = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}"#;
        let refusal = format!("HTTP/1.1 400 Bad\r\ncontent-length: {}\r\n\r\n{refusal}", refusal.len());
        for byte in request.iter() {
            tap.sent(&[*byte]);
        }
        tap.sent(request);
        for byte in answer.bytes() {
            tap.received(&[byte]);
        }
        tap.received(refusal.as_bytes());
        let usage = Usage::of(&lock(&requests));
        assert_eq!(usage.requests, BTreeMap::from([("PutItem".to_owned(), 2)]));
        assert_eq!((usage.read_units, usage.write_units, usage.unreported), (0.0, 5.0, 0));
        assert_eq!(lock(&requests)[1].error.as_deref(), Some("ConditionalCheckFailedException"));
    }
}
