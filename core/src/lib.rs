//! Keeps calls to unreliable things from taking their caller down.
//!
//! This crate is the core: state machines that decide, without allocation, floats, unsafe code or a runtime. They take
//! the time as an argument and answer with absolute instants, so the same code runs in an interrupt handler on a
//! Cortex-M0, in a server, and in a simulator. Adapters (`fusebox-tokio`, `fusebox-async-std`, `fusebox-embassy`) add
//! the clock and the waiting.
//!
//! | question | machine |
//! | --- | --- |
//! | may this start now? ([`Gate`]) | [`Breaker`], [`TokenBucket`], tuples of them |
//! | which of these endpoints may be called now? | [`Outliers`] |
//! | what next for this call? ([`Plan`]) | [`Retry`] |
//! | how long until the next try? | [`Backoff`] |
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

pub mod backoff;
pub mod breaker;
pub mod bucket;
mod config;
pub mod entropy;
mod gate;
pub mod keyed;
mod kind;
pub mod outlier;
mod plan;
pub mod retry;
mod share;
#[cfg(target_has_atomic = "64")]
pub mod sync;
mod time;

pub use backoff::{Backoff, Jitter, Schedule};
pub use breaker::{
    Breaker, BreakerConfig, BreakerState, Consecutive, CountWindow, Counts, Either, Ewma, FailureCount, FailureRate,
    SlowRate, Snapshot, State, TimeWindow, Transition, TripRule,
};
pub use bucket::{Quota, TokenBucket};
pub use config::ConfigError;
pub use entropy::Entropy;
pub use gate::{Gate, Outcome, Reason, Rejected};
pub use keyed::{Keyed, KeyedGate, KeyedPermit, KeyedSnapshot};
pub use kind::GateKind;
pub use outlier::{OutlierConfig, Outliers};
pub use plan::{Cause, Ended, Plan, Step, Verdict};
pub use retry::{Retry, RetryPolicy};
pub use share::{Guard, Lock, Shared, SharedGate};
pub use time::{Clock, Instant, nanos};
