//! A calls B, and B calls C for half of A's calls and D for the other half. From 10 s to 30 s C is down.

use std::cell::RefCell;
use std::rc::Rc;

use fusebox::fault::Outage;
use fusebox::{
    Backoff, Breaker, BreakerConfig, BudgetConfig, Bulkhead, Consecutive, Entropy, FaultConfig, Gate, Jitter, NoBudget,
    RetryBudget, RetryPolicy, Shared, SharedBudget, checked,
};
use fusebox_drive::{CallError, NoTurns, Pipeline};
use fusebox_tokio::TokioTimer;

use crate::world::{Broken, Callee, Load, Server, ms, secs, virtually};
use crate::{Any, AtLeast, AtMost, measure, show};

const HANGS: FaultConfig<1> =
    checked!(FaultConfig::builder().latency(ms(10)).outages([Outage::hang(secs(10), secs(20))]).build());
const FAILS: FaultConfig<1> =
    checked!(FaultConfig::builder().latency(ms(10)).outages([Outage::error(secs(10), secs(20))]).build());
const WORKS: FaultConfig = checked!(FaultConfig::builder().latency(ms(10)).build());
const DOWN: std::ops::Range<u64> = 10_000..30_000;

const BACKOFF: Backoff = checked!(Backoff::exponential(ms(20), ms(200))).with_jitter(Jitter::Full);
const A: RetryPolicy =
    checked!(RetryPolicy::builder().attempts(3).backoff(BACKOFF).attempt_timeout(secs(2)).deadline(secs(4)).build());
const B: RetryPolicy =
    checked!(RetryPolicy::builder().attempts(3).backoff(BACKOFF).attempt_timeout(ms(500)).deadline(secs(2)).build());
/// B's tasks.
const WORKERS: usize = 20;

type To<G, R> = Rc<Pipeline<TokioTimer, Shared<RefCell<G>>, NoTurns, R>>;

fn to<G, R>(timer: TokioTimer, gate: G, budget: R, policy: RetryPolicy, seed: u32) -> To<G, R> {
    let gate = Shared::new(RefCell::new(gate));
    Rc::new(Pipeline::budgeted(timer, gate, NoTurns, budget, policy, Entropy::new(seed)))
}

/// A's call of B, each attempt of which is a call of B's to `callee`.
async fn through<G: Gate + 'static, R: SharedBudget + 'static, const N: usize>(
    to_b: To<(), R>,
    b: Rc<Server>,
    to_callee: To<G, R>,
    callee: Rc<Callee<N>>,
) -> Result<(), CallError<Broken>> {
    let attempt = |_| {
        let (to_callee, callee) = (to_callee.clone(), callee.clone());
        b.clone().serve(async move { to_callee.call(|_| callee.call()).await.map_err(|_| Broken) })
    };
    to_b.call(attempt).await
}

/// `gate` and `budget` make what there is for each dependency.
fn run<G: Gate + 'static, R: SharedBudget + 'static>(
    seed: u32,
    down: FaultConfig<1>,
    gate: impl Fn() -> G,
    budget: impl Fn() -> R,
) -> [f64; 5] {
    virtually(async {
        let timer = TokioTimer::new();
        let (b, c, d) = (Server::new(WORKERS), Callee::new(timer, down, seed), Callee::new(timer, WORKS, seed));
        let to_b = to(timer, (), budget(), A, seed);
        let [to_c, to_d] = [1, 2].map(|n| to(timer, gate(), budget(), B, seed + n));
        let load = Load { per_second: 40, within: 0..35_000, seed };
        let (of_c, of_d) = tokio::join!(
            load.calls(timer, |_| through(to_b.clone(), b.clone(), to_c.clone(), c.clone())),
            load.calls(timer, |_| through(to_b.clone(), b.clone(), to_d.clone(), d.clone())),
        );
        let (of_c, of_d) = (of_c.started(DOWN), of_d.started(DOWN));
        let attempts = c.attempts.count(DOWN) / of_c.0.len() as f64;
        let [served, in_time] = [of_d.percent_served(), of_d.p99()];
        let all = of_c.and(of_d);
        [served, in_time, all.p99(), all.most_at_once(), attempts]
    })
}

fn breaker_and_bulkhead(seed: u32) -> (Breaker<Consecutive>, Bulkhead) {
    let open = Backoff::exponential(ms(500), secs(4)).unwrap().with_jitter(Jitter::Equal);
    let config = BreakerConfig::builder(Consecutive::new(5).unwrap()).open_interval(open).seed(seed);
    (Breaker::new(config.build().unwrap()), Bulkhead::new(5.try_into().unwrap()))
}

/// A tenth of the calls, and one a second.
fn budget() -> Shared<RefCell<RetryBudget>> {
    let config = BudgetConfig::builder().deposit_permille(100).floor(1, 10).build().unwrap();
    Shared::new(RefCell::new(RetryBudget::new(config)))
}

#[test]
fn a_hanging_c_takes_neither_b_nor_a_with_it() {
    let measures = [
        measure("B's calls of D served, %", AtMost(50.0), AtLeast(99.9)),
        measure("p99 of A's callers of D, ms", AtLeast(3_900.0), AtMost(100.0)),
        measure("p99 of A's callers, ms", AtLeast(3_900.0), AtMost(1_000.0)),
        measure("A's callers stuck at a time", AtLeast(200.0), AtMost(20.0)),
        measure("attempts at C per call", AtLeast(0.5), AtMost(0.2)),
    ];
    show(
        "cascade, C hangs",
        "breaker, bulkhead per dependency",
        measures,
        |seed| run(seed, HANGS, || (), || NoBudget),
        |seed| run(seed, HANGS, || breaker_and_bulkhead(seed), || NoBudget),
    );
}

/// Of 80 calls a second A may repeat a tenth; the same for B and what comes to it of C, 53 a second; and both spend what they
/// saved in the 10 s before. That makes 1.34 times 1.17.
#[test]
fn budgets_keep_retries_from_multiplying() {
    let measures = [
        measure("B's calls of D served, %", Any, AtLeast(99.9)),
        measure("p99 of A's callers of D, ms", Any, AtMost(100.0)),
        measure("p99 of A's callers, ms", AtLeast(200.0), AtMost(150.0)),
        measure("A's callers stuck at a time", Any, AtMost(15.0)),
        measure("attempts at C per call", AtLeast(8.5), AtMost(1.57)),
    ];
    show(
        "cascade, C fails",
        "a retry budget in A and in B",
        measures,
        |seed| run(seed, FAILS, || (), || NoBudget),
        |seed| run(seed, FAILS, || (), budget),
    );
}
