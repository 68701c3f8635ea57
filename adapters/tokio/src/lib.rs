//! fusebox for tokio: a clock, a sleep, and a fair line. All decisions are the core's.
//!
//! ```
//! use std::time::Duration;
//! use fusebox_tokio::fusebox::{
//!     Backoff, Breaker, BreakerConfig, Consecutive, Jitter, Quota, RetryPolicy, TokenBucket, checked,
//! };
//! use fusebox_tokio::Pipeline;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let ms = Duration::from_millis;
//! let breaker = Breaker::new(checked!(
//!     BreakerConfig::builder(checked!(Consecutive::new(5))).open_for(Duration::from_secs(10)).build()
//! ));
//! let bucket = TokenBucket::new(checked!(Quota::per_second(100)));
//! let retry = RetryPolicy::builder()
//!     .attempts(3)
//!     .backoff(Backoff::exponential(ms(50), ms(500)).unwrap().with_jitter(Jitter::Full))
//!     .attempt_timeout(ms(300))
//!     .deadline(Duration::from_secs(2))
//!     .build()
//!     .unwrap();
//! let payments = fusebox_tokio::pipeline((breaker, bucket), retry);
//!
//! let mut tries = 0;
//! let answer = payments
//!     .call(|_attempt| {
//!         tries += 1;
//!         let ok = tries == 3;
//!         async move { if ok { Ok("paid") } else { Err("connection reset") } }
//!     })
//!     .await;
//! assert_eq!(answer.unwrap(), "paid");
//! # }
//! ```
#![forbid(unsafe_code)]

mod health;
mod idempotent;
mod keyed;
mod level;

use std::sync::{Arc, Mutex};

#[cfg(feature = "quanta")]
pub use fusebox_drive::TscClock;
#[cfg(feature = "config")]
pub use fusebox_drive::config;
pub use fusebox_drive::idempotent::{IdempotentError, NoWakes, Origin, Renewal, Request, Store, Unfinished, Wakes};
pub use fusebox_drive::notify::{FairTurns, NotifyBell, NotifyWakes};
pub use fusebox_drive::{
    self as drive, Attempt, CallError, Class, Classify, CoarseClock, Errors, Faulty, KeyedLimiter, KeyedLimiterGate,
    LimiterSnapshot, NoTurns, PipelineBuilder, Recovering, Timer, Turns, WithClock, Within, entropy, fusebox,
    sleep_until, timeout_at,
};
pub use health::{HealthMonitor, monitor};
pub use idempotent::{Idempotent, idempotent};
pub use keyed::{ShardedGate, ShardedKeyed, ShardedKeyedBuilder};
pub use level::{Answer, Leveler, Unanswered};

use fusebox::{Clock, Instant, NoBudget, Policy, RetryPolicy, Shared};
use tokio::time;

/// tokio's clock, counted from the making of this value. It follows `tokio::time::pause` and `advance`.
#[derive(Clone, Copy, Debug)]
pub struct TokioTimer {
    epoch: time::Instant,
}

impl TokioTimer {
    /// A timer whose epoch is now. Share one (it is `Copy`): instants of two do not compare.
    #[must_use]
    pub fn new() -> Self {
        Self { epoch: time::Instant::now() }
    }
}

impl Default for TokioTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioTimer {
    #[inline]
    fn now(&self) -> Instant {
        Instant::EPOCH.saturating_add(self.epoch.elapsed())
    }
}

/// Sleeps to the millisecond, as tokio does, rounded up.
impl Timer for TokioTimer {
    type Sleep = time::Sleep;

    fn sleep_until(&self, deadline: Instant) -> time::Sleep {
        let after = deadline.saturating_since(Instant::EPOCH);
        // tokio itself takes what lies too far ahead as 30 years.
        match self.epoch.checked_add(after) {
            Some(at) => time::sleep_until(at),
            None => time::sleep(after),
        }
    }
}

/// A [`drive::Pipeline`] on tokio: `G` is a gate or a tuple of gates.
pub type Pipeline<G, W = NoTurns, B = NoBudget, P = RetryPolicy> =
    drive::Pipeline<TokioTimer, Shared<Mutex<G>>, W, B, P>;

/// A builder for a pipeline on this runtime's timer, for everything beyond [`pipeline`].
pub fn builder() -> PipelineBuilder<TokioTimer> {
    PipelineBuilder::new(TokioTimer::new(), entropy())
}

/// A pipeline around calls to one dependency; a refusal is known at once. `policy` is a [`RetryPolicy`] or a
/// [`HedgePolicy`](fusebox::HedgePolicy).
pub fn pipeline<G, P: Policy>(gate: G, policy: P) -> Pipeline<G, NoTurns, NoBudget, P> {
    Pipeline::new(TokioTimer::new(), Shared::new(Mutex::new(gate)), policy, entropy())
}

/// A pipeline whose callers stand in line for the gates, first come, first served.
pub fn fair_pipeline<G, P: Policy>(gate: G, policy: P) -> Pipeline<G, FairTurns, NoBudget, P> {
    Pipeline::fair(TokioTimer::new(), Shared::new(Mutex::new(gate)), FairTurns::new(), policy, entropy())
}

/// A retry budget for any number of pipelines: give each a clone, through
/// [`with_budget`](drive::Pipeline::with_budget).
pub fn share<B>(budget: B) -> Arc<Shared<Mutex<B>>> {
    Arc::new(Shared::new(Mutex::new(budget)))
}
