//! A sketch that many calls use.

use super::{Bound, LatencySketch};
use crate::hedge::SharedLatencies;
use crate::{Instant, Lock, Shared};

/// A lower bound serves as well: a hedge that waits for it is early at worst.
impl<L: Lock<Value = LatencySketch>> SharedLatencies for Shared<L> {
    fn quantile(&self, permille: u16, now: Instant) -> Option<u64> {
        self.with(|sketch| sketch.quantile(permille, now)).map(Bound::nanos)
    }
    fn record(&self, took: u64, now: Instant) {
        self.with(|sketch| sketch.record(took, now));
    }
    fn record_at_least(&self, took: u64, now: Instant) {
        self.with(|sketch| sketch.record_censored(took, now));
    }
}
