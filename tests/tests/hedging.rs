//! Law: of several attempts the first good answer is the call's; the others are dropped, are neutral for every gate, and
//! give back what they were paid with. A further attempt that nobody pays or lets through does not fail the call. The same
//! on every runtime.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::time::Duration;

use fusebox::hedge::Quantile;
use fusebox::latency::{LatencyConfig, LatencySketch};
use fusebox::{
    Breaker, BreakerConfig, BudgetConfig, Bulkhead, Cause, ConcurrencyBudget, Consecutive, Entropy, HedgePolicy,
    Outcome, Quota, Reason, RetryBudget, Shared, SharedGate, Stage, State, TokenBucket,
};
use fusebox_drive::{Attempt, Class, Layers, Pipeline, Timer, Turns, sleep_until};
use tokio::join;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn after<const N: usize>(delay: u64) -> HedgePolicy<N> {
    HedgePolicy::builder(ms(delay)).build().unwrap()
}

type Gates = (Breaker<Consecutive>, Bulkhead);

fn gates(places: u32) -> Shared<RefCell<Gates>> {
    let breaker = BreakerConfig::builder(Consecutive::new(1).unwrap()).build().unwrap();
    Shared::new(RefCell::new((Breaker::new(breaker), Bulkhead::new(places.try_into().unwrap()))))
}

/// Counts what was dropped before its end.
struct Dropped<'c>(&'c Cell<u32>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

struct Runtime<T, W> {
    timer: T,
    turns: W,
    late: Duration,
}

async fn all(timer: impl Timer, turns: impl Turns, late: Duration) {
    let runtime = Runtime { timer, turns, late };
    runtime.the_backup_wins_and_the_loser_is_neutral().await;
    runtime.a_failure_starts_the_next_at_once().await;
    runtime.a_fatal_error_ends_it().await;
    runtime.a_deadline_ends_all_attempts().await;
    runtime.the_budget_pays().await;
    runtime.a_hedge_that_finds_no_place_is_none().await;
    runtime.a_hedge_never_stands_in_line().await;
    runtime.a_hedge_takes_nothing_from_those_in_line().await;
    runtime.the_delay_follows_what_calls_take().await;
}

fusebox_tests::on_each_runtime!(all);

impl<T: Timer, W: Turns> Runtime<T, W> {
    async fn sleep(&self, time: u64) {
        sleep_until(&self.timer, self.timer.now().saturating_add(ms(time))).await;
    }

    fn check(&self, began: fusebox::Instant, expected: u64) {
        let took = self.timer.now().saturating_since(began);
        let most = ms(expected) + self.late * 3;
        assert!(took >= ms(expected) && took <= most, "after {took:?}, not {expected} ms");
    }

    async fn the_backup_wins_and_the_loser_is_neutral(&self) {
        let pipeline = Pipeline::new(&self.timer, gates(2), after::<2>(20), Entropy::new(1));
        let (began, dropped) = (self.timer.now(), Cell::new(0));
        let answer = pipeline.call(|attempt: Attempt| {
            let (dropped, runtime) = (&dropped, self);
            async move {
                let _dropped = (attempt.number == 1).then(|| Dropped(dropped));
                match attempt.number {
                    1 => pending().await,
                    _ => runtime.sleep(5).await,
                }
                Ok::<_, ()>(attempt)
            }
        });
        let winner = answer.await.unwrap();
        self.check(began, 25);
        assert_eq!((winner.number, winner.counted, dropped.get()), (2, true, 1));
        pipeline.gate().with(|(breaker, bulkhead)| {
            assert_eq!(bulkhead.in_flight(), 0);
            assert_eq!(breaker.state(), State::Closed, "one failure would have opened it");
        });
    }

    async fn a_failure_starts_the_next_at_once(&self) {
        let pipeline = Pipeline::new(&self.timer, (), after::<3>(60_000), Entropy::new(1));
        let began = self.timer.now();
        let answer =
            pipeline.call(|attempt| ready(if attempt.number == 3 { Ok(3) } else { Err(attempt.number) })).await;
        assert_eq!(answer, Ok(3));
        let error = pipeline.call(|attempt| ready(Err::<(), _>(attempt.number))).await.unwrap_err();
        assert_eq!((error.cause, error.last, error.attempts), (Cause::Exhausted, Some(3), 3));
        self.check(began, 0);
    }

