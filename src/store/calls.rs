//! Counts the calls to DynamoDB.

use std::sync::atomic::AtomicU64;

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use prometheus_client::metrics::counter::Counter;

/// How many calls were sent, every attempt counted. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    /// Those that read.
    pub reads: Counter<u64, AtomicU64>,
    /// Those that write.
    pub writes: Counter<u64, AtomicU64>,
}

/// The header that names the operation, for example `DynamoDB_20120810.GetItem`
/// ([low-level API](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html)).
const TARGET: &str = "x-amz-target";

/// The operations of this program that write items.
const WRITES: [&str; 4] = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = context.request().headers().get(TARGET).and_then(|target| target.rsplit('.').next());
        let is_write = operation.is_some_and(|operation| WRITES.contains(&operation));
        if is_write { &self.writes } else { &self.reads }.inc();
        Ok(())
    }
}
