//! The bucket of one word by itself.

use std::time::Duration;

use fusebox::{Gate, GateKind, LeanQuota, Limiter, Quota, Reason, TokenBucket};
use fusebox_tests::Dice;

use crate::{SECOND, at};

/// Count and period in nanoseconds; of a token's time in nanoseconds, none but the last two make a whole number of units.
const RATES: [(u32, u64); 10] = [
    (1, 86_400 * SECOND),
    (10, SECOND),
    (1, 1),
    (1_000, 60 * SECOND),
    (128_000_000, SECOND),
    (8, 9),
    (256, 257),
    (1_000_000, SECOND),
    (3, SECOND),
    (249_999, SECOND),
];
const EXACT: usize = 8;

/// A wait of any size, mostly such that the bucket is neither full nor empty.
fn wait(dice: &mut Dice, (count, period): (u32, u64)) -> u64 {
    match dice.below(4) {
        0 => 0,
        1 => dice.below(5),
        2 => dice.below(3 * period / u64::from(count) + 2),
        _ => dice.below(period.min(20 * SECOND)),
    }
}

/// Where nothing is rounded, it has the answers of the bucket of 48 bytes.
#[test]
fn as_quota_where_a_token_takes_whole_units() {
    for (seed, &rate) in (0..).zip(&RATES[..EXACT]) {
        let (mut granted, mut refused) = (0, 0);
        for burst in [1, 2, 7, 1_000] {
            let period = Duration::from_nanos(rate.1);
            let mut lean = Limiter::new(LeanQuota::new(rate.0, period).unwrap().with_burst(burst).unwrap());
            let mut exact = TokenBucket::new(Quota::new(rate.0, period).unwrap().with_burst(burst).unwrap());
            let (mut dice, mut now) = (Dice::new(seed), SECOND);
            for _ in 0..5_000 {
                now += wait(&mut dice, rate);
                let most = if dice.one_in(3) { burst + 2 } else { 2 };
                let n = dice.below(most);
                assert_eq!(lean.available(at(now)), exact.available(at(now)), "{lean:?} {exact:?} {now}");
                match (lean.try_acquire_n(n, at(now)), exact.try_acquire_n(n, at(now))) {
                    (Ok(own), Ok(tokens)) if dice.one_in(4) => {
                        lean.cancel(own, at(now));
                        exact.cancel(tokens, at(now));
                    }
                    (own, tokens) => {
                        assert_eq!(own.as_ref().err(), tokens.as_ref().err(), "{lean:?} {exact:?} {now}");
                        (granted, refused) = (granted + u32::from(own.is_ok()), refused + u32::from(own.is_err()));
                    }
                }
            }
        }
        assert!(granted > 100 && refused > 100, "{rate:?}: {granted} {refused}");
    }
}

/// By the times of the calls, in whatever order they come, as long as the clock does not step back.
#[test]
fn never_more_than_burst_and_rate() {
    for (seed, &rate) in (0..).zip(&RATES) {
        let (count, period) = (u128::from(rate.0), u128::from(rate.1));
        for burst in [1, 3, 100] {
            let quota = LeanQuota::new(rate.0, Duration::from_nanos(rate.1)).unwrap().with_burst(burst).unwrap();
            let (mut bucket, mut dice, mut now) = (Limiter::new(quota), Dice::new(seed), 10 * SECOND);
            let mut grants = vec![];
            for _ in 0..400 {
                now += wait(&mut dice, rate);
                let late = if dice.one_in(2) { 0 } else { dice.below((2 * rate.1).min(SECOND)) };
                let n = if dice.one_in(8) { burst } else { 1 };
                if bucket.try_acquire_n(n, at(now - late)).is_ok() {
                    grants.push((now - late, n));
                }
            }
            assert!(grants.len() > 30, "{quota:?}");
            grants.sort_unstable();
            for from in 0..grants.len() {
                let mut sum = 0;
                for &(end, n) in &grants[from..] {
                    sum += u128::from(n);
                    let elapsed = u128::from(end - grants[from].0);
                    assert!(sum * period <= u128::from(burst) * period + count * elapsed, "{quota:?}");
                }
            }
        }
    }
}

