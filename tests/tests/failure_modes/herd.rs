//! After an outage all come back at once: devices that lost their connection, and callers of a callee whose caches are cold.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use fusebox::entropy::mix;
use fusebox::fault::Outage;
use fusebox::{
    Backoff, Breaker, BreakerConfig, Consecutive, Entropy, FaultConfig, Gate, Jitter, RetryPolicy, Shared, checked,
};
use fusebox_drive::Pipeline;
use fusebox_tokio::TokioTimer;

use crate::world::{Broken, Callee, Load, millis, ms, secs, virtually};
use crate::{AtLeast, AtMost, Measure, measure, show};

/// How many came in the present tenth of a second.
#[derive(Debug, Default)]
struct Tenth(Cell<(u64, f64)>);

impl Tenth {
    fn count(&self, timer: TokioTimer) -> f64 {
        let (tenth, count) = self.0.get();
        let now = millis(&timer) / 100;
        let count = if now == tenth { count + 1.0 } else { 1.0 };
        self.0.set((now, count));
        count
    }
}

const DEVICES: u64 = 1_000;
/// Connections that the server opens in a tenth of a second; it turns away the others.
const DOORS: f64 = 50.0;
const CUT_OFF: FaultConfig<1> =
    checked!(FaultConfig::builder().latency(ms(20)).outages([Outage::error(secs(0), secs(30))]).build());

const EVERY_5_S: RetryPolicy =
    checked!(RetryPolicy::builder().attempts(u16::MAX).backoff(checked!(Backoff::constant(secs(5)))).build());
const SPREAD: RetryPolicy = checked!(
    RetryPolicy::builder()
        .attempts(u16::MAX)
        .backoff(checked!(Backoff::exponential(secs(1), secs(20))).with_jitter(Jitter::Full))
        .build()
);

/// All devices lose their connection in the first 50 ms, and try to get it back. The server is down until 30 s.
fn reconnect(seed: u32, policy: RetryPolicy, seed_of: impl Fn(u64) -> u32) -> [f64; 2] {
    virtually(async {
        let timer = TokioTimer::new();
        let (server, doors) = (Callee::new(timer, CUT_OFF, seed), Rc::new(Tenth::default()));
        let connect = |n| {
            let device = Pipeline::new(timer, (), policy, Entropy::new(seed_of(n)));
            let (server, doors) = (server.clone(), doors.clone());
            async move {
                let attempt = |_| async {
                    server.call().await?;
                    if doors.count(timer) <= DOORS { Ok(()) } else { Err(Broken) }
                };
                device.call(attempt).await
            }
        };
        let devices = Load { per_second: DEVICES * 20, within: 0..50, seed }.calls(timer, connect).await;
        [server.attempts.busiest_tenth(30_000..150_000), devices.p99() / 1e3 - 30.0]
    })
}

const RECONNECTED: [Measure; 2] = [
    measure("attempts in the busiest tenth of a second", AtLeast(500.0), AtMost(40.0)),
    measure("seconds until 99 % are connected again", AtLeast(60.0), AtMost(20.5)),
];

fn by_serial_number(seed: u32, n: u64) -> u32 {
    mix(seed ^ ((n as u32) << 8))
}

#[test]
fn jitter_from_a_seed_per_device_spreads_the_herd() {
    show(
        "herd, devices",
        "jitter, a seed per device",
        RECONNECTED,
        |seed| reconnect(seed, EVERY_5_S, |n| by_serial_number(seed, n)),
        |seed| reconnect(seed, SPREAD, |n| by_serial_number(seed, n)),
    );
}

/// As firmware does that has its seed built in.
#[test]
fn jitter_from_one_seed_is_none() {
    show(
        "herd, devices",
        "the same, against one seed for all",
        RECONNECTED,
        |seed| reconnect(seed, SPREAD, |_| seed),
        |seed| reconnect(seed, SPREAD, |n| by_serial_number(seed, n)),
    );
}

const OUTAGE: FaultConfig<1> =
    checked!(FaultConfig::builder().latency(ms(10)).outages([Outage::error(secs(0), secs(10))]).build());

/// Does a tenth of its work at first, and all of it after 10 s; breaks down when it is more, for 3 s, and is cold again.
struct Cold {
    timer: TokioTimer,
    callee: Rc<Callee<1>>,
    tenth: Tenth,
    /// Milliseconds.
    up_from: Cell<u64>,
    breakdowns: Cell<f64>,
}

impl Cold {
    fn new(timer: TokioTimer, seed: u32) -> Rc<Self> {
        let callee = Callee::new(timer, OUTAGE, seed);
        let (up_from, breakdowns) = (Cell::new(10_000), Cell::new(0.0));
        Rc::new(Self { timer, callee, tenth: Tenth::default(), up_from, breakdowns })
    }

    async fn call(&self) -> Result<(), Broken> {
        self.callee.call().await?;
        let now = millis(&self.timer);
        let up_for = now.checked_sub(self.up_from.get()).ok_or(Broken)?;
        if self.tenth.count(self.timer) <= 3.0 + 27.0 * up_for.min(10_000) as f64 / 1e4 {
            return Ok(());
        }
        self.breakdowns.set(self.breakdowns.get() + 1.0);
        self.up_from.set(now + 3_000);
        Err(Broken)
    }
}

/// 20 calls in each tenth of a second.
fn come_back<G: Gate + 'static>(seed: u32, gate: G) -> [f64; 3] {
    virtually(async {
        let timer = TokioTimer::new();
        let callee = Cold::new(timer, seed);
        let gate = Shared::new(RefCell::new(gate));
        let pipeline = Rc::new(Pipeline::new(timer, gate, RetryPolicy::ONCE, Entropy::new(seed)));
        let call = |_| {
            let (pipeline, callee) = (pipeline.clone(), callee.clone());
            async move { pipeline.call(|_| callee.call()).await }
        };
        let calls = Load { per_second: 200, within: 0..50_000, seed }.calls(timer, call).await;
        let at_once = callee.callee.attempts.busiest_tenth(10_000..12_000);
        [at_once, callee.breakdowns.get(), calls.started(40_000..50_000).percent_served()]
    })
}

fn breaker(slow_start: bool) -> Breaker<Consecutive> {
    let config = BreakerConfig::builder(Consecutive::new(5).unwrap()).open_for(secs(2));
    let config = if slow_start { config.slow_start(50, secs(20)) } else { config };
    Breaker::new(config.build().unwrap())
}

const CAME_BACK: [Measure; 3] = [
    measure("attempts in a tenth of the first two seconds", AtLeast(7.0), AtMost(5.0)),
    measure("breakdowns after the outage", AtLeast(5.0), AtMost(0.0)),
    measure("calls served from 30 s after it on, %", AtMost(20.0), AtLeast(99.9)),
];

#[test]
fn trials_and_a_slow_start_let_a_cold_callee_warm_up() {
    let guarded = |seed| come_back(seed, breaker(true));
    show("herd, cold callee", "trials, slow start", CAME_BACK, |seed| come_back(seed, ()), guarded);
}

#[test]
fn trials_alone_let_them_all_in_at_once() {
    show(
        "herd, cold callee",
        "the same, against trials alone",
        CAME_BACK,
        |seed| come_back(seed, breaker(false)),
        |seed| come_back(seed, breaker(true)),
    );
}
