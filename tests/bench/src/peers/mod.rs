//! The peers, each used as its own documentation says and with its fastest variant; where one cannot be shared by
//! itself, it is behind a lock, and its name says so.

mod backon;
mod by_hand;
mod failsafe;
mod governor;
mod leaky_bucket;
mod ratelimit;
mod recloser;
mod reliakit;
mod seatbelt;
mod tokio;
mod tokio_retry2;
mod tower;
mod tower_resilience;

use core::cell::Cell;
use core::ops::AsyncFn;
use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use ::tokio::runtime::{Builder, Runtime};
use ::tower::{Service, ServiceExt};

use crate::entry::sure;
use crate::{Entry, Work};

/// Failures in a row that open a breaker.
const IN_A_ROW: u32 = 5;
/// Outcomes that a window holds; half of them have to be failures.
const WINDOW: usize = 100;
const MINIMUM: u32 = 20;
const HOUR: Duration = Duration::from_hours(1);

/// Tokens per second, and in the bucket.
const TOKENS: u32 = 1_000_000_000;
const PLACES: usize = 1_000;

const SECOND: Duration = Duration::from_secs(1);
/// Of a delay: the first and the largest.
const DELAYS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];
/// The same around a call.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];
const ATTEMPTS: u32 = 3;
/// Delays of one schedule, after which the next one begins.
const SCHEDULE: u64 = 8;

const OVER_CAP: &str = "jitter comes after the cap: delays of up to twice the cap";

pub(crate) fn entries() -> Vec<Entry> {
    [
        failsafe::entries,
        recloser::entries,
        reliakit::entries,
        seatbelt::entries,
        tower_resilience::entries,
        tower::entries,
        tokio::entries,
        governor::entries,
        leaky_bucket::entries,
        ratelimit::entries,
        backon::entries,
        tokio_retry2::entries,
        by_hand::entries,
    ]
    .into_iter()
    .flat_map(|entries| entries())
    .collect()
}

/// What a configuration of constants gives.
fn valid<T, E: core::fmt::Debug>(built: Result<T, E>) -> T {
    match built {
        Ok(built) => built,
        Err(error) => unreachable!("constant: {error:?}"),
    }
}

/// The outcomes that the windows judge: whether this call fails.
const fn fails(call: u64) -> bool {
    call % 100 == 99
}

/// One that awaits a `machine` of which there is one; it is told the number of the call.
fn awaited<M: Send + Sync + 'static>(
    work: Work,
    who: &'static str,
    machine: M,
    once: impl AsyncFn(&M, u64) + Send + Sync + 'static,
) -> Entry {
    let future = size_of_val(&once(&machine, 0));
    Entry::looped(work, who, move |times| {
        crate::entry::block_on(async {
            for call in 0..times {
                once(&machine, call).await;
            }
        });
    })
    .with_future(future)
}

/// A service of tower that succeeds.
fn served<S>(work: Work, who: &'static str, service: S) -> Entry
where
    S: Service<(), Response: 'static, Error: 'static> + Clone + Send + 'static,
{
    answered(work, who, service, |_| (), Result::is_ok)
}

/// A service of tower with an answer that is expected. Each thread has a clone, as is usual there.
fn answered<R, S>(
    work: Work,
    who: &'static str,
    service: S,
    request: impl Fn(u64) -> R + Send + Sync + 'static,
    expected: impl Fn(&Result<S::Response, S::Error>) -> bool + Send + Sync + 'static,
) -> Entry
where
    S: Service<R> + Clone + Send + 'static,
{
    let once = async move |service: &mut S, call| {
        let answer = match service.ready().await {
            Ok(ready) => ready.call(request(call)).await,
            Err(error) => Err(error),
        };
        sure(expected(&answer));
    };
    let future = size_of_val(&once(&mut service.clone(), 0));
    let service = Mutex::new(service);
    Entry::looped(work, who, move |times| {
        let mut service = service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        crate::entry::block_on(async {
            for call in 0..times {
                once(&mut service, call).await;
            }
        });
    })
    .with_future(future)
}

/// Where background tasks of a peer live.
fn background() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| valid(Builder::new_multi_thread().worker_threads(1).enable_time().build()));
    &RUNTIME
}

thread_local! {
    static TICK: Cell<u64> = const { Cell::new(0) };
}

/// A clock that costs nothing and goes on by 10 ns per question, as the one that fusebox is given: its nanoseconds.
fn tick() -> u64 {
    let now = TICK.get();
    TICK.set(now + 10);
    now
}

/// One that is `ticked` by its thread's clock.
fn ticked(work: Work, who: &'static str, once: impl Fn() + Send + Sync + 'static) -> Entry {
    let ticks = AtomicU64::new(0);
    Entry::looped(work, who, move |times| {
        TICK.set(10 * ticks.fetch_add(times, Ordering::Relaxed));
        (0..times).for_each(|_| once());
    })
}
