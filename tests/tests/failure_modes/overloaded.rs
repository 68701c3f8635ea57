//! Ten workers can do a hundred calls a second. From the beginning to 30 s half as many again come, then half as many.
//! Callers wait for a second; the callee does not notice when they leave.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use fusebox::queue::{Codel, LevelBuilder, LevelConfig, Terms};
use fusebox::{
    AdaptiveConfig, AdaptiveLimit, Bulkhead, Entropy, FaultConfig, Gate, Quota, RetryPolicy, Shared, TokenBucket,
    Vegas, checked,
};
use fusebox_drive::Pipeline;
use fusebox_tokio::{Leveler, TokioTimer};
use tokio::task::spawn_local;

use crate::world::{Broken, Callee, Load, Server, ms, secs, virtually};
use crate::{AtLeast, AtMost, Measure, measure, show};

const WORKERS: usize = 10;
const WORK: FaultConfig = checked!(FaultConfig::builder().latency(ms(80)).jitter(ms(40)).build());
const PATIENT: RetryPolicy = checked!(RetryPolicy::builder().attempts(1).attempt_timeout(secs(1)).build());

/// The first 5 s are not looked at: a line has to form.
const MEASURES: [Measure; 3] = [
    measure("served in time per second, of 100 possible", AtMost(5.0), AtLeast(80.0)),
    measure("p99 of all callers, ms", AtLeast(1_000.0), AtMost(700.0)),
    measure("served from 5 s after it on, %", AtMost(5.0), AtLeast(99.9)),
];

type Answer = Pin<Box<dyn Future<Output = Result<(), Broken>>>>;
/// A callee.
type Serves = Rc<dyn Fn() -> Answer>;

/// Whatever comes stands in line.
fn plain(timer: TokioTimer, seed: u32) -> Serves {
    let (server, work) = (Server::new(WORKERS), Callee::new(timer, WORK, seed));
    Rc::new(move || {
        let work = work.clone();
        Box::pin(server.clone().serve(async move { work.call().await }))
    })
}

/// A line that sheds what has waited too long.
fn shedding(config: LevelBuilder, timer: TokioTimer, seed: u32) -> Serves {
    let line: Leveler<(), Result<(), Broken>, 200> = Leveler::new(config.build().unwrap());
    let work = Callee::new(timer, WORK, seed);
    for _ in 0..WORKERS {
        let (line, work) = (line.clone(), work.clone());
        spawn_local(async move { line.work(|_| work.call()).await });
    }
    Rc::new(move || {
        let line = line.clone();
        Box::pin(async move {
            let answer = line.try_submit((), Terms::NONE).map_err(|_| Broken)?;
            answer.await.map_err(|_| Broken)?
        })
    })
}

fn run<G: Gate + 'static>(seed: u32, gate: G, callee: impl Fn(TokioTimer, u32) -> Serves) -> [f64; 3] {
    virtually(async {
        let timer = TokioTimer::new();
        let callee = callee(timer, seed);
        let pipeline = Rc::new(Pipeline::new(timer, Shared::new(RefCell::new(gate)), PATIENT, Entropy::new(seed)));
        let call = |_| {
            let (pipeline, callee) = (pipeline.clone(), callee.clone());
            async move { pipeline.call(|_| callee()).await }
        };
        let overload = Load { per_second: 150, within: 0..30_000, seed };
        let after = Load { per_second: 50, within: 30_000..45_000, seed };
        let (overload, after) = tokio::join!(overload.calls(timer, call), after.calls(timer, call));
        let steady = overload.started(5_000..30_000);
        [steady.count(Result::is_ok) / 25.0, steady.p99(), after.started(35_000..45_000).percent_served()]
    })
}

fn survives<G: Gate + 'static>(pattern: &str, gate: impl Fn() -> G, callee: impl Fn(TokioTimer, u32) -> Serves) {
    show("dependency overloaded", pattern, MEASURES, |seed| run(seed, (), plain), |seed| run(seed, gate(), &callee));
}

#[test]
fn a_bulkhead_keeps_the_line_short() {
    survives("bulkhead", || Bulkhead::new(20.try_into().unwrap()), plain);
}

#[test]
fn a_rate_limit_lets_in_what_can_be_done() {
    const RATE: Quota = checked!(checked!(Quota::per_second(90)).with_burst(10));
    survives("rate limit", || TokenBucket::new(RATE), plain);
}

#[test]
fn an_adaptive_limit_finds_out_what_can_be_done() {
    let limit = || {
        let config = AdaptiveConfig::builder(Vegas::DEFAULT).limits(1, 20, 200).timeout(ms(900));
        AdaptiveLimit::new(config.build().unwrap())
    };
    survives("adaptive limit", limit, plain);
}

#[test]
fn a_line_that_lets_nobody_wait_in_vain_serves_the_others() {
    let config = LevelConfig::builder().max_wait(ms(500));
    survives("load shedding, longest wait", || (), |timer, seed| shedding(config, timer, seed));
}

#[test]
fn a_line_that_notices_that_it_stands_is_kept_short() {
    let config = LevelConfig::builder().codel(Codel::new(ms(50), ms(500)).unwrap());
    survives("load shedding, controlled delay", || (), |timer, seed| shedding(config, timer, seed));
}
