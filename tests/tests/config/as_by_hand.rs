//! A pipeline from a file answers as the same one built by hand, call by call, under a scripted load.

use std::cell::RefCell;
use std::future::{pending, ready};
use std::time::Duration;

use fusebox::review::Finding;
use fusebox::{
    Backoff, BreakerConfig, BudgetConfig, Cause, Clock, Entropy, FailureRate, HedgePolicy, Instant, Jitter, Quota,
    Reason, RetryBudget, RetryPolicy, Shared, SharedBudget, SharedGate, TimeWindow, sync,
};
use fusebox_drive::config::PipelineConfig;
use fusebox_drive::{Attempt, Drive, Pipeline, ThreadTimer, Turns, sleep_until};
use fusebox_tests::ManualTimer;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const FILE: &str = "
[pipeline]
deadline = '70ms'
attempt_timeout = '60ms'
[breaker]
rule = { kind = 'failure_rate', permille = 500, minimum_calls = 12, within = '1s' }
open_interval = { kind = 'constant', first = '200ms', jitter = 'equal' }
trials = 2
successes_to_close = 2
[rate_limit]
count = 40
burst = 5
[bulkhead]
limit = 3
per = 'call'
[budget]
deposit_permille = 300
floor = { per_second = 1, up_to = 2 }
";

type Timer = &'static ManualTimer;

/// Bursts of four calls at once, of a callee that is well, slow, down, or neither; how each call ended, and when.
fn log<G: SharedGate, W: Turns, B: SharedBudget, P: Drive, C: SharedGate>(
    pipeline: &Pipeline<Timer, G, W, B, P, C>,
) -> Vec<String> {
    let timer = *pipeline.timer();
    let script = Entropy::new(5);
    let one = async |burst: u32| {
        let answer = pipeline.call(|attempt: Attempt| {
            let (took, fails) = match burst % 40 {
                0..10 => (script.draw() % 20, script.draw().is_multiple_of(10)),
                10..20 => (script.draw() % 90, false),
                20..30 => (script.draw() % 20, true),
                _ => (script.draw() % 70, script.draw().is_multiple_of(3)),
            };
            async move {
                sleep_until(&timer, timer.now().saturating_add(ms(took.into()))).await;
                if fails { Err(burst) } else { Ok(attempt.number) }
            }
        });
        format!("{:?} {}", answer.await, timer.now())
    };
    let all = async {
        let mut log = vec![];
        for burst in 0..160 {
            let (a, b, c, d) = tokio::join!(one(burst), one(burst), one(burst), one(burst));
            log.extend([a, b, c, d]);
            sleep_until(&timer, timer.now().saturating_add(ms(40))).await;
        }
        log
    };
    timer.block_on(all).unwrap()
}

fn from_file(policy: &str) -> Vec<String> {
    let pipeline = crate::toml(&format!("{FILE}{policy}")).build(timer(), Entropy::new(7)).unwrap();
    let log = log(&pipeline);
    for seen in ["OutOfTime", "Open", "TrialsOut", "RateLimited", "InFlight", "Ok(1)", "Ok(2)"] {
        let led_there = log.iter().filter(|call| call.contains(seen)).count();
        assert!(led_there > 1, "the load never led to {seen}");
    }
    log
}

fn timer() -> Timer {
    Box::leak(Box::default())
}

fn by_hand<P: Drive>(policy: P) -> Vec<String> {
    let entropy = Entropy::new(7);
    let rule = FailureRate::<TimeWindow<10>>::within(ms(1_000), 500, 12).unwrap();
    let interval = Backoff::constant(ms(200)).unwrap().with_jitter(Jitter::Equal);
    let breaker = BreakerConfig::builder(rule).open_interval(interval).seed(entropy.draw()).successes_to_close(2);
    let quota = Quota::per_second(40).unwrap().with_burst(5).unwrap();
    let budget = BudgetConfig::<10>::builder().deposit_permille(300).floor(1, 2).build().unwrap();
    log(&Pipeline::of(fusebox_drive::Layers {
        timer: timer(),
        call_gate: sync::Bulkhead::new(3.try_into().unwrap()),
        gate: (sync::Breaker::new(breaker.trials::<2>().build().unwrap()), sync::TokenBucket::new(quota)),
        turns: fusebox_drive::NoTurns,
        budget: Shared::new(RefCell::new(RetryBudget::new(budget))),
        policy,
        entropy,
    }))
}

