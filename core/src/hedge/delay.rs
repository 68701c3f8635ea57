//! Where the delay comes from.

use core::time::Duration;

use crate::{ConfigError, Instant, nanos};

/// Tells after how long the next attempt starts, and is told how long attempts took. All times are nanoseconds.
pub trait HedgeDelay {
    /// The delay; `None`: the policy's own.
    fn delay(&self, now: Instant) -> Option<u64>;

    /// An attempt succeeded after `took`.
    fn record(&self, took: u64, now: Instant);

    /// An attempt was dropped, or ran out of time, after `took`: it would have taken longer.
    fn record_at_least(&self, took: u64, now: Instant);
}

/// The policy's own delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fixed;

impl HedgeDelay for Fixed {
    fn delay(&self, _now: Instant) -> Option<u64> {
        None
    }
    fn record(&self, _took: u64, _now: Instant) {}
    fn record_at_least(&self, _took: u64, _now: Instant) {}
}

/// The share of calls that shall have answered before a further attempt starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quantile {
    permille: u16,
    at_least: u64,
}

impl Quantile {
    /// `permille` of the calls: 950 is the 95th percentile.
    ///
    /// # Errors
    /// When it is zero, or 1000 or more.
    pub const fn new(permille: u16) -> Result<Self, ConfigError> {
        if permille == 0 || permille >= 1_000 {
            return Err(ConfigError::new("permille", "between 1 and 999: a share of the calls, neither none nor all"));
        }
        Ok(Self { permille, at_least: 1 })
    }

    /// The delay is never below `floor`, however fast the callee is.
    #[must_use]
    pub const fn at_least(mut self, floor: Duration) -> Self {
        self.at_least = if floor.is_zero() { 1 } else { nanos(floor) };
        self
    }
}

/// A delay that follows what the calls of late took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Measured<L> {
    pub(super) quantile: Quantile,
    pub(super) latencies: L,
}

impl<L: SharedLatencies> HedgeDelay for Measured<L> {
    fn delay(&self, now: Instant) -> Option<u64> {
        let took = self.latencies.quantile(self.quantile.permille, now)?;
        Some(took.max(self.quantile.at_least))
    }
    fn record(&self, took: u64, now: Instant) {
        self.latencies.record(took, now);
    }
    fn record_at_least(&self, took: u64, now: Instant) {
        self.latencies.record_at_least(took, now);
    }
}

/// A [`LatencySketch`](crate::latency::LatencySketch) that many calls use. The methods are those of the sketch.
pub trait SharedLatencies {
    /// See [`LatencySketch::quantile`](crate::latency::LatencySketch::quantile).
    fn quantile(&self, permille: u16, now: Instant) -> Option<u64>;

    /// See [`LatencySketch::record`](crate::latency::LatencySketch::record).
    fn record(&self, took: u64, now: Instant);

    /// See [`LatencySketch::record_censored`](crate::latency::LatencySketch::record_censored).
    fn record_at_least(&self, took: u64, now: Instant);
}

/// A pointer to shared latencies is one.
macro_rules! delegate {
    ($($pointer:ty),*) => {$(
        impl<L: SharedLatencies + ?Sized> SharedLatencies for $pointer {
            fn quantile(&self, permille: u16, now: Instant) -> Option<u64> {
                (**self).quantile(permille, now)
            }
            fn record(&self, took: u64, now: Instant) {
                (**self).record(took, now);
            }
            fn record_at_least(&self, took: u64, now: Instant) {
                (**self).record_at_least(took, now);
            }
        }
    )*};
}

delegate!(&L);
#[cfg(feature = "std")]
delegate!(std::sync::Arc<L>);