    async fn a_fatal_error_ends_it(&self) {
        let pipeline = Pipeline::new(&self.timer, gates(2), after::<2>(10), Entropy::new(1));
        let dropped = Cell::new(0);
        let fatal = |answer: &Result<(), u16>| if answer.is_ok() { Class::Success } else { Class::Stop };
        let answer = pipeline.call_with(fatal, |attempt| {
            let dropped = &dropped;
            async move {
                let _dropped = (attempt.number == 1).then(|| Dropped(dropped));
                if attempt.number == 1 { pending().await } else { Err(attempt.number) }
            }
        });
        let error = answer.await.unwrap_err();
        assert_eq!((error.cause, error.last, error.attempts, dropped.get()), (Cause::Stopped, Some(2), 2, 1));
        assert_eq!(pipeline.gate().with(|gates| gates.1.in_flight()), 0);
    }

    async fn a_deadline_ends_all_attempts(&self) {
        let policy = HedgePolicy::<3>::builder(ms(10)).attempt_timeout(ms(45)).deadline(ms(60)).build().unwrap();
        let pipeline = Pipeline::new(&self.timer, gates(3), policy, Entropy::new(1));
        let began = self.timer.now();
        let error = pipeline.call(|_| pending::<Result<(), ()>>()).await.unwrap_err();
        self.check(began, 60);
        assert_eq!((error.cause, error.attempts, error.timed_out), (Cause::OutOfTime(Stage::Attempt), 3, 3));
        assert_eq!(pipeline.gate().with(|gates| gates.1.in_flight()), 0);

        let error = pipeline.until(self.timer.now()).call(|_| ready(Ok::<_, ()>(()))).await.unwrap_err();
        assert_eq!((error.cause, error.attempts), (Cause::OutOfTime(Stage::Line), 0));
    }

    async fn the_budget_pays(&self) {
        let first_takes = |time| {
            move |attempt: Attempt| async move {
                self.sleep(if attempt.number == 1 { time } else { 1 }).await;
                Ok::<_, ()>(attempt.number)
            }
        };
        // Without a hedge the first one would keep the second waiting for a minute.
        let (slow, hung) = (first_takes(60), first_takes(60_000));
        let budget: RetryBudget =
            RetryBudget::new(BudgetConfig::builder().deposit_permille(500).floor(0, 0).build().unwrap());
        let budget = Shared::new(RefCell::new(budget));
        let spent = || budget.with(|budget| budget.snapshot(self.timer.now()).spent.whole());
        let pipeline = Pipeline::new(&self.timer, (), after::<2>(10), Entropy::new(1)).with_budget(&budget);
        assert_eq!((pipeline.call(slow).await, spent()), (Ok(1), 0), "half a token pays for none");
        assert_eq!((pipeline.call(hung).await, spent()), (Ok(2), 1));

        // By concurrency: what a loser was paid with comes back too.
        let budget = Shared::new(RefCell::new(ConcurrencyBudget::new(500, 1).unwrap()));
        let counts = || budget.with(|budget| (budget.snapshot().calls, budget.snapshot().retries));
        let pipeline = Pipeline::new(&self.timer, (), after::<3>(10), Entropy::new(1)).with_budget(&budget);
        assert_eq!(pipeline.call(hung).await, Ok(2));
        assert_eq!(counts(), (0, 0));
        let none = Shared::new(RefCell::new(ConcurrencyBudget::new(1, 1).unwrap()));
        let held = none.with(|budget| fusebox::Gate::try_acquire(budget, self.timer.now())).unwrap();
        let pipeline = Pipeline::new(&self.timer, (), after::<2>(10), Entropy::new(1)).with_budget(&none);
        assert_eq!(pipeline.call(slow).await, Ok(1), "a hedge that cannot be paid does not fail the call");
        none.with(|budget| fusebox::Gate::release(budget, held, Outcome::Ignored, self.timer.now()));
    }

