//! From 20 s to 80 s the callee answers nobody.

use std::cell::RefCell;
use std::rc::Rc;

use fusebox::fault::Outage;
use fusebox::{
    Backoff, Breaker, BreakerConfig, Consecutive, Entropy, FaultConfig, Gate, Jitter, RetryPolicy, Shared, checked,
};
use fusebox_drive::Pipeline;
use fusebox_tokio::TokioTimer;

use crate::world::{Callee, Load, ms, secs, virtually};
use crate::{Any, AtLeast, AtMost, measure, show};

const DOWN: FaultConfig<1> =
    checked!(FaultConfig::builder().latency(ms(10)).outages([Outage::hang(secs(20), secs(60))]).build());
/// The outage without its first second, in which nobody can know.
const KNOWN: std::ops::Range<u64> = 21_000..80_000;

const RETRY: RetryPolicy = checked!(
    RetryPolicy::builder()
        .attempts(2)
        .backoff(checked!(Backoff::exponential(ms(50), ms(500))).with_jitter(Jitter::Full))
        .attempt_timeout(ms(500))
        .deadline(secs(2))
        .build()
);

fn breaker(seed: u32) -> Breaker<Consecutive> {
    let open = Backoff::exponential(ms(500), secs(4)).unwrap().with_jitter(Jitter::Equal);
    let rule = Consecutive::new(5).unwrap();
    let config = BreakerConfig::builder(rule).open_interval(open).seed(seed).trial_ttl(secs(1)).successes_to_close(2);
    Breaker::new(config.build().unwrap())
}

fn run<G: Gate + 'static>(seed: u32, gate: G) -> [f64; 4] {
    virtually(async {
        let timer = TokioTimer::new();
        let callee = Callee::new(timer, DOWN, seed);
        let pipeline = Rc::new(Pipeline::new(timer, Shared::new(RefCell::new(gate)), RETRY, Entropy::new(seed)));
        let load = Load { per_second: 50, within: 0..100_000, seed };
        let calls = load
            .calls(timer, |_| {
                let (pipeline, callee) = (pipeline.clone(), callee.clone());
                async move { pipeline.call(|_| callee.call()).await }
            })
            .await;
        let known = calls.started(KNOWN);
        let attempts_per_second = callee.attempts.count(KNOWN) / 59.0;
        [known.p99(), known.most_at_once(), attempts_per_second, calls.recovery(80_000)]
    })
}

#[test]
fn a_breaker_spares_both_sides_and_lets_them_meet_again() {
    let measures = [
        measure("p99 of callers while down, ms", AtLeast(1_000.0), AtMost(5.0)),
        measure("callers stuck at a time", AtLeast(40.0), AtMost(3.0)),
        measure("attempts at the callee per second", AtLeast(95.0), AtMost(1.0)),
        measure("seconds from its end until all are served", Any, AtMost(5.0)),
    ];
    show("dependency down", "breaker, trials", measures, |seed| run(seed, ()), |seed| run(seed, breaker(seed)));
}
