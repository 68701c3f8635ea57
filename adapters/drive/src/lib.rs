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

mod account;
mod alarm;
pub mod blocking;
mod class;
mod drain;
mod error;
mod pipeline;
#[cfg(feature = "std")]
mod thread;
mod turns;
mod within;

pub use alarm::{Timer, sleep_until, timeout_at};
pub use class::{Class, Classify, Errors};
pub use drain::{Bell, Drainer};
pub use error::CallError;
pub use pipeline::{Attempt, Pipeline};
#[cfg(feature = "std")]
pub use thread::{ThreadTimer, entropy};
pub use turns::{NoTurns, Turns};
pub use within::Within;
