//! Law: the driver pays in once per call and pays once per retry, and gives back what was not used, whatever happens to the
//! call; who is refused a retry keeps the operation's own error.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, ready};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusebox::budget::{BudgetSnapshot, ConcurrencySnapshot};
use fusebox::{
    Backoff, Budget, BudgetConfig, Cause, ConcurrencyBudget, Instant, NoBudget, Quota, Reason, RetryBudget,
    RetryPolicy, Shared, Stage, TokenBucket, checked,
};
use fusebox_drive::{Class, NoTurns, Pipeline, ThreadTimer, entropy};
use fusebox_tokio::{pipeline, share, timeout_at};
use tokio::time::timeout;

const MS: Duration = Duration::from_millis(1);

const THREE: RetryPolicy = checked!(
    RetryPolicy::builder().attempts(3).backoff(checked!(Backoff::constant(Duration::from_millis(10)))).build()
);
const TWO: RetryPolicy = checked!(RetryPolicy::builder().attempts(2).build());

type SharedBucket<const N: usize = 10> = Arc<Shared<Mutex<RetryBudget<N>>>>;

/// Half a token per call, and so many halves at the start.
fn budget(halves: u32) -> SharedBucket {
    let config = BudgetConfig::builder().deposit_permille(500).never_expires().floor(0, 0).build().unwrap();
    let mut budget = RetryBudget::new(config);
    for _ in 0..halves {
        budget.deposit(Instant::EPOCH);
    }
    share(budget)
}

fn seen<const N: usize>(budget: &SharedBucket<N>) -> BudgetSnapshot {
    budget.with(|budget| budget.snapshot(Instant::EPOCH))
}

/// Half tokens left.
fn halves(budget: &SharedBucket) -> u128 {
    seen(budget).balance.billionths().div_ceil(500_000_000)
}

/// Whole tokens left.
fn tokens<const N: usize>(budget: &SharedBucket<N>) -> u128 {
    seen(budget).balance.whole()
}

