//! How a sketch is configured.

use core::time::Duration;

use crate::{ConfigError, nanos};

const WINDOW: Duration = Duration::from_secs(30);
const MINIMUM: u16 = 20;

/// How a [`LatencySketch`](super::LatencySketch) remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LatencyConfig {
    /// Nanoseconds.
    pub(super) window: u64,
    pub(super) minimum: u16,
}

/// Builds a [`LatencyConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct LatencyBuilder {
    window: Duration,
    minimum: u16,
}

impl LatencyConfig {
    /// The defaults.
    pub const DEFAULT: Self = Self { window: nanos(WINDOW), minimum: MINIMUM };

    /// A builder with the defaults.
    pub const fn builder() -> LatencyBuilder {
        LatencyBuilder { window: WINDOW, minimum: MINIMUM }
    }
}

impl LatencyBuilder {
    /// How long a latency counts at least; twice that at most. Default 30 seconds.
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many latencies, censored ones included, it takes for an answer. Default 20.
    pub const fn minimum(mut self, latencies: u16) -> Self {
        self.minimum = latencies;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// When there is no window, or the minimum is zero or more than a window holds (32767).
    pub const fn build(self) -> Result<LatencyConfig, ConfigError> {
        if self.window.is_zero() {
            return Err(ConfigError::new("window", "nothing would be remembered"));
        }
        if self.minimum == 0 || self.minimum > super::buckets::FULL {
            return Err(ConfigError::new("minimum", "from 1 to 32767"));
        }
        Ok(LatencyConfig { window: nanos(self.window), minimum: self.minimum })
    }
}
