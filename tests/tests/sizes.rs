//! Bytes of the machines, of permits and of a call's future: a budget that grows only on purpose.
#![allow(missing_docs)]

use fusebox::health::{self, Health};
use fusebox::idempotency::{self, Idempotency};
use fusebox::outlier::EndpointPermit;
use fusebox::{
    AdaptiveLimit, AdaptiveRate, Aimd, Backoff, Breaker, BreakerConfig, BreakerState, Bulkhead, ClassBulkhead,
    ConcurrencyBudget, Consecutive, CountWindow, Ewma, FailureRate, Faults, Gradient2, Hedge, HedgePolicy, Instant,
    Keyed, KeyedPermit, Ladder, LatencySketch, LeanQuota, LeasedBulkhead, LevelingQueue, Outliers, Quota, Quotas,
    Retry, RetryBudget, RetryPolicy, Schedule, Throttle, TimeWindow, TokenBucket, WaitQueue, WarmUp, adaptive_rate,
    breaker, bucket, hedge, recovery, sync,
};

macro_rules! sizes {
    ($($type:ty: $bytes:expr,)*) => {
        $(
            println!("{:<40} {}", stringify!($type), size_of::<$type>());
            assert_eq!(size_of::<$type>(), $bytes, stringify!($type));
        )*
    };
}

#[test]
fn bytes() {
    sizes! {
        Option<Instant>: 8,
        BreakerState<Consecutive>: 80,
        BreakerState<FailureRate<CountWindow<4>>>: 104,
        BreakerState<FailureRate<TimeWindow<10>>>: 184,
        BreakerState<Ewma>: 112,
        BreakerConfig<Consecutive>: 128,
        Breaker<Consecutive>: 208,
        Breaker<Consecutive, 8>: 320,
        sync::Breaker<Consecutive>: 248,
        breaker::Permit: 16,
        KeyedPermit<breaker::Permit>: 24,
        Keyed<u32, BreakerConfig<Consecutive>, 8>: 1008,
        Outliers<10>: 592,
        EndpointPermit: 8,
        Quota: 72,
        TokenBucket: 120,
        WarmUp: 96,
        Quotas<2>: 144,
        Bulkhead: 16,
        sync::Bulkhead: 64,
        LeasedBulkhead<4>: 96,
        ClassBulkhead<3>: 88,
        WaitQueue<4>: 96,
        RetryBudget: 288,
        ConcurrencyBudget: 20,
        Throttle: 144,
        AdaptiveLimit<Aimd>: 232,
        AdaptiveLimit<Gradient2>: 288,
        AdaptiveRate: 136,
        adaptive_rate::Permit: 12,
        LevelingQueue<u32, 8>: 608,
        Health<4>: 376,
        health::Component: 40,
        health::Pulse: 56,
        Idempotency<u32, u32, 8>: 384,
        idempotency::Permit: 16,
        Ladder<u8, 4>: 288,
        recovery::Turn<u8>: 24,
        Faults<2>: 136,
        bucket::Tokens: 16,
        LeanQuota: 24,
        bucket::LeanState: 8,
        bucket::LeanTokens: 16,
        LatencySketch: 896,
        Backoff: 56,
        Schedule: 16,
        RetryPolicy: 120,
        HedgePolicy<2>: 64,
        Hedge<'static, 2, hedge::Fixed>: 96,
        Retry<'static>: 80,
    }
}

#[test]
fn a_calls_future() {
    let pipeline = fusebox_tokio::pipeline((), RetryPolicy::ONCE);
    let bytes = size_of_val(&pipeline.call(|_| async { Ok::<(), ()>(()) }));
    println!("future of a tokio pipeline's call: {bytes}");
    assert!(bytes <= 400, "{bytes}");
}
