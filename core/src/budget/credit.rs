//! Amounts of tokens.

/// One token in [`Credit`]'s unit: so small that a floor of `n` tokens per second is `n` units per nanosecond, and nothing
/// is ever rounded.
pub(super) const TOKEN: u64 = 1_000_000_000;
/// A thousandth of a token.
pub(super) const PERMILLE: u64 = 1_000_000;

/// An amount of tokens, exact to a billionth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Credit(pub(super) u128);

impl Credit {
    /// So many thousandths of a token.
    #[must_use]
    pub const fn from_permille(permille: u64) -> Self {
        Self(permille as u128 * PERMILLE as u128)
    }

    /// In billionths of a token.
    #[must_use]
    pub const fn billionths(self) -> u128 {
        self.0
    }

    /// Whole tokens, rounded down. Divides, so it is for reports.
    #[must_use]
    #[expect(clippy::integer_division, reason = "for reports")]
    pub const fn whole(self) -> u128 {
        self.0 / TOKEN as u128
    }
}

/// Prints tokens, for instance `1.600000000`.
impl core::fmt::Display for Credit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{:09}", self.whole(), self.0 - self.whole() * u128::from(TOKEN))
    }
}
