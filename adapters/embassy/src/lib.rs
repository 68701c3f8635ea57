//! fusebox for embassy: a clock, a sleep, a lock and a fair line. All decisions are the core's.
//!
//! Everything lives in a `static` and is used through `&self` by any number of tasks:
//!
//! ```
//! use core::time::Duration;
//!
//! use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
//! use fusebox_embassy::fusebox::{
//!     Backoff, Breaker, BreakerConfig, Consecutive, Entropy, Jitter, Quota, RetryPolicy, TokenBucket, checked,
//! };
//! use fusebox_embassy::{CallError, Pipeline, pipeline};
//!
//! static MODEM: Pipeline<CriticalSectionRawMutex, (Breaker<Consecutive>, TokenBucket)> = pipeline(
//!     (
//!         Breaker::new(checked!(
//!             BreakerConfig::builder(checked!(Consecutive::new(3))).open_for(Duration::from_secs(10)).build()
//!         )),
//!         TokenBucket::new(checked!(Quota::per_second(5))),
//!     ),
//!     checked!(
//!         RetryPolicy::builder()
//!             .attempts(3)
//!             .backoff(
//!                 checked!(Backoff::exponential(Duration::from_millis(50), Duration::from_millis(500)))
//!                     .with_jitter(Jitter::Full)
//!             )
//!             .attempt_timeout(Duration::from_millis(300))
//!             .deadline(Duration::from_secs(2))
//!             .build()
//!     ),
//!     Entropy::new(0x5eed), // on a device: from its unique id
//! );
//!
//! async fn signal_strength() -> Result<u8, CallError<ModemError>> {
//!     MODEM.call(|_attempt| async { at_csq().await }).await
//! }
//! # enum ModemError {}
//! # async fn at_csq() -> Result<u8, ModemError> { Ok(0) }
//! ```
//!
//! # Which lock
//! `CriticalSectionRawMutex` if an interrupt or a second executor uses the pipeline too; `ThreadModeRawMutex` if all of
//! it happens in thread mode; `NoopRawMutex` if all users are tasks of one executor, and then not in a `static`. This
//! crate chooses none, and no `critical-section` implementation either.
//!
//! # Time
//! Waits are rounded up to whole ticks of embassy-time. A future that never yields cannot be timed out, by this or by
//! embassy's own `with_timeout`: use drivers that are truly asynchronous.
//!
//! # Features
//! `defmt`: `defmt::Format` on fusebox's public types. None is on by default.
#![no_std]
#![forbid(unsafe_code)]

mod health;
mod idempotent;
mod level;
mod ticks;
mod turns;

use core::cell::RefCell;

pub use fusebox_drive::idempotent::{IdempotentError, NoWakes, Origin, Renewal, Request, Store, Unfinished, Wakes};
pub use fusebox_drive::{
    self as drive, Attempt, CallError, Class, Classify, Errors, Faulty, NoTurns, Recovering, Timer, Turns, Within,
    fusebox, sleep_until, timeout_at,
};
pub use health::{HealthMonitor, monitor};
pub use idempotent::{Idempotent, WakeList, idempotent};
pub use level::{Leveler, SignalBell, leveler};
pub use turns::{FairTurns, Turn};

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::RawMutex;
use fusebox::{Clock, Entropy, Instant, Lock, NoBudget, RetryPolicy, Shared};
use ticks::Rate;

type Ticks = Rate<{ embassy_time::TICK_HZ }>;

/// embassy-time's clock, counted from its epoch: start-up, usually. All values of it are the same clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmbassyTimer;

impl EmbassyTimer {
    /// The clock.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for EmbassyTimer {
    #[inline]
    fn now(&self) -> Instant {
        Instant::from_nanos(Ticks::nanos(embassy_time::Instant::now().as_ticks()))
    }
}

/// Sleeps to the tick, rounded up.
impl Timer for EmbassyTimer {
    type Sleep = embassy_time::Timer;

    fn sleep_until(&self, deadline: Instant) -> embassy_time::Timer {
        embassy_time::Timer::at(embassy_time::Instant::from_ticks(Ticks::ticks_up(deadline.as_nanos())))
    }
}

/// embassy-sync's blocking mutex as a [`Lock`]: `M` says what it keeps out.
#[derive(Debug)]
pub struct EmbassyLock<M, T>(Mutex<M, RefCell<T>>);

impl<M: RawMutex, T> EmbassyLock<M, T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(RefCell::new(value)))
    }
}

impl<M: RawMutex, T> Lock for EmbassyLock<M, T> {
    type Value = T;

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.0.lock(|value| f(&mut value.borrow_mut()))
    }
}

/// A [`drive::Pipeline`] on embassy: `M` says who shares it, `G` is a gate or a tuple of gates.
pub type Pipeline<M, G, W = NoTurns, B = NoBudget, P = RetryPolicy> =
    drive::Pipeline<EmbassyTimer, Shared<EmbassyLock<M, G>>, W, B, P>;

/// A pipeline around calls to one dependency; a refusal is known at once. `entropy` feeds the jitter of retries: seed it
/// with something that differs from device to device.
pub const fn pipeline<M: RawMutex, G, P>(gate: G, policy: P, entropy: Entropy) -> Pipeline<M, G, NoTurns, NoBudget, P> {
    Pipeline::new(EmbassyTimer, Shared::new(EmbassyLock::new(gate)), policy, entropy)
}

/// A pipeline whose callers stand in line for the gates, first come, first served, `N` of them at most.
pub const fn fair_pipeline<M: RawMutex, G, P, const N: usize>(
    gate: G,
    policy: P,
    entropy: Entropy,
) -> Pipeline<M, G, FairTurns<M, N>, NoBudget, P> {
    Pipeline::fair(EmbassyTimer, Shared::new(EmbassyLock::new(gate)), FairTurns::new(), policy, entropy)
}

/// A [`pipeline`] in which `budget` pays for retries: a reference to a `static` that all pipelines to one callee share,
/// a `Shared<EmbassyLock<M, RetryBudget>>`.
///
/// ```
/// use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex as Raw;
/// use fusebox_embassy::fusebox::{BudgetConfig, Entropy, RetryBudget, RetryPolicy, Shared, checked};
/// use fusebox_embassy::{EmbassyLock, NoTurns, Pipeline, budgeted_pipeline};
///
/// type Budget = Shared<EmbassyLock<Raw, RetryBudget>>;
/// static BUDGET: Budget = Shared::new(EmbassyLock::new(RetryBudget::new(checked!(BudgetConfig::builder().build()))));
/// static MODEM: Pipeline<Raw, (), NoTurns, &Budget> =
///     budgeted_pipeline((), &BUDGET, checked!(RetryPolicy::builder().build()), Entropy::new(0x5eed));
/// ```
pub const fn budgeted_pipeline<M: RawMutex, G, B, P>(
    gate: G,
    budget: B,
    policy: P,
    entropy: Entropy,
) -> Pipeline<M, G, NoTurns, B, P> {
    Pipeline::budgeted(EmbassyTimer, Shared::new(EmbassyLock::new(gate)), NoTurns, budget, policy, entropy)
}
