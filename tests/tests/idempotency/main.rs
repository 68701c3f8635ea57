//! Law: an operation runs once for its key, in whichever store and on whichever runtime; who asks meanwhile waits for the
//! answer, and is never forgotten; whoever is dropped, wherever, keeps its key no longer than its lease.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]

mod cut;
mod database;
mod faults;
mod memory;
mod suite;
mod threads;
mod wakes;

use std::cell::RefCell;
use std::time::Duration;

use database::Database;
use fusebox::idempotency::IdempotencyConfig;
use fusebox::{Backoff, Entropy, Idempotency, Jitter, Shared};
use fusebox_drive::idempotent::{NoWakes, Wakes};
use fusebox_drive::{Idempotent, Timer};
use fusebox_tests::{ManualTimer, SHARED_MACHINE};
use suite::Suite;

fn config(unit: Duration) -> IdempotencyConfig {
    IdempotencyConfig::builder().lease(unit * 100).ttl(unit * 300).build().unwrap()
}

type Memory = Shared<RefCell<Idempotency<u32, u32, 4>>>;

fn memory<T: Timer, W: Wakes>(timer: &T, unit: Duration, wakes: W) -> Idempotent<&T, Memory, W> {
    Idempotent::new(timer, Shared::new(RefCell::new(Idempotency::new(config(unit)))), wakes)
}

fn remote<T: Timer>(timer: &T, unit: Duration) -> Idempotent<&T, Database<&T>, NoWakes> {
    let backoff = Backoff::constant(unit * 5).unwrap().with_jitter(Jitter::Equal);
    Idempotent::polling(timer, Database::new(timer, unit), backoff, Entropy::new(1))
}

const MS: Duration = Duration::from_millis(1);
/// Real clocks: long leases, as a shared machine may stand still for a while.
const REAL: Duration = Duration::from_millis(10);

macro_rules! in_memory {
    ($timer:expr, $unit:expr, $late:expr, $wakes:expr) => {
        Suite { timer: $timer, unit: $unit, late: $late, frees_at_once: true, make: || memory($timer, $unit, $wakes) }
    };
}

/// Two requests to the database and a poll may come in between, and waiters ask again after the answer.
macro_rules! in_a_database {
    ($timer:expr, $unit:expr, $late:expr) => {
        Suite { timer: $timer, unit: $unit, late: $late, frees_at_once: false, make: || remote($timer, $unit) }
    };
}

/// The operation is in it once, not twice.
#[test]
fn a_calls_future() {
    let calls = fusebox_tokio::idempotent::<u32, u32, 4>(config(MS));
    let large = [0_u8; 1_000];
    let operation = |kept: [u8; 1_000]| async move {
        std::future::ready(()).await;
        Ok::<_, suite::Failed>(u32::from(kept[0]))
    };
    let bytes = size_of_val(&calls.call(&1, suite::A, || operation(large)));
    println!("future of a call: {bytes}");
    assert!(bytes <= 1_600, "{bytes}");
}

#[test]
fn manual_time() {
    let time = ManualTimer::default();
    let timer = &&time;
    let suite = in_memory!(timer, MS, Duration::ZERO, fusebox_tokio::NotifyWakes::new());
    time.block_on(suite.one_after_the_other()).unwrap();
}

#[test]
fn manual_time_by_the_clock_alone() {
    let time = ManualTimer::default();
    let timer = &&time;
    let make = || {
        let backoff = Backoff::constant(MS * 5).unwrap();
        memory(timer, MS, NoWakes).with_polling(backoff, Entropy::new(1))
    };
    let suite = Suite { timer, unit: MS, late: MS * 5, frees_at_once: true, make };
    time.block_on(suite.one_after_the_other()).unwrap();
}

#[test]
fn manual_time_and_a_database() {
    let time = ManualTimer::default();
    let timer = &&time;
    time.block_on(in_a_database!(timer, MS, MS * 20).one_after_the_other()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn tokio_paused() {
    let timer = fusebox_tokio::TokioTimer::new();
    in_memory!(&timer, MS, MS * 2, fusebox_tokio::NotifyWakes::new()).one_after_the_other().await;
    in_a_database!(&timer, MS, MS * 25).one_after_the_other().await;
}

#[tokio::test]
async fn tokio_real() {
    let timer = fusebox_tokio::TokioTimer::new();
    in_memory!(&timer, REAL, SHARED_MACHINE, fusebox_tokio::NotifyWakes::new()).at_once().await;
}

#[test]
fn async_std() {
    let timer = fusebox_async_std::AsyncIoTimer::new();
    let suite = in_memory!(&timer, REAL, SHARED_MACHINE, fusebox_async_std::NotifyWakes::new());
    async_std::task::block_on(suite.at_once());
}

#[test]
fn smol() {
    let timer = fusebox_async_std::AsyncIoTimer::new();
    let suite = in_memory!(&timer, REAL, SHARED_MACHINE, fusebox_async_std::NotifyWakes::new());
    smol::block_on(suite.at_once());
}

#[test]
fn smol_and_a_database() {
    let timer = fusebox_async_std::AsyncIoTimer::new();
    smol::block_on(in_a_database!(&timer, REAL, SHARED_MACHINE).at_once());
}

#[test]
fn embassy() {
    use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
    let timer = fusebox_embassy::EmbassyTimer::new();
    let wakes = fusebox_embassy::WakeList::<CriticalSectionRawMutex, 4>::new;
    let idle = || {
        embassy_time::MockDriver::get().advance(embassy_time::Duration::from_millis(1));
        Some(())
    };
    fusebox_tests::block_on(in_memory!(&timer, MS, MS, wakes()).one_after_the_other(), idle).unwrap();
}
