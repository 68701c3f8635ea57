//! A policy in a `static`, around a sensor that fails in every way sensors do; then fusebox's own scenario, whose trace
//! is the same on every runtime.
//!
//! `cargo m0`, `cargo m3` and `cargo m4` run it in QEMU. The exit code is 0 if everything went as it must.
#![no_std]
#![no_main]

mod board;
mod executor;
mod sensor;
mod time_driver;

use core::panic::PanicInfo;
use core::time::Duration;

use embassy_executor::Spawner;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_time::{Instant, Ticker};
use fusebox_embassy::fusebox::{
    Backoff, Breaker, BreakerConfig, Cause, Consecutive, Entropy, Quota, RetryPolicy, TokenBucket, checked,
};
use fusebox_embassy::{CallError, EmbassyTimer, FairTurns, Pipeline, pipeline};
use fusebox_kit::scenario;
use semihosting::{println, process};

use crate::sensor::Sensor;

/// What guards the sensor. It lives in a `static`, needs no heap, and a configuration that makes no sense does not
/// compile.
static THERMOMETER: Pipeline<CriticalSectionRawMutex, (Breaker<Consecutive>, TokenBucket)> = pipeline(
    (
        // Three failures in a row, and the bus is left alone for half a second.
        Breaker::new(checked!(
            BreakerConfig::builder(checked!(Consecutive::new(3))).open_for(Duration::from_millis(500)).build()
        )),
        // A reading warms the sensor up: ten a second, retries included.
        TokenBucket::new(checked!(Quota::per_second(10))),
    ),
    checked!(
        RetryPolicy::builder()
            .attempts(3)
            // No jitter: nobody else is on this bus to fall into step with. Over a radio, add `.with_jitter(..)`.
            .backoff(checked!(Backoff::exponential(Duration::from_millis(4), Duration::from_millis(16))))
            // A hung bus never answers: without this, neither does the task.
            .attempt_timeout(Duration::from_millis(20))
            .deadline(Duration::from_millis(100))
            .build()
    ),
    // Feeds the jitter. On a part: its unique id, else a fleet that reboots together retries together.
    Entropy::new(0x5eed),
);

const READINGS: u32 = 20;
/// The cable is loose for five readings, and one more comes before the breaker tries the sensor again.
const GOOD_READINGS: u32 = READINGS - 5 - 1;

/// Reads five times a second and says what comes of it; returns how many readings were good.
async fn monitor(sensor: &Sensor) -> u32 {
    let mut ticker = Ticker::every(embassy_time::Duration::from_millis(200));
    let mut good = 0;
    for _ in 0..READINGS {
        let reading = THERMOMETER.call(|_attempt| sensor.read()).await;
        let now = Instant::now().as_millis();
        match reading {
            Ok(celsius) => {
                good += 1;
                println!("sensor: t={now:>4} ms  {celsius} C");
            }
            // The bus is at rest: whoever needs the value goes on with the last one.
            Err(CallError { cause: Cause::Refused(refused), attempts, .. }) => {
                println!("sensor: t={now:>4} ms  {}; attempts: {attempts}", refused.reason);
            }
            Err(CallError { cause, attempts, timed_out, last, .. }) => {
                println!("sensor: t={now:>4} ms  {cause}: {attempts}, timed out: {timed_out}, last error: {last:?}");
            }
        }
        ticker.next().await;
    }
    good
}

#[embassy_executor::task]
async fn app() {
    println!("board:  {}", board::NAME);
    let good = monitor(&Sensor::new()).await;
    println!("sensor: {good} of {READINGS} good");

    let turns = FairTurns::<CriticalSectionRawMutex, 4>::new();
    scenario::run(EmbassyTimer, turns, &mut |line| println!("trace: {line}")).await;

    process::exit(i32::from(good != GOOD_READINGS))
}

#[cortex_m_rt::entry]
fn main() -> ! {
    if let Some(core) = cortex_m::Peripherals::take() {
        time_driver::start(core.SYST);
    }
    executor::run(|spawner: Spawner| match app() {
        Ok(app) => spawner.spawn(app),
        Err(_) => process::exit(102),
    })
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("{info}");
    process::exit(101)
}
