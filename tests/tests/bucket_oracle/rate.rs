//! Law: the long-run rate is the quota's, to a part in a million, from one a day to one a nanosecond.

use fusebox::Gate;

use super::{DAY, QUOTAS, SECOND, at, bucket};

/// A caller that comes back at each `retry_at` gets the quota's rate.
///
/// With a burst of one there is nothing to make up with for an instant that is rounded up to a nanosecond, so each
/// grant may cost one more.
#[test]
fn the_long_run_rate_is_the_quota() {
    const GRANTS: u32 = 100_000;
    for numbers in QUOTAS {
        let mut real = bucket(numbers);
        let start = 3 * DAY;
        let mut now = start;
        for _ in 0..numbers.2 {
            real.try_acquire(at(now)).map(drop).unwrap();
        }
        for _ in 0..GRANTS {
            now = real.try_acquire(at(now)).unwrap_err().retry_at.unwrap().as_nanos();
            real.try_acquire(at(now)).map(drop).unwrap();
        }
        let ideal = u128::from(GRANTS) * u128::from(numbers.1);
        let took = u128::from(now - start) * u128::from(numbers.0);
        assert!(took >= ideal, "{numbers:?}: faster than the quota");
        let rounding = u128::from(numbers.0) * if numbers.2 == 1 { u128::from(GRANTS) } else { 1 };
        assert!(took - ideal <= ideal / 1_000_000 + rounding, "{numbers:?}: {took} for {ideal}");
    }
}

/// Nor does rounding add up: 4e12 tokens, taken a whole burst at a time.
#[test]
fn the_rate_of_many_tokens_is_the_quota() {
    for (count, period) in [
        (999_999_937, SECOND),
        (1_000_000_000, SECOND),
        (u32::MAX, 10 * SECOND),
        (700_000_001, SECOND),
        (500_000_003, SECOND),
        (12_345_679, SECOND),
        (u32::MAX, 300 * DAY),
    ] {
        let mut real = bucket(&(count, period, u32::MAX));
        let mut now = 0;
        real.try_acquire_n(u32::MAX, at(now)).map(drop).unwrap();
        for _ in 0..100 {
            now = real.try_acquire_n(u32::MAX, at(now)).unwrap_err().retry_at.unwrap().as_nanos();
            real.try_acquire_n(u32::MAX, at(now)).map(drop).unwrap();
        }
        let ideal = 100 * u128::from(u32::MAX) * u128::from(period);
        let took = u128::from(now) * u128::from(count);
        assert!(took >= ideal && took - ideal <= ideal / 1_000_000, "{count} in {period} ns: {took} for {ideal}");
    }
}
