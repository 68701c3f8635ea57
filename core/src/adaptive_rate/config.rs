//! An adaptive rate's configuration.

use core::time::Duration;

use super::Rate;
use super::curve::Shape;
use super::stock::longest_wait;
use crate::seen::LATE;
use crate::{ConfigError, Instant, nanos};

/// The curve and its bounds. Share one among adaptive rates of a kind in [`Keyed`](crate::Keyed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AdaptiveRateConfig {
    pub(super) shape: Shape,
    pub(super) least: Rate,
    forget_after: Option<u64>,
}

/// Builds an [`AdaptiveRateConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct AdaptiveRateBuilder {
    beta: u16,
    scale: u16,
    least: u32,
    forget_after: Option<u64>,
}

impl AdaptiveRateBuilder {
    const DEFAULT: Self = Self { beta: 700, scale: 400, least: 30, forget_after: None };

    /// What is left of the rate after a throttled call, in permille. Default 700.
    pub const fn beta_permille(mut self, permille: u16) -> Self {
        self.beta = permille;
        self
    }

    /// How steep the curve is, in thousandths of a call a second for each second cubed. Default 400.
    pub const fn scale_permille(mut self, permille: u16) -> Self {
        self.scale = permille;
        self
    }

    /// So many calls a minute pass, however much is throttled: else nobody would notice that it is over. Default 30.
    pub const fn least_per_minute(mut self, calls: u32) -> Self {
        self.least = calls;
        self
    }

    /// There is no limit any more when no call was throttled for so long, as at first. Default: never.
    pub const fn forget_after(mut self, time: Duration) -> Self {
        self.forget_after = Some(nanos(time));
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// When beta is not between 0 and 1, the scale is below 10 or above 1000 permille, nothing would pass at the least
    /// or more than 60 million a minute, or everything would be forgotten at once.
    #[expect(clippy::integer_division, clippy::cast_possible_truncation, reason = "configuration; bounded above")]
    pub const fn build(self) -> Result<AdaptiveRateConfig, ConfigError> {
        if self.beta == 0 || self.beta > 999 {
            return Err(ConfigError::new("beta_permille", "from 1 to 999"));
        }
        if self.scale < 10 || self.scale > 1_000 {
            return Err(ConfigError::new("scale_permille", "from 10 to 1000"));
        }
        if self.least == 0 || self.least > 60_000_000 {
            return Err(ConfigError::new("least_per_minute", "from 1 to 60 million"));
        }
        if matches!(self.forget_after, Some(0)) {
            return Err(ConfigError::new("forget_after", "the limit would be forgotten at once"));
        }
        let least = Rate((self.least as u64 * Rate::ONE.0 as u64 / 60) as u32);
        let shape = Shape::new(self.beta, self.scale);
        Ok(AdaptiveRateConfig { shape, least, forget_after: self.forget_after })
    }
}

impl AdaptiveRateConfig {
    /// The defaults: as the AWS SDKs have them.
    pub const AWS: Self = crate::checked!(Self::builder().build());

    /// A builder with the defaults.
    pub const fn builder() -> AdaptiveRateBuilder {
        AdaptiveRateBuilder::DEFAULT
    }

    /// When a limit is forgotten if the last call was throttled at `at`.
    pub(super) fn forgets_at(&self, at: Instant) -> Option<Instant> {
        self.forget_after.map(|time| at.after(time))
    }

    /// A token's time at the least rate, for a clock that steps back by as much as a late call.
    pub(super) const fn longest_refusal(&self) -> u64 {
        longest_wait(self.least).saturating_add(2 * LATE)
    }
}
