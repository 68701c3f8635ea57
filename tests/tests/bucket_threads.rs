//! Law: however many threads ask the twin at once, no more is granted than the bound, and no less than it allows.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, RwLock};
use std::time::Duration;

use fusebox::entropy::nth;
use fusebox::{Instant, Outcome, Quota, Shared, SharedGate, TokenBucket, sync};

const SECOND: u64 = 1_000_000_000;
const THREADS: u32 = 4;

fn quota(count: u32, period: u64, burst: u32) -> Quota {
    Quota::new(count, Duration::from_nanos(period)).unwrap().with_burst(burst).unwrap()
}

/// Runs `each` on as many threads as there are, which begin together, with their numbers.
fn on_threads<T: Send>(each: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        let start = |thread| {
            let (each, barrier) = (&each, &barrier);
            scope.spawn(move || {
                barrier.wait();
                each(thread)
            })
        };
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// At one instant there is exactly the burst, whoever takes it.
#[test]
fn exactly_the_burst_at_one_instant() {
    for (round, burst) in [1, 2, 100, 9_999].into_iter().cycle().take(200).enumerate() {
        let bucket = sync::TokenBucket::new(quota(1, 3_600 * SECOND, burst));
        let now = Instant::from_secs(round as u64);
        let granted = on_threads(|_| {
            (0..10_000).take_while(|_| bucket.available(now) > 0).filter(|_| bucket.try_acquire(now).is_ok()).count()
        });
        assert_eq!(granted.iter().sum::<usize>(), burst as usize);
    }
}

/// A clock that all threads move on; each reads it before it asks, so calls come late.
fn asked_for_a_while(bucket: &(impl SharedGate + Sync), seed: u32) -> (u64, u64) {
    let clock = AtomicU64::new(100 * SECOND);
    let granted = on_threads(|thread| {
        let mut granted = 0;
        for n in 0..50_000 {
            let step = u64::from(nth(seed * THREADS + thread, n)) % 2_000;
            let now = Instant::from_nanos(clock.fetch_add(step, Ordering::Relaxed));
            if n % 1_000 == 0 {
                std::thread::yield_now();
            }
            granted += u64::from(bucket.try_acquire(now).is_ok());
        }
        granted
    });
    (granted.iter().sum(), clock.into_inner() - 100 * SECOND)
}

/// Over all the time, and so over no interval much less: what the bound gives, to what is left at the end.
#[test]
fn as_much_as_the_quota_gives() {
    for (seed, (count, burst)) in (0..).zip([(1_000_000, 1), (1_000, 7), (500_000, 64), (333_333, 1)]) {
        let bucket = sync::TokenBucket::new(quota(count, SECOND, burst));
        let (granted, elapsed) = asked_for_a_while(&bucket, seed);
        let bound = u64::from(burst) + u64::from(count) * elapsed / SECOND;
        println!("{count} a second, burst {burst}: {granted} of at most {bound}");
        assert!(granted <= bound && granted > bound / 4);
        // So it is with the plain one behind a lock.
        let bucket = Shared::new(Mutex::new(TokenBucket::new(quota(count, SECOND, burst))));
        let (granted, elapsed) = asked_for_a_while(&bucket, seed);
        assert!(granted <= u64::from(burst) + u64::from(count) * elapsed / SECOND);
    }
}

/// With everything else going on: what was taken and not given back keeps to the bound over every interval, if what is
/// given back does not come late. So who gives back is alone from its look at the clock on; or names a time that nobody
/// has seen yet.
#[test]
fn the_bound_holds_net_of_what_came_back() {
    let runs =
        [(100_000, 10, true), (1_000_000, 3, true), (2_000, 500, true), (1_000_000, 3, false), (2_000, 500, false)];
    for (seed, (count, burst, alone)) in (0..).zip(runs) {
        let bucket = sync::TokenBucket::new(quota(count, SECOND, burst));
        let clock = AtomicU64::new(100 * SECOND);
        let in_time = RwLock::new(());
        let uses = on_threads(|thread| {
            let (mut uses, mut held) = (vec![], vec![]);
            for n in 0..30_000 {
                let dice = nth(seed * THREADS + thread, n);
                let gives_back = dice >> 28 >= 9;
                let _alone = (alone && gives_back).then(|| in_time.write());
                let _together = (alone && !gives_back).then(|| in_time.read());
                let now = clock.fetch_add(u64::from(dice) % 3_000, Ordering::Relaxed);
                let at = Instant::from_nanos(now);
                let then = if alone { at } else { at.after(SECOND / 2) };
                match dice >> 28 {
                    0..=7 => {
                        if let Ok(tokens) = bucket.try_acquire_n(dice >> 20 & 3, at) {
                            held.push((now, tokens));
                        }
                    }
                    8 => {
                        let until = at.after(20_000);
                        if let Ok(reserved) = bucket.reserve_until(1, until, at) {
                            held.push((reserved.ready_at().as_nanos(), reserved.into_permit()));
                        }
                    }
                    9..=11 if !held.is_empty() => {
                        let (_, tokens) = held.swap_remove(dice as usize % held.len());
                        bucket.cancel(tokens, then);
                    }
                    12 if !held.is_empty() => {
                        let (since, tokens) = held.swap_remove(0);
                        let left = tokens.count() / 2;
                        bucket.settle(tokens, left, then);
                        uses.push((since, left));
                    }
                    _ => {}
                }
                if held.len() > 10 {
                    let (since, tokens) = held.remove(0);
                    uses.push((since, tokens.count()));
                    bucket.release(tokens, Outcome::Success, at);
                }
            }
            uses.extend(held.into_iter().map(|(since, tokens)| (since, tokens.count())));
            uses
        });
        let mut uses: Vec<_> = uses.into_iter().flatten().collect();
        uses.sort_unstable();
        check(&uses, count, SECOND, burst);
    }
}

/// The slowest and the fastest quotas: between the rounds the clock moves by up to two tokens' time.
#[test]
fn from_one_a_day_to_one_a_nanosecond() {
    const DAY: u64 = 86_400 * SECOND;
    let quotas = [(1, DAY, 3), (7, DAY, 4), (1, SECOND, 5), (999_999_937, SECOND, 100), (1_000_000_000, SECOND, 7)];
    for (seed, (count, period, burst)) in (0..).zip(quotas) {
        let bucket = sync::TokenBucket::new(quota(count, period, burst));
        let (mut now, mut uses) = (100 * SECOND, vec![]);
        for round in 0..2_000 {
            now += u64::from(nth(seed, round)) % 8 * period.div_ceil(u64::from(count)) / 4;
            let at = Instant::from_nanos(now);
            let granted = on_threads(|_| (0..burst).filter(|_| bucket.try_acquire(at).is_ok()).count());
            uses.push((now, u32::try_from(granted.iter().sum::<usize>()).unwrap()));
        }
        check(&uses, count, period, burst);
        let granted: u64 = uses.iter().map(|(_, n)| u64::from(*n)).sum();
        let bound = u128::from(burst) + u128::from(now - uses[0].0) * u128::from(count) / u128::from(period);
        assert!(u128::from(granted) + 1 >= bound, "{count} in {period} ns: {granted} of {bound}");
    }
}

/// Every interval: the most that any one which ends at a use has over its rate.
fn check(uses: &[(u64, u32)], count: u32, period: u64, burst: u32) {
    let (mut debt, mut last, period) = (0_u128, 0, u128::from(period));
    for (at, n) in uses.iter().copied() {
        debt = debt.saturating_sub(u128::from(count) * u128::from(at - last)) + u128::from(n) * period;
        last = at;
        assert!(debt <= u128::from(burst) * period, "{count} in {period} ns, burst {burst}: {debt} at {at}");
    }
    println!("{} uses, {count} in {period} ns, burst {burst}", uses.len());
    assert!(uses.len() > 1_000);
}
