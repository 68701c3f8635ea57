#![allow(clippy::integer_division, reason = "a test may round down")]

use core::time::Duration;

use super::*;
use crate::{Gate, Reason};

const SECOND: u64 = 1_000;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn throttled(now: Instant) -> Outcome {
    Outcome::Unavailable { retry_at: now }
}

fn call(rate: &mut AdaptiveRate, outcome: Outcome, now: Instant) -> bool {
    rate.try_acquire(now).map(|permit| rate.release(permit, outcome, now)).is_ok()
}

/// Ten a second for so long that this is measured, then throttled: at 100 s the limit is 7 a second.
fn limited(config: AdaptiveRateConfig) -> AdaptiveRate {
    let mut rate = AdaptiveRate::new(config);
    for n in 0..1_000 {
        assert!(call(&mut rate, Outcome::Success, at(n * 100)));
    }
    assert!(call(&mut rate, throttled(at(100_000)), at(100_000)));
    rate
}

fn bits(rate: &AdaptiveRate) -> u32 {
    rate.snapshot().rate.unwrap().to_bits()
}

#[test]
fn no_limit_until_the_first_throttling() {
    let mut rate = AdaptiveRate::new(AdaptiveRateConfig::AWS);
    for n in 0..10_000 {
        let outcome = [Outcome::Success, Outcome::Failure, Outcome::Ignored][usize::try_from(n % 3).unwrap()];
        assert!(call(&mut rate, outcome, at(n / 100)));
    }
    let told = rate.snapshot();
    assert_eq!((told.rate, told.throttled_at, told.back_at, told.refused, told.throttled), (None, None, None, 0, 0));
}

#[test]
fn throttled_it_goes_down_to_beta_of_what_was_sent_with_nothing_in_store() {
    let mut rate = limited(AdaptiveRateConfig::AWS);
    assert!(bits(&rate).abs_diff(7 << 12) < 8);
    let told = rate.snapshot();
    assert_eq!((told.throttled, told.throttled_at.unwrap().to_bits().abs_diff(10 << 12) < 8), (1, true));
    let refused = rate.try_acquire(at(100_000)).unwrap_err();
    let wait = refused.retry_at.unwrap().nanos_since(at(100_000));
    assert!(refused.reason == Reason::RateLimited && wait.abs_diff(142_857_142) < 100_000, "{wait}");
    assert_eq!(rate.snapshot().refused, 1);
}

#[test]
fn throttled_at_once_it_goes_down_to_the_least() {
    let config = AdaptiveRateConfig::builder().least_per_minute(60).build().unwrap();
    let mut rate = AdaptiveRate::new(config);
    assert!(call(&mut rate, throttled(at(5)), at(5)));
    assert_eq!(bits(&rate), 1 << 12);
    assert_eq!(rate.try_acquire(at(5)).unwrap_err().retry_at, Some(at(1_005)));
    assert_eq!(rate.try_acquire(at(905)).unwrap_err().retry_at, Some(at(1_005)));
    assert!(rate.try_acquire(at(1_005)).is_ok());
    assert!(rate.try_acquire(at(1_005)).is_err());
}

#[test]
fn a_retry_at_is_exact() {
    let mut rate = limited(AdaptiveRateConfig::AWS);
    for _ in 0..30 {
        let mut now = at(100_000);
        while let Err(refused) = rate.try_acquire(now) {
            let retry_at = refused.retry_at.unwrap();
            let before = Instant::from_nanos(retry_at.as_nanos() - 1);
            assert!(retry_at > now && rate.clone().try_acquire(before).is_err());
            now = retry_at;
        }
    }
}

#[test]
fn only_throttled_calls_lower_it_and_only_calls_of_the_callees_move_it() {
    let mut rate = limited(AdaptiveRateConfig::AWS);
    let before = bits(&rate);
    let [one, two, three] = [100_150, 100_300, 100_450].map(|ms| (rate.try_acquire(at(ms)).unwrap(), ms));
    rate.release(one.0, Outcome::Ignored, at(one.1));
    assert_eq!(bits(&rate), before);
    rate.release(two.0, Outcome::Failure, at(two.1));
    let failed = bits(&rate);
    assert!(failed > before);
    rate.release(three.0, throttled(at(three.1)), at(three.1));
    assert!(bits(&rate) < before);
}

