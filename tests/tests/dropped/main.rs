//! Law: a future may be dropped at any of its await points, on any runtime; afterwards all permits, trials, reservations,
//! withdrawals, leases and places in line are back, nothing was told about the callee, and nobody is left asleep.
//!
//! Each scenario puts one kind of future among others that want the same things, and is run once for each number of polls
//! after which that future can be dropped: at once, when it has been woken and does not know it yet, or some time later.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(clippy::missing_const_for_fn, missing_docs, reason = "a test needs no const functions")]

mod alternatives;
mod cut;
mod device;
mod health;
mod hedge;
mod idempotent;
mod keyed;
mod line;
mod nested;
mod queue;
mod retry;
mod runtimes;
mod threads;
mod watch;
mod workers;

use std::time::Duration;

use fusebox::budget::Credit;
use fusebox::{Budget, BudgetConfig, ConcurrencyBudget, Instant, RetryBudget};
use runtimes::{AsyncIo, Embassy, Manual, Runtime, Tokio};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A budget, and what must be in it.
trait Purse: Budget {
    fn fresh() -> Self;
    /// When so many calls have begun, with so many further attempts, and all of them are over.
    fn check(&self, calls: u64, further: u64, now: Instant);
}

/// By tokens: half a one a call, and four at the start.
impl Purse for RetryBudget {
    fn fresh() -> Self {
        let config = BudgetConfig::builder().deposit_permille(500).never_expires().floor(0, 0).build().unwrap();
        let mut budget = Self::new(config);
        (0..8).for_each(|_| budget.deposit(Instant::EPOCH));
        budget
    }

    fn check(&self, calls: u64, further: u64, now: Instant) {
        let told = self.snapshot(now);
        let (deposited, spent) = ((8 + calls) * 500, further * 1_000);
        let expected = [deposited, spent, 0, deposited - spent].map(Credit::from_permille);
        assert_eq!([told.deposited, told.spent, told.expired, told.balance], expected, "{calls} calls, {further} more");
    }
}

impl Purse for ConcurrencyBudget {
    fn fresh() -> Self {
        Self::new(1_000, 8).unwrap()
    }

    fn check(&self, _: u64, _: u64, _: Instant) {
        assert_eq!((self.snapshot().calls, self.snapshot().retries), (0, 0), "in flight");
    }
}

/// Everything on `runtime`.
fn all<R: Runtime>(runtime: &R) {
    line::all(runtime);
    retry::all(runtime);
    hedge::all(runtime);
    nested::all(runtime);
    queue::all(runtime);
    idempotent::all(runtime);
    device::all(runtime);
    health::all(runtime);
    alternatives::all(runtime);
    keyed::all(runtime);
}

#[test]
fn manual_time() {
    all(&Manual::default());
}

#[test]
fn tokio_paused() {
    all(&Tokio::paused());
    workers::all(&Tokio::paused());
}

#[test]
fn tokio_real() {
    all(&Tokio::real());
    workers::all(&Tokio::real());
}

#[test]
fn tokio_threads() {
    all(&Tokio::threads());
    workers::all(&Tokio::threads());
}

#[test]
fn async_std() {
    all(&AsyncIo::<true>);
}

#[test]
fn smol() {
    all(&AsyncIo::<false>);
}

#[test]
fn embassy() {
    all(&Embassy);
}
