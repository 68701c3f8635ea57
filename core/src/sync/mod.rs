//! Atomic twins: the same machines through `&self`, for servers with many threads.
//!
//! # Why
//! A machine behind a mutex is right, but every call of every thread writes the mutex's word, even when nothing has
//! changed. A twin keeps in one atomic word what a call needs as long as all is well, reads it, and writes only what
//! changes. It decides by the same rule and gives the same answers as the plain machine: all else is that machine, behind
//! a [`Lock`](crate::Lock).
//!
//! # When not
//! On targets without 64-bit atomics there is no such module. In a single thread, an interrupt handler or behind a lock
//! that is there anyway, the plain machine is smaller and as fast.

mod breaker;
mod bucket;
mod bulkhead;
#[cfg(all(feature = "std", not(loom)))]
pub mod sharded;

#[cfg(feature = "std")]
pub use breaker::Breaker;
pub use breaker::BreakerOver;
#[cfg(feature = "std")]
pub use bucket::TokenBucket;
pub use bucket::TokenBucketOver;
pub use bulkhead::Bulkhead;

/// loom's words under its model checker.
#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, AtomicU64};

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU32, AtomicU64};
