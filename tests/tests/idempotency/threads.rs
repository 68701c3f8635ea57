//! Many tasks on real threads: each effect once, and nobody waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fusebox_drive::idempotent::{IdempotentError, Origin, Unfinished};
use fusebox_tokio::{Idempotent, idempotent};

use super::suite::{A, Failed};
use super::*;

const TASKS: u32 = 8;
const KEYS: u32 = 1_500;

/// Leases that no test survives: who is not woken waits too long.
fn for_ever() -> IdempotencyConfig {
    IdempotencyConfig::builder().lease(Duration::from_secs(3_600)).ttl(Duration::from_secs(3_600)).build().unwrap()
}

fn counters() -> Arc<Vec<AtomicU32>> {
    Arc::new((0..KEYS).map(|_| AtomicU32::new(0)).collect())
}

fn on_threads<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), future).await.unwrap() })
}

/// Every task asks for every key. Every other attempt fails; some are cut off.
fn storm(fails: bool, aborts: bool) -> Vec<u32> {
    let calls: Arc<Idempotent<u32, u32, { KEYS as usize }>> =
        Arc::new(idempotent(for_ever()).with_on_drop(Unfinished::Free));
    let (attempts, done) = (counters(), counters());
    let task = |number: u32| {
        let (calls, attempts, done) = (Arc::clone(&calls), Arc::clone(&attempts), Arc::clone(&done));
        async move {
            for key in 0..KEYS {
                let at = key as usize;
                let operation = || async {
                    let attempt = attempts[at].fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    tokio::task::yield_now().await;
                    if fails && attempt % 2 == 0 {
                        return Err(Failed);
                    }
                    done[at].fetch_add(1, Ordering::SeqCst);
                    Ok(key + 1_000)
                };
                let call = calls.call(&key, A, operation);
                let answer = if aborts && (key + number).is_multiple_of(3) {
                    // Dropped after its second poll, in the middle of the operation if it runs.
                    tokio::select! { biased; answer = call => answer, () = tokio::task::yield_now() => continue }
                } else {
                    call.await
                };
                match answer {
                    Ok(answer) => {
                        assert_eq!(answer.value, key + 1_000);
                        assert!(matches!(answer.origin, Origin::Ran | Origin::Stored | Origin::Shared));
                    }
                    Err(error) => assert_eq!(error, IdempotentError::Operation(Failed)),
                }
            }
        }
    };
    on_threads(async {
        let tasks: Vec<_> = (0..TASKS).map(|number| tokio::spawn(task(number))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(calls.store().with(|table| table.snapshot().in_flight), 0);
    done.iter().map(|done| done.load(Ordering::SeqCst)).collect()
}

#[test]
fn each_effect_once() {
    assert!(storm(false, false).iter().all(|done| *done == 1));
}

#[test]
fn each_effect_once_though_every_other_attempt_fails() {
    assert!(storm(true, false).iter().all(|done| *done == 1));
}

#[test]
fn each_effect_once_though_some_are_cut_off() {
    assert!(storm(true, true).iter().all(|done| *done == 1));
}

#[test]
fn each_effect_once_on_async_std() {
    let calls = Arc::new(fusebox_async_std::idempotent::<u32, u32, 300>(for_ever()));
    let done: Arc<Vec<_>> = Arc::new((0..300).map(|_| AtomicU32::new(0)).collect());
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (calls, done) = (Arc::clone(&calls), Arc::clone(&done));
            async_std::task::spawn(async move {
                for key in 0..300 {
                    let operation = || async {
                        async_std::task::yield_now().await;
                        done[key as usize].fetch_add(1, Ordering::SeqCst);
                        Ok::<_, Failed>(key)
                    };
                    assert_eq!(calls.call(&key, A, operation).await.unwrap().value, key);
                }
            })
        })
        .collect();
    async_std::task::block_on(async {
        for task in tasks {
            task.await;
        }
    });
    assert!(done.iter().all(|done| done.load(Ordering::SeqCst) == 1));
}
