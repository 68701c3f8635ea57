//! How chance changes a delay.

use crate::ConfigError;
use crate::entropy::scale;

/// How chance changes a delay. The names and formulas of full, equal and decorrelated are those of Marc Brooker,
/// "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Jitter {
    /// The delay as it is. A fleet that fails together retries together.
    None,
    /// Anything from zero to the delay: spreads best.
    Full,
    /// Half the delay, plus anything up to the other half: never comes back at once.
    Equal,
    /// The delay, give or take up to a part of it: keeps the schedule recognisable, spreads least. Made by
    /// [`Jitter::around`].
    Around {
        /// The part, as a fraction of 2^32.
        part: u32,
    },
    /// Anything from the first delay to three times the previous one. Replaces the growth by its own; with
    /// [`polly_exponential`](crate::Backoff::polly_exponential) by that of Polly.
    Decorrelated,
}

impl Jitter {
    /// Anything from `1 - permille / 1000` to `1 + permille / 1000` times the delay: 200 for gRPC's plus or minus 20 %.
    ///
    /// # Errors
    /// When it is zero, or above 1000.
    pub const fn around(permille: u16) -> Result<Self, ConfigError> {
        if permille == 0 || permille > 1_000 {
            return Err(ConfigError::new("permille", "from 1 to 1000; no jitter is Jitter::None"));
        }
        Ok(Self::Around { part: part(permille as u32) })
    }

    /// The shortest and the longest that `delay` can become.
    pub(super) const fn range(self, delay: u64) -> (u64, u64) {
        match self {
            Self::Full => (0, delay),
            Self::Equal => (delay - (delay >> 1), delay),
            Self::Around { part } => {
                let by = scale(delay, part);
                (delay - by, delay.saturating_add(by))
            }
            Self::None | Self::Decorrelated => (delay, delay),
        }
    }
}

/// Up to 1000 permille as a fraction of 2^32, rounded up so that a product rounded down is what one expects; one is as
/// near as 32 bits come.
#[expect(clippy::cast_possible_truncation, reason = "below 2^32")]
pub(super) const fn part(permille: u32) -> u32 {
    if permille < 1_000 { ((permille as u64) << 32).div_ceil(1_000) as u32 } else { u32::MAX }
}
