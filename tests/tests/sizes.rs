//! Bytes of the machines, of permits and of a call's future: a budget that grows only on purpose.
#![allow(missing_docs)]

use fusebox::{
    Backoff, Breaker, BreakerState, Consecutive, CountWindow, FailureRate, Instant, Quota, Retry, RetryPolicy,
    Schedule, TokenBucket, breaker, bucket,
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
        Breaker<Consecutive>: 152,
        Breaker<FailureRate<CountWindow<4>>>: 152,
        Breaker<Consecutive, 8>: 264,
        breaker::Permit: 16,
        Quota: 40,
        TokenBucket: 64,
        bucket::Tokens: 16,
        Backoff: 40,
        Schedule: 16,
        RetryPolicy: 88,
        Retry<'static>: 64,
    }
}

#[test]
fn a_calls_future() {
    let pipeline = fusebox_tokio::pipeline((), RetryPolicy::ONCE);
    let bytes = size_of_val(&pipeline.call(|_| async { Ok::<(), ()>(()) }));
    println!("future of a tokio pipeline's call: {bytes}");
    assert!(bytes <= 640, "{bytes}");
}
