//! The gates by themselves; `now` is whatever the caller's clock said.

use core::num::NonZeroU32;
use core::time::Duration;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use ::fusebox::entropy::nth;
use ::fusebox::sync::sharded::{ShardedBulkhead, ShardedTokenBucket};
use ::fusebox::{
    Backoff, BreakerConfig, Consecutive, CountWindow, FailureRate, Instant, Jitter, Outcome, Quota, Schedule,
    SharedGate, checked, sync,
};

use crate::{Entry, Work};

pub(crate) const CONSECUTIVE: BreakerConfig<Consecutive> =
    checked!(BreakerConfig::builder(checked!(Consecutive::new(5))).open_for(Duration::from_hours(1)).build());

pub(crate) type Last100 = FailureRate<CountWindow<4>>;

pub(crate) const LAST_100: BreakerConfig<Last100> =
    checked!(BreakerConfig::builder(checked!(Last100::of_last(100, 500, 20))).build());

const PLACES: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

pub(crate) fn entries() -> Vec<Entry> {
    vec![closed(), window(), open(), token(), sharded_token(), bulkhead(), sharded_bulkhead(), delay()]
}

/// An instant the compiler does not know.
const fn now() -> Instant {
    black_box(Instant::from_secs(1))
}

fn closed() -> Entry {
    let breaker = sync::Breaker::new(CONSECUTIVE);
    Entry::new(Work::ClosedBreaker, "fusebox", move || {
        if let Ok(permit) = breaker.try_acquire(now()) {
            breaker.release(black_box(permit), Outcome::Success, now());
        }
    })
}

fn window() -> Entry {
    let breaker = sync::Breaker::new(LAST_100);
    Entry::looped(Work::WindowBreaker, "fusebox", move |times| {
        for call in 0..times {
            let outcome = if call % 100 == 99 { Outcome::Failure } else { Outcome::Success };
            if let Ok(permit) = breaker.try_acquire(now()) {
                breaker.release(black_box(permit), outcome, now());
            }
        }
    })
}

fn open() -> Entry {
    let breaker = sync::Breaker::new(CONSECUTIVE);
    breaker.trip(now());
    Entry::new(Work::OpenBreaker, "fusebox", move || {
        let _ = black_box(breaker.try_acquire(now()));
    })
}

/// A clock that goes on by 10 ns per question, so that there is always a token.
fn taken(who: &'static str, bucket: impl SharedGate + Send + Sync + 'static) -> Entry {
    let ticks = AtomicU64::new(0);
    Entry::looped(Work::Token, who, move |times| {
        let started = ticks.fetch_add(times, Ordering::Relaxed);
        for tick in started..started + times {
            let _ = black_box(bucket.try_acquire(Instant::from_nanos(tick * 10)));
        }
    })
}

fn token() -> Entry {
    let bucket = sync::TokenBucket::new(checked!(Quota::per_second(1_000_000_000)));
    taken("fusebox", bucket)
}

fn bulkhead() -> Entry {
    let bulkhead = sync::Bulkhead::new(PLACES);
    Entry::new(Work::Bulkhead, "fusebox", move || {
        if let Ok(permit) = bulkhead.try_acquire(now()) {
            bulkhead.release(black_box(permit), Outcome::Success, now());
        }
    })
}

/// The same, from shards that lease a thousand at a time.
fn sharded_token() -> Entry {
    let Ok(bucket) = ShardedTokenBucket::<4>::new(checked!(Quota::per_second(1_000_000_000)), 1_000) else {
        unreachable!("constant")
    };
    taken("fusebox, sharded", bucket)
}

fn sharded_bulkhead() -> Entry {
    let Ok(bulkhead) = ShardedBulkhead::<4>::new(PLACES.get()) else { unreachable!("constant") };
    Entry::new(Work::Bulkhead, "fusebox, sharded", move || {
        if let Ok(permit) = bulkhead.try_acquire(now()) {
            bulkhead.release(black_box(permit), Outcome::Success, now());
        }
    })
}

fn delay() -> Entry {
    let ms = Duration::from_millis;
    let Ok(backoff) = Backoff::exponential(ms(50), ms(5_000)) else { unreachable!("constant") };
    let backoff = backoff.with_jitter(Jitter::Full);
    Entry::looped(Work::Delay, "fusebox", move |times| {
        let mut schedule = Schedule::new();
        let seed = black_box(1);
        for call in 0..times {
            let attempt = u32::try_from(call % 8).unwrap_or(0);
            if attempt == 0 {
                schedule = Schedule::new();
            }
            black_box(backoff.next(&mut schedule, nth(seed, attempt)));
        }
    })
}
