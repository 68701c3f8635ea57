//! Whole calls, on tokio. A pipeline without gates is what it has of the others, so each layer is one.

use core::num::NonZeroU32;
use core::time::Duration;

use ::fusebox::sync::sharded::ShardedBulkhead;
use ::fusebox::{Backoff, Consecutive, Entropy, Jitter, NoBudget, Quota, RetryPolicy, SharedGate, checked, sync};
use fusebox_drive::{CoarseClock, Drive, Layers, NoTurns, Pipeline, Timer, TscClock, WithClock};
use fusebox_tokio::TokioTimer;

use super::gates::CONSECUTIVE;
use crate::floor::ready;
use crate::{Entry, Work};

const SECOND: Duration = Duration::from_secs(1);
const RETRY: RetryPolicy = checked!(
    RetryPolicy::builder()
        .attempts(3)
        .backoff(
            checked!(Backoff::exponential(Duration::from_millis(50), Duration::from_millis(500)))
                .with_jitter(Jitter::Full)
        )
        .build()
);
const TIMED: RetryPolicy = checked!(RetryPolicy::builder().attempts(1).attempt_timeout(SECOND).build());
const TIMED_RETRY: RetryPolicy = checked!(
    RetryPolicy::builder()
        .attempts(3)
        .backoff(
            checked!(Backoff::exponential(Duration::from_millis(50), Duration::from_millis(500)))
                .with_jitter(Jitter::Full)
        )
        .attempt_timeout(SECOND)
        .build()
);

pub(crate) fn entries() -> Vec<Entry> {
    let tokio = TokioTimer::new();
    let tsc = WithClock { clock: TscClock::new(), timer: tokio };
    let Ok(clock) = CoarseClock::every(Duration::from_millis(1)) else { unreachable!("one more thread") };
    let coarse = WithClock { clock, timer: tokio };
    let mut entries = with("fusebox", &tokio);
    entries.extend(with("fusebox, TSC clock", &tsc));
    entries.extend(with("fusebox, coarse clock", &coarse));
    let Ok(places) = ShardedBulkhead::<4>::new(PLACES.get()) else { unreachable!("constant") };
    let gates = (sync::Breaker::<Consecutive>::new(CONSECUTIVE), places);
    entries.push(entry(Work::Pipeline, "fusebox, coarse clock, sharded bulkhead", coarse, gates, TIMED_RETRY));
    entries
}

fn with<T: Timer + Clone + Send + Sync + 'static>(who: &'static str, timer: &T) -> Vec<Entry> {
    let (breaker, bulkhead) = (|| sync::Breaker::<Consecutive>::new(CONSECUTIVE), || sync::Bulkhead::new(PLACES));
    let bucket = sync::TokenBucket::new(checked!(Quota::per_second(1_000_000_000)));
    vec![
        entry(Work::Retry, who, timer.clone(), (), RETRY),
        entry(Work::Timeout, who, timer.clone(), (), TIMED),
        entry(Work::Pipeline, who, timer.clone(), (breaker(), bulkhead()), TIMED_RETRY),
        entry(Work::LimitedPipeline, who, timer.clone(), (breaker(), bucket, bulkhead()), TIMED_RETRY),
    ]
}

const PLACES: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

fn entry<T, G>(work: Work, who: &'static str, timer: T, gate: G, policy: RetryPolicy) -> Entry
where
    T: Timer + Send + Sync + 'static,
    G: SharedGate + Send + Sync + 'static,
    RetryPolicy: Drive,
{
    let layers =
        Layers { timer, call_gate: (), gate, turns: NoTurns, budget: NoBudget, policy, entropy: Entropy::new(1) };
    let pipeline = std::sync::Arc::new(Pipeline::of(layers));
    let future = size_of_val(&pipeline.call(|_| ready()));
    Entry::looped(work, who, move |times| {
        crate::entry::block_on(async {
            for _ in 0..times {
                let _ = std::hint::black_box(pipeline.call(|_| ready()).await);
            }
        });
    })
    .with_future(future)
}