/// Fails, with how often it did.
fn fails(attempts: &Cell<u32>) -> impl Future<Output = Result<(), u32>> + use<> {
    attempts.set(attempts.get() + 1);
    ready(Err(attempts.get()))
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_a_retry_keeps_the_operations_error_and_does_not_wait() {
    let budget = budget(2);
    let pipeline = pipeline((), THREE).with_budget(budget.clone());
    let attempts = Cell::new(0);
    let error = pipeline.call(|_| fails(&attempts)).await.unwrap_err();
    // Three halves with this call's: one retry.
    assert_eq!((error.cause, error.last, error.attempts), (Cause::BudgetExhausted, Some(2), 2));
    assert_eq!(error.elapsed, 10 * MS, "the delay of the retry that was made, and of no other");
    assert_eq!(error.to_string(), "retry budget exhausted after 2 attempts in 10ms; last error: 2");
    let error = pipeline.call(|_| fails(&attempts)).await.unwrap_err();
    assert_eq!((error.cause, error.last, error.attempts), (Cause::BudgetExhausted, Some(4), 2));
    let error = pipeline.call(|_| fails(&attempts)).await.unwrap_err();
    assert_eq!((error.cause, error.last, error.attempts), (Cause::BudgetExhausted, Some(5), 1));
    assert_eq!((seen(&budget).refused, halves(&budget)), (3, 1));
    assert_eq!(pipeline.budget().with(|budget| budget.snapshot(Instant::EPOCH)), seen(&budget));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_classified_as_failed_is_not_lost() {
    let pipeline = pipeline((), THREE).with_budget(budget(0));
    let busy = |_: &Result<u32, ()>| Class::Retry;
    assert_eq!(pipeline.call_with(busy, |_| ready(Ok::<_, ()>(503))).await, Ok(503));
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_every_retry_is_free() {
    let attempts = Cell::new(0);
    let error = pipeline((), THREE).with_budget(NoBudget).call(|_| fails(&attempts)).await.unwrap_err();
    assert_eq!((error.cause, attempts.get()), (Cause::Exhausted, 3));
}

#[tokio::test(start_paused = true)]
async fn a_call_pays_in_when_its_first_attempt_starts_and_once() {
    let budget = budget(8);
    let bucket = TokenBucket::new(checked!(Quota::new(3, Duration::from_secs(3_600))));
    let pipeline = pipeline(bucket, THREE).with_budget(budget.clone());
    let attempts = Cell::new(0);
    assert_eq!(pipeline.call(|_| fails(&attempts)).await.unwrap_err().cause, Cause::Exhausted);
    assert_eq!(halves(&budget), 8 + 1 - 4);
    let error = pipeline.call(|_| fails(&attempts)).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Refused(refused) if refused.reason == Reason::RateLimited));
    assert_eq!(halves(&budget), 5, "it never started");
    let stop = pipeline.call_with(|_: &_| Class::Stop, |_| fails(&attempts)).await;
    assert!(stop.is_err() && halves(&budget) == 5);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_never_starts_is_given_back() {
    let budget = budget(4);
    let attempts = Cell::new(0);
    let slow = pipeline((), THREE).with_budget(budget.clone());
    // Dropped in the delay.
    assert!(timeout(5 * MS, slow.call(|_| fails(&attempts))).await.is_err());
    assert_eq!((halves(&budget), seen(&budget).spent.whole()), (5, 0));
    // Refused by a gate.
    let bucket = TokenBucket::new(checked!(Quota::new(1, Duration::from_secs(3_600))));
    let limited = pipeline(bucket, TWO).with_budget(budget.clone());
    let error = limited.call(|_| fails(&attempts)).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Refused(_)));
    assert_eq!((halves(&budget), seen(&budget).spent.whole()), (6, 0));
    // Out of time: nothing is paid for what cannot be.
    let patience = RetryPolicy::builder().backoff(Backoff::constant(10 * MS).unwrap()).deadline(5 * MS).build();
    let short = pipeline((), patience.unwrap()).with_budget(budget.clone());
    assert_eq!(short.call(|_| fails(&attempts)).await.unwrap_err().cause, Cause::OutOfTime(Stage::Delay));
    assert_eq!((halves(&budget), seen(&budget).spent.whole()), (7, 0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_waits_for_a_gate_is_paid_once() {
    let budget = budget(4);
    let bucket = TokenBucket::new(checked!(Quota::per_second(1)));
    let policy = RetryPolicy::builder().wait_for_gates().deadline(Duration::from_secs(60)).build().unwrap();
    let limited = pipeline(bucket, policy).with_budget(budget.clone());
    let attempts = Cell::new(0);
    assert_eq!(limited.call(|_| fails(&attempts)).await.unwrap_err().attempts, 3);
    assert_eq!((halves(&budget), seen(&budget).spent.whole()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_started_is_spent_however_it_ends() {
    let budget = budget(4);
    let pipeline = pipeline((), TWO).with_budget(budget.clone());
    let call = pipeline.call(|attempt| async move {
        match attempt.number {
            1 => Err::<(), ()>(()),
            _ => pending().await,
        }
    });
    assert!(timeout(5 * MS, call).await.is_err());
    assert_eq!((halves(&budget), seen(&budget).spent.whole()), (3, 1));
    let panicking = tokio::spawn(async move {
        let op = |attempt: fusebox_drive::Attempt| async move {
            assert!(attempt.number == 1, "as planned");
            Err::<(), ()>(())
        };
        pipeline.call(op).await
    });
    assert!(panicking.await.unwrap_err().is_panic());
    assert_eq!((halves(&budget), seen(&budget).spent.whole()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn aws_costs_refunds_and_rewards() {
    let policy = RetryPolicy::builder().attempts(3).attempt_timeout(MS).build().unwrap();
    let quota = share(RetryBudget::new(BudgetConfig::AWS));
    let s3 = pipeline((), policy).with_budget(quota.clone());
    let hang = |attempt: fusebox_drive::Attempt| async move {
        match attempt.number {
            1 => pending().await,
            2 => Err(()),
            _ => Ok(()),
        }
    };
    // 10 after the timeout, 5 after the failure, which the success gets back.
    s3.call(hang).await.unwrap();
    assert_eq!(tokens(&quota), 490);
    s3.call(|_| ready(Ok::<_, ()>(()))).await.unwrap();
    assert_eq!(tokens(&quota), 491);
    assert!(s3.call(|_| ready(Err::<(), _>(()))).await.is_err());
    assert_eq!(tokens(&quota), 481);
    let newer = share(RetryBudget::new(BudgetConfig::AWS_2026));
    let s3 = pipeline((), policy).with_budget(newer.clone());
    let throttled = |_: &Result<(), ()>| Class::RetryAfter(MS);
    assert!(s3.call_with(throttled, |_| ready(Err(()))).await.is_err());
    assert_eq!(tokens(&newer), 490);
    assert!(s3.call(|_| pending::<Result<(), ()>>()).await.is_err());
    assert_eq!(tokens(&newer), 462);
}

#[tokio::test(start_paused = true)]
async fn grpc_counts_every_failure_once() {
    let throttle = share(RetryBudget::new(BudgetConfig::grpc(10, 100).unwrap()));
    let client = pipeline((), THREE).with_budget(throttle.clone());
    let attempts = Cell::new(0);
    assert_eq!(client.call(|_| fails(&attempts)).await.unwrap_err().attempts, 3);
    assert_eq!(tokens(&throttle), 7);
    let error = client.call(|_| fails(&attempts)).await.unwrap_err();
    assert_eq!((error.cause, error.attempts, tokens(&throttle)), (Cause::BudgetExhausted, 2, 5));
    let once = pipeline((), RetryPolicy::ONCE).with_budget(throttle.clone());
    assert!(once.call(|_| fails(&attempts)).await.is_err());
    assert_eq!(tokens(&throttle), 4);
    assert!(client.call_with(|_: &_| Class::Stop, |_| fails(&attempts)).await.is_err());
    once.call(|_| ready(Ok::<_, ()>(()))).await.unwrap();
    assert_eq!(seen(&throttle).balance.billionths(), 4_100_000_000);
}

/// Two pipelines of two attempts, one within the other: four calls to the callee if all fail.
#[tokio::test(start_paused = true)]
async fn nested_pipelines_pay_in_once_and_pay_for_each_further_call_once() {
    let run = async |start, within| {
        let budget = budget(start);
        let outer = pipeline((), TWO).with_budget(budget.clone());
        let inner = pipeline((), TWO).with_budget(budget.clone());
        let (attempts, counted) = (Cell::new(0), RefCell::new(vec![]));
        let operation = async |attempt| {
            let callee = |attempt: fusebox_drive::Attempt| {
                counted.borrow_mut().push(attempt.counted);
                fails(&attempts)
            };
            if within { inner.within(attempt, outer.timer()).call(callee).await } else { inner.call(callee).await }
        };
        let error = outer.call(operation).await.unwrap_err();
        assert!(counted.borrow().iter().all(|counted| *counted));
        (attempts.get(), halves(&budget), seen(&budget).spent.whole(), error.cause)
    };
    assert_eq!(run(20, true).await, (4, 20 + 1 - 6, 3, Cause::Exhausted), "three further calls, one deposit");
    assert_eq!(run(20, false).await, (4, 20 + 3 - 6, 3, Cause::Exhausted), "retries would pay in too");
    // Two halves and the call's own: one further call, which the inner one makes. The outer one's is refused.
    assert_eq!(run(2, true).await, (2, 1, 1, Cause::BudgetExhausted));
    assert_eq!(run(0, true).await, (1, 1, 0, Cause::BudgetExhausted));
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_pipeline_without_a_budget_is_no_new_call_either() {
    let budget = budget(0);
    let (outer, inner) = (pipeline((), TWO), pipeline((), RetryPolicy::ONCE).with_budget(budget.clone()));
    let middle = pipeline((), RetryPolicy::ONCE);
    let attempts = Cell::new(0);
    let operation = async |attempt| {
        let within = async |attempt| {
            inner.within(attempt, middle.timer()).call(|_| fails(&attempts)).await.map_err(|error| error.last)
        };
        middle.within(attempt, outer.timer()).call(within).await
    };
    assert!(outer.call(operation).await.is_err());
    assert_eq!((attempts.get(), halves(&budget)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_budget_by_concurrency_gets_everything_back() {
    let budget = share(ConcurrencyBudget::new(500, 1).unwrap());
    let in_flight = || budget.with(|budget| budget.snapshot());
    let client = pipeline((), THREE).with_budget(budget.clone());
    let slow = |attempt: fusebox_drive::Attempt| async move {
        match attempt.number {
            1 => Err::<(), ()>(()),
            _ => pending().await,
        }
    };
    {
        let hung = Box::pin(client.call(slow));
        assert!(timeout(20 * MS, hung).await.is_err());
    }
    assert_eq!(in_flight(), ConcurrencySnapshot { calls: 0, retries: 0, refused: 0 });
    let mut first = Box::pin(client.call(slow));
    assert!(timeout(20 * MS, first.as_mut()).await.is_err());
    assert_eq!(in_flight(), ConcurrencySnapshot { calls: 1, retries: 1, refused: 0 });
    let mut second = Box::pin(client.call(slow));
    assert!(timeout(5 * MS, second.as_mut()).await.is_err());
    assert_eq!(in_flight(), ConcurrencySnapshot { calls: 2, retries: 2, refused: 0 }, "in its delay");
    let third = client.call(slow).await.unwrap_err();
    assert_eq!((third.cause, in_flight().refused), (Cause::BudgetExhausted, 1));
    drop((first, second));
    let attempts = Cell::new(0);
    assert_eq!(
        client.call(|_| fails(&attempts)).await.unwrap_err().cause,
        Cause::Exhausted,
        "its retries follow each other"
    );
    assert_eq!(in_flight(), ConcurrencySnapshot { calls: 0, retries: 0, refused: 1 });
}

#[test]
fn blocking_calls_pay_too() {
    let budget = budget(2);
    let policy = RetryPolicy::builder().attempts(3).build().unwrap();
    let pipeline = || Pipeline::new(ThreadTimer::new(), Shared::new(Mutex::new(())), policy, entropy());
    let (outer, inner) = (pipeline().with_budget(budget.clone()), pipeline().with_budget(&budget));
    let error = outer.call_blocking(|_| Err::<(), _>("no")).unwrap_err();
    assert_eq!((error.cause, error.last, error.attempts), (Cause::BudgetExhausted, Some("no"), 2));
    assert_eq!(halves(&budget), 1);
    let error = outer
        .call_blocking(|attempt| inner.within(attempt, outer.timer()).call_blocking(|_| Err::<(), _>("no")))
        .unwrap_err();
    assert_eq!((error.attempts, error.last.map(|inner| inner.attempts)), (1, Some(2)));
    assert_eq!(halves(&budget), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_share_one_budget() {
    let budget = budget(20);
    let callee: Arc<AtomicU32> = Arc::default();
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let client = pipeline((), TWO).with_budget(budget.clone());
            let callee = callee.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    let operation = |_| {
                        callee.fetch_add(1, Ordering::Relaxed);
                        ready(Err::<(), ()>(()))
                    };
                    let _ = client.call(operation).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    // 2000 calls; half a token each, and the ten from before.
    assert_eq!(callee.load(Ordering::Relaxed), 2_000 + 1_010);
    assert_eq!((halves(&budget), seen(&budget).spent.whole()), (0, 1_010));
}

#[tokio::test(start_paused = true)]
async fn everything_at_once_in_one_constructor() {
    static BUDGET: Shared<Mutex<RetryBudget>> =
        Shared::new(Mutex::new(RetryBudget::new(checked!(BudgetConfig::builder().build()))));
    let timer = fusebox_tokio::TokioTimer::new();
    let gate = Shared::new(Mutex::new(()));
    let client = Pipeline::budgeted(timer, gate, NoTurns, &BUDGET, TWO, entropy());
    let call = client.call(|_| ready(Err::<(), _>(7)));
    let error = timeout_at(&timer, Instant::from_secs(9), call).await.unwrap().unwrap_err();
    assert_eq!((error.cause, error.attempts, error.last), (Cause::Exhausted, 2, Some(7)));
    assert_eq!(BUDGET.with(|budget| budget.snapshot(Instant::EPOCH)).spent.whole(), 1);
}
