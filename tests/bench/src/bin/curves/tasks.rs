//! More tasks, more threads.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fusebox::{
    Backoff, BreakerConfig, Consecutive, Entropy, Instant, Jitter, NoBudget, Outcome, RetryPolicy, SharedGate, checked,
    sync,
};
use fusebox_drive::{Layers, NoTurns, Pipeline};
use fusebox_tokio::TokioTimer;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, yield_now};

use crate::curve::{Curve, Point};

const SIZES: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Of all tasks together.
const CALLS: u32 = 200_000;
/// Of all threads together: so many that starting 64 of them is little beside it.
const QUICK_CALLS: u32 = 4_000_000;

const BREAKER: BreakerConfig<Consecutive> = checked!(BreakerConfig::builder(checked!(Consecutive::new(5))).build());
const PLACES: NonZeroU32 = NonZeroU32::new(1_000).unwrap();
const POLICY: RetryPolicy = checked!(
    RetryPolicy::builder()
        .attempts(3)
        .backoff(
            checked!(Backoff::exponential(Duration::from_millis(50), Duration::from_millis(500)))
                .with_jitter(Jitter::Full)
        )
        .attempt_timeout(Duration::from_secs(1))
        .build()
);

pub(crate) fn curves() -> Vec<Curve> {
    let breaker = Arc::new(sync::Breaker::new(BREAKER));
    let count = Arc::new(AtomicU64::new(0));
    vec![
        Curve::new("a pipeline, tasks", SIZES.map(pipeline)),
        threads("a closed breaker, threads", move || {
            let now = black_box(Instant::EPOCH);
            if let Ok(permit) = breaker.try_acquire(now) {
                breaker.release(black_box(permit), Outcome::Success, now);
            }
        }),
        Curve {
            is_floor: true,
            ..threads("`fetch_add`, threads", move || {
                black_box(count.fetch_add(1, Ordering::AcqRel));
            })
        },
    ]
}

/// On two workers.
fn pipeline(tasks: u32) -> Point {
    Point::lasting(tasks, CALLS, move || {
        let layers = Layers {
            timer: TokioTimer::new(),
            call_gate: (),
            gate: (sync::Breaker::new(BREAKER), sync::Bulkhead::new(PLACES)),
            turns: NoTurns,
            budget: NoBudget,
            policy: POLICY,
            entropy: Entropy::new(1),
        };
        let (pipeline, runtime) = (Arc::new(Pipeline::of(layers)), runtime());
        move || {
            let mut all = JoinSet::new();
            for share in shares(CALLS, tasks) {
                let pipeline = Arc::clone(&pipeline);
                let calls = async move {
                    for call in 0..share {
                        if call % 64 == 0 {
                            yield_now().await;
                        }
                        let _ = black_box(pipeline.call(async |_| black_box(Ok::<u32, u32>(1))).await);
                    }
                };
                all.spawn_on(calls, runtime.handle());
            }
            runtime.block_on(async { while all.join_next().await.is_some() {} });
        }
    })
}

fn runtime() -> Runtime {
    match Builder::new_multi_thread().worker_threads(2).enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => unreachable!("a runtime without I/O: {error}"),
    }
}

fn threads(name: &str, once: impl Fn() + Clone + Send + Sync + 'static) -> Curve {
    let points = SIZES.map(|threads| {
        let once = once.clone();
        Point::lasting(threads, QUICK_CALLS, move || {
            let once = once.clone();
            move || {
                thread::scope(|scope| {
                    for share in shares(QUICK_CALLS, threads) {
                        let once = &once;
                        scope.spawn(move || (0..share).for_each(|_| once()));
                    }
                });
            }
        })
    });
    Curve::new(name, points)
}

/// As many parts, as even as can be.
#[expect(clippy::integer_division, reason = "what is left is one more for some")]
fn shares(of: u32, parts: u32) -> impl Iterator<Item = u32> {
    (0..parts).map(move |part| of / parts + u32::from(part < of % parts))
}