#[test]
fn it_goes_no_further_ahead_than_twice_what_is_sent() {
    let mut rate = limited(AdaptiveRateConfig::AWS);
    for second in 0..60 {
        let now = at(101_000 + second * SECOND); // one a second, and the curve at 0.4 * 58^3
        assert!(call(&mut rate, Outcome::Success, now));
    }
    assert!(bits(&rate).abs_diff(2 << 12) < 8, "{:?}", rate.snapshot());
}

#[test]
fn the_curve_is_back_after_k() {
    let mut rate = limited(AdaptiveRateConfig::AWS);
    let back_at = rate.snapshot().back_at.unwrap();
    assert!(back_at.nanos_since(at(100_000)).abs_diff(1_957_433_820) < 1_000_000);
    let mut now = at(100_000);
    while now < back_at {
        now = now.after(10_000_000).min(back_at);
        call(&mut rate, Outcome::Success, now);
    }
    assert!(bits(&rate).abs_diff(10 << 12) < 16, "{:?}", rate.snapshot());
}

#[test]
fn a_second_throttling_starts_from_the_limit_or_from_less() {
    let mut rate = limited(AdaptiveRateConfig::AWS);
    let permit = rate.try_acquire(at(100_200)).unwrap();
    rate.release(permit, throttled(at(100_200)), at(100_200)); // still measured at 10
    assert!(bits(&rate).abs_diff(4 << 12) > 1_000 && bits(&rate).abs_diff((49 << 12) / 10) < 8);
    let permit = rate.try_acquire(at(400_000)).unwrap();
    rate.release(permit, throttled(at(400_000)), at(400_000)); // measured at a fifth of 10
    assert!(bits(&rate).abs_diff((14 << 12) / 10) < 40, "{:?}", rate.snapshot());
    assert_eq!(rate.snapshot().throttled, 3);
}

#[test]
fn cancelled_calls_are_neither_sent_nor_paid_for() {
    let mut rate = limited(AdaptiveRateConfig::AWS);
    let sent = rate.snapshot();
    for ms in 0..SECOND {
        if let Ok(permit) = rate.try_acquire(at(101_000 + ms)) {
            rate.cancel(permit, at(101_000 + ms));
        }
    }
    assert_eq!(rate.snapshot(), sent);
    let held = core::iter::from_fn(|| rate.try_acquire(at(102_000)).ok()).count();
    assert!((6..=7).contains(&held), "{held}");
}

#[test]
fn permits_of_before_the_limit_give_nothing_back() {
    let mut rate = AdaptiveRate::new(AdaptiveRateConfig::AWS);
    let old = [(); 9].map(|()| rate.try_acquire(at(0)).unwrap());
    assert!(call(&mut rate, throttled(at(0)), at(0)));
    for permit in old {
        rate.cancel(permit, at(0));
    }
    assert!(rate.try_acquire(at(0)).is_err());
}

#[test]
fn a_limit_is_forgotten_when_so_configured() {
    let config = AdaptiveRateConfig::builder().forget_after(Duration::from_secs(60)).build().unwrap();
    let mut rate = limited(config);
    assert_eq!(config.rests_at(&rate.state), Some(at(160_000)));
    assert!(call(&mut rate, Outcome::Success, at(159_999)));
    assert_eq!(rate.snapshot().rate.map(Rate::whole), Some(4));
    assert_eq!(config.rests_at(&rate.state), Some(at(160_500)), "what was sent is still news");
    for _ in 0..1_000 {
        assert!(rate.try_acquire(at(160_000)).is_ok());
    }
    assert_eq!(rate.snapshot().rate, None);
    assert!(call(&mut rate, throttled(at(160_100)), at(160_100)));
    assert!(rate.try_acquire(at(160_100)).is_err(), "empty again");
}

#[test]
fn a_refusal_names_the_end_of_the_limit_if_that_is_sooner() {
    let config = AdaptiveRateConfig::builder().forget_after(Duration::from_millis(50)).build().unwrap();
    let mut rate = limited(config);
    assert_eq!(rate.try_acquire(at(100_000)).unwrap_err().retry_at, Some(at(100_050)));
    assert!(rate.try_acquire(at(100_050)).is_ok());
}

