//! Law: every gate's refusals are honest, whatever happened to it before. At `retry_at` it grants if nobody else came
//! and nothing was given back; a nanosecond before it does not; without a `retry_at` no time helps.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::num::NonZeroU32;
use std::time::Duration;

use fusebox::budget::ConcurrencyBudget;
use fusebox::bulkhead::LeasedConfig;
use fusebox::{
    AdaptiveConfig, AdaptiveLimit, AdaptiveRate, AdaptiveRateConfig, Aimd, Breaker, BreakerConfig, BudgetConfig,
    Bulkhead, Consecutive, CountWindow, Either, Ewma, FailureCount, FailureRate, FixedWindow, Gate, Gradient2, Instant,
    LeanQuota, LeasedBulkhead, Limiter, Outcome, Quota, Quotas, Reason, Rejected, RetryBudget, SlidingCounter,
    SlidingLog, SlowRate, Throttle, ThrottleConfig, TimeWindow, TokenBucket, Vegas, WarmUp,
};
use fusebox_tests::Dice;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

fn from(dice: &mut Dice, least: u64, greatest: u64) -> u64 {
    least + dice.below(greatest - least + 1)
}

/// From a nanosecond to about a second, of every size.
fn length(dice: &mut Dice) -> Duration {
    let bits = dice.below(30);
    Duration::from_nanos(from(dice, 1, 1 << bits))
}

fn count(dice: &mut Dice) -> u32 {
    1 + dice.below(4)
}

fn some_outcome(dice: &mut Dice, now: Instant) -> Outcome {
    match dice.below(8) {
        0..=2 => Outcome::Success,
        3..=5 => Outcome::Failure,
        6 => Outcome::Unavailable { retry_at: now.saturating_add(length(dice)) },
        _ => Outcome::Ignored,
    }
}

/// What a gate's documentation says of its `retry_at`.
#[derive(Clone, Copy, PartialEq)]
enum Promise {
    /// The law as it stands.
    Exact,
    /// Its refusals are draws: the time is when it refuses nobody any more.
    Draws,
    /// The inner gate may refuse when the outer one does not any more.
    Outer,
}

/// How many refusals of each reason were tried, with a time and without.
type Seen = BTreeMap<String, [u32; 2]>;

fn check<G: Gate + Clone>(gate: &G, promise: Promise, rejected: Rejected, now: Instant, seen: &mut Seen)
where
    G::Permit: Debug,
{
    let Rejected { reason, retry_at } = rejected;
    seen.entry(format!("{reason:?}")).or_default()[usize::from(retry_at.is_none())] += 1;
    let ask = |at: Instant| gate.clone().try_acquire(at);
    let Some(retry_at) = retry_at else {
        for later in [1, MILLI, SECOND, 86_400 * SECOND, u64::MAX] {
            assert!(ask(now.after(later)).is_err(), "{reason:?} at {now}: waiting {later} ns helped");
        }
        return;
    };
    assert!(retry_at > now || reason == Reason::SlowStart, "{reason:?} at {now}: not before {retry_at}");
    if promise != Promise::Outer {
        assert!(ask(retry_at).is_ok(), "{reason:?} at {now}: {:?} at {retry_at}", ask(retry_at));
    }
    let before = Instant::from_nanos(retry_at.as_nanos() - 1);
    if promise != Promise::Draws && before > now {
        assert!(ask(before).is_err(), "{reason:?} at {now}: granted before {retry_at}");
    }
}

/// Calls of all kinds, some of which are never heard of again; now and then nobody comes for long.
fn history<G: Gate + Clone>(mut gate: G, promise: Promise, dice: &mut Dice, seen: &mut Seen)
where
    G::Permit: Debug,
{
    let (mut now, mut out) = (Instant::from_secs(1_000), vec![]);
    let (bits, lost) = (from(dice, 8, 30), dice.below(2));
    for _ in 0..250 {
        let gap = dice.below(1 << bits);
        now = match dice.below(8) {
            0..=2 => now,
            3 => Instant::from_nanos(now.as_nanos() - gap * from(dice, 1, 3)),
            4 => now.after(gap * 40),
            _ => now.after(gap),
        };
        // A machine learns about a clock that steps back from being asked.
        gate.handle_timeout(now);
        let which = dice.below(out.len());
        match dice.below(6) {
            0 if !out.is_empty() => gate.cancel(out.swap_remove(which), now),
            1 | 2 if !out.is_empty() => gate.release(out.swap_remove(which), some_outcome(dice, now), now),
            3 if !out.is_empty() && lost > 0 && dice.below(8) == 0 => drop(out.swap_remove(which)),
            _ => match gate.try_acquire(now) {
                Ok(permit) => out.push(permit),
                Err(rejected) => check(&gate, promise, rejected, now, seen),
            },
        }
    }
}

/// Histories of gates that `make` makes of dice.
fn law<G: Gate + Clone>(name: &str, promise: Promise, make: impl Fn(&mut Dice) -> G)
where
    G::Permit: Debug,
{
    let mut seen = Seen::new();
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        history(make(&mut dice), promise, &mut dice, &mut seen);
    }
    println!("{name}: {seen:?}");
    assert!(seen.values().flatten().sum::<u32>() > 500, "{name}: {seen:?}");
}

fn exact<G: Gate + Clone>(name: &str, make: impl Fn(&mut Dice) -> G)
where
    G::Permit: Debug,
{
    law(name, Promise::Exact, make);
}

