//! Law: a bucket whose quota is changed while it runs grants, over any interval, no more than its burst at the beginning,
//! what each rate gave in its time, and what each change added to the burst; and keeps the share of the burst.

use std::time::Duration;

use fusebox::{Quota, TokenBucket};
use fusebox_tests::Dice;

use super::{SECOND, at};

/// All per second, so that sums are whole.
const NUMBERS: &[(u32, u32)] = &[(1, 1), (1, 10), (3, 3), (1_000, 7), (1_000_000, 500), (999_999_937, 5), (7, 1_000)];

fn quota((count, burst): (u32, u32)) -> Quota {
    Quota::per_second(count).unwrap().with_burst(burst).unwrap().with_max_wait(Duration::from_secs(5))
}

/// What was used, and how much rates and changes gave until then, in token x nanoseconds per second.
struct Used {
    burst: u32,
    given: u128,
    tokens: u128,
}

fn check(uses: &[Used]) {
    for (i, first) in uses.iter().enumerate() {
        let mut tokens = 0;
        for last in &uses[i..] {
            tokens += last.tokens;
            let bound = u128::from(first.burst) * u128::from(SECOND) + last.given - first.given;
            assert!(tokens * u128::from(SECOND) <= bound, "{tokens} in an interval");
        }
    }
}

#[test]
fn no_interval_has_more_than_either_rate_gives() {
    for seed in 0..60 {
        let mut dice = Dice::after(seed, 1);
        let bursts = if seed % 2 == 0 { [5, 5] } else { [3, 40] };
        let counts = [NUMBERS[seed as usize % 7].0, 1 + dice.below(1_000)];
        let mut which = 0;
        let mut real = TokenBucket::new(quota((counts[0], bursts[0])));
        let (mut now, mut given, mut uses) = (7 * SECOND, 0_u128, vec![]);
        for _ in 0..1_500 {
            let step = dice.below(2 * SECOND / u64::from(counts[which]) + 2);
            now += step;
            given += u128::from(step) * u128::from(counts[which]);
            match dice.below(12) {
                0 => {
                    which = 1 - which;
                    let grown = bursts[which].saturating_sub(bursts[1 - which]);
                    given += u128::from(grown) * u128::from(SECOND);
                    real.set_quota(quota((counts[which], bursts[which])), at(now));
                }
                1 => drop(real.drain(at(now))),
                _ => {}
            }
            let n = dice.below(bursts[which]) + 1;
            if real.try_acquire_n(n, at(now)).is_ok() {
                uses.push(Used { burst: bursts[which], given, tokens: n.into() });
            }
            if uses.len() > 120 {
                check(&uses);
                uses.drain(..60);
            }
        }
        check(&uses);
    }
}

/// Exact: the share of the burst that is missing, rounded up by at most a part in 2^31 and a nanosecond.
#[test]
fn the_share_is_kept() {
    let mut dice = Dice::after(3, 3);
    for from in NUMBERS {
        for to in NUMBERS {
            for _ in 0..20 {
                let mut real = TokenBucket::new(quota(*from));
                let now = 100 * SECOND + dice.below(SECOND);
                drop(real.try_acquire_n(dice.below(from.1 + 1), at(now)).unwrap());
                let later = now + dice.below(SECOND / u64::from(from.0) + 1);
                // How long until it is full, as shares of how long that can take.
                let missing = |bucket: &TokenBucket, (count, burst): (u32, u32)| {
                    let full = bucket.clone().try_acquire_n(burst, at(later)).err();
                    let wait = full.map_or(0, |full| full.retry_at.unwrap().as_nanos() - later);
                    let all = u128::from(burst) * u128::from(SECOND) / u128::from(count);
                    (u128::from(wait), all.max(1))
                };
                let (wait, all) = missing(&real, *from);
                real.set_quota(quota(*to), at(later));
                let (new_wait, new_all) = missing(&real, *to);
                let slack = 3 * (all + new_all) + ((all * new_all) >> 20);
                assert!((wait * new_all).abs_diff(new_wait * all) <= slack, "{from:?} to {to:?}: {wait} to {new_wait}");
            }
        }
    }
}

/// Reservations that are out keep their instants, also when the bucket shrinks or slows down.
#[test]
fn what_was_told_is_kept() {
    let mut dice = Dice::after(4, 4);
    for from in NUMBERS {
        for to in NUMBERS {
            let mut real = TokenBucket::new(quota(*from));
            let now = 100 * SECOND;
            drop(real.try_acquire_n(from.1, at(now)).unwrap());
            let line: Vec<_> = (0..4).filter_map(|_| real.reserve(dice.below(from.1) + 1, at(now)).ok()).collect();
            if line.is_empty() {
                continue;
            }
            let told = line.last().unwrap().ready_at();
            real.set_quota(quota(*to), at(now));
            let next = real.try_acquire_n(1, at(now)).unwrap_err().retry_at.unwrap();
            let cell = SECOND / u64::from(to.0);
            let after = next.as_nanos() - told.as_nanos();
            assert!(after >= cell && after <= cell + 2, "{from:?} to {to:?}: {after} after the last one");
        }
    }
}

/// Also when what is behind them has become less than a burst, because of what was cancelled before them.
#[test]
fn what_was_told_is_kept_by_a_bucket_that_is_not_in_debt() {
    use fusebox::Gate;
    let mut real = TokenBucket::new(quota((1, 10)));
    let begin = 100 * SECOND;
    drop(real.drain(at(begin)));
    let first = real.reserve(3, at(begin)).unwrap();
    let second = real.reserve(2, at(begin)).unwrap();
    assert_eq!(second.ready_at(), at(begin + 5 * SECOND));
    real.cancel(first.into_permit(), at(begin));
    let now = begin + 3 * SECOND;
    assert_eq!(real.available(at(now)), 1);
    real.set_quota(quota((2, 5)), at(now));
    // Two of the new burst are used two seconds from now, when there may be five.
    let next = real.try_acquire_n(5, at(now)).unwrap_err().retry_at.unwrap();
    assert_eq!(next, at(begin + 5 * SECOND + 5 * SECOND / 2));
}
