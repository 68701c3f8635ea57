//! Law: a call allocates nothing: neither when it succeeds at once, nor with retries, hedges, waits, refusals, a budget, and
//! gates of both kinds. Only what the runtime's timers do is theirs.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use fusebox::fallback::{Stale, When};
use fusebox::hedge::Quantile;
use fusebox::latency::{LatencyConfig, LatencySketch};
use fusebox::{
    Breaker, BreakerConfig, BudgetConfig, Clock, Consecutive, Entropy, HedgePolicy, Instant, LeasedBulkhead, Quota,
    RetryBudget, RetryPolicy, Shared, TokenBucket, sync,
};
use fusebox_drive::{Attempt, Fallback, Pipeline, Timer};

const MS: Duration = Duration::from_millis(1);

/// A clock that each sleep moves on.
#[derive(Debug, Default)]
struct Jumping(Cell<u64>);

impl Clock for Jumping {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.get())
    }
}

impl Timer for Jumping {
    type Sleep = std::future::Ready<()>;

    fn sleep_until(&self, deadline: Instant) -> Self::Sleep {
        self.0.set(self.0.get().max(deadline.as_nanos()));
        ready(())
    }
}

fn allocations(call: impl Future<Output = ()>) -> u64 {
    let mut call = pin!(call);
    let done = Cell::new(false);
    let info = measure(|| {
        done.set(matches!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(())));
    });
    assert!(done.get());
    info.count_total
}

type Gates = (Breaker<Consecutive>, TokenBucket, LeasedBulkhead<4>);

fn gates() -> Shared<Mutex<Gates>> {
    let breaker = BreakerConfig::builder(Consecutive::new(100).unwrap()).build().unwrap();
    let leased = fusebox::bulkhead::LeasedConfig::new(MS * 1_000).unwrap();
    let bucket = TokenBucket::new(Quota::per_second(20).unwrap());
    Shared::new(Mutex::new((Breaker::new(breaker), bucket, LeasedBulkhead::new(leased))))
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(async { drop(std::hint::black_box(Box::new(1))) }), 1);
}

#[test]
fn retries_allocate_nothing() {
    let timer = Jumping::default();
    let budget = Shared::new(RefCell::new(RetryBudget::<10>::new(BudgetConfig::builder().build().unwrap())));
    let policy = RetryPolicy::builder().attempts(3).attempt_timeout(MS).deadline(MS * 10_000).wait_for_gates();
    let pipeline = Pipeline::builder(&timer, Entropy::new(1))
        .gate_per_call(sync::Bulkhead::new(4.try_into().unwrap()))
        .retry(policy.build().unwrap())
        .gate(gates())
        .line(fusebox_tokio::FairTurns::new())
        .budget(&budget)
        .build()
        .unwrap();
    let last = Shared::new(RefCell::new(Stale::new(MS * 60_000).unwrap()));
    let calls = async {
        for n in 0..100_u16 {
            let answer = pipeline.call(|attempt: Attempt| async move {
                match (n % 4, attempt.number) {
                    (1, 1) => Err("no"),
                    (2, 1) => pending().await, // times out
                    (3, _) => Err("never"),
                    _ => Ok(n),
                }
            });
            let served = Fallback::from(answer.await).or_stale(When::ANY, &last, &timer).served().unwrap();
            assert_eq!(served.is_fresh(), n % 4 != 3);
        }
    };
    assert_eq!(allocations(calls), 0);
}

#[test]
fn hedges_allocate_nothing() {
    let timer = Jumping::default();
    let latencies = Shared::new(RefCell::new(LatencySketch::new(LatencyConfig::DEFAULT)));
    let policy = HedgePolicy::<3>::builder(MS).deadline(MS * 1_000).build().unwrap();
    let policy = policy.measured(Quantile::new(900).unwrap(), &latencies);
    let pipeline = Pipeline::builder(&timer, Entropy::new(1)).hedge(policy).gate(gates()).build().unwrap();
    let calls = async {
        let mut late = 0;
        for _ in 0..20 {
            let answer = pipeline.call(|attempt: Attempt| async move {
                if attempt.number < 3 { pending().await } else { Ok::<_, ()>(attempt.number) }
            });
            late += u32::from(answer.await == Ok(3));
        }
        assert!(late > 0);
    };
    assert_eq!(allocations(calls), 0);
}
