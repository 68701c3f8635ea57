//! The pipeline as a whole: both orders, nested deadlines, what an operation is told, what is never repeated, and how it
//! all prints.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox::fallback::{Stale, When};
use fusebox::hedge::Quantile;
use fusebox::latency::{LatencyConfig, LatencySketch};
use fusebox::review::{Facts, Finding, review};
use fusebox::{
    Backoff, Breaker, BreakerConfig, BudgetConfig, Bulkhead, Cause, Clock, Consecutive, Entropy, HedgePolicy, Instant,
    NoBudget, Outcome, Quota, Reason, RetryBudget, RetryPolicy, Shared, SharedGate, Stage, State, TokenBucket, checked,
    sync,
};
use fusebox_drive::{Attempt, Class, Fallback, Layers, NoTurns, Pipeline, PipelineBuilder, ThreadTimer, sleep_until};
use fusebox_tests::ManualTimer;
use fusebox_tokio::{FairTurns, TokioTimer};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

const RETRY: RetryPolicy = checked!(
    RetryPolicy::builder()
        .attempts(3)
        .backoff(checked!(Backoff::constant(ms(10))))
        .attempt_timeout(ms(100))
        .deadline(ms(1_000))
        .build()
);

fn breaker(failures: u32) -> Shared<RefCell<Breaker<Consecutive>>> {
    let config = BreakerConfig::builder(Consecutive::new(failures).unwrap()).build().unwrap();
    Shared::new(RefCell::new(Breaker::new(config)))
}

fn bulkhead(limit: u32) -> Shared<RefCell<Bulkhead>> {
    Shared::new(RefCell::new(Bulkhead::new(limit.try_into().unwrap())))
}

const fn on(timer: &ManualTimer) -> PipelineBuilder<&ManualTimer> {
    Pipeline::builder(timer, Entropy::new(1))
}

fn run<F: Future>(test: impl FnOnce(&'static ManualTimer) -> F) -> F::Output {
    let timer: &'static ManualTimer = Box::leak(Box::default());
    timer.block_on(test(timer)).unwrap()
}

#[test]
fn a_breaker_inside_counts_attempts_and_one_outside_counts_calls() {
    run(|timer| async move {
        let (inside, outside) = (breaker(3), breaker(2));
        let pipeline = on(timer).gate_per_call(&outside).retry(RETRY).gate(&inside).build().unwrap();
        let error = pipeline.call(|_| ready(Err::<(), _>("no"))).await.unwrap_err();
        assert_eq!((error.cause, error.attempts), (Cause::Exhausted, 3));
        assert_eq!(inside.with(|breaker| breaker.state()), State::Open, "three attempts");
        assert_eq!(outside.with(|breaker| breaker.state()), State::Closed, "one call");
        // The inner one refuses, so nothing was asked of the callee: no news for the outer one.
        let error = pipeline.call(|_| ready(Err::<(), _>("no"))).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Refused(rejected) if rejected.reason == Reason::Open));
        assert_eq!((error.attempts, outside.with(|breaker| breaker.state())), (0, State::Closed));
        inside.with(|breaker| breaker.reset(timer.now()));
        assert!(pipeline.call(|_| ready(Err::<(), _>("no"))).await.is_err());
        assert_eq!(outside.with(|breaker| breaker.state()), State::Open, "two calls");
    });
}

#[test]
fn a_place_asked_once_per_call_is_held_through_the_delays() {
    run(|timer| async move {
        let (places, attempts) = (bulkhead(1), bulkhead(1));
        let builder = || on(timer).gate(&places).gate(&attempts);
        let (per_call, per_attempt) =
            (builder().all_gates_per_call().retry(RETRY).build().unwrap(), builder().retry(RETRY).build().unwrap());
        let in_flight = || (places.with(|b| b.in_flight()), attempts.with(|b| b.in_flight()));
        let seen = RefCell::new(vec![]);
        let look = async || {
            sleep_until(&timer, timer.now().saturating_add(ms(5))).await; // in the delay of 10 ms
            seen.borrow_mut().push(in_flight());
        };
        let fails = |_: Attempt| ready(Err::<(), _>("no"));
        let _both = tokio::join!(per_call.call(fails), look());
        let _both = tokio::join!(per_attempt.call(fails), look());
        assert_eq!((seen.take(), in_flight()), (vec![(1, 1), (0, 0)], (0, 0)));
    });
}

