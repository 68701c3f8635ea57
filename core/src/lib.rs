//! Keeps calls to unreliable things from taking their caller down.
//!
//! This crate is the core: state machines that decide, without allocation, floats, unsafe code or a runtime. They take
//! the time as an argument and answer with absolute instants, so the same code runs in an interrupt handler on a
//! Cortex-M0, in a server, and in a simulator. Adapters (`fusebox-tokio`, `fusebox-async-std`, `fusebox-embassy`) add
//! the clock and the waiting.
//!
//! | question | machine |
//! | --- | --- |
//! | may this start now? ([`Gate`]) | [`Breaker`], [`TokenBucket`], [`Bulkhead`], [`Throttle`], tuples of them |
//! | how many may be in flight, if nobody knows? (also a [`Gate`]) | [`AdaptiveLimit`] |
//! | how many a second, if nobody knows? (also a [`Gate`]) | [`AdaptiveRate`] |
//! | may this be tried again? ([`Budget`]) | [`RetryBudget`], [`ConcurrencyBudget`] |
//! | whose turn is it to ask? | [`WaitQueue`] |
//! | what is to be done now, what later, what no more? | [`LevelingQueue`] |
//! | was this done before? | [`Idempotency`] |
//! | which of these endpoints may be called now? | [`Outliers`] |
//! | is the service well, ready, live? | [`Health`] |
//! | what next for this call? ([`Plan`]) | [`Retry`], [`Hedge`] |
//! | what is to be done to a device that does not work? (also a [`Gate`]) | [`Ladder`] |
//! | how long until the next try? | [`Backoff`] |
//! | how long do calls take? | [`LatencySketch`] |
//! | what is to go wrong in this test? | [`Faults`] |
//!
//! Every machine is `const`-constructible for use in a `static`, and shared through [`Shared`] over any [`Lock`].
//! Configurations are checked while compiling by [`checked!`].
//!
//! # Features
//! None is on by default. `std`: [`Lock`] for `std::sync::Mutex`. `defmt`: `defmt::Format` on public types. `serde`:
//! `Serialize` and `Deserialize` on what machines report.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

#[cfg(feature = "std")]
extern crate std;

pub mod adaptive;
pub mod adaptive_rate;
pub mod backoff;
pub mod breaker;
pub mod bucket;
pub mod budget;
pub mod bulkhead;
mod config;
pub mod entropy;
pub mod fallback;
pub mod fault;
mod gate;
pub mod health;
pub mod hedge;
pub mod idempotency;
pub mod keyed;
mod kind;
pub mod latency;
mod lease;
pub mod limiter;
mod limits;
pub mod outlier;
mod pieces;
mod plan;
pub mod queue;
pub mod recovery;
pub mod retry;
pub mod review;
mod seen;
mod share;
#[cfg(target_has_atomic = "64")]
pub mod sync;
pub mod throttle;
mod time;
pub mod wait;
pub mod window_limit;

pub use adaptive::{AdaptiveConfig, AdaptiveLimit, Aimd, Gradient2, Vegas};
pub use adaptive_rate::{AdaptiveRate, AdaptiveRateConfig};
pub use backoff::{Backoff, Jitter, Schedule};
pub use breaker::{
    Breaker, BreakerConfig, BreakerState, Consecutive, CountWindow, Counts, Either, Ewma, FailureCount, FailureRate,
    SlowRate, Snapshot, State, TimeWindow, Transition, TripRule,
};
pub use bucket::{LeanQuota, Quota, Quotas, TokenBucket, WarmUp};
pub use budget::{Budget, BudgetConfig, ConcurrencyBudget, NoBudget, RetryBudget, SharedBudget};
pub use bulkhead::{Bulkhead, BulkheadConfig, ClassBulkhead, LeasedBulkhead};
pub use config::ConfigError;
pub use entropy::Entropy;
pub use fault::{FaultConfig, Faults};
pub use gate::{Gate, Outcome, Reason, Rejected};
pub use health::Health;
pub use hedge::{Hedge, HedgePolicy};
pub use idempotency::{Idempotency, IdempotencyConfig};
pub use keyed::{Keyed, KeyedGate, KeyedPermit, KeyedSnapshot};
pub use kind::GateKind;
pub use latency::{LatencyConfig, LatencySketch};
pub use limiter::{Limiter, Reservation, Reserving, Weighted};
pub use outlier::{OutlierConfig, Outliers};
pub use plan::{Call, Cause, Ended, Plan, Policy, Stage, Step, Verdict};
pub use queue::{LevelConfig, LevelingQueue};
pub use recovery::{Ladder, LadderConfig, Rung};
pub use retry::{Retry, RetryPolicy};
pub use share::{Guard, Lock, Shared, SharedGate};
pub use throttle::{Throttle, ThrottleConfig};
pub use time::{Clock, Instant, Moment, nanos};
pub use wait::WaitQueue;
pub use window_limit::{FixedWindow, SlidingCounter, SlidingLog};
