//! Law: a bulkhead has in flight what it granted less what came back, never more than the limit unless that was lowered,
//! and its twin, its leased and its class machine keep to the same; in a line nobody overtakes and nobody is forgotten.
//!
//! Each machine is driven by millions of random operations beside a model that keeps a plain list of all that was
//! granted, or of all who wait, and looks at the whole list each time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]

mod classes;
mod leased;
mod line;
mod plain;
mod threads;

use std::num::NonZeroU32;

use fusebox::{Instant, Reason, Rejected};

/// Random numbers.
fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn limit(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn refused(reason: Reason) -> Rejected {
    Rejected { reason, retry_at: None }
}
