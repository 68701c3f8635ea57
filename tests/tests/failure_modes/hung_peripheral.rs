//! A sensor on an I2C bus: now and then a read is not acknowledged, the bus stays locked until somebody clocks it free, or
//! the sensor latches up until its power is cut.

use std::cell::{Cell, RefCell};
use std::future::pending;

use fusebox::fault::End;
use fusebox::recovery::{Ladder, LadderConfig, Rung};
use fusebox::{Clock, FaultConfig, Faults, Instant, checked};
use fusebox_drive::{Recovering, sleep_until, timeout_at};
use fusebox_tests::ManualTimer;

use crate::world::{Broken, millis, ms, secs};
use crate::{Any, AtLeast, AtMost, Measure, measure, show};

/// One of fifty is not acknowledged, one of five hundred hangs.
const WORN: FaultConfig = checked!(FaultConfig::builder().latency(ms(2)).jitter(ms(1)).errors(20).hangs(2).build());
/// A read every 100 ms for twenty minutes.
const PERIOD: u64 = 100;
const READS: u64 = 12_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Do {
    ClearBus,
    PowerCycle,
}

const LADDER: LadderConfig<Do, 3> = checked!(
    LadderConfig::builder(
        ms(20),
        [
            Rung::retry(ms(5)),
            Rung::action(Do::ClearBus, ms(10), ms(1)).hold(ms(500)),
            Rung::action(Do::PowerCycle, ms(400), ms(100)).times(3).hold(secs(1)),
        ]
    )
    .start_after(2) // one that is not acknowledged is read again
    .step_down(secs(2))
    .retry_after(secs(5))
    .build()
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Works,
    /// Holds the data line low in the middle of a byte.
    BusLocked,
    /// So too, and does not heed the clock.
    LatchedUp,
}

struct Sensor<'t> {
    timer: &'t ManualTimer,
    faults: RefCell<Faults>,
    hangs: Cell<u32>,
    state: Cell<State>,
    /// Times that its power was cut although less would have done.
    needless_cuts: Cell<u32>,
    /// When it was read, in milliseconds.
    reads: RefCell<Vec<u64>>,
}

impl<'t> Sensor<'t> {
    fn new(timer: &'t ManualTimer, seed: u32) -> Self {
        let faults = RefCell::new(Faults::new(WORN, seed));
        let [hangs, needless_cuts] = [const { Cell::new(0) }; 2];
        Self { timer, faults, hangs, state: Cell::new(State::Works), needless_cuts, reads: RefCell::default() }
    }

    /// Every third time that it hangs it has latched up.
    fn hang(&self) {
        self.hangs.set(self.hangs.get() + 1);
        self.state.set(if self.hangs.get().is_multiple_of(3) { State::LatchedUp } else { State::BusLocked });
    }

    /// As a driver without a timeout has it: waits for the bus.
    async fn read(&self) -> Result<(), Broken> {
        if self.state.get() != State::Works {
            return pending().await;
        }
        let fault = self.faults.borrow_mut().next(self.timer.now());
        if fault.end == End::Hang {
            self.hang();
            return pending().await;
        }
        sleep_until(&self.timer, fault.at).await;
        if fault.end == End::Error { Err(Broken) } else { Ok(()) }
    }

    async fn recover(&self, action: Do) -> Result<(), Broken> {
        self.sleep(if action == Do::ClearBus { 1 } else { 300 }).await;
        match (action, self.state.replace(State::Works)) {
            (Do::ClearBus, State::LatchedUp) => {
                self.state.set(State::LatchedUp);
                return Err(Broken);
            }
            (Do::PowerCycle, State::Works | State::BusLocked) => self.needless_cuts.set(self.needless_cuts.get() + 1),
            _ => {}
        }
        Ok(())
    }

    async fn sleep(&self, ms: u64) {
        sleep_until(&self.timer, self.timer.now().after(ms * 1_000_000)).await;
    }

    /// Reads once a period, skipping those it is too late for.
    async fn reads(&self, read: impl AsyncFn() -> bool) {
        let mut period = 0;
        while period < READS {
            sleep_until(&self.timer, Instant::from_millis(period * PERIOD)).await;
            if read().await {
                self.reads.borrow_mut().push(millis(&self.timer));
            }
            period = period.max(millis(&self.timer) / PERIOD) + 1;
        }
    }

    fn seen(&self) -> [f64; 3] {
        let reads = self.reads.borrow();
        let times: Vec<u64> = [0].into_iter().chain(reads.iter().copied()).chain([READS * PERIOD]).collect();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        [100.0 * reads.len() as f64 / READS as f64, longest as f64 / 1e3, f64::from(self.needless_cuts.get())]
    }
}

const MEASURES: [Measure; 3] = [
    measure("readings, % of those wanted", AtMost(40.0), AtLeast(99.0)),
    measure("longest time without one, s", AtLeast(600.0), AtMost(2.0)),
    measure("power cuts where less would have done", Any, AtMost(6.0)),
];

/// Waits for each answer.
fn bare(seed: u32) -> [f64; 3] {
    let timer = ManualTimer::default();
    let sensor = Sensor::new(&timer, seed);
    let ended = timer.block_on(sensor.reads(async || sensor.read().await.is_ok()));
    assert_eq!(ended, None, "hangs for ever");
    sensor.seen()
}

/// Waits for no longer than an attempt of the ladder, and does nothing about it.
fn with_timeout(seed: u32) -> [f64; 3] {
    let timer = ManualTimer::default();
    let sensor = Sensor::new(&timer, seed);
    let read = async || timeout_at(&&timer, timer.now().saturating_add(ms(20)), sensor.read()).await == Some(Ok(()));
    timer.block_on(sensor.reads(read)).unwrap();
    sensor.seen()
}

fn guarded(seed: u32) -> [f64; 3] {
    let timer = ManualTimer::default();
    let sensor = Sensor::new(&timer, seed);
    let recovering = Recovering::new(&timer, RefCell::new(Ladder::new(LADDER)));
    let read = async || recovering.call(|_| sensor.read(), |act| sensor.recover(act.action)).await.is_ok();
    timer.block_on(sensor.reads(read)).unwrap();
    let ladder = recovering.ladder().with(|ladder| ladder.snapshot());
    assert_eq!(ladder.gave_up, 0);
    sensor.seen()
}

#[test]
fn the_ladder_gets_the_sensor_back() {
    show("hung peripheral", "timeout, recovery ladder", MEASURES, bare, guarded);
}

#[test]
fn a_timeout_alone_is_not_enough() {
    show("hung peripheral", "the same, against a timeout alone", MEASURES, with_timeout, guarded);
}

#[test]
fn the_longest_gap_is_that_of_the_ladder() {
    let climb = LADDER.longest_climb().as_secs_f64() + 2.0 * ms(PERIOD).as_secs_f64();
    for seed in 0..crate::seeds() {
        let [_, longest, _] = guarded(seed);
        assert!(longest <= climb, "{longest} s, {climb} s");
    }
}
