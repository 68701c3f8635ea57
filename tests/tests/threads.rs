//! Pipelines are shared by tasks on many threads: their futures can be sent, and the bounds hold under contention.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fusebox::{Breaker, BreakerConfig, Consecutive, Instant, Quota, RetryPolicy, State, TokenBucket};

fn breaker(threshold: u32) -> Breaker<Consecutive> {
    Breaker::new(BreakerConfig::builder(Consecutive::new(threshold).unwrap()).build().unwrap())
}

fn bucket(burst: u32) -> TokenBucket {
    TokenBucket::new(Quota::new(1, Duration::from_secs(3_600)).unwrap().with_burst(burst).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_is_never_exceeded() {
    let pipeline = Arc::new(fusebox_tokio::pipeline((breaker(5), bucket(100)), RetryPolicy::ONCE));
    let ran = Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let (pipeline, ran) = (pipeline.clone(), ran.clone());
            tokio::spawn(async move {
                let count = |_| async {
                    ran.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Ok::<_, ()>(())
                };
                pipeline.call(count).await.is_ok()
            })
        })
        .collect();
    let mut good = 0;
    for task in tasks {
        good += u32::from(task.await.unwrap());
    }
    assert_eq!((good, ran.load(Ordering::Relaxed)), (100, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_in_line_are_served_by_their_deadline() {
    let quota = Quota::per_second(2_000).unwrap().with_burst(1).unwrap();
    let retry = RetryPolicy::builder().attempts(1).deadline(Duration::from_secs(60)).wait_for_gates().build().unwrap();
    let pipeline = Arc::new(fusebox_tokio::fair_pipeline(TokenBucket::new(quota), retry));
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let pipeline = pipeline.clone();
            tokio::spawn(async move { pipeline.call(|_| async { Ok::<_, ()>(()) }).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dead_callee_trips_once_and_is_left_alone() {
    let pipeline = Arc::new(fusebox_tokio::pipeline(breaker(3), RetryPolicy::ONCE));
    let called = Arc::new(AtomicU32::new(0));
    for _ in 0..50 {
        let (pipeline, called) = (pipeline.clone(), called.clone());
        let call = tokio::spawn(async move {
            pipeline
                .call(|_| async {
                    called.fetch_add(1, Ordering::Relaxed);
                    Err::<(), _>("dead")
                })
                .await
        });
        assert!(call.await.unwrap().is_err());
    }
    let snapshot = pipeline.gate().with(|breaker| breaker.snapshot(Instant::MAX));
    assert_eq!((snapshot.state, snapshot.trips, snapshot.refused), (State::Open, 1, 47));
    assert_eq!(called.load(Ordering::Relaxed), 3);
}