    async fn a_hedge_that_finds_no_place_is_none(&self) {
        let pipeline = Pipeline::new(&self.timer, gates(1), after::<2>(10), Entropy::new(1));
        let began = self.timer.now();
        let answer = pipeline.call(|attempt: Attempt| async move {
            self.sleep(40).await;
            Ok::<_, ()>(attempt.number)
        });
        assert_eq!(answer.await, Ok(1));
        self.check(began, 40);
        assert_eq!(pipeline.gate().with(|gates| gates.1.in_flight()), 0);
        // The first attempt's refusal is the call's.
        let held = pipeline.gate().try_acquire(self.timer.now()).unwrap();
        let error = pipeline.call(|_| ready(Ok::<_, ()>(()))).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Refused(rejected) if rejected.reason == Reason::InFlight));
        pipeline.gate().release(held, Outcome::Ignored, self.timer.now());
    }

    async fn a_hedge_never_stands_in_line(&self) {
        let policy = HedgePolicy::<2>::builder(ms(10)).deadline(ms(60_000)).wait_for_gates().build().unwrap();
        let layers = |gate| Layers {
            timer: &self.timer,
            call_gate: (),
            gate,
            turns: &self.turns,
            budget: fusebox::NoBudget,
            policy,
            entropy: Entropy::new(1),
        };
        let pipeline = Pipeline::of(layers(gates(1)));
        let call = |takes| {
            pipeline.call(move |attempt: Attempt| async move {
                self.sleep(takes).await;
                Ok::<_, ()>(attempt.number)
            })
        };
        // While the second call stands in line for the only place, the first one's hedge does not get in its way.
        let (first, second) = join!(call(40), call(1));
        assert_eq!((first, second), (Ok(1), Ok(1)));
        let pipeline = Pipeline::of(layers(gates(2)));
        let answer = pipeline.call(|attempt: Attempt| async move {
            self.sleep(if attempt.number == 1 { 60_000 } else { 1 }).await;
            Ok::<_, ()>(attempt.number)
        });
        assert_eq!(answer.await, Ok(2), "nobody waits: there is one");
    }

    async fn a_hedge_takes_nothing_from_those_in_line(&self) {
        let policy = HedgePolicy::<2>::builder(ms(50)).deadline(ms(60_000)).wait_for_gates().build().unwrap();
        let bucket = Shared::new(RefCell::new(TokenBucket::new(Quota::new(1, ms(50)).unwrap())));
        let pipeline = Pipeline::fair(&self.timer, bucket, &self.turns, policy, Entropy::new(1));
        let began = self.timer.now();
        let first = pipeline.call(|attempt: Attempt| async move {
            self.sleep(80).await;
            Ok::<_, ()>(attempt.number)
        });
        let second = async {
            let answer = pipeline.call(|attempt: Attempt| ready(Ok::<_, ()>(attempt.number))).await;
            self.check(began, 50); // the next token is its own, although a hedge is due when it comes
            answer
        };
        assert_eq!(join!(biased; first, second), (Ok(1), Ok(1)));

        // One that was refused does not keep the turn.
        let pipeline = Pipeline::fair(&self.timer, gates(2), &self.turns, policy, Entropy::new(1));
        let began = self.timer.now();
        let held = pipeline.gate().try_acquire(began).unwrap();
        let first = pipeline.call(|attempt: Attempt| async move {
            self.sleep(100).await;
            Ok::<_, ()>(attempt.number)
        });
        let second = async {
            self.sleep(60).await;
            pipeline.gate().release(held, Outcome::Ignored, self.timer.now());
            let answer = pipeline.call(|attempt: Attempt| ready(Ok::<_, ()>(attempt.number))).await;
            self.check(began, 60);
            answer
        };
        assert_eq!(join!(first, second), (Ok(1), Ok(1)));
    }

    async fn the_delay_follows_what_calls_take(&self) {
        if self.late > ms(1) {
            return; // needs an exact clock
        }
        let latencies = Shared::new(RefCell::new(LatencySketch::new(LatencyConfig::builder().build().unwrap())));
        let policy = after::<2>(60_000).measured(Quantile::new(900).unwrap(), &latencies);
        let pipeline = Pipeline::new(&self.timer, (), policy, Entropy::new(1));
        let takes = |time| {
            pipeline.call(move |attempt: Attempt| async move {
                self.sleep(if attempt.number == 1 { time } else { 1 }).await;
                Ok::<_, ()>(attempt.number)
            })
        };
        for _ in 0..100 {
            assert_eq!(takes(10).await, Ok(1));
        }
        let began = self.timer.now();
        assert_eq!(takes(10_000).await, Ok(2));
        let took = self.timer.now().saturating_since(began);
        assert!(took >= ms(10) && took <= ms(20), "hedged after about 10 ms: {took:?}");
    }
}
