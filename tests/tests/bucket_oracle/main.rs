//! Law: a token bucket grants never more than burst + rate x elapsed over any interval, and hardly less.
//!
//! The [model] is an exact list of what was used and when, in whole units of token x period (`u128`, no rounding): over
//! every interval from one use to another, tokens x period <= burst x period + count x elapsed. A reservation is used
//! when it is ready. Elapsed time is counted forwards only: a clock that steps back gives nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]
#![allow(missing_docs, clippy::struct_excessive_bools, reason = "what may happen in a history is that")]

mod histories;
mod model;
mod quota;
mod rate;
mod refund;
mod several;

use std::time::Duration;

use fusebox::{Gate, Instant, Quota, Reason, Rejected, TokenBucket, Weighted};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
/// How far back a `now` is taken for a call that comes late, and how much less than the latest one is known.
const LATE: u64 = SECOND;

/// Count, period in nanoseconds, burst.
type Numbers = (u32, u64, u32);

const QUOTAS: &[Numbers] = &[
    (1, DAY, 1),
    (1, DAY, 30),
    (5, 3_600 * SECOND, 7),
    (1, SECOND, 1),
    (3, SECOND, 3),
    (7, SECOND, 50),
    (1_000, 60 * SECOND, 1),
    (999_983, SECOND, 2),
    (1_000_000, SECOND, 64),
    (999_999_937, SECOND, 5),
    (1_000_000_000, SECOND, 1),
    (1_000_000_000, SECOND, 1_000),
    (u32::MAX, 10 * SECOND, 40),
];

fn quota(&(count, period, burst): &Numbers) -> Quota {
    Quota::new(count, Duration::from_nanos(period)).unwrap().with_burst(burst).unwrap()
}

fn bucket(numbers: &Numbers) -> TokenBucket {
    TokenBucket::new(quota(numbers))
}

fn at(now: u64) -> Instant {
    Instant::from_nanos(now)
}

fn refill(&(count, period, burst): &Numbers) -> u64 {
    u64::try_from((u128::from(period) * u128::from(burst)).div_ceil(u128::from(count))).unwrap()
}

/// How many tokens could be taken now: found by asking, and what the bucket says itself.
fn available<C>(limiter: &fusebox::Limiter<C>, burst: u32, now: u64) -> u32
where
    C: Weighted<State: Clone> + Clone,
{
    let (mut can, mut cannot) = (0, burst + 1);
    while cannot - can > 1 {
        let middle = can + (cannot - can) / 2;
        if limiter.clone().try_acquire_n(middle, at(now)).is_ok() {
            can = middle;
        } else {
            cannot = middle;
        }
    }
    assert_eq!(limiter.available(at(now)), can);
    can
}

/// A refusal must name the right instant, and one that is not beyond `longest`.
fn check_honest<C>(limiter: &fusebox::Limiter<C>, n: u32, now: u64, refused: Rejected, longest: u64) -> u64
where
    C: Weighted<State: Clone> + Clone + std::fmt::Debug,
{
    assert_eq!(refused.reason, Reason::RateLimited);
    let kind = limiter.kind();
    let retry_at = refused.retry_at.unwrap().as_nanos();
    assert!(retry_at > now && retry_at - now <= longest, "{kind:?}: {now} to {retry_at}");
    assert!(limiter.clone().try_acquire_n(n, at(retry_at - 1)).is_err(), "{kind:?}: too late");
    assert!(limiter.clone().try_acquire_n(n, at(retry_at)).is_ok(), "{kind:?}: too early");
    retry_at
}

#[test]
fn more_than_the_burst_is_refused_for_ever() {
    for numbers in QUOTAS {
        let mut real = bucket(numbers);
        for now in [0, 1, DAY, u64::MAX - 1] {
            let never = Rejected { reason: Reason::OverBurst, retry_at: None };
            for n in [numbers.2 + 1, u32::MAX] {
                assert_eq!(real.try_acquire_n(n, at(now)).unwrap_err(), never);
                assert_eq!(real.reserve(n, at(now)).unwrap_err(), never);
            }
        }
    }
}

/// At the end of time nothing is granted twice, no wait helps, and nothing panics.
#[test]
fn the_end_of_time() {
    for numbers in QUOTAS {
        let mut real = bucket(numbers);
        let burst = numbers.2;
        drop(real.try_acquire_n(burst, Instant::MAX).unwrap());
        let refused = real.try_acquire(Instant::MAX).unwrap_err();
        assert_eq!((refused.reason, refused.retry_at), (Reason::RateLimited, None));
        assert_eq!(real.reserve(1, Instant::MAX).unwrap_err().retry_at, None);
        // The same a nanosecond before there is nothing left to wait for.
        let mut real = bucket(numbers);
        drop(real.try_acquire_n(burst, at(u64::MAX - 2)).unwrap());
        let refused = real.try_acquire(at(u64::MAX - 2)).unwrap_err();
        let cell = refill(numbers).div_ceil(burst.into());
        assert_eq!(refused.retry_at.is_some(), cell <= 1, "{numbers:?}");
    }
}