#[test]
fn tokens_of_a_call_that_never_ran_are_given_back() {
    run(|timer| async move {
        let bucket = Shared::new(RefCell::new(TokenBucket::new(Quota::per_second(2).unwrap())));
        let held = bulkhead(1);
        let pipeline = on(timer).gate_per_call(&bucket).gate(&held).build().unwrap();
        let place = held.try_acquire(timer.now()).unwrap();
        for _ in 0..5 {
            let error = pipeline.call(|_| ready(Ok::<_, ()>(()))).await.unwrap_err();
            assert!(matches!(error.cause, Cause::Refused(rejected) if rejected.reason == Reason::InFlight));
        }
        assert_eq!(bucket.with(|bucket| bucket.available(timer.now())), 2);
        held.release(place, Outcome::Ignored, timer.now());
        assert!(pipeline.call(|_| ready(Ok::<_, ()>(()))).await.is_ok());
        assert_eq!(bucket.with(|bucket| bucket.available(timer.now())), 1);
    });
}

#[test]
fn of_all_deadlines_the_nearest_holds() {
    run(|timer| async move {
        let outer = on(timer).retry(RETRY).build().unwrap();
        let slow = RetryPolicy::builder().attempts(1).deadline(ms(60_000)).build().unwrap();
        // Its clock is another one, two days ahead.
        let ahead = Ahead(timer);
        let inner = Pipeline::builder(&ahead, Entropy::new(1)).retry(slow).build().unwrap();
        let began = timer.now();
        let error = outer
            .not_idempotent()
            .call(|attempt| {
                let (inner, outer) = (&inner, &outer);
                async move {
                    sleep_until(&timer, timer.now().saturating_add(ms(30))).await;
                    let error = inner.within(attempt, outer.timer()).call(|inner| async move {
                        assert_eq!(inner.remaining(&ahead), Some(ms(70)), "of the outer attempt's 100 ms");
                        pending::<Result<(), ()>>().await
                    });
                    Err::<(), _>(error.await.unwrap_err())
                }
            })
            .await
            .unwrap_err();
        assert_eq!((error.attempts, timer.now().saturating_since(began)), (1, ms(100)));

        let near = outer.for_at_most(ms(50)).until(at(9_999)).for_at_most(ms(20)).call(|attempt| async move {
            assert_eq!((attempt.timeout(), attempt.elapsed()), (Some(ms(20)), ms(0)));
            pending::<Result<(), &str>>().await
        });
        let error = near.await.unwrap_err();
        assert_eq!((error.cause, error.elapsed), (Cause::OutOfTime(Stage::Attempt), ms(20)));
        assert_eq!(error.to_string(), "out of time in an attempt after 1 attempt in 20ms, 1 timed out");
    });
}

/// A clock two days ahead.
#[derive(Clone, Copy)]
struct Ahead(&'static ManualTimer);

const TWO_DAYS: u64 = 2 * 24 * 3_600;

impl Clock for Ahead {
    fn now(&self) -> Instant {
        self.0.now().saturating_add(Duration::from_secs(TWO_DAYS))
    }
}

impl fusebox_drive::Timer for Ahead {
    type Sleep = <&'static ManualTimer as fusebox_drive::Timer>::Sleep;

    fn sleep_until(&self, deadline: Instant) -> Self::Sleep {
        let ahead = Instant::EPOCH.saturating_add(Duration::from_secs(TWO_DAYS));
        self.0.sleep_until(Instant::EPOCH.saturating_add(deadline.saturating_since(ahead)))
    }
}

#[test]
fn an_attempt_knows_its_times() {
    run(|timer| async move {
        let pipeline = on(timer).retry(RETRY).build().unwrap();
        let seen = RefCell::new(vec![]);
        let call = pipeline.call(|attempt: Attempt| {
            seen.borrow_mut().push((attempt.number, attempt.elapsed(), attempt.timeout().unwrap()));
            async move {
                sleep_until(&timer, timer.now().saturating_add(ms(7))).await;
                assert_eq!(attempt.remaining(&timer), Some(ms(93)));
                Err::<(), _>("no")
            }
        });
        assert!(call.await.is_err());
        assert_eq!(seen.take(), [(1, ms(0), ms(100)), (2, ms(17), ms(100)), (3, ms(34), ms(100))]);
    });
}

#[test]
fn what_is_not_idempotent_is_repeated_only_if_it_was_not_sent() {
    run(|timer| async move {
        let pipeline = on(timer).retry(RETRY).build().unwrap();
        let attempts = Cell::new(0);
        let class = |answer: &Result<(), &str>| match answer {
            Err("refused") => Class::NotSent,
            _ => Class::Retry,
        };
        let fails = |attempt: Attempt| {
            attempts.set(attempt.number);
            ready(Err::<(), _>(if attempt.number == 1 { "refused" } else { "lost" }))
        };
        let error = pipeline.not_idempotent().call_with(class, fails).await.unwrap_err();
        assert_eq!((error.cause, error.last, attempts.get()), (Cause::NotIdempotent, Some("lost"), 2));
        assert_eq!(error.to_string(), "failed, and must not be repeated after 2 attempts in 10ms; last error: lost");
        let error = pipeline.not_idempotent().call(|_| pending::<Result<(), ()>>()).await.unwrap_err();
        assert_eq!((error.cause, error.timed_out), (Cause::NotIdempotent, 1), "it may have arrived");
        assert_eq!(pipeline.call_with(class, fails).await.unwrap_err().attempts, 3);
    });
}

#[test]
fn a_stale_answer_says_so() {
    run(|timer| async move {
        let pipeline = on(timer).gate(breaker(1)).build().unwrap();
        let last = Shared::new(RefCell::new(Stale::new(ms(500)).unwrap()));
        let ask = async |answer: Result<u32, &'static str>| {
            Fallback::from(pipeline.call(|_| ready(answer)).await)
                .or(When::refused_for(Reason::InFlight), |_| Some(0))
                .or_stale(When::REFUSED.or(When::FAILED), &last, &timer)
                .or_else(When::REFUSED, |_| ready(Err::<u32, _>("replica is down too")))
                .await
                .served()
        };
        assert!(ask(Ok(7)).await.unwrap().is_fresh());
        sleep_until(&timer, timer.now().saturating_add(ms(400))).await;
        let stale = ask(Err("down")).await.unwrap();
        assert_eq!((stale.value, stale.is_fresh()), (7, false));
        assert_eq!(stale.fallback.unwrap().to_string(), "fallback 2, 400ms old: all attempts used up");
        sleep_until(&timer, timer.now().saturating_add(ms(100))).await;
        let stale = ask(Ok(8)).await.unwrap();
        let fell_back = stale.fallback.unwrap();
        assert_eq!((stale.value, fell_back.age), (7, Some(ms(500))), "the breaker is open");
        assert!(matches!(fell_back.cause, Cause::Refused(_)));
        sleep_until(&timer, timer.now().saturating_add(ms(1))).await;
        let error = ask(Ok(8)).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Refused(rejected) if rejected.reason == Reason::Open), "too old");
    });
}

