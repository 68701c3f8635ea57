//! Law: the first in line waits for what others give back, and for no longer; the line is served in order; whoever
//! leaves it, for whatever reason, keeps nobody. The same on every runtime.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may panic")]

use std::cell::RefCell;
use std::time::Duration;

use fusebox::{
    Breaker, BreakerConfig, Bulkhead, Cause, Clock, Consecutive, Entropy, Gate, Outcome, Reason, RetryPolicy, Shared,
    SharedGate, Stage, State,
};
use fusebox_drive::{Pipeline, Timer, Turns, sleep_until, timeout_at};
use tokio::join;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One runtime: its timer, a line, and how much later than asked its sleeps may end.
struct Runtime<T, W> {
    timer: T,
    turns: W,
    late: Duration,
}

async fn all(timer: impl Timer, turns: impl Turns, late: Duration) {
    let runtime = Runtime { timer, turns, late };
    runtime.a_full_bulkhead_is_waited_for_in_order().await;
    runtime.a_trial_that_comes_back_ends_the_wait().await;
    runtime.the_first_in_line_may_leave().await;
    runtime.a_deadline_ends_the_wait().await;
    runtime.a_dropped_operation_frees_its_place().await;
}

fusebox_tests::on_each_runtime!(all);

type Line<'r, T, W, G> = Pipeline<&'r T, Shared<RefCell<G>>, &'r W>;

impl<T: Timer, W: Turns> Runtime<T, W> {
    fn line<G: Gate>(&self, gate: G, deadline: Duration) -> Line<'_, T, W, G> {
        let retry = RetryPolicy::builder().attempts(1).deadline(deadline).wait_for_gates().build().unwrap();
        Pipeline::fair(&self.timer, Shared::new(RefCell::new(gate)), &self.turns, retry, Entropy::new(1))
    }

    fn bulkhead(&self, limit: u32, deadline: Duration) -> Line<'_, T, W, Bulkhead> {
        self.line(Bulkhead::new(limit.try_into().unwrap()), deadline)
    }

    async fn sleep(&self, time: Duration) {
        sleep_until(&self.timer, self.timer.now().saturating_add(time)).await;
    }

    /// That it is `expected` since `began`, as exactly as this runtime's sleeps allow.
    fn check(&self, began: fusebox::Instant, expected: Duration) {
        let took = self.timer.now().saturating_since(began);
        assert!(took >= expected && took <= expected + self.late, "after {took:?}, not {expected:?}");
    }

    async fn a_full_bulkhead_is_waited_for_in_order(&self) {
        let line = self.bulkhead(2, ms(10_000));
        let (began, order) = (self.timer.now(), RefCell::new(vec![]));
        let (line, order) = (&line, &order);
        let caller = |n: u32| async move {
            let call = line.call(|_| async {
                order.borrow_mut().push(n);
                // Two at a time, each pair as soon as the one before is back.
                self.check(began, ms(20) * (n >> 1));
                self.sleep(ms(20)).await;
                Ok::<_, ()>(())
            });
            call.await.unwrap();
        };
        join!(caller(0), caller(1), caller(2), caller(3), caller(4), caller(5));
        assert_eq!(*order.borrow(), [0, 1, 2, 3, 4, 5]);
    }

    async fn a_trial_that_comes_back_ends_the_wait(&self) {
        let config = BreakerConfig::builder(Consecutive::new(1).unwrap()).trial_ttl(ms(60_000)).build().unwrap();
        let line = self.line(Breaker::<_, 1>::new(config), ms(10_000));
        line.gate().with(|breaker| {
            breaker.trip(self.timer.now());
            breaker.half_open(self.timer.now());
        });
        let began = self.timer.now();
        let trial = line.call(|_| async {
            self.sleep(ms(30)).await;
            Ok::<_, ()>(())
        });
        let behind = line.call(|_| async {
            self.check(began, ms(30)); // its lease would have been over after a minute
            Ok::<_, ()>(())
        });
        let (trial, behind) = join!(trial, behind);
        trial.unwrap();
        behind.unwrap();
        assert_eq!(line.gate().with(|breaker| breaker.state()), State::Closed);
    }

    /// The second caller has the turn, waits for the bulkhead and is dropped; the third is served all the same.
    async fn the_first_in_line_may_leave(&self) {
        let line = self.bulkhead(1, ms(10_000));
        let began = self.timer.now();
        let first = line.call(|_| async {
            self.sleep(ms(40)).await;
            Ok::<_, ()>(())
        });
        let second = async {
            let call = line.call(|_| async { Ok::<_, ()>(()) });
            let gone = timeout_at(&self.timer, self.timer.now().saturating_add(ms(20)), call).await;
            assert!(gone.is_none());
        };
        let third = line.call(|_| async {
            self.check(began, ms(40));
            Ok::<_, ()>(())
        });
        let (first, (), third) = join!(first, second, third);
        first.unwrap();
        third.unwrap();
    }

    async fn a_deadline_ends_the_wait(&self) {
        let line = self.bulkhead(1, ms(30));
        let held = line.gate().try_acquire(self.timer.now()).unwrap();
        let began = self.timer.now();
        let error = line.call(|_| async { Ok::<(), ()>(()) }).await.unwrap_err();
        assert_eq!(error.cause, Cause::OutOfTime(Stage::Gate(Reason::InFlight)));
        self.check(began, ms(30));
        line.gate().release(held, Outcome::Success, self.timer.now());
        line.call(|_| async { Ok::<_, ()>(()) }).await.unwrap();
    }

    async fn a_dropped_operation_frees_its_place(&self) {
        let line = self.bulkhead(1, ms(10_000));
        let began = self.timer.now();
        let hung = line.call(|_| std::future::pending::<Result<(), ()>>());
        let dropped = async {
            assert!(timeout_at(&self.timer, began.saturating_add(ms(25)), hung).await.is_none());
        };
        let behind = line.call(|_| async {
            self.check(began, ms(25));
            Ok::<_, ()>(())
        });
        let ((), behind) = join!(dropped, behind);
        behind.unwrap();
    }
}

