//! From 10 s to 30 s the callee takes its time.

use std::cell::RefCell;
use std::rc::Rc;

use fusebox::{
    Backoff, Breaker, BreakerConfig, CountWindow, Entropy, FaultConfig, Gate, Jitter, RetryPolicy, Shared, SlowRate,
    checked,
};
use fusebox_drive::{CallError, Pipeline};
use fusebox_tokio::TokioTimer;

use crate::world::{Broken, Callee, Calls, Load, ms, secs, virtually};
use crate::{Any, AtLeast, AtMost, measure, show};

const QUICK: FaultConfig = checked!(FaultConfig::builder().latency(ms(10)).jitter(ms(10)).build());
/// Nobody waits for that.
const STUCK: FaultConfig = checked!(FaultConfig::builder().latency(secs(30)).jitter(ms(10)).build());
/// Too slow to be of use, but answers.
const SLOW: FaultConfig = checked!(FaultConfig::builder().latency(ms(400)).jitter(ms(10)).build());

const BACKOFF: Backoff = checked!(Backoff::constant(ms(50))).with_jitter(Jitter::Full);
const HASTY: RetryPolicy =
    checked!(RetryPolicy::builder().attempts(2).backoff(BACKOFF).attempt_timeout(ms(200)).deadline(ms(500)).build());
const PATIENT: RetryPolicy = checked!(RetryPolicy::builder().attempts(1).attempt_timeout(secs(1)).build());

type Seen = Calls<Result<(), CallError<Broken>>>;

fn run<G: Gate + 'static>(seed: u32, slow: FaultConfig, gate: G, policy: RetryPolicy) -> Seen {
    virtually(async {
        let timer = TokioTimer::new();
        let callee = Callee::new(timer, QUICK, seed);
        callee.change(secs(10), slow);
        callee.change(secs(30), QUICK);
        let pipeline = Rc::new(Pipeline::new(timer, Shared::new(RefCell::new(gate)), policy, Entropy::new(seed)));
        let load = Load { per_second: 50, within: 0..50_000, seed };
        let call = |_| {
            let (pipeline, callee) = (pipeline.clone(), callee.clone());
            async move { pipeline.call(|_| callee.call()).await }
        };
        load.calls(timer, call).await
    })
}

#[test]
fn timeouts_bound_how_long_and_so_how_many() {
    let seen = |calls: Seen| [calls.p99(), calls.most_at_once(), calls.recovery(30_000)];
    let measures = [
        measure("p99 of callers, ms", AtLeast(30_000.0), AtMost(505.0)),
        measure("callers stuck at a time", AtLeast(900.0), AtMost(35.0)),
        measure("seconds from its end until all are served", Any, AtMost(0.1)),
    ];
    show(
        "slow answers",
        "attempt timeout, total deadline",
        measures,
        |seed| seen(run(seed, STUCK, (), RetryPolicy::ONCE)),
        |seed| seen(run(seed, STUCK, (), HASTY)),
    );
}

#[test]
fn a_breaker_that_counts_slow_calls_ends_the_waiting() {
    let breaker = |seed| {
        let rule: SlowRate<CountWindow<1>> = SlowRate::of_last(20, 500, 10).unwrap();
        let open = Backoff::exponential(ms(500), secs(4)).unwrap().with_jitter(Jitter::Equal);
        let config = BreakerConfig::builder(rule).slow_after(ms(100)).open_interval(open).seed(seed);
        Breaker::new(config.build().unwrap())
    };
    // Without the first second, in which nobody can know.
    let seen = |calls: Seen| {
        let known = calls.started(11_000..30_000);
        [known.p99(), known.most_at_once(), calls.recovery(30_000)]
    };
    let measures = [
        measure("p99 of callers while slow, ms", AtLeast(400.0), AtMost(5.0)),
        measure("callers stuck at a time", AtLeast(18.0), AtMost(3.0)),
        measure("seconds from its end until all are served", Any, AtMost(5.0)),
    ];
    show(
        "slow answers",
        "slow-call rate",
        measures,
        |seed| seen(run(seed, SLOW, (), PATIENT)),
        |seed| seen(run(seed, SLOW, breaker(seed), PATIENT)),
    );
}
