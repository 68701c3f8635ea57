//! More keys, more machines.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::hint::black_box;

use fusebox::entropy::nth;
use fusebox::{BreakerConfig, Consecutive, Instant, LeanQuota, Outcome, SharedGate, checked, sync};
use fusebox_drive::KeyedLimiter;
use fusebox_tokio::ShardedKeyed;

use crate::curve::{Curve, Point};

/// Up to a million.
const SIZES: [u32; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
const CALLS: u32 = 20_000;

/// None is ever full again, and none is ever empty.
const QUOTA: LeanQuota = checked!(checked!(LeanQuota::per_second(1)).with_burst(u32::MAX));
const BREAKER: BreakerConfig<Consecutive> = checked!(BreakerConfig::builder(checked!(Consecutive::new(5))).build());

/// The standard one, but without its random seed, so that counts are the same on every run.
type Hashing = BuildHasherDefault<DefaultHasher>;
type Breakers = Vec<sync::Breaker<Consecutive>>;

pub(crate) fn curves() -> Vec<Curve> {
    // How many bytes they take per key: as documented, as seen with a million of them, as it is.
    let (lean, sharded, breaker) = (20, 52, size_of::<sync::Breaker<Consecutive>>());
    vec![
        curve("`KeyedLimiter`", limiter, |limiter: &KeyedLimiter<u64, Hashing>, number, now| {
            limiter.try_acquire(&key(number), now).is_ok()
        }),
        floor(lean),
        curve("`ShardedKeyed`", table, |table: &ShardedKeyed<u64, LeanQuota, Hashing>, number, now| {
            table.try_acquire(&key(number), now).is_ok()
        }),
        floor(sharded),
        curve("`sync::Breaker`s", breakers, |breakers: &Breakers, number, now| {
            let Some(breaker) = breakers.get(number as usize) else { return false };
            let permit = breaker.try_acquire(now);
            permit.map(|permit| breaker.release(black_box(permit), Outcome::Success, now)).is_ok()
        }),
        floor(breaker),
    ]
}

/// Different for each, and in no order.
fn key(number: u32) -> u64 {
    u64::from(nth(1, number)) << 32 | u64::from(number)
}

fn limiter(keys: u32) -> KeyedLimiter<u64, Hashing> {
    match KeyedLimiter::with_hasher(QUOTA, keys as usize, Hashing::default()) {
        Ok(limiter) => limiter,
        Err(error) => unreachable!("constant: {error}"),
    }
}

/// Half as many places again, as its documentation says.
fn table(keys: u32) -> ShardedKeyed<u64, LeanQuota, Hashing> {
    match ShardedKeyed::builder(QUOTA, (keys + keys.div_ceil(2)) as usize).hasher(Hashing::default()).build() {
        Ok(table) => table,
        Err(error) => unreachable!("constant: {error}"),
    }
}

fn breakers(keys: u32) -> Breakers {
    (0..keys).map(|_| sync::Breaker::new(BREAKER)).collect()
}

/// Calls for one of the keys after the other, in a pseudo-random order; each has been called before.
fn curve<T: 'static>(
    name: &str,
    make: impl Fn(u32) -> T + Copy + 'static,
    call: impl Fn(&T, u32, Instant) -> bool + Copy + 'static,
) -> Curve {
    let sure = move |table: &T, number, now| {
        if !call(table, number, now) {
            unreachable!("refused");
        }
    };
    let points = SIZES.map(|keys| {
        Point::lasting(keys, CALLS, move || {
            let table = make(keys);
            (0..keys).for_each(|number| sure(&table, number, Instant::EPOCH));
            let mut calls = 0;
            move || {
                for call in calls..calls + CALLS {
                    sure(&table, pick(nth(2, call), keys), Instant::from_nanos(10 * u64::from(call)));
                }
                calls += CALLS;
            }
        })
    });
    Curve::new(name, points)
}

/// Loads out of as much memory, each after the one before: what a call waits for if its key is in no cache.
fn floor(bytes: usize) -> Curve {
    let points = SIZES.map(|keys| {
        Point::lasting(keys, CALLS, move || {
            // Not of zeros: those would all be the system's one page of them.
            let words: Vec<u32> = vec![1; (bytes * keys as usize).div_ceil(size_of::<u32>())];
            let (mut calls, mut loaded) = (0, 1);
            move || {
                let many = u32::try_from(words.len()).unwrap_or(u32::MAX);
                for call in calls..calls + CALLS {
                    loaded = words.get(pick(nth(loaded, call), many) as usize).copied().unwrap_or_default();
                }
                calls += CALLS;
                black_box(loaded);
            }
        })
    });
    Curve::floor(format!("a load out of {bytes} bytes each"), points)
}

/// Below `of`.
fn pick(entropy: u32, of: u32) -> u32 {
    ((u64::from(entropy) * u64::from(of)) >> 32) as u32
}