fn poll_once(call: impl Future) {
    assert!(pin!(call).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn a_dropped_call_is_no_news_to_its_gates_and_a_panic_is() {
    let timer = ManualTimer::default();
    let whole = breaker(1);
    let pipeline = on(&timer).gate_per_call(&whole).retry(RETRY).build().unwrap();
    let state = || whole.with(|breaker| breaker.state());
    poll_once(pipeline.call(|_| pending::<Result<(), ()>>()));
    poll_once(pipeline.call(|_| ready(Err::<(), _>("no")))); // in its delay
    assert_eq!(state(), State::Closed);
    for polls in 1..3 {
        whole.with(|breaker| breaker.reset(timer.now()));
        let left = Cell::new(polls);
        let panics = || {
            std::future::poll_fn(|_| {
                left.set(left.get() - 1);
                if left.get() == 0 {
                    std::panic::resume_unwind(Box::new("boom"))
                } else {
                    Poll::<Result<(), ()>>::Pending
                }
            })
        };
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut call = pin!(pipeline.call(|_| panics()));
            while call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
        }));
        assert!(panicked.is_err());
        assert_eq!(state(), State::Open, "in poll {polls}");
    }
}

#[test]
fn a_dropped_hedge_was_slow() {
    let timer = ManualTimer::default();
    let latencies = Shared::new(RefCell::new(LatencySketch::new(LatencyConfig::DEFAULT)));
    let policy = HedgePolicy::<2>::builder(ms(20)).build().unwrap().measured(Quantile::new(900).unwrap(), &latencies);
    poll_once(on(&timer).hedge(policy).build().unwrap().call(|_| pending::<Result<(), ()>>()));
    let seen = latencies.with(|latencies| latencies.snapshot());
    assert_eq!((seen.ended, seen.censored), (0, 1));
}

#[test]
fn a_line_needs_a_policy_that_waits() {
    let timer = ManualTimer::default();
    let error = on(&timer).gate(bulkhead(1)).line(FairTurns::new()).retry(RETRY).build().unwrap_err();
    assert_eq!(error.setting, "line");
    let patient = RetryPolicy::builder().deadline(ms(9)).wait_for_gates().build().unwrap();
    assert!(on(&timer).gate(bulkhead(1)).line(FairTurns::new()).retry(patient).build().is_ok());
}

type Static = Pipeline<
    ThreadTimer,
    Shared<Mutex<Breaker<Consecutive>>>,
    NoTurns,
    &'static Shared<Mutex<RetryBudget>>,
    RetryPolicy,
    sync::Bulkhead,
>;

