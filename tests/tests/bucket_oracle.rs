//! Law: a token bucket grants never more than burst + rate x elapsed over any interval, and hardly less.
//!
//! The model is an exact list of what was granted and not cancelled, in whole units of token x period (`u128`, no
//! rounding): over every interval that starts at a grant, tokens x period <= burst x period + count x elapsed.
//! Elapsed time is counted forwards only: a clock that steps back gives nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]

use std::time::Duration;

use fusebox::bucket::Tokens;
use fusebox::entropy::nth;
use fusebox::{Gate, Instant, Outcome, Quota, Reason, Rejected, TokenBucket};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Count, period in nanoseconds, burst.
const QUOTAS: &[(u32, u64, u32)] = &[
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

fn bucket(&(count, period, burst): &(u32, u64, u32)) -> TokenBucket {
    TokenBucket::new(Quota::new(count, Duration::from_nanos(period)).unwrap().with_burst(burst).unwrap())
}

fn at(now: u64) -> Instant {
    Instant::from_nanos(now)
}

fn refill(&(count, period, burst): &(u32, u64, u32)) -> u64 {
    u64::try_from((u128::from(period) * u128::from(burst)).div_ceil(u128::from(count))).unwrap()
}

struct Dice(u32, u32);

impl Dice {
    fn draw(&mut self) -> u32 {
        self.1 = self.1.wrapping_add(1);
        nth(self.0, self.1)
    }

    fn below(&mut self, n: u64) -> u64 {
        ((u64::from(self.draw()) << 32) | u64::from(self.draw())) % n
    }
}

/// A grant that still counts.
struct Grant {
    id: u32,
    /// In time that only goes forwards.
    time: u128,
    tokens: u128,
}

/// The exact list of grants.
struct Model {
    count: u128,
    period: u128,
    burst: u128,
    grants: Vec<Grant>,
}

impl Model {
    fn new(&(count, period, burst): &(u32, u64, u32)) -> Self {
        Self { count: count.into(), period: period.into(), burst: burst.into(), grants: vec![] }
    }

    /// The most that any interval which ends now has over its rate, in tokens x period: at most burst x period.
    fn debt(&self, time: u128) -> u128 {
        let (mut tokens, mut worst) = (0, 0);
        for grant in self.grants.iter().rev() {
            tokens += grant.tokens;
            worst = worst.max((tokens * self.period).saturating_sub(self.count * (time - grant.time)));
        }
        worst
    }

    /// All pairs: each interval from a grant to a later one.
    fn check_all(&self, quota: &(u32, u64, u32)) {
        for (i, first) in self.grants.iter().enumerate() {
            let mut tokens = 0;
            for last in &self.grants[i..] {
                tokens += last.tokens;
                let bound = self.burst * self.period + self.count * (last.time - first.time);
                assert!(tokens * self.period <= bound, "{quota:?}: {tokens} tokens from {}", first.time);
            }
        }
    }
}

/// How many tokens could be taken now.
fn available(bucket: &TokenBucket, now: u64) -> u32 {
    let (mut can, mut cannot) = (0, bucket.quota().burst() + 1);
    while cannot - can > 1 {
        let middle = can + (cannot - can) / 2;
        if bucket.clone().try_acquire_n(middle, at(now)).is_ok() {
            can = middle;
        } else {
            cannot = middle;
        }
    }
    can
}

/// A refusal must name the right instant, and one that is not beyond a full refill.
fn check_honest(bucket: &TokenBucket, n: u32, now: u64, refused: Rejected, quota: &(u32, u64, u32)) -> u64 {
    assert_eq!(refused.reason, Reason::RateLimited);
    let retry_at = refused.retry_at.unwrap().as_nanos();
    assert!(retry_at > now && retry_at - now <= refill(quota) + 1, "{quota:?}: {now} to {retry_at}");
    assert!(bucket.clone().try_acquire_n(n, at(retry_at - 1)).is_err(), "{quota:?}: too late");
    assert!(bucket.clone().try_acquire_n(n, at(retry_at)).is_ok(), "{quota:?}: too early");
    retry_at
}

/// One random history; how many grants, refusals and cancels.
fn run(quota: &(u32, u64, u32), seed: u32, operations: u32, cancels: bool, backwards: bool) -> [u32; 3] {
    let (mut real, mut model, mut dice) = (bucket(quota), Model::new(quota), Dice(seed, 0));
    let (mut now, mut time) = (DAY, 0_u128);
    let mut held: Vec<(u32, Tokens)> = vec![];
    let (full, burst) = (refill(quota), u64::from(quota.2));
    let mut tally = [0; 3];
    for id in 0..operations {
        let n = u32::try_from(if dice.below(3) == 0 { dice.below(burst + 1) } else { 1 }).unwrap();
        let mut forward = 0;
        match dice.below(20) {
            0..=9 => match real.try_acquire_n(n, at(now)) {
                Ok(tokens) => {
                    tally[0] += 1;
                    model.grants.push(Grant { id, time, tokens: n.into() });
                    held.push((id, tokens));
                    let debt = model.debt(time);
                    assert!(debt <= model.burst * model.period, "{quota:?}, seed {seed}, operation {id}: {n} too many");
                }
                Err(refused) => {
                    tally[1] += 1;
                    let retry_at = check_honest(&real, n, now, refused, quota);
                    if !cancels && !backwards {
                        // No stricter than it must be: two nanoseconds cover the rounding of cells and instants.
                        let over = model.debt(time) + u128::from(n) * model.period + 2 * model.count;
                        assert!(over > model.burst * model.period, "{quota:?}, operation {id}: {n} would have fitted");
                    }
                    if dice.below(3) == 0 {
                        forward = retry_at - now;
                    }
                }
            },
            10..=13 if cancels && !held.is_empty() => {
                tally[2] += 1;
                let which = usize::try_from(dice.below(held.len() as u64)).unwrap();
                let (id, tokens) = held.swap_remove(which);
                let before = available(&real, now);
                real.cancel(tokens, at(now));
                assert!(available(&real, now) >= before, "a cancel took tokens");
                model.grants.retain(|grant| grant.id != id);
            }
            14 => forward = dice.below(full * 2),
            15..=18 => forward = dice.below(full / burst * 2 + 2),
            19 if backwards => {
                let before = available(&real, now);
                let most = if dice.below(2) == 0 { full * 2 } else { now + 1 };
                now = now.saturating_sub(dice.below(most));
                assert!(available(&real, now) <= before, "{quota:?}: a step back gave tokens");
            }
            _ => {}
        }
        now += forward;
        time += u128::from(forward);
        if held.len() > 6 {
            let (_, tokens) = held.remove(0);
            real.release(tokens, Outcome::Success, at(now));
        }
        if model.grants.len() > 250 {
            model.check_all(quota);
            model.grants.drain(..100);
        }
    }
    model.check_all(quota);
    tally
}

fn run_all(operations: u32, cancels: bool, backwards: bool) {
    let mut total = [0; 3];
    for (n, quota) in (1..).zip(QUOTAS) {
        for seed in 0..4 {
            let tally = run(quota, n * 8 + seed, operations, cancels, backwards);
            total.iter_mut().zip(tally).for_each(|(sum, x)| *sum += x);
        }
    }
    println!("cancels {cancels}, clock steps back {backwards}: [granted, refused, cancelled] = {total:?}");
    let [granted, refused, cancelled] = total;
    assert!(granted > 3 * operations && refused > 3 * operations && (cancelled > 3 * operations || !cancels));
}

#[test]
fn never_more_and_hardly_less_than_the_quota() {
    run_all(4_000, false, false);
}

#[test]
fn never_more_than_the_quota_net_of_cancels() {
    run_all(3_000, true, false);
}

#[test]
fn a_clock_that_steps_back_gives_nothing_and_locks_for_one_refill_at_most() {
    run_all(3_000, false, true);
    run_all(3_000, true, true);
}

/// Who cancels at once, with nobody in between, leaves no trace.
#[test]
fn cancelling_at_once_undoes_all() {
    let mut dice = Dice(77, 0);
    for quota in QUOTAS {
        let (mut real, mut now) = (bucket(quota), 5_u64);
        for _ in 0..500 {
            now += dice.below(refill(quota) / u64::from(quota.2) * 2 + 2);
            let _spent = real.try_acquire(at(now));
            let (n, before) = (available(&real, now), available(&real, now));
            let next = real.clone().try_acquire_n(quota.2, at(now)).err();
            let tokens = real.try_acquire_n(n, at(now)).unwrap();
            assert_eq!(available(&real, now), 0, "{quota:?}");
            real.cancel(tokens, at(now));
            assert_eq!(available(&real, now), before, "{quota:?}");
            assert_eq!(real.clone().try_acquire_n(quota.2, at(now)).err(), next, "{quota:?}");
        }
    }
}

/// However many took and cancelled at once while tokens were held, those come back whole.
#[test]
fn those_who_left_no_trace_cost_nobody_anything() {
    let mut real = bucket(&(1, SECOND, 10));
    let reserved = real.try_acquire_n(5, at(0)).unwrap();
    for _ in 0..100 {
        let tokens = real.try_acquire_n(3, at(0)).unwrap();
        real.cancel(tokens, at(0));
    }
    real.cancel(reserved, at(0));
    assert_eq!(available(&real, 0), 10);
}

/// What was cancelled first must not make room for what is cancelled later: tokens that the bucket would have lost to
/// being full are lost.
#[test]
fn a_cancel_does_not_hide_what_others_took() {
    let mut real = bucket(&(1, SECOND, 10));
    let a = real.try_acquire_n(1, at(0)).unwrap();
    let b = real.try_acquire_n(5, at(0)).unwrap();
    real.cancel(a, at(0));
    let _c = real.try_acquire_n(5, at(4 * SECOND)).unwrap(); // without `a` and `b` it was full before
    real.cancel(b, at(4 * SECOND));
    assert_eq!(available(&real, 4 * SECOND), 5);
}

/// Nor must a clock that stepped back.
#[test]
fn a_step_back_does_not_hide_what_others_took() {
    let mut real = bucket(&(1, SECOND, 10));
    let a = real.try_acquire_n(10, at(1_000 * SECOND)).unwrap();
    assert_eq!(real.try_acquire(at(0)).unwrap_err().retry_at, Some(at(SECOND)));
    let _b = real.try_acquire_n(5, at(5 * SECOND)).unwrap();
    real.cancel(a, at(5 * SECOND));
    assert_eq!(available(&real, 5 * SECOND), 5);
}

/// A caller that comes back at each `retry_at` gets the quota's rate, to a part in a million.
///
/// With a burst of one there is nothing to make up with for an instant that is rounded up to a nanosecond, so each
/// grant may cost one more.
#[test]
fn the_long_run_rate_is_the_quota() {
    const GRANTS: u32 = 100_000;
    for quota in QUOTAS {
        let mut real = bucket(quota);
        let start = 3 * DAY;
        let mut now = start;
        for _ in 0..quota.2 {
            real.try_acquire(at(now)).map(drop).unwrap();
        }
        for _ in 0..GRANTS {
            now = real.try_acquire(at(now)).unwrap_err().retry_at.unwrap().as_nanos();
            real.try_acquire(at(now)).map(drop).unwrap();
        }
        let ideal = u128::from(GRANTS) * u128::from(quota.1);
        let took = u128::from(now - start) * u128::from(quota.0);
        assert!(took >= ideal, "{quota:?}: faster than the quota");
        let rounding = u128::from(quota.0) * if quota.2 == 1 { u128::from(GRANTS) } else { 1 };
        assert!(took - ideal <= ideal / 1_000_000 + rounding, "{quota:?}: {took} for {ideal}");
    }
}

/// Nor does rounding add up: 4e12 tokens, taken a whole burst at a time.
#[test]
fn the_rate_of_many_tokens_is_the_quota() {
    for (count, period) in
        [(999_999_937, SECOND), (1_000_000_000, SECOND), (u32::MAX, 10 * SECOND), (700_000_001, SECOND)]
    {
        let mut real = bucket(&(count, period, u32::MAX));
        let mut now = 0;
        real.try_acquire_n(u32::MAX, at(now)).map(drop).unwrap();
        for _ in 0..1_000 {
            now = real.try_acquire_n(u32::MAX, at(now)).unwrap_err().retry_at.unwrap().as_nanos();
            real.try_acquire_n(u32::MAX, at(now)).map(drop).unwrap();
        }
        let ideal = 1_000 * u128::from(u32::MAX) * u128::from(period);
        let took = u128::from(now) * u128::from(count);
        assert!(took >= ideal && took - ideal <= ideal / 1_000_000, "{count} in {period} ns: {took} for {ideal}");
    }
}

#[test]
fn more_than_the_burst_is_refused_for_ever() {
    for quota in QUOTAS {
        let mut real = bucket(quota);
        for now in [0, 1, DAY, u64::MAX - 1] {
            let never = Rejected { reason: Reason::OverBurst, retry_at: None };
            assert_eq!(real.try_acquire_n(quota.2 + 1, at(now)).unwrap_err(), never);
            assert_eq!(real.try_acquire_n(u32::MAX, at(now)).unwrap_err(), never);
        }
    }
}
