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

/// The operations that write items. Every other one reads them, but for those on whole tables.
const WRITES: [&str; 4] = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];
const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "Scan"];

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
        match operation {
            Some(operation) if WRITES.contains(&operation) => drop(self.writes.inc()),
            Some(operation) if READS.contains(&operation) => drop(self.reads.inc()),
            _ => {}
        }
        Ok(())
    }
}
