//! The breaker's configuration.

use core::time::Duration;

use crate::backoff::{Backoff, Jitter};
use crate::{ConfigError, nanos};

/// When a breaker trips, how long it stays open, and how it tries again. Share one among breakers of a kind through
/// [`BreakerState`](super::BreakerState).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BreakerConfig<R, const TRIALS: usize = 1> {
    pub(super) rule: R,
    pub(super) open: Backoff,
    pub(super) seed: u32,
    pub(super) slow_after: u64,
    pub(super) trial_ttl: u64,
    pub(super) successes_to_close: u16,
    /// How many trials may fail before it cannot close any more.
    pub(super) failures_tolerated: u16,
    /// How many trials decide at most.
    pub(super) trials_needed: u16,
}

/// Builds a [`BreakerConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct BreakerBuilder<R, const TRIALS: usize> {
    rule: R,
    open: Result<Backoff, ConfigError>,
    seed: Option<u32>,
    slow_after: Option<Duration>,
    trial_ttl: Duration,
    successes_to_close: u16,
}

const THIRTY_SECONDS: Duration = Duration::from_secs(30);

impl<R: Copy> BreakerConfig<R> {
    /// A builder with the defaults and one trial at a time.
    pub const fn builder(rule: R) -> BreakerBuilder<R, 1> {
        BreakerBuilder {
            rule,
            open: Backoff::constant(THIRTY_SECONDS),
            seed: None,
            slow_after: None,
            trial_ttl: THIRTY_SECONDS,
            successes_to_close: 1,
        }
    }
}

impl<R: Copy, const TRIALS: usize> BreakerBuilder<R, TRIALS> {
    /// How long the breaker stays open each time. Default 30 s.
    pub const fn open_for(mut self, interval: Duration) -> Self {
        self.open = Backoff::constant(interval);
        self
    }

    /// How long the breaker stays open: the first delay of `backoff` when it trips, the next one with each reopening,
    /// and from the first again after it has closed. With jitter it needs a [`seed`](Self::seed).
    pub const fn open_interval(mut self, backoff: Backoff) -> Self {
        self.open = Ok(backoff);
        self
    }

    /// The seed of the open interval's jitter; give every device another one.
    pub const fn seed(mut self, seed: u32) -> Self {
        self.seed = Some(seed);
        self
    }

    /// A call that takes longer is slow, however it ends. Default: none is.
    pub const fn slow_after(mut self, duration: Duration) -> Self {
        self.slow_after = Some(duration);
        self
    }

    /// After this time a trial that has not come back no longer takes a place. It should exceed the longest time a
    /// trial can honestly take. Default 30 s.
    pub const fn trial_ttl(mut self, ttl: Duration) -> Self {
        self.trial_ttl = ttl;
        self
    }

    /// How many trials must succeed before the breaker closes. Default 1.
    pub const fn successes_to_close(mut self, successes: u16) -> Self {
        self.successes_to_close = successes;
        self
    }

    /// How many trials may be out at once: 16 bytes each, stored inline. Default 1.
    pub const fn trials<const N: usize>(self) -> BreakerBuilder<R, N> {
        BreakerBuilder {
            rule: self.rule,
            open: self.open,
            seed: self.seed,
            slow_after: self.slow_after,
            trial_ttl: self.trial_ttl,
            successes_to_close: self.successes_to_close,
        }
    }

    /// The configuration.
    ///
    /// # Errors
    /// When a duration or a count is zero, there are more than 1024 trials, or a jittered open interval has no seed.
    pub const fn build(self) -> Result<BreakerConfig<R, TRIALS>, ConfigError> {
        let open = match self.open {
            Ok(open) if open.cap() > 0 => open,
            _ => return Err(ConfigError::new("open_for", "a breaker that opens for no time is none")),
        };
        if TRIALS == 0 || TRIALS > 1024 {
            return Err(ConfigError::new("trials", "from 1 to 1024 trials"));
        }
        if self.successes_to_close == 0 {
            return Err(ConfigError::new("successes_to_close", "closing takes at least one success"));
        }
        if self.trial_ttl.is_zero() {
            return Err(ConfigError::new("trial_ttl", "a trial without a lease could never succeed"));
        }
        if matches!(self.slow_after, Some(limit) if limit.is_zero()) {
            return Err(ConfigError::new("slow_after", "every call would be slow"));
        }
        let seed = match (open.jitter(), self.seed) {
            (Jitter::None, None) => 0,
            (_, Some(seed)) => seed,
            (_, None) => return Err(ConfigError::new("seed", "a jittered open interval needs a seed")),
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 1024")]
        let trials = TRIALS as u16;
        let needed = if trials > self.successes_to_close { trials } else { self.successes_to_close };
        Ok(BreakerConfig {
            rule: self.rule,
            open,
            seed,
            slow_after: match self.slow_after {
                Some(limit) => nanos(limit),
                None => u64::MAX,
            },
            trial_ttl: nanos(self.trial_ttl),
            successes_to_close: self.successes_to_close,
            failures_tolerated: trials.saturating_sub(self.successes_to_close),
            trials_needed: needed,
        })
    }
}
