//! Law: every gate answers on every runtime what it answers when it is driven by hand: the same calls at the same times,
//! three at once, of all outcomes, through a pipeline and as bare `try_acquire` and `release`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may panic")]

use std::cell::RefCell;
use std::time::Duration;

use fusebox::entropy::nth;
use fusebox::{
    AdaptiveConfig, AdaptiveLimit, AdaptiveRate, AdaptiveRateConfig, Aimd, Breaker, BreakerConfig, Bulkhead, Cause,
    Clock, Consecutive, CountWindow, Either, Entropy, FailureRate, FixedWindow, Gate, Gradient2, Instant, LeanQuota,
    LeasedBulkhead, Limiter, Outcome, Quota, Quotas, RetryPolicy, Shared, SlidingCounter, SlidingLog, SlowRate,
    Throttle, ThrottleConfig, TimeWindow, TokenBucket, WarmUp,
};
use fusebox_drive::{Class, Pipeline, Timer, sleep_until};
use fusebox_kit::logical::Logical;
use fusebox_tests::ManualTimer;
use tokio::join;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A call of one of three lanes. No two of all beginnings and ends are at the same time.
struct Call {
    begins: Instant,
    takes: u64,
    class: Class,
}

const CALLS: u32 = 7;

fn call(lane: u32, n: u32) -> Call {
    let dice = nth(lane, n);
    let class = match dice >> 28 {
        0..=5 => Class::Success,
        6..=11 => Class::Retry,
        12 | 13 => Class::RetryAfter(ms(30)),
        _ => Class::Ignore,
    };
    let begins = Instant::from_millis(u64::from(60 * n + 14 * lane));
    Call { begins, takes: u64::from(dice & 0xff) % 3 * 20 + 1, class }
}

/// What came of a call, and when.
type Line = (Instant, u32, u32, String);

fn sorted(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort();
    lines
}

fn by_hand<G: Gate>(mut gate: G) -> Vec<Line> {
    let mut todo = vec![];
    for (lane, n) in (0..3).flat_map(|lane| (0..CALLS).map(move |n| (lane, n))) {
        let Call { begins, takes, .. } = call(lane, n);
        todo.extend([(begins, lane, n, true), (begins.saturating_add(ms(takes)), lane, n, false)]);
    }
    todo.sort();
    let (mut lines, mut out) = (vec![], vec![]);
    for (now, lane, n, begins) in todo {
        if begins {
            match gate.try_acquire(now) {
                Ok(permit) => {
                    out.push((lane, n, permit));
                    lines.push((now, lane, n, "granted".to_owned()));
                }
                Err(rejected) => lines.push((now, lane, n, rejected.to_string())),
            }
        } else if let Some(at) = out.iter().position(|(l, m, _)| (*l, *m) == (lane, n)) {
            let outcome = match call(lane, n).class {
                Class::Success => Outcome::Success,
                Class::RetryAfter(wait) => Outcome::Unavailable { retry_at: now.saturating_add(wait) },
                Class::Ignore => Outcome::Ignored,
                _ => Outcome::Failure,
            };
            gate.release(out.swap_remove(at).2, outcome, now);
        }
    }
    sorted(lines)
}

async fn through_a_pipeline<T: Timer, G: Gate>(timer: T, gate: G) -> Vec<Line> {
    let time = Logical::new(timer);
    let gate = Shared::new(RefCell::new(gate));
    let pipeline = Pipeline::new(&time, gate, RetryPolicy::ONCE, Entropy::new(1));
    let lines = RefCell::new(vec![]);
    let (pipeline, lines, time) = (&pipeline, &lines, &time);
    let lane = |lane: u32| async move {
        for n in 0..CALLS {
            let Call { begins, takes, class } = call(lane, n);
            sleep_until(&time, begins).await;
            let operation = |_| async move {
                lines.borrow_mut().push((time.now(), lane, n, "granted".to_owned()));
                sleep_until(&time, begins.saturating_add(ms(takes))).await;
                Err::<(), ()>(())
            };
            let error = pipeline.call_with(|_: &Result<(), ()>| class, operation).await;
            if let Err(Cause::Refused(rejected)) = error.map_err(|error| error.cause) {
                lines.borrow_mut().push((time.now(), lane, n, rejected.to_string()));
            }
        }
    };
    join!(lane(0), lane(1), lane(2));
    sorted(lines.take())
}

