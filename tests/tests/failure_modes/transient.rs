//! One attempt in ten fails, and now and then all do for a tenth of a second.

use std::cell::RefCell;
use std::rc::Rc;

use fusebox::fault::Outage;
use fusebox::{
    Backoff, BudgetConfig, Entropy, FaultConfig, Jitter, NoBudget, RetryBudget, RetryPolicy, Shared, SharedBudget,
    checked,
};
use fusebox_drive::Pipeline;
use fusebox_tokio::TokioTimer;

use crate::world::{Callee, Load, ms, secs, virtually};
use crate::{AtLeast, AtMost, measure, show};

const FLAKY: FaultConfig<1> = checked!(
    FaultConfig::builder()
        .latency(ms(5))
        .jitter(ms(10))
        .errors(100)
        .outages([Outage::error(secs(3), ms(100)).every(secs(10))])
        .build()
);

const RETRY: RetryPolicy = checked!(
    RetryPolicy::builder()
        .attempts(5)
        .backoff(checked!(Backoff::exponential(ms(50), secs(1))).with_jitter(Jitter::Equal))
        .attempt_timeout(ms(200))
        .deadline(secs(3))
        .build()
);

fn run<B: SharedBudget + 'static>(seed: u32, policy: RetryPolicy, budget: B) -> [f64; 2] {
    virtually(async {
        let timer = TokioTimer::new();
        let callee = Callee::new(timer, FLAKY, seed);
        let pipeline = Rc::new(Pipeline::new(timer, (), policy, Entropy::new(seed)).with_budget(budget));
        let load = Load { per_second: 100, within: 0..60_000, seed };
        let calls = load
            .calls(timer, |_| {
                let (pipeline, callee) = (pipeline.clone(), callee.clone());
                async move { pipeline.call(|_| callee.call()).await }
            })
            .await;
        [calls.percent_served(), callee.attempts.count(0..u64::MAX) / calls.0.len() as f64]
    })
}

#[test]
fn retries_within_a_budget_get_through() {
    let measures = [
        measure("calls served, %", AtMost(92.0), AtLeast(99.9)),
        measure("attempts per call", AtMost(1.0), AtMost(1.25)),
    ];
    let budget = || Shared::new(RefCell::new(RetryBudget::<10>::new(checked!(BudgetConfig::builder().build()))));
    show(
        "transient fault",
        "retry, backoff, jitter, budget",
        measures,
        |seed| run(seed, RetryPolicy::ONCE, NoBudget),
        |seed| run(seed, RETRY, budget()),
    );
}