#[test]
fn retries_under_load() {
    let text =
        "[retry]\nattempts = 3\nbackoff = { kind = 'exponential', first = '10ms', cap = '80ms', jitter = 'full' }";
    let backoff = Backoff::exponential(ms(10), ms(80)).unwrap().with_jitter(Jitter::Full);
    let policy = RetryPolicy::builder().attempts(3).backoff(backoff).deadline(ms(70)).attempt_timeout(ms(60));
    assert_eq!(from_file(text), by_hand(policy.build().unwrap()));
}

#[test]
fn hedges_under_load() {
    let policy = HedgePolicy::<2>::builder(ms(15)).deadline(ms(70)).attempt_timeout(ms(60));
    assert_eq!(from_file("[hedge]\ndelay = '15ms'"), by_hand(policy.build().unwrap()));
}

#[test]
fn gates_refuse_in_order_and_where_they_were_put() {
    // All three would refuse: the outermost one does, and those asked per call come first.
    let file = |breaker: &str, rate: &str, bulkhead: &str| {
        let text = format!(
            "[breaker]\nrule = {{ kind = 'consecutive', threshold = 1 }}\n{breaker}\n[rate_limit]\ncount = 1\n{rate}\n\
             [bulkhead]\nlimit = 1\n{bulkhead}"
        );
        let pipeline = crate::toml(&text).build(timer(), Entropy::new(1)).unwrap();
        let layers = [pipeline.call_gate(), pipeline.gate()];
        for gates in layers {
            gates.breaker.as_ref().inspect(|breaker| breaker.trip(Instant::EPOCH));
            let _token = gates.rate_limit.as_ref().map(|bucket| bucket.try_acquire(Instant::EPOCH));
            let _place = gates.bulkhead.as_ref().map(|bulkhead| bulkhead.try_acquire(Instant::EPOCH));
        }
        let call = pipeline.call(|_| ready(Ok::<_, ()>(())));
        match timer().block_on(call).unwrap().unwrap_err().cause {
            Cause::Refused(rejected) => rejected.reason,
            cause => unreachable!("{cause}"),
        }
    };
    let (each, once) = ("per = 'attempt'", "per = 'call'");
    assert_eq!(file("", "", ""), Reason::Open);
    assert_eq!(file(each, once, ""), Reason::RateLimited);
    assert_eq!(file(each, each, once), Reason::InFlight);
    assert_eq!(file(each, once, once), Reason::RateLimited);
    assert_eq!(file(once, once, once), Reason::Open);
}

#[test]
fn a_review_sees_all_layers() {
    let review = |text: &str| crate::built(text).unwrap().review();
    assert!(review("").eq([Finding::NoDeadline]));
    assert!(review("[retry]\n[pipeline]\ndeadline = '1s'").eq([
        Finding::RetryWithoutBackoff,
        Finding::RetryWithoutBudget,
        Finding::RepeatsUnsaid
    ]));
    let hedge = "[hedge]\ndelay = '1ms'\n[pipeline]\ndeadline = '1s'\n";
    assert!(review(hedge).eq([Finding::RetryWithoutBudget, Finding::RepeatsUnsaid]));
    assert!(review(&format!("{hedge}[budget]")).eq([Finding::RepeatsUnsaid]));
    for per in ["attempt", "call"] {
        let text =
            format!("{hedge}[budget]\n[breaker]\nrule = {{ kind = 'consecutive', threshold = 1 }}\nper = '{per}'");
        assert!(review(&text).contains(Finding::OneFailureTrips));
    }
    let window = "[breaker]\nrule = { kind = 'failure_count', threshold = 9, within = '1s' }\n\
                  or_rule = { kind = 'failure_count', threshold = 9, within = '2s' }\n[pipeline]\ndeadline = ";
    assert!(review(&format!("{window}'2s'")).contains(Finding::WindowBelowTimeout));
    assert!(!review(&format!("{window}'1999ms'")).contains(Finding::WindowBelowTimeout));
}

