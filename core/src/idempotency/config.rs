//! How long things last.

use core::time::Duration;

use crate::{ConfigError, nanos};

/// Of an [`Idempotency`](super::Idempotency).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IdempotencyConfig {
    pub(super) lease: u64,
    pub(super) ttl: u64,
}

impl IdempotencyConfig {
    /// A lease of 60 seconds, and answers that are kept for 24 hours.
    pub const fn builder() -> IdempotencyBuilder {
        IdempotencyBuilder { lease: Duration::from_secs(60), ttl: Duration::from_secs(24 * 60 * 60) }
    }
}

/// Makes an [`IdempotencyConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct IdempotencyBuilder {
    lease: Duration,
    ttl: Duration,
}

impl IdempotencyBuilder {
    /// How long a key stays in flight at most, unless renewed. It should exceed the longest time that an operation can
    /// honestly take: one that takes longer may run twice. Default: 60 seconds.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long an answer is kept after it came. It should exceed the longest time after which callers ask again.
    /// Default: 24 hours.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// When one of them is no time.
    pub const fn build(self) -> Result<IdempotencyConfig, ConfigError> {
        if self.lease.is_zero() {
            return Err(ConfigError::new("lease", "every operation could run twice"));
        }
        if self.ttl.is_zero() {
            return Err(ConfigError::new("ttl", "no answer would ever be given again"));
        }
        Ok(IdempotencyConfig { lease: nanos(self.lease), ttl: nanos(self.ttl) })
    }
}
