//! What a deterministic simulation puts in the place of sockets, of the clock and of chance (feature `simulation`; no
//! program that is shipped has it).
//!
//! A simulation runs on one thread, so clock and chance are the thread's. Deadlines and waits are tokio's, whose
//! clock the simulation pauses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemError, BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::delete_item::{DeleteItemError, DeleteItemInput, DeleteItemOutput};
use aws_sdk_dynamodb::operation::get_item::{GetItemError, GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryError, QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{
    TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput,
};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemInput, UpdateItemOutput};
use google_cloud_compute_v1::client::{InstanceTemplates, Instances, Regions, ZoneOperations};
use jiff::Timestamp;

use crate::secret::Secret;

/// A future of an answer.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// GitHub's or Proxmox's answer.
pub type HttpAnswer = Result<hyper::Response<Vec<u8>>, NoAnswer>;

/// Why a request brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// There was no connection: it was not sent.
    NotSent,
    /// The connection ended before the answer did.
    Lost,
}

/// Takes HTTP requests.
pub trait Http: Debug + Send + Sync {
    /// The answer, or none; it may never come.
    fn answer(&self, request: reqwest::Request) -> Answering<'_, HttpAnswer>;
}

/// What one of the table's calls answers.
pub type TableAnswer<'a, T, E> = Answering<'a, Result<T, SdkError<E, HttpResponse>>>;

/// A DynamoDB table.
#[expect(missing_docs, reason = "they are DynamoDB's calls")]
pub trait Table: Debug + Send + Sync {
    fn get(&self, input: GetItemInput) -> TableAnswer<'_, GetItemOutput, GetItemError>;
    fn put(&self, input: PutItemInput) -> TableAnswer<'_, PutItemOutput, PutItemError>;
    fn update(&self, input: UpdateItemInput) -> TableAnswer<'_, UpdateItemOutput, UpdateItemError>;
    fn delete(&self, input: DeleteItemInput) -> TableAnswer<'_, DeleteItemOutput, DeleteItemError>;
    fn query(&self, input: QueryInput) -> TableAnswer<'_, QueryOutput, QueryError>;
    fn batch_get(&self, input: BatchGetItemInput) -> TableAnswer<'_, BatchGetItemOutput, BatchGetItemError>;
    fn transact(
        &self,
        input: TransactWriteItemsInput,
    ) -> TableAnswer<'_, TransactWriteItemsOutput, TransactWriteItemsError>;
}

/// Google's clients, answered by the simulation.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "they are Compute Engine's services")]
pub struct Compute {
    pub instances: Instances,
    pub operations: ZoneOperations,
    pub regions: Regions,
    pub templates: InstanceTemplates,
}

/// All that is outside of one Mayfly.
#[derive(Debug, Clone)]
pub struct Outside {
    /// GitHub.
    pub github: Arc<dyn Http>,
    /// Every Proxmox cluster.
    pub proxmox: Arc<dyn Http>,
    /// Compute Engine, whichever project.
    pub compute: Compute,
    /// The table.
    pub table: Arc<dyn Table>,
    /// A client that sends nothing, to write requests with; shared, since making one takes long.
    pub dynamodb: aws_sdk_dynamodb::Client,
}

thread_local! {
    static CLOCK: Cell<Option<fn() -> Timestamp>> = const { Cell::new(None) };
    static CHANCE: Cell<Option<fn() -> u64>> = const { Cell::new(None) };
    static SECRETS: RefCell<BTreeMap<String, Secret>> = const { RefCell::new(BTreeMap::new()) };
}

/// Gives this thread another clock and another source of chance.
pub fn begin(clock: fn() -> Timestamp, chance: fn() -> u64) {
    CLOCK.set(Some(clock));
    CHANCE.set(Some(chance));
}

/// Gives this thread an environment variable that holds a secret.
pub fn set_secret(variable: &str, secret: &str) {
    SECRETS.with_borrow_mut(|secrets| secrets.insert(variable.to_owned(), Secret::new(secret)));
}

pub(crate) fn now() -> Option<Timestamp> {
    CLOCK.get().map(|clock| clock())
}

pub(crate) fn bits() -> Option<u64> {
    CHANCE.get().map(|chance| chance())
}

pub(crate) fn secret(variable: &str) -> Option<String> {
    SECRETS.with_borrow(|secrets| secrets.get(variable).map(|secret| secret.expose().to_owned()))
}

/// Writes requests, and sends none. One for the process: making one takes long.
pub(crate) fn writer() -> Result<reqwest::Client, reqwest::Error> {
    static WRITER: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(writer) = WRITER.get() {
        return Ok(writer.clone());
    }
    let made = reqwest::Client::builder().no_proxy().build()?;
    Ok(WRITER.get_or_init(|| made).clone())
}

/// Sends a request, within its own time limit. As with reqwest the limit is looked at first: what was frozen for longer on
/// the way to its first byte is not sent any more.
pub(crate) async fn execute(
    http: &dyn Http,
    request: reqwest::Request,
) -> Result<reqwest::Response, Unanswered> {
    let limit = request.timeout().copied();
    let answer = http.answer(request);
    let answer = match limit {
        Some(limit) => tokio::select! {
            biased;
            () = tokio::time::sleep(limit) => return Err(Unanswered::TimedOut),
            answer = answer => answer,
        },
        None => answer.await,
    };
    match answer {
        Ok(answer) => Ok(answer.into()),
        Err(NoAnswer::NotSent) => Err(Unanswered::NotSent),
        Err(NoAnswer::Lost) => Err(Unanswered::Lost),
    }
}

/// What became of a request that [`execute`] got no answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    NotSent,
    Lost,
    TimedOut,
}