/// Every gate, with limits that make it refuse some of the calls; those of one line of `$body` after the other.
macro_rules! each_gate {
    (|$name:ident, $gate:ident| $body:expr) => {{
        let quota = |n, period| Quota::new(n, ms(period)).unwrap();
        each_gate!(@ $name, $gate, $body,
            "breaker" => Breaker::<_, 1>::new(
                BreakerConfig::builder(Consecutive::new(2).unwrap()).open_for(ms(50)).max_hint(ms(100)).build().unwrap()
            ),
            "breaker, rates" => Breaker::<_, 2>::new(
                BreakerConfig::builder(Either(
                    FailureRate::<TimeWindow<4>>::within(ms(100), 600, 3).unwrap(),
                    SlowRate::<CountWindow<1>>::of_last(5, 600, 3).unwrap(),
                ))
                .open_for(ms(30)).slow_after(ms(20)).slow_start(300, ms(100)).trials::<2>().build().unwrap()
            ),
            "token bucket" => TokenBucket::new(quota(2, 100)),
            "token bucket of one word" => Limiter::new(LeanQuota::new(2, ms(100)).unwrap()),
            "several quotas" => Limiter::new(Quotas::new([quota(2, 50), quota(5, 300)])),
            "warm-up" => Limiter::new(WarmUp::new(quota(1, 20), ms(200)).unwrap()),
            "fixed window" => Limiter::new(FixedWindow::new(3, ms(100)).unwrap()),
            "sliding counter" => Limiter::new(SlidingCounter::new(3, ms(100)).unwrap()),
            "sliding log" => Limiter::new(SlidingLog::<3>::new(ms(100)).unwrap()),
            "bulkhead" => Bulkhead::new(1.try_into().unwrap()),
            "leased bulkhead" => LeasedBulkhead::<1>::new(fusebox::bulkhead::LeasedConfig::new(ms(25)).unwrap()),
            "aimd" => AdaptiveLimit::new(
                AdaptiveConfig::builder(Aimd::DEFAULT).limits(1, 2, 3).timeout(ms(20)).build().unwrap()
            ),
            "gradient2" => AdaptiveLimit::new(
                AdaptiveConfig::builder(Gradient2::DEFAULT).limits(1, 1, 2).build().unwrap()
            ),
            "adaptive rate" => AdaptiveRate::new(
                AdaptiveRateConfig::builder().least_per_minute(600).build().unwrap()
            ),
            "throttle" => Throttle::<10>::new(ThrottleConfig::builder().minimum(1).k_permille(1_100).build().unwrap(), 7),
            "breaker and bulkhead" => (
                Breaker::<_, 1>::new(
                    BreakerConfig::builder(Consecutive::new(2).unwrap()).open_for(ms(50)).build().unwrap()
                ),
                Bulkhead::new(1.try_into().unwrap()),
            ),
        );
    }};
    (@ $name:ident, $gate:ident, $body:expr, $($label:literal => $made:expr,)*) => {
        $({
            let $name = $label;
            let $gate = || $made;
            $body
        })*
    };
}

/// Compares all of them on one runtime.
async fn all<T: Timer>(runtime: &str, timer: impl Fn() -> T) {
    each_gate!(|name, gate| {
        let lines = through_a_pipeline(timer(), gate()).await;
        assert_eq!(lines, by_hand(gate()), "{name} on {runtime}");
    });
}

#[test]
fn every_gate_grants_some_and_refuses_some() {
    each_gate!(|name, gate| {
        let lines = by_hand(gate());
        let granted = lines.iter().filter(|line| line.3 == "granted").count();
        println!("{name}: {granted} of {} granted", lines.len());
        assert!(granted >= 3 && granted + 3 <= lines.len(), "{name}: {granted} of {}", lines.len());
    });
}

#[test]
fn manual_time() {
    let timer = ManualTimer::default();
    timer.block_on(all("manual time", || &timer)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn tokio_paused() {
    all("tokio, paused", fusebox_tokio::TokioTimer::new).await;
}

#[tokio::test]
async fn tokio_real() {
    all("tokio", fusebox_tokio::TokioTimer::new).await;
}

#[test]
fn async_std() {
    async_std::task::block_on(all("async-std", fusebox_async_std::AsyncIoTimer::new));
}

#[test]
fn smol() {
    smol::block_on(all("smol", fusebox_async_std::AsyncIoTimer::new));
}

#[test]
fn embassy() {
    let idle = || {
        embassy_time::MockDriver::get().advance(embassy_time::Duration::from_millis(1));
        Some(())
    };
    fusebox_tests::block_on(all("embassy", fusebox_embassy::EmbassyTimer::new), idle).unwrap();
}
