//! fusebox for async-std and smol: a clock, a sleep, and a fair line. All decisions are the core's.
//!
//! Built on async-io's timers, which serve both; no runtime is among the dependencies. tokio's `sync` module is, for its
//! strictly fair semaphore: it needs no tokio runtime.
//!
//! ```
//! use std::time::Duration;
//! use fusebox_async_std::fusebox::{Backoff, Breaker, BreakerConfig, Consecutive, Quota, RetryPolicy, TokenBucket, checked};
//!
//! let breaker = Breaker::new(checked!(BreakerConfig::builder(checked!(Consecutive::new(5))).build()));
//! let bucket = TokenBucket::new(checked!(Quota::per_second(100)));
//! let retry = checked!(RetryPolicy::builder().attempt_timeout(Duration::from_millis(300)).build());
//! let payments = fusebox_async_std::pipeline((breaker, bucket), retry);
//! let answer = async_std::task::block_on(payments.call(|_attempt| async { Ok::<_, std::io::Error>("paid") }));
//! assert_eq!(answer.unwrap(), "paid");
//! ```
#![forbid(unsafe_code)]

mod health;
mod idempotent;
mod level;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant as StdInstant;

#[cfg(feature = "quanta")]
pub use fusebox_drive::TscClock;
#[cfg(feature = "config")]
pub use fusebox_drive::config;
pub use fusebox_drive::idempotent::{IdempotentError, NoWakes, Origin, Renewal, Request, Store, Unfinished, Wakes};
pub use fusebox_drive::{
    self as drive, Attempt, CallError, Class, Classify, CoarseClock, Errors, Faulty, KeyedLimiter, KeyedLimiterGate,
    LimiterSnapshot, NoTurns, PipelineBuilder, Recovering, Timer, Turns, WithClock, Within, entropy, fusebox,
    sleep_until, timeout_at,
};

pub use fusebox_drive::notify::{FairTurns, NotifyBell, NotifyWakes};
pub use health::{HealthMonitor, monitor};
pub use idempotent::{Idempotent, idempotent};
pub use level::{Leveler, leveler};

use fusebox::{Clock, Instant, NoBudget, Policy, RetryPolicy, Shared};

/// The monotonic clock of `std`, counted from the making of this value, with async-io's timers.
#[derive(Clone, Copy, Debug)]
pub struct AsyncIoTimer {
    epoch: StdInstant,
}

impl AsyncIoTimer {
    /// A timer whose epoch is now. Share one (it is `Copy`): instants of two do not compare.
    #[must_use]
    pub fn new() -> Self {
        Self { epoch: StdInstant::now() }
    }
}

impl Default for AsyncIoTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for AsyncIoTimer {
    #[inline]
    fn now(&self) -> Instant {
        Instant::EPOCH.saturating_add(self.epoch.elapsed())
    }
}

impl Timer for AsyncIoTimer {
    type Sleep = Sleep;

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        let at = self.epoch.checked_add(deadline.saturating_since(Instant::EPOCH));
        Sleep(at.map_or_else(async_io::Timer::never, async_io::Timer::at))
    }
}

/// A sleep of an [`AsyncIoTimer`].
#[derive(Debug)]
pub struct Sleep(async_io::Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}

/// A [`drive::Pipeline`] on async-io: `G` is a gate or a tuple of gates.
pub type Pipeline<G, W = NoTurns, B = NoBudget, P = RetryPolicy> =
    drive::Pipeline<AsyncIoTimer, Shared<Mutex<G>>, W, B, P>;

/// A builder for a pipeline on this runtime's timer, for everything beyond [`pipeline`].
pub fn builder() -> PipelineBuilder<AsyncIoTimer> {
    PipelineBuilder::new(AsyncIoTimer::new(), entropy())
}

/// A pipeline around calls to one dependency; a refusal is known at once. `policy` is a [`RetryPolicy`] or a
/// [`HedgePolicy`](fusebox::HedgePolicy).
pub fn pipeline<G, P: Policy>(gate: G, policy: P) -> Pipeline<G, NoTurns, NoBudget, P> {
    Pipeline::new(AsyncIoTimer::new(), Shared::new(Mutex::new(gate)), policy, entropy())
}

/// A pipeline whose callers stand in line for the gates, first come, first served.
pub fn fair_pipeline<G, P: Policy>(gate: G, policy: P) -> Pipeline<G, FairTurns, NoBudget, P> {
    Pipeline::fair(AsyncIoTimer::new(), Shared::new(Mutex::new(gate)), FairTurns::new(), policy, entropy())
}

/// A retry budget for any number of pipelines: give each a clone, through
/// [`with_budget`](drive::Pipeline::with_budget).
pub fn share<B>(budget: B) -> Arc<Shared<Mutex<B>>> {
    Arc::new(Shared::new(Mutex::new(budget)))
}