#[test]
fn a_pipeline_without_a_budget_leaves_the_counting_to_those_within() {
    let config = BudgetConfig::<1>::builder().deposit_permille(1_000).floor(0, 0).never_expires().build().unwrap();
    let budget = Shared::new(RefCell::new(RetryBudget::new(config)));
    let deposits = |outer: &str| {
        let before = budget.with(|budget| budget.balance(Instant::EPOCH).whole());
        let outer = crate::toml(outer).build(timer(), Entropy::new(1)).unwrap();
        let inner = Pipeline::builder(timer(), Entropy::new(1)).budget(&budget).build().unwrap();
        let (inner, clock) = (&inner, &timer());
        let call =
            outer.call(|attempt| async move { inner.within(attempt, clock).call(|_| ready(Ok::<_, ()>(()))).await });
        assert!(timer().block_on(call).unwrap().is_ok());
        budget.with(|budget| budget.balance(Instant::EPOCH).whole()) - before
    };
    assert_eq!((deposits("[retry]"), deposits("[retry]\n[budget]")), (1, 0));
}

#[test]
fn code_that_blocks() {
    let text = "[retry]\nattempts = 3\n[bulkhead]\nlimit = 1";
    let pipeline = crate::toml(text).build_blocking(ThreadTimer::new(), Entropy::new(1)).unwrap();
    let mut left = 2;
    let answer = pipeline.call_blocking(|attempt| {
        left -= 1;
        if left == 0 { Ok(attempt.number) } else { Err("no") }
    });
    assert_eq!(answer, Ok(2));
    assert_eq!(pipeline.gate().bulkhead.as_ref().unwrap().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn on_tokio() {
    use fusebox_tokio::{TokioTimer, config, entropy};
    let text = "[pipeline]\ndeadline = '1s'\n[hedge]\ndelay = '30ms'\n[bulkhead]\nlimit = 2";
    let file: PipelineConfig = config::from_toml(text).unwrap();
    let pipeline = file.build(TokioTimer::new(), entropy()).unwrap();
    let first_hangs = |attempt: Attempt| async move {
        if attempt.number == 1 { pending().await } else { Ok::<_, ()>(attempt.number) }
    };
    let start = tokio::time::Instant::now();
    assert_eq!(pipeline.call(first_hangs).await, Ok(2));
    assert_eq!(start.elapsed(), ms(30));
    let places = || pipeline.gate().bulkhead.as_ref().unwrap().in_flight();
    assert_eq!(places(), 0);
    // Dropped while both attempts are out.
    let hangs = pipeline.call(|_| pending::<Result<(), ()>>());
    assert!(
        tokio::time::timeout(ms(50), async {
            tokio::join!(hangs, async {
                tokio::time::sleep(ms(40)).await;
                assert_eq!(places(), 2);
            })
        })
        .await
        .is_err()
    );
    assert_eq!(places(), 0);
}

#[test]
fn on_async_std_and_smol() {
    use fusebox_async_std::{AsyncIoTimer, config, entropy};
    let file: PipelineConfig = config::from_json("{\"retry\": {\"attempts\": 2}}").unwrap();
    let pipeline = file.build(AsyncIoTimer::new(), entropy()).unwrap();
    let second = |attempt: Attempt| ready(if attempt.number == 2 { Ok(2) } else { Err(()) });
    assert_eq!(smol::block_on(pipeline.call(second)), Ok(2));
    assert_eq!(async_std::task::block_on(pipeline.call(second)), Ok(2));
}