/// One has the turn, one waits; the third is refused at once, and so is everybody until a place is free again.
#[tokio::test(start_paused = true)]
async fn a_bounded_line_says_that_it_is_full() {
    let runtime = Runtime {
        timer: fusebox_tokio::TokioTimer::new(),
        turns: fusebox_tokio::FairTurns::bounded(1),
        late: Duration::ZERO,
    };
    let line = runtime.bulkhead(1, ms(10_000));
    let began = runtime.timer.now();
    let slow = || {
        line.call(|_| async {
            runtime.sleep(ms(40)).await;
            Ok::<_, ()>(())
        })
    };
    let refused = || async {
        let error = line.call(|_| async { Ok::<_, ()>(()) }).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Refused(rejected) if rejected.reason == Reason::QueueFull));
    };
    let leaves = timeout_at(&runtime.timer, began.saturating_add(ms(20)), slow());
    let later = async {
        refused().await;
        runtime.sleep(ms(19)).await;
        refused().await;
        runtime.check(began, ms(19));
        runtime.sleep(ms(2)).await;
        slow().await.unwrap(); // in the place of the one who left
        runtime.check(began, ms(120));
    };
    let (first, second, third, ()) = join!(slow(), slow(), leaves, later);
    first.unwrap();
    second.unwrap();
    assert!(third.is_none());
}

#[tokio::test(start_paused = true)]
async fn without_patience_a_full_bulkhead_refuses_at_once() {
    let pipeline = fusebox_tokio::fair_pipeline(Bulkhead::new(1.try_into().unwrap()), RetryPolicy::ONCE);
    let held = pipeline.gate().try_acquire(pipeline.timer().now()).unwrap();
    let error = pipeline.call(|_| async { Ok::<(), ()>(()) }).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Refused(rejected) if rejected.reason == Reason::InFlight));
    pipeline.gate().release(held, Outcome::Success, pipeline.timer().now());
}