#[test]
fn states_rest_when_they_say_nothing() {
    let config = AdaptiveRateConfig::AWS;
    assert_eq!(config.rests_at(&AdaptiveRateConfig::FRESH), Some(Instant::EPOCH));
    let mut rate = AdaptiveRate::new(config);
    assert!(call(&mut rate, Outcome::Ignored, at(7)));
    assert_eq!(config.rests_at(&rate.state), Some(at(1_007)));
    assert!(call(&mut rate, throttled(at(8)), at(8)));
    assert_eq!(config.rests_at(&rate.state), None);
    assert!(!config.is_held(&rate.state));
    assert_eq!(config.longest_refusal(), 4_000_000_000);
}

#[test]
fn a_clock_that_steps_back_changes_nothing() {
    let config = AdaptiveRateConfig::builder().forget_after(Duration::from_secs(60)).build().unwrap();
    let mut rate = limited(config);
    let wait = rate.try_acquire(at(100_000)).unwrap_err().retry_at.unwrap().nanos_since(at(100_000));
    assert_eq!(rate.try_acquire(at(0)).unwrap_err().retry_at, Some(at(0).after(wait)));
    assert_eq!(config.rests_at(&rate.state), Some(at(60_000)));
    let back_at = rate.snapshot().back_at.unwrap();
    assert!(back_at > at(1_900) && back_at < at(2_000));
    assert!(rate.try_acquire(at(0).after(wait)).is_ok());
    assert!(call(&mut rate, Outcome::Success, at(500)));
    assert_eq!(rate.snapshot().sent.whole(), 3); // half a second with one call: 4/5 of 2, and a fifth of 10
}

#[test]
fn a_call_that_comes_late_gives_nothing_twice() {
    let mut rate = limited(AdaptiveRateConfig::AWS);
    let mut granted = 0;
    for n in 0..100 {
        granted += u32::from(rate.try_acquire(at(100_000 + n * 10)).is_ok());
        granted += u32::from(rate.try_acquire(at(100_000 + n * 10 - 900)).is_ok());
    }
    assert!(granted <= 7, "{granted}");
}

#[test]
fn the_ends_of_time_and_of_counters() {
    let mut rate = AdaptiveRate::new(AdaptiveRateConfig::AWS);
    rate.state.throttled = u32::MAX;
    rate.state.refused = u32::MAX;
    assert!(call(&mut rate, throttled(Instant::EPOCH), Instant::EPOCH));
    assert!(rate.try_acquire(Instant::EPOCH).is_err());
    assert_eq!((rate.snapshot().throttled, rate.snapshot().refused), (u32::MAX, u32::MAX));
    assert!(rate.try_acquire(Instant::MAX).is_ok());
    assert!(rate.try_acquire(Instant::MAX).is_ok() || rate.try_acquire(Instant::MAX).unwrap_err().retry_at.is_none());
    for _ in 0..10_000 {
        let _ = call(&mut rate, Outcome::Success, Instant::EPOCH);
        let _ = call(&mut rate, throttled(Instant::MAX), Instant::MAX);
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    let setting = |builder: AdaptiveRateBuilder| builder.build().unwrap_err().setting;
    let builder = AdaptiveRateConfig::builder;
    for beta in [0, 1_000] {
        assert_eq!(setting(builder().beta_permille(beta)), "beta_permille");
    }
    for scale in [0, 9, 1_001] {
        assert_eq!(setting(builder().scale_permille(scale)), "scale_permille");
    }
    for least in [0, 60_000_001] {
        assert_eq!(setting(builder().least_per_minute(least)), "least_per_minute");
    }
    assert_eq!(setting(builder().forget_after(Duration::ZERO)), "forget_after");
    for (least, bits) in [(1, 68), (30, 2_048), (60_000_000, 4_096_000_000)] {
        assert_eq!(builder().least_per_minute(least).build().unwrap().least, Rate(bits));
    }
    let ends = builder().beta_permille(999).scale_permille(1_000).build();
    assert!(ends.is_ok() && builder().beta_permille(1).scale_permille(10).build().is_ok());
    assert_eq!(
        AdaptiveRateConfig::AWS,
        builder().beta_permille(700).scale_permille(400).least_per_minute(30).build().unwrap()
    );
}
