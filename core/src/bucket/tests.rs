use core::time::Duration;

use super::*;
use crate::{Gate, Reason};

fn bucket(count: u32, period_ms: u64, burst: u32) -> TokenBucket {
    TokenBucket::new(Quota::new(count, Duration::from_millis(period_ms)).unwrap().with_burst(burst).unwrap())
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

#[test]
fn more_than_the_burst_never_passes() {
    let mut b = bucket(10, 1_000, 5);
    let refused = b.try_acquire_n(6, at(0)).unwrap_err();
    assert_eq!(refused, Rejected { reason: Reason::OverBurst, retry_at: None });
    assert!(b.try_acquire_n(5, at(0)).is_ok());
}

#[test]
fn retry_at_is_exact() {
    let mut b = bucket(3, 1_000, 3); // a third of a second does not divide into nanoseconds
    drop(b.try_acquire_n(3, at(0)).unwrap());
    let retry_at = b.try_acquire_n(1, at(0)).unwrap_err().retry_at.unwrap();
    assert_eq!(retry_at.as_nanos(), 333_333_334);
    assert!(b.try_acquire_n(1, Instant::from_nanos(333_333_333)).is_err());
    assert!(b.try_acquire_n(1, retry_at).is_ok());
}

#[test]
fn zero_takes_nothing() {
    let mut b = bucket(1, 1_000, 1);
    for _ in 0..3 {
        let none = b.try_acquire_n(0, at(0)).unwrap();
        b.cancel(none, at(0));
    }
    assert!(b.try_acquire(at(0)).is_ok());
    assert!(b.try_acquire_n(0, at(0)).is_ok());
    assert!(b.try_acquire(at(0)).is_err());
}

#[test]
fn cancel_restores() {
    let mut b = bucket(10, 10_000, 10); // one a second
    let a = b.try_acquire_n(5, at(0)).unwrap();
    let other = b.try_acquire_n(1, at(0)).unwrap();
    b.cancel(a, at(0));
    assert!(b.try_acquire_n(10, at(0)).is_err());
    assert!(b.try_acquire_n(9, at(0)).is_ok());
    b.release(other, Outcome::Success, at(0));
}

#[test]
fn cancel_does_not_overfill() {
    let mut b = bucket(10, 10_000, 10);
    let a = b.try_acquire_n(5, at(0)).unwrap();
    let _other = b.try_acquire_n(1, at(4_000)).unwrap(); // the bucket held 9, now 8
    b.cancel(a, at(4_000)); // without `a` it would hold 9, not 13 or 10
    assert!(b.try_acquire_n(10, at(4_000)).is_err());
    assert!(b.try_acquire_n(9, at(4_000)).is_ok());
}

#[test]
fn a_clock_that_steps_back_changes_nothing() {
    let mut b = bucket(10, 10_000, 10);
    drop(b.try_acquire_n(9, at(1_000_000)).unwrap());
    assert_eq!(b.available(at(0)), 1);
    assert!(b.try_acquire(at(0)).is_ok());
    let refused = b.try_acquire(at(0)).unwrap_err();
    assert_eq!(refused.retry_at, Some(at(1_000)));
    assert!(b.try_acquire(at(1_000)).is_ok());
}

#[test]
fn a_call_that_comes_late_gives_nothing_twice() {
    let mut b = bucket(10, 10_000, 10);
    for round in 0..20 {
        // Each second call read the clock half a second before the first one.
        let _ = b.try_acquire_n(10, at(1_000_000 + round * 10));
        assert!(b.try_acquire_n(10, at(1_000_000 + round * 10 - 500)).is_err());
    }
    assert_eq!(b.available(at(1_000_999)), 0);
    assert_eq!(b.available(at(1_001_000)), 1);
}

#[test]
fn a_reservation_that_would_wait_for_too_long_takes_nothing() {
    let quota = Quota::per_second(1).unwrap().with_burst(2).unwrap().with_max_wait(Duration::from_secs(3));
    let mut b = TokenBucket::new(quota);
    let ready = [0, 0, 1, 2, 3].map(|_| b.reserve(1, at(0)).unwrap().ready_at());
    assert_eq!(ready, [0, 0, 1_000, 2_000, 3_000].map(at));
    let refused = b.reserve(1, at(0)).unwrap_err();
    assert_eq!((refused.reason, refused.retry_at), (Reason::RateLimited, Some(at(1_000))));
    assert_eq!(b.reserve(3, at(0)).unwrap_err().reason, Reason::OverBurst);
    // Who asks for use by an instant is told when to ask for use at once.
    assert_eq!(b.reserve_until(1, at(3_999), at(1_000)).unwrap_err().retry_at, Some(at(4_000)));
    assert_eq!(b.reserve_until(1, at(4_000), at(1_000)).unwrap().ready_at(), at(4_000));
    assert_eq!(b.reserve_until(1, at(4_000), at(4_001)).unwrap_err().retry_at, None);
}

#[test]
fn who_waits_behind_keeps_the_instant() {
    let quota = Quota::per_second(1).unwrap();
    let mut b = TokenBucket::new(quota);
    drop(b.try_acquire(at(0)).unwrap());
    let [first, second] = [b.reserve(1, at(0)).unwrap(), b.reserve(1, at(0)).unwrap()];
    assert_eq!((first.ready_at(), second.ready_at()), (at(1_000), at(2_000)));
    b.cancel(first.into_permit(), at(0));
    // The second is used at 2 s, so there is room at 1 s that nobody can be told of, and at 3 s.
    assert_eq!(b.try_acquire(at(1_000)).unwrap_err().retry_at, Some(at(3_000)));
    b.cancel(second.into_permit(), at(1_000));
    assert_eq!(b.try_acquire(at(1_000)).unwrap_err().retry_at, Some(at(2_000)));
}

#[test]
fn the_real_cost_is_settled() {
    let mut b = bucket(10, 10_000, 10);
    let tokens = b.try_acquire_n(8, at(0)).unwrap();
    b.settle(tokens, 3, at(0));
    assert_eq!(b.available(at(0)), 7);
    let tokens = b.try_acquire_n(2, at(0)).unwrap();
    b.settle(tokens, 20, at(0)); // 13 in debt
    assert_eq!(b.available(at(13_000)), 0);
    assert_eq!(b.available(at(14_000)), 1);
    let tokens = b.try_acquire(at(30_000)).unwrap();
    b.settle(tokens, u32::MAX, at(30_000));
    assert_eq!(b.try_acquire(at(30_000)).unwrap_err().retry_at, Some(at(91_000)), "a minute deep");
}

#[test]
fn a_pause_has_a_ceiling() {
    let quota = Quota::per_second(10).unwrap().with_max_hint(Duration::from_secs(5)).unwrap();
    let mut b = TokenBucket::new(quota.with_max_pause(Duration::from_secs(30)).unwrap());
    let tokens = b.drain(at(0));
    assert_eq!(tokens.count(), 10);
    b.release(tokens, Outcome::Unavailable { retry_at: Instant::MAX }, at(0));
    assert_eq!(b.try_acquire(at(1)).unwrap_err().retry_at, Some(at(5_000)));
    assert_eq!(b.available(at(4_999)), 0);
    assert_eq!(b.available(at(5_000)), 10, "it fills meanwhile");
    b.pause_until(Instant::MAX, at(6_000));
    b.pause_until(at(7_000), at(6_000));
    assert_eq!(b.try_acquire(at(6_000)).unwrap_err().retry_at, Some(at(36_000)));
    assert_eq!(b.reserve(1, at(6_000)).unwrap().ready_at(), at(36_000));
    assert_eq!(b.try_acquire(at(1_000)).unwrap_err().retry_at, Some(at(31_000)), "the clock stepped back");
    b.resume();
    assert!(b.try_acquire(at(31_000)).is_ok());
}

#[test]
fn a_new_quota_keeps_the_share() {
    let mut b = bucket(10, 10_000, 10);
    drop(b.try_acquire_n(4, at(0)).unwrap());
    b.set_quota(Quota::per_second(100).unwrap(), at(0));
    assert_eq!(b.available(at(0)), 59, "60 of 100, rounded down");
    let before = b.try_acquire_n(9, at(0)).unwrap();
    b.set_quota(Quota::per_second(10).unwrap(), at(0));
    assert_eq!(b.available(at(0)), 5);
    b.cancel(before, at(0));
    assert_eq!(b.available(at(0)), 5, "of another quota");
}

#[test]
fn a_new_quota_keeps_what_was_told() {
    let mut b = bucket(1, 1_000, 1);
    let told = [0, 1, 2].map(|_| b.reserve(1, at(0)).unwrap().ready_at());
    assert_eq!(told, [0, 1_000, 2_000].map(at));
    b.set_quota(Quota::per_second(2).unwrap().with_burst(1).unwrap(), at(0));
    assert_eq!(b.reserve(1, at(0)).unwrap().ready_at(), at(2_500));
}

#[test]
fn several_quotas_are_one() {
    let quota = |count, secs| Quota::new(count, Duration::from_secs(secs)).unwrap();
    let mut both = Limiter::new(Quotas::new([quota(2, 1), quota(3, 60)]));
    let first = both.try_acquire_n(2, at(0)).unwrap();
    assert_eq!(both.available(at(0)), 0);
    let later = both.reserve(2, at(0)).unwrap();
    assert_eq!(later.ready_at(), at(20_000));
    assert_eq!(both.try_acquire(at(19_000)).unwrap_err().retry_at, Some(at(40_000)));
    both.cancel(later.into_permit(), at(1_000));
    assert_eq!(both.available(at(1_000)), 1, "nothing is left of it in either");
    both.cancel(first, at(1_000));
    assert_eq!(both.available(at(1_000)), 2);
    assert_eq!(both.try_acquire_n(3, at(0)).unwrap_err().retry_at, None);
}

#[test]
fn the_end_of_time_is_no_panic() {
    let mut b = bucket(1, 1_000, 1);
    let _ = b.try_acquire(Instant::MAX);
    let _ = b.try_acquire(Instant::MAX);
    let tokens = b.try_acquire(Instant::EPOCH);
    if let Ok(tokens) = tokens {
        b.cancel(tokens, Instant::MAX);
    }
}

#[test]
fn size() {
    assert_eq!(size_of::<BucketState>(), 48);
    assert_eq!(size_of::<Tokens>(), 16);
}