#[test]
fn limiters() {
    let quota = |dice: &mut Dice| {
        let (count, burst) = (count(dice), count(dice));
        let quota = Quota::new(count, length(dice) + Duration::from_nanos(4)).unwrap().with_burst(burst).unwrap();
        if dice.below(2) == 0 { quota } else { quota.with_max_hint(length(dice)).unwrap() }
    };
    exact("token bucket", |dice| TokenBucket::new(quota(dice)));
    exact("token bucket of one word", |dice| {
        let quota = if dice.below(2) == 0 {
            LeanQuota::per_second(from(dice, 1, 249_999) as u32)
        } else {
            LeanQuota::new(1, length(dice))
        };
        Limiter::new(quota.and_then(|quota| quota.with_burst(count(dice))).unwrap())
    });
    exact("several quotas", |dice| Limiter::new(Quotas::new([quota(dice), quota(dice), quota(dice)])));
    exact("warm-up", |dice| Limiter::new(WarmUp::new(quota(dice), length(dice)).unwrap()));
    exact("fixed window", |dice| {
        let window = FixedWindow::new(count(dice), length(dice)).unwrap().with_burst(count(dice)).unwrap();
        Limiter::new(if dice.below(2) == 0 {
            window
        } else {
            window.aligned_to(Instant::from_nanos(dice.below(SECOND)))
        })
    });
    exact("sliding counter", |dice| Limiter::new(SlidingCounter::new(count(dice), length(dice)).unwrap()));
    exact("sliding log", |dice| Limiter::new(SlidingLog::<3>::new(length(dice)).unwrap()));
    exact("adaptive rate", |dice| {
        let builder = AdaptiveRateConfig::builder().least_per_minute(from(dice, 1, 1_000_000) as u32);
        let builder = if dice.below(2) == 0 { builder } else { builder.forget_after(length(dice) * 10) };
        AdaptiveRate::new(builder.build().unwrap())
    });
}

#[test]
fn breakers() {
    macro_rules! breaker {
        ($name:literal, $trials:literal, |$dice:ident| $rule:expr $(, $slow:ident)?) => {
            exact($name, |$dice| {
                let builder = BreakerConfig::builder($rule).open_for(length($dice)).max_hint(length($dice));
                let builder = builder.trial_ttl(length($dice))$(.$slow(length($dice)))?.trials::<$trials>();
                let builder = if $dice.below(2) == 0 { builder } else { builder.slow_start(300, length($dice)) };
                Breaker::<_, $trials>::new(builder.build().unwrap())
            });
        };
    }
    breaker!("consecutive", 1, |dice| Consecutive::new(count(dice)).unwrap());
    breaker!("failure count", 2, |dice| FailureCount::<TimeWindow<4>>::within(length(dice), count(dice)).unwrap());
    let rate = |dice: &mut Dice| FailureRate::<TimeWindow<4>>::within(length(dice), 600, 3).unwrap();
    let slow = SlowRate::<CountWindow<1>>::of_last(5, 600, 3).unwrap();
    breaker!("rates", 3, |dice| Either(rate(dice), slow), slow_after);
    breaker!("moving average", 1, |dice| Ewma::by_time(500, length(dice), 2).unwrap());
}

#[test]
fn places() {
    let places = |dice: &mut Dice| NonZeroU32::new(count(dice)).unwrap();
    exact("bulkhead", |dice| Bulkhead::new(places(dice)));
    exact("leased bulkhead", |dice| LeasedBulkhead::<2>::new(LeasedConfig::new(length(dice)).unwrap()));
    exact("aimd", |dice| {
        let builder = AdaptiveConfig::builder(Aimd::DEFAULT).limits(1, 2, 3).timeout(length(dice));
        AdaptiveLimit::new(builder.forget_after(length(dice)).build().unwrap())
    });
    exact("vegas", |dice| {
        AdaptiveLimit::new(
            AdaptiveConfig::builder(Vegas::DEFAULT).limits(1, 2, 3).timeout(length(dice)).build().unwrap(),
        )
    });
    exact("gradient2", |dice| {
        let builder = AdaptiveConfig::builder(Gradient2::DEFAULT).limits(1, 2, 3).probe_every(length(dice));
        AdaptiveLimit::new(builder.build().unwrap())
    });
}

#[test]
fn budgets() {
    exact("retry budget", |dice| {
        let builder =
            BudgetConfig::builder().ttl(length(dice) + Duration::from_micros(1)).floor(count(dice), count(dice));
        RetryBudget::<10>::new(builder.build().unwrap())
    });
    exact("concurrency budget", |_| ConcurrencyBudget::new(200, 3).unwrap());
}

#[test]
fn draws() {
    law("throttle", Promise::Draws, |dice| {
        let builder = ThrottleConfig::<4>::builder().minimum(count(dice)).k_permille(1_100).window(length(dice));
        Throttle::new(builder.build().unwrap(), dice.below(1_000))
    });
}

#[test]
fn tuples() {
    law("breaker, bucket and bulkhead", Promise::Outer, |dice| {
        let breaker = BreakerConfig::builder(Consecutive::new(2).unwrap()).open_for(length(dice)).build().unwrap();
        let quota = Quota::new(count(dice), length(dice) + Duration::from_nanos(4)).unwrap();
        (Breaker::<_, 1>::new(breaker), TokenBucket::new(quota), Bulkhead::new(NonZeroU32::new(2).unwrap()))
    });
}
