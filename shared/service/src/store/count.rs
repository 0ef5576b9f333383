//! How many requests went to the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::config::interceptors::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

use crate::tally::{Counts, Tally};

/// Counts each request that the SDK is about to send, repetitions included, and how it was answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Count(Arc<(AtomicU64, Tally)>);

impl Count {
    pub(super) fn get(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    pub(super) fn answers(&self) -> Counts {
        self.0.1.counts()
    }

    /// One that the SDK does not send.
    #[cfg(feature = "simulation")]
    pub(super) fn one(&self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Intercept for Count {
    fn name(&self) -> &'static str {
        "count of requests"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.1.answered(context.response().map(|answer| answer.status().as_u16()));
        Ok(())
    }
}