static BUDGET: Shared<Mutex<RetryBudget>> =
    Shared::new(Mutex::new(RetryBudget::new(checked!(BudgetConfig::builder().build()))));

#[test]
fn lives_in_a_static() {
    static TIMER: std::sync::LazyLock<ThreadTimer> = std::sync::LazyLock::new(ThreadTimer::new);
    static PIPELINE: std::sync::LazyLock<Static> = std::sync::LazyLock::new(|| {
        Pipeline::of(Layers {
            timer: *TIMER,
            call_gate: sync::Bulkhead::new(const { std::num::NonZeroU32::new(8).unwrap() }),
            gate: Shared::new(Mutex::new(Breaker::new(checked!(
                BreakerConfig::builder(checked!(Consecutive::new(5))).build()
            )))),
            turns: NoTurns,
            budget: &BUDGET,
            policy: RETRY,
            entropy: Entropy::new(1),
        })
    });
    assert_eq!(PIPELINE.call_blocking(|_| Ok::<_, ()>(3)), Ok(3));
}

mod on_a_device {
    use super::*;
    use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex as Raw;
    use fusebox_embassy::{EmbassyLock, EmbassyTimer, FairTurns as Line};

    type Gates = Shared<EmbassyLock<Raw, (Breaker<Consecutive>, TokenBucket)>>;

    const HEDGE: HedgePolicy<2> =
        checked!(HedgePolicy::builder(ms(20)).deadline(ms(500)).idempotent().wait_for_gates().build());

    /// Everything, while compiling.
    static MODEM: Pipeline<EmbassyTimer, Gates, Line<Raw, 4>, NoBudget, HedgePolicy<2>, Gates> = Pipeline::of(Layers {
        timer: EmbassyTimer::new(),
        call_gate: gates(),
        gate: gates(),
        turns: Line::new(),
        budget: NoBudget,
        policy: HEDGE,
        entropy: Entropy::new(7),
    });

    const fn gates() -> Gates {
        Shared::new(EmbassyLock::new((
            Breaker::new(checked!(BreakerConfig::builder(checked!(Consecutive::new(3))).build())),
            TokenBucket::new(checked!(Quota::per_second(5))),
        )))
    }

    #[test]
    fn lives_in_a_static_without_any_start_up() {
        let call = MODEM.call(|attempt| ready(if attempt.number == 2 { Ok(attempt.number) } else { Err("no") }));
        assert_eq!(fusebox_tests::block_on(call, || None), Some(Ok(2)));
    }
}

#[test]
fn reads_in_the_order_of_its_layers() {
    let timer = ManualTimer::default();
    let pipeline = on(&timer)
        .gate_per_call(sync::Bulkhead::new(4.try_into().unwrap()))
        .retry(RETRY)
        .gate(bulkhead(2))
        .build()
        .unwrap();
    let printed = format!("{pipeline:?}");
    let layers = [
        "deadline: Some(1s)",
        "gates_per_call",
        "policy: RetryPolicy",
        "budget",
        "gates_per_attempt",
        "attempt_timeout: Some(100ms)",
    ];
    let places = layers.map(|layer| printed.find(layer));
    assert!(places.iter().all(Option::is_some), "{printed}");
    assert!(places.is_sorted(), "{printed}");
}

#[tokio::test(start_paused = true)]
async fn is_reviewed_as_a_whole() {
    let breaker = |failures| {
        Shared::new(Mutex::new(Breaker::<Consecutive>::new(
            BreakerConfig::builder(Consecutive::new(failures).unwrap()).build().unwrap(),
        )))
    };
    let hasty =
        fusebox_tokio::builder().gate(breaker(1)).retry(RetryPolicy::builder().build().unwrap()).build().unwrap();
    let expected = [
        Finding::RetryWithoutBackoff,
        Finding::RetryWithoutBudget,
        Finding::RepeatsUnsaid,
        Finding::NoDeadline,
        Finding::OneFailureTrips,
    ];
    assert!(hasty.review().eq(expected), "{:?}", hasty.review());
    let hedged = HedgePolicy::<2>::builder(ms(5)).idempotent().deadline(ms(50)).build().unwrap();
    let hedged = fusebox_tokio::builder().gate(breaker(5)).hedge(hedged).budget(&BUDGET).build().unwrap();
    assert!(hedged.review().is_empty(), "{:?}", hedged.review());
    let both = review(&[Facts::of(&hasty), Facts::of(&hedged)]);
    assert!(both.contains(Finding::HedgeInsideRetry) && both.contains(Finding::NestedRetries));
    assert_eq!(hedged.call(|_| ready(Ok::<_, ()>(1))).await, Ok(1));
    let _: &TokioTimer = hedged.timer();
}
