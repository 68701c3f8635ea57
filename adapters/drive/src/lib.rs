//! The one interpreter that turns the answers of fusebox's machines into awaiting (or blocking).
//!
//! It knows [`Future`](core::future) and knows no runtime: an adapter supplies a [`Timer`], a way to queue
//! ([`Turns`]) and a [`Lock`](fusebox::Lock). No allocation, no policy of its own.
//!
//! Most people want an adapter (`fusebox-tokio`, `fusebox-async-std`, `fusebox-embassy`), which re-exports all this.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
extern crate std;

pub use fusebox;

mod alarm;
mod attempt;
mod begun;
pub mod blocking;
mod books;
mod builder;
mod class;
mod clock;
#[cfg(feature = "config")]
pub mod config;
mod drain;
mod error;
mod fallback;
mod faulty;
pub mod idempotent;
mod job;
#[cfg(feature = "std")]
pub mod keyed_limiter;
#[cfg(feature = "notify")]
pub mod notify;
mod parts;
mod pipeline;
mod probe;
mod progress;
mod recover;
mod review;
mod run;
mod running;
pub mod slots;
#[cfg(feature = "std")]
mod thread;
mod ticket;
mod turns;
mod within;

pub use alarm::{Timer, sleep_until, timeout_at};
pub use attempt::{Attempt, GrpcTimeout};
pub use builder::PipelineBuilder;
pub use class::{Class, Classify, Errors};
#[cfg(feature = "std")]
pub use clock::CoarseClock;
#[cfg(feature = "quanta")]
pub use clock::TscClock;
pub use clock::WithClock;
pub use drain::{Bell, Drainer};
pub use error::CallError;
pub use fallback::{Fallback, FellBack, Served};
pub use faulty::Faulty;
pub use idempotent::Idempotent;
#[cfg(feature = "std")]
pub use keyed_limiter::{KeyedLimiter, KeyedLimiterGate, LimiterSnapshot};
pub use pipeline::{Layers, Pipeline};
pub use probe::Monitor;
pub use recover::Recovering;
pub use slots::Drive;
#[cfg(feature = "std")]
pub use thread::{ThreadTimer, entropy};
pub use turns::{NoTurns, Turns};
pub use within::Within;