/// A caller who always asks when told to has the whole rate, but for a millionth, and no more.
#[test]
fn the_long_run_rate() {
    for (count, period) in RATES {
        let quota = LeanQuota::new(count, Duration::from_nanos(period)).unwrap().with_burst(2).unwrap();
        let (mut bucket, mut now, mut granted) = (Limiter::new(quota), SECOND, 0_u128);
        for _ in 0..200_000 {
            match bucket.try_acquire(at(now)) {
                Ok(_) => granted += 1,
                Err(refused) => now = refused.retry_at.unwrap().as_nanos(),
            }
        }
        // In tokens times periods: not rounded.
        let (count, period) = (u128::from(count), u128::from(period));
        let (most, granted) = (2 * period + count * u128::from(now - SECOND), granted * period);
        assert!(granted <= most, "{count} in {period}");
        assert!(most - granted <= 3 * period + most / 1_000_000, "{count} in {period}: {granted} of {most}");
    }
}

#[test]
fn taken_since_or_not() {
    let quota = LeanQuota::per_second(2).unwrap();
    let mut bucket = Limiter::new(quota);
    let first = bucket.try_acquire(at(0)).unwrap();
    let second = bucket.try_acquire(at(0)).unwrap();
    bucket.cancel(first, at(0));
    assert_eq!(bucket.available(at(0)), 0, "somebody took one since");
    bucket.cancel(second, at(1));
    assert_eq!(bucket.available(at(1)), 1);
    let none = bucket.try_acquire_n(0, at(1)).unwrap();
    bucket.cancel(none, at(1));
    assert_eq!(bucket.available(at(1)), 1);
}

/// A step back of less than a second is of a call that comes late; of more, it empties the bucket, which gives nothing.
#[test]
fn a_clock_that_steps_back() {
    let quota = LeanQuota::per_second(10).unwrap();
    let longest = quota.longest_refusal();
    for step in [0, 1, SECOND / 2, SECOND, SECOND + 1, 2 * SECOND, 3_000 * SECOND] {
        for taken in 0..=10 {
            let mut bucket = Limiter::new(quota);
            let now = 4_000 * SECOND;
            let _ = bucket.try_acquire_n(taken, at(now)).unwrap();
            let now = now - step;
            assert!(bucket.available(at(now)) <= 10 - taken || taken == 0);
            let Err(refused) = bucket.try_acquire_n(10, at(now)) else { continue };
            let retry_at = refused.retry_at.unwrap();
            assert_eq!(refused.reason, Reason::RateLimited);
            assert!(retry_at.nanos_since(at(now)) <= longest, "{step} {taken}: {retry_at:?}");
            assert!(bucket.try_acquire_n(10, at(retry_at.as_nanos() - 1)).is_err());
            assert!(bucket.try_acquire_n(10, retry_at).is_ok(), "{step} {taken}");
        }
    }
}

#[test]
fn at_rest() {
    for rate in RATES {
        let quota = LeanQuota::new(rate.0, Duration::from_nanos(rate.1)).unwrap().with_burst(5).unwrap();
        let (mut state, mut dice, mut now) = (LeanQuota::FRESH, Dice::new(1), SECOND);
        assert_eq!(quota.rests_in(&mut state, at(now)), i64::MIN);
        for _ in 0..1_000 {
            now += wait(&mut dice, rate);
            let _ = quota.try_acquire(&mut state, at(now));
            let rests_in = quota.rests_in(&mut state, at(now));
            let full = now + u64::try_from(rests_in).unwrap();
            if let Some(rests_at) = quota.rests_at(&state) {
                assert_eq!(rests_at, at(full));
            }
            assert!(Limiter::new(quota).available(at(full)) == 5);
            for (then, rests_in) in [(full - 1, 1), (full, 0), (full + 1, -1), (full + SECOND, -1_000_000_000)] {
                assert_eq!(quota.rests_in(&mut state, at(then)), rests_in);
            }
        }
    }
    // As far apart as instants can be.
    let quota = LeanQuota::per_second(1).unwrap();
    let mut state = LeanQuota::FRESH;
    let _ = quota.try_acquire(&mut state, at(0)).unwrap();
    assert_eq!(quota.rests_in(&mut state, at(SECOND + (1 << 63))), i64::MIN);
}
